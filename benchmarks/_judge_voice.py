"""Parts of an excerpt that the figures of the judge are made of, and shares and means of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.music.score import STEPS_PER_BEAT, Score

Ints = npt.NDArray[np.int64]
Named = dict[str, float]


class Voice(NamedTuple):
    """The notes of one voice, by step, and the steps in which they begin.

    Shapes: the first three (n_notes,), `steps` the distinct onsets in order, `tops` the highest
    pitch of each.
    """

    step: Ints
    pitch: Ints
    end: Ints
    steps: Ints
    tops: Ints

    @classmethod
    def of(cls, score: Score, voice: int) -> Voice:
        """Take a voice out of a score."""
        mine = score.voice == voice
        step = score.step[mine].astype(np.int64)
        pitch = score.pitch[mine].astype(np.int64)
        steps, first = np.unique(step, return_index=True)
        tops = np.maximum.reduceat(pitch, first) if len(step) else pitch
        return cls(step, pitch, step + score.duration[mine], steps, tops)


def steps_per_bar(score: Score) -> int:
    """Return the length of the bars, which are equal."""
    return int(score.bar_beats[1]) * STEPS_PER_BEAT


def share(part: float, whole: float) -> float:
    """Return `part / whole`, 0 where there is nothing."""
    return float(part) / float(whole) if whole else 0.0


def mean(values: Iterable[float] | npt.NDArray[np.generic]) -> float:
    """Return the mean, 0 of nothing."""
    array = np.asarray(list(values), np.float64)
    return float(array.mean()) if len(array) else 0.0


def spread(values: Ints) -> float:
    """Return the standard deviation, 0 of nothing."""
    return float(np.std(values)) if len(values) else 0.0


def classes(family: str, values: Ints, edges: tuple[int, ...]) -> Named:
    """Return the share of the values in each class that begins at one of the edges."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)[1:]
    ends = [*(edge - 1 for edge in edges[1:]), None]
    names = [
        f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        for low, high in zip(edges, ends, strict=True)
    ]
    total = len(values)
    return {f"{family}: {n}": share(c, total) for n, c in zip(names, counts, strict=True)}


def longest_run(flags: npt.NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
