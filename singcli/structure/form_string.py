"""Forms written in one line: "A8 A8 B8 A'8".

Grammar
-------
- `A8`: a section called A of eight bars. `verse16` works as well.
- `A8:0.3`: with variation 0.3, where 0 is an exact repeat of the first A and 1 is new music.
- `A'8`, `A''8`: the default variation (0.15), and 0.15 more for every prime.
- `AABA`, `AA'BA`: capitals without a number are one section each, of eight bars.
- Spaces, commas and bars (`|`) between sections are optional after a number: `i4A8B8A8o4` is the
  notation of POP909's human labels.
"""

from __future__ import annotations

import re
from typing import NoReturn

from singcli.errors import InputError
from singcli.music.key import Key
from singcli.structure.form import DEFAULT_METER, DEFAULT_TEMPO_BPM, Form, beats_from_meter
from singcli.structure.section import DEFAULT_VARIATION, MAX_SECTION_BARS, Section

DEFAULT_BARS = 8
PRIME_VARIATION = 0.15

_GAP = re.compile(r"[\s,|]*")
_SECTION = re.compile(
    r"(?P<label>[A-Za-z]+(?:[-_][A-Za-z]+)*)"
    r"(?P<primes>['’′]*)"  # noqa: RUF001 - what word processors make of a prime
    r"(?P<bars>\d*)"
    r"(?P<variation>:[^\s,|]*)?"
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SHOWN = 12  # characters of the form shown on each side of an error


def form_from_string(
    text: str,
    *,
    default_bars: int = DEFAULT_BARS,
    meter: str = DEFAULT_METER,
    tempo_bpm: float = DEFAULT_TEMPO_BPM,
    key: Key | None = None,
) -> Form:
    """Read a form written in one line; the grammar is in the module's header.

    Parameters
    ----------
    text : str
    default_bars : int > 0
        Length of sections in capitals without a number.
    meter : str
    tempo_bpm : float > 0
    key : Key, optional
        C major by default.

    Raises
    ------
    InputError
        Shows the character at which the text stops making sense.
    """
    sections: list[Section] = []
    position = _after_gap(text, 0)
    while position < len(text):
        match = _SECTION.match(text, position)
        if match is None:
            _fail(text, position, "a section starts with a letter, such as A8")
        sections.extend(_sections_from_match(text, match, default_bars))
        position = _after_gap(text, match.end())
    if not sections:
        raise InputError(f"form {text!r} is empty", 'write sections, such as "A8 A8 B8 A8"')
    return Form(
        tuple(sections),
        beats_per_bar=beats_from_meter(meter),
        tempo_bpm=tempo_bpm,
        key=key or Key(0, "major"),
        meter=meter,
    )


def _after_gap(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position


def _sections_from_match(text: str, match: re.Match[str], default_bars: int) -> list[Section]:
    label, bars = match["label"], match["bars"]
    run_of_capitals = label.isalpha() and label.isupper()
    if bars == "" and not run_of_capitals:
        _fail(text, match.end("primes"), f"{label!r} needs a number of bars, such as {label}8")
    if run_of_capitals and len(label) > 1 and (bars or match["variation"]):
        spelled = " ".join(f"{letter}{bars}" for letter in label)
        one_name = f"{label.lower()}{bars}"
        _fail(
            text,
            match.start("bars"),
            f"a number cannot follow several capitals; write {spelled!r} for {len(label)} "
            f"sections or {one_name!r} for one",
        )
    n_bars = int(bars) if bars else default_bars
    if not 1 <= n_bars <= MAX_SECTION_BARS:
        _fail(text, match.start("bars"), f"{n_bars} bars, allowed 1 to {MAX_SECTION_BARS}")
    variation = _variation_from_match(text, match)
    if not run_of_capitals:
        return [Section(label, n_bars, variation)]
    plain = [Section(letter, n_bars) for letter in label[:-1]]
    return [*plain, Section(label[-1], n_bars, variation)]  # primes belong to the last letter


def _variation_from_match(text: str, match: re.Match[str]) -> float:
    """Return the variation of the section, or of the last one in a run of capitals."""
    written, primes = match["variation"], match["primes"]
    if written is None:
        variation = round(DEFAULT_VARIATION + PRIME_VARIATION * len(primes), 6)
        if variation > 1:
            _fail(text, match.start("primes"), f"{len(primes)} primes are a variation above 1")
        return variation
    start = match.start("variation") + 1
    if primes:
        _fail(text, match.start("primes"), "write primes or a variation behind the colon, not both")
    if not _NUMBER.fullmatch(written[1:]) or float(written[1:]) > 1:
        _fail(text, start, f"variation {written[1:]!r}, allowed 0 to 1, such as A8:0.3")
    return float(written[1:])


def _fail(text: str, position: int, reason: str) -> NoReturn:
    before = text[max(0, position - _SHOWN) : position]
    after = text[position : position + _SHOWN]
    before = "..." + before if position > _SHOWN else before
    after = after + "..." if position + _SHOWN < len(text) else after
    shown = f"{before}>>>{after or 'end'}".replace("\n", " ")
    raise InputError(f"form, character {position + 1} ({shown}): {reason}")
