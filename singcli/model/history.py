"""What the songs of a batch have played, and what their rows are shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.model.contract import (
    N_NOTE_TOKENS,
    NO_DURATION,
    NO_VELOCITY,
    TOKEN_PITCH,
    TOKEN_VOICE,
    VELOCITIES,
)
from singcli.model.kernel import SILENT, WAKING, Batch
from singcli.model.layout import Layout
from singcli.music.score import STEPS_PER_BEAT, Score
from singcli.structure.alignment import BLOCK_ROWS

Floats = npt.NDArray[np.float32]

PATIENCE_BEATS = 3


class History:
    """The notes of all songs, beat after beat.

    Parameters
    ----------
    batch : Batch
        Has the arrays; is told what the rows are shown.
    layouts : sequence of Layout
        Of each song.

    Attributes
    ----------
    overlap : np.ndarray, shape=(R,), float32
        What the rows are to have in common with their sources in this beat, NaN where it is left to
        the network.
    """

    def __init__(self, batch: Batch, layouts: Sequence[Layout]) -> None:
        self._batch, self._layouts = batch, layouts
        self._candidates = len(batch.sound) // len(layouts)
        batch.history_durations[:, -1], batch.history_velocities[:, -1] = NO_DURATION, NO_VELOCITY
        for song, layout in enumerate(layouts):
            batch.bars_ago_steps[song] = layout.bars_ago.ctypes.data
            batch.place_steps[song] = layout.place.ctypes.data
            if layout.context_rows is not None:
                batch.n_weights[song] = len(layout.plan.ssm)
            if layout.given is not None:
                for name in ("free", "following", "durations", "velocities"):
                    address = getattr(layout.given, name).ctypes.data
                    getattr(batch, f"given_{name}")[song] = address
        self._source, self._grade, self._overlap = (
            np.repeat([getattr(layout, name) for layout in layouts], self._candidates, axis=0)
            for name in ("source", "grade", "overlap")
        )
        self._weights: dict[int, Floats] = {}
        self._has_music = any(layout.plan.kind == "music" for layout in layouts)
        self.overlap: Floats = self._overlap[:, 0]

    def look_back(self, beat: int) -> None:
        """Let all rows look back at the sources of their plans."""
        if beat % BLOCK_ROWS == 0:
            self._weigh(beat)
        first = beat * STEPS_PER_BEAT
        self._batch.source[:] = self._source[:, first : first + STEPS_PER_BEAT + 1]
        self._batch.source_grade[:] = self._grade[:, beat]
        self.overlap = self._overlap[:, beat].copy()
        if self._has_music:
            sound = [self._sound(song, beat) for song in range(len(self._layouts))]
            self._batch.sound[:] = np.repeat(sound, self._candidates)

    def _weigh(self, beat: int) -> None:
        """Work out how the next beats weigh those before them; all of a long song are many."""
        laid_out = {id(layout): layout for layout in self._layouts}
        self._weights = {
            key: layout.context_rows(beat)
            for key, layout in laid_out.items()
            if layout.context_rows is not None
        }
        for song, layout in enumerate(self._layouts):
            if id(layout) in self._weights:
                self._batch.weights[song] = self._weights[id(layout)].ctypes.data

    def look_elsewhere(
        self, rows: slice, beats: npt.NDArray[np.intp], grade: Floats, overlap: Floats
    ) -> None:
        """Let some rows look back at these beats instead, one for each."""
        steps = beats[:, None] * STEPS_PER_BEAT + np.arange(STEPS_PER_BEAT + 1)
        self._batch.source[rows] = steps
        self._batch.source_grade[rows], self.overlap[rows] = grade, overlap

    def _sound(self, song: int, beat: int) -> int:
        """Return whether a beat is `SILENT`, `WAKING` or free (0).

        A matrix of music has 0 on its diagonal where the music is silent; other matrices do not
        tell. A beat wakes that is to sound after `PATIENCE_BEATS` without a sound: silence breeds
        silence.
        """
        plan = self._layouts[song].plan
        if plan.kind != "music" or beat >= len(plan.ssm):
            return 0
        if plan.ssm[beat, beat] == 0:
            return SILENT
        heard = self._batch.heard[song, max(beat - PATIENCE_BEATS, 0) : beat].any()
        return 0 if heard or 0 < beat < PATIENCE_BEATS else WAKING

    def scores(self) -> list[Score]:
        """Return all songs without their lead-ins, given notes in their own lengths."""
        return [self._score(song) for song in range(len(self._layouts))]

    def _score(self, song: int) -> Score:
        plan = self._layouts[song].plan
        planes = self._batch.history[song, : len(plan.ssm) * STEPS_PER_BEAT]
        step, token = np.nonzero(planes[:, :N_NOTE_TOKENS])
        duration = _lengths(planes, step, token)
        voice, pitch = TOKEN_VOICE[token], TOKEN_PITCH[token]
        velocity = VELOCITIES[self._batch.history_velocities[song, step, token]]
        columns: list[npt.NDArray[Any]] = [step, voice, pitch, duration, velocity]
        if plan.given is not None:
            given = plan.given
            forced = given.mask[step, voice]
            kept = given.mask[given.score.step, given.score.voice]
            names = ("step", "voice", "pitch", "duration", "velocity")
            columns = [
                np.concatenate([column[~forced], getattr(given.score, name)[kept]])
                for name, column in zip(names, columns, strict=True)
            ]
        score = Score.from_notes(*columns, bar_beats=plan.bar_beats, tempo_bpm=plan.tempo_bpm)
        return score.bars(plan.lead_in_bars, score.n_bars) if plan.lead_in_bars else score


def _lengths(
    planes: npt.NDArray[np.bool_], step: npt.NDArray[np.intp], token: npt.NDArray[np.intp]
) -> npt.NDArray[np.int64]:
    """Return how many steps each note sounds in a history, which may have ended it early.

    Parameters
    ----------
    planes : np.ndarray, shape=(n_steps, 352)
    """
    n_steps = len(planes)
    ends = ~planes[:, N_NOTE_TOKENS:] | planes[:, :N_NOTE_TOKENS]
    ends = np.concatenate([ends[1:], np.ones((1, N_NOTE_TOKENS), np.bool_)])
    last = np.where(ends, np.arange(n_steps)[:, None], n_steps)
    np.minimum.accumulate(last[::-1], axis=0, out=last[::-1])
    lengths: npt.NDArray[np.int64] = last[step, token] - step + 1
    return lengths
