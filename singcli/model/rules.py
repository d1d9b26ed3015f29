"""Rules that hold for a song whatever the network says: scale, limits, tune, ending.

Every rule is a mask of tokens or something added to the logits, so that what is drawn is still the
network's choice among what the rules leave. Given notes are above all rules.

Conventions
-----------
R rows; masks are (R, N_TOKENS), True where a token is allowed; pitches are in the reference key.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.model.contract import (
    DURATIONS,
    N_NOTE_TOKENS,
    N_TOKENS,
    STOP,
    TOKEN_PITCH,
    TOKEN_VOICE,
)
from singcli.model.limits import Limits
from singcli.model.plan import Plan, ScaleLock
from singcli.music.key import TRIADS, reference_key
from singcli.music.score import ACCOMPANIMENT, LEAD, STEPS_PER_BEAT

Bools = npt.NDArray[np.bool_]
Steps = npt.NDArray[np.int64]

MAX_NOTE_BARS = 4
MAX_FINAL_BASS = 57  # A3: the bass of the final chord is not above it where the range allows

NEVER = -1
IS_NOTE = np.arange(N_TOKENS) < STOP
IS_LEAD = np.append(TOKEN_VOICE == LEAD, False)
IS_ACCOMPANIMENT = np.append(TOKEN_VOICE == ACCOMPANIMENT, False)
_CLASS = np.append(TOKEN_PITCH % 12, 0)
_PITCH = np.append(TOKEN_PITCH, 0)


class SongRules(NamedTuple):
    """The rules of one song.

    Parameters
    ----------
    allowed : np.ndarray, shape=(N_TOKENS,), bool
        Tokens inside the ranges, and inside the scale where it is locked hard.
    foreign : np.ndarray, shape=(176,), bool
        Tokens outside the scale, where it is locked softly.
    polyphony : np.ndarray, shape=(2,), int64
        Most notes at once of each voice.
    tune_since : np.ndarray, shape=(n_steps,), int64
        First step of the stretch that is to have the tune, `NEVER` outside such stretches.
    longest : np.ndarray, shape=(n_steps,), int64
        Longest duration class of a note.
    final_step, final_stop : int
        First and last step (exclusive) of the final chord; `NEVER` without one.
    final, final_bass : np.ndarray, shape=(N_TOKENS,), bool
        Tokens of the final chord, and those that its lowest note can be.
    final_lead : bool
        Whether the final chord has a note of the lead.
    """

    allowed: Bools
    foreign: Bools
    polyphony: Steps
    tune_since: Steps
    longest: Steps
    final_step: int
    final_stop: int
    final: Bools
    final_bass: Bools
    final_lead: bool

    @classmethod
    def from_plan(
        cls, plan: Plan, n_steps: int, scale_lock: ScaleLock, overlap: npt.NDArray[np.floating]
    ) -> SongRules:
        """Return the rules of a plan.

        Parameters
        ----------
        n_steps : int
            Of the batch, at least as many as the plan has.
        overlap : np.ndarray, shape=(n_beats,)
            That each beat is to have with its source: a bar that is to be its source note for note
            is no final chord.
        """
        key = reference_key(plan.mode)
        inside = np.append(key.scale[TOKEN_PITCH % 12], True)
        allowed = _in_range(plan.limits)
        if scale_lock == "hard":
            allowed &= inside
        triad = np.isin((_CLASS - key.tonic) % 12, TRIADS[plan.mode])
        final = allowed & triad & IS_NOTE
        start, stop = final_bar(plan)
        if start != NEVER and (overlap[start] >= 1 or not (final & IS_ACCOMPANIMENT).any()):
            start = stop = NEVER
        tune_since = _tune_since(plan, n_steps)
        first = start * STEPS_PER_BEAT if start != NEVER else NEVER
        return cls(
            allowed=allowed,
            foreign=~inside[:N_NOTE_TOKENS] & (scale_lock == "soft"),
            polyphony=np.array([plan.limits.polyphony.lead, plan.limits.polyphony.accompaniment]),
            tune_since=tune_since,
            longest=_longest_classes(plan, n_steps),
            final_step=first,
            final_stop=stop * STEPS_PER_BEAT if start != NEVER else NEVER,
            final=final,
            final_bass=_final_bass(final, key.tonic),
            final_lead=first != NEVER and tune_since[first] != NEVER,
        )


def final_bar(plan: Plan) -> tuple[int, int]:
    """Return the beats between which the final chord stands; `NEVER` if there is to be none.

    That is the last bar; with a matrix of music the last one that sounds on its first beat.
    """
    if not plan.ending:
        return NEVER, NEVER
    starts = plan.bar_beats[:-1].astype(np.int64)
    sounding = np.ones(len(starts), np.bool_)
    if plan.kind == "music":
        sounding = np.diagonal(plan.ssm)[starts] > 0
    bars = np.flatnonzero(sounding)
    bars = bars[bars > plan.lead_in_bars]
    if len(bars) == 0:
        return NEVER, NEVER
    bar = int(bars[-1])
    return int(plan.bar_beats[bar]), int(plan.bar_beats[bar + 1])


def _in_range(limits: Limits) -> Bools:
    low = np.where(IS_LEAD, limits.lead.low, limits.accompaniment.low)
    high = np.where(IS_LEAD, limits.lead.high, limits.accompaniment.high)
    inside: Bools = (low <= _PITCH) & (high >= _PITCH) | ~IS_NOTE
    return inside


def _final_bass(final: Bools, tonic: int) -> Bools:
    """Return the tokens of the tonic in the bass; wherever it is, if not down there."""
    found: Bools = final & IS_ACCOMPANIMENT
    for narrower in (np.equal(_CLASS, tonic), _PITCH <= MAX_FINAL_BASS):
        if (found & narrower).any():
            found = found & narrower
    return found


def _tune_since(plan: Plan, n_steps: int) -> Steps:
    since = np.full(n_steps, NEVER, np.int64)
    before = NEVER
    for section in plan.sections:
        bars = section.start_bar, section.start_bar + section.n_bars
        first, stop = (
            int(beat) * STEPS_PER_BEAT
            for beat in plan.bar_beats[np.clip(bars, 0, len(plan.bar_beats) - 1)]
        )
        before = (first if before == NEVER else before) if section.tune else NEVER
        since[first:stop] = before
    return since


def _longest_classes(plan: Plan, n_steps: int) -> Steps:
    steps = np.repeat(np.diff(plan.bar_beats), np.diff(plan.bar_beats) * STEPS_PER_BEAT)
    longest = np.searchsorted(DURATIONS, MAX_NOTE_BARS * STEPS_PER_BEAT * steps, side="right") - 1
    return np.pad(longest, (0, n_steps - len(longest)), constant_values=len(DURATIONS) - 1)
