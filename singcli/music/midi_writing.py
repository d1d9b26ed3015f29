"""Score -> MIDI file that opens right in every sequencer.

Format 1, `TICKS_PER_BEAT` ticks a quarter note; track 0 is the conductor's (tempos, meters,
key, section markers), then one named track and one channel per voice. All tracks end exactly at the
end of the last bar. The same input gives the same bytes.

References
----------
"Standard MIDI Files 1.0" (RP-001), The MIDI Association.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from singcli.errors import InputError
from singcli.music import midi_encoding as midi
from singcli.music.key import Key
from singcli.music.meter import meters_of_bars
from singcli.music.score import N_VOICES, STEPS_PER_BEAT, VOICE_NAMES, Score

TICKS_PER_BEAT = 480
TICKS_PER_STEP = TICKS_PER_BEAT // STEPS_PER_BEAT
PIANO = 0
MICROSECONDS_PER_MINUTE = 60_000_000
MAX_MICROSECONDS_PER_BEAT = 0xFFFFFF  # three bytes in the file
MAX_BAR_BEATS = 255  # one byte in the file
THIRTY_SECONDS_PER_QUARTER = 8


def midi_from_score(
    score: Score,
    *,
    sections: Sequence[tuple[str, int, int]] = (),
    bar_meters: Sequence[str] | None = None,
    tempo_changes: Sequence[tuple[int, float]] = (),
    title: str = "",
    recipe_text: str | None = None,
    programs: Sequence[int] = (PIANO,) * N_VOICES,
) -> bytes:
    """Return the score as the content of a MIDI file.

    Parameters
    ----------
    score : Score
    sections : sequence of (label, start_bar, n_bars)
        Each becomes a marker at the first beat of its bar, counted from 0.
    bar_meters : sequence of str, length n_bars, optional
        Meter of each bar, such as "6/8" for a bar of three quarter notes. Quarters throughout by
        default.
    tempo_changes : sequence of (bar, quarter notes a minute)
        In order of the bars, counted from 0. Before the first the score's own tempo holds.
    title : str
        Name of the piece.
    recipe_text : str, optional
        Stored as a text event; how the file was made.
    programs : sequence of int, length N_VOICES
        General MIDI programs, 0 to 127.

    Raises
    ------
    InputError
        If a section or a tempo lies outside the score, if a meter is not as long as its bar, or
        if a tempo or a bar's length cannot be written.

    Notes
    -----
    The tempo is stored in whole microseconds a quarter note. Text is UTF-8, so a title outside
    ASCII looks foreign in the few programs that read Latin-1.
    """
    end_tick = score.n_beats * TICKS_PER_BEAT
    conductor = [
        *_heading_events(title, recipe_text),
        *_tempo_events(score, tempo_changes),
        *_meter_events(score, bar_meters or meters_of_bars(score.bar_beats)),
        *_key_events(score),
        *_section_events(score, sections),
    ]
    tracks = [midi.track_from_events(conductor, end_tick)]
    tracks += [_voice_track(score, v, program, end_tick) for v, program in enumerate(programs)]
    return midi.file_from_tracks(tracks, ticks_per_beat=TICKS_PER_BEAT)


def _heading_events(title: str, recipe_text: str | None) -> Iterator[midi.Event]:
    yield 0, midi.text(midi.TRACK_NAME, title)
    if recipe_text is not None:
        yield 0, midi.text(midi.TEXT, recipe_text)


def _tempo_events(score: Score, changes: Sequence[tuple[int, float]]) -> Iterator[midi.Event]:
    """Yield a tempo at the beginning and wherever it changes."""
    bars = [bar for bar, _ in changes]
    if any(one >= other for one, other in pairwise([-1, *bars, score.n_bars])):
        raise InputError(
            f"tempo changes at bars {', '.join(map(str, bars))}, allowed: in order, each once, "
            f"from 0 to {score.n_bars - 1}"
        )
    before = [] if bars and bars[0] == 0 else [(0, score.tempo_bpm)]
    for bar, tempo_bpm in (*before, *changes):
        tempo = _microseconds_per_beat(tempo_bpm).to_bytes(3, "big")
        yield _tick_of_bar(score, bar), midi.meta(midi.TEMPO, tempo)


def _meter_events(score: Score, bar_meters: Sequence[str]) -> Iterator[midi.Event]:
    """Yield a time signature at the first bar and wherever it changes."""
    before = ""
    lengths = np.diff(score.bar_beats).tolist()
    for bar, (meter, n_beats) in enumerate(zip(bar_meters, lengths, strict=True)):
        if not 0 < n_beats <= MAX_BAR_BEATS:
            raise InputError(f"bar {bar} has {n_beats} beats, allowed are 1 to {MAX_BAR_BEATS}")
        numerator, denominator = map(int, meter.split("/"))
        if numerator * 4 != n_beats * denominator:
            raise InputError(f"bar {bar} has {n_beats} beats, its meter is {meter}")
        if meter != before:
            yield _tick_of_bar(score, bar), _signature_from_meter(numerator, denominator)
        before = meter


def _key_events(score: Score) -> Iterator[midi.Event]:
    if score.key is not None:
        yield 0, _signature_from_key(score.key)


def _section_events(score: Score, sections: Sequence[tuple[str, int, int]]) -> Iterator[midi.Event]:
    for label, start_bar, n_bars in sections:
        if not (start_bar >= 0 and 0 < n_bars <= score.n_bars - start_bar):
            raise InputError(
                f"section {label!r} = bars {start_bar} to {start_bar + n_bars}, "
                f"the score has bars 0 to {score.n_bars}"
            )
        yield _tick_of_bar(score, start_bar), midi.text(midi.MARKER, label)


def _tick_of_bar(score: Score, bar: int) -> int:
    return int(score.bar_beats[bar]) * TICKS_PER_BEAT


def _voice_track(score: Score, voice: int, program: int, end_tick: int) -> bytes:
    """Return the track of a voice; at one tick notes end before others begin."""
    mine = score.voice == voice
    onset, duration = score.step[mine].astype(np.int64), score.duration[mine]
    tick = np.concatenate([onset + duration, onset]) * TICKS_PER_STEP
    order = np.argsort(tick, kind="stable")
    heading = (
        midi.text(midi.TRACK_NAME, VOICE_NAMES[voice].capitalize()),
        midi.program_change(voice, program),
    )
    messages = midi.notes_off_and_on(voice, score.pitch[mine], score.velocity[mine])
    return midi.track_from_notes(heading, tick[order], messages[order], end_tick)


def _microseconds_per_beat(tempo_bpm: float) -> int:
    if not tempo_bpm > 0:
        raise InputError(f"tempo = {tempo_bpm:g}, a tempo is greater than 0")
    microseconds = round(MICROSECONDS_PER_MINUTE / tempo_bpm)
    if not 0 < microseconds <= MAX_MICROSECONDS_PER_BEAT:
        slowest = MICROSECONDS_PER_MINUTE / MAX_MICROSECONDS_PER_BEAT
        raise InputError(
            f"tempo = {tempo_bpm:g}, a MIDI file can hold {slowest:.1f} to "
            f"{MICROSECONDS_PER_MINUTE} quarter notes a minute"
        )
    return microseconds


def _signature_from_meter(numerator: int, denominator: int) -> bytes:
    compound = denominator == 8 and numerator % 3 == 0  # felt in dotted quarters
    clocks_per_click = 36 if compound else 24
    power = denominator.bit_length() - 1
    data = (numerator, power, clocks_per_click, THIRTY_SECONDS_PER_QUARTER)
    return midi.meta(midi.METER, bytes(data))


def _signature_from_key(key: Key) -> bytes:
    """Return the key signature with the fewest accidentals; of six, sharps in major alone."""
    flats = 5 if key.mode == "major" else 6
    relative_major = key.tonic if key.mode == "major" else key.tonic + 3
    sharps = (7 * relative_major + flats) % 12 - flats  # a fifth is seven semitones
    return midi.meta(midi.KEY, struct.pack(">bB", sharps, key.mode == "minor"))
