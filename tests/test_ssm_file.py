from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from singcli.analysis import structure_from_source
from singcli.errors import InputError
from singcli.structure.ssm_file import Structure, read_ssm, validate_structure, write_ssm


@pytest.fixture
def structure() -> Structure:
    return structure_from_source("A2 A2:0.3 B2")[0]


def rewritten(path: Path, **changes: Any) -> Path:
    """Replace arrays, or keys of the JSON text, of an SSM file."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    meta = json.loads(str(arrays["meta"]))
    for key, value in changes.items():
        if key in arrays:
            arrays[key] = value
        else:
            meta[key] = value
    np.savez(path, **(arrays if "meta" in changes else {**arrays, "meta": json.dumps(meta)}))
    return path


@pytest.fixture
def path(tmp_path: Path, structure: Structure) -> Path:
    write_ssm(structure, tmp_path / "x.npz")
    return tmp_path / "x.npz"


def test_reads_back_what_was_written(path: Path, structure: Structure) -> None:
    again = read_ssm(path)
    for field in dataclasses.fields(Structure):
        one, other = getattr(structure, field.name), getattr(again, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        else:
            assert one == other


def test_same_structure_same_bytes_and_no_notes(path: Path, structure: Structure) -> None:
    first = path.read_bytes()
    write_ssm(structure, path)
    assert path.read_bytes() == first
    with np.load(path) as stored:
        assert set(stored.files) == {"ssm", "bar_beats", "beat_s", "meta"}


def test_provenance_tells_source_hash_settings_and_version(path: Path) -> None:
    provenance = read_ssm(path).provenance
    assert (provenance.kind, provenance.name) == ("form", "A2 A2:0.3 B2")
    assert len(provenance.sha256) == 64
    assert provenance.settings["layout"] == "stripes"
    assert provenance.singcli_version


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssm": np.zeros((24, 23), np.float32)}, "the matrix has the shape"),
        ({"ssm": np.full((24, 24), 2, np.float32)}, "outside 0 to 1"),
        ({"ssm": np.full((24, 24), np.nan, np.float32)}, "outside 0 to 1"),
        ({"ssm": np.tri(24, dtype=np.float32)}, "not symmetric"),
        ({"ssm": np.zeros((24, 24))}, "wrong type"),
        ({"ssm": np.zeros((0, 0), np.float32)}, "the matrix has the shape"),
        ({"bar_beats": np.array([0, 4, 20], np.int32)}, "bar lines do not span"),
        ({"bar_beats": np.array([0, 8, 4, 24], np.int32)}, "bar lines do not increase"),
        ({"beat_s": np.zeros(24)}, "beat times do not increase"),
        ({"beat_s": np.zeros(3)}, "beat times do not fit"),
        ({"sections": [["A", 0, 2]]}, "sections have 2 bars, the piece 6"),
        ({"sections": [["A", 1, 5]]}, "sections have gaps"),
        ({"sections": 3}, "damaged"),
        ({"tempo_bpm": 0}, "tempo_bpm is 0"),
        ({"key": "H"}, "not a key"),
        ({"provenance": {}}, "damaged"),
        ({"version": 2}, "version 2, this singcli reads 1"),
        ({"format": "other"}, "not an SSM file"),
        ({"meta": "no json"}, "not an SSM file"),
        ({"meta": "[]"}, "not an SSM file"),
        ({"ssm": np.array([{}], object)}, "not an SSM file"),
    ],
)
def test_damaged_files_are_refused_in_one_line(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_ssm(rewritten(path, **changes))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_truncated_missing_and_huge_files_are_refused(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for name, broken in (
        ("text.npz", b"hello"),
        ("empty.npz", b""),
        ("half.npz", content[: len(content) // 2]),
        ("flipped.npz", content[:200] + bytes(200) + content[400:]),
    ):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(InputError, match="not an SSM file"):
            read_ssm(tmp_path / name)
    with pytest.raises(InputError, match="No such file"):
        read_ssm(tmp_path / "none.npz")
    np.savez_compressed(tmp_path / "bomb.npz", ssm=np.zeros(200_000_000, np.uint8))
    with pytest.raises(InputError, match="more than 6144 beats"):
        read_ssm(tmp_path / "bomb.npz")


def test_a_structure_is_checked(structure: Structure) -> None:
    validate_structure(structure)
    with pytest.raises(ValueError, match="bar lines"):
        validate_structure(dataclasses.replace(structure, bar_beats=structure.bar_beats[:-1]))
