"""Candidates for the next row of several pieces, drawn note by note from one state of the network.

What candidates share is computed once: those that look back at the same source and have begun with
the same notes are one row for the network, however many they are.

Conventions
-----------
P pieces, K sources of all pieces, R candidates of all pieces. A row has one voice, so notes are the
88 pitches of the accompaniment from low to high, and 88 is the end of the row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.model.choice import draw, held_back, mixed_probs, next_token_table, softmax
from singcli.model.contract import (
    MAX_NOTES_PER_STEP,
    N_DURATIONS,
    N_NOTE_TOKENS,
    NO_DURATION,
    START,
    note_inputs,
)
from singcli.model.runtime import Arrays, Runtime
from singcli.music.score import N_PITCHES

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Notes = npt.NDArray[np.bool_]

END = N_PITCHES
DRAWS = 2  # a note and its duration
FIRST = N_NOTE_TOKENS - N_PITCHES  # token of the lowest note
_TINY = 1e-9


class Looks(NamedTuple):
    """What the network has made of every piece and source, (K, ...), and what hangs on the piece.

    `out` of the step part; `drafts` (K, 176) onsets and `durations` (K, 176) classes of the
    sources; `piece` (K,) of each source; `taste` (P, 88) of the pitches of a piece, `held` (P, 88)
    what sounds on in it, `bass` (P,) its last bass note.
    """

    out: Arrays
    drafts: Floats
    durations: npt.NDArray[np.int8]
    piece: Indices
    taste: Floats
    held: Notes
    bass: Indices


class Casts(NamedTuple):
    """Every candidate's source (R,), shift of its odds of copying (R,) and dice (R, 13, 2)."""

    source: Indices
    shift: Floats
    uniforms: npt.NDArray[np.float64]


class Candidates(NamedTuple):
    """Onsets of every candidate and the classes of their durations, (R, 88)."""

    onsets: Notes
    durations: npt.NDArray[np.int8]


class _Beginnings(NamedTuple):
    """Different beginnings of rows, one row each for the network."""

    source: Indices
    last: Indices  # pitch, of `START` nothing
    chosen: Floats
    chord: Indices  # class of the duration of the note before the last one


def draw_candidates(
    runtime: Runtime, looks: Looks, casts: Casts, *, temperature: float, calm: float = 0.0
) -> Candidates:
    """Draw all candidates.

    Parameters
    ----------
    temperature : float > 0
        Of the network's own notes.
    calm : float
        Log odds against a first note.
    """
    n_rows = len(casts.source)
    drawn = Candidates(
        np.zeros((n_rows, N_PITCHES), np.bool_),
        np.full((n_rows, N_PITCHES), NO_DURATION, np.int8),
    )
    following = next_token_table(looks.drafts > 0)[:, FIRST:] - FIRST
    alive = np.arange(n_rows)
    sources, begun = np.unique(casts.source, return_inverse=True)
    none = np.full(len(sources), START)
    blank = np.zeros((len(sources), runtime.card.sizes.hidden), np.float32)
    beginnings = _Beginnings(sources, none, blank, np.full(len(sources), NO_DURATION))
    for index in range(MAX_NOTES_PER_STEP + 1):
        scores = runtime.note(_inputs(runtime, looks, beginnings))
        last = beginnings.last[begun]
        if index > 0:
            classes = softmax(scores["duration_logits"])[begun]
            drawn.durations[alive, last] = draw(classes, casts.uniforms[alive, index, 1])
        if index == MAX_NOTES_PER_STEP:
            break
        after = np.where(last == START, 0, last + 1)
        logits = (scores["logits"][begun, FIRST:] / temperature).astype(np.float32)
        probs = _note_probs(
            logits,
            scores["gate"][begun],
            following[casts.source[alive], after],
            looks.drafts[casts.source[alive], FIRST:] > 0,
            casts.shift[alive],
            looks.taste[looks.piece[casts.source[alive]]],
        )
        held: Notes = looks.held[looks.piece[casts.source[alive]]]
        probs[:, :END][held] = 0.0  # they are sounding already
        if index == 0:
            wakes = ~held.any(axis=1) & (probs[:, :END].sum(axis=1) > 0)
            probs[wakes, END] = 0.0
            probs[:, :END] *= np.float32(np.exp(-calm))
        note = draw(probs, casts.uniforms[alive, index, 0])
        going = note != END
        alive, note = alive[going], note[going]
        if len(alive) == 0:
            break
        drawn.onsets[alive, note] = True
        chord = np.full(len(alive), NO_DURATION)
        if index > 0:
            chord = drawn.durations[alive, last[going]].astype(np.int64)
        beginnings, begun = _continued(beginnings, begun[going], note, chord, scores["next_chosen"])
    return drawn


def _continued(
    beginnings: _Beginnings, begun: Indices, note: Indices, chord: Indices, chosen: Floats
) -> tuple[_Beginnings, Indices]:
    """Return the different continuations of beginnings by a note, and which one each is."""
    key = (begun * N_PITCHES + note) * (N_DURATIONS + 1) + chord
    _, first, continued = np.unique(key, return_index=True, return_inverse=True)
    parent = begun[first]
    return (
        _Beginnings(beginnings.source[parent], note[first], chosen[parent], chord[first]),
        continued,
    )


def _inputs(runtime: Runtime, looks: Looks, beginnings: _Beginnings) -> Arrays:
    """Return the inputs of the note part, a row for each beginning."""
    source = beginnings.source
    begins = beginnings.last == START
    token = np.where(begins, START, beginnings.last + FIRST)
    return note_inputs(len(source), runtime.card.sizes) | {
        "features": looks.out["step_features"][source],
        "token_bias": looks.out["step_token_bias"][source],
        "chosen": beginnings.chosen,
        "last_token": token,
        "draft_onsets": looks.drafts[source],
        "last_bass": looks.bass[looks.piece[source]],
        "draft_duration": looks.durations[source, np.where(begins, 0, token)].astype(np.int64),
        "chord_duration": beginnings.chord,
    }


def _note_probs(
    logits: Floats, gate: Floats, copied: Indices, draft: Notes, shift: Floats, taste: Floats
) -> Floats:
    """Mix the network's own notes with the draft's next one, of one voice.

    Parameters
    ----------
    logits : np.ndarray, shape=(n, 89)
    gate, shift : np.ndarray, shape=(n,)
    copied : np.ndarray, shape=(n,)
        The draft's next note or `END`.
    draft, taste : np.ndarray, shape=(n, 88)
        The draft's onsets; what is added to the logits of a pitch if there is to be a note.
    """
    own = logits
    own[:, :END] += held_back(draft, shift)
    probs = softmax(own)
    strikes = 1.0 - probs[:, END]
    tasted = own[:, :END] + taste
    tasted = np.exp(tasted - tasted.max(axis=1, keepdims=True))
    tasted *= (strikes / np.maximum(tasted.sum(axis=1), _TINY))[:, None]
    probs[:, :END] = tasted
    return mixed_probs(probs, gate, copied, shift)
