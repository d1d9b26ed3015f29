"""Beats and bars: ticks or seconds -> beats -> steps. The only place where time is rounded.

Conventions
-----------
- A beat is a quarter note, whatever the meter: a bar of 6/8 has three.
- A score's bars are whole beats (`singcli.music.score`). Meters whose bar is not (3/8, 9/8, 7/8)
  are handled by `bars_from_meters`, which says how.
- Onsets and ends go to the nearest step (an exact half goes up); a note lasts one step at least.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.music.arrays import median
from singcli.music.key import Key, estimate_key
from singcli.music.score import STEPS_PER_BEAT, Score


@dataclass(frozen=True)
class BeatNotes:
    """Notes in beats, before rounding.

    Parameters
    ----------
    onset_beat, end_beat : np.ndarray, shape=(n_notes,), float64
        Beat 0 is wherever the source's beats begin; may be negative.
    voice, pitch, velocity : np.ndarray, shape=(n_notes,), uint8
        As in `Score`.
    """

    onset_beat: npt.NDArray[np.float64]
    end_beat: npt.NDArray[np.float64]
    voice: npt.NDArray[np.uint8]
    pitch: npt.NDArray[np.uint8]
    velocity: npt.NDArray[np.uint8]

    @functools.cached_property
    def onset_step(self) -> npt.NDArray[np.int64]:
        """The step at which each note begins."""
        return steps_from_beats(self.onset_beat)

    @functools.cached_property
    def end_step(self) -> npt.NDArray[np.int64]:
        """The step at which each note ends, at least one after its onset."""
        return np.maximum(steps_from_beats(self.end_beat), self.onset_step + 1)


def steps_from_beats(beats: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the nearest step of every time in beats; an exact half goes up."""
    return np.floor(beats * STEPS_PER_BEAT + 0.5).astype(np.int64)


def rounded_end_tick(
    onset_tick: npt.NDArray[np.int64], end_tick: npt.NDArray[np.int64], ticks_per_quarter: int
) -> int:
    """Return where the last note ends after rounding, in ticks, rounded up; 0 without notes."""
    onset, end = (steps_from_beats(t / ticks_per_quarter) for t in (onset_tick, end_tick))
    last_step = int(np.maximum(end, onset + 1).max(initial=0))
    return -(-last_step * ticks_per_quarter // STEPS_PER_BEAT)


def beats_from_seconds(
    beat_s: npt.NDArray[np.float64], times_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return where `times_s` fall between annotated or estimated beats.

    Parameters
    ----------
    beat_s : np.ndarray, shape=(n_beats,), strictly increasing, n_beats >= 2
        Time of beat 0, 1, 2, ... Before the first and after the last the beats go on at the median
        distance of the nearest eight.

    Returns
    -------
    np.ndarray, shape=times_s.shape, float64
        In beats, negative before the first.
    """
    number = np.arange(len(beat_s), dtype=np.float64)
    beats: npt.NDArray[np.float64] = np.interp(times_s, beat_s, number)
    before, after = times_s < beat_s[0], times_s > beat_s[-1]
    if before.any():
        first = median(np.diff(beat_s[:9]))
        beats[before] = (times_s[before] - beat_s[0]) / first
    if after.any():
        last = median(np.diff(beat_s[-9:]))
        beats[after] = number[-1] + (times_s[after] - beat_s[-1]) / last
    return beats


def regular_bar_lines(
    notes: BeatNotes, *, beats_per_bar: int, first_bar_beat: int
) -> npt.NDArray[np.int64]:
    """Return bar lines around all notes, in beats: `first_bar_beat` is one of them, or would be."""
    start = notes.onset_step.min(initial=0) // STEPS_PER_BEAT
    end = -(-notes.end_step.max(initial=1) // STEPS_PER_BEAT)
    first = (start - first_bar_beat) // beats_per_bar
    last = -((first_bar_beat - end) // beats_per_bar)
    bars: npt.NDArray[np.int64] = np.arange(first, max(last, first + 1) + 1)
    return bars * beats_per_bar + first_bar_beat


def score_from_beats(
    notes: BeatNotes,
    bar_lines: Sequence[int] | npt.NDArray[np.int64],
    *,
    tempo_bpm: float,
    trim: bool = True,
    key: Key | None = None,
) -> tuple[Score, int]:
    """Round notes to the grid; estimate the key unless it is known.

    Parameters
    ----------
    bar_lines : sequence of int, strictly increasing
        In the beats of `notes`; every onset lies between the first and the last.
    tempo_bpm : float > 0
    trim : bool
        Leave out empty bars at the beginning and the end.
    key : Key, optional

    Returns
    -------
    Score
        If trimmed, its bar 0 is the first in which a note begins, its last one the last in which
        one sounds.
    int
        Number of bars left out at the beginning.
    """
    lines = np.asarray(bar_lines, np.int64)
    onset, end = notes.onset_step, notes.end_step
    first = 0
    if trim and len(onset):
        last_bar = len(lines) - 2
        first = _bar_of(int(onset.min()), lines)
        last = min(_bar_of(int(end.max()) - 1, lines), last_bar)
        lines = lines[first : last + 2]
    score = Score.from_notes(
        onset - lines[0] * STEPS_PER_BEAT,
        notes.voice,
        notes.pitch,
        end - onset,
        notes.velocity,
        bar_beats=lines - lines[0],
        tempo_bpm=tempo_bpm,
        key=key or key_of_notes(notes),
    )
    return score, first


def key_of_notes(notes: BeatNotes) -> Key | None:
    """Estimate the key from how long each pitch class sounds; None where all sound equally long."""
    length = np.maximum(notes.end_beat - notes.onset_beat, 0)
    weights = np.bincount(notes.pitch % 12, weights=length, minlength=12)
    return None if np.ptp(weights) == 0 else estimate_key(weights)


def _bar_of(step: int, lines: npt.NDArray[np.int64]) -> int:
    return int(np.searchsorted(lines * STEPS_PER_BEAT, step, side="right")) - 1
