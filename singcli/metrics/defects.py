"""Defects: what a listener hears at once and a mean over notes does not show.

Each is counted in real songs too, which have some: a figure is only a fault where it is not theirs.

Conventions
-----------
- A score is in its home key (`Score.key`), the transpositions of its sections undone.
- Shares are fractions in [0, 1]; a share of nothing is 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.metrics.guards import lead_leaps, notes_per_step, out_of_key
from singcli.music.key import TRIADS, Key
from singcli.music.roll import onset_roll
from singcli.music.score import ACCOMPANIMENT, LEAD, N_VOICES, STEPS_PER_BEAT, Score
from singcli.structure.form import Form
from singcli.structure.known_repeats import bar_sources

EMPTY_BELOW = 0.25  # share of a section's bars with a lead onset; real ones with the tune have 1
LONG_BARS = 4.0

Bars = npt.NDArray[np.int64]


class TuneBars(NamedTuple):
    """A section, and whether the tune takes part in it."""

    start_bar: int
    n_bars: int
    tune: bool


@dataclass(frozen=True, slots=True)
class DefectReport:
    """The defects of one piece.

    Parameters
    ----------
    has_lead : bool
    tune_sections, tuneless_sections : int
        Sections that are to have the tune, and those of them where fewer than a quarter of the bars
        begin a note of it.
    dead_sections : int
        Sections in which fewer than a quarter of the bars begin a note of any voice.
    unasked_repeats : int
        Greatest number of places that share a bar although nothing asks for it.
    density : float
        Notes a step.
    out_of_key : float
    bass_on_tonic, closes : bool
        See `Ending`.
    lead_leaps : float
        Share of the tune's intervals over an octave.
    lead_low, lead_high : int
        MIDI numbers; 0 without a lead.
    doubled : float
        Share of the lead's notes that the accompaniment strikes too.
    long_notes : float
        Share of the notes that are longer than four bars of their own length.
    """

    has_lead: bool
    tune_sections: int
    tuneless_sections: int
    dead_sections: int
    unasked_repeats: int
    density: float
    out_of_key: float
    bass_on_tonic: bool
    closes: bool
    lead_leaps: float
    lead_low: int
    lead_high: int
    doubled: float
    long_notes: float


def measure_defects(
    score: Score, key: Key, sections: Sequence[TuneBars], places: Bars
) -> DefectReport:
    """Measure a piece.

    Parameters
    ----------
    score : Score
        With its transpositions undone.
    key : Key
    sections : sequence of TuneBars
    places : np.ndarray, shape=(n_bars,), int64
        Of every bar; bars of one place are wanted to be alike.
    """
    lead = score.pitch[score.voice == LEAD]
    tunes = [section for section in sections if section.tune]
    end = ending(score, key)
    return DefectReport(
        has_lead=len(lead) > 0,
        tune_sections=len(tunes),
        tuneless_sections=sum(_is_empty(score, s, score.voice == LEAD) for s in tunes),
        dead_sections=sum(_is_empty(score, s, score.voice < N_VOICES) for s in sections),
        unasked_repeats=unasked_repeats(score, places),
        density=notes_per_step(score),
        out_of_key=out_of_key(score, key),
        bass_on_tonic=end.bass_on_tonic,
        closes=end.closes,
        lead_leaps=lead_leaps(score),
        lead_low=int(lead.min(initial=127)) if len(lead) else 0,
        lead_high=int(lead.max(initial=0)),
        doubled=doubled(score),
        long_notes=long_notes(score),
    )


class Ending(NamedTuple):
    """How a piece ends.

    Parameters
    ----------
    bass_on_tonic : bool
        Whether the lowest note that sounds with the last onset is the tonic.
    closes : bool
        Whether besides all that sounds then belongs to the tonic triad.
    """

    bass_on_tonic: bool
    closes: bool


def ending(score: Score, key: Key) -> Ending:
    """Return how a piece ends; nothing at all does not."""
    if score.n_notes == 0:
        return Ending(bass_on_tonic=False, closes=False)
    last = int(score.step.max())
    sounding = score.pitch[score.step + score.duration > last].astype(np.int64)
    degree = (sounding - key.tonic) % 12
    on_tonic = int(degree[sounding.argmin()]) == 0
    return Ending(on_tonic, on_tonic and bool(np.isin(degree, TRIADS[key.mode]).all()))


def unasked_repeats(score: Score, places: Bars) -> int:
    """Return the greatest number of places that share a bar, silent bars left out; 0 without any.

    Two bars are the same if they are equally long and begin the same notes.
    """
    roll = onset_roll(score)
    edges = score.bar_beats * STEPS_PER_BEAT
    found: dict[tuple[int, bytes], set[int]] = defaultdict(set)
    for bar, place in enumerate(places[: score.n_bars].tolist()):
        onsets = roll[edges[bar] : edges[bar + 1]]
        if onsets.any():
            found[len(onsets), onsets.tobytes()].add(place)
    return max((len(shared) for shared in found.values()), default=0)


def places_of_form(form: Form) -> Bars:
    """Return the place of every bar: the bar that it goes back to through all its sources."""
    source, _ = bar_sources(form)
    places = np.arange(len(source))
    for bar in np.flatnonzero(source >= 0):
        places[bar] = places[source[bar]]
    return places


def places_of_labels(spans: Sequence[tuple[str, int, int]], n_bars: int) -> Bars:
    """Return the place of every bar: label and bar of the section; without a label, its own.

    Parameters
    ----------
    spans : sequence of (label, start_bar, n_bars)
    """
    places = np.arange(n_bars)
    first: dict[tuple[str, int], int] = {}
    for label, start, length in spans:
        for bar in range(max(start, 0), min(start + length, n_bars)):
            places[bar] = first.setdefault((label, bar - start), bar)
    return places


def doubled(score: Score) -> float:
    """Return the share of the lead's notes that the accompaniment strikes in the same step."""
    notes = score.step.astype(np.int64) * 128 + score.pitch
    lead = notes[score.voice == LEAD]
    return _share(int(np.isin(lead, notes[score.voice == ACCOMPANIMENT]).sum()), len(lead))


def long_notes(score: Score) -> float:
    """Return the share of the notes longer than `LONG_BARS` times the bar in which they begin."""
    edges = score.bar_beats.astype(np.int64) * STEPS_PER_BEAT
    bar = np.searchsorted(edges, score.step, side="right") - 1
    longest = LONG_BARS * np.diff(edges)[bar]
    return _share(int((score.duration > longest).sum()), score.n_notes)


def _is_empty(score: Score, section: TuneBars, counted: npt.NDArray[np.bool_]) -> bool:
    bar = np.searchsorted(score.bar_beats * STEPS_PER_BEAT, score.step[counted], side="right") - 1
    inside = bar[(bar >= section.start_bar) & (bar < section.start_bar + section.n_bars)]
    return len(np.unique(inside)) < EMPTY_BELOW * section.n_bars


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
