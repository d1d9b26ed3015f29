"""Which stretches of a piece are the same section.

Pairs of stretches are compared bar by bar from their beginnings; a linear score says whether they
share a label, and stretches are joined, best pair of groups first, as long as the mean score
between two groups is positive (average linkage).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import BarFeatures, Vector

Cut = Sequence[tuple[int, int]]  # (first bar, bars) of every section

_NEVER = -1e9


class PairTables:
    """Sums along the diagonals of a piece, from which any two stretches are compared at once.

    Parameters
    ----------
    bars : BarFeatures
    """

    def __init__(self, bars: BarFeatures) -> None:
        self.n_bars = bars.n_bars
        self._alike = _diagonal_sums(bars.alike)
        self._overlap = None if bars.overlap is None else _diagonal_sums(bars.overlap)
        self._tune = None if bars.tune is None else np.r_[0.0, np.cumsum(bars.tune)]

    def pair_features(self, cut: Cut) -> dict[str, Vector]:
        """Compare every two sections.

        Returns
        -------
        dict of str to np.ndarray, shape=(n_sections, n_sections)
            "alike" and "overlap": means over the bars that both have; "weaker half": the lesser
            mean of the first and of the second half of those bars; "length": share of the longer
            section that the shorter one lacks; "tune": difference in how much the lead sounds.
        """
        start, length = np.array(cut, np.intp).T
        common = np.minimum.outer(length, length)
        half = (common + 1) // 2
        place = (start[:, None], start)
        none = np.zeros_like(half)
        first = _means(self._alike, place, none, half)
        second = _means(self._alike, place, np.minimum(half, common - 1), common)
        features = {
            "alike": _means(self._alike, place, none, common),
            "weaker half": np.minimum(first, second),
            "length": 1.0 - common / np.maximum.outer(length, length),
        }
        if self._overlap is not None:
            features["overlap"] = _means(self._overlap, place, none, common)
        if self._tune is not None:
            share = (self._tune[start + length] - self._tune[start]) / length
            features["tune"] = np.abs(np.subtract.outer(share, share))
        return features


def pair_scores(features: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector:
    """Return log odds that two sections share a label, shape=(n_sections, n_sections)."""
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
    group = np.arange(len(scores))
    link = scores.copy()
    np.fill_diagonal(link, _NEVER)
    size = np.ones(len(scores))
    while len(link) > 1:
        one, other = divmod(int(link.argmax()), len(link))
        if link[one, other] <= 0.0:
            break
        joined = (link[one] * size[one] + link[other] * size[other]) / (size[one] + size[other])
        link[one] = link[:, one] = joined
        link[one, one] = _NEVER
        link[other] = link[:, other] = _NEVER
        size[one] += size[other]
        group[group == other] = one
    return [int(number) for number in _numbered(group)]


def _numbered(group: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _diagonal_sums(bars: npt.NDArray[np.float32]) -> Vector:
    """Return sums over all earlier pairs of each diagonal, shape=(n_bars + 1, n_bars + 1)."""
    total = np.zeros((len(bars) + 1, len(bars) + 1))
    for row, values in enumerate(bars):
        total[row + 1, 1:] = total[row, :-1] + values
    return total


def _means(
    sums: Vector,
    place: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    low: npt.NDArray[np.intp],
    high: npt.NDArray[np.intp],
) -> Vector:
    """Average bars `low` to `high` (exclusive) of two stretches, counted from their beginnings."""
    row, column = place
    return np.asarray(
        (sums[row + high, column + high] - sums[row + low, column + low]) / (high - low)
    )
