"""The frame of a MIDI file: header, chunks, lengths. What parsers differ in is decided here.

Conventions
-----------
symusic reads the events of a file, and its verdict on them holds. What it reads in part without a
word is refused before: a file is read whole or not at all. So

- a file that ends before all the tracks that its header announces, or that goes on with more, is
  damaged: it was cut off, or put together wrongly;
- format 2 (patterns to be played one after the other) is refused, not played all at once;
- chunks that are no tracks are skipped, as the standard demands, and so are bytes behind the last
  track;
- a track ends with its chunk, or at an end-of-track event before.

References
----------
"Standard MIDI Files 1.0" (RP-001), The MIDI Association.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator

from singcli.errors import InputError

HEADER_BYTES = 14
CHUNK_BYTES = 8
TRACK = b"MTrk"
META, SYSEX, ESCAPE, END_OF_TRACK = 0xFF, 0xF0, 0xF7, 0x2F
ONE_DATA_BYTE = (0xC0, 0xD0)  # program change and channel pressure; other messages have two
MAX_NUMBER_BYTES = 4

# A time and a message of two data bytes, its status left out where it is that of the one before.
_SHORT_EVENT = rb"([\x80-\xff]{0,3}[\x00-\x7f])(?:[\x80-\xbf\xe0-\xef]..|[\x00-\x7f].)"
_SHORT_EVENTS = re.compile(rb"(?:%b){1,1024}" % _SHORT_EVENT, re.DOTALL)
_SHORT_EVENT_TIME = re.compile(_SHORT_EVENT, re.DOTALL)


def validate_frame(content: bytes, *, source: str) -> None:
    """Check header and chunks, before any event is read.

    Raises
    ------
    InputError
        Says what is wrong with the file, see the conventions of the module.
    """
    damaged = f"{source}: not a readable MIDI file"
    if len(content) < HEADER_BYTES or content[:4] != b"MThd":
        raise InputError(f"{damaged} (it does not begin with a MIDI header)")
    length, kind, announced, division = struct.unpack(">LHHH", content[4:HEADER_BYTES])
    if length != HEADER_BYTES - CHUNK_BYTES:
        raise InputError(f"{damaged} (its header is {length} bytes long)")
    if kind > 1:
        raise InputError(f"{damaged} (format {kind}, allowed are 0 and 1)")
    if division & 0x8000:
        raise InputError(f"{damaged} (it counts time in SMPTE frames, not in quarter notes)")
    if division == 0:
        raise InputError(f"{source}: damaged MIDI file (0 ticks a quarter note)")
    found = 0
    for name, start, end in _chunks(content):
        if end > len(content):
            if found >= announced and name != TRACK:
                break  # bytes behind the last track
            raise InputError(
                f"{damaged} (a chunk of {end - start} bytes with {len(content) - start} left)"
            )
        found += name == TRACK
    if found < announced:
        raise InputError(f"{damaged} (cut off: {found} tracks of {announced} announced)")
    if found > announced:
        raise InputError(f"{damaged} ({found} tracks, announced are {announced})")


def end_of_tracks_tick(content: bytes, *, source: str) -> int:
    """Return the tick at which the longest track ends, notes or not.

    Raises
    ------
    InputError
        If the frame is damaged, or the events break off or make no sense.
    """
    validate_frame(content, source=source)
    end_tick = 0
    for number, (name, start, end) in enumerate(_chunks(content)):
        if name == TRACK and end <= len(content):
            try:
                end_tick = max(end_tick, _length_in_ticks(content[start:end]))
            except (IndexError, ValueError) as error:
                raise InputError(
                    f"{source}: not a readable MIDI file (track {number} breaks off)"
                ) from error
    return end_tick


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of every chunk behind the header; an end may lie past the file."""
    place = HEADER_BYTES
    while place + CHUNK_BYTES <= len(content):
        name = content[place : place + 4]
        start = place + CHUNK_BYTES
        place = start + int.from_bytes(content[place + 4 : start], "big")
        yield name, start, place


def _length_in_ticks(events: bytes) -> int:
    """Add up the time of a track.

    Raises
    ------
    IndexError, ValueError
        Where the events break off, or a byte cannot be there.
    """
    place = tick = status = 0
    while place < len(events):
        delta, place = _number(events, place)
        tick += delta
        if events[place] >= 0x80:
            status = events[place]
            place += 1
        if status in (META, SYSEX, ESCAPE):
            kind = events[place] if status == META else None
            length, place = _number(events, place + (status == META))
            place += length
            if kind == END_OF_TRACK:
                break
        elif 0x80 <= status < SYSEX:
            if status & 0xF0 in ONE_DATA_BYTE:
                place += 1
            else:
                elapsed, place = _pass_short_events(events, place + 2)
                tick += elapsed
        else:
            raise ValueError(status)
    if place > len(events):
        raise IndexError(place)
    return tick


def _pass_short_events(events: bytes, place: int) -> tuple[int, int]:
    """Return the time of the notes and the like that follow one another here, and where they end.

    A song is little else, and its few different times are soon added up.
    """
    times: Counter[bytes] = Counter()
    while (run := _SHORT_EVENTS.match(events, place)) is not None:
        times.update(_SHORT_EVENT_TIME.findall(events, place, run.end()))
        place = run.end()
    return sum(_number(time, 0)[0] * n for time, n in times.items()), place


def _number(events: bytes, place: int) -> tuple[int, int]:
    """Read a number of variable length; return it and the place behind it."""
    value = 0
    for place in range(place, place + MAX_NUMBER_BYTES):  # noqa: B020 - goes on from there
        value = value << 7 | events[place] & 0x7F
        if events[place] < 0x80:
            return value, place + 1
    raise ValueError(value)
