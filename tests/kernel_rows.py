"""One decision of the compiled sampler in thousands of rows alike: what they draw, and how often.

Of n rows the i-th draws with the random number (i + 0.5) / n, so k rows that draw the same mean a
probability within 1 / n of k / n. No network is needed: its outputs are filled in.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.model.contract import (
    BARS_AGO,
    MAX_NOTES_PER_STEP,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_TOKENS,
    N_VELOCITIES,
    NO_BASS,
    NO_DURATION,
    NO_LEAD,
    NO_VELOCITY,
    START,
    STOP,
)
from singcli.model.decisions import PerDecision
from singcli.model.features import ENDINGS_AT_FIRST, ENDINGS_PACE, LEAD_AGES
from singcli.model.kernel import Batch
from singcli.model.layout import GivenTokens
from singcli.model.rule_keeping import RuleKeeper
from singcli.model.rules import NEVER, SongRules
from singcli.music.score import N_PITCHES, N_VOICES, STEPS_PER_BEAT

Array = npt.NDArray[Any]

N_ROWS = 4000
N_STEPS = 8
GRID = (np.arange(N_ROWS) + 0.5) / N_ROWS
WITHIN = 1.01 / N_ROWS + 2e-6  # that a share of rows may be from a probability
KINDS = (slice(N_PITCHES), slice(N_PITCHES, N_NOTE_TOKENS), slice(STOP, N_TOKENS))
NEVER_COPIES = -60.0  # log odds
LONG_AGO = -(10**6)
ONE = PerDecision.of(1.0)
NO_RULES = SongRules(
    allowed=np.ones(N_TOKENS, np.bool_),
    foreign=np.zeros(N_NOTE_TOKENS, np.bool_),
    polyphony=np.full(N_VOICES, N_PITCHES),
    tune_since=np.full(N_STEPS, NEVER),
    longest=np.full(N_STEPS, N_DURATIONS - 1),
    final_step=NEVER,
    final_stop=NEVER,
    final=np.zeros(N_TOKENS, np.bool_),
    final_bass=np.zeros(N_TOKENS, np.bool_),
    final_lead=False,
)


no_token = functools.partial(np.zeros, N_TOKENS, np.float32)
no_note = functools.partial(np.zeros, N_NOTE_TOKENS, np.float32)
no_onset = functools.partial(np.zeros, N_NOTE_TOKENS, np.bool_)
no_duration = functools.partial(np.zeros, N_DURATIONS, np.float32)
no_velocity = functools.partial(np.zeros, N_VELOCITIES, np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class Choice:
    """All that bears on which token is next; arrays as in kernel.h, of one row."""

    logits: Array = field(default_factory=no_token)
    gate: float = NEVER_COPIES
    shift: float = 0.0
    draft: Array = field(default_factory=no_onset)
    attraction: Array = field(default_factory=no_note)
    density_pull: float = 0.0
    pitch_pull: Array = field(default_factory=no_note)
    held: Array = field(default_factory=no_onset)
    sounded: Array = field(default_factory=no_onset)
    lead: int = NO_LEAD
    lead_step: int = LONG_AGO
    sound: int = 0
    step: int = 0
    last: int = START
    n_struck: tuple[int, int] = (0, 0)
    temperature: PerDecision = ONE
    top_p: PerDecision = ONE
    rules: SongRules = NO_RULES
    given: GivenTokens | None = None

    def drawn(self, uniforms: Array) -> Array:
        """Return the token that each random number draws."""
        n, place = len(uniforms), self.step % STEPS_PER_BEAT
        batch = batch_of([self.rules], n, self.temperature, self.top_p, self.given)
        batch.draft[place, :, :N_NOTE_TOKENS] = self.draft
        batch.attraction[place] = self.attraction
        batch.remaining[:] = 2 * self.held  # steps, of which the first is the one before
        for name in ("shift", "density_pull", "pitch_pull", "sounded", "lead", "lead_step"):
            getattr(batch, name)[:] = getattr(self, name)
        batch.sound[:] = self.sound
        batch.begin_step(self.step, place)
        assert batch.begin_notes(self.step, place) == n
        batch.logits[:], batch.gate[:] = self.logits, self.gate
        batch.last_token[:], batch.n_struck[:] = self.last, self.n_struck
        batch.uniforms[:, place, 0] = uniforms
        going = batch.decide(self.step, place, 0, n)
        token = np.full(n, STOP)
        token[batch.alive[:going]] = batch.last_token[:going]
        return token

    def shares(self) -> Array:
        """Return how often each token is drawn, shape=(N_TOKENS,)."""
        return np.bincount(self.drawn(GRID), minlength=N_TOKENS) / N_ROWS


@dataclass(frozen=True, eq=False, repr=False)
class Note:
    """All that bears on how long and how loud a note is."""

    duration_logits: Array = field(default_factory=no_duration)
    velocity_logits: Array = field(default_factory=no_velocity)
    draft_duration: int = NO_DURATION
    draft_velocity: int = NO_VELOCITY
    shift: float = 0.0
    length_pull: Array = field(default_factory=no_duration)
    step: int = 0
    token: int = 40
    temperature: PerDecision = ONE
    top_p: PerDecision = ONE
    rules: SongRules = NO_RULES
    given: GivenTokens | None = None

    def drawn(self, uniforms: Array) -> tuple[Array, Array]:
        """Return the classes of duration and velocity that each random number draws."""
        n, place = len(uniforms), self.step % STEPS_PER_BEAT
        batch = batch_of([self.rules], n, self.temperature, self.top_p, self.given)
        batch.shift[:], batch.length_pull[:] = self.shift, self.length_pull
        batch.begin_step(self.step, place)
        assert batch.begin_notes(self.step, place) == n
        batch.last_token[:] = self.token
        for name in ("duration_logits", "velocity_logits", "draft_duration", "draft_velocity"):
            getattr(batch, name)[:] = getattr(self, name)
        batch.uniforms[:, place, -2:] = uniforms[:, None]
        assert batch.decide(self.step, place, MAX_NOTES_PER_STEP, n) == 0  # the last note there is
        durations, velocities = (
            array[place, :, self.token].astype(np.int64)
            for array in (batch.durations, batch.velocities)
        )
        voice = self.token // N_PITCHES
        np.testing.assert_array_equal(batch.voice_velocity[:, voice], velocities)
        np.testing.assert_array_equal(
            batch.remaining[:, self.token], batch.durations_in_steps[durations]
        )
        return durations, velocities

    def shares(self) -> tuple[Array, Array]:
        """Return how often each class of duration and of velocity is drawn."""
        durations, velocities = self.drawn(GRID)
        return (
            np.bincount(durations, minlength=N_DURATIONS) / N_ROWS,
            np.bincount(velocities, minlength=N_VELOCITIES) / N_ROWS,
        )


def batch_of(
    rules: Sequence[SongRules],
    candidates: int = 1,
    temperature: PerDecision = ONE,
    top_p: PerDecision = ONE,
    given: GivenTokens | None = None,
    *,
    width: int = 1,
) -> Batch:
    """A batch as the sampler begins with, `given` in its first song."""
    batch = Batch(
        *(len(rules), candidates, len(rules[0].longest)), chosen_width=width, features_width=width
    )
    RuleKeeper(batch, rules)
    batch.temperature[:], batch.top_p[:] = temperature.values, top_p.values
    batch.lead_ages[:], batch.endings_pace[:] = LEAD_AGES, ENDINGS_PACE
    batch.voice_velocity[:] = NO_VELOCITY
    batch.durations[:], batch.velocities[:] = NO_DURATION, NO_VELOCITY
    batch.draft_durations[:], batch.draft_velocities[:] = NO_DURATION, NO_VELOCITY
    batch.lead[:], batch.bass[:] = NO_LEAD, NO_BASS
    batch.lead_step[:] = batch.heard_step[:] = LONG_AGO
    batch.endings[:] = ENDINGS_AT_FIRST
    batch.source[:] = -1
    look_bars_ago(batch, np.full((len(rules), len(rules[0].longest) + 1, len(BARS_AGO)), -1))
    for name in ("free", "following", "durations", "velocities") if given else ():
        getattr(batch, f"given_{name}")[0] = getattr(given, name).ctypes.data
    return batch


def look_bars_ago(batch: Batch, steps: Array) -> None:
    """Tell a batch which steps are bars ago, shape=(n_songs, n_steps + 1, len(BARS_AGO))."""
    batch.kept_alive = steps  # the batch has nothing but addresses
    batch.bars_ago_steps[:] = [song.ctypes.data for song in steps]


def leaning(batch: Batch, step: int) -> tuple[Array, Array]:
    """What a step adds to the logits: to whether a voice strikes; beyond that to the pitches."""
    batch.begin_step(step, step % STEPS_PER_BEAT)
    assert batch.begin_notes(step, step % STEPS_PER_BEAT) == len(batch.added)
    return batch.added.copy(), batch.added_within - batch.added


def random_logits(seed: int = 1, scale: float = 2.0) -> Array:
    return np.random.default_rng(seed).normal(0, scale, N_TOKENS).astype(np.float32)


def of_kinds(probs: Array) -> Array:
    """How likely a note of the lead, of the accompaniment, and the end of the step are."""
    return np.array([probs[kind].sum() for kind in KINDS])
