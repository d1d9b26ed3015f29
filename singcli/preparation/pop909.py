"""POP909's annotations: beats, keys, bars, and human section labels aligned to the music.

Conventions
-----------
Beats are numbered from 0 at the first line of `beat_midi.txt`. The labels' own time line starts at
their bar 1 and counts sixteenths; the *lag* is where it begins on the music's grid.

References
----------
POP909: Wang et al., "POP909: A Pop-song Dataset for Music Arrangement Generation" (ISMIR 2020).
Section labels: Dai, Zhang and Dannenberg, "Automatic Analysis and Influence of Hierarchical
Structure on Melody, Rhythm and Harmony in Popular Music" (MuMe 2020).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.music.arrays import median, numbers_from_words
from singcli.music.downbeats import downbeat_evidence
from singcli.music.key import Key
from singcli.music.score import STEPS_PER_BEAT

if TYPE_CHECKING:
    from singcli.dataset import SectionSpan

BEATS_FILE = "beat_midi.txt"
KEY_FILE = "analyzed_key.txt"
LABELS_FILE = "human_label1.txt"
MELODY_FILE = "melody.txt"
HUMAN_LABELS = frozenset({LABELS_FILE, MELODY_FILE})  # the labels, and what aligns them
SIDE_FILES = (BEATS_FILE, KEY_FILE, LABELS_FILE, MELODY_FILE)
MAX_TEXT_BYTES = 2**20  # of one of them

MAX_MELODY_NUMBER = 10_000  # a rest of ten minutes
MIN_ALIGNMENT = 0.6  # share of the labels' melody notes that must be found in the lead
LATE_BARS = 4  # labels may end so many bars after the music
MIN_COVERAGE = 0.8  # share of the music's bars that the labels must reach
ANNOTATION_WEIGHT = 0.2  # of the annotated bar lines beside what is heard

_LABELS = re.compile(r"(?:[A-Za-z][1-9]\d{0,3})+")
_LABEL = re.compile(r"([A-Za-z])(\d+)")


@dataclass(frozen=True, slots=True)
class BeatAnnotation:
    """Annotated beats.

    Parameters
    ----------
    beat_s : np.ndarray, shape=(n_beats,), float64
        Strictly increasing, in seconds.
    beats_per_bar : int
        4, or 3 where the annotation groups the beats in threes.
    downbeat_share : np.ndarray, shape=(beats_per_bar,), float64
        Share of the annotated bar lines at each beat modulo the length of a bar.
    """

    beat_s: npt.NDArray[np.float64]
    beats_per_bar: int
    downbeat_share: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledSection:
    """One label as written: a letter and a number of bars; upper case means with melody."""

    label: str
    n_bars: int
    melodic: bool


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the labels' time line begins in the music.

    Parameters
    ----------
    lag : int
        In steps after the first annotated beat.
    score : float in [0, 1]
        Share of the labels' melody notes that begin at this place, with this pitch, in the lead.
    """

    lag: int
    score: float

    @property
    def is_clean(self) -> bool:
        """Whether the labels may be trusted: enough notes agree and the lag is a whole beat."""
        return self.score > MIN_ALIGNMENT and self.lag % STEPS_PER_BEAT == 0


def parse_beats(text: str, *, source: str) -> BeatAnnotation:
    """Read `beat_midi.txt`: a line a beat with time and two marks.

    In bars of four the first mark stands at every second beat and the second at every bar; in bars
    of three the first stands at every bar and the second at every other.

    Raises
    ------
    InputError
        If the lines are not numbers, or fewer than two beats are in order.
    """
    columns = _numbers(text, 3, f"{source}: {BEATS_FILE}")
    beat_s = columns[:, 0]
    if len(beat_s) < 2 or (beat_s[1:] <= beat_s[:-1]).any():
        raise InputError(f"{source}: {BEATS_FILE} needs two beats or more, in order of time")
    half, full = (np.flatnonzero(columns[:, c]) for c in (1, 2))
    triple = len(half) > 1 and int(median(np.diff(half))) == 3
    marks, beats_per_bar = (half, 3) if triple else (full, 4)
    counts = np.bincount(marks % beats_per_bar, minlength=beats_per_bar)
    return BeatAnnotation(beat_s, beats_per_bar, counts / max(len(marks), 1))


def parse_keys(text: str) -> tuple[Key, ...]:
    """Return the keys of `analyzed_key.txt` in the order in which the song takes them.

    Where it changes is not annotated, and keys that return are mostly, but not always, repeated.
    """
    return tuple(Key.parse(word) for word in text.split())


def parse_key(text: str) -> Key | None:
    """Return the first key of `analyzed_key.txt`, None where it names none."""
    return next(iter(parse_keys(text)), None)


def parse_labels(text: str, *, source: str) -> tuple[LabelledSection, ...]:
    """Read section labels such as `i4A4B8A4o2`.

    Raises
    ------
    InputError
        If the text is anything else.
    """
    compact = "".join(text.split())
    if not _LABELS.fullmatch(compact):
        raise InputError(
            f"{source}: {LABELS_FILE} = {compact[:40]!r}; allowed are letters, each with its number"
            " of bars, such as i4A8B8"
        )
    return tuple(
        LabelledSection(letter.lower(), int(bars), letter.isupper())
        for letter, bars in _LABEL.findall(compact)
    )


def parse_melody(text: str, *, source: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Read `melody.txt`: a line a note with pitch (0 = rest) and length in sixteenths.

    Returns
    -------
    onset, pitch : np.ndarray, shape=(n_notes,), int64
        Rests left out; onsets in steps from the labels' bar 1.

    Raises
    ------
    InputError
        If the lines are not numbers, or not those of notes.
    """
    numbers = _numbers(text, 2, f"{source}: {MELODY_FILE}")
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) > MAX_MELODY_NUMBER:
        raise InputError(
            f"{source}: {MELODY_FILE} holds {numbers.min():g} to {numbers.max():g}, allowed are"
            f" pitches and lengths from 0 to {MAX_MELODY_NUMBER}"
        )
    columns = numbers.astype(np.int64)
    onset = np.cumsum(columns[:, 1]) - columns[:, 1]
    sounding = columns[:, 0] > 0
    return onset[sounding], columns[sounding, 0]


def align_melody(
    reference_onset: npt.NDArray[np.int64],
    reference_pitch: npt.NDArray[np.int64],
    onset: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.integer],
) -> Alignment:
    """Find the lag at which most reference notes begin together with a note of the same pitch.

    The maximum of the cross-correlation of two onset rolls, computed exactly and without the rolls
    as the most frequent distance between notes of equal pitch. Of equal maxima the smallest lag.

    Parameters
    ----------
    reference_onset, reference_pitch : np.ndarray, shape=(n_reference,), int64
        The labels' melody.
    onset, pitch : np.ndarray, shape=(n_notes,)
        The lead of the music, in steps.
    """
    by_pitch = np.argsort(pitch, kind="stable")
    onset, pitch = onset[by_pitch], pitch[by_pitch].astype(np.int64)
    first = pitch.searchsorted(reference_pitch, side="left")
    n_equal = pitch.searchsorted(reference_pitch, side="right") - first
    last = n_equal.cumsum()
    if len(last) == 0 or last[-1] == 0:
        return Alignment(0, 0.0)
    partner = np.arange(last[-1]) + np.repeat(first - (last - n_equal), n_equal)
    distances = onset.take(partner) - np.repeat(reference_onset, n_equal)
    lowest = int(distances.min())
    counts = np.bincount(distances - lowest)
    best = int(counts.argmax())
    return Alignment(best + lowest, min(float(counts[best]) / len(reference_onset), 1.0))


def first_downbeat(
    beats: BeatAnnotation,
    onset_step: npt.NDArray[np.int64],
    end_step: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.integer],
) -> int:
    """Return the first beat that begins a bar, for songs whose labels do not tell.

    The annotated bar lines are right for 77 % of the 705 songs where the aligned labels know
    better; what is heard in the music for 88 %; both together for 90 %.
    """
    bar_steps = beats.beats_per_bar * STEPS_PER_BEAT
    evidence = downbeat_evidence(onset_step, end_step, pitch, bar_steps=bar_steps)
    on_beats = evidence[::STEPS_PER_BEAT]
    return int(np.argmax(on_beats / on_beats.sum() + ANNOTATION_WEIGHT * beats.downbeat_share))


def sections_on_bars(
    labels: tuple[LabelledSection, ...], *, first_bar: int, n_bars: int
) -> tuple[SectionSpan, ...]:
    """Lay the labels end to end from bar `first_bar` on and keep what lies inside the score.

    Returns
    -------
    tuple of SectionSpan
        () without labels, and if they are many more or many fewer bars than the score (typing
        errors; songs annotated in bars of another length).

    Parameters
    ----------
    first_bar : int
        The labels' first bar as a bar of the score; negative where the score begins later.
    n_bars : int
        Bars of the score.
    """
    from singcli.dataset import SectionSpan  # reading a song back does without

    if not labels:
        return ()
    ends = list(itertools.accumulate((section.n_bars for section in labels), initial=first_bar))[1:]
    if ends[-1] > n_bars + LATE_BARS or ends[-1] < n_bars * MIN_COVERAGE:
        return ()
    spans = []
    for section, end in zip(labels, ends, strict=True):
        start, stop = max(end - section.n_bars, 0), min(end, n_bars)
        if stop > start:
            spans.append(SectionSpan(section.label, start, stop - start, section.melodic))
    return tuple(spans)


def _numbers(text: str, n_columns: int, source: str) -> npt.NDArray[np.float64]:
    try:
        words = text.split()
        columns = [numbers_from_words(words[c::n_columns]) for c in range(n_columns)]
        table = np.stack(columns, axis=1)  # ValueError if their lengths differ
    except ValueError as error:
        raise InputError(f"{source}: not {n_columns} numbers a line") from error
    if not np.isfinite(table).all():
        raise InputError(f"{source}: holds a number that is not finite")
    return table
