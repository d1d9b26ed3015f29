"""Events -> the bytes of a MIDI file of format 1.

Messages are bytes as they stand in a track, without their time. What they may hold is the business
of whoever makes them (`singcli.music.midi_writing`).

References
----------
"Standard MIDI Files 1.0" (RP-001), The MIDI Association.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Sequence
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from singcli.music.midi_chunks import END_OF_TRACK, META, TRACK

Event = tuple[int, bytes]  # absolute tick, message

TEXT, TRACK_NAME, MARKER = 0x01, 0x03, 0x06  # kinds of meta events
TEMPO, METER, KEY = 0x51, 0x58, 0x59
TEXT_ENCODING = "utf-8"

_FIRST_SYSTEM_STATUS = 0xF0  # below are the messages of channels
_NOTE_OFF, _NOTE_ON, _PROGRAM = 0x80, 0x90, 0xC0
_RELEASE_VELOCITY = 64
_DIGIT_SHIFTS = np.array([21, 14, 7, 0])  # of a number of variable length, seven bits each
_DIGIT_FLAGS = np.array([0x80, 0x80, 0x80, 0])


def notes_off_and_on(
    channel: int, pitch: npt.NDArray[np.uint8], velocity: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Return the ends of notes, at the usual velocity, then their beginnings, shape=(2 n, 3)."""
    messages = np.empty((2, len(pitch), 3), np.uint8)
    messages[:, :, 0] = [[_NOTE_OFF | channel], [_NOTE_ON | channel]]
    messages[:, :, 1] = pitch
    messages[0, :, 2], messages[1, :, 2] = _RELEASE_VELOCITY, velocity
    return messages.reshape(-1, 3)


def program_change(channel: int, program: int) -> bytes:
    """Return the choice of a sound."""
    return bytes((_PROGRAM | channel, program))


def meta(kind: int, data: bytes = b"") -> bytes:
    """Return a meta event."""
    return bytes((META, kind)) + variable_number(len(data)) + data


def text(kind: int, words: str) -> bytes:
    """Return a meta event that holds a text."""
    return meta(kind, words.encode(TEXT_ENCODING))


@functools.lru_cache(maxsize=4096)
def variable_number(number: int) -> bytes:
    """Return a number as seven bits a byte, all but the last with the eighth bit set."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(number & 0x7F | 0x80)
    return bytes(reversed(parts))


def track_from_events(events: Iterable[Event], end_tick: int) -> bytes:
    """Return a track: events by tick, those of one tick in the order given, up to the end.

    A status that is that of the message before is left out, as the standard allows.
    """
    parts: list[bytes] = []
    now, running = 0, -1
    for tick, message in sorted(events, key=itemgetter(0)):
        status = message[0]
        parts += variable_number(tick - now), message[1:] if status == running else message
        now, running = tick, status if status < _FIRST_SYSTEM_STATUS else -1
    parts += variable_number(end_tick - now), meta(END_OF_TRACK)
    content = b"".join(parts)
    return TRACK + struct.pack(">L", len(content)) + content


def track_from_notes(
    heading: Iterable[bytes],
    tick: npt.NDArray[np.int64],
    message: npt.NDArray[np.uint8],
    end_tick: int,
) -> bytes:
    """Return the track of a voice: what `track_from_events` makes of so many notes, at once.

    Parameters
    ----------
    heading : iterable of bytes
        Messages at the beginning, none of them a note.
    tick : np.ndarray, shape=(n,), ascending
    message : np.ndarray, shape=(n, 3)
        Beginnings and ends of notes.
    """
    since = tick.copy()
    since[1:] -= tick[:-1]
    status = message[:, 0]
    n_digits = max(1, -(-int(since.max(initial=0)).bit_length() // 7))  # of the longest time
    digits = since[:, None] >> _DIGIT_SHIFTS[-n_digits:]
    columns = np.empty((len(tick), n_digits + 3), np.uint8)
    columns[:, :n_digits] = digits & 0x7F | _DIGIT_FLAGS[-n_digits:]
    columns[:, n_digits:] = message
    written = np.ones(columns.shape, np.bool_)
    np.greater(digits[:, :-1], 0, out=written[:, : n_digits - 1])
    np.not_equal(status[1:], status[:-1], out=written[1:, n_digits])
    content = b"".join(
        (
            *(variable_number(0) + first for first in heading),
            columns[written].tobytes(),
            variable_number(end_tick - (int(tick[-1]) if len(tick) else 0)),
            meta(END_OF_TRACK),
        )
    )
    return TRACK + struct.pack(">L", len(content)) + content


def file_from_tracks(tracks: Sequence[bytes], *, ticks_per_beat: int) -> bytes:
    """Return the file of these tracks, which sound together."""
    header = struct.pack(">LHHH", 6, 1, len(tracks), ticks_per_beat)
    return b"".join((b"MThd", header, *tracks))
