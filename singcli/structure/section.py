"""Sections and phrases: the parts of a form, their limits, and the rules that join them.

What labels and variations mean is said in `singcli.structure.form`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from singcli.errors import InputError
from singcli.music.meter import beats_from_meter

DEFAULT_VARIATION = 0.15
MAX_SECTION_BARS = 128
MAX_BARS = 512
MAX_TRANSPOSE = 11  # semitones; an octave is no other key
MIN_TEMPO_BPM, MAX_TEMPO_BPM = 20.0, 300.0
LABEL_PATTERN = r"[A-Za-z][A-Za-z0-9_-]{0,31}"

_ROUNDING_BEATS = 0.05  # 4.33 bars of 3/4 end in one beat


class Span(NamedTuple):
    """A section as found or planned: its label, its first bar (from 0) and its length in bars."""

    label: str
    start_bar: int
    n_bars: int


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a section; see the conventions of `singcli.structure.form`.

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
    """A named stretch of bars; see the conventions of `singcli.structure.form`.

    Parameters
    ----------
    label : str
    n_bars : int
        1 to `MAX_SECTION_BARS`, a short last bar included.
    variation : float in [0, 1]
        Distance from the first section of this label.
    phrases : tuple of Phrase
        Add up to `n_bars`; empty for a section without inner repeats.
    tune : bool
        Whether the lead takes part; False for intros, interludes and the like.
    transpose : int
        Semitones by which the section is moved, `-MAX_TRANSPOSE` to `MAX_TRANSPOSE`.
    meter : str
        That of the form if empty.
    tempo_bpm : float, optional
        Quarter notes a minute, `MIN_TEMPO_BPM` to `MAX_TEMPO_BPM`; that of the form if None.
    strictness : float in [0, 1], optional
        That of the song if None.
    last_bar : float in (0, 1]
        Length of the last bar as a share of a full one, whole beats.
    """

    label: str
    n_bars: int
    variation: float = DEFAULT_VARIATION
    phrases: tuple[Phrase, ...] = ()
    tune: bool = True
    transpose: int = 0
    meter: str = ""
    tempo_bpm: float | None = None
    strictness: float | None = None
    last_bar: float = 1.0

    @property
    def length(self) -> float:
        """Length in full bars: 4.5 where the fifth bar is half a bar."""
        return self.n_bars if self.last_bar == 1 else self.n_bars - 1 + self.last_bar

    def beats_per_bar(self, of_form: int) -> int:
        """Quarter notes in a full bar; `of_form` where the section has no meter of its own."""
        return beats_from_meter(self.meter) if self.meter else of_form

    def bar_lengths(self, of_form: int) -> list[int]:
        """Quarter notes in every bar; `of_form` is that number for the form."""
        full = self.beats_per_bar(of_form)
        return [full] * (self.n_bars - 1) + [round(self.last_bar * full)]


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
        _validate_playing(section, where)
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


def _validate_playing(section: Section, where: str) -> None:
    """Check how a section is played: what phrases do not have."""
    if not -MAX_TRANSPOSE <= section.transpose <= MAX_TRANSPOSE:
        raise InputError(
            f"{where}.transpose = {section.transpose}, allowed -{MAX_TRANSPOSE} to "
            f"{MAX_TRANSPOSE} semitones"
        )
    if section.meter:
        try:
            beats_from_meter(section.meter)
        except InputError as error:
            raise InputError(f"{where}.{error}", error.remedy) from error
    tempo, strictness = section.tempo_bpm, section.strictness
    if tempo is not None and not MIN_TEMPO_BPM <= tempo <= MAX_TEMPO_BPM:
        raise InputError(
            f"{where}.tempo = {tempo:g}, allowed {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} "
            "quarter notes a minute"
        )
    if strictness is not None and not 0.0 <= strictness <= 1.0:
        raise InputError(f"{where}.strictness = {strictness:g}, allowed 0 to 1")
    if not 0.0 < section.last_bar <= 1.0:
        raise InputError(f"{where}.last_bar = {section.last_bar:g}, allowed above 0 to 1")


def split_bars(bars: float) -> tuple[int, float]:
    """Return number of bars and share of the last one: 5 and 0.5 for 4.5 bars."""
    n_bars = math.ceil(bars)
    return n_bars, bars - (n_bars - 1)


def with_whole_beats(sections: tuple[Section, ...], beats_per_bar: int) -> tuple[Section, ...]:
    """Round the last bars, given to about two digits, to the whole beats that they mean.

    Parameters
    ----------
    beats_per_bar : int
        Of sections without a meter of their own.

    Raises
    ------
    InputError
        If a last bar is not whole beats.
    """
    rounded = []
    for index, section in enumerate(sections):
        full = section.beats_per_bar(beats_per_bar)
        share = whole_beats(section.last_bar, full)
        if share is None:
            raise InputError(
                f"sections[{index}].bars = {section.length:g}: {last_bar_complaint(section, full)}"
            )
        rounded.append(dataclasses.replace(section, last_bar=share))
    return tuple(rounded)


def whole_beats(last_bar: float, beats_per_bar: int) -> float | None:
    """Return the share of a bar nearest to `last_bar` that is whole beats; None if none is near."""
    beats = round(last_bar * beats_per_bar)
    if beats < 1 or abs(last_bar * beats_per_bar - beats) > _ROUNDING_BEATS:
        return None
    return beats / beats_per_bar


def last_bar_complaint(section: Section, beats_per_bar: int) -> str:
    """Say why the last bar of a section cannot be, and what can."""
    allowed = [f"{section.n_bars - 1 + n / beats_per_bar:.3g}" for n in range(1, beats_per_bar + 1)]
    return (
        f"the last bar has {section.last_bar * beats_per_bar:.3g} beats, allowed are whole beats: "
        f"{', '.join(allowed)} bars"
    )


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
            filled.append(
                dataclasses.replace(section, phrases=cut_phrases(model.phrases, section.n_bars))
            )
        else:
            filled.append(section)
    return tuple(filled)


def cut_phrases(phrases: tuple[Phrase, ...], n_bars: int) -> tuple[Phrase, ...]:
    """Return the first `n_bars` bars of the phrases."""
    kept, left = [], n_bars
    for phrase in phrases:
        if left > 0:
            kept.append(dataclasses.replace(phrase, n_bars=min(phrase.n_bars, left)))
            left -= phrase.n_bars
    return tuple(kept)
