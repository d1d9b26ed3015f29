"""`singcli novelty`: files compared with an index, indexes made from datasets."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from singcli.cli import main, novelty
from singcli.dataset import Entry, song_path, write_index, write_song
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars
from singcli.novelty.index import FIGURES
from singcli.novelty.index_file import read_index
from singcli.novelty.report import SharedRun


def score_of(seed: int, n_bars: int = 40) -> Score:
    """Quarters in the lead over half notes, drawn at random."""
    rng = np.random.default_rng(seed)
    tune = [(4 * beat, LEAD, int(rng.integers(65, 85))) for beat in range(4 * n_bars)]
    bass = [(8 * half, ACCOMPANIMENT, int(rng.integers(40, 55))) for half in range(2 * n_bars)]
    step, voice, pitch = np.array([*tune, *bass]).T
    ones = np.ones(len(step), int)
    return Score.from_notes(
        step, voice, pitch, 2 * ones, 80 * ones, bar_beats=regular_bars(n_bars, 4), tempo_bpm=100
    )


def write_dataset(folder, seeds, *, n_held_out: int) -> None:
    entries = []
    for place, seed in enumerate(seeds):
        score = score_of(seed)
        split = "validation" if place < n_held_out else "train"
        entry = Entry(
            *(f"song{seed}", f"{seed}.mid", "", "", "file", "4/4", score.n_beats, score.n_bars),
            *(100.0, None, None, {}, (), None, split),
        )
        song_path(folder, entry.id).parent.mkdir(parents=True, exist_ok=True)
        write_song(song_path(folder, entry.id), score, entry)
        entries.append(entry)
    write_index(folder, tuple(entries), licences={}, settings={})


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Two datasets, an index of both, and a folder of two songs, one of them known."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "one", range(5), n_held_out=2)
    write_dataset(tmp_path / "two", range(10, 13), n_held_out=1)
    assert main(["novelty", "index", "one", "two", "--out", "both.novelty.npz"]) == 0
    (tmp_path / "songs").mkdir()
    for name, score in (("new", score_of(99)), ("known", score_of(11).transposed(-3))):
        (tmp_path / "songs" / f"{name}.mid").write_bytes(midi_from_score(score))
    capsys.readouterr()
    return tmp_path


class TestIndex:
    def test_hashes_what_is_trained_on_and_measures_what_is_held_out(self, here):
        index = read_index(here / "both.novelty.npz")
        assert index.songs == ("one/song2", "one/song3", "one/song4", "two/song11", "two/song12")
        assert [corpus.held_out for corpus in index.corpora] == [2, 1]
        assert [corpus.excerpts for corpus in index.corpora] == [2, 1]  # 40 bars have one of 32
        assert index.yardstick.shape == (3, len(FIGURES))

    def test_prints_the_path_or_an_object(self, here, capsys):
        words = ["novelty", "index", "one", "--out", "both.novelty.npz", "--overwrite"]
        assert main(words) == 0
        shown = capsys.readouterr()
        assert shown.out == "both.novelty.npz\n"
        assert shown.err == "3 songs, 2 held out as the yardstick\n"
        assert main([*words, "--json"]) == 0
        value = json.loads(capsys.readouterr().out)
        assert value["songs"] == 3
        assert value["bytes"] == (here / "both.novelty.npz").stat().st_size
        assert value["held_out"]["pieces"] == 2
        assert sorted(value["held_out"]["median"]) == sorted(FIGURES)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["one", "--out", "x.npz"], "x.npz: an index ends in .novelty.npz"),
            (["one", "--out", "no/x.novelty.npz"], "no: no such folder"),
            (["one", "--out", "both.novelty.npz"], "already exists; add --overwrite"),
            (["songs", "--out", "x.novelty.npz"], "songs: not a dataset"),
            (["one", "sub/one", "--out", "x.novelty.npz"], "another dataset is called one"),
            (["held", "--out", "x.novelty.npz"], "held: no songs to train on"),
        ],
    )
    def test_what_cannot_be_done_is_said(self, here, capsys, words, message):
        write_dataset(here / "held", [1], n_held_out=1)
        assert main(["novelty", "index", *words]) == 2
        assert message in capsys.readouterr().err
        assert not (here / "x.novelty.npz").exists()


@pytest.mark.usefixtures("here")
class TestCheck:
    def test_a_table_of_files_and_yardstick(self, capsys):
        assert main(["novelty", "check", "songs", "--index", "both.novelty.npz"]) == 0
        shown = capsys.readouterr()
        lines = shown.out.splitlines()
        columns = ["run lead", "run all", "passages lead", "passages all", "bars lead", "bars all"]
        assert [cell.strip() for cell in lines[0].split("  ") if cell] == [*columns, "nearest"]
        known, new = lines[1:3]
        cells = ["songs/known.mid", "160*", "240*", *["100.0%*"] * 5, "two/song11"]
        assert known.split() == cells
        assert new.startswith("songs/new.mid ")
        assert new.endswith(" none")
        assert [line.split("  ")[0] for line in lines[3:]] == [
            "these 2, median",
            "these 2, 95 %",
            "held-out songs, median",
            "held-out songs, 95 %",
            "held-out excerpts, median",
            "held-out excerpts, 95 %",
        ]
        assert shown.err.splitlines() == [
            "both.novelty.npz: 5 songs of one, two",
            "* above the 95th percentile of the held-out songs",
        ]

    def test_of_one_file_the_places_are_told(self, capsys):
        words = ["novelty", "check", "songs/known.mid", "--index", "both.novelty.npz"]
        assert main([*words, "--quiet"]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.splitlines()[-2:] == [
            "known.mid, lead: 160 notes, bars 1-40, as in two/song11 bars 1-40",
            "known.mid, all: 240 notes, bars 1-40, as in two/song11 bars 1-40",
        ]

    def test_a_run_in_one_bar_that_several_songs_have(self):
        run = SharedRun(6, 4, 5, "one/song2", 0, 2, songs=3)
        assert novelty._place(run) == "6 notes, bar 5, as in one/song2 bars 1-2, and in 2 others"
        two = dataclasses.replace(run, songs=2)
        assert novelty._place(two).endswith("bars 1-2, and in another song")
        assert novelty._place(None) == "no run"

    def test_bars_have_the_numbers_that_they_have_in_the_file(self, here, capsys):
        score = score_of(12)
        later = Score.from_notes(
            score.step + 32,
            *(score.voice, score.pitch, score.duration, score.velocity),
            bar_beats=regular_bars(42, 4),
            tempo_bpm=100,
        )
        (here / "later.mid").write_bytes(midi_from_score(later))
        assert main(["novelty", "check", "later.mid", "--index", "both.novelty.npz"]) == 0
        assert "160 notes, bars 3-42, as in two/song12 bars 1-40" in capsys.readouterr().out

    def test_objects(self, capsys):
        words = ["novelty", "check", "songs", "--index", "both.novelty.npz", "--json"]
        assert main([*words, "--corpus", "two"]) == 0
        known, new = map(json.loads, capsys.readouterr().out.splitlines())
        assert known["file"] == "songs/known.mid"
        assert known["lead"]["run"] == {
            "notes": 160,
            "start_bar": 0,
            "end_bar": 40,
            "song": "two/song11",
            "song_start_bar": 0,
            "song_end_bar": 40,
            "songs": 1,
        }
        assert known["all"]["bars"] == {"counted": 40, "shared": 40, "share": 1.0}
        assert known["nearest"]["song"] == "two/song11"
        assert known["beyond"] == list(FIGURES)
        assert known["held_out"]["pieces"] == 1
        assert new["lead"]["run"] is None
        assert new["figures"]["nearest"] == 0

    def test_what_cannot_be_read_is_left_out_and_told_in_the_end(self, here, capsys):
        (here / "songs" / "bad.mid").write_bytes(b"MThd")
        assert main(["novelty", "check", "songs", "--index", "both.novelty.npz"]) == 3
        shown = capsys.readouterr()
        assert "songs/new.mid" in shown.out
        assert "warning: left out songs/bad.mid: " in shown.err
        assert shown.err.splitlines()[-1] == "error: 1 of 3 files left out"
        words = ["novelty", "check", "songs/bad.mid", "--index", "both.novelty.npz"]
        assert main(words) == 2
        assert capsys.readouterr().err.startswith("error: bad.mid: not a readable MIDI file")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["nothing.mid"], "nothing.mid: no such file or folder"),
            (["songs", "--index", "no.novelty.npz"], "no.novelty.npz: cannot be read"),
            (["songs", "--index", "songs/new.mid"], "damaged, or not a novelty index"),
            (["songs", "--model", "nobody"], "no model called 'nobody' has a novelty index"),
            (["songs", "--model", "./my.onnx"], "./my.onnx: no novelty index beside it"),
            (["songs", "--corpus", "three"], "corpus 'three' is not in the index, allowed: pop909"),
        ],
    )
    def test_what_cannot_be_used_is_said(self, capsys, words, message):
        assert main(["novelty", "check", *words]) == 2
        assert message in capsys.readouterr().err
