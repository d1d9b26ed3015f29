"""One MIDI file -> one score: voices, beats, bars, key, and section labels where there are some."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from singcli.dataset import KeySource, SectionSpan
from singcli.errors import InputError
from singcli.music import grid
from singcli.music.bars import bars_from_meters
from singcli.music.midi_reading import midi_from_bytes
from singcli.music.notes import MidiMusic, NoteTable
from singcli.music.score import LEAD, MAX_PITCH, MIN_PITCH, STEPS_PER_BEAT, Score
from singcli.music.voices import DROPPED, VoiceRules, voice_of_tracks, with_skyline_lead
from singcli.preparation import annotations
from singcli.preparation.annotations import Alignment, LabelledSection

Beats = Literal["file", "annotation", "estimate"]
BEATS: tuple[Beats, ...] = ("file", "annotation", "estimate")

DEFAULT_RULES = "auto"
MIN_BARS = 2
MAX_BEATS_PER_MINUTE = 1000  # on average; a tempo map beyond it is broken
LATE_BARS = 4  # labels may end so many bars after the music
MIN_COVERAGE = 0.8  # share of the labelled piece's bars that labels must reach


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still a piece of music.

    Parameters
    ----------
    max_bytes : int > 0
        Size of a MIDI file.
    max_notes : int > 0
        All tracks together.
    max_minutes : float > 0
        Playing time at the file's own tempo.
    """

    max_bytes: int = 8 * 2**20
    max_notes: int = 100_000
    max_minutes: float = 120.0


@dataclass(frozen=True, slots=True)
class PreparedScore:
    """A score and where its parts come from; fields as in `dataset.Entry`."""

    score: Score
    meter: str
    key_source: KeySource | None
    sections: tuple[SectionSpan, ...]
    alignment: float | None


def score_from_midi(
    path: Path,
    *,
    beats: Beats = "file",
    rules: str | Path | VoiceRules = DEFAULT_RULES,
    limits: Limits | None = None,
) -> Score:
    """Read one MIDI file as a score.

    Parameters
    ----------
    beats : {"file", "annotation", "estimate"}
        See `prepare`.
    rules : str, Path or VoiceRules
        Voice rules. The default gives the lead to the first track named like a tune, else to the
        highest track that plays one note at a time, else to the upper line.

    Raises
    ------
    InputError
        If the file cannot be read as music: damaged, no notes, drums only, shorter than two bars,
        a tempo of zero, or beyond the limits.
    """
    limits = limits or Limits()
    try:
        if path.stat().st_size > limits.max_bytes:
            raise InputError(f"{path}: {path.stat().st_size} bytes, allowed {limits.max_bytes}")
        content = path.read_bytes()
        side_files = read_side_files(path) if beats == "annotation" else {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(rules, VoiceRules):
        from singcli.music.voice_files import read_voice_rules  # pydantic, which processes spare

        rules = read_voice_rules(rules)
    prepared = prepared_score(
        content, side_files, source=str(path), beats=beats, rules=rules, limits=limits
    )
    return prepared.score


def read_side_files(path: Path) -> dict[str, str]:
    """Read the annotations beside a MIDI file, by file name."""
    found = {}
    for name in annotations.SIDE_FILES:
        beside = path.with_name(name)
        if beside.is_file():
            found[name] = beside.read_text(encoding="utf-8")
    return found


def prepared_score(
    content: bytes,
    side_files: Mapping[str, str],
    *,
    source: str,
    beats: Beats,
    rules: VoiceRules,
    limits: Limits,
    with_sections: bool = True,
) -> PreparedScore:
    """Make a score of the bytes of a MIDI file and the annotations beside it.

    Parameters
    ----------
    side_files : mapping of str to str
        Contents of `annotations.SIDE_FILES` by name, those that exist.
    source : str
        What to call the file in messages.

    Raises
    ------
    InputError
        As `score_from_midi`; and if an annotation is needed and missing, or damaged.
    """
    music = midi_from_bytes(content, source=source)
    voices = voice_of_tracks(music.tracks, music.notes, rules)
    music = _usable(music, voices, source, limits)
    key = annotations.parse_key(side_files.get(annotations.KEY_FILE, ""))

    if beats == "annotation":
        prepared = _on_annotated_beats(music, voices, side_files, source, with_sections)
    else:
        on_grid = _on_file_beats if beats == "file" else _on_estimated_beats
        score, meter = on_grid(music, voices, source)
        prepared = PreparedScore(score, meter, None, (), None)

    score = prepared.score if key is None else dataclasses.replace(prepared.score, key=key)
    if score.n_notes == 0:
        raise InputError(f"{source}: no notes between pitch {MIN_PITCH} and {MAX_PITCH}")
    if score.n_bars < MIN_BARS:
        raise InputError(f"{source}: {score.n_bars} bar long, at least {MIN_BARS} are needed")
    if rules.fallback != "none" and LEAD not in score.voice:
        score = with_skyline_lead(score)
    key_source: KeySource | None = "annotation" if key else "estimate" if score.key else None
    return dataclasses.replace(prepared, score=score, key_source=key_source)


def _usable(
    music: MidiMusic, voices: npt.NDArray[np.int64], source: str, limits: Limits
) -> MidiMusic:
    """Return the music with the notes that enter a voice, or say why there are none."""
    if len(music.notes) == 0:
        raise InputError(f"{source}: no notes")
    if all(music.tracks[i].is_drum for i in np.unique(music.notes.track)):
        raise InputError(f"{source}: drums only")
    if len(music.notes) > limits.max_notes:
        raise InputError(f"{source}: {len(music.notes)} notes, allowed {limits.max_notes}")
    minutes = music.duration_s / 60
    if minutes > limits.max_minutes:
        raise InputError(f"{source}: lasts {minutes:.0f} minutes, allowed {limits.max_minutes:g}")
    quarters = music.end_tick / music.ticks_per_quarter
    if quarters > max(minutes, 1 / 60) * MAX_BEATS_PER_MINUTE:
        raise InputError(
            f"{source}: absurd tempo ({quarters:.0f} quarters in {minutes * 60:.1f} seconds)"
        )
    kept = music.notes.where(voices[music.notes.track] != DROPPED)
    if len(kept) == 0:
        raise InputError(f"{source}: the voice rules drop all notes")
    return dataclasses.replace(music, notes=kept)


def _on_file_beats(
    music: MidiMusic, voices: npt.NDArray[np.int64], source: str
) -> tuple[Score, str]:
    """Take beats and bars from the file's ticks and meters."""
    notes = music.notes
    bars = bars_from_meters(
        music.meters,
        ticks_per_quarter=music.ticks_per_quarter,
        end_tick=music.end_tick,
        source=source,
    )
    in_beats = _beat_notes(
        notes, voices, bars.beats_from_ticks(notes.onset_tick), bars.beats_from_ticks(notes.end_tick)
    )
    bpm = music.tempo.median_bpm(int(notes.onset_tick[0]), music.end_tick)
    score, _ = grid.score_from_beats(in_beats, bars.beat, tempo_bpm=bpm * bars.beats_per_quarter)
    return score, bars.meter


def _on_estimated_beats(
    music: MidiMusic, voices: npt.NDArray[np.int64], source: str
) -> tuple[Score, str]:
    """Let pretty_midi estimate one tempo for the whole piece; bars of four from the first beat."""
    from singcli.preparation.estimation import estimate_beats

    onset_s = music.tempo.seconds_from_ticks(music.notes.onset_tick)
    end_s = music.tempo.seconds_from_ticks(music.notes.end_tick)
    beat_s = estimate_beats(onset_s, end_s, music.notes, source=source)
    in_beats = _beat_notes(
        music.notes,
        voices,
        grid.beats_from_seconds(beat_s, onset_s),
        grid.beats_from_seconds(beat_s, end_s),
    )
    bars = grid.regular_bar_lines(in_beats, beats_per_bar=4, first_bar_beat=0)
    bpm = 60.0 / float(np.median(np.diff(beat_s)))
    return grid.score_from_beats(in_beats, bars, tempo_bpm=bpm)[0], "4/4"


def _on_annotated_beats(
    music: MidiMusic,
    voices: npt.NDArray[np.int64],
    side_files: Mapping[str, str],
    source: str,
    with_sections: bool,
) -> PreparedScore:
    """Take beats from `beat_midi.txt`, bars from the section labels where they can be aligned."""
    if annotations.BEATS_FILE not in side_files:
        raise InputError(f"{source}: no {annotations.BEATS_FILE} beside it")
    beats = annotations.parse_beats(
        side_files[annotations.BEATS_FILE], source=f"{source}: {annotations.BEATS_FILE}"
    )
    tempo = music.tempo
    in_beats = _beat_notes(
        music.notes,
        voices,
        grid.beats_from_seconds(beats.beat_s, tempo.seconds_from_ticks(music.notes.onset_tick)),
        grid.beats_from_seconds(beats.beat_s, tempo.seconds_from_ticks(music.notes.end_tick)),
    )
    labels, alignment = _aligned_labels(in_beats, side_files, source) if with_sections else ((), None)
    is_clean = alignment is not None and alignment.is_clean
    bar_beat = alignment.lag // STEPS_PER_BEAT if is_clean and alignment else beats.first_downbeat
    lines = grid.regular_bar_lines(
        in_beats, beats_per_bar=beats.beats_per_bar, first_bar_beat=bar_beat
    )
    bpm = 60.0 / float(np.median(np.diff(beats.beat_s)))
    score, left_out = grid.score_from_beats(in_beats, lines, tempo_bpm=bpm)
    sections: tuple[SectionSpan, ...] = ()
    if is_clean:
        first_bar = (bar_beat - int(lines[left_out])) // beats.beats_per_bar
        sections = _plausible_sections(labels, first_bar, score.n_bars)
    return PreparedScore(
        score,
        meter=f"{beats.beats_per_bar}/4",
        key_source=None,
        sections=sections,
        alignment=None if alignment is None else round(alignment.score, 4),
    )


def _aligned_labels(
    in_beats: grid.BeatNotes, side_files: Mapping[str, str], source: str
) -> tuple[tuple[LabelledSection, ...], Alignment | None]:
    """Return the labels and where they begin; no alignment where the annotation has no labels."""
    if not {annotations.LABELS_FILE, annotations.MELODY_FILE} <= side_files.keys():
        return (), None
    labels = annotations.parse_labels(
        side_files[annotations.LABELS_FILE], source=f"{source}: {annotations.LABELS_FILE}"
    )
    reference = annotations.parse_melody(
        side_files[annotations.MELODY_FILE], source=f"{source}: {annotations.MELODY_FILE}"
    )
    lead = in_beats.voice == LEAD
    onset = grid.steps_from_beats(in_beats.onset_beat[lead])
    return labels, annotations.align_melody(*reference, onset, in_beats.pitch[lead])


def _plausible_sections(
    labels: tuple[LabelledSection, ...], first_bar: int, n_bars: int
) -> tuple[SectionSpan, ...]:
    """Lay out the labels, unless their number of bars cannot be that of the music."""
    end = first_bar + sum(section.n_bars for section in labels)
    if end > n_bars + LATE_BARS or end < n_bars * MIN_COVERAGE:
        return ()
    return annotations.sections_on_bars(labels, first_bar=first_bar, n_bars=n_bars)


def _beat_notes(
    notes: NoteTable,
    voices: npt.NDArray[np.int64],
    onset_beat: npt.NDArray[np.float64],
    end_beat: npt.NDArray[np.float64],
) -> grid.BeatNotes:
    return grid.BeatNotes(
        onset_beat=onset_beat,
        end_beat=end_beat,
        voice=voices[notes.track].astype(np.uint8),
        pitch=notes.pitch,
        velocity=notes.velocity,
    )


