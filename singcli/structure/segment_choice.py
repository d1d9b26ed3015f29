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
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import BarFeatures, Vector, along_diagonals
from singcli.structure.section_labels import StackedCuts

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
        self._zero = self._alike.dtype.type(0.0)
        np.fill_diagonal(self._alike, 0.0)
        self._strong = self._alike > STRONG
        self._n_strong = np.maximum(self._strong.sum(axis=1), 1)
        self._unlike = np.maximum(WEAK - self._alike, 0.0)
        far = np.where(_far(bars.n_bars), self._alike, self._zero)
        self._repeated = float(np.maximum.reduce(far, axis=1).mean())

    def cut_features(
        self, cuts: StackedCuts, labels: Sequence[Sequence[int]], odds: Vector, alike: Vector
    ) -> list[dict[str, float]]:
        """Return what speaks for or against each cut with its labels.

        Parameters
        ----------
        cuts : StackedCuts
        labels : sequence of sequence of int
            Of each cut; from `grouped`.
        odds, alike : np.ndarray, shape=(n_pairs,)
            `pair_scores`, and "alike" of `pair_features`.
        """
        label = np.array([name for names in labels for name in names])
        one, other, length = cuts.one, cuts.other, cuts.length
        same = label[one] == label[other]
        unlike = ~same
        same &= one != other
        weight = np.minimum(length[one], length[other]) / self._n_bars
        kept = np.minimum(np.maximum(odds, -CLEAR_ODDS), CLEAR_ODDS) * weight
        below = other < one
        agreement = _sums(kept, same & below, cuts.first_pair)
        against = _sums(kept, unlike & below, cuts.first_pair)
        alike_within, alike_across = _best(alike, np.array([same, unlike]), cuts)
        explained = self._explained(label, cuts)
        section_bars = length.tolist()
        return [
            {
                **self._of_sections(
                    names,
                    section_bars[first : first + size],
                    agreement=agreement[index] / size,
                    separation=(0.0 - against[index]) / size,
                ),
                "alike within labels": alike_within[index] / self._n_bars,
                "alike across labels": alike_across[index] / self._n_bars,
                **explained[index],
            }
            for index, (names, first, size) in enumerate(
                zip(labels, cuts.first_section, cuts.sizes, strict=False)
            )
        ]

    def _of_sections(
        self,
        labels: Sequence[int],
        section_bars: Sequence[int],
        *,
        agreement: float,
        separation: float,
    ) -> dict[str, float]:
        """Return what the sections of a cut say, their labels and lengths."""
        n_sections, n_bars = len(labels), self._n_bars
        bars_of_length: dict[int, int] = {}
        theme: dict[int, int] = {}
        count: dict[int, int] = {}
        differ = 0
        for name, n in zip(labels, section_bars, strict=True):
            bars_of_length[n] = bars_of_length.get(n, 0) + n
            count[name] = count.get(name, 0) + 1
            differ += abs(n - theme.setdefault(name, n))
        single = sum(theme[name] for name, times in count.items() if times == 1)
        again = sum(n == before for before, n in pairwise(section_bars))
        return {
            "sections": n_sections / 10,
            "sections per 8 bars": 8 * n_sections / n_bars,
            "agreement": agreement,
            "separation": separation,
            "main length": max(bars_of_length.values()) / n_bars,
            "labels per section": len(count) / n_sections,
            "lengths differ": differ / n_bars,
            "new bars": sum(theme.values()) / n_bars,
            "always together": _always_together(labels, count) / n_sections,
            "single": single / n_bars,
            "like the last": again / (n_sections - 1) if n_sections > 1 else 0.0,
        }

    def _explained(self, label: npt.NDArray[np.intp], cuts: StackedCuts) -> list[dict[str, float]]:
        """Compare the pairs of bars that the labels join with the pairs that are alike."""
        n_cuts, n_bars = len(cuts.sizes), self._n_bars
        # Bars have the same key if they have the same place in sections of one label.
        key = np.repeat(label * n_bars - cuts.start, cuts.length).reshape(n_cuts, n_bars)
        key += np.arange(n_bars)
        joined = key[:, :, None] == key[:, None, :]
        joined.reshape(n_cuts, -1)[:, :: n_bars + 1] = False
        explained = np.maximum.reduce(np.where(joined, self._alike, self._zero), axis=2)
        missed = np.add.reduce(self._strong > joined, axis=2, dtype=np.intp) / self._n_strong
        figures = zip(
            explained.mean(axis=1).tolist(), joined, missed.mean(axis=1).tolist(), strict=True
        )
        return [
            {
                "repeats explained": of_repeats - self._repeated,
                "repeats claimed": float(np.add.reduce(self._unlike[pairs])) / (3 * n_bars),
                "repeats missed": of_missed,
            }
            for of_repeats, pairs, of_missed in figures
        ]


@functools.lru_cache(maxsize=8)
def _far(n_bars: int) -> npt.NDArray[np.bool_]:
    """Mark the pairs of bars that can be repeats of each other."""
    place = np.arange(n_bars)
    return np.asarray(np.abs(place[:, None] - place) >= NEAR_BARS)


def _sums(values: Vector, chosen: npt.NDArray[np.bool_], first: Sequence[int]) -> list[float]:
    """Sum the chosen values of each cut."""
    return [
        float(np.add.reduce(values[low:high][chosen[low:high]])) for low, high in pairwise(first)
    ]


def _best(alike: Vector, chosen: npt.NDArray[np.bool_], cuts: StackedCuts) -> list[list[float]]:
    """Sum over all bars the likeness of their section to the chosen one that is most alike.

    Parameters
    ----------
    chosen : np.ndarray, shape=(n, n_pairs), bool
        Sections to compare with, in several ways.

    Returns
    -------
    list of list of float
        Of each way, and in it of each cut; sections without any to compare with count as 0.
    """
    row = [  # the first pair of each section
        pair
        for first, size in zip(cuts.first_pair, cuts.sizes, strict=False)
        for pair in range(first, first + size * size, size)
    ]
    compared = np.logical_or.reduceat(chosen, row, axis=1)
    best = np.maximum.reduceat(np.where(chosen, alike, -1.0), row, axis=1)
    likeness = cuts.length * np.where(compared, best, 0.0)
    return [
        [float(np.add.reduce(of_way[low:high])) for low, high in pairwise(cuts.first_section)]
        for of_way in likeness
    ]


def _always_together(labels: Sequence[int], count: Mapping[int, int]) -> int:
    """Count the sections followed by another label that never stands elsewhere, nor they alone."""
    pairs = Counter(pairwise(labels))
    return sum(
        n
        for (one, other), n in pairs.items()
        if n >= 2 and one != other and n == count[one] == count[other]
    )
