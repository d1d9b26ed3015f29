"""What one piece shares with the songs of an index.

Conventions
-----------
- Bars count from 0, ends are exclusive.
- Shares are fractions in [0, 1]; a share of nothing (no passages, only trivial bars) is 0.
- What occurs twice in the piece counts twice in the shares of passages and bars, and once where the
  nearest song is looked for.

References
----------
Containment of one set of shingles in another: Broder, "On the resemblance and containment of
documents" (1997).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.music.score import Score
from singcli.novelty.hashing import GRAM_NOTES, PARTS, PASSAGE_GRAMS, TRIVIAL_BAR, Line, Part
from singcli.novelty.index import FIGURES, NoveltyIndex, StoredLine
from singcli.novelty.matching import Windows, longest_match, single_windows, windows_of_length


@dataclass(frozen=True, slots=True)
class SharedRun:
    """The longest run of notes that is also in a training song.

    Parameters
    ----------
    notes : int
        How many, at least `hashing.PASSAGE_NOTES`.
    start_bar, end_bar : int
        Where in the piece it first is.
    song : str
        The first training song that has it.
    song_start_bar, song_end_bar : int
        Where in that song.
    songs : int
        Number of training songs that have this run.
    """

    notes: int
    start_bar: int
    end_bar: int
    song: str
    song_start_bar: int
    song_end_bar: int
    songs: int


@dataclass(frozen=True, slots=True)
class Shared:
    """How many of the passages or bars are also in a training song, and their share."""

    counted: int
    shared: int
    share: float


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one part shares.

    Parameters
    ----------
    run : SharedRun, optional
        None where nothing of `hashing.PASSAGE_NOTES` notes or more is shared.
    passages, bars : Shared
        Without trivial bars.
    """

    run: SharedRun | None
    passages: Shared
    bars: Shared


@dataclass(frozen=True, slots=True)
class Nearest:
    """The training song that contains most of the piece.

    Parameters
    ----------
    song : str
    share : float
        Mean of the two that follow; of a piece without a lead the second.
    lead, all : float
        Share of the piece's different passages that are in this song.
    """

    song: str
    share: float
    lead: float
    all: float


@dataclass(frozen=True, slots=True)
class NoveltyReport:
    """What a piece shares; `nearest` is None where no passage is shared."""

    n_bars: int
    lead: PartReport
    all: PartReport
    nearest: Nearest | None

    def figures(self) -> dict[str, float]:
        """Return the figures of the yardstick, by the names in `index.FIGURES`."""
        parts = (self.lead, self.all)
        values = (
            *(0 if part.run is None else part.run.notes for part in parts),
            *(part.passages.share for part in parts),
            *(part.bars.share for part in parts),
            0 if self.nearest is None else self.nearest.share,
        )
        return dict(zip(FIGURES, map(float, values), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return dataclasses.asdict(self)


def measure_novelty(score: Score, index: NoveltyIndex) -> NoveltyReport:
    """Compare a piece with all songs of an index."""
    parts: dict[Part, PartReport] = {}
    contained: dict[Part, npt.NDArray[np.float64]] = {}
    for part in PARTS:
        line, stored = Line.from_score(score, part), index.lines[part]
        windows = single_windows(line.gram_hashes(), stored.grams, stored.gaps)
        passages = windows_of_length(windows, PASSAGE_GRAMS)
        parts[part] = PartReport(
            run=_longest_run(line, passages, stored, index.songs),
            passages=_shared(passages.query_names, passages.names),
            bars=_shared_bars(line, stored),
        )
        if len(passages.query_names):
            contained[part] = _containment(passages, stored)
    return NoveltyReport(score.n_bars, **parts, nearest=_nearest(contained, index.songs))


def _longest_run(
    line: Line, passages: Windows, stored: StoredLine, songs: Sequence[str]
) -> SharedRun | None:
    """Return the longest shared run of a line."""
    match = longest_match(passages, PASSAGE_GRAMS)
    if match is None:
        return None
    n_notes = match.length + GRAM_NOTES - 1
    first, last = line.bar[[match.query_place, match.query_place + n_notes - 1]].tolist()
    found = stored.songs_at(match.places)
    start_bar, end_bar = stored.bars_at(int(match.places[0]), n_notes)
    n_songs = len(np.unique(found))
    return SharedRun(
        n_notes, first, last + 1, songs[int(found[0])], start_bar, end_bar, songs=n_songs
    )


def _shared_bars(line: Line, stored: StoredLine) -> Shared:
    hashes = line.bar_hashes()
    return _shared(hashes[hashes != TRIVIAL_BAR], stored.bar_hashes)


def _shared(query: npt.NDArray[Any], found: npt.NDArray[Any]) -> Shared:
    """Count the entries of `query` that are among `found`."""
    n_shared = int(np.isin(query, found).sum())
    return Shared(len(query), n_shared, n_shared / len(query) if len(query) else 0.0)


def _containment(passages: Windows, stored: StoredLine) -> npt.NDArray[np.float64]:
    """Return the share of the piece's different passages that each song has."""
    n_songs = len(stored.song_bars)
    pairs = np.unique(passages.names * n_songs + stored.songs_at(passages.places))
    counts: npt.NDArray[np.int64] = np.bincount(pairs % n_songs, minlength=n_songs)
    return counts / (int(passages.query_names.max()) + 1)


def _nearest(
    contained: Mapping[Part, npt.NDArray[np.float64]], songs: Sequence[str]
) -> Nearest | None:
    """Return the song that contains most; of several the first."""
    if not contained:
        return None
    shares = np.mean(list(contained.values()), axis=0)
    best = int(np.argmax(shares))
    if shares[best] == 0:
        return None
    each = {part: float(rows[best]) for part, rows in contained.items()}
    return Nearest(songs[best], float(shares[best]), each.get("lead", 0.0), each.get("all", 0.0))
