from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from midi_bytes import midi_bytes, tune

from singcli.errors import InputError
from singcli.music.midi_reading import end_of_tracks_tick, midi_from_bytes, read_midi


def file_of(*tracks: bytes, division: int = 480) -> bytes:
    """Return a MIDI file of raw track events, without their end."""
    chunks = b"".join(
        b"MTrk" + struct.pack(">I", len(t) + 4) + t + b"\x00\xff\x2f\x00" for t in tracks
    )
    return b"MThd" + struct.pack(">IHHh", 6, 1, len(tracks), division) + chunks


NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(
        midi_bytes(
            [("Tune", [(0, 1, 60), (1.5, 2, 64)]), ("Bass", [(0, 4, 40)]), ("Kit", [(0, 1, 36)])],
            channels=[0, 3, 9],
            programs=[5, 33, 0],
            meters=[(0, 3, 4), (6, 6, 8)],
            tempos=[(0, 400_000), (3, 600_000)],
        )
    )
    music = read_midi(path)
    assert [(t.name, t.program, t.is_drum) for t in music.tracks] == [
        ("Tune", 5, False),
        ("Bass", 33, False),
        ("Kit", 0, True),
    ]
    notes = music.notes
    assert notes.onset_tick.tolist() == [0, 0, 0, 720]
    assert notes.end_tick.tolist() == [480, 1920, 480, 960]
    assert notes.track.tolist() == [0, 1, 2, 0]
    assert notes.velocity.tolist() == [80] * 4
    assert [(m.tick, m.numerator, m.denominator) for m in music.meters] == [(0, 3, 4), (2880, 6, 8)]
    assert music.tempo.microseconds_per_quarter.tolist() == [400_000, 600_000]
    assert music.end_tick == 1920


def test_without_tempo_and_meter_the_defaults_of_the_standard_hold() -> None:
    music = midi_from_bytes(file_of(NOTE), source="x")
    assert music.tempo.microseconds_per_quarter.tolist() == [500_000]
    assert [(m.numerator, m.denominator) for m in music.meters] == [(4, 4)]


def test_the_default_meter_holds_until_a_late_first_one() -> None:
    music = midi_from_bytes(midi_bytes([("x", tune(2))], meters=[(4, 3, 4)]), source="x")
    assert [(m.tick, m.numerator) for m in music.meters] == [(0, 4), (1920, 3)]


def test_of_simultaneous_changes_the_last_holds() -> None:
    content = midi_bytes(
        [("x", tune(2))],
        meters=[(0, 4, 4), (0, 2, 2)],
        tempos=[(0, 500_000), (0, 300_000)],
    )
    music = midi_from_bytes(content, source="x")
    assert [(m.numerator, m.denominator) for m in music.meters] == [(2, 2)]
    assert music.tempo.microseconds_per_quarter.tolist() == [300_000]


def test_a_note_that_is_never_released_is_left_out() -> None:
    content = midi_bytes([("x", [(0, 1, 60), (1, None, 62), (2, 3, 64)])])
    assert midi_from_bytes(content, source="x").notes.pitch.tolist() == [60, 64]


def test_running_status_and_velocity_zero_are_understood() -> None:
    track = b"\x00\x90\x3c\x50\x60\x3c\x00\x00\x40\x50\x60\x40\x00"
    notes = midi_from_bytes(file_of(track), source="x").notes
    assert notes.pitch.tolist() == [60, 64]
    assert (notes.end_tick - notes.onset_tick).tolist() == [96, 96]


def test_a_file_without_notes_can_be_read() -> None:
    music = midi_from_bytes(file_of(b""), source="x")
    assert len(music.notes) == 0
    assert music.end_tick == 0
    assert music.duration_s == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable MIDI file"),
        (b"RIFF but no MIDI", "not a readable MIDI file"),
        (file_of(NOTE)[:-9], "not a readable MIDI file"),
        (file_of(NOTE, division=-6136), "not a readable MIDI file"),
        (file_of(NOTE, division=0), "0 ticks a quarter"),
        (file_of(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE), "tempo of zero"),
        (file_of(b"\x00\xff\x58\x04\x00\x02\x18\x08" + NOTE), "not a meter"),
        (file_of(*([b"\xff\xff\xff\x7f\x90\x3c\x00"] * 1), NOTE * 0 + b""), None),
        (file_of(b"\xff\xff\xff\x7f\x90\x3d\x00" * 5 + NOTE), "absurd length"),
        (file_of(b"\xff\xff\xff\x7f\x90\x3d\x00" * 9 + NOTE), "absurd length"),
    ],
)
def test_damaged_files_end_in_one_line(content: bytes, message: str | None) -> None:
    if message is None:
        assert len(midi_from_bytes(content, source="x.mid").notes) == 0
        return
    with pytest.raises(InputError, match=message) as caught:
        midi_from_bytes(content, source="x.mid")
    assert str(caught.value).startswith("x.mid: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_midi(tmp_path / "no.mid")


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_raises_anything_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = np.frombuffer(midi_bytes([("x", tune(8)), ("y", tune(8))]), np.uint8)
    for _ in range(50):
        damaged = content.copy()
        places = rng.integers(0, len(content), rng.integers(1, 4))
        damaged[places] = rng.integers(0, 256, len(places))
        try:
            music = midi_from_bytes(damaged.tobytes(), source="x")
        except InputError:
            continue
        assert (music.notes.end_tick >= music.notes.onset_tick).all()
        assert music.notes.pitch.max(initial=0) < 128


def test_the_end_of_the_tracks_includes_silence() -> None:
    silence = b"\x8f\x00\xb0\x07\x40"  # a controller, 1920 ticks later
    assert end_of_tracks_tick(file_of(NOTE + silence), source="x") == 96 + 1920
    with pytest.raises(InputError, match="not a readable MIDI file"):
        end_of_tracks_tick(b"nothing", source="x")
