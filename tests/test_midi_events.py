"""MIDI files event by event."""

from __future__ import annotations

import io

import mido
import pytest

from singcli.errors import InputError
from singcli.music.midi_events import (
    MARKER,
    META,
    TEXT,
    TRACK_NAME,
    midi_events,
    midi_header,
    midi_texts,
    with_other_text,
)
from singcli.music.midi_writing import midi_from_score

HEAD = b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0"


def track(data: bytes) -> bytes:
    return HEAD + b"MTrk" + len(data).to_bytes(4, "big") + data


def events_of_mido(content: bytes) -> list[tuple[int, int, bytes]]:
    found = []
    for number, messages in enumerate(mido.MidiFile(file=io.BytesIO(content)).tracks):
        tick = 0
        for message in messages:
            tick += message.time
            if not message.is_meta:
                found.append((number, tick, bytes(message.bytes())))
    return found


def test_events_are_those_that_mido_reads(aaba_score):
    content = midi_from_score(aaba_score, sections=[("A", 0, 4), ("B", 4, 4)], title="été")
    events = list(midi_events(content, source="x"))
    played = [(e.track, e.tick, bytes([e.status]) + e.data) for e in events if e.status != META]
    assert played == events_of_mido(content)
    assert [(e.tick, e.data) for e in events if e.kind == MARKER] == [(0, b"A"), (7680, b"B")]
    names = [e.data.decode() for e in events if e.kind == TRACK_NAME]
    assert names == ["été", "Lead", "Accompaniment"]
    assert midi_header(content, source="x") == (1, 3, 480)


def test_running_status_exclusive_messages_and_unknown_chunks():
    data = b"\x00\x90\x3c\x50\x60\x3c\x00\x00\xf0\x02\x01\xf7\x81\x00\xc0\x05\x00\xff\x2f\x00"
    content = track(data).replace(b"MTrk", b"XFIH\x00\x00\x00\x01\x00MTrk")
    assert [(e.tick, e.status, e.data) for e in midi_events(content, source="x")] == [
        (0, 0x90, b"\x3c\x50"),
        (96, 0x90, b"\x3c\x00"),
        (224, 0xC0, b"\x05"),
        (224, META, b""),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MThd",
        b"RIFF" + HEAD[4:],
        track(b"\x00\x90\x3c"),
        track(b"\x00\x3c\x50"),
        track(b"\x00\xff\x01\x7fabc"),
        track(b"\x00\xff"),
        track(b"\xff\xff\xff\xff\xff\x90\x3c\x50"),
        track(b"\x00\xf4\x00"),
        track(b"\x00\xff\x51\x00\x00\x3c\x50"),
    ],
)
def test_what_is_no_midi_file_is_refused(content):
    with pytest.raises(InputError, match=r"x\.mid: (not a|damaged) MIDI file"):
        list(midi_events(content, source="x.mid"))


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 70000])
def test_a_text_takes_the_place_of_another_whatever_their_lengths(aaba_score, length):
    content = midi_from_score(aaba_score, recipe_text="old", title="song")
    changed = with_other_text(content, "old", "n" * length)
    assert list(midi_texts(changed, source="x")) == ["n" * length]
    assert changed == midi_from_score(aaba_score, recipe_text="n" * length, title="song")
    assert with_other_text(changed, "n" * length, "old") == content
    kinds = [e.kind for e in midi_events(changed, source="x") if e.track == 0]
    assert kinds[:2] == [TRACK_NAME, TEXT]


def test_a_text_that_is_not_there_cannot_be_replaced(aaba_score):
    with pytest.raises(ValueError, match="not in the first track"):
        with_other_text(midi_from_score(aaba_score), "old", "new")
