"""Performances made in the tests: uneven onsets, pedals, more than one tempo and track."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import mido
import numpy as np

TICKS = 384

Event = tuple[int, mido.Message | mido.MetaMessage]


def performance_bytes(tracks: Sequence[Sequence[Event]]) -> bytes:
    """Return a format 1 file of tracks of (tick, message), in any order of ticks."""
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    for events in tracks:
        track, now = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def note(start: int, stop: int, pitch: int, channel: int = 0) -> list[Event]:
    """Return a note from one tick to another."""
    return [
        (start, mido.Message("note_on", note=pitch, velocity=70, channel=channel)),
        (stop, mido.Message("note_off", note=pitch, channel=channel)),
    ]


def pedal(tick: int, value: int, channel: int = 0) -> Event:
    """Return a move of the sustain pedal."""
    return tick, mido.Message("control_change", control=64, value=value, channel=channel)


def tempo(tick: int, microseconds: int) -> Event:
    """Return a tempo change, in microseconds a quarter."""
    return tick, mido.MetaMessage("set_tempo", tempo=microseconds)


def performance(seed: int, n_notes: int = 400) -> bytes:
    """Return a random performance of two tracks with pedals and three tempos, about two minutes."""
    rng = np.random.default_rng(seed)
    conductor = [tempo(0, 500_000)]
    conductor += [tempo(int(t), int(rng.integers(3e5, 8e5))) for t in rng.integers(1, 60_000, 2)]
    tracks = [conductor]
    for channel in (0, 3):
        starts = np.cumsum(rng.choice([2, 30, 90, 96, 150, 400], n_notes))
        events: list[Event] = []
        for start in starts.tolist():
            length = int(rng.integers(1, 600))
            events += note(start, start + length, int(rng.integers(40, 80)), channel)
        for tick in rng.integers(0, int(starts[-1]) + 1000, n_notes // 4).tolist():
            events.append(pedal(tick, int(rng.integers(0, 128)), channel))
        tracks.append(events)
    return performance_bytes(tracks)


@functools.cache
def piece(n_rows: int, seed: int = 0) -> bytes:
    """Return a performance of exactly so many rows: steady onsets, each held for one row."""
    rng = np.random.default_rng(seed)
    step = TICKS // 2  # a quarter of a second at 120 quarters a minute: 240 rows a minute
    events = [
        event
        for row, pitch in enumerate(rng.integers(40, 80, n_rows).tolist())
        for event in note(row * step, (row + 1) * step, int(pitch))
    ]
    return performance_bytes([[tempo(0, 500_000)], events])
