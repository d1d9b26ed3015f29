"""POP909's annotations: beats, keys, and human section labels aligned to the music.

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

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.dataset import SectionSpan
from singcli.errors import InputError
from singcli.music.key import Key
from singcli.music.score import STEPS_PER_BEAT

BEATS_FILE = "beat_midi.txt"
KEY_FILE = "analyzed_key.txt"
LABELS_FILE = "human_label1.txt"
MELODY_FILE = "melody.txt"
SIDE_FILES = (BEATS_FILE, KEY_FILE, LABELS_FILE, MELODY_FILE)

MIN_ALIGNMENT = 0.6  # share of the labels' melody notes that must be found in the lead

_LABELS = re.compile(r"(?:[A-Za-z][1-9]\d*)+")
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
    first_downbeat : int
        Number of the first beat that begins a bar, according to the annotation.
    """

    beat_s: npt.NDArray[np.float64]
    beats_per_bar: int
    first_downbeat: int


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
    """Read `beat_midi.txt`: a line a beat with time, half-bar mark and bar mark.

    The second column marks every second beat of a bar of four (every beat of a bar of three that
    begins a bar), the third every bar of four (every second bar of three).

    Raises
    ------
    InputError
        If the lines are not numbers, or fewer than two beats are in order.
    """
    columns = _numbers(text, 3, source)
    beat_s = columns[:, 0]
    if len(beat_s) < 2 or np.any(np.diff(beat_s) <= 0):
        raise InputError(f"{source}: needs two beats at least, in increasing order of time")
    half, full = (np.flatnonzero(columns[:, c]) for c in (1, 2))
    triple = len(half) > 1 and int(np.median(np.diff(half))) == 3
    marks = half if triple else full
    return BeatAnnotation(beat_s, 3 if triple else 4, int(marks[0]) if len(marks) else 0)


def parse_key(text: str) -> Key | None:
    """Return the first key of `analyzed_key.txt`, None where it names none."""
    lines = text.split()
    return Key.parse(lines[0]) if lines else None


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
            f"{source}: section labels {compact[:40]!r}; allowed are letters, each with its number"
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
    """
    columns = _numbers(text, 2, source).astype(np.int64)
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
    equal = reference_pitch[:, None] == pitch[None, :]
    distances = (onset[None, :] - reference_onset[:, None])[equal]
    if len(distances) == 0:
        return Alignment(0, 0.0)
    lowest = int(distances.min())
    counts = np.bincount(distances - lowest)
    best = int(counts.argmax())
    return Alignment(best + lowest, min(float(counts[best]) / len(reference_onset), 1.0))


def sections_on_bars(
    labels: tuple[LabelledSection, ...], *, first_bar: int, n_bars: int
) -> tuple[SectionSpan, ...]:
    """Lay the labels end to end from bar `first_bar` on and keep what lies inside the score.

    Parameters
    ----------
    first_bar : int
        The labels' first bar as a bar of the score; negative where the score begins later.
    n_bars : int
        Bars of the score.
    """
    spans = []
    start = first_bar
    for section in labels:
        stop = start + section.n_bars
        inside_start, inside_stop = max(start, 0), min(stop, n_bars)
        if inside_stop > inside_start:
            spans.append(
                SectionSpan(
                    section.label, inside_start, inside_stop - inside_start, section.melodic
                )
            )
        start = stop
    return tuple(spans)


def _numbers(text: str, n_columns: int, source: str) -> npt.NDArray[np.float64]:
    try:
        numbers = [float(word) for word in text.split()]
        table = np.array(numbers).reshape(-1, n_columns)
    except ValueError as error:
        raise InputError(f"{source}: not {n_columns} numbers a line") from error
    if not np.isfinite(table).all():
        raise InputError(f"{source}: holds a number that is not finite")
    return table
