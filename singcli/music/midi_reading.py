"""MIDI files -> notes, tempo map and meters; the one module that reads MIDI through symusic.

Nothing else reads notes: what symusic refuses is refused, and `singcli.music.midi_chunks` refuses
beforehand what symusic would read in part.

Conventions
-----------
- A track is what shares MIDI track, channel and program: a format 0 file falls apart into its
  channels.
- A note that is never released has no length that could be known: it is left out (symusic drops
  it). A note struck again before its release is released there.
- A file without tempo runs at 120 quarters a minute, without meter in 4/4, as the MIDI standard
  says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.files import read_up_to
from singcli.music import midi_chunks
from singcli.music.bars import MAX_BARS
from singcli.music.notes import (
    MeterChange,
    MidiMusic,
    NoteTable,
    PedalTable,
    TempoMap,
    Track,
)

if TYPE_CHECKING:
    from symusic.core import ScoreTick

MAX_BYTES = 64 * 2**20
MAX_TICK = 2**30  # symusic counts in 32 bits; beyond this the file is absurd anyway
DEFAULT_MICROSECONDS_PER_QUARTER = 500_000
DEFAULT_METER = MeterChange(0, 4, 4)
SUSTAIN_PEDAL, PEDAL_DOWN = 64, 64  # controller number; the least value that counts as down


def read_midi(path: Path) -> MidiMusic:
    """Read a MIDI file.

    Raises
    ------
    InputError
        If the file cannot be read or is not a usable MIDI file.
    """
    content = read_up_to(path, MAX_BYTES)
    return midi_from_bytes(content, source=str(path))


def midi_from_bytes(content: bytes, *, source: str) -> MidiMusic:
    """Decode the bytes of a MIDI file.

    Parameters
    ----------
    source : str
        What to call the file in messages.

    Raises
    ------
    InputError
        If the bytes are damaged, count time in SMPTE frames, have a tempo or a meter of zero, or
        an absurd length. A file without notes is *not* an error here.
    """
    return _music(_decoded(content, source), source)


def performance_from_bytes(content: bytes, *, source: str) -> tuple[MidiMusic, PedalTable]:
    """Decode the bytes of a MIDI file, and what its pedals do.

    Raises
    ------
    InputError
        As `midi_from_bytes`.
    """
    score = _decoded(content, source)
    return _music(score, source), _pedals(score, source)


def _decoded(content: bytes, source: str) -> ScoreTick:
    from symusic.core import ScoreTick

    midi_chunks.validate_frame(content, source=source)
    try:
        score = ScoreTick.from_midi(content)
    except (RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: not a readable MIDI file ({_short(error)})") from error
    return score


def _music(score: ScoreTick, source: str) -> MidiMusic:
    return MidiMusic(
        tracks=tuple(
            Track(" ".join(track.name.split()), int(track.program), bool(track.is_drum))
            for track in score.tracks
        ),
        notes=_notes(score, source),
        tempo=_tempo(score, source),
        meters=_meters(score, source),
    )


def end_of_tracks_tick(content: bytes, *, source: str) -> int:
    """Return the tick at which the longest track ends, notes or not.

    Raises
    ------
    InputError
        If the bytes are not a MIDI file, or it lasts absurdly long.
    """
    end = midi_chunks.end_of_tracks_tick(content, source=source)  # symusic knows of notes only
    if end > MAX_TICK:
        raise InputError(f"{source}: absurd length (more than {MAX_TICK} ticks)")
    return end


def _notes(score: ScoreTick, source: str) -> NoteTable:
    columns = [track.notes.numpy() for track in score.tracks]
    onset, length, pitch, velocity = (
        np.concatenate([c[name] for c in columns] or [np.empty(0)]).astype(np.int64)
        for name in ("time", "duration", "pitch", "velocity")
    )
    track = np.repeat(np.arange(len(columns)), [len(c["time"]) for c in columns])
    if onset.min(initial=0) < 0 or (onset + length).max(initial=0) > MAX_TICK:
        raise InputError(f"{source}: absurd length (more than {MAX_TICK} ticks)")
    place = (onset * len(columns) + track) << 8 | (pitch & 0xFF)  # by onset, track, pitch
    order = np.argsort(place, kind="stable")
    return NoteTable(
        onset_tick=onset[order],
        end_tick=(onset + np.maximum(length, 0))[order],
        pitch=pitch[order].astype(np.uint8),
        velocity=np.minimum(np.maximum(velocity[order], 1), 127).astype(np.uint8),
        track=track[order].astype(np.int64),
    )


def _pedals(score: ScoreTick, source: str) -> PedalTable:
    columns = [track.controls.numpy() for track in score.tracks]
    tick, number, value = (
        np.concatenate([c[name] for c in columns] or [np.empty(0)]).astype(np.int64)
        for name in ("time", "number", "value")
    )
    track = np.repeat(np.arange(len(columns)), [len(c["time"]) for c in columns])
    mine = number == SUSTAIN_PEDAL
    if tick[mine].min(initial=0) < 0 or tick[mine].max(initial=0) > MAX_TICK:
        raise InputError(f"{source}: absurd length (more than {MAX_TICK} ticks)")
    return PedalTable(tick[mine], value[mine] >= PEDAL_DOWN, track[mine])


def _tempo(score: ScoreTick, source: str) -> TempoMap:
    columns = score.tempos.numpy()
    tick = columns["time"].astype(np.int64)
    microseconds = columns["mspq"].astype(np.int64)
    if microseconds.min(initial=1) <= 0:
        raise InputError(f"{source}: a tempo of zero, allowed is a positive tempo")
    if tick.min(initial=0) < 0:
        raise InputError(f"{source}: absurd length (tempo map beyond {MAX_TICK} ticks)")
    if len(tick) == 0 or tick[0] > 0:
        tick = np.r_[0, tick]
        microseconds = np.r_[DEFAULT_MICROSECONDS_PER_QUARTER, microseconds]
    last = _last_of_each(tick)
    return TempoMap(tick[last], microseconds[last], int(score.ticks_per_quarter))


def _meters(score: ScoreTick, source: str) -> tuple[MeterChange, ...]:
    columns = score.time_signatures.numpy()
    tick = columns["time"].astype(np.int64)
    last = np.flatnonzero(_last_of_each(tick))
    if len(last) > MAX_BARS:
        raise InputError(f"{source}: {len(last)} changes of meter, allowed are {MAX_BARS}")
    changes = [
        MeterChange(int(tick[i]), int(columns["numerator"][i]), int(columns["denominator"][i]))
        for i in last
    ]
    for change in changes:
        if change.numerator < 1 or change.denominator < 1 or change.tick < 0:
            raise InputError(
                f"{source}: the time signature {change.numerator}/{change.denominator}"
                f" at tick {change.tick} is not a meter"
            )
    if not changes or changes[0].tick > 0:
        changes.insert(0, DEFAULT_METER)
    return tuple(changes)


def _last_of_each(tick: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mark the last entry of every run of equal ticks: of simultaneous changes the last holds."""
    last = np.ones(len(tick), np.bool_)
    last[:-1] = tick[1:] != tick[:-1]
    return last


def _short(error: Exception) -> str:
    return " ".join(str(error).split()).removeprefix("MiniMidi: ").removesuffix(": iostream error")
