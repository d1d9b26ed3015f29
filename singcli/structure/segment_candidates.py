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
    stretch_table,
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
    names, table = stretch_table(bars)
    table *= np.array([weights[name] for name in names])[:, None, None]
    scores = np.add.reduce(table, axis=0)
    by_length = _weighted(length_features(), weights)
    scores += _weighted(line_features(bars), weights)[:, None] + by_length
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
    bonuses, noise = _bonuses(), _noise(len(scores))
    n_bonuses = bonuses.shape[-1]
    variants = np.empty((*scores.shape, n_bonuses + noise.shape[-1]))
    np.add(scores[..., None], bonuses, out=variants[..., :n_bonuses])
    np.add(scores[..., None], noise, out=variants[..., n_bonuses:])
    cuts = dict.fromkeys(best_cuts(variants))
    table = scores.tolist()
    return [(cut, float(sum(table[start][length] for start, length in cut))) for cut in cuts]


@functools.cache
def _bonuses() -> Vector:
    """Return what the lengths are favoured by in turn, shape=(LONGEST + 1, n_variants)."""
    n = np.arange(LONGEST + 1)
    bonuses = [np.zeros(LONGEST + 1)]
    bonuses += [bonus * (n == unit) for unit in UNITS for bonus in UNIT_BONUSES]
    bonuses += [np.full(LONGEST + 1, bonus) for bonus in SECTION_BONUSES]
    return np.stack(bonuses, axis=-1)


@functools.lru_cache(maxsize=4)
def _noise(n_bars: int) -> Vector:
    """Return the same noise for every piece of this length, which takes longer than the search.

    Returns
    -------
    np.ndarray, shape=(n_bars, LONGEST + 1, N_NOISY)
    """
    shape = (N_NOISY, n_bars, LONGEST + 1)
    noise = np.random.default_rng(0).gumbel(scale=NOISE, size=shape)
    return np.ascontiguousarray(np.moveaxis(noise, 0, -1))


def best_cuts(variants: Vector) -> list[CutTuple]:
    """Return the cut with the highest sum for each of several tables of scores.

    Parameters
    ----------
    variants : np.ndarray, shape=(n_bars, LONGEST + 1, n_variants)
    """
    n_bars, _, n_variants = variants.shape
    best = np.empty((n_bars + 1, n_variants))  # of the bars before each bar line, the last first
    best[n_bars] = 0.0
    length_of = np.zeros((n_bars + 1, n_variants), np.intp)
    flat = variants.reshape(-1, n_variants)
    for stop in range(1, n_bars + 1):
        longest, line = min(LONGEST, stop), n_bars - stop
        # From one bar on: the last `longest` starts backwards, and beside each its score.
        of_last = flat[(stop - 1) * (LONGEST + 1) + 1 :: -LONGEST][:longest]
        total = best[line + 1 : line + 1 + longest] + of_last
        total.argmax(axis=0, out=length_of[stop])
        np.maximum.reduce(total, axis=0, out=best[line])
    length_of += 1
    cuts: dict[tuple[int, ...], CutTuple] = {}
    found = []
    for lengths in length_of.T.tolist():
        stops = _traced(lengths)
        if stops not in cuts:
            cuts[stops] = tuple((start, stop - start) for stop, start in pairwise(stops))[::-1]
        found.append(cuts[stops])
    return found


def _traced(length_of: Sequence[int]) -> tuple[int, ...]:
    """Return the boundaries of the best cut from the last to the first."""
    stop = len(length_of) - 1
    stops = [stop]
    while stop > 0:
        stop -= length_of[stop]
        stops.append(stop)
    return tuple(stops)


def _weighted(features: Mapping[str, Vector], weights: Mapping[str, float]) -> Vector:
    """Sum lines of numbers, each times its weight, one after the other."""
    weight = np.array([weights[name] for name in features])
    return np.asarray(np.add.reduce(weight[:, None] * np.array(list(features.values())), axis=0))
