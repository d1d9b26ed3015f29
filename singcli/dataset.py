"""A prepared corpus: one small file per song and an index that tells what they are.

Layout
------
::

    DATA/index.json        what is there: format, version, settings, licence texts, one row a song
    DATA/report.jsonl      what is not: one line for every file that was left out, with the reason
    DATA/songs/ID.npz      the notes of one song, and its row of the index without the split

The index is written last: a folder without it is not (yet) a dataset.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from singcli import files
from singcli.errors import InputError
from singcli.music.key import Key
from singcli.music.score import Score
from singcli.npz import npz_bytes

FORMAT, VERSION = "singcli-dataset", 1
INDEX_NAME, REPORT_NAME, SONGS_NAME = "index.json", "report.jsonl", "songs"
MAX_SONG_BYTES = 256 * 2**20  # unpacked
_ARRAYS = ("step", "voice", "pitch", "duration", "velocity", "bar_beats")

Split = Literal["train", "validation"]
KeySource = Literal["annotation", "estimate"]


@dataclass(frozen=True, slots=True)
class SectionSpan:
    """A labelled stretch of bars.

    Parameters
    ----------
    label : str
        A letter in lower case; equal letters are similar music.
    start_bar, n_bars : int
        Bars of the song's score.
    melodic : bool
        Whether the tune takes part (POP909 writes those labels in upper case).
    """

    label: str
    start_bar: int
    n_bars: int
    melodic: bool

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as plain values: processes send a dozen of them with every song."""
        return SectionSpan, (self.label, self.start_bar, self.n_bars, self.melodic)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index says about one song.

    Parameters
    ----------
    id : str
        Unique in the dataset, and the name of the song's file.
    source : str
        Where it came from, relative to the inputs.
    sha256 : str
        Of the source's bytes.
    fingerprint : str
        Of everything that the song's file depends on: source, annotations, settings.
    beats : str
        Where the beats come from: "file", "annotation" or "estimate".
    meter : str
        The most frequent bar, as the source writes it, such as "6/8".
    n_beats, n_bars : int
    tempo_bpm : float
        Beats a minute.
    key : str, optional
        None where neither an annotation nor the notes tell.
    key_source : str, optional
        "annotation" or "estimate".
    voices : mapping of str to int
        Number of notes of each voice.
    sections : tuple of SectionSpan
        () where they are not known.
    alignment : float in [0, 1], optional
        Share of the annotation's melody found in the music; None without section labels.
    split : {"train", "validation"}
    licence : str, optional
        Key of the text in `Dataset.licences`.
    """

    id: str
    source: str
    sha256: str
    fingerprint: str
    beats: str
    meter: str
    n_beats: int
    n_bars: int
    tempo_bpm: float
    key: str | None
    key_source: KeySource | None
    voices: Mapping[str, int]
    sections: tuple[SectionSpan, ...]
    alignment: float | None
    split: Split = "train"
    licence: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        row = {name: getattr(self, name) for name in _ENTRY_COLUMNS}
        row["sections"] = [
            {name: getattr(span, name) for name in _SPAN_COLUMNS} for span in self.sections
        ]
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Build an entry from a decoded JSON object."""
        sections = tuple(SectionSpan(**span) for span in row["sections"])
        return cls(**{**row, "sections": sections})


_ENTRY_COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))
_SPAN_COLUMNS = tuple(field.name for field in dataclasses.fields(SectionSpan))


@dataclass(frozen=True, slots=True)
class Song:
    """One piece with its human section labels, () where they are not known."""

    id: str
    split: Split
    score: Score
    sections: tuple[SectionSpan, ...]
    meter: str = "4/4"
    style: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """An opened dataset.

    Parameters
    ----------
    path : Path
    entries : tuple of Entry
        Ordered by id.
    licences : mapping of str to str
        Licence texts by short name.
    settings : mapping
        With what the dataset was prepared; for the record.
    """

    path: Path
    entries: tuple[Entry, ...]
    licences: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def style(self) -> str | None:
        """What the kind of music is called, if it was named."""
        return self.settings.get("style")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the dataset in folder `path`.

        Raises
        ------
        InputError
            If the folder is not a dataset, or one of another version.
        """
        index = path / INDEX_NAME
        try:
            table = json.loads(index.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            unfinished = (path / SONGS_NAME).is_dir()
            raise InputError(
                f"{path}: {'an unfinished dataset' if unfinished else 'not a dataset'}"
                f" (no {INDEX_NAME})",
                "run the same prepare again to finish it" if unfinished else "make one: prepare",
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{index}: cannot be read ({error})") from error
        if not isinstance(table, dict) or table.get("format") != FORMAT:
            raise InputError(f"{index}: not the index of a dataset")
        if table.get("version") != VERSION:
            raise InputError(
                f"{index}: version {table.get('version')!r}, this singcli reads {VERSION}",
                "prepare the corpus again",
            )
        try:
            entries = tuple(Entry.from_json(row) for row in table["songs"])
            for entry in entries:
                if Path(entry.id).name != entry.id:
                    raise ValueError(f"id = {entry.id!r} is not a file name")
            return cls(path, entries, table["licences"], table["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{index}: damaged ({error})", "prepare the corpus again") from error

    def songs(self, split: str) -> list[Song]:
        """Read all songs of a split, "train" or "validation", in the order of the index.

        Raises
        ------
        InputError
            If there is no such split, or a song's file is missing or damaged.
        """
        if split not in get_args(Split):
            raise InputError(f"split = {split!r}, allowed: {', '.join(get_args(Split))}")
        return [self._song(entry) for entry in self.entries if entry.split == split]

    def _song(self, entry: Entry) -> Song:
        score = read_song(song_path(self.path, entry.id))[0]
        return Song(entry.id, entry.split, score, entry.sections, entry.meter, self.style)


def song_path(data: Path, song_id: str) -> Path:
    """Return where the dataset in folder `data` keeps a song."""
    return data / SONGS_NAME / f"{song_id}.npz"


def write_song(path: Path, score: Score, entry: Entry) -> None:
    """Write a song's file, whole or not at all."""
    row = json.dumps(entry.to_json()).encode()
    arrays = {name: getattr(score, name) for name in _ARRAYS}
    arrays["entry"] = np.frombuffer(row, np.uint8)
    files.write_bytes(path, npz_bytes(arrays))


def read_song(path: Path) -> tuple[Score, Entry]:
    """Read a song's file.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    with _song_file(path) as stored:
        entry = _entry(stored)
        score = Score(
            **{name: stored[name] for name in _ARRAYS},
            tempo_bpm=entry.tempo_bpm,
            key=None if entry.key is None else Key.parse(entry.key),
        )
    return score, entry


def read_entry(path: Path) -> Entry:
    """Read only the index row that a song's file holds, with the split left open.

    Raises
    ------
    InputError
        As `read_song`.
    """
    with _song_file(path) as stored:
        return _entry(stored)


@contextlib.contextmanager
def _song_file(path: Path) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if sum(member.file_size for member in stored.zip.infolist()) > MAX_SONG_BYTES:
                raise ValueError(f"more than {MAX_SONG_BYTES} bytes unpacked")
            yield stored
    except (*files.UNPACKING_ERRORS, AttributeError) as error:
        raise InputError(f"{path}: not a readable song ({error})", "prepare again") from error


def _entry(stored: Mapping[str, npt.NDArray[Any]]) -> Entry:
    return Entry.from_json(json.loads(stored["entry"].tobytes()))


def write_index(
    data: Path,
    entries: tuple[Entry, ...],
    *,
    licences: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Write the index of the dataset in folder `data`, whole or not at all."""
    table = {
        "format": FORMAT,
        "version": VERSION,
        "settings": dict(settings),
        "licences": dict(licences),
    }
    head = json.dumps(table, indent=1, ensure_ascii=False).removesuffix("\n}")
    encode = json.JSONEncoder(ensure_ascii=False).encode
    rows = ",\n  ".join(encode(entry.to_json()) for entry in entries)
    files.write_text(data / INDEX_NAME, f'{head},\n "songs": [\n  {rows}\n ]\n}}\n', durable=True)
