"""Steering: music drawn to the wanted SSM, beat by beat.

Two means. *Attraction*: the row that a beat is to have says which pitch classes, which steps and
which notes of the tune would bring it about, and the network's own notes lean towards them.
*Choice*: of several candidates for a beat one is kept, with probability proportional to
exp(-weight * error), a particle filter with one survivor a beat. Its candidates differ in their
dice, in how strongly they are drawn to their source, and some in the source itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.model.contract import N_NOTE_TOKENS, TOKEN_PITCH, TOKEN_VOICE
from singcli.music.key import Mode, reference_key
from singcli.music.score import MIN_PITCH, N_PITCHES, STEPS_PER_BEAT
from singcli.structure.ssm import CHROMA_COLUMNS, RHYTHM_COLUMNS, TUNE_COLUMNS

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

HALF_WEIGHT = 2000.0  # of a mean squared error, at strength 0.5
CHROMA_PULL, RHYTHM_PULL, TUNE_PULL = 5.5, 1.0, 4.0  # logits of the best, at strength 1
RIDGE = 0.3
SHIFT_SPREAD = (-2.0, 3.0)  # what is added to the first and to the last candidate's shift
OTHER_SOURCES = 0.34  # share of the candidates that look back at another beat than the repeat map's
FOREIGN_ERROR = 0.003  # of a note outside the key: the choice would favour them
LEAP_ERROR = 0.01  # of a leap of more than an octave in the lead

LEAST_PAST_BEATS = 8
OCTAVE = 12
TINY = 1e-9
_CLASS_OF_TOKEN = TOKEN_VOICE * 12 + TOKEN_PITCH % 12  # column of the chroma


def steering_weight(strength: float) -> float:
    """Return the weight of an error in the choice: 0 at strength 0, infinite at 1."""
    return HALF_WEIGHT * strength / (1.0 - strength) if strength < 1.0 else np.inf


def wanted_row(ssm: Floats, played: Floats, beat: int, *, window_beats: int) -> Vector:
    """Return the row that a beat's own features are to have with those of the beats before.

    A matrix of music is averaged along its diagonals, so every entry of it is a mean over
    `window_beats` pairs of beats, of which the earlier ones are played already. What they have
    missed the beat is to make good: the row is the best one for the mean squared error of all
    averages it is part of, if the beats after it do as the matrix says.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats)
        The wanted matrix.
    played : np.ndarray, shape=(>= beat, >= beat)
        Similarity of the beats so far, not averaged; read below the diagonal.
    beat : int > 0
    window_beats : int > 0
        1 for a matrix that is not averaged; its own row is returned.

    Returns
    -------
    np.ndarray, shape=(beat,)
        Not limited to [0, 1].
    """
    own = ssm[beat, :beat].astype(np.float64)
    # Entry (k, j): the pair of beats (beat - k, j - k), then the sum over the pairs 1 to k.
    pairs = np.zeros((window_beats, beat))
    for k in range(1, min(window_beats, beat)):
        pairs[k, k:] = played[beat - k, : beat - k]
    known = np.minimum(np.arange(window_beats)[:, None], np.arange(beat))
    # A window with k pairs before this one has its centre `half - k` beats after it.
    half = window_beats // 2
    behind = np.arange(max(0, beat + half - len(ssm) + 1), min(window_beats, beat + half))
    other = np.arange(beat) + (half - behind)[:, None]
    wanted = ssm[(beat + half - behind)[:, None], other.clip(0, len(ssm) - 1)]
    wanted = np.where((other >= 0) & (other < len(ssm)), wanted, own)
    made_good = wanted * (1.0 + known[behind]) - pairs.cumsum(axis=0)[behind]
    row: Vector = made_good.mean(axis=0)
    return row


def attraction(row: Vector, features: Floats, strength: float) -> Floats:
    """Return what speaks for every note because it helps to make the row.

    The row over the earlier beats is explained by their features: by chroma and rhythm (ridge
    regression) and by the notes of the tune (covariance, they are too many), all centred. A pitch
    class, a step of the beat, a note of the tune weighs much where the beats that are to be alike
    have it and the others have not. This is the paper's attention, the row of the matrix as
    weights of the past, with what all beats share taken out.

    Parameters
    ----------
    row : np.ndarray, shape=(n_past,)
        From `wanted_row`.
    features : np.ndarray, shape=(>= n_past, n_features)
        `beat_features` of the beats so far.
    strength : float in [0, 1]

    Returns
    -------
    np.ndarray, shape=(STEPS_PER_BEAT, N_NOTE_TOKENS), float32
        To be added to logits; zeros while there is too little past.
    """
    attracted = np.zeros((STEPS_PER_BEAT, N_NOTE_TOKENS), np.float32)
    if len(row) < LEAST_PAST_BEATS or strength == 0:
        return attracted
    centred = row - row.mean()
    past = features[: len(row)]
    few = np.concatenate([past[:, CHROMA_COLUMNS], past[:, RHYTHM_COLUMNS]], axis=1, dtype=float)
    weights = ridge_weights(row, few)
    of_class, of_step = weights[:-STEPS_PER_BEAT], weights[-STEPS_PER_BEAT:]
    tune = (centred.astype(np.float32) @ past[:, TUNE_COLUMNS]).reshape(STEPS_PER_BEAT, -1)
    attracted += CHROMA_PULL * scaled(of_class)[_CLASS_OF_TOKEN]
    attracted += RHYTHM_PULL * scaled(of_step)[:, None]
    attracted[:, :N_PITCHES] += TUNE_PULL * scaled(tune)[:, ::-1]
    return attracted * np.float32(strength)


def ridge_weights(row: Vector, features: Vector) -> Vector:
    """Explain a row by features of the past, both centred (ridge regression).

    Parameters
    ----------
    row : np.ndarray, shape=(n_past,)
    features : np.ndarray, shape=(n_past, n_features)

    Returns
    -------
    np.ndarray, shape=(n_features,)
    """
    past = features - features.mean(axis=0)
    explained = past.T @ (row - row.mean())
    weights: Vector = np.linalg.solve(past.T @ past + RIDGE * np.eye(past.shape[1]), explained)
    return weights


def scaled(weights: Vector) -> Vector:
    """Bring the largest weight to 1 or -1."""
    largest: Vector = weights / max(np.abs(weights).max(), TINY)
    return largest


def row_errors(rows: Floats, wanted: Vector) -> Vector:
    """Return how far each candidate's row of the SSM is from the wanted one.

    Parameters
    ----------
    rows : np.ndarray, shape=(M, n_past)
    wanted : np.ndarray, shape=(n_past,)

    Returns
    -------
    np.ndarray, shape=(M,), float64
        Mean squared differences; 0 where there is no past.
    """
    if len(wanted) == 0:
        return np.zeros(len(rows))
    return np.asarray(((rows - wanted) ** 2).mean(axis=1))


def note_errors(
    onsets: npt.NDArray[np.bool_], last_lead: npt.NDArray[np.int64], mode: Mode
) -> Vector:
    """Return what speaks against candidates as music, whatever their row of the SSM.

    Parameters
    ----------
    onsets : np.ndarray, shape=(M, n_steps, 2, N_PITCHES), bool
        Of the beat, in the reference key.
    last_lead : np.ndarray, shape=(M,)
        Last pitch of the lead before the beat, `N_PITCHES` for none.
    mode : {"major", "minor"}

    Returns
    -------
    np.ndarray, shape=(M,), float64
    """
    foreign = ~reference_key(mode).scale[(MIN_PITCH + np.arange(N_PITCHES)) % 12]
    errors = FOREIGN_ERROR * onsets[..., foreign].sum(axis=(1, 2, 3))
    lead = onsets[:, :, 0]
    previous = last_lead.astype(np.int64)
    for step in range(lead.shape[1]):
        struck = lead[:, step].any(axis=1)
        highest = N_PITCHES - 1 - lead[:, step, ::-1].argmax(axis=1)
        leap = struck & (previous < N_PITCHES) & (np.abs(highest - previous) > OCTAVE)
        errors = errors + LEAP_ERROR * leap
        previous = np.where(struck, highest, previous)
    return np.asarray(errors, np.float64)


def choose_candidate(errors: Vector, weight: float, uniform: float) -> int:
    """Draw a candidate with probability proportional to exp(-weight * error).

    Parameters
    ----------
    errors : np.ndarray, shape=(M,)
    weight : float >= 0
        From `steering_weight`; infinite for the smallest error.
    uniform : float
        In [0, 1).
    """
    if np.isinf(weight):
        return int(errors.argmin())
    weights = np.cumsum(np.exp(-weight * (errors - errors.min())))
    return int(np.count_nonzero(weights <= uniform * weights[-1]))
