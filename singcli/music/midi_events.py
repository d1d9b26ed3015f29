"""MIDI files event by event, as their bytes say: what readers of notes leave out.

Nothing but the standard library is needed, so that the texts of a file can be had at once.

References
----------
"Standard MIDI Files 1.0" (RP-001), The MIDI Association.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from singcli.errors import InputError

META = 0xFF
TEXT, TRACK_NAME, MARKER, END_OF_TRACK, TEMPO, METER, KEY = 0x01, 0x03, 0x06, 0x2F, 0x51, 0x58, 0x59
_SYSEX, _SYSEX_GOES_ON = 0xF0, 0xF7
_HEADER_BYTES = 8  # of a chunk: its type and its length
_ONE_DATA_BYTE = (0xC0, 0xD0)  # program change, pressure of a channel


class MidiEvent(NamedTuple):
    """One event.

    Parameters
    ----------
    track : int
        From 0.
    tick : int
        Since the start.
    status : int
        `META`, or that of a channel message with its channel.
    kind : int
        Of a meta event, such as `TEXT`; -1 of others.
    data : bytes
    """

    track: int
    tick: int
    status: int
    kind: int
    data: bytes


class MidiHeader(NamedTuple):
    """What the file's first chunk says."""

    format: int
    n_tracks: int
    division: int


def midi_header(content: bytes, *, source: str) -> MidiHeader:
    """Return the header of a MIDI file.

    Raises
    ------
    InputError
        If the bytes do not begin with one.
    """
    if len(content) < 14 or content[:4] != b"MThd":
        raise InputError(f"{source}: not a MIDI file")
    return MidiHeader(*struct.unpack(">HHH", content[8:14]))


def midi_events(content: bytes, *, source: str) -> Iterator[MidiEvent]:
    """Yield the events of all tracks, system exclusive ones left out.

    Parameters
    ----------
    source : str
        What to call the file in messages.

    Raises
    ------
    InputError
        If the bytes are not a MIDI file, or where they break off or make no sense.
    """
    midi_header(content, source=source)
    place = _HEADER_BYTES + int.from_bytes(content[4:8], "big")
    track = 0
    while place + _HEADER_BYTES <= len(content):
        kind, length = content[place : place + 4], content[place + 4 : place + 8]
        start = place + _HEADER_BYTES
        place = start + int.from_bytes(length, "big")
        if kind != b"MTrk":
            continue  # readers have to skip chunks that they do not know
        try:
            yield from _track_events(content[start:place], track)
        except IndexError as error:
            raise InputError(f"{source}: damaged MIDI file (track {track} breaks off)") from error
        track += 1


def _track_events(data: bytes, track: int) -> Iterator[MidiEvent]:
    place = tick = status = 0
    while place < len(data):
        delta, place = _number(data, place)
        tick += delta
        if data[place] & 0x80:
            status = data[place]
            place += 1
        if status in (META, _SYSEX, _SYSEX_GOES_ON):
            kind = -1
            if status == META:
                kind, place = data[place], place + 1
            length, place = _number(data, place)
            end = place + length
            if end > len(data):
                raise IndexError(end)
            if status == META:
                yield MidiEvent(track, tick, META, kind, data[place:end])
                if kind == END_OF_TRACK:
                    return
            place, status = end, 0
            continue
        if status < 0x80 or status > 0xEF:  # data without a status, or one that files cannot have
            raise IndexError(place)
        end = place + (1 if status & 0xF0 in _ONE_DATA_BYTE else 2)
        if end > len(data):
            raise IndexError(end)
        yield MidiEvent(track, tick, status, -1, data[place:end])
        place = end


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Read a number of variable length; return it and the place behind it."""
    value = 0
    for _ in range(4):
        byte = data[place]
        value = value << 7 | byte & 0x7F
        place += 1
        if byte < 0x80:
            return value, place
    raise IndexError(place)


def midi_texts(content: bytes, *, source: str) -> Iterator[str]:
    """Yield the text events of the file, whatever their tick, in the order of the bytes.

    Raises
    ------
    InputError
        As `midi_events`, when it gets there.
    """
    for event in midi_events(content, source=source):
        if event.status == META and event.kind == TEXT:
            yield event.data.decode("utf-8", errors="replace")


def with_other_text(content: bytes, old: str, new: str) -> bytes:
    """Return a file of `midi_from_score` with another text in the place of one of its first track.

    Raises
    ------
    ValueError
        If the first track does not hold the old text.
    """
    length = int.from_bytes(content[18:22], "big")
    head, track, rest = content[:18], content[22 : 22 + length], content[22 + length :]
    before, found, after = track.partition(_text_event(old))
    if not found:
        raise ValueError("the text is not in the first track")
    track = before + _text_event(new) + after
    return head + len(track).to_bytes(4, "big") + track + rest


def _text_event(text: str) -> bytes:
    data = text.encode()
    digits = [len(data) & 0x7F]
    while len(data) >> 7 * len(digits):
        digits.append(len(data) >> 7 * len(digits) & 0x7F | 0x80)
    return bytes((META, TEXT, *reversed(digits))) + data
