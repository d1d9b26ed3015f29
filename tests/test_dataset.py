from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from singcli.dataset import (
    Dataset,
    Entry,
    SectionSpan,
    read_entry,
    read_song,
    song_path,
    write_index,
    write_song,
)
from singcli.errors import InputError
from singcli.music.score import Score


def entry_of(score: Score, song_id: str, **changes: object) -> Entry:
    entry = Entry(
        id=song_id,
        source=f"corpus/{song_id}.mid",
        sha256="0" * 64,
        fingerprint="1" * 64,
        beats="file",
        meter="4/4",
        n_beats=score.n_beats,
        n_bars=score.n_bars,
        tempo_bpm=score.tempo_bpm,
        key=None if score.key is None else str(score.key),
        key_source="estimate",
        voices={"lead": 3, "accompaniment": 5},
        sections=(SectionSpan("a", 0, 2, melodic=True), SectionSpan("b", 4, 2, melodic=False)),
        alignment=0.987,
    )
    return dataclasses.replace(entry, **changes)


@pytest.fixture
def data(tmp_path: Path, aaba_score: Score) -> Path:
    """A dataset of two songs."""
    path = tmp_path / "data"
    (path / "songs").mkdir(parents=True)
    other = dataclasses.replace(aaba_score.transposed(3), tempo_bpm=90.5)
    entries = (
        entry_of(aaba_score, "one", licence="short"),
        entry_of(other, "zwei-ü", split="validation", sections=(), alignment=None),
    )
    for score, entry in zip((aaba_score, other), entries, strict=True):
        write_song(song_path(path, entry.id), score, entry)
    write_index(path, entries, licences={"short": "Do what you like."}, settings={"seed": 3})
    return path


def assert_same_score(actual: Score, expected: Score) -> None:
    for field in dataclasses.fields(Score):
        got, wanted = getattr(actual, field.name), getattr(expected, field.name)
        if isinstance(wanted, np.ndarray):
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
        else:
            assert got == wanted


def test_songs_come_back_as_they_were_stored(data: Path, aaba_score: Score) -> None:
    dataset = Dataset.open(data)
    (train,), (validation,) = dataset.songs("train"), dataset.songs("validation")
    assert (train.id, train.split, validation.id) == ("one", "train", "zwei-ü")
    assert_same_score(train.score, aaba_score)
    assert str(validation.score.key) == "Eb major"
    assert validation.score.tempo_bpm == 90.5
    assert train.sections[1] == SectionSpan("b", 4, 2, melodic=False)
    assert validation.sections == ()
    assert dataset.licences[dataset.entries[0].licence] == "Do what you like."
    assert dataset.settings == {"seed": 3}


def test_the_row_in_a_song_file_is_the_row_of_the_index(data: Path) -> None:
    for entry in Dataset.open(data).entries:
        stored = read_entry(song_path(data, entry.id))
        assert stored == entry
        assert read_song(song_path(data, entry.id))[1] == entry


def test_song_files_hold_no_pickles(data: Path) -> None:
    with np.load(song_path(data, "one"), allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)


def test_an_unknown_split_is_refused(data: Path) -> None:
    with pytest.raises(InputError, match="split = 'test', allowed: train, validation"):
        Dataset.open(data).songs("test")


def test_a_folder_without_index_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a dataset"):
        Dataset.open(tmp_path)
    with pytest.raises(InputError, match="not a dataset"):
        Dataset.open(tmp_path / "missing")


def test_an_interrupted_dataset_says_how_to_finish_it(data: Path) -> None:
    (data / "index.json").unlink()
    with pytest.raises(InputError, match="unfinished") as caught:
        Dataset.open(data)
    assert "run the same prepare again" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 999}, "version 999"),
        ({"format": "another"}, "not the index of a dataset"),
        ({"songs": [{"id": 3}]}, "damaged"),
        ({"songs": None}, "damaged"),
    ],
)
def test_a_foreign_or_damaged_index_is_refused(
    data: Path, changes: dict[str, object], message: str
) -> None:
    index = data / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | changes))
    with pytest.raises(InputError, match=message):
        Dataset.open(data)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_an_index_that_is_not_json_is_refused(data: Path, content: bytes) -> None:
    (data / "index.json").write_bytes(content)
    with pytest.raises(InputError, match="index"):
        Dataset.open(data)


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_damaged_song_is_an_input_error(data: Path, keep: int) -> None:
    path = song_path(data, "one")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a readable song"):
        Dataset.open(data).songs("train")


def test_a_missing_song_is_an_input_error(data: Path) -> None:
    song_path(data, "one").unlink()
    with pytest.raises(InputError, match="not a readable song"):
        Dataset.open(data).songs("train")
