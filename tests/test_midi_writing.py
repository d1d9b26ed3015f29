"""The MIDI writer, read back by two independent libraries."""

from __future__ import annotations

import dataclasses
import io
import json
import struct

import mido
import numpy as np
import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st
from test_form import forms

from singcli.errors import InputError
from singcli.music import midi_encoding
from singcli.music.key import TONIC_NAMES, Key
from singcli.music.midi_chunks import end_of_tracks_tick
from singcli.music.midi_reading import midi_from_bytes
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import MAX_PITCH, MIN_PITCH, Score, regular_bars
from singcli.preparation.scores import score_from_midi

KEYS = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]


def score_of(notes, *, bar_beats, tempo_bpm=120.0, key=None) -> Score:
    columns = np.array(notes, np.int64).reshape(-1, 5).T
    return Score.from_notes(*columns, bar_beats=bar_beats, tempo_bpm=tempo_bpm, key=key)


def read_tracks(content: bytes) -> list[list[tuple[int, mido.Message]]]:
    """Tracks as (absolute tick, message) lists."""
    tracks = []
    for track in mido.MidiFile(file=io.BytesIO(content), charset="utf-8").tracks:
        ticks = np.cumsum([message.time for message in track]).tolist()
        tracks.append(list(zip(ticks, track, strict=True)))
    return tracks


def of_type(track, kind: str) -> list[tuple[int, mido.Message]]:
    return [(tick, message) for tick, message in track if message.type == kind]


def test_one_note_is_written_byte_for_byte_as_the_standard_says():
    score = score_of([(4, 0, 60, 2, 100)], bar_beats=[0, 4], key=Key.parse("D minor"))
    conductor = (
        b"\x00\xff\x03\x01x"  # name
        b"\x00\xff\x51\x03\x07\xa1\x20"  # 500,000 microseconds
        b"\x00\xff\x58\x04\x04\x02\x18\x08"  # 4/4
        b"\x00\xff\x59\x02\xff\x01"  # one flat, minor
        b"\x8f\x00\xff\x2f\x00"  # 1,920 ticks later
    )
    lead = (
        b"\x00\xff\x03\x04Lead\x00\xc0\x00"
        b"\x83\x60\x90\x3c\x64"  # 480 ticks, note on
        b"\x81\x70\x80\x3c\x40"  # 240 ticks, note off
        b"\x89\x30\xff\x2f\x00"  # 1,200 ticks
    )
    accompaniment = b"\x00\xff\x03\x0dAccompaniment\x00\xc1\x00\x8f\x00\xff\x2f\x00"
    expected = b"MThd" + struct.pack(">LHHH", 6, 1, 3, 480)
    for track in (conductor, lead, accompaniment):
        expected += b"MTrk" + struct.pack(">L", len(track)) + track
    assert midi_from_score(score, title="x") == expected


def test_conductor_voices_and_markers_are_where_a_sequencer_looks_for_them(aaba_score):
    sections = [("A", 0, 2), ("A", 2, 2), ("B", 4, 2), ("A'", 6, 2)]
    content = midi_from_score(aaba_score, sections=sections, title="Song", programs=(73, 24))
    header = mido.MidiFile(file=io.BytesIO(content))
    assert (header.type, header.ticks_per_beat) == (1, 480)
    conductor, lead, accompaniment = read_tracks(content)
    assert [m.name for _, m in of_type(conductor, "track_name")] == ["Song"]
    assert [(t, m.tempo) for t, m in of_type(conductor, "set_tempo")] == [(0, 500_000)]
    assert [(t, m.key) for t, m in of_type(conductor, "key_signature")] == [(0, "C")]
    assert [(t, m.text) for t, m in of_type(conductor, "marker")] == [
        (0, "A"),
        (3840, "A"),
        (7680, "B"),
        (11520, "A'"),
    ]
    for channel, (track, name, program) in enumerate(
        [(lead, "Lead", 73), (accompaniment, "Accompaniment", 24)]
    ):
        assert [m.name for _, m in of_type(track, "track_name")] == [name]
        assert [(t, m.program) for t, m in of_type(track, "program_change")] == [(0, program)]
        assert {m.channel for _, m in track if not m.is_meta} == {channel}


def test_every_track_ends_with_the_last_bar_however_early_its_notes_do():
    score = score_of([(0, 0, 60, 1, 80)], bar_beats=regular_bars(5, 3))
    assert [track[-1][0] for track in read_tracks(midi_from_score(score))] == [15 * 480] * 3


def test_a_repeated_note_is_released_before_it_is_struck_again():
    score = score_of([(0, 0, 60, 4, 80), (4, 0, 60, 4, 81)], bar_beats=[0, 4])
    _, lead, _ = read_tracks(midi_from_score(score))
    played = [(t, m.type) for t, m in lead if m.type.startswith("note")]
    assert played == [(0, "note_on"), (480, "note_off"), (480, "note_on"), (960, "note_off")]


def test_an_empty_score_keeps_its_length_and_its_tracks():
    score = score_of([], bar_beats=regular_bars(2, 4))
    tracks = read_tracks(midi_from_score(score))
    assert [track[-1][0] for track in tracks] == [3840] * 3


def test_a_meter_is_written_once_where_the_bars_keep_their_length():
    conductor, *_ = read_tracks(
        midi_from_score(score_of([], bar_beats=regular_bars(4, 3)), bar_meters=["6/8"] * 4)
    )
    (signature,) = of_type(conductor, "time_signature")
    assert (signature[0], signature[1].numerator, signature[1].denominator) == (0, 6, 8)
    assert signature[1].clocks_per_click == 36


def test_a_bar_of_another_length_has_its_own_meter_and_the_next_one_returns():
    bar_beats = [0, 3, 6, 8, 11]
    bar_meters = ["6/8", "6/8", "2/4", "6/8"]
    content = midi_from_score(score_of([], bar_beats=bar_beats), bar_meters=bar_meters)
    conductor, *_ = read_tracks(content)
    assert [
        (tick // 480, m.numerator, m.denominator)
        for tick, m in of_type(conductor, "time_signature")
    ] == [(0, 6, 8), (6, 2, 4), (8, 6, 8)]


def test_bars_of_one_length_may_change_their_meter():
    score = score_of([], bar_beats=regular_bars(4, 3))
    conductor, *_ = read_tracks(midi_from_score(score, bar_meters=["3/4", "6/8", "6/8", "3/4"]))
    signatures = of_type(conductor, "time_signature")
    assert [(tick // 480, m.numerator) for tick, m in signatures] == [(0, 3), (3, 6), (9, 3)]


def test_tempos_change_with_the_bar():
    score = score_of([], bar_beats=[0, 4, 6, 9])
    for changes, expected in (
        ([(0, 60.0), (2, 120.0)], [(0, 60), (6, 120)]),
        ([(1, 60.0)], [(0, 120), (4, 60)]),  # the score's own until then
        ([], [(0, 120)]),
    ):
        conductor, *_ = read_tracks(midi_from_score(score, tempo_changes=changes))
        tempos = of_type(conductor, "set_tempo")
        assert [(tick // 480, mido.tempo2bpm(m.tempo)) for tick, m in tempos] == expected


@pytest.mark.parametrize("bars", [[-1], [3], [1, 1], [2, 1]])
def test_a_tempo_outside_the_score_or_out_of_order_is_refused(bars):
    score = score_of([], bar_beats=[0, 4, 6, 9])
    with pytest.raises(InputError, match=r"tempo changes at bars .*, allowed: in order, each once"):
        midi_from_score(score, tempo_changes=[(bar, 60.0) for bar in bars])


def test_a_meter_that_is_not_as_long_as_its_bar_is_refused():
    with pytest.raises(InputError, match="bar 1 has 3 beats, its meter is 4/4"):
        midi_from_score(score_of([], bar_beats=[0, 4, 7]), bar_meters=["4/4", "4/4"])


@given(form=forms(), seed=st.integers(0, 100))
def test_forms_of_many_meters_and_tempos_are_read_back(tmp_path_factory, form, seed):
    if form.n_bars < 2:
        return  # the reader takes no piece of one bar
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, form.n_beats * 4, 20)
    notes = [(step, step % 2, 40 + step % 40, 1 + step % 5, 80) for step in steps.tolist()]
    score = score_of(notes, bar_beats=form.bar_beats, tempo_bpm=form.tempo_bpm)
    content = midi_from_score(
        score,
        sections=form.section_bars,
        bar_meters=form.bar_meters,
        tempo_changes=form.tempo_changes,
    )
    path = tmp_path_factory.mktemp("song") / "song.mid"
    path.write_bytes(content)
    read = score_from_midi(path, whole=True)
    for name in ("step", "voice", "pitch", "bar_beats"):
        np.testing.assert_array_equal(getattr(read, name), getattr(score, name), err_msg=name)
    conductor, *_ = read_tracks(content)
    meter_at = {
        t: f"{m.numerator}/{m.denominator}" for t, m in of_type(conductor, "time_signature")
    }
    meters, meter = [], ""
    for beat in form.bar_beats[:-1].tolist():
        meter = meter_at.get(beat * 480, meter)
        meters.append(meter)
    assert meters == form.bar_meters
    beat_ticks = np.arange(form.n_beats) * 480
    seconds = midi_from_bytes(content, source="x").tempo.seconds_from_ticks(beat_ticks)
    np.testing.assert_allclose(seconds, form.beat_s, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_every_key_has_the_signature_of_its_scale(key):
    score = score_of([], bar_beats=[0, 4], key=key)
    (signature,) = symusic.Score.from_midi(midi_from_score(score)).key_signatures
    assert signature.tonality == (key.mode == "minor")
    sharps = signature.key  # each sharp moves the major tonic up a fifth
    major_tonic = key.tonic if key.mode == "major" else key.tonic + 3
    assert (7 * sharps - major_tonic) % 12 == 0
    assert abs(sharps) <= 6
    assert str(key).split()[0] in TONIC_NAMES


def test_the_recipe_travels_as_a_text_event_and_foreign_letters_survive(aaba_score):
    recipe = json.dumps({"form": "A8 B8", "title": "été"})
    content = midi_from_score(
        aaba_score, sections=[("Réfrain", 0, 4)], title="Zmęczenie", recipe_text=recipe
    )
    conductor, *_ = read_tracks(content)
    assert [m.text for _, m in of_type(conductor, "text")] == [recipe]
    assert of_type(conductor, "track_name")[0][1].name == "Zmęczenie"
    assert [m.text for m in symusic.Score.from_midi(content).markers] == ["Réfrain"]


def test_the_same_score_gives_the_same_bytes(aaba_score):
    assert midi_from_score(aaba_score) == midi_from_score(aaba_score)


@pytest.mark.parametrize("section", [("A", -1, 2), ("A", 7, 2), ("A", 0, 0)])
def test_a_section_outside_the_score_is_refused(aaba_score, section):
    with pytest.raises(InputError, match="section 'A' = bars"):
        midi_from_score(aaba_score, sections=[section])


@pytest.mark.parametrize("tempo", [0.0, -10.0, 3.5, 2e8, float("nan"), float("inf")])
def test_a_tempo_that_midi_cannot_hold_is_refused(aaba_score, tempo):
    with pytest.raises(InputError, match="tempo = "):
        midi_from_score(dataclasses.replace(aaba_score, tempo_bpm=tempo))


def test_a_bar_longer_than_a_time_signature_can_say_is_refused():
    with pytest.raises(InputError, match="bar 0 has 256 beats"):
        midi_from_score(score_of([], bar_beats=[0, 256]))


notes_on_grid = st.lists(
    st.tuples(
        st.integers(0, 63),
        st.integers(0, 1),
        st.integers(MIN_PITCH, MAX_PITCH),
        st.integers(1, 64),
        st.integers(1, 127),
    ),
    max_size=40,
)


@given(notes=notes_on_grid, microseconds=st.integers(200_000, 2_000_000))
def test_notes_and_tempo_come_back_as_they_were_written(notes, microseconds):
    score = score_of(notes, bar_beats=regular_bars(4, 4), tempo_bpm=60e6 / microseconds)
    read = symusic.Score.from_midi(midi_from_score(score))
    assert [tempo.mspq for tempo in read.tempos] == [microseconds]
    columns = (score.voice, score.step * 120, score.duration * 120, score.pitch, score.velocity)
    written = sorted(zip(*columns, strict=True))
    names = ["Lead", "Accompaniment"]
    assert written == sorted(
        (names.index(track.name), note.time, note.duration, note.pitch, note.velocity)
        for track in read.tracks
        for note in track.notes
    )


@given(
    notes=notes_on_grid, microseconds=st.integers(200_000, 2_000_000), beats=st.sampled_from([3, 4])
)
def test_the_reader_of_singcli_gives_the_same_score_back(
    tmp_path_factory, notes, microseconds, beats
):
    edges = [(0, 0, 72, 1, 64), (63, 1, 40, 1, 64)]  # the reader leaves out silent bars at the ends
    bar_beats = regular_bars(-(-16 // beats), beats)
    score = score_of(notes + edges, bar_beats=bar_beats, tempo_bpm=60e6 / microseconds)
    path = tmp_path_factory.mktemp("song") / "song.mid"
    path.write_bytes(
        midi_from_score(score, bar_meters=["6/8"] * (len(bar_beats) - 1) if beats == 3 else None)
    )
    read = score_from_midi(path)
    for name in ("step", "voice", "pitch", "duration", "velocity", "bar_beats"):
        np.testing.assert_array_equal(getattr(read, name), getattr(score, name), err_msg=name)
    assert read.tempo_bpm == pytest.approx(score.tempo_bpm)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 300), st.integers(0, 2**24)),
            st.sampled_from([0x80, 0x90, 0x91]),
            st.integers(0, 127),
            st.integers(0, 127),
        )
    ),
    st.integers(0, 2**20),
)
def test_notes_at_once_make_the_track_of_single_events(events, silence):
    ticks = np.cumsum([since for since, *_ in events], dtype=np.int64)
    messages = np.array([message for _, *message in events], np.uint8).reshape(-1, 3)
    end_tick = int(ticks[-1] if len(ticks) else 0) + silence
    heading = [midi_encoding.text(midi_encoding.TRACK_NAME, "Lead")]
    singly = [(0, heading[0])]
    singly += [(t, bytes(m)) for t, m in zip(ticks.tolist(), messages, strict=True)]
    track = midi_encoding.track_from_notes(heading, ticks, messages, end_tick)
    assert track == midi_encoding.track_from_events(singly, end_tick)
    file = midi_encoding.file_from_tracks([track], ticks_per_beat=480)
    assert end_of_tracks_tick(file, source="x.mid") == end_tick
