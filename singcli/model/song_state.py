"""One song while it is being sampled: its plan laid out step by step, and its history."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

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
from singcli.model.features import (
    TokenScore,
    place_features,
    source_steps,
    steps_a_bar_ago,
    token_chroma,
)
from singcli.model.plan import Given, Plan
from singcli.model.steering import row_errors
from singcli.music.dynamics import metrical_velocities
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT, Score
from singcli.structure.alignment import context_weights

Floats = npt.NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


class BeatView(NamedTuple):
    """What a beat is shown, (..., n): n steps of the beat, and where it says so the step after.

    `planes` (n + 1, 352) onsets, then sounding notes of the sources; `durations` (n, 176) classes
    of the sources' onsets; `following` (n, 177) from `next_token_table`; `bar_ago` (n + 1, 176)
    onsets; `context` (n, N_CONTEXT); `place` (n, N_PLACE); `grade` () similarity to the sources;
    `own_source`, `own_bar` () whether the step after looks back at the beat's own first step,
    which is not played yet.
    """

    planes: npt.NDArray[Any]
    durations: npt.NDArray[Any]
    following: npt.NDArray[Any]
    bar_ago: npt.NDArray[Any]
    context: npt.NDArray[Any]
    place: npt.NDArray[Any]
    grade: npt.NDArray[Any]
    own_source: npt.NDArray[Any]
    own_bar: npt.NDArray[Any]


class SongState:
    """A plan laid out step by step, and the history of its song."""

    def __init__(self, plan: Plan, card: ModelCard, n_beats: int) -> None:
        n_steps = n_beats * STEPS_PER_BEAT
        repeat_map = plan.repeat_map(card.continuation_bonus)
        self.plan = plan
        self._n_steps = len(plan.ssm) * STEPS_PER_BEAT
        self._grade = extended(repeat_map.grade, n_beats, 0)
        self._source = extended(source_steps(repeat_map.source), n_steps + 1, -1)
        self._bar_ago = extended(steps_a_bar_ago(plan.bar_beats), n_steps + 1, -1)
        place = place_features(
            plan.bar_beats, kind=plan.kind, mode=plan.mode, sections=plan.sections
        )
        self._place = extended(place, n_steps, 0)
        blank = plan.kind == "none"
        self._weights = (
            None if blank else context_weights(plan.ssm, temperature=card.context_temperature)
        )
        # History; its last row stays empty and is what step -1 means.
        self._planes = np.zeros((n_steps + 1, 2 * N_NOTE_TOKENS), np.float32)
        self._durations = np.full((n_steps + 1, N_NOTE_TOKENS), NO_DURATION, np.int8)
        self._chroma = np.zeros((n_beats, STEPS_PER_BEAT * N_CONTEXT), np.float32)
        self._features = np.zeros((n_beats, 0), np.float32)
        self.given = None if plan.given is None else GivenTokens(plan.given, n_steps)

    def view(self, beat: int) -> BeatView:
        """Return what the sampler is shown of this beat."""
        first = beat * STEPS_PER_BEAT
        steps = slice(first, first + STEPS_PER_BEAT)
        source = self._source[first : first + STEPS_PER_BEAT + 1]
        bar_ago = self._bar_ago[first : first + STEPS_PER_BEAT + 1]
        planes = self._planes[source]
        onsets = planes[:STEPS_PER_BEAT, :N_NOTE_TOKENS] > 0
        return BeatView(
            planes=planes,
            durations=self._durations[source[:STEPS_PER_BEAT]],
            following=next_token_table(onsets),
            bar_ago=self._planes[bar_ago, :N_NOTE_TOKENS],
            context=self._context(beat),
            place=self._place[steps],
            grade=self._grade[beat],
            own_source=np.asarray(source[-1] == first),
            own_bar=np.asarray(bar_ago[-1] == first),
        )

    def _context(self, beat: int) -> Floats:
        """Return the soft context of a beat's steps, shape=(STEPS_PER_BEAT, N_CONTEXT)."""
        if self._weights is None or not 0 < beat < len(self._weights):
            return np.zeros((STEPS_PER_BEAT, N_CONTEXT), np.float32)
        context: Floats = self._weights[beat, :beat] @ self._chroma[:beat]
        return context.reshape(STEPS_PER_BEAT, N_CONTEXT)

    def errors(self, beat: int, candidates: Floats) -> npt.NDArray[np.float64]:
        """Return how far each candidate's row of the SSM is from the plan's (`row_errors`)."""
        if not 0 < beat < len(self.plan.ssm):
            return np.zeros(len(candidates))
        return row_errors(candidates, self._features[:beat], self.plan.ssm[beat, :beat])

    def keep(
        self, beat: int, planes: Floats, durations: npt.NDArray[np.int8], features: Floats
    ) -> None:
        """Write a beat into the history.

        Parameters
        ----------
        planes : np.ndarray, shape=(STEPS_PER_BEAT, 352)
        durations : np.ndarray, shape=(STEPS_PER_BEAT, 176)
        features : np.ndarray, shape=(n_features,)
            Of `beat_features`.
        """
        steps = slice(beat * STEPS_PER_BEAT, (beat + 1) * STEPS_PER_BEAT)
        self._planes[steps], self._durations[steps] = planes, durations
        self._chroma[beat] = token_chroma(planes[:, N_NOTE_TOKENS:] > 0).ravel()
        if beat == 0:
            self._features = np.zeros((len(self._chroma), len(features)), np.float32)
        self._features[beat] = features

    def score(self) -> Score:
        """Return the history without the lead-in as a score, given notes in their own lengths."""
        step, token = np.nonzero(self._planes[: self._n_steps, :N_NOTE_TOKENS])
        duration = DURATIONS[self._durations[step, token]]
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
        plan = self.plan
        score = Score.from_notes(*columns, bar_beats=plan.bar_beats, tempo_bpm=plan.tempo_bpm)
        return score.bars(plan.lead_in_bars, score.n_bars) if plan.lead_in_bars else score


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
