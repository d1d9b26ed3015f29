"""Which stretches of a piece are the same section.

Pairs of stretches are compared bar by bar from their beginnings; a linear score says whether they
share a label, and stretches are joined, best pair of groups first, as long as the mean score
between two groups is positive (average linkage).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import BarFeatures, Vector

Cut = Sequence[tuple[int, int]]  # (first bar, bars) of every section
Places = npt.NDArray[np.intp]

_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class StackedCuts:
    """Several cuts of a piece one behind the other, with all pairs of sections of one cut.

    Parameters
    ----------
    sizes : list of int
        Sections of each cut.
    start, length : np.ndarray, shape=(n_sections,)
        First bar, and bars, of the sections of all cuts.
    one, other : np.ndarray, shape=(n_pairs,)
        The sections of each pair: of every cut a matrix, row by row.
    first_section, first_pair : list of int, length n_cuts + 1
        Where each cut begins, and the number of them all.
    """

    sizes: list[int]
    start: Places
    length: Places
    one: Places
    other: Places
    first_section: list[int]
    first_pair: list[int]

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> Self:
        """Put cuts, at least one, behind one another."""
        sizes = [len(cut) for cut in cuts]
        first_section = [0, *accumulate(sizes)]
        sections = np.array([section for cut in cuts for section in cut], np.intp)
        pairs = np.concatenate(
            [_pairs(size) + first for size, first in zip(sizes, first_section, strict=False)],
            axis=1,
        )
        start, length = sections.T
        first_pair = [0, *accumulate(size * size for size in sizes)]
        return cls(sizes, start, length, pairs[0], pairs[1], first_section, first_pair)

    def matrices(self, of_pairs: Vector) -> list[Vector]:
        """Return what is known of all pairs as the matrix of each cut."""
        return [
            of_pairs[first : first + size * size].reshape(size, size)
            for first, size in zip(self.first_pair, self.sizes, strict=False)
        ]


class PairTables:
    """Sums along the diagonals of a piece, from which any two stretches are compared at once.

    Parameters
    ----------
    bars : BarFeatures
    """

    def __init__(self, bars: BarFeatures) -> None:
        self.n_bars = bars.n_bars
        self._has_overlap = bars.overlap is not None
        matrices = [bars.alike] if bars.overlap is None else [bars.alike, bars.overlap]
        self._sums = _diagonal_sums(np.array(matrices))
        self._tune = None if bars.tune is None else np.concatenate([[0.0], bars.tune.cumsum()])

    def pair_features(self, cuts: StackedCuts) -> dict[str, Vector]:
        """Compare every two sections of one cut.

        Returns
        -------
        dict of str to np.ndarray, shape=(n_pairs,)
            "alike" and "overlap": means over the bars that both have; "weaker half": the lesser
            mean of the first and of the second half of those bars; "length": share of the longer
            section that the shorter one lacks; "tune": difference in how much the lead sounds.
        """
        start, length, one, other = cuts.start, cuts.length, cuts.one, cuts.other
        of_one, of_other = length[one], length[other]
        common = np.minimum(of_one, of_other)
        half = (common + 1) // 2
        late = np.minimum(half, common - 1)
        places = np.empty((4, len(common)), np.intp)
        places[0] = 0
        places[1], places[2], places[3] = half, late, common
        places *= self.n_bars + 2
        places += start[one] * (self.n_bars + 1) + start[other]
        sums = self._sums[:, places]  # where both begin, and so many bars behind that
        means = (sums[:, 3] - sums[:, 0]) / common
        first = (sums[0, 1] - sums[0, 0]) / half
        second = (sums[0, 3] - sums[0, 2]) / (common - late)
        features = {
            "alike": means[0],
            "weaker half": np.minimum(first, second),
            "length": 1.0 - common / np.maximum(of_one, of_other),
        }
        if self._has_overlap:
            features["overlap"] = means[1]
        if self._tune is not None:
            share = (self._tune[start + length] - self._tune[start]) / length
            features["tune"] = np.abs(share[one] - share[other])
        return features


@functools.lru_cache(maxsize=64)
def _pairs(n_sections: int) -> Places:
    """Return all pairs of sections, shape=(2, n_sections ** 2)."""
    return np.indices((n_sections, n_sections), np.intp).reshape(2, -1)


def pair_scores(features: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector:
    """Return log odds that two sections share a label, shape=(n_pairs,)."""
    return (
        np.asarray(sum(weights[name] * value for name, value in features.items()))
        + (weights["bias"])
    )


def grouped(scores: Vector) -> list[int]:
    """Join sections to groups by average linkage.

    Parameters
    ----------
    scores : np.ndarray, shape=(n_sections, n_sections)
        Symmetric; above 0 where two sections belong together.

    Returns
    -------
    list of int
        Number of each section's group, from 0 in the order of first sections.
    """
    n_sections = len(scores)
    group = list(range(n_sections))
    link = scores.copy()
    link.reshape(-1)[:: n_sections + 1] = _NEVER
    size = [1.0] * n_sections
    while n_sections > 1:
        one, other = divmod(int(link.argmax()), n_sections)
        if link[one, other] <= 0.0:
            break
        joined = (link[one] * size[one] + link[other] * size[other]) / (size[one] + size[other])
        link[one] = link[:, one] = joined
        link[one, one] = _NEVER
        link[other] = link[:, other] = _NEVER
        size[one] += size[other]
        group = [one if number == other else number for number in group]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(number, len(numbers)) for number in group]


def _diagonal_sums(bars: npt.NDArray[np.float32]) -> Vector:
    """Return sums over all earlier pairs of each diagonal, shape=(n, (n_bars + 1) ** 2)."""
    n_matrices, n_bars, _ = bars.shape
    total = np.zeros((n_matrices, n_bars + 1, n_bars + 1))
    of_rows = (total[:, :-1, :-1], bars, total[:, 1:, 1:])
    for before, row, after in zip(*(m.swapaxes(0, 1) for m in of_rows), strict=True):
        np.add(before, row, out=after)
    return total.reshape(n_matrices, -1)
