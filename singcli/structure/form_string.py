"""Forms as text: "A = a4 a'4; A A B8 A+5", for `--form` and for the key `form` of a preset.

The grammar is written down in docs/formats.md and read by `singcli.structure.form_grammar`; here
its parts become a form, and a form its text.

- A section without a number of bars has those of its definition, else those of the first section
  of its label; a single capital can do without both.
- A prime adds `PRIME_VARIATION` to the variation that a section or a phrase has without.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from singcli.errors import hint_from_names, nearest_names
from singcli.music.key import Key
from singcli.music.meter import beats_from_meter
from singcli.structure.form import DEFAULT_METER, DEFAULT_TEMPO_BPM, Form
from singcli.structure.form_grammar import Definition, Part, fail, is_plain_label, parse
from singcli.structure.section import (
    DEFAULT_VARIATION,
    MAX_BARS,
    MAX_SECTION_BARS,
    Phrase,
    Section,
    cut_phrases,
    last_bar_complaint,
    split_bars,
    whole_beats,
)

DEFAULT_BARS = 8
PRIME_VARIATION = 0.15

_BARS_DIGITS = 6


def form_from_string(
    text: str,
    *,
    default_bars: int = DEFAULT_BARS,
    meter: str | None = None,
    tempo_bpm: float | None = None,
    key: Key | None = None,
) -> Form:
    """Read a form written in one line.

    Parameters
    ----------
    text : str
    default_bars : int > 0
        Length of capitals that have none.
    meter : str, optional
        Of sections without a meter of their own; if all have one, by default that of most bars,
        else 4/4.
    tempo_bpm : float > 0, optional
        Likewise; by default 100.
    key : Key, optional
        C major by default.

    Raises
    ------
    InputError
        Shows the character at which the text stops making sense, and says what is allowed there.
    """
    definitions, parts = parse(text)
    reader = _Reader(text, {d.label: d for d in definitions}, default_bars)
    lengths = reader.lengths(parts)
    if meter is None:
        meter = _most_frequent([part.meter for part in parts], lengths) or DEFAULT_METER
    if tempo_bpm is None:
        tempo_bpm = _most_frequent([part.tempo_bpm for part in parts], lengths) or DEFAULT_TEMPO_BPM
    beats_per_bar = beats_from_meter(meter)
    return Form(
        tuple(reader.sections(parts, lengths, beats_per_bar)),
        beats_per_bar=beats_per_bar,
        tempo_bpm=tempo_bpm,
        key=key or Key(0, "major"),
        meter=meter,
    )


def string_from_form(form: Form) -> str | None:
    """Return the text that means the sections of a form; None where a text cannot say them.

    It cannot where a section does without the tune, where different labels are similar, and where
    sections of one label have different phrases. Name, description and key of the form, its main
    meter and tempo are not in the text: `form_from_string` takes them beside it.
    """
    if form.similarity or not all(section.tune for section in form.sections):
        return None
    longest: dict[str, Section] = {}
    for section in form.sections:
        if section.phrases and section.length > longest.get(section.label, _NOTHING).length:
            longest[section.label] = section
    for section in form.sections:
        model = longest.get(section.label, section)
        if section.phrases != cut_phrases(model.phrases, section.n_bars):
            return None
    definitions = [f"{_label(label)} = {_phrases(model)};" for label, model in longest.items()]
    return " ".join([*definitions, *(_section(s, longest.get(s.label)) for s in form.sections)])


_NOTHING = Section("", 0)


@dataclass(frozen=True, slots=True)
class _Reader:
    """What the parts of a text mean together."""

    text: str
    definitions: Mapping[str, Definition]
    default_bars: int

    def lengths(self, parts: Sequence[Part]) -> list[float]:
        """Return the bars of every section, given or inherited, checked as a whole."""
        self._validate_names(parts)
        defined = {
            label: math.fsum(self._phrase_lengths(definition))
            for label, definition in self.definitions.items()
        }
        known = dict(defined)
        lengths = []
        for part in parts:
            bars = known.get(part.label) if part.bars is None else part.bars
            if bars is None and part.default_bars:
                bars = self.default_bars
            if bars is None:
                self._fail(
                    part.bars_position,
                    f"{part.label!r} needs a number of bars, such as {_label(part.label)}8",
                )
            if bars > defined.get(part.label, MAX_SECTION_BARS) + 10**-_BARS_DIGITS:
                self._fail(
                    part.bars_position,
                    f"{bars:g} bars are more than the phrases of {part.label} cover "
                    f"({defined[part.label]:g})",
                )
            known.setdefault(part.label, bars)
            lengths.append(bars)
        self._validate_total(parts, lengths)
        return lengths

    def sections(
        self, parts: Sequence[Part], lengths: Sequence[float], beats_per_bar: int
    ) -> Iterator[Section]:
        """Yield the sections; `beats_per_bar` is that of sections without a meter."""
        phrases = {
            label: tuple(self._phrases(definition))
            for label, definition in self.definitions.items()
        }
        for part, bars in zip(parts, lengths, strict=True):
            n_bars, last_bar = split_bars(bars)
            section = Section(
                part.label,
                n_bars,
                self._variation(part, DEFAULT_VARIATION),
                cut_phrases(phrases.get(part.label, ()), n_bars),
                transpose=part.transpose or 0,
                meter=part.meter or "",
                tempo_bpm=part.tempo_bpm,
                strictness=part.strictness,
                last_bar=last_bar,
            )
            full = section.beats_per_bar(beats_per_bar)
            if whole_beats(last_bar, full) is None:
                self._fail(
                    part.position if part.bars is None else part.bars_position,
                    f"{bars:g} bars: {last_bar_complaint(section, full)}",
                )
            yield section

    def _phrases(self, definition: Definition) -> Iterator[Phrase]:
        lengths = self._phrase_lengths(definition)
        for part, bars in zip(definition.phrases, lengths, strict=True):
            yield Phrase(part.label, split_bars(bars)[0], self._variation(part, 0.0))

    def _phrase_lengths(self, definition: Definition) -> list[float]:
        known: dict[str, float] = {}
        lengths: list[float] = []
        for part in definition.phrases:
            bars = known.get(part.label) if part.bars is None else part.bars
            if bars is None:
                self._fail(
                    part.bars_position,
                    f"{part.label!r} needs a number of bars, such as {_label(part.label)}4",
                )
            if not bars.is_integer() and part is not definition.phrases[-1]:
                self._fail(
                    part.bars_position,
                    f"{bars:g} bars, allowed: a whole number; only the last phrase can end in a "
                    "part of a bar",
                )
            lengths.append(bars)
            known.setdefault(part.label, bars)
        if sum(lengths) > MAX_SECTION_BARS:
            self._fail(
                definition.position,
                f"the phrases add up to {sum(lengths):g} bars, allowed 1 to {MAX_SECTION_BARS}",
            )
        return lengths

    def _variation(self, part: Part, without: float) -> float:
        if part.variation is not None:
            return part.variation
        variation = _variation_of_primes(part.primes, without)
        if variation > 1:
            self._fail(
                part.bars_position - part.primes,
                f"{part.primes} primes are a variation above 1",
            )
        return variation

    def _validate_names(self, parts: Sequence[Part]) -> None:
        used = {part.label for part in parts}
        for definition in self.definitions.values():
            if definition.label not in used:
                near = nearest_names(definition.label, used, limit=1)
                fail(
                    self.text,
                    definition.position,
                    f"no section is called {definition.label}, allowed: {', '.join(sorted(used))}",
                    hint_from_names(near),
                )

    def _validate_total(self, parts: Sequence[Part], lengths: Sequence[float]) -> None:
        n_bars = [split_bars(bars)[0] for bars in lengths]
        before = 0
        for part, bars in zip(parts, n_bars, strict=True):
            before += bars
            if before > MAX_BARS:
                self._fail(
                    part.position,
                    f"the sections add up to {sum(n_bars)} bars, allowed 1 to {MAX_BARS}",
                )

    def _fail(self, position: int, reason: str) -> NoReturn:
        fail(self.text, position, reason)


def _most_frequent(values: Sequence[Any], weights: Sequence[float]) -> Any:
    """Return the value of the largest weight, the first of equal ones; None if one is None."""
    if None in values:
        return None
    total: Counter[Any] = Counter()
    for value, weight in zip(values, weights, strict=True):
        total[value] += weight  # type: ignore[assignment]
    return total.most_common(1)[0][0]


def _variation_of_primes(primes: int, without: float) -> float:
    return round(without + PRIME_VARIATION * primes, 6)


def _phrases(model: Section) -> str:
    *whole, last = model.phrases
    parts = [_part(phrase, str(phrase.n_bars), 0.0) for phrase in whole]
    return " ".join([*parts, _part(last, _number(last.n_bars - 1 + model.last_bar), 0.0)])


def _section(section: Section, model: Section | None) -> str:
    inherited = model is not None and section.length == model.length
    text = _part(section, "" if inherited else _number(section.length), DEFAULT_VARIATION)
    if section.transpose:
        text += f"{section.transpose:+d}"
    if section.meter:
        text += f"@{section.meter}"
    if section.tempo_bpm is not None:
        text += f"@{_decimal(section.tempo_bpm)}"
    if section.strictness is not None:
        text += f"%{_decimal(section.strictness, shift=2)}"
    return text


def _part(part: Section | Phrase, bars: str, without: float) -> str:
    """Return label, primes or variation, and bars."""
    for primes in range(7):
        if part.variation == _variation_of_primes(primes, without):
            return f"{_label(part.label)}{primes * chr(39)}{bars}"
    return f"{_label(part.label)}{bars}:{_decimal(part.variation)}"


def _label(label: str) -> str:
    return label if is_plain_label(label) else f"[{label}]"


def _number(bars: float) -> str:
    return _decimal(round(bars, _BARS_DIGITS))


def _decimal(value: float, *, shift: int = 0) -> str:
    """Return the shortest decimal number without an exponent that is read as `value`."""
    text = format(Decimal(repr(float(value))).scaleb(shift), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
