"""What speaks for a whole description of a piece: its sections together with their labels.

A stretch of bars is judged on its own by `singcli.structure.segment_features`. Only the whole tells
whether labels are used again, whether sections of one label have one length, and whether the
labels explain the repeats that are there.

References
----------
Paulus, Klapuri, "Music structure analysis using a probabilistic fitness measure and a greedy search
algorithm" (IEEE TASLP 2009): what a description explains, and what it costs.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import BarFeatures, Vector, along_diagonals
from singcli.structure.section_labels import Cut

CLEAR_ODDS = 3.0  # log odds beyond which a pair of sections counts no more
STRONG, WEAK = 0.6, 0.3  # relative similarity of bars that (do not) repeat
NEAR_BARS = 2  # bars that are no repeat of each other


class CutJudge:
    """Describes cuts of one piece.

    Parameters
    ----------
    bars : BarFeatures
    """

    def __init__(self, bars: BarFeatures) -> None:
        self._n_bars = bars.n_bars
        self._alike = along_diagonals(bars.alike)
        np.fill_diagonal(self._alike, 0.0)
        self._strong = self._alike > STRONG
        self._n_strong = np.maximum(self._strong.sum(axis=1), 1)
        self._unlike = np.maximum(WEAK - self._alike, 0.0)
        place = np.arange(bars.n_bars)
        far = np.abs(place[:, None] - place) >= NEAR_BARS
        self._repeated = float(np.where(far, self._alike, 0.0).max(axis=1).mean())

    def cut_features(
        self, cut: Cut, labels: Sequence[int], odds: Vector, alike: Vector
    ) -> dict[str, float]:
        """Return what speaks for or against a cut with labels.

        Parameters
        ----------
        cut : sequence of (first bar, bars)
        labels : sequence of int
            From `grouped`.
        odds, alike : np.ndarray, shape=(n_sections, n_sections)
            `pair_scores`, and "alike" of `pair_features`.
        """
        label, length = np.array(labels), np.array(cut)[:, 1]
        n_sections, n_bars = len(label), self._n_bars
        same = label[:, None] == label
        other = ~same
        same.reshape(-1)[:: n_sections + 1] = False
        weight = np.minimum(length[:, None], length) / n_bars
        kept = np.minimum(np.maximum(odds, -CLEAR_ODDS), CLEAR_ODDS) * weight
        count, section_bars = Counter(labels), [n for _, n in cut]
        lengths = Counter(section_bars)
        main = max(lengths, key=lambda bars: lengths[bars] * bars)
        theme: dict[int, int] = {}
        for name, n in zip(labels, section_bars, strict=True):
            theme.setdefault(name, n)
        single = sum(n for k, n in zip(labels, section_bars, strict=True) if count[k] == 1)
        again = sum(n == before for before, n in pairwise(section_bars))
        return {
            "sections": n_sections / 10,
            "sections per 8 bars": 8 * n_sections / n_bars,
            "agreement": _sum_below(kept, same) / n_sections,
            "separation": (0.0 - _sum_below(kept, other)) / n_sections,
            "main length": lengths[main] * main / n_bars,
            "labels per section": len(count) / n_sections,
            "lengths differ": sum(
                abs(n - theme[k]) for k, n in zip(labels, section_bars, strict=True)
            )
            / n_bars,
            "new bars": sum(theme.values()) / n_bars,
            "always together": _always_together(labels) / n_sections,
            "single": single / n_bars,
            "like the last": again / (n_sections - 1) if n_sections > 1 else 0.0,
            "alike within labels": _best(alike, same, length) / n_bars,
            "alike across labels": _best(alike, other, length) / n_bars,
            **self._explained(label, length),
        }

    def _explained(
        self, label: npt.NDArray[np.intp], length: npt.NDArray[np.intp]
    ) -> dict[str, float]:
        """Compare the pairs of bars that the labels join with the pairs that are alike."""
        # Bars have the same key if they have the same place in sections of one label.
        first_key = label * self._n_bars - (np.cumsum(length) - length)
        key = np.repeat(first_key, length) + np.arange(self._n_bars)
        joined = key[:, None] == key
        joined.reshape(-1)[:: self._n_bars + 1] = False
        explained = float(np.where(joined, self._alike, 0.0).max(axis=1).mean())
        false = self._unlike[joined].sum()
        missed = (self._strong > joined).sum(axis=1) / self._n_strong
        return {
            "repeats explained": explained - self._repeated,
            "repeats claimed": float(false) / (3 * self._n_bars),
            "repeats missed": float(missed.mean()),
        }


def _sum_below(values: Vector, chosen: npt.NDArray[np.bool_]) -> float:
    """Sum the chosen values below the diagonal."""
    return float(values[chosen & _below(len(values))].sum())


@functools.lru_cache(maxsize=64)
def _below(size: int) -> npt.NDArray[np.bool_]:
    return np.tri(size, k=-1, dtype=np.bool_)


def _best(alike: Vector, chosen: npt.NDArray[np.bool_], length: npt.NDArray[np.intp]) -> float:
    """Sum over all bars the likeness of their section to the chosen one that is most alike."""
    compared = chosen.any(axis=1)
    if not compared.any():
        return 0.0
    best = np.where(chosen, alike, -1.0).max(axis=1)
    return float((length * np.where(compared, best, 0.0)).sum())


def _always_together(labels: Sequence[int]) -> int:
    """Count the sections followed by another label that never stands elsewhere, nor they alone."""
    count = Counter(labels)
    pairs = Counter(pairwise(labels))
    return sum(
        n
        for (one, other), n in pairs.items()
        if one != other and n >= 2 and n == count[one] == count[other]
    )
