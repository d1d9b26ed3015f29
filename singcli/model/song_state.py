"""One song while it is being sampled: its plan laid out step by step, and its history."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from singcli.model.choice import next_token_table
from singcli.model.contract import (
    BARS_AGO,
    ENDING_BARS,
    N_CONTEXT,
    N_NOTE_TOKENS,
    N_PLACE,
    NO_DURATION,
    NO_VELOCITY,
    TOKEN_PITCH,
    TOKEN_VOICE,
    VELOCITIES,
    ModelCard,
)
from singcli.model.features import (
    TokenScore,
    place_features,
    source_steps,
    steps_bars_ago,
)
from singcli.model.kernel import SILENT, WAKING, Batch
from singcli.model.plan import Given, Plan, SamplingOptions
from singcli.model.rules import SongRules
from singcli.model.steering import (
    OTHER_SOURCES,
    attraction,
    wanted_row,
)
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT, Score
from singcli.structure.alignment import context_weights
from singcli.structure.dial import FREE_BELOW, wanted_overlap
from singcli.structure.ssm import RHYTHM_COLUMNS, WINDOW_BEATS

Floats = npt.NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)

PATIENCE_BEATS = 3
_BARS_WIDTH = len(BARS_AGO) * N_NOTE_TOKENS
_BY_ROW = ("grade", "overlap", "own_source", "own_bar")  # the rest is by step first


class BeatView(NamedTuple):
    """What R rows, candidates of songs, are shown for the n steps of a beat.

    `planes` (n + 1, R, 352) onsets, then sounding notes of the sources, and of those of the step
    after; `durations`, `velocities` (n, R, 176) classes of the sources' onsets; `bars_ago`
    (n, R, 1056) onsets of `BARS_AGO`, then those of the step after; `context` (n, R, N_CONTEXT);
    `place` (n, R, N_PLACE); `attraction` (n, R, 176) of steering; `grade` (R,) similarity to the
    sources; `overlap` (R,) wanted with the sources, NaN where it is left to the network;
    `own_source` (R,), `own_bar` (R, len(BARS_AGO)) whether the step after the beat looks back at
    the beat's own first step, which is not played yet.
    """

    planes: Floats
    durations: npt.NDArray[np.int8]
    velocities: npt.NDArray[np.int8]
    bars_ago: Floats
    context: Floats
    place: Floats
    attraction: Floats
    grade: Floats
    overlap: Floats
    own_source: npt.NDArray[np.bool_]
    own_bar: npt.NDArray[np.bool_]

    @classmethod
    def of_batch(cls, batch: Batch) -> BeatView:
        """Return the view of a batch's rows, to be filled in by `SongState.show`."""
        n_rows = len(batch.source_grade)
        return cls(
            planes=batch.draft,
            durations=batch.draft_durations,
            velocities=batch.draft_velocities,
            bars_ago=batch.bars_ago,
            context=np.zeros((STEPS_PER_BEAT, n_rows, N_CONTEXT), np.float32),
            place=np.zeros((STEPS_PER_BEAT, n_rows, N_PLACE), np.float32),
            attraction=batch.attraction,
            grade=batch.source_grade,
            overlap=np.zeros(n_rows, np.float32),
            own_source=batch.own_source,
            own_bar=batch.own_bar,
        )

    def of_rows(self, rows: slice) -> BeatView:
        """Return the part of some rows, not a copy of it."""
        return BeatView(
            *(
                getattr(self, name)[rows if name in _BY_ROW else (slice(None), rows)]
                for name in self._fields
            )
        )


class SongState:
    """A plan laid out step by step, and the history of its song."""

    def __init__(self, plan: Plan, card: ModelCard, n_beats: int, options: SamplingOptions) -> None:
        n_steps = n_beats * STEPS_PER_BEAT
        repeat_map = plan.repeat_map(card.continuation_bonus)
        self.plan = plan
        self._n_steps = len(plan.ssm) * STEPS_PER_BEAT
        self._grade = extended(repeat_map.grade, n_beats, 0)
        self._strictness = options.strictness
        self._steering = options.steering if options.candidates > 1 else 0.0
        overlap = plan.known.overlap if plan.known else self._overlap_from_grade(repeat_map.grade)
        self._overlap = extended(overlap, n_beats, np.nan)
        self.rules = SongRules.from_plan(plan, n_steps, options.scale_lock, overlap)
        self._source = extended(source_steps(repeat_map.source), n_steps + 1, -1)
        self._bars_ago = extended(steps_bars_ago(plan.bar_beats).T, n_steps + 1, -1)
        place = place_features(
            plan.bar_beats,
            kind=plan.kind,
            mode=plan.mode,
            sections=plan.sections,
            compound=plan.compound,
            style=plan.style,
            bars_after=0 if plan.ending or plan.kind == "music" else ENDING_BARS,
        )
        self._place = extended(place, n_steps, 0)
        blank = plan.kind == "none"
        # The matrix of music is averaged; that of a form says what it means beat by beat.
        self._window_beats = WINDOW_BEATS if plan.kind == "music" else 1
        self._weights = (
            None if blank else context_weights(plan.ssm, temperature=card.context_temperature)
        )
        # History; its last row stays empty and is what step -1 means.
        self._planes = np.zeros((n_steps + 1, 2 * N_NOTE_TOKENS), np.float32)
        self._durations = np.full((n_steps + 1, N_NOTE_TOKENS), NO_DURATION, np.int8)
        self._velocities = np.full((n_steps + 1, N_NOTE_TOKENS), NO_VELOCITY, np.int8)
        self._features = np.zeros((n_beats, RHYTHM_COLUMNS.stop), np.float32)
        self._played = np.zeros((n_beats if self._steering else 0,) * 2, np.float32)
        self.given = None if plan.given is None else GivenTokens(plan.given, n_steps)

    def show(self, beat: int, view: BeatView) -> None:
        """Fill in what the candidates for this beat are shown."""
        first = beat * STEPS_PER_BEAT
        reach = slice(first, first + STEPS_PER_BEAT + 1)  # and where the step after looks back
        self._show_sources(view, self._source[reach, None], first)
        view.grade[:], view.overlap[:] = self._grade[beat], self._overlap[beat]
        self.wanted_row = self._row(beat)
        others = self._other_sources(len(view.grade))
        if len(others):
            rows = view.of_rows(slice(-len(others), None))
            steps = others * STEPS_PER_BEAT + np.arange(STEPS_PER_BEAT + 1)[:, None]
            self._show_sources(rows, steps, first)
            rows.grade[:] = self.wanted_row[others].clip(0.0, 1.0)
            rows.overlap[:] = self._overlap_from_grade(rows.grade)
        bars_ago = self._bars_ago[reach]
        onsets = self._planes[bars_ago, :N_NOTE_TOKENS].reshape(len(bars_ago), 1, -1)
        view.bars_ago[..., :_BARS_WIDTH], view.bars_ago[..., _BARS_WIDTH:] = onsets[:-1], onsets[1:]
        view.own_bar[:] = bars_ago[-1] == first
        view.context[:] = self._context(beat)[:, None]
        view.place[:] = self._place[first : first + STEPS_PER_BEAT, None]
        if self._steering:
            view.attraction[:] = attraction(self.wanted_row, self._features, self._steering)[
                :, None
            ]

    def _show_sources(self, view: BeatView, source: npt.NDArray[np.int64], first: int) -> None:
        """Fill in what these steps played, shape=(STEPS_PER_BEAT + 1, R or 1), or -1."""
        view.planes[:] = self._planes[source]
        view.durations[:] = self._durations[source[:-1]]
        view.velocities[:] = self._velocities[source[:-1]]
        view.own_source[:] = source[-1] == first

    def _overlap_from_grade(self, grade: Floats) -> Floats:
        """Return what strictness wants of sources found in a matrix; NaN where it is texture."""
        overlap = wanted_overlap(grade, self._strictness)
        return np.where(grade > FREE_BELOW, overlap, np.float32(np.nan))

    def _row(self, beat: int) -> npt.NDArray[np.float64]:
        """Return the row of the SSM that steering wants of this beat; empty where it wants none."""
        if self._steering == 0 or self.plan.kind == "none" or not 0 < beat < len(self.plan.ssm):
            return np.zeros(0)
        return wanted_row(self.plan.ssm, self._played, beat, window_beats=self._window_beats)

    def _other_sources(self, n_candidates: int) -> npt.NDArray[np.intp]:
        """Return beats that candidates look back at instead: those the row is to resemble most."""
        if self.plan.known is not None:
            return np.zeros(0, np.intp)
        n = int(n_candidates * OTHER_SOURCES)
        return np.argsort(-self.wanted_row, kind="stable")[:n]

    def _context(self, beat: int) -> Floats:
        """Return the soft context of a beat's steps, shape=(STEPS_PER_BEAT, N_CONTEXT)."""
        if self._weights is None or not 0 < beat < len(self._weights):
            return np.zeros((STEPS_PER_BEAT, N_CONTEXT), np.float32)
        heeded = np.flatnonzero(self._weights[beat, :beat])
        by_beat = self._planes[:-1].reshape(-1, STEPS_PER_BEAT * N_CONTEXT)
        context: Floats = self._weights[beat, heeded] @ by_beat[heeded]
        return context.reshape(STEPS_PER_BEAT, N_CONTEXT)

    def sound(self, beat: int) -> int:
        """Return whether the beat is `SILENT`, `WAKING` or free (0).

        A matrix of music has 0 on its diagonal where the music is silent; other matrices do not
        tell. A beat wakes that is to sound after `PATIENCE_BEATS` without a sound: silence breeds
        silence.
        """
        ssm = self.plan.ssm
        if self.plan.kind != "music" or beat >= len(ssm):
            return 0
        if ssm[beat, beat] == 0:
            return SILENT
        heard = self._features[max(beat - PATIENCE_BEATS, 0) : beat].any()
        return 0 if heard or 0 < beat < PATIENCE_BEATS else WAKING

    def rows(self, candidates: Floats) -> Floats:
        """Return the rows of the SSM that candidates for the beat would have, shape=(M, n_past)."""
        rows: Floats = candidates @ self._features[: len(self.wanted_row)].T
        return rows

    def keep(
        self,
        beat: int,
        planes: Floats,
        durations: npt.NDArray[np.int8],
        velocities: npt.NDArray[np.int8],
        features: Floats,
    ) -> None:
        """Write a beat into the history.

        Parameters
        ----------
        planes : np.ndarray, shape=(STEPS_PER_BEAT, 352)
        durations, velocities : np.ndarray, shape=(STEPS_PER_BEAT, 176)
        features : np.ndarray, shape=(n_features,)
            Of `beat_features`.
        """
        steps = slice(beat * STEPS_PER_BEAT, (beat + 1) * STEPS_PER_BEAT)
        self._planes[steps] = planes
        self._durations[steps], self._velocities[steps] = durations, velocities
        self._features[beat] = features
        if self._steering:
            self._played[beat, :beat] = self._features[:beat] @ features

    def _lengths(
        self, step: npt.NDArray[np.intp], token: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.int64]:
        """Return how many steps each note sounds in the history, which may have ended it early."""
        planes = self._planes[: self._n_steps]
        ends = (planes[:, N_NOTE_TOKENS:] == 0) | (planes[:, :N_NOTE_TOKENS] > 0)
        ends = np.concatenate([ends[1:], np.ones((1, N_NOTE_TOKENS), np.bool_)])
        last = np.where(ends, np.arange(self._n_steps)[:, None], self._n_steps)
        np.minimum.accumulate(last[::-1], axis=0, out=last[::-1])
        lengths: npt.NDArray[np.int64] = last[step, token] - step + 1
        return lengths

    def score(self) -> Score:
        """Return the history without the lead-in as a score, given notes in their own lengths."""
        step, token = np.nonzero(self._planes[: self._n_steps, :N_NOTE_TOKENS])
        duration = self._lengths(step, token)
        voice, pitch = TOKEN_VOICE[token], TOKEN_PITCH[token]
        velocity = VELOCITIES[self._velocities[step, token]]
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
        self.velocities = extended(tokens.velocity_map, n_steps, NO_VELOCITY)


def extended(array: npt.NDArray[Value], length: int, fill: float) -> npt.NDArray[Value]:
    """Return the array with rows of `fill` behind it, up to `length` rows."""
    extended = np.full((length, *array.shape[1:]), fill, array.dtype)
    extended[: len(array)] = array
    return extended
