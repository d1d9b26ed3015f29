"""Is the matrix in control? Songs made with it, without any, with a shuffled one, with another's.

A song that follows its matrix correlates with it, and a song of the same seed that was made with
something else does not: a controller is real as far as the first beats the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from _intervals import Interval, mean_interval
from _machine import Row

from singcli.metrics.structure import structure_correlation
from singcli.model.plan import Plan, SamplingOptions
from singcli.music.score import Score
from singcli.structure.ssm import Matrix, ssm_from_score

WANTED, NONE, SHUFFLED, ANOTHER = "wanted", "none", "shuffled", "another song's"
WAYS = (WANTED, NONE, SHUFFLED, ANOTHER)

Thing = TypeVar("Thing")
Correlations = Mapping[str, Sequence[float]]  # way -> r of each song
Sampler = Callable[[Sequence[Plan], Sequence[int], SamplingOptions], list[Score]]


def four_way(
    sample: Sampler, plans: Sequence[Plan], seeds: Sequence[int], options: SamplingOptions
) -> dict[str, list[Score]]:
    """Sample the songs of all plans in four ways, each with the same seeds.

    Parameters
    ----------
    sample : callable
        Makes a score of each plan and seed.
    plans : sequence of Plan
        At least two. "another song's" is the next one's matrix, and its bar lines with it.
    options : SamplingOptions
        Of all ways but "none", which has no matrix to be steered by.

    Returns
    -------
    dict of str to list of Score
        For each of `WAYS` a song per plan.
    """
    without = [dataclasses.replace(plan, kind="none") for plan in plans]
    disorder = [shuffled(plan, seed) for plan, seed in zip(plans, seeds, strict=True)]
    foreign = [
        dataclasses.replace(other, mode=plan.mode)
        for plan, other in zip(plans, following(plans), strict=True)
    ]
    return {
        WANTED: sample(plans, seeds, options),
        NONE: sample(without, seeds, plain(options)),
        SHUFFLED: sample(disorder, seeds, options),
        ANOTHER: sample(foreign, seeds, options),
    }


def correlations(wanted: Sequence[Matrix], scores: Sequence[Score]) -> list[float]:
    """Return r between each matrix and that of a song, as far as both reach."""
    return [
        common_correlation(matrix, ssm_from_score(score))
        for matrix, score in zip(wanted, scores, strict=True)
    ]


def paired(r: Correlations, way: str) -> Interval:
    """Return the mean difference between the wanted and another way, song by song."""
    return mean_interval([a - b for a, b in zip(r[WANTED], r[way], strict=True)])


def four_way_rows(results: Mapping[str, Correlations]) -> list[Row]:
    """Return r of each way with its interval, one row a result."""
    return [[name, *(str(mean_interval(r[way])) for way in WAYS)] for name, r in results.items()]


def difference_rows(results: Mapping[str, Correlations]) -> list[Row]:
    """Return how far the wanted way beats the others with paired intervals, one row a result."""
    return [[name, *(str(paired(r, way)) for way in WAYS[1:])] for name, r in results.items()]


def following(things: Sequence[Thing]) -> list[Thing]:
    """Return the next one of each, after the last the first."""
    return [*things[1:], *things[:1]]


def common_correlation(wanted: Matrix, measured: Matrix) -> float:
    """Return r of two matrices below the diagonal, cut to the smaller one."""
    n = min(len(wanted), len(measured))
    return structure_correlation(wanted[:n, :n], measured[:n, :n])


def plain(options: SamplingOptions) -> SamplingOptions:
    """Return the options without steering."""
    return dataclasses.replace(options, candidates=1, steering=0.0)


def shuffled(plan: Plan, seed: int) -> Plan:
    """Return a plan with the beats of its matrix in another order."""
    order = np.random.default_rng(seed).permutation(len(plan.ssm))
    return dataclasses.replace(plan, ssm=plan.ssm[np.ix_(order, order)])
