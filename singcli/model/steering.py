"""Steering: music drawn to the wanted SSM, beat by beat.

Two means. *Attraction*: the row that a beat is to have says which pitch classes would bring it
about, and the network's own notes lean towards them. *Choice*: of several candidates for a beat one
is kept, with probability proportional to exp(-weight * error), a particle filter with one survivor
a beat. Its candidates differ in their dice, in how strongly they are drawn to their source, and
half of them in the source itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.model.contract import N_CONTEXT, N_NOTE_TOKENS, TOKEN_PITCH, TOKEN_VOICE
from singcli.music.key import Key, Mode
from singcli.music.score import MIN_PITCH, N_PITCHES

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

HALF_WEIGHT = 1000.0  # of a mean squared error, at strength 0.5
FULL_ATTRACTION = 3.5  # log odds of the best pitch class, at strength 1
ATTRACTION_RIDGE = 0.3
SHIFT_SPREAD = (-2.0, 3.0)  # what is added to the first and to the last candidate's shift
OTHER_SOURCES = 0.5  # share of the candidates that look back at another beat than the repeat map's
SILENCE_ERROR = 0.3  # of a silent candidate where something is to sound
FOREIGN_ERROR = 0.0015  # of a note outside the key: the choice would favour them
LEAP_ERROR = 0.01  # of a leap of more than an octave in the lead

LEAST_PAST_BEATS = 8
OCTAVE = 12
TINY = 1e-9


def steering_weight(strength: float) -> float:
    """Return the weight of an error in the choice: 0 at strength 0, infinite at 1."""
    return HALF_WEIGHT * strength / (1.0 - strength) if strength < 1.0 else np.inf


def wanted_row(ssm: Floats, features: Floats, beat: int, *, window_beats: int) -> Vector:
    """Return the row that a beat's own features are to have with those of the beats before.

    A matrix of music is averaged along its diagonals, so every entry of it is a mean over
    `window_beats` pairs of beats, of which the earlier ones are played already. What they have
    missed the beat is to make good: the row is the best one for the mean squared error of all
    averages it is part of, if the beats after it do as the matrix says.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats)
        The wanted matrix.
    features : np.ndarray, shape=(>= beat, n_features)
        `beat_features` of the beats so far.
    beat : int > 0
    window_beats : int > 0
        1 for a matrix that is not averaged; its own row is returned.

    Returns
    -------
    np.ndarray, shape=(beat,)
        Not limited to [0, 1].
    """
    own = ssm[beat, :beat].astype(np.float64)
    n_before = min(window_beats - 1, beat - 1)
    column = np.arange(beat)
    # Entry (k, j): what the pair of beats (beat - k, j - k) has; the sum over k = 1 to k.
    had = np.zeros((window_beats, beat))
    counted = np.zeros((window_beats, beat))
    for k in range(1, n_before + 1):
        had[k, k:] = features[: beat - k] @ features[beat - k]
        counted[k, k:] = 1.0
    had, counted = had.cumsum(axis=0), counted.cumsum(axis=0)
    total, n_windows = np.zeros(beat), 0
    for behind in range(window_beats):  # beats of the window before this one
        centre = beat + window_beats // 2 - behind
        if not 0 < centre < len(ssm):
            continue
        other = column + window_beats // 2 - behind
        inside = (other >= 0) & (other < len(ssm))
        wanted = np.where(inside, ssm[centre, np.clip(other, 0, len(ssm) - 1)], own)
        total += wanted * (1.0 + counted[behind]) - had[behind]
        n_windows += 1
    return total / n_windows if n_windows else own


def attraction(row: Vector, features: Floats, strength: float) -> Floats:
    """Return what speaks for every note because its pitch class makes the row.

    The row over the earlier beats is explained by their chroma (ridge regression, both centred):
    a pitch class weighs much where the beats that are to be alike have it and the others have not.
    This is the paper's attention, the row of the matrix as weights of the past, with what all
    beats share taken out.

    Parameters
    ----------
    row : np.ndarray, shape=(n_past,)
        From `wanted_row`.
    features : np.ndarray, shape=(>= n_past, n_features)
        `beat_features` of the beats so far; their first `N_CONTEXT` columns are the chroma.
    strength : float in [0, 1]

    Returns
    -------
    np.ndarray, shape=(N_NOTE_TOKENS,), float32
        To be added to logits, at most `FULL_ATTRACTION`; zeros while there is too
        little past.
    """
    if len(row) < LEAST_PAST_BEATS:
        return np.zeros(N_NOTE_TOKENS, np.float32)
    chroma = features[: len(row), :N_CONTEXT].astype(np.float64)
    chroma = chroma - chroma.mean(axis=0)
    gram = chroma.T @ chroma + ATTRACTION_RIDGE * np.eye(N_CONTEXT)
    weights = np.linalg.solve(gram, chroma.T @ (row - row.mean()))
    weights *= FULL_ATTRACTION * strength / max(np.abs(weights).max(), TINY)
    of_token: Floats = weights[TOKEN_VOICE * 12 + TOKEN_PITCH % 12].astype(np.float32)
    return of_token


def row_errors(candidates: Floats, past: Floats, wanted: npt.NDArray[np.floating]) -> Vector:
    """Return how far each candidate's row of the SSM is from the wanted one.

    Parameters
    ----------
    candidates : np.ndarray, shape=(M, n_features)
        `beat_features` of the candidates.
    past : np.ndarray, shape=(n_past, n_features)
    wanted : np.ndarray, shape=(n_past,)

    Returns
    -------
    np.ndarray, shape=(M,), float64
        Mean squared differences; 0 where there is no past.
    """
    if len(past) == 0:
        return np.zeros(len(candidates))
    difference = candidates @ past.T - wanted
    return np.asarray((difference.astype(np.float64) ** 2).mean(axis=1))


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
    key = Key(0, "major") if mode == "major" else Key(9, "minor")
    foreign = ~key.scale[(MIN_PITCH + np.arange(N_PITCHES)) % 12]
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
