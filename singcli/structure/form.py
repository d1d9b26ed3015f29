"""A form: named sections in a row, and which bars of the piece it wants to be alike.

Conventions
-----------
- Sections with the same label are the same music, bar by bar. The *first* section of a label is
  its theme and its own variation has no effect; a later one with variation v resembles the theme
  by 1 - v. Two later ones resemble each other by 1 - (the larger of their variations), so that a
  return of the plain theme is drawn to the theme and not to a variant of it.
- Phrases repeat inside a section in the same way: the first phrase of a label is the model of the
  later ones. Phrase labels belong to their section's label: phrase "a" of section A is not phrase
  "a" of section B. Across sections of one label the k-th phrase "a" is the k-th phrase "a" again;
  other pairs combine both variations: (1 - between sections) * (1 - between phrases).
- Similarity between *different* labels pairs bars at the same place of their sections.
- 1 is an exact copy. Human repeats, where about half of the notes are equal, are near 0.8.
- A section can be in a meter, at a tempo and at a pitch of its own, and end in a short bar. None of
  this changes what repeats what: bars resemble each other up to transposition, and of two bars of
  different length the beats that both have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Literal

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.music.key import Key
from singcli.music.meter import beats_from_meter, meter_of_bar, quarters_of_meter
from singcli.structure.form_map import stripes_from_bars, wanted_bars
from singcli.structure.section import (
    DEFAULT_VARIATION,
    MAX_BARS,
    MAX_SECTION_BARS,
    MAX_TEMPO_BPM,
    MIN_TEMPO_BPM,
    Phrase,
    Section,
    Span,
    distinct_labels,
    validate_sections,
    with_inherited_phrases,
    with_whole_beats,
)
from singcli.structure.ssm import Repeat, ssm_from_repeats
from singcli.structure.texture import DEFAULT_TEXTURE, Texture

__all__ = [
    "DEFAULT_VARIATION",
    "MAX_BARS",
    "MAX_SECTION_BARS",
    "MAX_TEMPO_BPM",
    "MIN_TEMPO_BPM",
    "Form",
    "Phrase",
    "Section",
    "Span",
    "beats_from_meter",
    "quarters_of_meter",
    "repeats_of_form",
    "ssm_from_form",
    "wanted_bar_map",
]

Layout = Literal["stripes", "blocks"]

DEFAULT_TEMPO_BPM = 100.0
DEFAULT_METER = "4/4"


@dataclass(frozen=True, slots=True)
class Form:
    """The plan of a piece.

    Parameters
    ----------
    sections : tuple of Section
        At least one. A section without phrases takes those of the first section of its label that
        has some, cut to its own length.
    beats_per_bar : int
        Quarter notes in a full bar of the main meter.
    tempo_bpm : float
        Quarter notes a minute, `MIN_TEMPO_BPM` to `MAX_TEMPO_BPM`, where a section says nothing.
    key : Key
    similarity : mapping of (label, label) to float in [0, 1]
        Between sections of different labels; the order of the two labels does not matter.
    name, description : str
    meter : str
        The main one, of sections without a meter of their own: "4/4" and the like, in agreement
        with `beats_per_bar`, from which it is made if empty.

    Raises
    ------
    InputError
        If a value is outside its range, or the parts do not fit together.
    """

    sections: tuple[Section, ...]
    beats_per_bar: int = 4
    tempo_bpm: float = DEFAULT_TEMPO_BPM
    key: Key = Key(0, "major")  # noqa: RUF009 - frozen
    similarity: Mapping[tuple[str, str], float] = field(default_factory=dict)
    name: str = "form"
    description: str = ""
    meter: str = ""

    def __post_init__(self) -> None:
        """Check the values and bring them into their canonical form."""
        set_field = object.__setattr__  # the class is frozen for everybody else
        set_field(self, "meter", self.meter or f"{self.beats_per_bar}/4")
        _validate_scalars(self)
        validate_sections(self.sections)
        sections = with_whole_beats(self.sections, self.beats_per_bar)
        set_field(self, "sections", with_inherited_phrases(sections))
        set_field(self, "similarity", _canonical_similarity(self.similarity, self.sections))

    @property
    def n_bars(self) -> int:
        """Number of bars."""
        return sum(section.n_bars for section in self.sections)

    @property
    def n_beats(self) -> int:
        """Number of beats."""
        return int(self.bar_beats[-1])

    @property
    def bar_beats(self) -> npt.NDArray[np.int32]:
        """Beat at which each bar starts, and the number of beats, shape=(n_bars + 1,)."""
        lengths = [n for section in self.sections for n in section.bar_lengths(self.beats_per_bar)]
        return np.cumsum([0, *lengths], dtype=np.int32)

    @property
    def section_beats(self) -> npt.NDArray[np.int32]:
        """Beat at which each section starts, and the number of beats, shape=(n_sections + 1,)."""
        starts = [span.start_bar for span in self.section_bars]
        return np.append(self.bar_beats[starts], np.int32(self.n_beats))

    @property
    def bar_meters(self) -> list[str]:
        """Meter of every bar; half a bar of 4/4 is in 2/4."""
        return [
            meter_of_bar(section.meter or self.meter, n_beats)
            for section in self.sections
            for n_beats in section.bar_lengths(self.beats_per_bar)
        ]

    @property
    def bar_transpositions(self) -> npt.NDArray[np.int64]:
        """Semitones by which each bar is moved, shape=(n_bars,)."""
        semitones = [section.transpose for section in self.sections]
        return np.repeat(np.array(semitones, np.int64), [s.n_bars for s in self.sections])

    @property
    def tempo_changes(self) -> list[tuple[int, float]]:
        """Bar and quarter notes a minute wherever the tempo changes, from bar 0 on."""
        changes: list[tuple[int, float]] = []
        for section, span in zip(self.sections, self.section_bars, strict=True):
            tempo = self.tempo_bpm if section.tempo_bpm is None else section.tempo_bpm
            if not changes or changes[-1][1] != tempo:
                changes.append((span.start_bar, tempo))
        return changes

    @property
    def beat_s(self) -> npt.NDArray[np.float64]:
        """When each beat begins, in seconds, shape=(n_beats,)."""
        bars, tempos = zip(*self.tempo_changes, strict=True)
        edges = np.append(self.bar_beats[list(bars)], self.n_beats)
        start, parts = 0.0, []
        for n_beats, tempo in zip(np.diff(edges).tolist(), tempos, strict=True):
            parts.append(start + np.arange(n_beats) * (60.0 / tempo))
            start += n_beats * (60.0 / tempo)
        return np.concatenate(parts)

    @property
    def section_bars(self) -> list[Span]:
        """Label, first bar and length in bars of every section."""
        spans, start = [], 0
        for section in self.sections:
            spans.append(Span(section.label, start, section.n_bars))
            start += section.n_bars
        return spans

    @property
    def bar_labels(self) -> list[str]:
        """Label of the section of every bar."""
        return [section.label for section in self.sections for _ in range(section.n_bars)]

    @property
    def bar_places(self) -> npt.NDArray[np.int32]:
        """Place of every bar in its section, from 0, shape=(n_bars,)."""
        return np.concatenate([np.arange(s.n_bars, dtype=np.int32) for s in self.sections])

    def with_meter(self, meter: str) -> Form:
        """Return the form in another meter, bar for bar."""
        return dataclasses.replace(self, meter=meter, beats_per_bar=beats_from_meter(meter))


def wanted_bar_map(form: Form) -> npt.NDArray[np.float32]:
    """Return which bars the form wants to be alike, and how much.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), float32 in [0, 1]
        Symmetric; 1 on the diagonal, 0 where the form asks for nothing.
    """
    return wanted_bars(form.sections, form.similarity).astype(np.float32)


def repeats_of_form(form: Form) -> list[Repeat]:
    """Return the stripes that a form asks for: stretches of bars at one distance and similarity.

    Returns
    -------
    list of Repeat
        In beats; ordered by start, then by source. A stripe ends with its section or phrase, and
        behind a bar that is longer or shorter than its source.
    """
    wanted = wanted_bars(form.sections, form.similarity)
    return stripes_from_bars(wanted, form.bar_beats, [span.start_bar for span in form.section_bars])


def ssm_from_form(
    form: Form, *, texture: Texture = DEFAULT_TEXTURE, layout: Layout = "stripes"
) -> npt.NDArray[np.float32]:
    """Draw the self-similarity matrix of a form.

    Parameters
    ----------
    form : Form
    texture : Texture
        The background.
    layout : {"stripes", "blocks"}
        "stripes" pairs each bar with its own counterparts; "blocks" fills the whole rectangle
        between two sections with their similarity, as SING's synthetic examples do.

    Returns
    -------
    np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]

    Notes
    -----
    Source of the blocks: SING, section 5; differs: graded values over a texture, not 0 and 1.
    A block has no order, so attention over it averages the section: use it to compare.
    """
    repeats = repeats_of_form(form) if layout == "stripes" else []
    ssm = ssm_from_repeats(form.n_beats, repeats, texture=texture, beats_per_bar=form.beats_per_bar)
    if layout == "blocks":
        wanted = wanted_bar_map(form)
        beats = [slice(*pair) for pair in pairwise(form.section_beats.tolist())]
        bars = [slice(span.start_bar, span.start_bar + span.n_bars) for span in form.section_bars]
        for row, column in product(range(len(bars)), repeat=2):
            block = ssm[beats[row], beats[column]]
            np.maximum(block, wanted[bars[row], bars[column]].max(), out=block)
    return ssm


def _validate_scalars(form: Form) -> None:
    if beats_from_meter(form.meter) != form.beats_per_bar:
        raise InputError(f"meter = {form.meter!r} does not have {form.beats_per_bar} quarter notes")
    if not MIN_TEMPO_BPM <= form.tempo_bpm <= MAX_TEMPO_BPM:
        raise InputError(
            f"tempo = {form.tempo_bpm:g}, allowed {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} "
            "quarter notes a minute"
        )


def _canonical_similarity(
    similarity: Mapping[tuple[str, str], float], sections: tuple[Section, ...]
) -> dict[tuple[str, str], float]:
    """Check the table and put the two labels of every entry into the order of the sections."""
    order = distinct_labels(sections)
    table: dict[tuple[str, str], float] = {}
    for (one, other), value in similarity.items():
        where = f"similarity.{one}.{other}"
        for label in (one, other):
            if label not in order:
                near = nearest_names(label, order, limit=1)
                hint = hint_from_names(near, f"sections are {', '.join(order)}")
                raise InputError(f"{where}: no section is called {label!r}", hint)
        if one == other:
            raise InputError(
                f"{where}: the labels are the same, allowed: two different ones",
                "sections of one label are compared by their variation",
            )
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise InputError(f"{where} = {value:g}, allowed 0 to 1")
        pair = (one, other) if order.index(one) < order.index(other) else (other, one)
        if table.setdefault(pair, float(value)) != value:
            raise InputError(f"{where} = {value:g}, but the other way round it is {table[pair]:g}")
    return table
