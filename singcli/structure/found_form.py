"""Sections found in a piece, with what was measured of them, and as a form to edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from singcli.music.key import Key
from singcli.structure.bar_features import Vector
from singcli.structure.form import DEFAULT_VARIATION, Form, Phrase, Section, quarters_of_meter
from singcli.structure.section import Span

Part = TypeVar("Part", Span, "FoundSection")

LISTED_SIMILARITY = 0.6
REST_LABEL = "rest"  # of a section, beyond the phrases of its theme


@dataclass(frozen=True, slots=True)
class FoundPhrase:
    """A part of a section; bars count from the start of the piece.

    Parameters
    ----------
    label : str
    start_bar, n_bars : int
    variation : float in [0, 1], optional
        1 - similarity to the first phrase of this label in the section; None for that one.
    """

    label: str
    start_bar: int
    n_bars: int
    variation: float | None


@dataclass(frozen=True, slots=True)
class FoundSection:
    """A section of a piece.

    Parameters
    ----------
    label : str
    start_bar, n_bars : int
        Bars count from 0.
    variation : float in [0, 1], optional
        1 - similarity to the first section of this label, up to transposition; None for that one.
    transpose : int
        Semitones above (below: negative) the first section of this label.
    tune : bool
        Whether the lead takes part.
    phrases : tuple of FoundPhrase
        Empty where the section is one phrase.
    """

    label: str
    start_bar: int
    n_bars: int
    variation: float | None
    transpose: int = 0
    tune: bool = True
    phrases: tuple[FoundPhrase, ...] = ()

    @property
    def span(self) -> Span:
        """The section without what was measured."""
        return Span(self.label, self.start_bar, self.n_bars)


def span_similarity(bars: Vector, one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the mean similarity of two sections, bar by bar from their beginnings.

    Parameters
    ----------
    bars : np.ndarray, shape=(n_bars, n_bars)
        As `bar_ssm` returns it.
    one, other : (start_bar, n_bars)
        The longer one is cut to the length of the other.
    """
    bar = np.arange(min(one[1], other[1]))
    return float(bars[one[0] + bar, other[0] + bar].mean())


def measured_sections(
    bars: Vector,
    sections: Sequence[Span],
    *,
    phrases: Sequence[Sequence[Span]] = (),
    transpositions: Sequence[int] = (),
    tunes: Sequence[bool] = (),
) -> tuple[FoundSection, ...]:
    """Measure how much sections and phrases vary.

    Parameters
    ----------
    bars : np.ndarray, shape=(n_bars, n_bars)
        `bar_ssm` of the piece, with transpositions undone.
    sections : sequence of Span
    phrases, transpositions, tunes : sequence, one entry a section
        Spans of the phrases, semitones, whether the lead takes part; as in `FoundSection` if empty.
    """
    themes = _firsts(sections)
    found = []
    for index, span in enumerate(sections):
        parts = phrases[index] if phrases else ()
        models = _firsts(parts)
        found.append(
            FoundSection(
                *span,
                variation=_variation(bars, span, themes[span.label]),
                transpose=transpositions[index] if transpositions else 0,
                tune=tunes[index] if tunes else True,
                phrases=tuple(
                    FoundPhrase(*part, _variation(bars, part, models[part.label])) for part in parts
                )
                if len(parts) > 1
                else (),
            )
        )
    return tuple(found)


def form_from_found(
    found: Sequence[FoundSection],
    bars: Vector,
    bar_beats: npt.NDArray[np.int32],
    *,
    tempo_bpm: float,
    meter: str,
    key: Key | None,
    name: str,
) -> Form:
    """Describe sections found in a piece as a form: how much repeats vary, which labels are alike.

    Parameters
    ----------
    found : sequence of FoundSection
    bars : np.ndarray, shape=(n_bars, n_bars)
        `bar_ssm` of the piece, with transpositions undone.
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
    tempo_bpm : float
    meter : str
        Taken if its bars are as long as most bars of the piece, else quarters of that number.
    key : Key, optional
        C major where it is not known.
    name : str

    Returns
    -------
    Form
        A section in which most bars have another length gets a meter of its own; otherwise all bars
        are of the most frequent length. The phrases are those of the first section of each label.
        Different labels are listed from a similarity of `LISTED_SIMILARITY` on. Values are rounded
        to two digits.

    Raises
    ------
    InputError
        If the piece is longer, faster or slower than a form may be.
    """
    lengths = np.diff(bar_beats)
    beats_per_bar = int(np.bincount(lengths).argmax())
    themes = _firsts(found)
    return Form(
        sections=tuple(
            Section(
                section.label,
                section.n_bars,
                DEFAULT_VARIATION if section.variation is None else round(section.variation, 2),
                phrases=_phrases(section, themes[section.label]),
                tune=section.tune,
                transpose=section.transpose,
                meter=_own_meter(section, lengths, beats_per_bar),
            )
            for section in found
        ),
        beats_per_bar=beats_per_bar,
        tempo_bpm=round(tempo_bpm, 2),
        key=key or Key(0, "major"),
        similarity=_listed_similarity(bars, themes),
        name=name,
        meter=meter if quarters_of_meter(meter) == beats_per_bar else "",
    )


def _firsts(parts: Sequence[Part]) -> dict[str, Part]:
    return {part.label: part for part in reversed(parts)}


def _variation(bars: Vector, span: Span, theme: Span) -> float | None:
    if span is theme:
        return None
    return min(max(1.0 - span_similarity(bars, span[1:], theme[1:]), 0.0), 1.0)


def _phrases(section: FoundSection, theme: FoundSection) -> tuple[Phrase, ...]:
    """Return the theme's phrases where they must be written: at the theme, and at longer repeats.

    Shorter repeats inherit them; what a longer one has beyond them is a phrase of its own.
    """
    phrases = tuple(
        Phrase(part.label, part.n_bars, round(part.variation or 0.0, 2)) for part in theme.phrases
    )
    if section is theme or not phrases:
        return phrases
    beyond = section.n_bars - theme.n_bars
    return (*phrases, Phrase(REST_LABEL, beyond)) if beyond > 0 else ()


def _own_meter(section: FoundSection, lengths: npt.NDArray[np.int32], beats_per_bar: int) -> str:
    most = int(
        np.bincount(lengths[section.start_bar : section.start_bar + section.n_bars]).argmax()
    )
    return "" if most == beats_per_bar else f"{most}/4"


def _listed_similarity(
    bars: Vector, themes: Mapping[str, FoundSection]
) -> dict[tuple[str, str], float]:
    table = {}
    for one, other in combinations(themes, 2):
        similarity = span_similarity(bars, themes[one].span[1:], themes[other].span[1:])
        if similarity >= LISTED_SIMILARITY:
            table[one, other] = round(similarity, 2)
    return table
