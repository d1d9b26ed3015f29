"""Attention over the past, taken from a self-similarity matrix.

Two readings of the same matrix: the *repeat map* is crisp (every beat copies one earlier beat, or
none), the *context weights* are the paper's (sparsemax over the row of the matrix).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NEW = -1
CONTINUATION_BONUS = 0.15
NEW_BELOW = 0.2
CONTEXT_TEMPERATURE = 0.08
NOT_IN_THE_PAST = -1e4  # a score that never gets a weight
BLOCK_ROWS = 64


@dataclass(frozen=True, slots=True)
class RepeatMap:
    """Which earlier beat each beat copies, and how closely.

    Parameters
    ----------
    source : np.ndarray, shape=(n_beats,), int32
        An earlier beat, or `NEW`.
    grade : np.ndarray, shape=(n_beats,), float32 in [0, 1]
        Similarity to the source; 0 where the beat is new.
    """

    source: npt.NDArray[np.int32]
    grade: npt.NDArray[np.float32]


def all_new(n_beats: int) -> RepeatMap:
    """Return the map of a piece in which no beat has a source."""
    return RepeatMap(np.full(n_beats, NEW, np.int32), np.zeros(n_beats, np.float32))


def repeat_map_from_ssm(
    ssm: npt.NDArray[np.float32], *, continuation_bonus: float = CONTINUATION_BONUS
) -> RepeatMap:
    """Find the path of sources with the largest sum of similarities (Viterbi).

    A bonus for every beat that continues its predecessor's diagonal makes the path copy
    sequences of beats instead of single ones. Time and memory grow with the square of n_beats.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats)
        Only the part below the diagonal is read.
    continuation_bonus : float >= 0

    Returns
    -------
    RepeatMap
        Beat 0 is new, and so is every beat whose similarity to its source is under `NEW_BELOW`.
    """
    n_beats = len(ssm)
    source = np.full(n_beats, NEW, np.int32)
    if n_beats > 1:
        continued = np.zeros((n_beats, n_beats), np.bool_)
        jump = np.zeros(n_beats, np.intp)
        score = ssm[1, :1].astype(np.float64)
        for beat in range(2, n_beats):
            jump[beat] = score.argmax()
            by_jump = score[jump[beat]]
            along = score + continuation_bonus  # from source j - 1 to source j
            np.greater(along, by_jump, out=continued[beat, 1:beat])
            best = np.empty(beat)
            best[0] = by_jump
            np.maximum(along, by_jump, out=best[1:])
            score = ssm[beat, :beat] + best
        source[-1] = score.argmax()
        for beat in range(n_beats - 1, 1, -1):
            here = source[beat]
            source[beat - 1] = here - 1 if continued[beat, here] else jump[beat]
    grade = np.where(source >= 0, ssm[np.arange(n_beats), source], 0.0).astype(np.float32)
    fresh = grade < NEW_BELOW
    return RepeatMap(
        source=np.where(fresh, NEW, source).astype(np.int32),
        grade=np.where(fresh, 0.0, grade).astype(np.float32),
    )


def sparsemax(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Project each row onto the probability simplex.

    Parameters
    ----------
    scores : np.ndarray, shape=(..., n)

    Returns
    -------
    np.ndarray, shape=(..., n), float32
        Non-negative, each row sums to 1.

    Notes
    -----
    Source: Martins & Astudillo, "From softmax to sparsemax" (ICML 2016), algorithm 1.
    """
    descending = -np.sort(-scores.astype(np.float64), axis=-1)
    rank = np.arange(1, scores.shape[-1] + 1)
    cumulative = np.cumsum(descending, axis=-1)
    support = np.count_nonzero(1 + rank * descending > cumulative, axis=-1)[..., None]
    threshold = (np.take_along_axis(cumulative, support - 1, axis=-1) - 1) / support
    weights: npt.NDArray[np.float32] = np.maximum(scores - threshold, 0.0).astype(np.float32)
    return weights


def context_weights(
    ssm: npt.NDArray[np.float32], *, temperature: float = CONTEXT_TEMPERATURE
) -> npt.NDArray[np.float32]:
    """Return the paper's attention: sparsemax of each row over the earlier beats.

    Returns
    -------
    np.ndarray, shape=(n_beats, n_beats), float32
        Strictly lower triangular; rows sum to 1, but row 0 to 0.

    Notes
    -----
    Source: SING, section 3.2; differs: a temperature sharpens the rows.
    """
    weights = np.zeros(ssm.shape, np.float32)
    for first in range(0, len(ssm), BLOCK_ROWS):
        block = context_rows(ssm, first, temperature=temperature)
        weights[first : first + BLOCK_ROWS] = block
    return weights


def context_rows(
    ssm: npt.NDArray[np.float32], first: int, *, temperature: float = CONTEXT_TEMPERATURE
) -> npt.NDArray[np.float32]:
    """Return the rows of `context_weights` of up to `BLOCK_ROWS` beats.

    Parameters
    ----------
    first : int
        The first of the beats.

    Returns
    -------
    np.ndarray, shape=(<= BLOCK_ROWS, n_beats), float32
    """
    last = min(first + BLOCK_ROWS, len(ssm))
    weights = np.zeros((max(last - first, 0), len(ssm)), np.float32)
    past = np.arange(last) < np.arange(first, last)[:, None]
    scores = np.where(past, ssm[first:last, :last] / temperature, NOT_IN_THE_PAST)
    np.copyto(weights[:, :last], sparsemax(scores.astype(np.float32)), where=past)
    return weights
