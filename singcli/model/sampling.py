"""Sampling: plans and seeds in, scores in the reference key out, many songs at once.

Conventions
-----------
S songs, M candidates a song, R = S * M rows (song by song). A beat is sampled for all rows, then
one candidate of each song is kept and becomes its history. Every song draws from its own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.model import choice
from singcli.model.contract import (
    DURATIONS,
    MAX_NOTES_PER_STEP,
    N_NOTE_TOKENS,
    N_TOKENS,
    NO_DURATION,
    NO_LEAD,
    START,
    STOP,
    step_inputs,
)
from singcli.model.features import (
    lead_age,
    roll_from_tokens,
    token_chroma,
)
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.song_state import SongState
from singcli.model.steering import choose_candidate, row_errors
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT, Score
from singcli.structure.ssm import beat_features

Floats = npt.NDArray[np.float32]
Roll = npt.NDArray[np.bool_]

_DRAWS_PER_STEP = 2 * (MAX_NOTES_PER_STEP + 1)  # a token and a duration


def sample_scores(
    runtime: Runtime,
    plans: Sequence[Plan],
    seeds: Sequence[int | np.random.SeedSequence],
    options: SamplingOptions,
    *,
    on_beat: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Score]:
    """Sample one song for each plan and seed.

    Parameters
    ----------
    on_beat : callable
        Called with the beats done and their number.

    Returns
    -------
    list of Score
        In C major or A minor, as long as their plans.
    """
    if not plans:
        return []
    sampler = _Sampler(runtime, plans, seeds, options)
    n_beats = max(len(plan.ssm) for plan in plans)
    for beat in range(n_beats):
        sampler.sample_beat(beat)
        on_beat(beat + 1, n_beats)
    return sampler.scores()


class _Sampler:
    """The state of all rows, beat after beat."""

    def __init__(
        self,
        runtime: Runtime,
        plans: Sequence[Plan],
        seeds: Sequence[int | np.random.SeedSequence],
        options: SamplingOptions,
    ) -> None:
        self.runtime, self.options = runtime, options
        n_beats = max(len(plan.ssm) for plan in plans)
        self.songs = [SongState(plan, runtime.card, n_beats) for plan in plans]
        self.rngs = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self.m = options.candidates
        n_rows = len(self.songs) * self.m
        self.rows = np.arange(n_rows)
        self.song_of_row = np.repeat(np.arange(len(self.songs)), self.m)
        self.has_given = any(song.given for song in self.songs)
        # What a row carries from step to step.
        self.hidden = step_inputs(n_rows, runtime.card.sizes)["hidden"]
        self.cell = np.zeros_like(self.hidden)
        self.previous = np.zeros((n_rows, N_NOTE_TOKENS), np.bool_)
        self.remaining = np.zeros((n_rows, N_NOTE_TOKENS), np.int32)
        self.lead = np.full(n_rows, NO_LEAD, np.int64)
        self.lead_step = np.full(n_rows, -(10**6), np.int64)
        # What its current beat holds.
        beat_shape = (n_rows, STEPS_PER_BEAT, N_NOTE_TOKENS)
        self.onsets = np.zeros(beat_shape, np.bool_)
        self.sounding = np.zeros(beat_shape, np.bool_)
        self.durations = np.full(beat_shape, NO_DURATION, np.int8)

    def scores(self) -> list[Score]:
        """Return the finished songs."""
        return [song.score() for song in self.songs]

    def sample_beat(self, beat: int) -> None:
        """Sample a beat for all rows, keep one candidate of each song."""
        self.onsets[:], self.sounding[:], self.durations[:] = False, False, NO_DURATION
        context = np.stack([song.context(beat) for song in self.songs])
        grade = np.array([song.grade[beat] for song in self.songs], np.float32)[self.song_of_row]
        shift = choice.copy_shift(self.options.strictness, grade)
        uniforms = self._uniforms()
        for place in range(STEPS_PER_BEAT):
            step = beat * STEPS_PER_BEAT + place
            draft = self._past("source", step, beat)
            inputs = self._inputs(step, beat, draft, context[:, place], grade)
            out = self.runtime.step(inputs)
            self.hidden, self.cell = out["next_hidden"], out["next_cell"]
            np.maximum(self.remaining - 1, 0, out=self.remaining)
            self._sample_step(step, place, draft, out, inputs, shift, uniforms[:, place])
        self._keep_one(beat)

    def _uniforms(self) -> npt.NDArray[np.float64]:
        """Draw a beat's random numbers, shape=(R, STEPS_PER_BEAT, draws)."""
        shape = (self.m, STEPS_PER_BEAT, _DRAWS_PER_STEP)
        return np.concatenate([rng.random(shape) for rng in self.rngs])

    def _past(self, which: str, step: int, beat: int) -> _Past:
        """Return what each row played at its `source` or `bar_ago` step of `step`."""
        first = beat * STEPS_PER_BEAT
        at = [int(getattr(song, which)[step]) for song in self.songs]
        onsets = np.stack([song.onsets[a] for song, a in zip(self.songs, at, strict=True)])
        sounding = np.stack([song.sounding[a] for song, a in zip(self.songs, at, strict=True)])
        durations = np.stack([song.durations[a] for song, a in zip(self.songs, at, strict=True)])
        past = _Past(*(a[self.song_of_row] for a in (onsets, sounding, durations)))
        for index, a in enumerate(at):
            if a >= first:  # inside the beat that is being sampled
                rows = slice(index * self.m, (index + 1) * self.m)
                past.onsets[rows] = self.onsets[rows, a - first]
                past.sounding[rows] = self.sounding[rows, a - first]
                past.durations[rows] = self.durations[rows, a - first]
        return past

    def _inputs(
        self, step: int, beat: int, draft: _Past, context: Floats, grade: Floats
    ) -> dict[str, npt.NDArray[np.generic]]:
        following = self._past("source", step + 1, beat)
        bar_ago = self._past("bar_ago", step, beat).onsets
        next_bar_ago = self._past("bar_ago", step + 1, beat).onsets
        place = np.stack([song.place[step] for song in self.songs])
        carried = self.remaining > 1
        return {
            "previous": self.previous.astype(np.float32),
            "carried": carried.astype(np.float32),
            "draft": draft.planes(),
            "next_draft": following.planes(),
            "bar_ago": np.concatenate([bar_ago, next_bar_ago], axis=1).astype(np.float32),
            "context": context[self.song_of_row],
            "place": place[self.song_of_row],
            "grade": np.stack([grade, draft.onsets.any(axis=1)], axis=1).astype(np.float32),
            "lead": self.lead,
            "lead_age": lead_age(step - self.lead_step)[:, None],
            "hidden": self.hidden,
            "cell": self.cell,
        }

    def _sample_step(
        self,
        step: int,
        place: int,
        draft: _Past,
        out: dict[str, Floats],
        inputs: dict[str, npt.NDArray[np.generic]],
        shift: Floats,
        uniforms: npt.NDArray[np.float64],
    ) -> None:
        """Draw notes for every row until it stops."""
        following = choice.next_token_table(draft.onsets)
        alive = self.rows
        chosen = np.zeros((len(alive), self.runtime.card.sizes.hidden), np.float32)
        last = np.full(len(alive), START, np.int64)
        last_duration = np.full(len(alive), NO_DURATION, np.int64)
        for index in range(MAX_NOTES_PER_STEP + 1):
            scores = self.runtime.note(
                {
                    "features": out["step_features"][alive],
                    "token_bias": out["step_token_bias"][alive],
                    "chosen": chosen,
                    "last_token": last,
                    "draft_onsets": inputs["draft"][alive, :N_NOTE_TOKENS],
                    "last_lead": inputs["lead"][alive],
                    "draft_duration": last_duration,
                }
            )
            draws = uniforms[alive, 2 * index : 2 * index + 2]
            if index > 0:
                self._end_notes(step, place, alive, last, last_duration, scores, shift, draws[:, 1])
            if index == MAX_NOTES_PER_STEP:
                break
            token = self._token(step, alive, last, following, scores, shift, draws[:, 0])
            going = token != STOP
            alive, last = alive[going], token[going]
            if len(alive) == 0:
                break
            chosen = scores["next_chosen"][going]
            last_duration = draft.durations[alive, last].astype(np.int64)
            self.onsets[alive, place, last] = True
        self.sounding[:, place] = self.remaining > 0
        self._follow_lead(step, place)
        self.previous = self.onsets[:, place].copy()

    def _token(
        self,
        step: int,
        alive: npt.NDArray[np.intp],
        last: npt.NDArray[np.int64],
        following: npt.NDArray[np.int64],
        scores: dict[str, Floats],
        shift: Floats,
        uniform: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.int64]:
        """Draw the next token of each row that goes on."""
        after = np.where(last == START, 0, last + 1)
        probs = choice.note_probs(
            scores["logits"],
            scores["gate"],
            following[alive, after],
            shift=shift[alive],
            temperature=self.options.temperature,
        )
        probs = choice.nucleus(probs, self.options.top_p)
        if self.has_given:
            free, given = self._given(step, alive, after)
            probs = choice.restrict(probs, after - 1, free, given)
        return choice.draw(probs, uniform)

    def _given(
        self, step: int, alive: npt.NDArray[np.intp], after: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Return which tokens are free and which is given next, row by row."""
        free = np.ones((len(alive), N_TOKENS), np.bool_)
        given = np.full(len(alive), STOP, np.int64)
        for position, row in enumerate(alive):
            tokens = self.songs[self.song_of_row[row]].given
            if tokens is not None:
                free[position] = tokens.free[step]
                given[position] = tokens.following[step, after[position]]
        return free, given

    def _end_notes(
        self,
        step: int,
        place: int,
        alive: npt.NDArray[np.intp],
        token: npt.NDArray[np.int64],
        draft_duration: npt.NDArray[np.int64],
        scores: dict[str, Floats],
        shift: Floats,
        uniform: npt.NDArray[np.float64],
    ) -> None:
        """Draw how long the rows' latest notes last."""
        probs = choice.duration_probs(
            scores["duration_logits"],
            draft_duration,
            shift=shift[alive],
            temperature=self.options.temperature,
        )
        duration = choice.draw(choice.nucleus(probs, self.options.top_p), uniform)
        if self.has_given:
            for position, row in enumerate(alive):
                tokens = self.songs[self.song_of_row[row]].given
                if tokens is not None and not tokens.free[step, token[position]]:
                    duration[position] = tokens.durations[step, token[position]]
        self.durations[alive, place, token] = duration
        self.remaining[alive, token] = DURATIONS[duration]

    def _follow_lead(self, step: int, place: int) -> None:
        """Remember each row's last lead note, the highest of its onset."""
        lead = self.onsets[:, place, :N_PITCHES]
        struck = lead.any(axis=1)
        self.lead = np.where(struck, N_PITCHES - 1 - lead.argmax(axis=1), self.lead)
        self.lead_step = np.where(struck, step, self.lead_step)

    def _keep_one(self, beat: int) -> None:
        """Choose a candidate of each song, write it into the history, spread its state."""
        onsets, sounding = roll_from_tokens(self.onsets), roll_from_tokens(self.sounding)
        features = beat_features(onsets, sounding)[:, 0]
        kept = np.empty(len(self.songs), np.int64)
        steps = slice(beat * STEPS_PER_BEAT, (beat + 1) * STEPS_PER_BEAT)
        for index, song in enumerate(self.songs):
            rows = slice(index * self.m, (index + 1) * self.m)
            kept[index] = index * self.m + self._choose(index, beat, features[rows])
            row = kept[index]
            if song.features is None:
                song.features = np.zeros((len(song.chroma), features.shape[1]), np.float32)
            song.features[beat] = features[row]
            song.onsets[steps] = self.onsets[row]
            song.sounding[steps] = self.sounding[row]
            song.durations[steps] = self.durations[row]
            song.chroma[beat] = token_chroma(self.sounding[row]).ravel()
        if self.m > 1:
            self._spread(np.repeat(kept, self.m))

    def _choose(self, index: int, beat: int, candidates: Floats) -> int:
        song, strength = self.songs[index], self.options.steering
        if self.m == 1:
            return 0
        uniform = self.rngs[index].random()
        if strength == 0 or song.features is None or beat >= len(song.plan.ssm):
            return int(uniform * self.m)
        errors = row_errors(candidates, song.features[:beat], song.plan.ssm[beat, :beat])
        return choose_candidate(errors, strength, uniform)

    def _spread(self, source: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row `source` says."""
        for name in ("hidden", "cell", "previous", "remaining", "lead", "lead_step"):
            setattr(self, name, getattr(self, name)[source])


@dataclass(frozen=True, slots=True)
class _Past:
    """What each row played at an earlier step, shape=(R, 176) each."""

    onsets: Roll
    sounding: Roll
    durations: npt.NDArray[np.int8]

    def planes(self) -> Floats:
        """Return onsets and sounding notes side by side, shape=(R, 352)."""
        return np.concatenate([self.onsets, self.sounding], axis=1).astype(np.float32)
