"""Sampling: plans and seeds in, scores in the reference key out, many songs at once.

Conventions
-----------
S songs, M candidates a song, R = S * M rows (song by song). A beat is sampled for all rows, then
one candidate of each song is kept and becomes its history. Every song draws from its own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.model import choice
from singcli.model.contract import (
    BARS_AGO,
    DURATIONS,
    MAX_NOTES_PER_STEP,
    N_NOTE_TOKENS,
    N_TOKENS,
    NO_DURATION,
    NO_VELOCITY,
    START,
    STOP,
    note_inputs,
    step_inputs,
)
from singcli.model.copying import CopyControl, open_shift
from singcli.model.features import loudness, roll_from_tokens
from singcli.model.lines import OuterLines
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.rule_keeping import RuleKeeper
from singcli.model.runtime import Arrays, Runtime
from singcli.model.song_state import SILENT, WAKING, BeatView, SongState
from singcli.model.steering import (
    SHIFT_SPREAD,
    choose_candidate,
    note_errors,
    row_errors,
    steering_weight,
)
from singcli.music.score import N_PITCHES, N_VOICES, STEPS_PER_BEAT, Score
from singcli.structure.ssm import beat_features

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Uniforms = npt.NDArray[np.float64]

_DRAWS = 3  # a token, a duration, a velocity
_DRAWS_PER_STEP = _DRAWS * (MAX_NOTES_PER_STEP + 1)
_CARRIED = (  # what a row carries from step to step, beside its lines and the rules' counts
    *("hidden", "cell", "previous", "remaining", "sounded", "voice_velocity"),
)


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


class _Moment(NamedTuple):
    """A step of all rows: where it is, what it is shown, what the step part made of it.

    `shift` (R,) of the odds of copying; `following` (R, 177) from `next_token_table`; `uniforms`
    (R, draws) random numbers of the step; `sound` (R,) of the beat, see `SongState.sound`; `added`
    and `added_within` (R, 176) what rules, steering and strictness add, see `own_probs`.
    """

    step: int
    place: int
    view: BeatView
    out: Arrays
    shift: Floats
    following: choice.Tokens
    uniforms: Uniforms
    sound: npt.NDArray[np.int64]
    added: Floats
    added_within: Floats


class _Latest(NamedTuple):
    """Classes that bear on the latest note of each row, (R,), as in `contract.note_inputs`."""

    draft_duration: npt.NDArray[np.int64]
    chord_duration: npt.NDArray[np.int64]
    draft_velocity: npt.NDArray[np.int64]
    voice_velocity: npt.NDArray[np.int64]


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
        self.songs = [SongState(plan, runtime.card, n_beats, options) for plan in plans]
        self.rngs = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self.m = options.candidates
        n_rows = len(self.songs) * self.m
        self.song_of_row = np.repeat(np.arange(len(self.songs)), self.m)
        self.has_given = any(song.given for song in self.songs)
        self.is_known = np.repeat([song.plan.known is not None for song in self.songs], self.m)
        self.nothing = note_inputs(n_rows, runtime.card.sizes)  # of a step in which nothing is yet
        self.control = CopyControl(n_rows)
        self.rules = RuleKeeper([song.rules for song in self.songs], self.song_of_row)
        self.temperatures, self.top_ps = options.temperatures, options.top_ps
        self.view = BeatView.blank(n_rows)
        self.views = [
            self.view.of_rows(slice(first, first + self.m)) for first in range(0, n_rows, self.m)
        ]
        # What a row carries from step to step.
        self.hidden = step_inputs(n_rows, runtime.card.sizes)["hidden"]
        self.cell = np.zeros_like(self.hidden)
        self.previous = np.zeros((n_rows, N_NOTE_TOKENS), np.float32)
        self.remaining = np.zeros((n_rows, N_NOTE_TOKENS), np.int32)
        self.sounded = np.zeros((n_rows, N_NOTE_TOKENS), np.bool_)
        self.lines = OuterLines(n_rows)
        self.voice_velocity = np.full((n_rows, N_VOICES), NO_VELOCITY, np.int64)
        # What its current beat holds: onsets and sounding notes side by side, classes of the notes.
        self.planes = np.zeros((STEPS_PER_BEAT, n_rows, 2 * N_NOTE_TOKENS), np.float32)
        self.durations = np.full((STEPS_PER_BEAT, n_rows, N_NOTE_TOKENS), NO_DURATION, np.int8)
        self.velocities = np.full_like(self.durations, NO_VELOCITY)
        self.n_struck = np.zeros((n_rows, N_VOICES), np.int64)  # in the current step

    def scores(self) -> list[Score]:
        """Return the finished songs."""
        return [song.score() for song in self.songs]

    def sample_beat(self, beat: int) -> None:
        """Sample a beat for all rows, keep one candidate of each song."""
        self.planes[:] = 0.0
        self.durations[:], self.velocities[:] = NO_DURATION, NO_VELOCITY
        self.lead_before = self.lines.lead.copy()
        for song, part in zip(self.songs, self.views, strict=True):
            song.show(beat, part)
        sound = np.repeat([song.sound(beat) for song in self.songs], self.m)
        self.remaining[sound == SILENT] = 0
        self.remaining[self.rules.is_final(beat * STEPS_PER_BEAT)] = 0
        view, shift, uniforms = self.view, self._shift(self.view), self._uniforms()
        sources = view.planes[:STEPS_PER_BEAT, :, :N_NOTE_TOKENS] > 0
        reachable = (sources & self.rules.allowed[:, :N_NOTE_TOKENS]).reshape(-1, N_NOTE_TOKENS)
        following = choice.next_token_table(reachable).reshape(STEPS_PER_BEAT, -1, N_TOKENS)
        grade = self._grade(sources)
        held_back = choice.held_back(sources, shift)
        for place in range(STEPS_PER_BEAT):
            step = beat * STEPS_PER_BEAT + place
            out = self.runtime.step(self._inputs(step, place, grade[place]))
            self.hidden, self.cell = out["next_hidden"], out["next_cell"]
            np.maximum(self.remaining - 1, 0, out=self.remaining)
            added = self.rules.odds(step, self.lines.lead_step)
            added += view.attraction[place]
            added += held_back[place]
            tasted = added + self.rules.taste(self.lines.lead, self.sounded)
            self._sample_step(
                _Moment(
                    *(step, place, view, out, shift, following[place], uniforms[:, place], sound),
                    *(added, tasted),
                )
            )
        played = self.planes.swapaxes(0, 1) > 0
        self.control.count(played[..., :N_NOTE_TOKENS], sources.swapaxes(0, 1), view.overlap)
        self.rules.count(played[..., :N_NOTE_TOKENS], played[..., N_NOTE_TOKENS:])
        self._keep_one(beat, played)

    def _grade(self, sources: npt.NDArray[np.bool_]) -> Floats:
        """Return the similarity of the sources and whether they strike, (STEPS_PER_BEAT, R, 2)."""
        strikes = sources.any(axis=2)
        alike = np.broadcast_to(self.view.grade, strikes.shape)
        return np.stack([alike, strikes], axis=2, dtype=np.float32)

    def _shift(self, view: BeatView) -> Floats:
        """Return how far strictness moves each row's log odds of copying, shape=(R,).

        Where the repeats of a plan are known the overlap is controlled; where they are found in a
        matrix, every candidate of a song takes the strictness in its own way.
        """
        shift = self.control.shift(view.overlap)
        if self.m > 1:
            spread = np.tile(np.linspace(*SHIFT_SPREAD, self.m, dtype=np.float32), len(self.songs))
            shift = np.where(self.is_known, shift, open_shift(view.overlap) + spread)
        return shift

    def _uniforms(self) -> Uniforms:
        """Draw a beat's random numbers, shape=(R, STEPS_PER_BEAT, draws)."""
        shape = (self.m, STEPS_PER_BEAT, _DRAWS_PER_STEP)
        return np.concatenate([rng.random(shape) for rng in self.rngs])

    def _inputs(self, step: int, place: int, grade: Floats) -> Arrays:
        """Return the inputs of the step part."""
        view = self.view
        next_draft, bars_ago = view.planes[place + 1], view.bars_ago[place]
        if place == STEPS_PER_BEAT - 1:
            first = self.planes[0]
            next_draft = np.where(view.own_source[:, None], first, next_draft)
            after = bars_ago.reshape(len(first), 2, len(BARS_AGO), N_NOTE_TOKENS)[:, 1]
            own = first[:, None, :N_NOTE_TOKENS]
            np.copyto(after, own, where=view.own_bar[..., None])
        carried = self.remaining > 1
        return {
            "previous": self.previous,
            "carried": carried.astype(np.float32),
            "draft": view.planes[place],
            "next_draft": next_draft,
            "bars_ago": bars_ago,
            "context": view.context[place],
            "place": view.place[place],
            "grade": grade,
            "loudness": loudness(self.voice_velocity),
            **self.lines.inputs(step, carried),
            "hidden": self.hidden,
            "cell": self.cell,
        }

    def _sample_step(self, now: _Moment) -> None:
        """Draw notes for every row that may sound until it stops."""
        onsets = self.planes[now.place, :, :N_NOTE_TOKENS]
        draft_onsets = now.view.planes[now.place, :, :N_NOTE_TOKENS]
        alive = np.flatnonzero((now.sound != SILENT) & ~self.rules.is_over(now.step))
        at = slice(None) if len(alive) == len(onsets) else alive  # the same without a copy
        chosen, last = self.nothing["chosen"][at], self.nothing["last_token"][at]
        notes = _Latest(*(self.nothing[name][at] for name in _Latest._fields))
        self.n_struck[:] = 0
        for index in range(MAX_NOTES_PER_STEP + 1 if len(alive) else 0):
            scores = self.runtime.note(
                {
                    "features": now.out["step_features"][at],
                    "token_bias": now.out["step_token_bias"][at],
                    "chosen": chosen,
                    "last_token": last,
                    "draft_onsets": draft_onsets[at],
                    "last_lead": self.lines.lead[at],
                    "last_bass": self.lines.bass[at],
                    **notes._asdict(),
                }
            )
            draws = now.uniforms[at, _DRAWS * index : _DRAWS * (index + 1)]
            if index > 0:
                self._finish_notes(now, alive, last, notes, scores, draws[:, 1:])
            if index == MAX_NOTES_PER_STEP:
                break
            token = self._token(now, at, last, scores, draws[:, 0])
            going, before, last, chosen = token != STOP, last, token, scores["next_chosen"]
            if not going.any():
                break
            if not going.all():
                alive = at = alive[going]
                before, last, chosen = before[going], last[going], chosen[going]
            notes = self._latest(now, alive, before, last)
            onsets[alive, last] = 1.0
            self.n_struck[alive, last // N_PITCHES] += 1
        struck = onsets > 0
        self.rules.release(self.remaining, struck)
        self.sounded = self.remaining > 0
        self.planes[now.place, :, N_NOTE_TOKENS:] = self.sounded
        self.lines.follow(now.step, struck, self.sounded)
        self.previous = onsets.copy()

    def _token(
        self,
        now: _Moment,
        at: Rows | slice,
        last: choice.Tokens,
        scores: Arrays,
        uniform: Uniforms,
    ) -> choice.Tokens:
        """Draw the next token of each row that goes on."""
        after = np.where(last == START, 0, last + 1)
        probs = choice.own_probs(
            scores["logits"], now.added[at], self.temperatures, now.added_within[at]
        )
        copied = now.following[at][np.arange(len(after)), after]
        probs = choice.mixed_probs(probs, scores["gate"], copied, now.shift[at])
        if now.place == 0 and last[0] == START:
            asleep = (now.sound[at] == WAKING) & ~self.remaining[at].any(axis=1)
            probs = choice.woken(probs, asleep) if asleep.any() else probs
        probs = self.rules.allow(probs, now.step, at, last, self.n_struck[at])
        probs = choice.kept_probs(probs, self.top_ps)
        if self.has_given:
            free, given = self._given(now.step, at, after)
            probs = choice.restrict(probs, after - 1, free, given)
        return choice.draw(probs, uniform)

    def _given(
        self, step: int, at: Rows | slice, after: choice.Tokens
    ) -> tuple[npt.NDArray[np.bool_], choice.Tokens]:
        """Return which tokens are free and which is given next, row by row."""
        free = np.ones((len(after), N_TOKENS), np.bool_)
        given = np.full(len(after), STOP, np.int64)
        for position, song in enumerate(self.song_of_row[at]):
            tokens = self.songs[song].given
            if tokens is not None:
                free[position] = tokens.free[step]
                given[position] = tokens.following[step, after[position]]
        return free, given

    def _latest(
        self, now: _Moment, alive: Rows, before: choice.Tokens, token: choice.Tokens
    ) -> _Latest:
        """Return what bears on how long and how loud the rows' latest notes are."""
        chord = self.durations[now.place, alive, np.where(before == START, 0, before)]
        return _Latest(
            draft_duration=now.view.durations[now.place, alive, token].astype(np.int64),
            chord_duration=np.where(before == START, NO_DURATION, chord).astype(np.int64),
            draft_velocity=now.view.velocities[now.place, alive, token].astype(np.int64),
            voice_velocity=self.voice_velocity[alive, token // N_PITCHES],
        )

    def _finish_notes(
        self,
        now: _Moment,
        alive: Rows,
        token: choice.Tokens,
        notes: _Latest,
        scores: Arrays,
        uniforms: Uniforms,
    ) -> None:
        """Draw how long and how loud the rows' latest notes are."""
        probs = choice.class_probs(
            (scores["duration_logits"] + self.rules.length_bias(alive), scores["velocity_logits"]),
            np.stack([notes.draft_duration, notes.draft_velocity], axis=1),
            shift=now.shift[alive],
            temperatures=(self.temperatures.duration, self.temperatures.velocity),
        )
        for kind, top_p in enumerate((self.top_ps.duration, self.top_ps.velocity)):
            if top_p < 1:
                probs[:, kind] = choice.nucleus(probs[:, kind], top_p)
        duration, velocity = choice.draw(probs, uniforms).T
        duration = self.rules.limit_durations(duration, now.step, alive)
        if self.has_given:
            for position, song in enumerate(self.song_of_row[alive]):
                tokens = self.songs[song].given
                if tokens is not None and not tokens.free[now.step, token[position]]:
                    duration[position] = tokens.durations[now.step, token[position]]
                    velocity[position] = tokens.velocities[now.step, token[position]]
        self.durations[now.place, alive, token] = duration
        self.velocities[now.place, alive, token] = velocity
        self.voice_velocity[alive, token // N_PITCHES] = velocity
        self.remaining[alive, token] = DURATIONS[duration]

    def _keep_one(self, beat: int, played: npt.NDArray[np.bool_]) -> None:
        """Choose a candidate of each song, write it into the history, spread its state.

        Parameters
        ----------
        played : np.ndarray, shape=(R, STEPS_PER_BEAT, 352), bool
        """
        rolls = roll_from_tokens(played.reshape(*played.shape[:2], 2, N_NOTE_TOKENS))
        features = beat_features(rolls[:, :, 0], rolls[:, :, 1])[:, 0]
        weight = steering_weight(self.options.steering)
        kept = np.empty(len(self.songs), np.int64)
        for index, song in enumerate(self.songs):
            rows = slice(index * self.m, (index + 1) * self.m)
            row = index * self.m
            if self.m > 1:
                errors = row_errors(song.rows(features[rows]), song.wanted_row)
                errors += note_errors(rolls[rows, :, 0], self.lead_before[rows], song.plan.mode)
                row += choose_candidate(errors, weight, self.rngs[index].random())
            notes = self.planes[:, row], self.durations[:, row], self.velocities[:, row]
            song.keep(beat, *notes, features[row])
            kept[index] = row
        if self.m > 1:
            self._spread(np.repeat(kept, self.m))

    def _spread(self, source: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row `source` says."""
        for name in _CARRIED:
            setattr(self, name, getattr(self, name)[source])
        self.lines.spread(source)
        self.control.spread(source)
        self.rules.spread(source)
