"""One song while it is being sampled: its plan laid out step by step, and its history."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from singcli.model.choice import next_token_table
from singcli.model.contract import (
    DURATIONS,
    N_CONTEXT,
    N_NOTE_TOKENS,
    NO_DURATION,
    TOKEN_PITCH,
    TOKEN_VOICE,
    ModelCard,
)
from singcli.model.features import TokenScore, place_features, source_steps, steps_a_bar_ago
from singcli.model.plan import Given, Plan
from singcli.music.dynamics import metrical_velocities
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT, Score
from singcli.structure.alignment import context_weights

Floats = npt.NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


class SongState:
    """A plan laid out step by step, and the history of its song."""

    def __init__(self, plan: Plan, card: ModelCard, n_beats: int) -> None:
        n_steps = n_beats * STEPS_PER_BEAT
        repeat_map = plan.repeat_map(card.continuation_bonus)
        self.plan = plan
        self.n_steps = len(plan.ssm) * STEPS_PER_BEAT
        self.grade = extended(repeat_map.grade, n_beats, 0)
        self.source = extended(source_steps(repeat_map.source), n_steps + 1, -1)
        self.bar_ago = extended(steps_a_bar_ago(plan.bar_beats), n_steps + 1, -1)
        place = place_features(plan.bar_beats, kind=plan.kind, mode=plan.mode)
        self.place = extended(place, n_steps, 0)
        blank = plan.kind == "none"
        self.weights = (
            None if blank else context_weights(plan.ssm, temperature=card.context_temperature)
        )
        # History; the row before the last stays empty and is what step -1 means.
        self.onsets = np.zeros((n_steps + 2, N_NOTE_TOKENS), np.bool_)
        self.sounding = np.zeros_like(self.onsets)
        self.durations = np.full(self.onsets.shape, NO_DURATION, np.int8)
        self.chroma = np.zeros((n_beats, STEPS_PER_BEAT * N_CONTEXT), np.float32)
        self.features: Floats | None = None
        self.given = None if plan.given is None else GivenTokens(plan.given, n_steps)

    def context(self, beat: int) -> Floats:
        """Return the soft context of a beat's steps, shape=(STEPS_PER_BEAT, N_CONTEXT)."""
        if self.weights is None or not 0 < beat < len(self.weights):
            return np.zeros((STEPS_PER_BEAT, N_CONTEXT), np.float32)
        context: Floats = self.weights[beat, :beat] @ self.chroma[:beat]
        return context.reshape(STEPS_PER_BEAT, N_CONTEXT)

    def score(self) -> Score:
        """Return the history as a score, given notes in their own lengths."""
        step, token = np.nonzero(self.onsets[: self.n_steps])
        duration = DURATIONS[self.durations[step, token]]
        voice, pitch = TOKEN_VOICE[token], TOKEN_PITCH[token]
        velocity = metrical_velocities(step, voice, self.plan.bar_beats)
        columns: list[npt.NDArray[Any]] = [step, voice, pitch, duration, velocity]
        if self.plan.given is not None:
            given = self.plan.given
            forced = given.mask[step, voice]
            kept = given.mask[given.score.step, given.score.voice]
            names = ("step", "voice", "pitch", "duration", "velocity")
            columns = [
                np.concatenate([column[~forced], getattr(given.score, name)[kept]])
                for name, column in zip(names, columns, strict=True)
            ]
        return Score.from_notes(
            *columns, bar_beats=self.plan.bar_beats, tempo_bpm=self.plan.tempo_bpm
        )


class GivenTokens:
    """Given notes step by step, as the decisions need them."""

    def __init__(self, given: Given, n_steps: int) -> None:
        mask = extended(given.mask, n_steps, 0).astype(np.bool_)
        tokens = TokenScore.from_score(given.score)
        by_token = np.repeat(mask, N_PITCHES, axis=1)
        onsets = extended(tokens.onsets, n_steps, 0).astype(np.bool_) & by_token
        self.free = np.concatenate([~by_token, np.ones((n_steps, 1), np.bool_)], axis=1)
        self.following = next_token_table(onsets)
        self.durations = extended(tokens.duration_map, n_steps, NO_DURATION)


def extended(array: npt.NDArray[Value], length: int, fill: int) -> npt.NDArray[Value]:
    """Return the array with rows of `fill` behind it, up to `length` rows."""
    extended = np.full((length, *array.shape[1:]), fill, array.dtype)
    extended[: len(array)] = array
    return extended
