"""Means of songs with 95 % intervals, by the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 10_000
TAIL = 0.025  # on each side of a 95 % interval


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of songs that were drawn from many; of differences, a paired interval."""
    return grouped_interval([values])


def grouped_interval(groups: Sequence[Sequence[float]]) -> Interval:
    """Return the mean of the groups' means, where the groups are all there are.

    Parameters
    ----------
    groups : sequence of sequences of float
        Such as the songs of every preset: songs are drawn anew inside each, presets are not.

    Notes
    -----
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval.
    """
    rng = np.random.default_rng(0)
    drawn = np.zeros(DRAWS)
    for values in groups:
        drawn += rng.choice(np.asarray(values), (DRAWS, len(values))).mean(axis=1)
    low, high = np.quantile(drawn / len(groups), [TAIL, 1 - TAIL])
    mean = float(np.mean([np.mean(values) for values in groups]))
    return Interval(mean, float(low), float(high))


def ratio_interval(ours: Sequence[float], theirs: Sequence[float]) -> Interval | None:
    """Return the mean of our songs divided by that of theirs, pair by pair; None over nothing."""
    pairs = np.array([ours, theirs])
    if not pairs[1].any():
        return None
    chosen = np.random.default_rng(0).integers(0, pairs.shape[1], (DRAWS, pairs.shape[1]))
    top, bottom = pairs[:, chosen].mean(axis=2)
    low, high = np.quantile(top[bottom > 0] / bottom[bottom > 0], [TAIL, 1 - TAIL])
    return Interval(float(pairs[0].mean() / pairs[1].mean()), float(low), float(high))
