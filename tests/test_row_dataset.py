from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from singcli.errors import InputError
from singcli.row_dataset import (
    N_ROW_PITCHES,
    SPLITS,
    Piece,
    RowDataset,
    Segment,
    piece_path,
    read_piece,
    read_segments,
    segments_path,
    write_index,
    write_piece,
    write_segments,
)


def random_roll(n_rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n_rows, N_ROW_PITCHES)) < 0.05


def piece_of(piece_id: str, *lengths: int, **changes: object) -> Piece:
    piece = Piece(
        id=piece_id,
        source=f"corpus/{piece_id}.mid",
        sha256="0" * 64,
        fingerprint="1" * 64,
        tempo_bpm=203.5,
        n_rows=sum(lengths),
        lengths=lengths,
    )
    return dataclasses.replace(piece, **changes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pieces, of which one has two segments; nothing to test on."""
    path = tmp_path / "rows"
    path.mkdir()
    train = [Segment("ä#1", random_roll(5, 1)), Segment("ä#2", random_roll(7, 2))]
    write_segments(segments_path(path, "train"), train)
    write_segments(segments_path(path, "validation"), [Segment("z#1", random_roll(3, 3))])
    write_segments(segments_path(path, "test"), [])
    pieces = [piece_of("ä", 5, 7, licence="short"), piece_of("z", 3, split="validation")]
    write_index(path, pieces, licences={"short": "Do what you like."}, settings={"seed": 3})
    return path


def test_segments_come_back_as_they_were_stored(data: Path) -> None:
    dataset = RowDataset.open(data)
    first, second = dataset.segments("train")
    assert (first.id, second.id) == ("ä#1", "ä#2")
    assert first.roll.dtype == np.bool_
    np.testing.assert_array_equal(first.roll, random_roll(5, 1))
    np.testing.assert_array_equal(second.roll, random_roll(7, 2))
    assert [s.id for s in dataset.segments("validation")] == ["z#1"]
    assert dataset.segments("test") == ()
    assert dataset.pieces[0] == piece_of("ä", 5, 7, licence="short")
    assert dataset.licences == {"short": "Do what you like."}
    assert dataset.settings == {"seed": 3}


def test_index_counts_the_pieces_segments_and_rows_of_each_split(data: Path) -> None:
    counts = json.loads((data / "rows.json").read_text(encoding="utf-8"))["counts"]
    assert list(counts) == list(SPLITS)
    assert counts["train"] == {"pieces": 1, "segments": 2, "rows": 12}
    assert counts["test"] == {"pieces": 0, "segments": 0, "rows": 0}


def test_column_is_the_midi_pitch(tmp_path: Path) -> None:
    roll = np.zeros((1, N_ROW_PITCHES), np.bool_)
    roll[0, 60] = True
    write_segments(tmp_path / "x.npz", [Segment("a#1", roll)])
    with np.load(tmp_path / "x.npz") as stored:
        assert stored["rows"].tolist() == [[0] * 7 + [0b1000] + [0] * 8]
    assert np.flatnonzero(read_segments(tmp_path / "x.npz")[0].roll[0]).tolist() == [60]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("x.npz", "y.npz"):
        write_segments(tmp_path / name, [Segment("a#1", random_roll(4, 0))])
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rolls=st.lists(nps.arrays(np.bool_, st.tuples(st.integers(0, 9), st.just(128))), max_size=4))
def test_any_rolls_come_back(tmp_path: Path, rolls: list[np.ndarray]) -> None:
    written = [Segment(f"p#{n}", roll) for n, roll in enumerate(rolls)]
    write_segments(tmp_path / "x.npz", written)
    read = read_segments(tmp_path / "x.npz")
    assert [s.id for s in read] == [s.id for s in written]
    for got, wanted in zip(read, written, strict=True):
        np.testing.assert_array_equal(got.roll, wanted.roll)


def test_a_piece_comes_back_with_its_row_of_the_index(tmp_path: Path) -> None:
    path = piece_path(tmp_path, "one")
    path.parent.mkdir()
    write_piece(path, random_roll(12, 4), piece_of("one", 5, 7))
    roll, piece = read_piece(path)
    np.testing.assert_array_equal(roll, random_roll(12, 4))
    assert piece == piece_of("one", 5, 7)


def test_unknown_split_is_refused(data: Path) -> None:
    with pytest.raises(InputError, match="split = 'dev', allowed: train, validation, test"):
        RowDataset.open(data).segments("dev")


def test_folder_without_index_is_not_a_row_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a row dataset") as caught:
        RowDataset.open(tmp_path)
    assert caught.value.remedy == "make one: prepare --recipe sing"


def test_folder_with_pieces_only_is_unfinished(tmp_path: Path) -> None:
    (tmp_path / "pieces").mkdir()
    with pytest.raises(InputError, match="an unfinished row dataset") as caught:
        RowDataset.open(tmp_path)
    assert caught.value.remedy == "run the same prepare again to finish it"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "singcli-dataset"}, "not the index of a row dataset"),
        ({"version": 2}, "version 2, this singcli reads 1"),
        ({"licences": None, "pieces": [{}]}, "damaged"),
    ],
)
def test_index_that_is_something_else_is_refused(data: Path, change: dict, message: str) -> None:
    index = data / "rows.json"
    index.write_text(json.dumps(json.loads(index.read_text(encoding="utf-8")) | change))
    with pytest.raises(InputError, match=message):
        RowDataset.open(data)


def test_index_that_is_not_json_is_refused(data: Path) -> None:
    (data / "rows.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        RowDataset.open(data)


@pytest.mark.parametrize(
    "arrays",
    [
        {"rows": np.zeros((3, 16), np.uint8), "lengths": np.array([2]), "ids": np.array(["a"])},
        {"rows": np.zeros((2, 15), np.uint8), "lengths": np.array([2]), "ids": np.array(["a"])},
        {"rows": np.zeros((2, 16), np.uint8), "lengths": np.array([2])},
        {"rows": np.zeros((2, 16), np.uint8), "lengths": np.array([1, 1]), "ids": np.array(["a"])},
    ],
    ids=["lengths", "width", "ids missing", "ids too few"],
)
def test_damaged_segments_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=r"x\.npz: not readable rows"):
        read_segments(tmp_path / "x.npz")


def test_missing_or_cut_file_is_refused(data: Path) -> None:
    path = segments_path(data, "train")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="not readable rows"):
        RowDataset.open(data).segments("train")
    path.unlink()
    with pytest.raises(InputError, match="not readable rows"):
        RowDataset.open(data).segments("train")


def test_piece_of_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    write_piece(tmp_path / "x.npz", random_roll(11, 4), piece_of("x", 12))
    with pytest.raises(InputError, match="11 rows, 12 were written"):
        read_piece(tmp_path / "x.npz")
