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
        self._has_overlap = bars.overlap is not None
        matrices = [bars.alike] if bars.overlap is None else [bars.alike, bars.overlap]
        self._sums = _diagonal_sums(np.array(matrices))
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
        common = np.minimum(length[:, None], length)
        half = (common + 1) // 2
        late = np.minimum(half, common - 1)
        begin = start[:, None] * (self.n_bars + 1) + start
        beyond = np.array([np.zeros_like(half), half, late, common]) * (self.n_bars + 2)
        sums = self._sums[:, begin + beyond]  # where both begin, and so many bars behind that
        means = (sums[:, 3] - sums[:, 0]) / common
        first = (sums[0, 1] - sums[0, 0]) / half
        second = (sums[0, 3] - sums[0, 2]) / (common - late)
        features = {
            "alike": means[0],
            "weaker half": np.minimum(first, second),
            "length": 1.0 - common / np.maximum(length[:, None], length),
        }
        if self._has_overlap:
            features["overlap"] = means[1]
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
    for row in range(n_bars):
        np.add(total[:, row, :-1], bars[:, row], out=total[:, row + 1, 1:])
    return total.reshape(n_matrices, -1)
