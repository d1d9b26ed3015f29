"""The figures of a piece that are compared with those of real music, as one record."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.metrics.density import empty_beats, groove_similarity, notes_per_beat, polyphony
from singcli.metrics.guards import lead_intervals
from singcli.metrics.repetition import repetition
from singcli.metrics.tonality import key_clarity, pitch_class_entropy, scale_consistency
from singcli.music.score import STEPS_PER_BEAT, Score


@dataclass(frozen=True, slots=True)
class Figures:
    """Every field is the function of the same name; None where it is not defined.

    `pitch_class_entropy_1` and `_4` are those of windows of one and four bars; `repetition_short`,
    `_middle` and `_long` the fields of `repetition`.
    """

    notes_per_beat: float
    polyphony: float | None
    empty_beats: float
    note_length: float | None
    lead_interval: float | None
    pitch_class_entropy_1: float | None
    pitch_class_entropy_4: float | None
    scale_consistency: float | None
    key_clarity: float | None
    groove_similarity: float | None
    repetition_short: float | None
    repetition_middle: float | None
    repetition_long: float | None


FIGURES = tuple(field.name for field in dataclasses.fields(Figures))
FIGURE_LABELS = {
    "notes_per_beat": "notes a beat",
    "polyphony": "pitches at once",
    "empty_beats": "empty beats, share",
    "note_length": "note length, beats",
    "lead_interval": "lead interval, semitones",
    "pitch_class_entropy_1": "pitch entropy, 1 bar, bits",
    "pitch_class_entropy_4": "pitch entropy, 4 bars, bits",
    "scale_consistency": "scale consistency",
    "key_clarity": "key clarity",
    "groove_similarity": "groove similarity",
    "repetition_short": "repetition, 3-8 s",
    "repetition_middle": "repetition, 8-15 s",
    "repetition_long": "repetition, over 15 s",
}


def measure_figures(score: Score) -> Figures:
    """Measure all figures of a piece."""
    short, middle, long = repetition(score)
    return Figures(
        notes_per_beat=notes_per_beat(score),
        polyphony=polyphony(score),
        empty_beats=empty_beats(score),
        note_length=note_length(score),
        lead_interval=lead_interval(score),
        pitch_class_entropy_1=pitch_class_entropy(score, window_bars=1),
        pitch_class_entropy_4=pitch_class_entropy(score, window_bars=4),
        scale_consistency=scale_consistency(score),
        key_clarity=key_clarity(score),
        groove_similarity=groove_similarity(score),
        repetition_short=short,
        repetition_middle=middle,
        repetition_long=long,
    )


def note_length(score: Score) -> float | None:
    """Return the mean duration of the notes, in beats, at least 0.25; None without notes.

    Notes
    -----
    Source: the mean of the note length histogram of Yang and Lerch (2020), section 4.1.
    """
    return float(score.duration.mean()) / STEPS_PER_BEAT if score.n_notes else None


def lead_interval(score: Score) -> float | None:
    """Return the mean size of the tune's intervals, in semitones; None with less than two notes.

    Notes
    -----
    Source: pitch interval (PI) of Yang and Lerch (2020), section 4.1, of the lead.
    """
    intervals = lead_intervals(score)
    return float(np.abs(intervals).mean()) if len(intervals) else None


def figure_table(pieces: Iterable[Figures]) -> npt.NDArray[np.float64]:
    """Return the figures of several pieces as an array, shape=(n_pieces, len(FIGURES)).

    What is not defined is NaN.
    """
    rows = [[getattr(piece, name) for name in FIGURES] for piece in pieces]
    return np.array(rows, np.float64).reshape(len(rows), len(FIGURES))
