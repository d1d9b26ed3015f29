"""Score -> piano roll: time first, then voice, then pitch (0 = `MIN_PITCH`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.music.score import MIN_PITCH, N_PITCHES, N_VOICES, Score


def onset_roll(score: Score) -> npt.NDArray[np.bool_]:
    """Return where notes begin.

    Returns
    -------
    np.ndarray, shape=(n_steps, N_VOICES, N_PITCHES), bool
    """
    roll = np.zeros((score.n_steps, N_VOICES, N_PITCHES), np.bool_)
    roll[score.step, score.voice, score.pitch - MIN_PITCH] = True
    return roll


def sounding_roll(score: Score) -> npt.NDArray[np.bool_]:
    """Return where notes sound, onsets included.

    Returns
    -------
    np.ndarray, shape=(n_steps, N_VOICES, N_PITCHES), bool
    """
    change = np.zeros((score.n_steps + 1, N_VOICES, N_PITCHES), np.int8)
    pitch = score.pitch.astype(np.intp) - MIN_PITCH
    np.add.at(change, (score.step, score.voice, pitch), 1)
    np.add.at(change, (score.step + score.duration, score.voice, pitch), -1)
    return np.cumsum(change[:-1], axis=0, dtype=np.int8) > 0


def pitch_class_counts(score: Score) -> npt.NDArray[np.float32]:
    """Return `chroma` of `sounding_roll`, counted note by note.

    Returns
    -------
    np.ndarray, shape=(n_steps, N_VOICES, 12), float32
    """
    n_steps, row = score.n_steps, N_VOICES * 12
    column = score.voice.astype(np.intp) * 12 + score.pitch % 12
    begin = score.step.astype(np.intp) * row + column
    change = np.bincount(begin, minlength=(n_steps + 1) * row)
    change -= np.bincount(begin + score.duration * row, minlength=(n_steps + 1) * row)
    sounding = change.reshape(n_steps + 1, row)[:-1].cumsum(axis=0)
    return sounding.reshape(n_steps, N_VOICES, 12).astype(np.float32)


def chroma(roll: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Count the sounding pitches of each pitch class.

    Parameters
    ----------
    roll : np.ndarray, shape=(..., N_PITCHES)

    Returns
    -------
    np.ndarray, shape=(..., 12), float32
        Pitch class 0 is C.
    """
    padded = np.zeros((*roll.shape[:-1], 96), np.float32)  # pitches 12 to 107, and 108 folded in
    low = MIN_PITCH - 12
    padded[..., low:] = roll[..., : 96 - low]
    classes: npt.NDArray[np.float32] = padded.reshape(*roll.shape[:-1], 8, 12).sum(axis=-2)
    classes[..., (MIN_PITCH + N_PITCHES - 1) % 12] += roll[..., -1]
    return classes
