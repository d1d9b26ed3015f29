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

from singcli.errors import InputError
from singcli.model import choice
from singcli.model.contract import (
    DURATIONS,
    MAX_NOTES_PER_STEP,
    N_CONTEXT,
    N_NOTE_TOKENS,
    N_TOKENS,
    NO_DURATION,
    NO_LEAD,
    START,
    STOP,
    TOKEN_PITCH,
    TOKEN_VOICE,
    SsmKind,
    step_inputs,
)
from singcli.model.features import (
    TokenScore,
    lead_age,
    place_features,
    roll_from_tokens,
    source_steps,
    steps_a_bar_ago,
    token_chroma,
)
from singcli.model.runtime import Runtime
from singcli.model.steering import choose_candidate, row_errors
from singcli.music.dynamics import metrical_velocities
from singcli.music.key import Mode
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT, Score
from singcli.structure.alignment import RepeatMap, context_weights, repeat_map_from_ssm
from singcli.structure.ssm import Matrix, beat_features

Floats = npt.NDArray[np.float32]
Roll = npt.NDArray[np.bool_]

MAX_CANDIDATES = 256
_DRAWS_PER_STEP = 2 * (MAX_NOTES_PER_STEP + 1)  # a token and a duration


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to draw.

    Parameters
    ----------
    temperature : float > 0
        Of notes and durations that are not copied.
    top_p : float in (0, 1]
        Share of the probability that is kept; 1 keeps all.
    strictness : float in [0, 1]
        From free to note-identical repeats.
    candidates : int, 1 to `MAX_CANDIDATES`
        Drafts of every beat; with 1 there is no steering.
    steering : float >= 0
        Strength with which a candidate near the wanted SSM is preferred.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    strictness: float = 0.5
    candidates: int = 1
    steering: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, allowed, fits in (
            ("temperature", self.temperature, "0.05 to 5", 0.05 <= self.temperature <= 5),
            ("top_p", self.top_p, "above 0 to 1", 0 < self.top_p <= 1),
            ("strictness", self.strictness, "0 to 1", 0 <= self.strictness <= 1),
            (
                "candidates",
                self.candidates,
                f"1 to {MAX_CANDIDATES}",
                1 <= self.candidates <= MAX_CANDIDATES,
            ),
            ("steering", self.steering, "0 to 1e6", 0 <= self.steering <= 1e6),
        ):
            if not fits:
                raise InputError(f"{name} = {value}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class Given:
    """Notes that are not sampled but forced, while the state runs on.

    Parameters
    ----------
    score : Score
        In the reference key, on the plan's bars.
    mask : np.ndarray, shape=(n_steps, N_VOICES), bool
        True where a voice's onsets are given, its silence included.
    """

    score: Score
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plan:
    """One song to be sampled.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats)
        The wanted self-similarity.
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        As in `Score`.
    kind : {"music", "form", "none"}
        Where the SSM comes from; with "none" it is not read.
    mode : {"major", "minor"}
    tempo_bpm : float
    given : Given, optional
    """

    ssm: Matrix
    bar_beats: npt.NDArray[np.int32]
    kind: SsmKind
    mode: Mode = "major"
    tempo_bpm: float = 100.0
    given: Given | None = None

    def repeat_map(self, continuation_bonus: float) -> RepeatMap:
        """Return the plan's sources; nothing but new beats without an SSM."""
        if self.kind == "none":
            blank = np.zeros((len(self.ssm), len(self.ssm)), np.float32)
            return repeat_map_from_ssm(blank, continuation_bonus=continuation_bonus)
        return repeat_map_from_ssm(self.ssm, continuation_bonus=continuation_bonus)


def sample_scores(
    runtime: Runtime,
    plans: Sequence[Plan],
    seeds: Sequence[int | np.random.SeedSequence],
    options: SamplingOptions,
    *,
    on_beat: Callable[[int, int], None] = lambda done, total: None,
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


class _Song:
    """A plan laid out step by step, and the history of its song."""

    def __init__(self, plan: Plan, runtime: Runtime, n_beats: int) -> None:
        card, n_steps = runtime.card, n_beats * STEPS_PER_BEAT
        repeat_map = plan.repeat_map(card.continuation_bonus)
        self.plan = plan
        self.n_steps = len(plan.ssm) * STEPS_PER_BEAT
        self.grade = _extended(repeat_map.grade, n_beats, 0)
        self.source = _extended(source_steps(repeat_map.source), n_steps + 1, -1)
        self.bar_ago = _extended(steps_a_bar_ago(plan.bar_beats), n_steps + 1, -1)
        place = place_features(plan.bar_beats, kind=plan.kind, mode=plan.mode)
        self.place = _extended(place, n_steps, 0)
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
        self.given = None if plan.given is None else _GivenTokens(plan.given, n_steps)

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
        columns = [step, voice, pitch, duration, velocity]
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


class _GivenTokens:
    """Given notes step by step, as the decisions need them."""

    def __init__(self, given: Given, n_steps: int) -> None:
        mask = _extended(given.mask, n_steps, 0).astype(np.bool_)
        tokens = TokenScore.from_score(given.score)
        by_token = np.repeat(mask, N_PITCHES, axis=1)
        onsets = _extended(tokens.onsets, n_steps, 0).astype(np.bool_) & by_token
        self.free = np.concatenate([~by_token, np.ones((n_steps, 1), np.bool_)], axis=1)
        self.following = choice.next_token_table(onsets)
        self.durations = _extended(tokens.duration_map, n_steps, NO_DURATION)


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
        self.songs = [_Song(plan, runtime, n_beats) for plan in plans]
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


def _extended(array: npt.NDArray[np.generic], length: int, fill: int) -> npt.NDArray[np.generic]:
    """Return the array with rows of `fill` behind it, up to `length` rows."""
    extended = np.full((length, *array.shape[1:]), fill, array.dtype)
    extended[: len(array)] = array
    return extended
