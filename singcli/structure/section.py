"""Sections and phrases: the parts of a form, their limits, and the rules that join them.

What labels and variations mean is said in `singcli.structure.form`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import NamedTuple

from singcli.errors import InputError

DEFAULT_VARIATION = 0.15
MAX_SECTION_BARS = 128
MAX_BARS = 512
LABEL_PATTERN = r"[A-Za-z][A-Za-z0-9_-]{0,31}"


class Span(NamedTuple):
    """A section as found or planned: its label, its first bar (from 0) and its length in bars."""

    label: str
    start_bar: int
    n_bars: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a section; see the conventions of the module.

    Parameters
    ----------
    label : str
    n_bars : int > 0
    variation : float in [0, 1]
        Distance from the first phrase of this label in the section; 0 is an exact repeat.
    """

    label: str
    n_bars: int
    variation: float = 0.0


@dataclass(frozen=True, slots=True)
class Section:
    """A named stretch of bars; see the conventions of the module.

    Parameters
    ----------
    label : str
    n_bars : int
        1 to `MAX_SECTION_BARS`.
    variation : float in [0, 1]
        Distance from the first section of this label.
    phrases : tuple of Phrase
        Add up to `n_bars`; empty for a section without inner repeats.
    tune : bool
        Whether the lead takes part; False for intros, interludes and the like.
    """

    label: str
    n_bars: int
    variation: float = DEFAULT_VARIATION
    phrases: tuple[Phrase, ...] = ()
    tune: bool = True


def distinct_labels(sections: tuple[Section, ...]) -> list[str]:
    """Return the labels, each once, in the order of their first section."""
    return list(dict.fromkeys(section.label for section in sections))


def validate_sections(sections: tuple[Section, ...]) -> None:
    """Check every section and phrase on its own, and the number of bars in all.

    Raises
    ------
    InputError
        Names the place in the way of a preset: `sections[2].bars`, counted from 0.
    """
    if not sections:
        raise InputError("a form needs at least one section")
    for index, section in enumerate(sections):
        where = f"sections[{index}]"
        _validate_part(section, where, MAX_SECTION_BARS)
        for number, phrase in enumerate(section.phrases):
            _validate_part(phrase, f"{where}.phrases[{number}]", section.n_bars)
        total = sum(phrase.n_bars for phrase in section.phrases)
        if section.phrases and total != section.n_bars:
            raise InputError(
                f"{where}.phrases add up to {total} bars, section {section.label} has "
                f"{section.n_bars}"
            )
    n_bars = sum(section.n_bars for section in sections)
    if n_bars > MAX_BARS:
        raise InputError(f"sections add up to {n_bars} bars, allowed 1 to {MAX_BARS}")


def _validate_part(part: Section | Phrase, where: str, most_bars: int) -> None:
    if not re.fullmatch(LABEL_PATTERN, part.label):
        raise InputError(
            f"{where}.label = {part.label!r}, allowed: a letter, then letters, digits, - and _"
        )
    if not 1 <= part.n_bars <= most_bars:
        raise InputError(f"{where}.bars = {part.n_bars}, allowed 1 to {most_bars}")
    if not 0.0 <= part.variation <= 1.0:
        raise InputError(f"{where}.variation = {part.variation:g}, allowed 0 to 1")


def with_inherited_phrases(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """Give sections without phrases those of the first section of their label that has some.

    Raises
    ------
    InputError
        If such a section is longer than those phrases.
    """
    models: dict[str, Section] = {}
    for section in sections:
        if section.phrases:
            models.setdefault(section.label, section)
    filled = []
    for index, section in enumerate(sections):
        if not section.phrases and section.label in models:
            model = models[section.label]
            if section.n_bars > model.n_bars:
                raise InputError(
                    f"sections[{index}].bars = {section.n_bars} is more than the phrases of "
                    f"section {section.label} cover ({model.n_bars})",
                    "give this section phrases of its own",
                )
            filled.append(dataclasses.replace(section, phrases=_cut(model.phrases, section.n_bars)))
        else:
            filled.append(section)
    return tuple(filled)


def _cut(phrases: tuple[Phrase, ...], n_bars: int) -> tuple[Phrase, ...]:
    kept, left = [], n_bars
    for phrase in phrases:
        if left > 0:
            kept.append(dataclasses.replace(phrase, n_bars=min(phrase.n_bars, left)))
            left -= phrase.n_bars
    return tuple(kept)
