"""The novelty index in memory: the hashes of many songs, and where in a song each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.novelty import hashing
from singcli.novelty.hashing import Part

FIGURES = (
    "lead_run",
    "all_run",
    "lead_passages",
    "all_passages",
    "lead_bars",
    "all_bars",
    "nearest",
)
EXCERPT_BARS = 32


class BarRange(NamedTuple):
    """Bars of a piece, from 0, the end exclusive."""

    start_bar: int
    end_bar: int


@dataclass(frozen=True)
class StoredLine:
    """One part of all songs, one song after the other.

    Parameters
    ----------
    grams : np.ndarray, shape=(n_grams + n_songs,), uint16
        Behind the grams of each song one entry that means nothing.
    notes_of_bar : np.ndarray, shape=(n_bars,), uint16
        How many notes begin in each bar.
    bar_hashes : np.ndarray, shape=(n_bars,), uint32
        See `hashing.Line.bar_hashes`.
    song_bars : np.ndarray, shape=(n_songs,), int32
        Length of each song.
    """

    grams: npt.NDArray[np.uint16]
    notes_of_bar: npt.NDArray[np.uint16]
    bar_hashes: npt.NDArray[np.uint32]
    song_bars: npt.NDArray[np.int32]

    @cached_property
    def notes_before_bar(self) -> npt.NDArray[np.int64]:
        """Notes before each bar, over all songs, and their number at the end."""
        return _sums(self.notes_of_bar)

    @cached_property
    def first_bar(self) -> npt.NDArray[np.int64]:
        """First bar of each song, and the number of bars at the end."""
        return _sums(self.song_bars)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Place of the first gram of each song, and the number of places at the end."""
        n_notes = np.diff(self.notes_before_bar[self.first_bar])
        return _sums(np.maximum(n_notes - hashing.GRAM_NOTES + 1, 0) + 1)

    @property
    def gaps(self) -> npt.NDArray[np.int64]:
        """Places that belong to no song."""
        return self.starts[1:] - 1

    def songs_at(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of the song in which each place lies."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def bars_at(self, place: int, n_notes: int) -> BarRange:
        """Return the bars of its song over which `n_notes` notes from `place` on spread."""
        song = int(self.songs_at(np.array([place]))[0])
        first_bar = int(self.first_bar[song])
        note = int(self.notes_before_bar[first_bar]) + place - int(self.starts[song])
        ends = np.searchsorted(self.notes_before_bar, [note, note + n_notes - 1], side="right") - 1
        return BarRange(int(ends[0]) - first_bar, int(ends[1]) - first_bar + 1)


@dataclass(frozen=True, slots=True)
class Corpus:
    """A dataset whose training songs are in the index.

    Parameters
    ----------
    name : str
    songs, held_out, excerpts : int
        Number of songs in the index, of those measured for the yardstick, and of their excerpts.
    """

    name: str
    songs: int
    held_out: int
    excerpts: int


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyIndex:
    """What an index file holds.

    Parameters
    ----------
    songs : tuple of str
        Names, "corpus/id".
    corpora : tuple of Corpus
        In the order of their songs, and of the rows of the yardstick.
    lines : mapping of {"lead", "all"} to StoredLine
    yardstick : np.ndarray, shape=(n_held_out, len(FIGURES)), float32
        Figures of the held-out songs.
    excerpts : np.ndarray, shape=(n_excerpts, len(FIGURES)), float32
        Figures of excerpts of held-out songs, `EXCERPT_BARS` long.
    """

    songs: tuple[str, ...]
    corpora: tuple[Corpus, ...]
    lines: Mapping[Part, StoredLine]
    yardstick: npt.NDArray[np.float32]
    excerpts: npt.NDArray[np.float32]

    def held_out_rows(self, corpus: str | None) -> tuple[slice, slice]:
        """Return the rows of `yardstick` and of `excerpts` that belong to a corpus, or all.

        Raises
        ------
        InputError
            If there is no such corpus.
        """
        if corpus is None:
            return slice(None), slice(None)
        song, excerpt = 0, 0
        for known in self.corpora:
            if known.name == corpus:
                return slice(song, song + known.held_out), slice(excerpt, excerpt + known.excerpts)
            song, excerpt = song + known.held_out, excerpt + known.excerpts
        names = ", ".join(known.name for known in self.corpora)
        raise InputError(f"corpus {corpus!r} is not in the index, allowed: {names}")


def _sums(counts: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the sum before each entry, and of all at the end."""
    sums: npt.NDArray[np.int64] = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=sums[1:])
    return sums
