"""Notes and pedals -> rows: a fast twin of pretty_midi's piano roll, yes or no instead of loudness.

Conventions
-----------
- A row lasts one beat of the estimated tempo, counted from the start of the file.
- A note sounds in the rows from the one in which it begins to the one *before* the one in which it
  ends: what begins and ends within a row is not there. So it is in the paper.
- While the sustain pedal is down (at least half), what has sounded since it went down goes on
  sounding. A pedal that is never released holds nothing.
- A release ends all notes of its pitch in its track. A note that is never released has no length:
  it is left out (pretty_midi ends it at the pitch's next release, if one comes).
- Every track has its own pedal. Drums are left out; pitch bends are not followed.

References
----------
`Instrument.get_piano_roll` of pretty_midi 0.2.11.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.music.notes import MidiMusic, NoteTable, PedalTable
from singcli.preparation.row_tempo import seconds_from_ticks
from singcli.row_dataset import N_ROW_PITCHES, Roll


def ended_by_first_release(notes: NoteTable) -> NoteTable:
    """Let the first release of a pitch end all notes of that pitch in its track.

    Parameters
    ----------
    notes : NoteTable
        As from `midi_reading`, where one release ends one note, the earliest.

    Returns
    -------
    NoteTable
        Without the notes that are released as they begin.
    """
    stride = int(notes.end_tick.max(initial=0)) + 1  # keeps the pitches of the tracks apart
    lane = (notes.track * N_ROW_PITCHES + notes.pitch) * stride
    releases = np.unique(lane + notes.end_tick)
    kept = notes.end_tick > notes.onset_tick
    notes, lane = notes.where(kept), lane[kept]
    following = np.searchsorted(releases, lane + notes.onset_tick, side="right")
    return dataclasses.replace(notes, end_tick=releases[following] - lane)


def row_roll(music: MidiMusic, pedals: PedalTable, tempo_bpm: float) -> Roll:
    """Return which pitches sound in each row, empty rows at either end included.

    Parameters
    ----------
    music : MidiMusic
    pedals : PedalTable
        Of the same tracks.
    tempo_bpm : float > 0
        Rows a minute.

    Returns
    -------
    np.ndarray, shape=(n_rows, 128), bool
    """
    notes, rows_a_second = music.notes, tempo_bpm / 60

    def rows(ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return (seconds_from_ticks(music.tempo, ticks) * rows_a_second).astype(np.int64)

    start, end, pedal_row = rows(notes.onset_tick), rows(notes.end_tick), rows(pedals.tick)
    n_rows = int(max(end.max(initial=0), pedal_row.max(initial=0)))
    roll = np.zeros((n_rows, N_ROW_PITCHES), np.bool_)
    for track in np.unique(notes.track).tolist():
        if not music.tracks[track].is_drum:
            mine, my_pedals = notes.track == track, pedals.track == track
            part = _sounding(start[mine], end[mine], notes.pitch[mine], n_rows)
            _hold(part, pedal_row[my_pedals].tolist(), pedals.is_down[my_pedals].tolist())
            roll |= part
    return roll


def trimmed(roll: Roll) -> Roll:
    """Return the rows from the first in which something sounds to the last."""
    sounding = np.flatnonzero(roll.any(axis=1))
    return roll[sounding[0] : sounding[-1] + 1] if len(sounding) else roll[:0]


def _sounding(
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.uint8],
    n_rows: int,
) -> Roll:
    """Return the rows in which keys are held."""
    change = np.zeros((n_rows + 1, N_ROW_PITCHES), np.int32)
    np.add.at(change, (start, pitch.astype(np.intp)), 1)
    np.add.at(change, (end, pitch.astype(np.intp)), -1)
    sounding: Roll = np.cumsum(change[:-1], axis=0, dtype=np.int32) > 0
    return sounding


def _hold(roll: Roll, pedal_row: Sequence[int], is_down: Sequence[bool]) -> None:
    """Prolong in place what sounds while the pedal is down."""
    down_since = None
    for row, down in zip(pedal_row, is_down, strict=True):
        if down and down_since is None:
            down_since = row
        elif not down and down_since is not None:
            held = roll[down_since:row]
            np.logical_or.accumulate(held, axis=0, out=held)
            down_since = None
