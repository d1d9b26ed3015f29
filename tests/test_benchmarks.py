"""The scripts under benchmarks/: they start, explain themselves, and compute what they say."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import SectionSpan, Song
from singcli.metrics.guards import GUARDS, measure_guards
from singcli.music.key import Key
from singcli.music.score import LEAD, Score, regular_bars

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


@pytest.fixture
def load(monkeypatch):
    """Import a script by its name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def song_score(n_bars, pitches_of_bar):
    """One quarter note on every beat; `pitches_of_bar(bar)` gives the four pitches."""
    pitch = [p for bar in range(n_bars) for p in pitches_of_bar(bar)]
    step = np.arange(len(pitch)) * 4
    ones = np.ones(len(pitch), int)
    return Score.from_notes(
        step,
        ones * LEAD,
        pitch,
        ones * 4,
        ones * 80,
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100.0,
        key=Key(0, "major"),
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_itself(name):
    result = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert f"python benchmarks/{name}.py" in " ".join(result.stdout.split())


def test_the_scripts_of_issue_2_are_there():
    assert set(SCRIPTS) == {
        "aaba_structure",
        "cold_start",
        "gallery",
        "prepare_speed",
        "steps_per_second",
    }


class TestMachine:
    def test_line_names_cores_python_and_versions(self, load):
        line = load("_machine").machine_line("numpy")
        assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in line
        assert f"numpy {np.__version__}" in line
        assert "cores" in line

    def test_table(self, load):
        text = load("_machine").markdown_table(["a", "b"], [["x", 0.12345], [None, 12345.6]])
        assert text.splitlines() == ["| a | b |", "| --- | --- |", "| x | 0.123 |", "| - | 12346 |"]

    def test_verdict_at_and_beyond_the_limit(self, load):
        verdict = load("_machine").verdict
        assert verdict("time", 2.0, 2.0, " s") == "reached: time 2 s, allowed 2 s"
        assert verdict("time", 2.1, 2.0, " s").startswith("MISSED")

    def test_what_follows_two_dashes_is_passed_on(self, load):
        split = load("_machine").split_arguments
        assert split(["--runs", "3", "--", "--seed", "1"]) == (["--runs", "3"], ["--seed", "1"])
        assert split(["--runs", "3"]) == (["--runs", "3"], [])


class TestColdStart:
    def test_measures_time_and_memory_of_another_process(self, load):
        run_process = load("cold_start").run_process
        small = run_process([sys.executable, "-c", "pass"])
        code = "import time; kept = b'x' * 80_000_000; time.sleep(0.2)"
        large = run_process([sys.executable, "-c", code])
        assert large.seconds > 0.2
        assert large.peak_mb > 80
        assert small.seconds > 0
        assert small.peak_mb > 1

    def test_a_failing_command_ends_the_benchmark_with_its_message(self, load):
        with pytest.raises(SystemExit, match="no luck"):
            load("cold_start").run_process([sys.executable, "-c", "raise SystemExit('no luck')"])


class TestPrepareSpeed:
    def test_finds_midi_files_given_and_below_folders(self, load, tmp_path):
        for name in ("b.mid", "inner/a.MIDI", "c.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        found = load("prepare_speed").midi_files([tmp_path / "inner", tmp_path / "b.mid"])
        assert [path.name for path in found] == ["b.mid", "a.MIDI"]


class TestAabaStructure:
    def test_human_overlaps_of_a_song_that_repeats(self, load):
        score = song_score(6, lambda bar: [72] * 4 if bar in (1, 3) else [60 + bar] * 4)
        sections = [("i", 0), ("a", 1), ("b", 2), ("a", 3), ("i", 4)]
        song = Song(
            "x", "validation", score, tuple(SectionSpan(s, b, 1, True) for s, b in sections)
        )
        # intro labels do not repeat: they would drag the mean of the same labels down
        assert load("aaba_structure").human_overlaps([song]) == [(1.0, 0.0)]

    def test_songs_without_labels_or_repeats_are_left_out(self, load):
        score = song_score(4, lambda bar: [60 + bar] * 4)
        no_labels = Song("x", "validation", score, ())
        once = Song("y", "validation", score, (SectionSpan("a", 0, 4, True),))
        assert load("aaba_structure").human_overlaps([no_labels, once]) == []

    def test_excerpts_have_the_asked_length_and_short_songs_none(self, load):
        songs = [
            Song(str(n), "validation", song_score(n, lambda _: [60] * 4), ()) for n in (3, 8, 20)
        ]
        excerpts = load("aaba_structure").real_excerpts(songs, 8, seed=0, n_each=3)
        assert [excerpt.n_bars for excerpt in excerpts] == [8] * 6

    def test_guard_rows_compare_with_real_music(self, load):
        dense = measure_guards(song_score(4, lambda _: [60, 62, 64, 65]))
        rows = {row[0]: row[1:] for row in load("aaba_structure").guard_rows([dense], [dense])}
        assert tuple(rows) == GUARDS
        assert rows["notes_per_step"] == [0.25, 0.25, 1.0, "reached"]
        assert rows["mean_polyphony"][-1] == ""
        assert rows["empty_steps"] == [0.0, 0.0, None, "reached"]  # no ratio to nothing
