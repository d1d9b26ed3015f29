"""What a MIDI file holds, as arrays: notes in ticks, tracks, tempo map and meters.

Conventions
-----------
Every time carries its unit: `_tick` counts the file's own ticks, `_s` seconds, `_beat` quarter
notes. Nothing here rounds; that is the grid's part (`singcli.music.grid`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Track:
    """One part of a file.

    Parameters
    ----------
    name : str
        As written in the file, stripped; "" where it has none.
    program : int
        0 to 127, General MIDI.
    is_drum : bool
        Whether it plays on channel 10.
    """

    name: str
    program: int
    is_drum: bool


@dataclass(frozen=True, slots=True)
class NoteTable:
    """Notes of all tracks, ordered by onset.

    Parameters
    ----------
    onset_tick, end_tick : np.ndarray, shape=(n_notes,), int64
        end_tick >= onset_tick >= 0.
    pitch, velocity : np.ndarray, shape=(n_notes,), uint8
        0 to 127.
    track : np.ndarray, shape=(n_notes,), int64
        Index of the note's `Track`.
    """

    onset_tick: npt.NDArray[np.int64]
    end_tick: npt.NDArray[np.int64]
    pitch: npt.NDArray[np.uint8]
    velocity: npt.NDArray[np.uint8]
    track: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.onset_tick)

    def where(self, chosen: npt.NDArray[np.bool_]) -> NoteTable:
        """Return the notes for which `chosen`, shape=(n_notes,), is true."""
        return NoteTable(
            self.onset_tick[chosen],
            self.end_tick[chosen],
            self.pitch[chosen],
            self.velocity[chosen],
            self.track[chosen],
        )


@dataclass(frozen=True, slots=True)
class TempoMap:
    """Tempo changes.

    Parameters
    ----------
    tick : np.ndarray, shape=(n_changes,), int64
        Strictly increasing, the first is 0.
    microseconds_per_quarter : np.ndarray, shape=(n_changes,), int64
        Greater than 0.
    ticks_per_quarter : int > 0
    """

    tick: npt.NDArray[np.int64]
    microseconds_per_quarter: npt.NDArray[np.int64]
    ticks_per_quarter: int

    def seconds_from_ticks(self, ticks: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the time of every tick, in seconds from the start of the file."""
        ticks = np.asarray(ticks, np.int64)
        passed = np.diff(self.tick) * self.microseconds_per_quarter[:-1]
        change_time = np.zeros(len(self.tick), np.int64)  # exact: integer microseconds x ticks
        np.cumsum(passed, out=change_time[1:])
        segment = self.tick.searchsorted(ticks, side="right") - 1
        within = (ticks - self.tick[segment]) * self.microseconds_per_quarter[segment]
        seconds: npt.NDArray[np.float64] = (change_time[segment] + within) / (
            self.ticks_per_quarter * float(MICROSECONDS)
        )
        return seconds

    def median_bpm(self, start_tick: int, end_tick: int) -> float:
        """Return the tempo that holds in the middle when the span's quarters are put in order."""
        end_tick = max(end_tick, start_tick + 1)
        bounds = np.clip(np.r_[self.tick, max(end_tick, self.tick[-1])], start_tick, end_tick)
        ticks_held = np.diff(bounds)
        order = np.argsort(self.microseconds_per_quarter, kind="stable")
        held = np.cumsum(ticks_held[order])
        middle = int(np.searchsorted(held, held[-1] / 2))
        return 60.0 * MICROSECONDS / float(self.microseconds_per_quarter[order][middle])


@dataclass(frozen=True, slots=True)
class MeterChange:
    """A time signature and where it begins."""

    tick: int
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class MidiMusic:
    """The musical content of a MIDI file."""

    tracks: tuple[Track, ...]
    notes: NoteTable
    tempo: TempoMap
    meters: tuple[MeterChange, ...]

    @property
    def ticks_per_quarter(self) -> int:
        """Resolution of the file."""
        return self.tempo.ticks_per_quarter

    @property
    def end_tick(self) -> int:
        """Tick at which the last note ends, 0 where there is none."""
        return int(self.notes.end_tick.max(initial=0))

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the file to the end of the last note."""
        return float(self.tempo.seconds_from_ticks(self.end_tick))


@dataclass(frozen=True, slots=True)
class PedalTable:
    """What the sustain pedals do, track by track in the order of the file.

    Parameters
    ----------
    tick : np.ndarray, shape=(n_moves,), int64
    is_down : np.ndarray, shape=(n_moves,), bool
        Whether the pedal is at least half down from then on.
    track : np.ndarray, shape=(n_moves,), int64
        Index into `MidiMusic.tracks`.
    """

    tick: npt.NDArray[np.int64]
    is_down: npt.NDArray[np.bool_]
    track: npt.NDArray[np.int64]
