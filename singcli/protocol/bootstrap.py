"""Means over test segments with 95 % intervals, pieces drawn anew.

Segments of one piece are alike, so not they but their pieces are drawn. Everything is computed of
the same draws: a difference of two entrants is a paired difference.

References
----------
Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13: percentile interval.
Davison, Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8: clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DRAWS = 2000
TAIL = 0.025  # on each side of a 95 % interval


class Interval(NamedTuple):
    """A figure and the ends of its 95 % interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends lie on one side of 0."""
        return self.low > 0 or self.high < 0


class PieceBootstrap:
    """How often each segment counts in each draw of the pieces.

    Parameters
    ----------
    pieces : sequence of str
        The piece of each segment.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        names, piece = np.unique(np.array(pieces), return_inverse=True)
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
        whole = np.ones((1, len(pieces)))  # the figure itself is the mean over all as they are
        self._weights = np.concatenate([whole, drawn[:, piece].astype(np.float64)])

    def sums(self, values: Vector) -> Vector:
        """Return the sum over the segments of all as they are, then of every draw.

        Parameters
        ----------
        values : np.ndarray, shape=(n_segments, ...)

        Returns
        -------
        np.ndarray, shape=(DRAWS + 1, ...)
        """
        total: Vector = np.tensordot(self._weights, values, axes=1)
        return total

    def means(self, values: Vector) -> Vector:
        """Return means likewise, shape=(DRAWS + 1,); segments whose value is NaN do not count.

        Parameters
        ----------
        values : np.ndarray, shape=(n_segments,)
        """
        known = ~np.isnan(values)
        count = self.sums(known.astype(np.float64))
        total = self.sums(np.where(known, values, 0.0))
        means = np.full(len(total), np.nan)
        np.divide(total, count, out=means, where=count > 0)
        return means

    def mean(self, values: Vector) -> Interval:
        """Return the mean of values, one a segment, with its interval."""
        return interval(self.means(values))


def interval(figures: Vector) -> Interval:
    """Return the interval of a figure, of which the first value is that of all segments.

    Parameters
    ----------
    figures : np.ndarray, shape=(DRAWS + 1,)
    """
    known = figures[1:][~np.isnan(figures[1:])]
    if np.isnan(figures[0]) or len(known) == 0:
        return Interval(np.nan, np.nan, np.nan)
    low, high = np.quantile(known, [TAIL, 1.0 - TAIL])
    return Interval(float(figures[0]), float(low), float(high))
