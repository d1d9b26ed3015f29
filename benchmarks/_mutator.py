"""Small songs of our own, and ways to damage the bytes of a file."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from singcli.music.midi_writing import midi_from_score
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

TELLING_BYTES = (0x00, 0x01, 0x2F, 0x51, 0x58, 0x7F, 0x80, 0x90, 0xF0, 0xF7, 0xFE, 0xFF)
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)

Generator = np.random.Generator


def small_song(seed: int, n_bars: int = 8) -> bytes:
    """Return a MIDI file: a phrase of random quarters over held basses, and the phrase again."""
    rng = np.random.default_rng(seed)
    half = n_bars // 2
    phrase = rng.choice(SCALE, (half, 4))
    notes = []
    for bar in range(n_bars):
        notes += [(16 * bar + 4 * i, LEAD, p, 4, 90) for i, p in enumerate(phrase[bar % half])]
        notes += [(16 * bar, ACCOMPANIMENT, 43 + bar % half, 16, 60)]
    step, voice, pitch, duration, velocity = np.array(notes).T
    score = Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        velocity,
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=float(rng.integers(60, 180)),
    )
    return midi_from_score(score, title=f"song {seed}")


def damaged(content: bytes, rng: Generator) -> bytes:
    """Return the file with one to four kinds of damage."""
    for _ in range(int(rng.integers(1, 5))):
        content = DAMAGES[int(rng.integers(len(DAMAGES)))](content, rng)
    return content


def _place(content: bytes, rng: Generator) -> int:
    """Return a place in the file, every third time in its first bytes, where the header is."""
    end = len(content) if rng.random() < 2 / 3 else min(len(content), 60)
    return int(rng.integers(max(end, 1)))


def _other_byte(content: bytes, rng: Generator) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.bytes(1) + content[place + 1 :]


def _telling_byte(content: bytes, rng: Generator) -> bytes:
    place = _place(content, rng)
    return content[:place] + bytes([int(rng.choice(TELLING_BYTES))]) + content[place + 1 :]


def _cut_off(content: bytes, rng: Generator) -> bytes:
    return content[: _place(content, rng)]


def _left_out(content: bytes, rng: Generator) -> bytes:
    place = _place(content, rng)
    return content[:place] + content[place + int(rng.integers(1, 40)) :]


def _put_in(content: bytes, rng: Generator) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.bytes(int(rng.integers(1, 40))) + content[place:]


def _repeated(content: bytes, rng: Generator) -> bytes:
    place, start = _place(content, rng), _place(content, rng)
    part = content[start : start + int(rng.integers(1, 400))]
    return content[:place] + part * int(rng.integers(1, 50)) + content[place:]


def _zeros(content: bytes, rng: Generator) -> bytes:
    place, n = _place(content, rng), int(rng.integers(1, 512))
    return content[:place] + bytes(min(n, len(content) - place)) + content[place + n :]


def _long_number(content: bytes, rng: Generator) -> bytes:
    """Put in the longest time that a file can wait."""
    place = _place(content, rng)
    return content[:place] + b"\xff\xff\xff\x7f" + content[place:]


def _header(content: bytes, rng: Generator) -> bytes:
    """Lie about the format, the number of tracks or the resolution."""
    field = int(rng.integers(3))
    value = int(rng.choice((0, 1, 2, 3, 24, 0x7FFF, 0x8000, 0xE728, 0xFFFF)))
    return content[: 8 + 2 * field] + struct.pack(">H", value) + content[10 + 2 * field :]


def _chunk_length(content: bytes, rng: Generator) -> bytes:
    """Lie about the length of a track."""
    places = [i for i in range(len(content)) if content.startswith(b"MTrk", i)]
    if not places:
        return content
    place = int(rng.choice(places)) + 4
    found = int.from_bytes(content[place : place + 4], "big")
    length = int(rng.choice((0, 1, found - 1, found + 1, found * 2, 2**31, 2**32 - 1)))
    return content[:place] + struct.pack(">L", max(length, 0) & 0xFFFFFFFF) + content[place + 4 :]


def _text_instead(_content: bytes, rng: Generator) -> bytes:
    return b"<html>404 Not Found</html>" * int(rng.integers(0, 40))


DAMAGES: tuple[Callable[[bytes, Generator], bytes], ...] = (
    _other_byte,
    _other_byte,
    _telling_byte,
    _telling_byte,
    _cut_off,
    _left_out,
    _put_in,
    _repeated,
    _zeros,
    _long_number,
    _header,
    _chunk_length,
    _text_instead,
)
