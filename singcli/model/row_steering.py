"""Steering of rows of pitches: proposals that lean towards the wanted row, and the choice of one.

As `steering` does it for songs, with what rows need: they are held more often than struck, so
candidates also end notes, and a note is judged by the rows that it sounds through.

Conventions
-----------
M candidates; pitches are the 88 of `row_candidates`. Strength is 0 (not at all) to 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.model.contract import TOKEN_PITCH
from singcli.model.row_candidates import FIRST, Floats, Indices, Notes
from singcli.model.steering import (
    LEAST_PAST_BEATS,
    Vector,
    ridge_weights,
    row_errors,
    scaled,
)
from singcli.music.score import N_PITCHES
from singcli.structure.row_ssm import N_CLASSES
from singcli.structure.ssm import Matrix, unit_rows

RowsLeft = npt.NDArray[np.integer]

# Chosen on MAESTRO's validation split, see docs/benchmark.md.
PULL = 2.5  # logits of the best pitch class, at strength 1
ROWS_AHEAD, AHEAD_DECAY = 3, 0.7  # how far the choice looks, and what a row further on counts
COUNT_SLACK = 1
CALM = 0.9  # log odds against a first note, at strength 1: what is chosen sounds longer
RELEASING, RELEASED = 0.9, 0.5  # share of candidates that end notes, at strength 1, and of notes

_CLASS_OF_NOTE = TOKEN_PITCH[FIRST:] % N_CLASSES
_CLASSES = np.eye(N_CLASSES, dtype=np.float32)[_CLASS_OF_NOTE]


def unit_chroma(sounding: Notes) -> Floats:
    """Return the unit chroma of rows, shape=(n, 12); as of `row_ssm`."""
    chroma: Floats = unit_rows(sounding.astype(np.float32) @ _CLASSES)
    return chroma


def pitch_taste(wanted: Vector, past: Floats, strength: float) -> Floats:
    """Return what speaks for each pitch because its class helps to make the row, shape=(88,).

    As `steering.attraction`: ridge regression of the row on the chroma of the past.

    Parameters
    ----------
    wanted : np.ndarray, shape=(n_past,)
    past : np.ndarray, shape=(n_past, 12)
        Unit chroma.
    """
    if len(wanted) < LEAST_PAST_BEATS or strength == 0:
        return np.zeros(N_PITCHES, np.float32)
    weights = PULL * strength * scaled(ridge_weights(wanted, past.astype(np.float64)))
    taste: Floats = weights[_CLASS_OF_NOTE].astype(np.float32)
    return taste


def released(
    remaining: RowsLeft, taste: Floats, strength: float, dice: npt.NDArray[np.float64]
) -> RowsLeft:
    """Return how many rows notes sound on in each candidate, shape=(M, 88).

    Some candidates end notes that speak against the row.

    Parameters
    ----------
    remaining : np.ndarray, shape=(88,)
    taste : np.ndarray, shape=(88,)
        From `pitch_taste`.
    dice : np.ndarray, shape=(M, 1 + 88)
        In [0, 1): of the candidates, and of their notes.
    """
    ends = (dice[:, :1] < RELEASING * strength) & (dice[:, 1:] < RELEASED) & (taste < 0)
    return np.where(ends, 0, remaining)


def eligible(counts: Indices, uniform: float) -> Indices:
    """Return the candidates that begin about as many notes as one of them, drawn, does.

    Give or take `COUNT_SLACK`, but none for none: the matrix has a say in which notes begin and not
    in how many, otherwise it would have the richest candidate.

    Parameters
    ----------
    counts : np.ndarray, shape=(M,)
    uniform : float
        In [0, 1).
    """
    drawn = counts[int(uniform * len(counts))]
    near = (np.abs(counts - drawn) <= COUNT_SLACK) & ((counts > 0) == (drawn > 0))
    return np.flatnonzero(near)


def candidate_errors(ssm: Matrix, row: int, past: Floats, left: RowsLeft) -> Vector:
    """Return how far candidates are from the matrix in this row and, less and less, in the next.

    Of the next ones what sounds on is compared, until there is to be silence.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_rows, n_rows)
    row : int
        Neither given nor silent.
    past : np.ndarray, shape=(row, 12)
        Unit chroma.
    left : np.ndarray, shape=(M, 88)
        Rows that notes sound on, this one included.

    Returns
    -------
    np.ndarray, shape=(M,), float64
    """
    sounds = ssm.diagonal()[row : row + ROWS_AHEAD] > 0
    n_rows = len(sounds) if sounds.all() else int(sounds.argmin())
    weights = AHEAD_DECAY ** np.arange(n_rows)
    errors = [
        row_errors(unit_chroma(left > ahead) @ past.T, ssm[row + ahead, :row].astype(np.float64))
        for ahead in range(n_rows)
    ]
    mean: Vector = weights @ np.array(errors) / weights.sum()
    return mean
