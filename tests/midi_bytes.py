"""MIDI files made in the tests, event by event."""

from __future__ import annotations

import io
from collections.abc import Sequence

import mido

Note = tuple[float, float, int]  # onset and end in quarters, pitch

TICKS = 480


def midi_bytes(
    tracks: Sequence[tuple[str, Sequence[Note]]],
    *,
    tempos: Sequence[tuple[float, int]] = ((0, 500_000),),
    meters: Sequence[tuple[float, int, int]] = ((0, 4, 4),),
    channels: Sequence[int] = (),
    programs: Sequence[int] = (),
    ticks: int = TICKS,
    velocity: int = 80,
) -> bytes:
    """Return a format 1 file; times in quarters, tempos in microseconds a quarter."""
    conductor = [
        (at, mido.MetaMessage("set_tempo", tempo=microseconds)) for at, microseconds in tempos
    ]
    conductor += [
        (at, mido.MetaMessage("time_signature", numerator=n, denominator=d)) for at, n, d in meters
    ]
    file = mido.MidiFile(type=1, ticks_per_beat=ticks)
    file.tracks.append(_track(conductor, ticks))
    for i, (name, notes) in enumerate(tracks):
        channel = channels[i] if channels else i % 9
        events = [(0, mido.MetaMessage("track_name", name=name))]
        if programs:
            events.append((0, mido.Message("program_change", channel=channel, program=programs[i])))
        for onset, end, pitch in notes:
            events.append(
                (onset, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
            )
            if end is not None:
                events.append((end, mido.Message("note_off", channel=channel, note=pitch)))
        file.tracks.append(_track(events, ticks))
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def _track(events: Sequence[tuple[float, mido.Message]], ticks: int) -> mido.MidiTrack:
    def order(event: tuple[float, mido.Message]) -> tuple[float, bool]:
        return event[0], event[1].type == "note_on"

    track, now = mido.MidiTrack(), 0
    for at, message in sorted(events, key=order):
        tick = round(at * ticks)
        track.append(message.copy(time=tick - now))
        now = tick
    return track


def tune(n_bars: int, *, beats: float = 4, pitches: Sequence[int] = (60, 64, 67, 72)) -> list[Note]:
    """Return one note a quarter for so many bars."""
    n = int(n_bars * beats)
    return [(float(i), i + 1.0, pitches[i % len(pitches)]) for i in range(n)]
