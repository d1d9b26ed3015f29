"""One MIDI file -> one score: voices, beats, bars, key, and section labels where there are some."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.files import read_up_to
from singcli.music import grid
from singcli.music.arrays import median
from singcli.music.bars import MAX_BARS, bars_from_meters
from singcli.music.downbeats import downbeat_evidence, pickup_steps
from singcli.music.grid import BeatNotes
from singcli.music.midi_reading import end_of_tracks_tick, midi_from_bytes
from singcli.music.notes import MeterChange, MidiMusic
from singcli.music.score import LEAD, STEPS_PER_BEAT, Score
from singcli.music.voices import VoiceRules, assign_voices, with_skyline_lead
from singcli.preparation import pop909
from singcli.preparation.limits import Limits, usable_music, validate_score, validate_size

if TYPE_CHECKING:
    from singcli.dataset import KeySource, SectionSpan

Beats = Literal["file", "annotation", "estimate"]
BEATS: tuple[Beats, ...] = ("file", "annotation", "estimate")

DEFAULT_RULES = "auto"
ESTIMATED_BEATS_PER_BAR = 4
MAX_BEATS = ESTIMATED_BEATS_PER_BAR * MAX_BARS


@dataclass(frozen=True, slots=True)
class PreparedScore:
    """A score and where its parts come from; fields as in `dataset.Entry`."""

    score: Score
    meter: str
    key_source: KeySource | None = None
    sections: tuple[SectionSpan, ...] = ()
    alignment: float | None = None


def score_from_midi(
    path: Path,
    *,
    beats: Beats = "file",
    rules: str | Path | VoiceRules = DEFAULT_RULES,
    whole: bool = False,
) -> Score:
    """Read one MIDI file as a score.

    Parameters
    ----------
    beats : {"file", "annotation", "estimate"}
        See `prepared_score`.
    rules : str, Path or VoiceRules
        Voice rules. The default gives the lead to the first track named like a tune, else to the
        highest track that plays one note at a time, else to the upper line.
    whole : bool
        With beats of the file: keep empty bars at both ends, up to where the file's tracks end. A
        file that singcli wrote is read back as exactly the score that was written.

    Raises
    ------
    InputError
        If the file cannot be read as music: damaged, no notes, drums only, shorter than two bars,
        a tempo of zero, or beyond the default limits.
    """
    if not isinstance(rules, VoiceRules):
        from singcli.music.voice_files import read_voice_rules  # pydantic, which processes spare

        rules = read_voice_rules(rules)
    content = read_up_to(path, Limits().max_bytes)
    try:
        side_files = _read_side_files(path) if beats == "annotation" else {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    prepared = prepared_score(
        content, side_files, source=str(path), rules=rules, beats=beats, whole=whole
    )
    return prepared.score


def _read_side_files(path: Path) -> dict[str, str]:
    """Read the annotations beside a MIDI file, by file name."""
    beside = {name: path.with_name(name) for name in pop909.SIDE_FILES}
    return {
        name: read_up_to(file, pop909.MAX_TEXT_BYTES).decode(errors="replace")
        for name, file in beside.items()
        if file.is_file()
    }


def prepared_score(
    content: bytes,
    side_files: Mapping[str, str],
    *,
    source: str,
    rules: VoiceRules,
    beats: Beats = "file",
    pickups: bool = False,
    sections: bool = True,
    whole: bool = False,
    end_tick: int | None = None,
    limits: Limits | None = None,
) -> PreparedScore:
    """Make a score of the bytes of a MIDI file and the annotations beside it.

    Parameters
    ----------
    side_files : mapping of str to str
        Contents of `pop909.SIDE_FILES` by name, those that exist.
    source : str
        What to call the file in messages.
    rules : VoiceRules
    beats : {"file", "annotation", "estimate"}
        Beats and bars from the file's own ticks and meters; from POP909's `beat_midi.txt` beside
        it; or estimated from the onsets.
    pickups : bool
        With beats of the file: whether to listen for an upbeat that its bars do not know of.
    sections : bool
        Whether to align human section labels where there are some.
    whole : bool
        With beats of the file: whether to keep empty bars at both ends.
    end_tick : int, optional
        Where the file's tracks end, if they are kept whole and whoever wrote it knows; is read from
        the file otherwise.
    limits : Limits, optional

    Raises
    ------
    InputError
        As `score_from_midi`; and if an annotation is needed and missing, or damaged.
    """
    music = midi_from_bytes(content, source=source)
    validate_size(music, limits=limits or Limits(), source=source)
    assigned = assign_voices(music.tracks, music.notes, rules)
    music = usable_music(music, assigned.voice_of_track, limits=limits or Limits(), source=source)
    voices = assigned.voice_of_track[music.notes.track].astype(np.uint8)
    if beats == "annotation":
        prepared = _on_annotated_beats(music, voices, side_files, source, sections=sections)
    elif beats == "estimate":
        prepared = _on_estimated_beats(music, voices, source)
    else:
        if whole and end_tick is None:
            end_tick = end_of_tracks_tick(content, source=source)
        prepared = _on_file_beats(
            music, voices, source, pickups=pickups, end_tick=end_tick if whole else None
        )
    validate_score(prepared.score, source=source)
    score = prepared.score
    if assigned.wants_skyline:
        score = with_skyline_lead(score)
    key = pop909.parse_key(side_files.get(pop909.KEY_FILE, ""))
    if key is not None:
        return dataclasses.replace(
            prepared, score=dataclasses.replace(score, key=key), key_source="annotation"
        )
    return dataclasses.replace(
        prepared, score=score, key_source=None if score.key is None else "estimate"
    )


def _on_file_beats(
    music: MidiMusic,
    voices: npt.NDArray[np.uint8],
    source: str,
    *,
    pickups: bool,
    end_tick: int | None,
) -> PreparedScore:
    """Take beats and bars from the file's ticks and meters; trim them if `end_tick` is None."""
    notes, per_quarter = music.notes, music.ticks_per_quarter
    meters = music.meters
    if pickups and len(meters) == 1:
        meters = (_meter_after_pickup(music),)
    bars = bars_from_meters(
        meters,
        ticks_per_quarter=per_quarter,
        end_tick=max(
            grid.rounded_end_tick(notes.onset_tick, notes.end_tick, per_quarter), end_tick or 0
        ),
        source=source,
    )
    in_beats = BeatNotes(
        bars.beats_from_ticks(notes.onset_tick),
        bars.beats_from_ticks(notes.end_tick),
        voices,
        notes.pitch,
        notes.velocity,
    )
    bpm = music.tempo.median_bpm(int(notes.onset_tick[0]), music.end_tick)
    score, _ = grid.score_from_beats(
        in_beats, bars.beat, tempo_bpm=bpm * bars.beats_per_quarter, trim=end_tick is None
    )
    return PreparedScore(score, bars.meter)


def _meter_after_pickup(music: MidiMusic) -> MeterChange:
    """Return the file's only meter, moved so that its second bar follows the estimated upbeat."""
    meter, notes = music.meters[0], music.notes
    quarter = music.ticks_per_quarter
    bar_steps, remainder = divmod(4 * STEPS_PER_BEAT * meter.numerator, meter.denominator)
    if remainder or bar_steps == 0:
        return meter
    steps = pickup_steps(
        grid.steps_from_beats(notes.onset_tick / quarter),
        grid.steps_from_beats(notes.end_tick / quarter),
        notes.pitch,
        bar_steps=bar_steps,
    )
    if steps == 0:
        return meter
    return dataclasses.replace(meter, tick=(steps - bar_steps) * quarter // STEPS_PER_BEAT)


def _on_estimated_beats(
    music: MidiMusic, voices: npt.NDArray[np.uint8], source: str
) -> PreparedScore:
    """Let pretty_midi estimate the beats; bars of four begin where the music speaks for it."""
    from singcli.preparation.estimation import estimate_beats

    notes, tempo = music.notes, music.tempo
    onset_s = tempo.seconds_from_ticks(notes.onset_tick)
    end_s = tempo.seconds_from_ticks(notes.end_tick)
    beat_s = estimate_beats(onset_s, end_s, notes, source=source)
    in_beats = _between_beats(music, voices, beat_s, source)
    evidence = downbeat_evidence(
        in_beats.onset_step,
        in_beats.end_step,
        notes.pitch,
        bar_steps=ESTIMATED_BEATS_PER_BAR * STEPS_PER_BEAT,
    )
    lines = grid.regular_bar_lines(
        in_beats,
        beats_per_bar=ESTIMATED_BEATS_PER_BAR,
        first_bar_beat=int(np.argmax(evidence[::STEPS_PER_BEAT])),
    )
    bpm = 60.0 / float(np.median(np.diff(beat_s)))
    score, _ = grid.score_from_beats(in_beats, lines, tempo_bpm=bpm)
    return PreparedScore(score, f"{ESTIMATED_BEATS_PER_BAR}/4")


def _on_annotated_beats(
    music: MidiMusic,
    voices: npt.NDArray[np.uint8],
    side_files: Mapping[str, str],
    source: str,
    *,
    sections: bool,
) -> PreparedScore:
    """Take beats from `beat_midi.txt`, bars from the section labels where they can be aligned."""
    if pop909.BEATS_FILE not in side_files:
        raise InputError(f"{source}: no {pop909.BEATS_FILE} beside it")
    beats = pop909.parse_beats(side_files[pop909.BEATS_FILE], source=source)
    in_beats = _between_beats(music, voices, beats.beat_s, source)
    onset, end = in_beats.onset_step, in_beats.end_step
    labels, alignment = None, None
    if sections and side_files.keys() >= pop909.HUMAN_LABELS:
        labels = pop909.parse_labels(side_files[pop909.LABELS_FILE], source=source)
        melody = pop909.parse_melody(side_files[pop909.MELODY_FILE], source=source)
        lead = voices == LEAD
        alignment = pop909.align_melody(*melody, onset[lead], music.notes.pitch[lead])
    if alignment is not None and alignment.is_clean:
        first_bar_beat = alignment.lag // STEPS_PER_BEAT
    else:
        labels = None
        first_bar_beat = pop909.first_downbeat(beats, onset, end, music.notes.pitch)
    lines = grid.regular_bar_lines(
        in_beats, beats_per_bar=beats.beats_per_bar, first_bar_beat=first_bar_beat
    )
    bpm = 60.0 / median(np.diff(beats.beat_s))
    key = pop909.parse_key(side_files.get(pop909.KEY_FILE, ""))
    score, left_out = grid.score_from_beats(in_beats, lines, tempo_bpm=bpm, key=key)
    first_bar = (first_bar_beat - int(lines[left_out])) // beats.beats_per_bar
    return PreparedScore(
        score,
        meter=f"{beats.beats_per_bar}/4",
        sections=pop909.sections_on_bars(labels or (), first_bar=first_bar, n_bars=score.n_bars),
        alignment=None if alignment is None else round(alignment.score, 4),
    )


def _between_beats(
    music: MidiMusic, voices: npt.NDArray[np.uint8], beat_s: npt.NDArray[np.float64], source: str
) -> BeatNotes:
    """Return the notes in beats, where the beats are known by their times.

    Raises
    ------
    InputError
        If the beats are so dense, or so far from the notes, that there would be absurdly many.
    """
    notes = music.notes
    both_s = music.tempo.seconds_from_ticks(np.concatenate((notes.onset_tick, notes.end_tick)))
    onset_beat, end_beat = grid.beats_from_seconds(beat_s, both_s).reshape(2, -1)
    if end_beat.max() - onset_beat.min() > MAX_BEATS:
        raise InputError(f"{source}: more than {MAX_BEATS} beats")
    return BeatNotes(
        onset_beat,
        end_beat,
        voices,
        notes.pitch,
        notes.velocity,
    )
