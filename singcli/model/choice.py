"""How one decision is drawn from the network's scores: copying, temperature, nucleus, given notes.

Conventions
-----------
R rows (songs or candidates); probabilities are (R, n), rows sum to 1 unless said otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.model.contract import N_NOTE_TOKENS, N_TOKENS, STOP
from singcli.model.decisions import PerDecision
from singcli.music.score import N_PITCHES

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]

NOTE_KINDS = (slice(N_PITCHES), slice(N_PITCHES, N_NOTE_TOKENS), slice(STOP, N_TOKENS))
TINY = 1e-12
_KIND_STARTS = np.array([kind.start or 0 for kind in NOTE_KINDS])
_KIND_SIZES = np.array([kind.stop for kind in NOTE_KINDS]) - _KIND_STARTS
_KIND_OF_TOKEN = np.repeat(np.arange(len(NOTE_KINDS)), _KIND_SIZES)
_LOWEST = np.finfo(np.float32).min


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
        From `own_probs`; the last column is the end.
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


def own_probs(
    logits: Floats, added: Floats, temperature: PerDecision, added_within: Floats | None = None
) -> Floats:
    """Return what the network itself would play.

    Which voice strikes a note, if any, has the temperature of the count, and which pitch it is that
    of its voice: p(token) = p(kind) p(token | kind), either from a softmax of its own. With one
    temperature for all that is the softmax of all tokens.

    Parameters
    ----------
    logits : np.ndarray, shape=(R, N_TOKENS)
    added : np.ndarray, shape=(R or 1, 176)
        Added to the logits of the notes behind the temperature.
    temperature : PerDecision
    added_within : np.ndarray, shape=(R or 1, 176), optional
        The same for p(token | kind), where that is something else.
    """
    share = logits / np.float32(temperature.count)
    share[:, :N_NOTE_TOKENS] += added
    if temperature.is_one_for_all_notes and added_within is None:
        return softmax(share)
    probs: Floats = logits / _token_temperatures(temperature)
    probs[:, :N_NOTE_TOKENS] += added if added_within is None else added_within
    highest = np.maximum.reduceat(probs, _KIND_STARTS, axis=1)
    np.maximum(highest, _LOWEST, out=highest)  # -inf is a kind that is ruled out
    probs -= highest.take(_KIND_OF_TOKEN, axis=1)
    np.exp(probs, out=probs)
    share -= share.max(axis=1, keepdims=True)
    np.exp(share, out=share)
    of_kind = np.add.reduceat(share, _KIND_STARTS, axis=1)
    within = np.add.reduceat(probs, _KIND_STARTS, axis=1)
    of_kind /= np.maximum(within, TINY) * of_kind.sum(axis=1, keepdims=True)
    probs *= of_kind.take(_KIND_OF_TOKEN, axis=1)
    return probs


@functools.cache
def _token_temperatures(temperature: PerDecision) -> Floats:
    """Return the temperature of each token's kind, shape=(N_TOKENS,)."""
    of_kind = temperature.lead, temperature.accompaniment, temperature.count
    return np.repeat(np.array(of_kind, np.float32), _KIND_SIZES)


def kept_probs(probs: Floats, top_p: PerDecision) -> Floats:
    """Keep the likeliest kinds of note and the likeliest pitches of each; see `nucleus`."""
    if top_p.is_one_for_all_notes and top_p.count >= 1:
        return probs
    kept: Floats = probs.copy()
    if top_p.count < 1:
        of_kind = np.stack([probs[:, kind].sum(axis=1) for kind in NOTE_KINDS], axis=1)
        of_kind /= of_kind.sum(axis=1, keepdims=True)
        lost = nucleus(of_kind, top_p.count) <= 0
        for index, kind in enumerate(NOTE_KINDS):
            kept[lost[:, index], kind] = 0.0
    for kind, own in zip(NOTE_KINDS[:2], (top_p.lead, top_p.accompaniment), strict=True):
        mass = kept[:, kind].sum(axis=1, keepdims=True)
        if own < 1:
            kept[:, kind] = nucleus(kept[:, kind] / np.maximum(mass, TINY), own) * mass
    return kept


def woken(probs: Floats, asleep: npt.NDArray[np.bool_]) -> Floats:
    """Forbid rows that are asleep to stop before their first note; rows no longer sum to 1.

    Parameters
    ----------
    probs : np.ndarray, shape=(R, N_TOKENS)
    asleep : np.ndarray, shape=(R,), bool
        A row that can do nothing but stop still stops.
    """
    stirred = asleep & (probs[:, :STOP].sum(axis=1) > 0)
    woken: Floats = probs.copy()
    woken[stirred, STOP] = 0.0
    return woken


def class_probs(
    logits: Sequence[Floats], draft: Tokens, *, shift: Floats, temperatures: Sequence[float]
) -> Floats:
    """Return the probabilities of the classes of K things at once: durations, velocities.

    Parameters
    ----------
    logits : K arrays, shape=(R, n_classes)
    draft : np.ndarray, shape=(R, K)
        The classes in the draft, n_classes where there is none.
    shift : np.ndarray, shape=(R,)
        If positive, favours the draft's classes.
    temperatures : K floats > 0

    Returns
    -------
    np.ndarray, shape=(R, K, most classes + 1)
        Zero behind the classes of each.
    """
    widths = [part.shape[1] for part in logits]
    probs = np.full((*draft.shape, max(widths) + 1), -np.inf, np.float32)
    for kind, (part, temperature) in enumerate(zip(logits, temperatures, strict=True)):
        np.divide(part, temperature, out=probs[:, kind, : widths[kind]])
    row = np.arange(len(draft))[:, None]
    certain = np.isinf(shift)
    # Where the draft has none, the place behind the classes is favoured: it stays at -inf.
    probs[row, np.arange(len(widths)), draft] += np.where(certain, 0.0, np.maximum(shift, 0.0))[
        :, None
    ]
    if certain.any():
        forced = np.nonzero(certain[:, None] & (draft != widths))
        probs[forced] = -np.inf
        probs[*forced, draft[forced]] = 0.0
    probs -= probs.max(axis=2, keepdims=True)
    np.exp(probs, out=probs)
    probs /= probs.sum(axis=2, keepdims=True)
    return probs


def nucleus(probs: Floats, top_p: float) -> Floats:
    """Keep the likeliest choices that together reach `top_p`; rows no longer sum to 1.

    Notes
    -----
    Source: Holtzman et al., "The curious case of neural text degeneration" (ICLR 2020).
    """
    if top_p >= 1:
        return probs
    descending = -np.sort(-probs, axis=1)
    before = np.cumsum(descending, axis=1) - descending
    n_kept = np.count_nonzero(before < top_p, axis=1)
    smallest = descending[np.arange(len(probs)), n_kept - 1]
    return np.where(probs >= smallest[:, None], probs, 0.0).astype(np.float32)


def restrict(probs: Floats, last: Tokens, free: npt.NDArray[np.bool_], given: Tokens) -> Floats:
    """Allow only what leads through the given notes.

    Parameters
    ----------
    probs : np.ndarray, shape=(R, N_TOKENS)
    last : np.ndarray, shape=(R,)
        Last token of the step, -1 before the first.
    free : np.ndarray, shape=(R, N_TOKENS), bool
        Tokens of the voices that are not given, and STOP.
    given : np.ndarray, shape=(R,)
        The next given token after `last`, `STOP` where none is left.

    Returns
    -------
    np.ndarray, shape=(R, N_TOKENS)
        A row without a possible choice becomes certain of its given token.
    """
    token = np.arange(N_TOKENS)
    allowed = free & (token > last[:, None]) & (token < given[:, None])
    allowed[np.arange(len(probs)), given] = True
    kept = np.where(allowed, probs, 0.0).astype(np.float32)
    lost = kept.sum(axis=1) <= 0
    kept[lost, given[lost]] = 1.0
    return kept


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
