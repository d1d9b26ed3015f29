"""How one decision comes about: the network's own note, or the draft's next one.

The same as in `kernel/choice.c`, for the rows of pitches of `row_candidates`, which are drawn in
another way.

Conventions
-----------
R rows (candidates); probabilities are (R, n), rows sum to 1 unless said otherwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.model.contract import N_NOTE_TOKENS, N_TOKENS, STOP

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]


def next_token_table(onsets: npt.NDArray[np.bool_]) -> Tokens:
    """Return the first onset's token at or after each token, `STOP` where there is none.

    Parameters
    ----------
    onsets : np.ndarray, shape=(n, 176), bool

    Returns
    -------
    np.ndarray, shape=(n, 177), int64
    """
    table = np.full((len(onsets), N_TOKENS), STOP, np.int16)
    table[:, :-1] = np.where(onsets, np.arange(N_NOTE_TOKENS, dtype=np.int16), np.int16(STOP))
    return np.minimum.accumulate(table[:, ::-1], axis=1)[:, ::-1].astype(np.int64)


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of each row."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probs


def held_back(source: npt.NDArray[np.bool_], shift: Floats) -> Floats:
    """Return what negative shifts add to the logits of the network's own notes, (..., R, n).

    The network has seen the draft too, so they hold its notes back in both parts of the mixture.

    Parameters
    ----------
    source : np.ndarray, shape=(..., R, n), bool
        The draft's onsets.
    shift : np.ndarray, shape=(R,)
    """
    held: Floats = np.minimum(shift, 0.0)[:, None] * source
    return held


def mixed_probs(own: Floats, gate: Floats, copied: Tokens, shift: Floats) -> Floats:
    """Mix what the network would play, which is changed in place, with what the draft says next.

    That the source stops is never held against it.

    Parameters
    ----------
    own : np.ndarray, shape=(R, n)
        The last column is the end.
    gate, shift : np.ndarray, shape=(R,)
        Log odds of copying, and what strictness adds to them.
    copied : np.ndarray, shape=(R,)
        The draft's next token.

    Notes
    -----
    Source: See, Liu, Manning (2017), equation 9.
    """
    shift = np.where(copied == own.shape[1] - 1, np.maximum(shift, 0.0), shift)
    # exp(88) is the last that a float can hold; the odds are zero there.
    odds = 1 / (1 + np.exp(np.minimum(-(gate + shift), 88.0)))
    own *= (1 - odds)[:, None]
    own[np.arange(len(own)), copied] += odds
    return own


def draw(weights: Floats, uniform: npt.NDArray[np.float64]) -> Tokens:
    """Draw one place of the last axis in proportion to its weights.

    Parameters
    ----------
    weights : np.ndarray, shape=(..., n)
        Non-negative, not all zero; they need not sum to 1.
    uniform : np.ndarray, shape=(...)
        In [0, 1).
    """
    cumulative = weights.cumsum(axis=-1, dtype=np.float64)
    beyond = cumulative > (uniform * cumulative[..., -1])[..., None]
    place: Tokens = beyond.argmax(axis=-1)  # the first
    return place
