"""How well finished music keeps to the structure that was asked for.

Conventions
-----------
- Maps and matrices are square with time on both axes; only pairs below the diagonal are compared.
- A mean over no pairs is None, not 0: a form without repeats has no same-label overlap.
- Boundaries are numbers of bars; the start and the end of a piece are never among them.

References
----------
Müller, "Fundamentals of Music Processing" (2015), chapter 4: boundary and pairwise measures.
SING (Hager, Hablutzel, Kinnaird 2024), section 5: error between z-scored matrices.
Raffel et al., "mir_eval" (ISMIR 2014): `segment.detection`, `segment.pairwise`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from singcli.music.score import MIN_PITCH, N_PITCHES, N_VOICES, STEPS_PER_BEAT, Score

Matrix = npt.NDArray[np.float32]

MAX_KEPT = 512  # beats of a matrix, of whose pairs the places are kept
FLAT = 1e-9  # a standard deviation below this is rounding


class LabelledBars(Protocol):
    """What the overlaps need to know about a form; `singcli.structure.form.Form` has it."""

    @property
    def bar_labels(self) -> Sequence[str]:
        """Label of each bar's section."""

    @property
    def bar_places(self) -> npt.NDArray[np.integer[Any]]:
        """Place of each bar in its section, from 0."""


class HitScores(NamedTuple):
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f_measure: float


def bar_overlap_map(score: Score) -> Matrix:
    """Return how many of the notes of two bars are the same.

    The Jaccard index of the bars' sets of (step in the bar, voice, pitch) of the onsets: notes in
    both bars over notes in either. Durations and velocities do not count. Bars of different length
    are compared over the beats that both have.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), float32 in [0, 1]
        Symmetric. A bar without onsets overlaps nothing, so two empty bars have 0, and so has an
        empty bar on the diagonal; other bars have 1 there.

    Notes
    -----
    Source: Jaccard (1912); as note overlap of bars in the measurements of this project.
    """
    bar_steps = score.bar_beats.astype(np.int64) * STEPS_PER_BEAT
    bar = bar_steps.searchsorted(score.step, side="right") - 1
    place = score.step - bar_steps[bar]
    pitch = score.pitch.astype(np.int64) - MIN_PITCH
    code = (place * N_VOICES + score.voice) * N_PITCHES + pitch
    heard = np.bincount(code) > 0
    notes, note = heard.nonzero()[0], (heard.cumsum() - 1)[code]
    content = np.zeros((score.n_bars, len(notes)), np.float32)
    content[bar, note] = 1.0
    overlap = np.zeros((score.n_bars, score.n_bars), np.float32)
    n_steps = bar_steps[1:] - bar_steps[:-1]
    common = np.minimum(n_steps[:, None], n_steps)
    for length in sorted(set(n_steps.tolist())):
        overlap_there = _jaccard(content[:, notes < length * N_VOICES * N_PITCHES])
        np.copyto(overlap, overlap_there, where=common == length)
    return overlap


def _jaccard(content: Matrix) -> Matrix:
    """Return the Jaccard index of every two rows of zeros and ones; 0 for two empty ones."""
    shared = content @ content.T
    size = content.sum(axis=1)
    either = size[:, None] + size - shared
    overlap: Matrix = (shared / np.maximum(either, 1.0)).astype(np.float32)
    return overlap


def same_label_overlap(bar_map: Matrix, form: LabelledBars) -> float | None:
    """Return the mean overlap of bars at the same place of different sections with one label.

    Parameters
    ----------
    bar_map : np.ndarray, shape=(n_bars, n_bars)
        From `bar_overlap_map`.
    form : LabelledBars
        Of any length; the bars that both have are compared.

    Returns
    -------
    float in [0, 1], or None if no label is repeated
    """
    wanted, measured = _common(same_place_map(form), bar_map)
    return _mean(measured, wanted)


def different_label_overlap(bar_map: Matrix, form: LabelledBars) -> float | None:
    """Return the mean overlap of all pairs of bars in sections with different labels.

    Parameters and the result are those of `same_label_overlap`; None if there is one label only.
    """
    labels = _numbers(form.bar_labels)
    wanted, measured = _common(labels[:, None] != labels, bar_map)
    return _mean(measured, wanted)


def same_place_map(form: LabelledBars) -> npt.NDArray[np.bool_]:
    """Return which pairs of bars have the same label and the same place in their section.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), bool
        True on the diagonal.
    """
    labels, places = _numbers(form.bar_labels), np.asarray(form.bar_places)
    same: npt.NDArray[np.bool_] = (labels[:, None] == labels) & (places[:, None] == places)
    return same


def structure_correlation(wanted: Matrix, measured: Matrix) -> float:
    """Return Pearson's correlation of two maps below their diagonals.

    Parameters
    ----------
    wanted, measured : np.ndarray, shape=(n, n)
        Self-similarity matrices or bar maps, of the same size.

    Returns
    -------
    float in [-1, 1]
        0 where it is not defined: a constant map, or fewer than two pairs.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    a, b = (_standardised(values) for values in _below_diagonals(wanted, measured))
    return min(max(_mean_of(a * b), -1.0), 1.0) if len(a) else 0.0


def ssm_mse(wanted: Matrix, measured: Matrix) -> float:
    """Return the mean squared error between two z-scored matrices, below the diagonal.

    It equals 2 (1 - r) with r = `structure_correlation`, also where r is not defined and counts
    as 0. Parameters and errors are those of `structure_correlation`.

    Returns
    -------
    float in [0, 4]
        0 for the same structure, 2 for unrelated ones.

    Notes
    -----
    Source: SING, section 5; differs: the matrices are symmetric and their diagonals known, so each
    pair counts once and the diagonal not at all.
    """
    return 2.0 * (1.0 - structure_correlation(wanted, measured))


def boundary_scores(
    reference: Sequence[int], estimated: Sequence[int], *, window_bars: int = 1
) -> HitScores:
    """Return how many boundaries are found within `window_bars` bars.

    Every boundary is matched once, and as many as possible are.

    Parameters
    ----------
    reference, estimated : sequence of int
        Bars at which sections start, without 0.
    window_bars : int >= 0

    Returns
    -------
    HitScores
        1 if neither has a boundary; 0 if only one has none.

    Notes
    -----
    Source: Turnbull, Lanckriet, Pampalk, Goto (ISMIR 2007); `mir_eval.segment.detection` with
    trimmed intervals. Differs: mir_eval gives 0 if neither has a boundary.
    """
    wanted, found = sorted(set(reference)), sorted(set(estimated))
    if not wanted and not found:
        return HitScores(1.0, 1.0, 1.0)
    hits, at = 0, 0
    for boundary in wanted:  # on a line, taking the earliest free partner is an optimal matching
        while at < len(found) and found[at] < boundary - window_bars:
            at += 1
        if at < len(found) and found[at] <= boundary + window_bars:
            hits, at = hits + 1, at + 1
    return _hit_scores(hits, len(found), len(wanted))


def label_scores(reference: Sequence[str], estimated: Sequence[str]) -> HitScores:
    """Return how far two labellings agree on which pairs of bars belong together.

    Parameters
    ----------
    reference, estimated : sequence of str, of the same length
        A label per bar; the names need not be the same.

    Returns
    -------
    HitScores
        Over the pairs of different bars that share a label; 1 if neither labelling has such a
        pair, 0 if only one has none.

    Raises
    ------
    ValueError
        If the lengths differ.

    Notes
    -----
    Source: Levy and Sandler (IEEE TASLP 2008); `mir_eval.segment.pairwise`.
    """
    if len(reference) != len(estimated):
        raise ValueError(f"{len(reference)} reference labels, but {len(estimated)} estimated ones")
    wanted, found = (
        (labels[:, None] == labels) & _below(len(labels))
        for labels in (_numbers(reference), _numbers(estimated))
    )
    hits, n_found, n_wanted = (
        int(np.count_nonzero(pairs)) for pairs in (wanted & found, found, wanted)
    )
    if n_wanted == n_found == 0:
        return HitScores(1.0, 1.0, 1.0)
    return _hit_scores(hits, n_found, n_wanted)


def _numbers(labels: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return a number for each label, the same for the same one."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.intp)


@functools.lru_cache(maxsize=4)  # 0.3 MB each of 512 bars
def _below(size: int) -> npt.NDArray[np.bool_]:
    """Mark the pairs below the diagonal."""
    below = np.tri(size, k=-1, dtype=np.bool_)
    below.flags.writeable = False
    return below


@functools.lru_cache(maxsize=4)  # 1 MB each of `MAX_KEPT`
def _places_below(size: int) -> npt.NDArray[np.intp]:
    """Return where the pairs below the diagonal are in the matrix, row by row."""
    places = _below(size).reshape(-1).nonzero()[0]
    places.flags.writeable = False
    return places


def _hit_scores(hits: int, n_estimated: int, n_reference: int) -> HitScores:
    precision = hits / n_estimated if n_estimated else 0.0
    recall = hits / n_reference if n_reference else 0.0
    total = precision + recall
    return HitScores(precision, recall, 2 * precision * recall / total if total else 0.0)


def _common(
    wanted: npt.NDArray[np.bool_], measured: Matrix
) -> tuple[npt.NDArray[np.bool_], Matrix]:
    """Cut both maps to the bars that they share."""
    n_bars = min(len(wanted), len(measured))
    return wanted[:n_bars, :n_bars], measured[:n_bars, :n_bars]


def _mean(values: Matrix, chosen: npt.NDArray[np.bool_]) -> float | None:
    """Average the chosen values below the diagonal."""
    of_pairs = values[chosen & _below(len(chosen))]
    return _mean_of(of_pairs) if len(of_pairs) else None


def _mean_of(values: Matrix | npt.NDArray[np.float64]) -> float:
    """Return what `mean` does of a line of numbers, without its detours."""
    return float(np.add.reduce(values, dtype=np.float64) / len(values))


def _below_diagonals(*maps: Matrix) -> list[npt.NDArray[np.float64]]:
    shapes = {m.shape for m in maps}
    if len(shapes) != 1 or any(m.ndim != 2 or m.shape[0] != m.shape[1] for m in maps):
        raise ValueError(f"square maps of one size are compared, not {[m.shape for m in maps]}")
    size = len(maps[0])
    if size > MAX_KEPT:
        below = np.tri(size, k=-1, dtype=np.bool_)
        return [m[below].astype(np.float64) for m in maps]
    return [m.take(_places_below(size)).astype(np.float64) for m in maps]


def _standardised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return z-scores; 0 where all values are the same."""
    if len(values) == 0:
        return values
    centred = values - _mean_of(values)
    deviation = math.sqrt(_mean_of(centred * centred))
    if deviation < FLAT:
        return np.zeros_like(values)
    centred /= deviation
    return centred
