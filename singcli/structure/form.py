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
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError, nearest_names
from singcli.music.key import Key
from singcli.music.score import regular_bars
from singcli.structure.section import (
    DEFAULT_VARIATION,
    MAX_BARS,
    MAX_SECTION_BARS,
    Phrase,
    Section,
    Span,
    distinct_labels,
    validate_sections,
    with_inherited_phrases,
)
from singcli.structure.ssm import Repeat, ssm_from_repeats
from singcli.structure.texture import DEFAULT_TEXTURE, Texture

__all__ = [
    "DEFAULT_VARIATION",
    "MAX_BARS",
    "MAX_SECTION_BARS",
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
MIN_TEMPO_BPM, MAX_TEMPO_BPM = 20.0, 300.0
METERS = ("4/4", "3/4", "6/8", "2/4")  # the common ones; any bar of 1 to 12 whole quarters is fine

_METER = re.compile(r"([1-9][0-9]?)/(1|2|4|8|16)")
_LONGEST_BAR_BEATS = 12


@dataclass(frozen=True, slots=True)
class Form:
    """The plan of a piece.

    Parameters
    ----------
    sections : tuple of Section
        At least one. A section without phrases takes those of the first section of its label that
        has some, cut to its own length.
    beats_per_bar : int
        Quarter notes in a bar.
    tempo_bpm : float
        Quarter notes a minute, `MIN_TEMPO_BPM` to `MAX_TEMPO_BPM`.
    key : Key
    similarity : mapping of (label, label) to float in [0, 1]
        Between sections of different labels; the order of the two labels does not matter.
    name, description : str
    meter : str
        "4/4" and the like, in agreement with `beats_per_bar`, from which it is made if empty.

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
        set_field(self, "sections", with_inherited_phrases(self.sections))
        set_field(self, "similarity", _canonical_similarity(self.similarity, self.sections))

    @property
    def n_bars(self) -> int:
        """Number of bars."""
        return sum(section.n_bars for section in self.sections)

    @property
    def n_beats(self) -> int:
        """Number of beats."""
        return self.n_bars * self.beats_per_bar

    @property
    def bar_beats(self) -> npt.NDArray[np.int32]:
        """Beat at which each bar starts, and the number of beats, shape=(n_bars + 1,)."""
        return regular_bars(self.n_bars, self.beats_per_bar)

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


def beats_from_meter(meter: str) -> int:
    """Return the quarter notes in a bar of "4/4", "3/4", "6/8" and the like.

    Raises
    ------
    InputError
        If the text is not a meter, or its bar not 1 to 12 whole quarter notes.
    """
    quarters = quarters_of_meter(meter)
    if quarters not in range(1, _LONGEST_BAR_BEATS + 1):
        raise InputError(
            f"meter = {meter!r}, allowed: bars of 1 to {_LONGEST_BAR_BEATS} whole quarter notes, "
            f"such as {', '.join(METERS)}"
        )
    return int(quarters)


def quarters_of_meter(meter: str) -> float:
    """Return the quarter notes in a bar, 4.5 for "9/8"; 0 if the text is not a meter."""
    match = _METER.fullmatch(meter)
    return 4 * int(match[1]) / int(match[2]) if match else 0.0


def wanted_bar_map(form: Form) -> npt.NDArray[np.float32]:
    """Return which bars the form wants to be alike, and how much.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), float32 in [0, 1]
        Symmetric; 1 on the diagonal, 0 where the form asks for nothing.
    """
    return _wanted_bars(form).astype(np.float32)


def _wanted_bars(form: Form) -> npt.NDArray[np.float64]:
    rows = _bar_rows(form)
    section, label, label_place, variation, phrase, phrase_place, turn, phrase_variation = rows.T

    same_section = np.equal.outer(section, section)
    between_sections = np.where(same_section, 1.0, 1.0 - np.maximum.outer(variation, variation))
    same_turn = np.equal.outer(turn, turn)
    between_phrases = np.where(
        same_turn, 1.0, 1.0 - np.maximum.outer(phrase_variation, phrase_variation)
    )
    alike = np.equal.outer(label, label) & np.equal.outer(phrase, phrase)
    alike &= np.equal.outer(phrase_place, phrase_place)
    wanted = np.where(alike, between_sections * between_phrases, 0.0)

    number = {name: index for index, name in enumerate(distinct_labels(form.sections))}
    table = np.zeros((len(number), len(number)))
    for (one, other), value in form.similarity.items():
        table[number[one], number[other]] = table[number[other], number[one]] = value
    labels = label.astype(np.intp)
    across = np.where(np.equal.outer(label_place, label_place), table[np.ix_(labels, labels)], 0.0)
    return np.maximum(wanted, across)


def repeats_of_form(form: Form) -> list[Repeat]:
    """Return the stripes that a form asks for: stretches of bars at one distance and similarity.

    Returns
    -------
    list of Repeat
        In beats; ordered by start, then by source. A stripe ends with its section or phrase.
    """
    wanted = _wanted_bars(form)
    section_starts = {span.start_bar for span in form.section_bars}
    repeats = []
    for lag in range(1, form.n_bars):
        values = np.diagonal(wanted, -lag)  # bar lag + i against bar i
        start = 0
        for i in range(1, len(values) + 1):
            if (
                i == len(values)
                or values[i] != values[start]
                or i in section_starts
                or i + lag in section_starts
            ):
                if values[start] > 0:
                    repeats.append(
                        Repeat(
                            start_beat=(start + lag) * form.beats_per_bar,
                            source_beat=start * form.beats_per_bar,
                            n_beats=(i - start) * form.beats_per_bar,
                            similarity=float(values[start]),
                        )
                    )
                start = i
    return sorted(repeats, key=lambda repeat: (repeat.start_beat, repeat.source_beat))


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
        for row in form.section_bars:
            for column in form.section_bars:
                value = wanted[_bars(row), _bars(column)].max()
                block = ssm[_beats(row, form), _beats(column, form)]
                np.maximum(block, value, out=block)
    return ssm


def _bars(span: Span) -> slice:
    return slice(span.start_bar, span.start_bar + span.n_bars)


def _beats(span: Span, form: Form) -> slice:
    bars = _bars(span)
    return slice(bars.start * form.beats_per_bar, bars.stop * form.beats_per_bar)


def _bar_rows(form: Form) -> npt.NDArray[np.float64]:
    """Return, for every bar, what `wanted_bar_map` compares, shape=(n_bars, 8).

    Columns: section, label, place in the section, the section's variation (0 for a theme), phrase
    label, place in the phrase, which phrase of its label in the section this is, its variation.
    """
    numbers: dict[str, int] = {}
    phrase_numbers: dict[str, int] = {}
    rows: list[list[float]] = []
    for index, section in enumerate(form.sections):
        theme = section.label not in numbers
        label = numbers.setdefault(section.label, len(numbers))
        place, seen = 0, dict[str, int]()
        for phrase in section.phrases or (Phrase("", section.n_bars),):
            turn = seen.get(phrase.label, 0)
            seen[phrase.label] = turn + 1
            number = phrase_numbers.setdefault(phrase.label, len(phrase_numbers))
            for phrase_place in range(phrase.n_bars):
                of_section = [index, label, place, 0.0 if theme else section.variation]
                of_phrase = [number, phrase_place, turn, phrase.variation if turn else 0.0]
                rows.append(of_section + of_phrase)
                place += 1
    return np.array(rows)


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
                near = nearest_names(label, order)
                hint = f"did you mean {near[0]}?" if near else f"sections are {', '.join(order)}"
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
