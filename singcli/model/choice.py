"""How one decision is drawn from the network's scores: copying, temperature, nucleus, given notes.

Conventions
-----------
R rows (songs or candidates); probabilities are (R, n), rows sum to 1 unless said otherwise.
"""

from __future__ import annotations

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


def note_probs(
    logits: Floats,
    gate: Floats,
    copied: Tokens,
    source: npt.NDArray[np.bool_],
    *,
    shift: Floats,
    temperature: float | PerDecision,
    attraction: Floats | None = None,
    taste: Floats | None = None,
) -> Floats:
    """Mix what the network would play with what the draft says comes next.

    A negative shift holds copying back, in the mixture and in the network's own notes, which
    have seen the draft too; that the source stops is never held against it.

    Parameters
    ----------
    logits : np.ndarray, shape=(R, N_TOKENS)
    gate, shift : np.ndarray, shape=(R,)
        Log odds of copying, and what strictness adds to them.
    copied : np.ndarray, shape=(R,)
        The draft's next token.
    source : np.ndarray, shape=(R, 176), bool
        The draft's onsets of this step.
    temperature : float or PerDecision > 0
        Of the network's own notes.
    attraction : np.ndarray, shape=(R, 176), optional
        Added to the logits of the network's own notes.
    taste : np.ndarray, shape=(R, 176), optional
        The same within each voice, where it leaves alone how often the voice strikes.

    Notes
    -----
    Source: See, Liu, Manning (2017), equation 9.
    """
    added = np.zeros((1, N_NOTE_TOKENS), np.float32) if attraction is None else attraction
    if (shift < 0).any():
        added = added + source * np.minimum(shift, 0.0)[:, None]
        shift = np.where(copied == STOP, np.maximum(shift, 0.0), shift)
    own = own_probs(logits, added, PerDecision.of(temperature), taste)
    with np.errstate(over="ignore"):
        odds = 1 / (1 + np.exp(-(gate + shift)))
    own *= (1 - odds)[:, None]
    probs: Floats = own
    probs[np.arange(len(probs)), copied] += odds
    return probs


def own_probs(
    logits: Floats, added: Floats, temperature: PerDecision, taste: Floats | None = None
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
    taste : np.ndarray, shape=(R, 176), optional
        Added to p(token | kind) alone.
    """
    lead, accompaniment, count, *_ = temperature.values
    count_scaled = logits / np.float32(count)
    count_scaled[:, :N_NOTE_TOKENS] += added
    if temperature.is_one_for_all_notes and taste is None:
        return softmax(count_scaled)
    own = np.repeat(np.array([lead, accompaniment, count], np.float32), _KIND_SIZES)
    own_scaled = logits / own
    own_scaled[:, :N_NOTE_TOKENS] += added if taste is None else added + taste
    highest = np.maximum.reduceat(own_scaled, _KIND_STARTS, axis=1)
    highest[np.isneginf(highest)] = 0.0  # a kind that is ruled out
    probs = np.exp(own_scaled - np.repeat(highest, _KIND_SIZES, axis=1))
    share = np.exp(count_scaled - count_scaled.max(axis=1, keepdims=True))
    of_kind = np.add.reduceat(share, _KIND_STARTS, axis=1)
    within = np.add.reduceat(probs, _KIND_STARTS, axis=1)
    of_kind /= np.maximum(within, TINY) * of_kind.sum(axis=1, keepdims=True)
    weighted: Floats = probs * np.repeat(of_kind, _KIND_SIZES, axis=1)
    return weighted


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


def class_probs(logits: Floats, draft: Tokens, *, shift: Floats, temperature: float) -> Floats:
    """Return the probabilities of classes of durations or velocities.

    Parameters
    ----------
    logits : np.ndarray, shape=(R, n_classes)
    draft : np.ndarray, shape=(R,)
        The class in the draft, n_classes where there is none.
    shift : np.ndarray, shape=(R,)
        If positive, favours the draft's class.
    temperature : float > 0
    """
    scaled = logits / temperature
    known = np.flatnonzero(draft != logits.shape[1])
    forced = known[np.isinf(shift[known])]
    favour = np.where(np.isinf(shift[known]), 0.0, np.maximum(shift[known], 0.0))
    scaled[known, draft[known]] += favour
    scaled[forced] = -np.inf
    scaled[forced, draft[forced]] = 0.0
    return softmax(scaled)


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
    """Draw one column of each row in proportion to its weights.

    Parameters
    ----------
    weights : np.ndarray, shape=(R, n)
        Non-negative; rows need not sum to 1.
    uniform : np.ndarray, shape=(R,)
        In [0, 1).
    """
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    chosen = np.count_nonzero(cumulative <= (uniform * cumulative[:, -1])[:, None], axis=1)
    column: Tokens = np.minimum(chosen, weights.shape[1] - 1)
    return column
