"""`singcli evaluate`, from files to table, JSON and picture."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.cli import main
from singcli.dataset import Entry, song_path, write_index, write_song
from singcli.errors import InputError, SingError
from singcli.evaluate import evaluate, summary
from singcli.metrics.figures import FIGURES, measure_figures
from singcli.metrics.histograms import HISTOGRAMS
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

ROOT = Path(__file__).resolve().parents[1]
N_BARS = 8
SCALE = [0, 2, 4, 5, 7, 9, 11, 12]


def song(seed: int, n_bars: int = N_BARS) -> Score:
    """A tune that walks through C major over broken chords; four bars, and the same again."""
    rng = np.random.default_rng(seed)
    notes = []
    place = 3
    half = max(n_bars // 2, 1) * 16
    for step in range(0, half, 2):
        if step == 0 or rng.random() < 0.8:
            place = int(np.clip(place + rng.integers(-1, 2), 0, 7))
            notes.append((step, LEAD, 72 + SCALE[place], 2))
    for step in range(0, half, 4):
        root = SCALE[(step // 16) * 3 % 7]
        notes += [(step, ACCOMPANIMENT, 48 + root, 4), (step, ACCOMPANIMENT, 55, 4)]
    both = [*notes, *((s + half, v, p, d) for s, v, p, d in notes)]
    step, voice, pitch, duration = np.array([n for n in both if n[0] < n_bars * 16]).T
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        np.full(len(step), 80),
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=120.0,
    )


def write_dataset(path: Path, scores: list[Score], split: str = "validation") -> Path:
    (path / "songs").mkdir(parents=True)
    entries = []
    for index, score in enumerate(scores):
        entry = Entry(
            id=f"song-{index}",
            source=f"song-{index}.mid",
            sha256="",
            fingerprint="",
            beats="file",
            meter="4/4",
            n_beats=score.n_beats,
            n_bars=score.n_bars,
            tempo_bpm=score.tempo_bpm,
            key=None,
            key_source=None,
            voices={},
            sections=(),
            alignment=None,
        )
        write_song(song_path(path, entry.id), score, entry)
        entries.append(dataclasses.replace(entry, split=split))
    write_index(path, tuple(entries), licences={}, settings={})
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_dataset(folder / "data", [song(seed, n_bars=20) for seed in range(6)])
    (folder / "songs" / "more").mkdir(parents=True)
    for name, seed in (("a.mid", 10), ("b.midi", 11), ("more/c.MID", 12)):
        (folder / "songs" / name).write_bytes(midi_from_score(song(seed)))
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_tables_have_a_row_for_everything_and_real_music_and_noise_beside_it(capsys, data):
    code, out, err = run(capsys, data / "songs", "--against", data / "data", "--bars", N_BARS)
    assert code == 0, err
    figures, overlaps = out.rstrip("\n").split("\n\n")
    head = figures.splitlines()[0]
    assert [head.count(word) for word in ("evaluated", "noise", "inside")] == [1, 1, 3]
    assert len(figures.splitlines()) == 1 + len(FIGURES)
    assert overlaps.splitlines()[0].split()[-3:] == ["evaluated", "real", "noise"]
    assert len(overlaps.splitlines()) == 1 + len(HISTOGRAMS)
    assert "3 files (3 excerpts of 8 bars) against 6 real songs (18 excerpts), seed 0" in err


def test_json_has_an_object_a_file_and_a_summary(capsys, data):
    arguments = (data / "songs", "--against", data / "data", "--bars", N_BARS, "--json", "-q")
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    *files, last = map(json.loads, out.splitlines())
    assert [file["file"] for file in files] == ["songs/a.mid", "songs/b.midi", "songs/more/c.MID"]
    expected = dataclasses.asdict(measure_figures(song(10)))
    assert files[0]["figures"] == pytest.approx(expected)
    assert list(files[0]["inside"]) == list(FIGURES)
    assert files[0]["excerpts"] == 1
    assert (last["files"], last["skipped"], last["bars"], last["seed"]) == (3, 0, 8, 0)
    assert (last["real_songs"], last["real_excerpts"]) == (6, 18)
    assert list(last["figures"]) == list(FIGURES)
    assert list(last["overlap"]) == list(HISTOGRAMS)
    density = last["figures"]["notes_per_beat"]
    values = [file["figures"]["notes_per_beat"] for file in files]
    assert density["evaluated"]["median"] == pytest.approx(np.median(values))
    low, high = density["band"]
    share = np.mean([low <= value <= high for value in values])
    assert density["evaluated"]["inside"] == pytest.approx(share)


def test_real_music_is_like_itself_and_noise_is_not(data):
    found = evaluate([data / "songs"], [data / "data"], n_bars=N_BARS)
    rows = {row.name: row for row in found.figures}
    for name in ("lead_interval", "scale_consistency", "key_clarity", "pitch_class_entropy_4"):
        assert rows[name].noise.inside == 0
        assert rows[name].real.inside > 0.4
    assert rows["repetition_short"].noise.median < rows["repetition_short"].real.median
    for row in found.overlaps:
        if row.name != "density":
            assert row.noise < 0.8 < row.real
    assert summary(found)["figures_like_real"] == found.figures_like_real


def test_the_reference_itself_lies_in_its_band(data, tmp_path):
    for seed in range(6):
        path = tmp_path / "same" / f"{seed}.mid"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(midi_from_score(song(seed, n_bars=20)))
    found = evaluate([tmp_path / "same"], [data / "data"], n_bars=N_BARS)
    assert [file.n_excerpts for file in found.files] == [3] * 6
    for overlap in found.overlaps:
        assert overlap.evaluated == pytest.approx(1)
    for row in found.figures:
        assert row.evaluated.median == (
            None if row.real.median is None else pytest.approx(row.real.median)
        )
        if row.band is not None:
            assert row.evaluated.inside >= 0.8 - 1e-9 - 1 / 6


def test_same_seed_same_result_other_seed_other_noise(data):
    one, again, other = (
        evaluate([data / "songs"], [data / "data"], n_bars=N_BARS, seed=seed) for seed in (1, 1, 2)
    )
    assert summary(one) == summary(again)
    assert one.figures[0].band == other.figures[0].band
    assert one.overlaps[0].noise != other.overlaps[0].noise


def test_a_bad_file_is_skipped_with_its_reason_and_exit_code_3(capsys, data, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.mid").write_bytes(midi_from_score(song(10)))
    (folder / "bad.mid").write_bytes(b"MThd and nothing else")
    (folder / "short.mid").write_bytes(midi_from_score(song(10, n_bars=3)))
    arguments = (folder, "--against", data / "data", "--bars", N_BARS)
    code, out, err = run(capsys, *arguments)
    assert code == 3
    assert "warning: skipped mixed/bad.mid: " in err
    assert (
        "warning: skipped mixed/short.mid: 2 bars, allowed: 4 or more for excerpts of 8 (--bars)"
        in err
    )
    assert err.splitlines()[-1] == "error: 2 of 3 files were skipped"
    assert len(out.splitlines()) == len(FIGURES) + len(HISTOGRAMS) + 3
    code, out, _ = run(capsys, *arguments, "--json", "--quiet")
    assert code == 3
    kinds = [("skipped" in row, "figures" in row) for row in map(json.loads, out.splitlines())]
    assert kinds == [(False, True), (True, False), (True, False), (True, True)]


def test_exit_code_1_if_no_file_can_be_used(capsys, data, tmp_path):
    (tmp_path / "bad.mid").write_bytes(b"MThd and nothing else")
    code, out, err = run(capsys, "bad.mid", "--against", data / "data")
    assert (code, out) == (1, "")
    assert err.startswith("error: none of 1 files can be evaluated (bad.mid: ")
    with pytest.raises(SingError):
        evaluate([tmp_path / "bad.mid"], [data / "data"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.mid", "--against", "DATA"], "nowhere.mid: no such file or folder"),
        (["SONGS", "--against", "nowhere"], "nowhere: not a dataset"),
        (["SONGS", "--against", "DATA", "--bars", "3"], "bars = 3, allowed: 4 or more"),
        (["SONGS", "--against", "DATA", "--seed", "-1"], "seed = -1, allowed: 0 or more"),
        (["SONGS", "--against", "DATA", "--png", "x.jpg"], "x.jpg: a picture ends in .png"),
        (["SONGS", "--against", "DATA", "--png", "no/x.png"], "there is no folder no"),
        (["SONGS", "--against", "DATA", "--rules", "nosuch"], "nosuch"),
    ],
)
def test_what_cannot_be_used_is_exit_code_2(capsys, data, arguments, message):
    places = {"SONGS": data / "songs", "DATA": data / "data"}
    code, out, err = run(capsys, *(places.get(word, word) for word in arguments))
    assert (code, out) == (2, "")
    assert message in err


def test_a_dataset_needs_validation_songs_that_are_long_enough(data, tmp_path):
    train = write_dataset(tmp_path / "train", [song(0)], split="train")
    with pytest.raises(InputError, match="no songs in its validation split"):
        evaluate([data / "songs"], [train], n_bars=N_BARS)
    short = write_dataset(tmp_path / "short", [song(0, n_bars=3)])
    with pytest.raises(InputError, match="no validation song of 4 bars or more"):
        evaluate([data / "songs"], [short], n_bars=N_BARS)


def test_one_real_song_has_nothing_to_be_compared_with(capsys, data, tmp_path):
    single = write_dataset(tmp_path / "single", [song(0)])
    code, out, _ = run(capsys, data / "songs", "--against", single, "--bars", N_BARS)
    assert code == 0
    assert "  -  " in out
    found = evaluate([data / "songs"], [single], n_bars=N_BARS)
    assert {row.real.inside for row in found.figures} == {None}
    assert {row.real for row in found.overlaps} == {None}


def test_several_datasets_are_one_reference(data, tmp_path):
    other = write_dataset(tmp_path / "other", [song(20), song(21)])
    found = evaluate([data / "songs"], [data / "data", other], n_bars=N_BARS)
    assert len(found.real) == 8


def test_verbose_names_what_is_unusual_in_a_file(capsys, data, tmp_path):
    score = song(10)
    loud = dataclasses.replace(score, pitch=(score.pitch + score.step % 2).astype(np.uint8))
    low = dataclasses.replace(loud, duration=np.ones_like(loud.duration))
    (tmp_path / "odd.mid").write_bytes(midi_from_score(low))
    arguments = ("odd.mid", "--against", data / "data", "--bars", N_BARS, "--verbose")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("odd.mid"))
    assert "note length, beats" in line
    assert f"of {len(FIGURES)}" in line


def test_picture(capsys, data):
    arguments = (data / "songs", "--against", data / "data", "--bars", N_BARS, "--png", "x.png")
    code, _, err = run(capsys, *arguments, "--quiet")
    assert (code, err) == (0, "")
    content = Path("x.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1500
    assert height > 900
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "x.png: already exists" in err
    assert run(capsys, *arguments, "--overwrite")[0] == 0


def test_progress_counts_files_songs_and_noise(data):
    seen: list[tuple[int, int, str]] = []
    evaluate(
        [data / "songs"],
        [data / "data"],
        n_bars=N_BARS,
        on_progress=lambda done, total, name: seen.append((done, total, name)),
    )
    assert [done for done, _, _ in seen] == list(range(1, 3 + 2 * 6 + 1))
    assert {total for _, total, _ in seen} == {15}
    assert seen[0][2] == "songs/a.mid"


def test_needs_no_torch_onnxruntime_or_matplotlib(data):
    script = (
        "import sys; from singcli.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'onnxruntime', 'matplotlib', 'scipy'} & set(sys.modules);"
        "print(sorted(heavy), code, file=sys.stderr)"
    )
    arguments = (data / "songs", "--against", data / "data", "--bars", N_BARS)
    done = subprocess.run(
        [sys.executable, "-c", script, "evaluate", *map(str, arguments), "--quiet"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[] 0\n"
