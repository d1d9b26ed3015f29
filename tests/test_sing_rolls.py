"""benchmarks/sing_rolls.py: the comparison finds what differs and says what it is."""

from __future__ import annotations

import importlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from performances import performance, piece

from singcli.errors import InputError
from singcli.preparation.validation import Validation
from singcli.prepare_rows import prepare_rows
from singcli.row_dataset import RowDataset

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("sing_rolls")


def segments(script, *rolls, tempo_bpm=200.0):
    return [script.TempoSegment(f"s{n}", tempo_bpm, roll) for n, roll in enumerate(rolls)]


def some_rolls(n: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).random((20, 128)) < 0.1 for seed in range(n)]


class TestDifferences:
    def test_none_between_equals(self, script):
        rolls = some_rolls(3)
        assert not list(script.differences(segments(script, *rolls), segments(script, *rolls)))

    def test_a_missing_and_a_foreign_segment(self, script):
        one, two, three, four = some_rolls(4)
        ours, authors = segments(script, one, three, four), segments(script, one, two, three)
        assert list(script.differences(ours, authors)) == [
            "s1: missing in ours (20 rows)",
            "s2: not among the authors' (20 rows)",
        ]

    def test_other_rows_lengths_and_tempos(self, script):
        one, two = some_rolls(2)
        changed = one.copy()
        changed[4:6, 60] ^= True
        (line,) = script.differences(segments(script, changed, two), segments(script, one, two))
        assert line.endswith("same tempo, 2 of 20 rows differ, the first is 4, at pitches 60")
        (line,) = script.differences(segments(script, one[:-1], two), segments(script, one, two))
        assert line == "s0 (s0): 19 rows, the authors' 20"
        other = segments(script, one[1:], tempo_bpm=201.0)
        (line,) = script.differences(other, segments(script, one))
        assert line == "s0 (s0): tempo 201.0, the authors' 200.0"


class TestReadings:
    def test_pretty_midi_reads_the_same(self, script, capsys):
        readings = script.read_both_ways(performance(3), "x.mid")
        assert readings.is_roll_equal
        assert readings.is_tied or readings.tempos[0] == readings.tempos[1]
        script.print_readings([readings])
        assert "| same rows at that tempo | 1 |" in capsys.readouterr().out

    def test_files_that_are_read_otherwise_are_named(self, script, capsys):
        script.print_readings([script.Readings("y.mid", (200.0, 180.0), True, False, (1.0, 2.0))])
        out = capsys.readouterr().out
        assert "y.mid: tempo 200.0, pretty_midi's here 180.0: several intervals are equally" in out
        assert "y.mid: the rows differ" in out


@pytest.fixture
def maestro(tmp_path):
    """A corpus of three pieces whose table is not in the order of the names."""
    folder = tmp_path / "maestro-v3.0.0"
    (folder / "2009").mkdir(parents=True)
    for name, n_rows in (("a", 300), ("b", 1500), ("c", 250)):
        (folder / f"2009/{name}.midi").write_bytes(piece(n_rows))
    rows = "".join(f"{split},2009/{name}.midi\n" for name, split in
                   (("c", "validation"), ("b", "validation"), ("a", "train")))  # fmt: skip
    (folder / "maestro-v3.0.0.csv").write_text(f"split,midi_filename\n{rows}")
    return folder


def test_the_whole_comparison(script, maestro, tmp_path, capsys, monkeypatch):
    prepare_rows([maestro], tmp_path / "rows")
    data = RowDataset.open(tmp_path / "rows")
    ours = script.ordered_segments(data, script.file_order(maestro), "validation")
    assert [segment.name for segment in ours] == ["c#1", "b#1", "b#2", "b#3"]
    reference = tmp_path / "authors.npz"
    np.savez(
        reference,
        rolls=np.packbits(np.concatenate([s.roll for s in ours]), axis=1),
        length=np.array([len(s.roll) for s in ours]),
        tempo=np.array([s.tempo_bpm for s in ours]),
    )
    words = ["sing_rolls.py", str(maestro), "--reference", str(reference), "--sample", "2"]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(tmp_path / "x.json")])
    script.main()
    out = capsys.readouterr().out
    assert "0 segments differ" in out
    assert "reached: prepare of 3 files" in out
    figures = json.loads((tmp_path / "x.json").read_text())
    assert figures["segments"] == {"train": 1, "validation": 4, "test": 0}
    assert figures["same_rows"] == 4

    prepare_rows([maestro], tmp_path / "rows", validation=Validation(ids="b"))
    monkeypatch.setattr(sys, "argv", [*words, "--data", str(tmp_path / "rows")])
    script.main()
    out = capsys.readouterr().out
    assert "1 segments differ\n- authors' segment 0: missing in ours (255 rows)" in out
    assert "MISSED: segments with the same rows 0.75" in out


def test_a_corpus_without_its_table_is_an_error(script, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.mid", b"")
    with pytest.raises(InputError, match="0 files maestro-v"):
        script.file_order(tmp_path / "x.zip")
