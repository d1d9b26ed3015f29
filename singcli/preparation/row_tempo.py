"""The tempo that SING's rows are taken at: a fast twin of pretty_midi's estimate.

Conventions
-----------
- The arithmetic is pretty_midi's, operation by operation, because a row begins where a product of
  doubles is cut to an integer: the last bit can move a note to the row before.
- Where several clusters have the highest count, pretty_midi's answer depends on the processor (it
  takes the last entry of an unstable `np.argsort`, which NumPy does in other ways where it may use
  AVX2 or AVX-512). Here the order is that of NumPy's portable quicksort on every machine: the order
  by which the paper's own rolls were made.

References
----------
Dixon, "Automatic extraction of tempo and beat from expressive performances" (JNMR 2001).
Raffel, Ellis, "Intuitive analysis, creation and manipulation of MIDI data with pretty_midi"
(ISMIR 2014): `PrettyMIDI.estimate_tempo`, whose every interval within reach of any cluster goes to
the cluster of the shortest intervals, and moves it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.music.notes import TempoMap

MIN_INTERVAL_S, MAX_INTERVAL_S = 0.05, 2.0  # between onsets; both excluded
SHORTEST_BEAT_S = 0.2  # shorter intervals are doubled until they are at least this long
CLUSTER_WIDTH_S = 0.025
DEFAULT_BPM = 120.0  # of a file before its first tempo
INSERTION_SORT_SIZE = 16  # NumPy sorts so many items, and fewer, by insertion


def seconds_from_ticks(tempo: TempoMap, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the time of every tick, rounded as pretty_midi rounds it.

    Parameters
    ----------
    tempo : TempoMap
    ticks : np.ndarray, shape=(n,), int64

    Returns
    -------
    np.ndarray, shape=(n,), float64
        `TempoMap.seconds_from_ticks` up to the last bits.
    """
    starts, scales = [0], [60.0 / (DEFAULT_BPM * tempo.ticks_per_quarter)]
    for tick, microseconds in zip(
        tempo.tick.tolist(), tempo.microseconds_per_quarter.tolist(), strict=True
    ):
        scale = 60.0 / ((6e7 / microseconds) * tempo.ticks_per_quarter)
        if tick == 0:
            scales[0] = scale
        elif scale != scales[-1]:
            starts.append(tick)
            scales.append(scale)
    start_s = [0.0]
    for n in range(1, len(starts)):
        start_s.append(start_s[-1] + scales[n - 1] * (starts[n] - starts[n - 1]))
    part = np.searchsorted(starts, ticks, side="right") - 1
    within: npt.NDArray[np.float64] = np.array(scales)[part] * (ticks - np.array(starts)[part])
    return np.array(start_s)[part] + within


def estimate_tempo(onset_s: npt.NDArray[np.float64], *, source: str) -> float:
    """Return the tempo whose beat is the most frequent interval between successive onsets.

    Parameters
    ----------
    onset_s : np.ndarray, shape=(n_notes,), float64
        In any order, in seconds.
    source : str
        What to call the file in messages.

    Returns
    -------
    float
        Beats a minute, above 30 and at most 300.

    Raises
    ------
    InputError
        If no two successive onsets are more than 0.05 and less than 2 s apart.
    """
    interval = np.diff(np.sort(onset_s))
    interval = interval[(interval > MIN_INTERVAL_S) & (interval < MAX_INTERVAL_S)]
    while (short := interval < SHORTEST_BEAT_S).any():
        interval[short] *= 2
    if len(interval) == 0:
        raise InputError(
            f"{source}: no tempo can be estimated (no two successive onsets are"
            f" {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g} s apart)"
        )
    means, counts = _clusters(interval.tolist())
    highest = max(counts)
    if counts.count(highest) == 1:
        return 60.0 / means[counts.index(highest)]
    return 60.0 / means[portable_argsort(counts)[-1]]


def _clusters(intervals: Sequence[float]) -> tuple[list[float], list[int]]:
    """Return the mean and the size of each cluster, in the order in which they were opened."""
    means: list[float] = []
    counts: list[int] = []
    ordered: list[tuple[float, int]] = []  # (mean, cluster), the shortest first
    for interval in intervals:
        at = bisect.bisect_left(ordered, (interval, -1))
        near = ordered[max(at - 1, 0) : at + 1]
        if any(abs(mean - interval) < CLUSTER_WIDTH_S for mean, _ in near):
            _, shortest = ordered.pop(0)
            count = counts[shortest]
            means[shortest] = (count * means[shortest] + interval) / (count + 1)
            counts[shortest] = count + 1
            bisect.insort(ordered, (means[shortest], shortest))
        else:
            bisect.insort(ordered, (interval, len(means)))
            means.append(interval)
            counts.append(1)
    return means, counts


def portable_argsort(values: Sequence[float]) -> list[int]:
    """Return the order in which NumPy's quicksort without vector instructions puts the values.

    Parameters
    ----------
    values : sequence of float
        None of them NaN.

    Returns
    -------
    list of int
        Positions, from the least to the greatest value; equal values in an order of its own.

    Notes
    -----
    Median of three, the smaller part first, insertion sort for parts of up to 16. NumPy changes to
    heap sort when it has split 2 log2 n times in a row; that is left out, as no part of a
    median-of-three split of counts gets there.
    """
    order = list(range(len(values)))
    waiting = [(0, len(order) - 1)]
    while waiting:
        low, high = waiting.pop()
        while high - low >= INSERTION_SORT_SIZE:
            middle = _split(order, values, low, high)
            if middle - low < high - middle:
                waiting.append((middle + 1, high))
                high = middle - 1
            else:
                waiting.append((low, middle - 1))
                low = middle + 1
        _insertion_sort(order, values, low, high)
    return order


def _split(order: list[int], values: Sequence[float], low: int, high: int) -> int:
    """Bring what is less than a pivot before it and what is greater behind; return its place."""
    middle = low + ((high - low) >> 1)
    for left, right in ((low, middle), (middle, high), (low, middle)):
        if values[order[right]] < values[order[left]]:
            order[left], order[right] = order[right], order[left]
    pivot = values[order[middle]]
    left, right = low, high - 1
    order[middle], order[right] = order[right], order[middle]
    while True:
        left += 1
        while values[order[left]] < pivot:
            left += 1
        right -= 1
        while pivot < values[order[right]]:
            right -= 1
        if left >= right:
            break
        order[left], order[right] = order[right], order[left]
    order[left], order[high - 1] = order[high - 1], order[left]
    return left


def _insertion_sort(order: list[int], values: Sequence[float], low: int, high: int) -> None:
    for place in range(low + 1, high + 1):
        item, to = order[place], place
        while to > low and values[item] < values[order[to - 1]]:
            order[to] = order[to - 1]
            to -= 1
        order[to] = item
