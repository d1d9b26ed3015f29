"""One decision of the sampler in numpy, slow and plain: what the compiled one is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from kernel_rows import KINDS, Choice, Note

from singcli.model.choice import held_back, mixed_probs, next_token_table, softmax
from singcli.model.contract import DURATIONS, N_NOTE_TOKENS, N_TOKENS, START, STOP
from singcli.model.kernel import WAKING
from singcli.model.rule_keeping import (
    LEAP_ODDS,
    MOST_TUNE,
    OCTAVE,
    RESTRIKE_ODDS,
    TUNE_GAIN,
    TUNE_PATIENCE_BEATS,
)
from singcli.model.rules import IS_LEAD, NEVER, SongRules
from singcli.music.score import ACCOMPANIMENT, N_PITCHES, N_VOICES, STEPS_PER_BEAT

Array = npt.NDArray[Any]

_LEAD_PITCHES = np.arange(N_PITCHES)[::-1]
_TOKENS = np.arange(N_TOKENS)


def token_probs(choice: Choice) -> Array:
    """Return how likely each token is, shape=(N_TOKENS,)."""
    after = 0 if choice.last == START else choice.last + 1
    shift = np.array([choice.shift], np.float32)
    reachable = choice.draft & choice.rules.allowed[:N_NOTE_TOKENS]
    copied = next_token_table(reachable[None])[:, after]
    probs = mixed_probs(own_probs(choice)[None], np.float32([choice.gate]), copied, shift)[0]
    first = choice.last == START and choice.step % STEPS_PER_BEAT == 0
    asleep = choice.sound == WAKING and not choice.held.any()
    if first and asleep and probs[:STOP].sum() > 0:
        probs[STOP] = 0.0
    probs = kept_probs(allowed_probs(probs, choice), choice.top_p.values)
    if choice.given is not None:
        given = choice.given.following[choice.step, after]
        on_the_way = (after <= _TOKENS) & (given > _TOKENS) & choice.given.free[choice.step]
        probs = np.where(on_the_way | (given == _TOKENS), probs, 0)
        probs[given] = 1.0 if probs.sum() <= 0 else probs[given]
    return probs / probs.sum()


def own_probs(choice: Choice) -> Array:
    """Return what the network itself would play: a kind of note, then a pitch of that kind."""
    to_kind = np.append(odds(choice), np.float32(0))
    within = to_kind + np.append(taste(choice), np.float32(0))
    count = np.float32(choice.temperature.count)
    share = softmax((choice.logits / count + to_kind)[None])[0]
    probs = np.zeros(N_TOKENS, np.float32)
    for kind, temperature in zip(KINDS, choice.temperature.values, strict=False):
        if share[kind].sum() > 0:
            logits = choice.logits[kind] / np.float32(temperature) + within[kind]
            probs[kind] = share[kind].sum() * softmax(logits[None])[0]
    return probs


def odds(choice: Choice) -> Array:
    """Return what is added to the logits of notes for whether a voice strikes, shape=(176,)."""
    odds = choice.density_pull + choice.attraction
    odds = odds + held_back(choice.draft, np.array([choice.shift]))[0]
    since = choice.rules.tune_since[choice.step]
    silent_beats = (choice.step - max(since, choice.lead_step)) / STEPS_PER_BEAT
    if since != NEVER:
        odds[:N_PITCHES] += np.clip(TUNE_GAIN * (silent_beats - TUNE_PATIENCE_BEATS), 0, MOST_TUNE)
    return odds.astype(np.float32)


def taste(choice: Choice) -> Array:
    """Return what speaks for one pitch rather than another of its voice, shape=(176,)."""
    taste = choice.pitch_pull + choice.sounded * np.repeat(RESTRIKE_ODDS, N_PITCHES)
    if choice.lead < N_PITCHES:
        taste[:N_PITCHES] += LEAP_ODDS * (np.abs(_LEAD_PITCHES - choice.lead) > OCTAVE)
    return taste.astype(np.float32)


def allowed_probs(probs: Array, choice: Choice) -> Array:
    """Leave the allowed tokens; a row with nothing left stops, or plays what it must."""
    rules = choice.rules
    is_final = choice.step == rules.final_step
    allowed = of_final_chord(choice) if is_final else rules.allowed.copy()
    for voice in range(N_VOICES):
        if choice.n_struck[voice] >= rules.polyphony[voice]:
            allowed[KINDS[voice]] = False
    if (probs * allowed).sum() > 0:
        return probs * allowed
    if allowed[STOP] or not allowed.any():
        return (_TOKENS == STOP).astype(np.float32)
    return allowed.astype(np.float32)


def of_final_chord(choice: Choice) -> Array:
    """Return the tokens of a final chord: a note of the lead first, the tonic in the bass."""
    rules = choice.rules
    allowed = rules.final.copy()
    allowed[STOP] = True
    if rules.final_lead and choice.last == START and allowed[KINDS[0]].any():
        allowed &= IS_LEAD
    elif choice.n_struck[ACCOMPANIMENT] == 0:
        allowed &= rules.final_bass | IS_LEAD
    return allowed & ((NEVER if choice.last == START else choice.last) < _TOKENS)


def kept_probs(probs: Array, top_p: tuple[float, ...]) -> Array:
    """Keep the likeliest kinds of note, and the likeliest pitches of each."""
    lead, accompaniment, count = top_p[:3]
    of_kind = np.array([probs[kind].sum() for kind in KINDS])
    is_kept = nucleus(of_kind / of_kind.sum(), count) > 0
    kept = np.zeros_like(probs)
    for index, (kind, own) in enumerate(zip(KINDS, (lead, accompaniment, 1.0), strict=True)):
        if is_kept[index] and of_kind[index] > 0:
            kept[kind] = nucleus(probs[kind] / of_kind[index], own) * of_kind[index]
    return kept


def nucleus(probs: Array, top_p: float) -> Array:
    """Keep the likeliest choices that together reach `top_p` (Holtzman et al. 2020)."""
    if top_p >= 1:
        return probs
    descending = -np.sort(-probs)
    before = np.cumsum(descending) - descending
    smallest = descending[np.count_nonzero(before < top_p) - 1]
    return np.where(probs >= smallest, probs, 0)


def class_probs(note: Note) -> tuple[Array, Array]:
    """Return how likely each class of duration and of velocity is."""
    rules, pulled = note.rules, note.duration_logits + note.length_pull
    found = []
    for logits, draft, kind in (
        (pulled, note.draft_duration, 3),
        (note.velocity_logits, note.draft_velocity, 4),
    ):
        logits = logits / np.float32(note.temperature.values[kind])
        is_draft = np.arange(len(logits)) == draft
        if np.isinf(note.shift) and note.shift > 0 and is_draft.any():
            probs = is_draft.astype(np.float32)
        else:
            favour = max(note.shift, 0) if np.isfinite(note.shift) else 0.0
            probs = softmax((logits + is_draft * np.float32(favour))[None])[0]
            probs = nucleus(probs, note.top_p.values[kind])
        found.append(probs / probs.sum())
    limited = np.minimum(np.arange(len(DURATIONS)), rules.longest[note.step])
    if note.step == rules.final_step:
        whole = np.searchsorted(DURATIONS, rules.final_stop - rules.final_step, side="left")
        limited[:] = min(whole, len(DURATIONS) - 1)
    durations = np.bincount(limited, found[0], minlength=len(DURATIONS))
    if note.given is None or note.given.free[note.step, note.token]:
        return durations, found[1]
    of_given = note.given.durations, note.given.velocities
    return tuple(  # certain
        (np.arange(len(probs)) == classes[note.step, note.token]).astype(np.float64)
        for probs, classes in zip(found, of_given, strict=True)
    )


def release(remaining: Array, struck: Array, rules: SongRules) -> Array:
    """Return what is left of the steps that notes go on to sound, both (176,)."""
    left = remaining.copy()
    for kind, most in zip(KINDS, rules.polyphony, strict=False):
        surplus = np.count_nonzero(remaining[kind]) - most
        held = np.flatnonzero((remaining[kind] > 0) & ~struck[kind])
        order = held[np.argsort(remaining[kind][held], kind="stable")]
        left[kind.start or 0 :][order[: max(surplus, 0)]] = 0
    return left
