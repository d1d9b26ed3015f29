"""Ways to cut a piece into sections, the likeliest first.

Each stretch of bars has a score, linear in the features of `singcli.structure.segment_features`;
that of a cut is the sum over its sections. Scores are log likelihoods, but for a constant, in a
semi-Markov conditional random field. Dynamic programming finds the best cut. Others come from the
same search with a bonus for one length (most pieces are built from sections of one length), for
many or few sections, and with noise.

References
----------
Sarawagi, Cohen, "Semi-Markov conditional random fields for information extraction" (NeurIPS 2004).
Papandreou, Yuille, "Perturb-and-MAP random fields" (ICCV 2011): candidates by noise.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from singcli.structure.bar_features import BarFeatures, Vector
from singcli.structure.segment_features import (
    LONGEST,
    length_features,
    line_features,
    stretch_features,
)

UNITS = (4, 6, 8, 10, 12, 16, 20, 24)  # lengths favoured in turn, in bars
UNIT_BONUSES = (1.5, 3.0)
SECTION_BONUSES = (-3.0, -1.5, 1.5, 3.0)  # per section
N_NOISY = 20
NOISE = 0.7

CutTuple = tuple[tuple[int, int], ...]


def stretch_scores(bars: BarFeatures, weights: Mapping[str, float]) -> Vector:
    """Score every stretch of bars as a section.

    Returns
    -------
    np.ndarray, shape=(n_bars, LONGEST + 1)
        Of the n bars from each bar on; -inf where there are none.
    """
    n = np.arange(LONGEST + 1)
    by_line = _weighted(line_features(bars), weights, (bars.n_bars,))
    by_length = _weighted(length_features(), weights, (LONGEST + 1,))
    scores = _weighted(stretch_features(bars), weights, (bars.n_bars, LONGEST + 1))
    scores += by_line[:, None] + by_length
    inside = (n >= 1) & (np.arange(bars.n_bars)[:, None] + n <= bars.n_bars)
    return np.where(inside, scores, -np.inf)


def inside_sections(scores: Vector, starts: Sequence[int]) -> Vector:
    """Return the scores without those of stretches that reach over a section's start.

    Parameters
    ----------
    scores : np.ndarray, shape=(n_bars, LONGEST + 1)
    starts : sequence of int
        Ascending.
    """
    n_bars = len(scores)
    bar = np.arange(n_bars)
    following = np.r_[np.asarray(starts, np.intp), n_bars]
    room = following[np.searchsorted(following, bar, side="right")] - bar
    return np.where(np.arange(LONGEST + 1) <= room[:, None], scores, -np.inf)


def candidate_cuts(scores: Vector) -> list[tuple[CutTuple, float]]:
    """Return different cuts and their scores, the best one first.

    Parameters
    ----------
    scores : np.ndarray, shape=(n_bars, LONGEST + 1)
        From `stretch_scores`.

    Returns
    -------
    list of (cut, float)
        (first bar, bars) of every section; the sum of their scores.
    """
    variants = np.concatenate([scores + _bonuses()[:, None], scores + _noise(len(scores))])
    cuts = dict.fromkeys(best_cuts(variants))
    table = scores.tolist()
    return [(cut, float(sum(table[start][length] for start, length in cut))) for cut in cuts]


@functools.cache
def _bonuses() -> Vector:
    """Return what the lengths are favoured by in turn, shape=(n_variants, LONGEST + 1)."""
    n = np.arange(LONGEST + 1)
    bonuses = [np.zeros(LONGEST + 1)]
    bonuses += [bonus * (n == unit) for unit in UNITS for bonus in UNIT_BONUSES]
    bonuses += [np.full(LONGEST + 1, bonus) for bonus in SECTION_BONUSES]
    return np.stack(bonuses)


@functools.lru_cache(maxsize=4)
def _noise(n_bars: int) -> Vector:
    """Return the same noise for every piece of this length, which takes longer than the search."""
    shape = (N_NOISY, n_bars, LONGEST + 1)
    return np.random.default_rng(0).gumbel(scale=NOISE, size=shape)


def best_cuts(variants: Vector) -> list[CutTuple]:
    """Return the cut with the highest sum for each of several tables of scores.

    Parameters
    ----------
    variants : np.ndarray, shape=(n_variants, n_bars, LONGEST + 1)
    """
    n_variants, n_bars = variants.shape[:2]
    best = np.full((n_variants, n_bars + 1), -np.inf)
    best[:, 0] = 0.0
    length_of = np.zeros((n_variants, n_bars + 1), np.intp)
    flat, row = variants.reshape(n_variants, -1), np.arange(n_variants)
    for stop in range(1, n_bars + 1):
        longest = min(LONGEST, stop)
        # From one bar on: the last `longest` starts backwards, and beside each its score.
        of_last = flat[:, (stop - 1) * (LONGEST + 1) + 1 :: -LONGEST][:, :longest]
        total = best[:, stop - longest : stop][:, ::-1] + of_last
        choice = total.argmax(axis=1)
        best[:, stop] = total[row, choice]
        length_of[:, stop] = choice + 1
    return [_traced(lengths) for lengths in length_of.tolist()]


def _traced(length_of: Sequence[int]) -> CutTuple:
    stops = [len(length_of) - 1]
    while stops[-1] > 0:
        stops.append(stops[-1] - length_of[stops[-1]])
    return tuple((start, stop - start) for start, stop in pairwise(reversed(stops)))


def _weighted(
    features: Mapping[str, Vector], weights: Mapping[str, float], shape: tuple[int, ...]
) -> Vector:
    total = np.zeros(shape)
    for name, value in features.items():
        total += weights[name] * value
    return total
