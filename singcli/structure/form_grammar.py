"""The grammar of form strings: from characters to what stands there, with its place in the text.

The grammar is written down in docs/formats.md. Recursive descent, one function a rule. What the
parts mean together (bars that are left out, bars that do not fit the meter) is the business of
`singcli.structure.form_string`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from singcli.errors import InputError
from singcli.music.meter import beats_from_meter
from singcli.structure.section import (
    LABEL_PATTERN,
    MAX_BARS,
    MAX_SECTION_BARS,
    MAX_TEMPO_BPM,
    MAX_TRANSPOSE,
    MIN_TEMPO_BPM,
)

MAX_NESTING = 16
PRIMES = "'’′"  # noqa: RUF001 - and what word processors make of them

_PLAIN = r"[A-Za-z]+(?:[-_][A-Za-z]+)*"
_GAP = re.compile(r"[\s,|]*")
_LABEL = re.compile(rf"(?P<plain>{_PLAIN})|\[(?P<spelled>[^\[\]]*)\]")
_DEFINITION = re.compile(rf"(?:(?P<plain>{_PLAIN})|\[(?P<spelled>[^\[\]]*)\])\s*=")
_PRIMES = re.compile(rf"[{PRIMES}]*")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_METER = re.compile(r"[0-9]+/[0-9]+")
_SEMITONES = re.compile(r"[+-][0-9]+")
_TIMES = re.compile(r"\s*[xX×]\s*([0-9]+)")  # noqa: RUF001 - the sign that it stands for
_WORD = re.compile(r"[^\s,|();]*")  # what is shown of a value that cannot be
_WORDS = {"transpose": "transposition", "tempo_bpm": "tempo"}
_SHOWN = 12  # characters of the form shown on each side of an error


@dataclass(frozen=True, slots=True)
class Part:
    """A section or a phrase as it is written.

    Parameters
    ----------
    label : str
    position : int
        Of its first character.
    bars_position : int
        Of its number of bars, or where that would stand.
    default_bars : bool
        Whether it may do without a number of bars: a single capital.
    primes : int
    bars, variation, tempo_bpm, strictness : float, optional
    transpose : int, optional
    meter : str, optional
        All of these None where they are not written.
    """

    label: str
    position: int
    bars_position: int
    default_bars: bool = False
    primes: int = 0
    bars: float | None = None
    variation: float | None = None
    transpose: int | None = None
    meter: str | None = None
    tempo_bpm: float | None = None
    strictness: float | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """The phrases of a label, and where their definition begins."""

    label: str
    position: int
    phrases: tuple[Part, ...]


def parse(text: str) -> tuple[list[Definition], list[Part]]:
    """Read a form string.

    Returns
    -------
    definitions : list of Definition
    sections : list of Part
        At least one; repeats are spelled out.

    Raises
    ------
    InputError
        Shows the character at which the text stops making sense.
    """
    scanner = _Scanner(text)
    definitions = _definitions(scanner)
    sections = _items(scanner, depth=0)
    if scanner.ahead == ")":
        scanner.fail("this ) closes no (")
    if scanner.ahead == ";":
        scanner.fail("a ; ends a definition such as A = a4 a'4; those come before all sections")
    if not sections:
        scanner.fail("the form is empty, write sections such as A8 A8 B8 A8")
    return definitions, sections


def is_plain_label(label: str) -> bool:
    """Return whether a label can be written without brackets and is one section then."""
    return re.fullmatch(_PLAIN, label) is not None and not _is_run(label)


def fail(text: str, position: int, reason: str, remedy: str | None = None) -> NoReturn:
    """Raise InputError with the place in the text, counted from 1, and what stands there."""
    before = text[max(0, position - _SHOWN) : position]
    after = text[position : position + _SHOWN]
    before = "..." + before if position > _SHOWN else before
    after = after + "..." if position + _SHOWN < len(text) else after
    shown = "".join(c if c.isprintable() else " " for c in f"{before}>>>{after or 'end'}")
    raise InputError(f"form, character {position + 1} ({shown}): {reason}", remedy)


class _Scanner:
    """A text and how far it is read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def ahead(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.position : self.position + 1]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def skip_gap(self) -> None:
        self.take(_GAP)

    def word(self) -> str:
        """Return the text up to the next gap or bracket, for a message."""
        match = _WORD.match(self.text, self.position)
        return match[0] if match else ""

    def fail(self, reason: str, position: int | None = None) -> NoReturn:
        fail(self.text, self.position if position is None else position, reason)


def _definitions(scanner: _Scanner) -> list[Definition]:
    found: dict[str, Definition] = {}
    scanner.skip_gap()
    start = scanner.position
    while head := scanner.take(_DEFINITION):
        label = _label_from_match(scanner, head)
        if head["plain"] and _is_run(label):
            scanner.fail(f"{label} is {len(label)} sections; one of this name is [{label}]", start)
        if label in found:
            scanner.fail(f"{label} has been defined before", start)
        found[label] = Definition(label, start, _phrases(scanner))
        scanner.skip_gap()
        start = scanner.position
    return list(found.values())


def _phrases(scanner: _Scanner) -> tuple[Part, ...]:
    """Read the phrases of a definition up to its end, the semicolon included."""
    phrases: list[Part] = []
    scanner.skip_gap()
    while scanner.ahead not in ("", ";"):
        phrases.append(_phrase(scanner))
        scanner.skip_gap()
    if not phrases:
        scanner.fail("a definition needs phrases, such as A = a4 a'4;")
    if scanner.ahead == "":
        scanner.fail("the sections are missing: end the definition with ; and write them behind it")
    scanner.position += 1
    return tuple(phrases)


def _phrase(scanner: _Scanner) -> Part:
    start = scanner.position
    match = scanner.take(_LABEL)
    if match is None:
        scanner.fail("a phrase starts with a letter, such as a4; the last one is followed by ;")
    part = _with_primes_and_bars(scanner, _label_from_match(scanner, match), start)
    if scanner.ahead == ":":
        part = _with_modifier(scanner, part)
    if scanner.ahead in ("+", "-", "@", "%", ":"):
        scanner.fail("a phrase has bars and one variation; all else belongs to the section")
    return part


def _items(scanner: _Scanner, *, depth: int) -> list[Part]:
    """Read sections and brackets up to the end, a closing bracket or a semicolon."""
    sections: list[Part] = []
    scanner.skip_gap()
    while scanner.ahead not in ("", ")", ";"):
        sections += _repeated(scanner, depth) if scanner.ahead == "(" else _section(scanner)
        scanner.skip_gap()
    return sections


def _repeated(scanner: _Scanner, depth: int) -> list[Part]:
    opened = scanner.position
    if depth == MAX_NESTING:
        scanner.fail(f"brackets in brackets, allowed {MAX_NESTING} deep")
    scanner.position += 1
    sections = _items(scanner, depth=depth + 1)
    if scanner.ahead == ";":
        scanner.fail("a ; cannot stand between brackets")
    if scanner.ahead == "":
        scanner.fail("this ( is never closed", opened)
    if not sections:
        scanner.fail("nothing to repeat between ( and )")
    scanner.position += 1
    behind = scanner.position
    times = scanner.take(_TIMES)
    if times is None:
        scanner.fail("how many times is missing, such as (A B)x2")
    count = float(times[1])
    if not 1 <= count <= MAX_BARS // len(sections):
        start = behind + times.start(1) - times.start()
        scanner.fail(
            f"{count:g} times {len(sections)} sections, allowed are 1 to "
            f"{MAX_BARS // len(sections)} times: a form has up to {MAX_BARS} bars",
            start,
        )
    return sections * int(count)


def _section(scanner: _Scanner) -> list[Part]:
    """Read a section, or several in a row of capitals."""
    start = scanner.position
    match = scanner.take(_LABEL)
    if match is None:
        if scanner.ahead == "=":
            scanner.fail("a = belongs to a definition, before all sections: A = a4 a'4; A A B A")
        if scanner.ahead and scanner.ahead in PRIMES:
            scanner.fail("primes stand before the number of bars: A'8")
        scanner.fail("a section starts with a letter, such as A8")
    label = _label_from_match(scanner, match)
    part = _with_primes_and_bars(scanner, label, start)
    are_capitals = bool(match["plain"]) and label.isalpha() and label.isupper()
    if are_capitals and len(label) > 1 and part.bars is not None:
        number = scanner.text[part.bars_position : scanner.position]
        spelled = " ".join(f"{letter}{number}" for letter in label)
        scanner.fail(
            f"a number cannot follow several capitals; write {spelled!r} for {len(label)} "
            f"sections or '{label.lower()}{number}' for one",
            part.bars_position,
        )
    while scanner.ahead and scanner.ahead in ":+-@%":
        part = _with_modifier(scanner, part)
    if not are_capitals:
        return [part]
    letters = [Part(c, start + i, start + i + 1, default_bars=True) for i, c in enumerate(label)]
    position = letters[-1].position
    last = dataclasses.replace(part, label=label[-1], position=position, default_bars=True)
    return [*letters[:-1], last]


def _label_from_match(scanner: _Scanner, match: re.Match[str]) -> str:
    label: str = match["spelled"] if match["plain"] is None else match["plain"]
    if not re.fullmatch(LABEL_PATTERN, label) and not (match["plain"] and _is_run(label)):
        scanner.fail(
            f"label {label[:40]!r}, allowed: a letter, then up to 31 letters, digits, - and _",
            match.start() + (match["plain"] is None),
        )
    return label


def _is_run(label: str) -> bool:
    return len(label) > 1 and label.isalpha() and label.isupper()


def _with_primes_and_bars(scanner: _Scanner, label: str, start: int) -> Part:
    primes = scanner.take(_PRIMES)
    bars_position = scanner.position
    number = scanner.take(_NUMBER)
    bars = float(number[0]) if number else None
    if bars is not None and not 0 < bars <= MAX_SECTION_BARS:
        scanner.fail(f"{bars:g} bars, allowed 1 to {MAX_SECTION_BARS}", bars_position)
    n_primes = len(primes[0]) if primes else 0
    return Part(label, start, bars_position, primes=n_primes, bars=bars)


def _with_modifier(scanner: _Scanner, part: Part) -> Part:
    """Read what follows a sign and add it to the part."""
    start = scanner.position
    name, value = _modifier(scanner, part)
    if getattr(part, name) is not None:
        scanner.fail(f"a second {_WORDS.get(name, name)}", start)
    return dataclasses.replace(part, **{name: value})


def _modifier(scanner: _Scanner, part: Part) -> tuple[str, Any]:
    """Return the field of the part that a sign stands for, and its value."""
    sign = scanner.ahead
    if sign in "+-":
        return "transpose", _semitones(scanner)
    scanner.position += 1
    if sign == ":":
        if part.primes:
            position = part.bars_position - part.primes
            scanner.fail("write primes or a variation behind the colon, not both", position)
        return "variation", float(_number(scanner, "variation", 0, 1, "0 to 1, such as A8:0.3"))
    if sign == "%":
        allowed = "0 to 100 percent, such as A8%80"
        return "strictness", float(_number(scanner, "strictness", 0, 100, allowed).scaleb(-2))
    meter = scanner.take(_METER)
    if meter is None:
        allowed = f"{MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} quarter notes a minute, or a meter: @3/4"
        tempo = _number(scanner, "tempo", MIN_TEMPO_BPM, MAX_TEMPO_BPM, allowed)
        return "tempo_bpm", float(tempo)
    try:
        beats_from_meter(meter[0])
    except InputError as error:
        scanner.fail(str(error), meter.start())
    return "meter", meter[0]


def _semitones(scanner: _Scanner) -> int:
    number = _SEMITONES.match(scanner.text, scanner.position)
    if number is None or abs(float(number[0])) > MAX_TRANSPOSE:
        shown = number[0] if number else scanner.word()
        scanner.fail(
            f"transposition {shown!r}, allowed -{MAX_TRANSPOSE} to +{MAX_TRANSPOSE} semitones, "
            "such as A8+5"
        )
    scanner.position = number.end()
    return int(number[0])


def _number(scanner: _Scanner, name: str, least: float, most: float, allowed: str) -> Decimal:
    number = _NUMBER.match(scanner.text, scanner.position)
    if number is None or not least <= Decimal(number[0]) <= most:
        shown = number[0] if number else scanner.word()
        scanner.fail(f"{name} {shown!r}, allowed {allowed}")
    scanner.position = number.end()
    return Decimal(number[0])
