"""A piece on the grid: the form in which music travels between files, metrics and the model.

Conventions
-----------
- A *step* is a quarter of a *beat*, a beat is a quarter note, a bar is a whole number of beats.
- Two voices: `LEAD` (the tune) and `ACCOMPANIMENT`.
- Canonical order of the notes: by step; inside a step the lead from high to low, then the
  accompaniment from low to high. No two notes share (step, voice, pitch), and a note ends at the
  latest where the next one of the same voice and pitch begins.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from singcli.music.arrays import order_of
from singcli.music.key import Key

STEPS_PER_BEAT = 4
LEAD, ACCOMPANIMENT = 0, 1
VOICE_NAMES = ("lead", "accompaniment")
N_VOICES = len(VOICE_NAMES)
MIN_PITCH, MAX_PITCH = 21, 108  # the piano's keys
N_PITCHES = MAX_PITCH - MIN_PITCH + 1
MAX_PLACE = 2**62


@dataclass(frozen=True, slots=True)
class Score:
    """Notes on the step grid, with bar lines, tempo and key.

    Parameters
    ----------
    step : np.ndarray, shape=(n_notes,), int32
        Onset, in steps from the start, 0 <= step < n_steps.
    voice : np.ndarray, shape=(n_notes,), uint8
        `LEAD` or `ACCOMPANIMENT`.
    pitch : np.ndarray, shape=(n_notes,), uint8
        MIDI number, `MIN_PITCH` to `MAX_PITCH`.
    duration : np.ndarray, shape=(n_notes,), int32
        In steps, at least 1, never past `n_steps`.
    velocity : np.ndarray, shape=(n_notes,), uint8
        1 to 127.
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
        Beat at which each bar starts, from 0; the last entry is the number of beats.
    tempo_bpm : float > 0
        Quarter notes a minute (the median, where the source varies).
    key : Key, optional
        None where it is not known.
    """

    step: npt.NDArray[np.int32]
    voice: npt.NDArray[np.uint8]
    pitch: npt.NDArray[np.uint8]
    duration: npt.NDArray[np.int32]
    velocity: npt.NDArray[np.uint8]
    bar_beats: npt.NDArray[np.int32]
    tempo_bpm: float
    key: Key | None = None

    @classmethod
    def from_notes(
        cls,
        step: npt.ArrayLike,
        voice: npt.ArrayLike,
        pitch: npt.ArrayLike,
        duration: npt.ArrayLike,
        velocity: npt.ArrayLike,
        *,
        bar_beats: npt.ArrayLike,
        tempo_bpm: float,
        key: Key | None = None,
    ) -> Self:
        """Build a score from notes in any order and bring them into canonical form.

        Notes outside the piano's range or the grid are dropped; of notes that share step, voice
        and pitch the longest stays; a note is cut where its pitch is struck again in its voice.
        """
        bars = np.asarray(bar_beats, np.int32)
        n_steps = int(bars[-1]) * STEPS_PER_BEAT
        columns = [
            np.asarray(c, np.int64).ravel() for c in (step, voice, pitch, duration, velocity)
        ]
        inside = (columns[0] >= 0) & (columns[0] < n_steps)
        inside &= (columns[2] >= MIN_PITCH) & (columns[2] <= MAX_PITCH)
        if not inside.all():
            columns = [c[inside] for c in columns]
        onset, who, tone, length, loudness = _each_once(columns, n_steps)

        struck_again = np.full(len(onset), n_steps)
        again = (who[1:] == who[:-1]) & (tone[1:] == tone[:-1])
        np.copyto(struck_again[:-1], onset[1:], where=again)
        length = np.minimum(np.maximum(length, 1), np.maximum(struck_again - onset, 1))

        upwards = np.where(who == LEAD, MAX_PITCH - tone, tone)
        order = order_of((onset << 8 | who) << 8 | upwards)
        return cls(
            step=onset[order].astype(np.int32),
            voice=who[order].astype(np.uint8),
            pitch=tone[order].astype(np.uint8),
            duration=length[order].astype(np.int32),
            velocity=np.minimum(np.maximum(loudness[order], 1), 127).astype(np.uint8),
            bar_beats=bars,
            tempo_bpm=float(tempo_bpm),
            key=key,
        )

    @property
    def n_notes(self) -> int:
        """Number of notes."""
        return len(self.step)

    @property
    def n_beats(self) -> int:
        """Number of beats, silent ones included."""
        return int(self.bar_beats[-1])

    @property
    def n_steps(self) -> int:
        """Number of steps, silent ones included."""
        return self.n_beats * STEPS_PER_BEAT

    @property
    def n_bars(self) -> int:
        """Number of bars."""
        return len(self.bar_beats) - 1

    def transposed(self, semitones: int) -> Score:
        """Return the score moved by `semitones`; notes that leave the piano change their octave."""
        key = None if self.key is None else self.key.transposed(semitones)
        if self.n_notes == 0 or (
            MIN_PITCH - semitones <= int(self.pitch.min())
            and int(self.pitch.max()) <= MAX_PITCH - semitones
        ):  # in canonical form as it is
            pitch = (self.pitch.astype(np.int16) + semitones).astype(np.uint8)
            return dataclasses.replace(self, pitch=pitch, key=key)
        return self._rebuilt(pitch=self._moved_pitches(semitones), key=key)

    def transposed_bars(self, semitones: npt.NDArray[np.integer[Any]]) -> Score:
        """Return the score with every bar moved by its own interval, in the same key.

        Parameters
        ----------
        semitones : np.ndarray, shape=(n_bars,), int
            A note moves with the bar in which it begins; one that leaves the piano changes its
            octave.
        """
        if not np.any(semitones):
            return self
        bar = np.searchsorted(self.bar_beats * STEPS_PER_BEAT, self.step, side="right") - 1
        return self._rebuilt(pitch=self._moved_pitches(np.asarray(semitones, np.int64)[bar]))

    def bars(self, start: int, stop: int) -> Score:
        """Return bars `start` to `stop` (exclusive); notes that begin earlier are left out."""
        bar_beats = self.bar_beats[start : stop + 1] - self.bar_beats[start]
        return self._rebuilt(
            step=self.step.astype(np.int64) - int(self.bar_beats[start]) * STEPS_PER_BEAT,
            bar_beats=bar_beats,
        )

    def _moved_pitches(self, semitones: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        pitch: npt.NDArray[np.int64] = self.pitch.astype(np.int64) + semitones
        octaves_down = -np.minimum((MAX_PITCH - pitch) // 12, 0)
        octaves_up = -np.minimum((pitch - MIN_PITCH) // 12, 0)
        pitch += 12 * (octaves_up - octaves_down)
        return pitch

    def _rebuilt(self, **changes: object) -> Score:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | changes
        return Score.from_notes(**fields)


def _each_once(columns: list[npt.NDArray[np.int64]], n_steps: int) -> list[npt.NDArray[np.int64]]:
    """Order the notes by voice, pitch and onset; of those that share all three keep the longest."""
    onset, who, tone, length, _ = columns
    if len(onset) == 0:
        return columns
    longest = int(length.max())
    n_lengths = longest - int(length.min()) + 1
    place = (who << 8 | tone) * n_steps + onset
    if n_lengths < MAX_PLACE // (int(place.max()) + 1):
        order = order_of(place * n_lengths + (longest - length))
    else:
        order = np.lexsort((-length, place))
    place = place[order]
    again = place[1:] == place[:-1]
    if again.any():
        order = order[np.concatenate(([True], ~again))]
    return [column[order] for column in columns]


def regular_bars(n_bars: int, beats_per_bar: int) -> npt.NDArray[np.int32]:
    """Return the `bar_beats` of `n_bars` bars of equal length."""
    return np.arange(n_bars + 1, dtype=np.int32) * beats_per_bar
