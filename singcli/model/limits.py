"""What a voice can play: its range, and how many of its notes sound at once.

The defaults are those of the training music: the 0.05th and the 99.95th percentile of the pitches
of POP909's training songs in the reference key, and the number of notes that a voice has at once in
99.9 % of the steps (`docs/sampling.md`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from singcli.errors import InputError
from singcli.model.decisions import named_numbers
from singcli.music.key import TONIC_NAMES
from singcli.music.score import MAX_PITCH, MIN_PITCH, VOICE_NAMES

DEFAULT_LEAD_RANGE = (48, 93)  # C3 to A6
DEFAULT_ACCOMPANIMENT_RANGE = (31, 96)  # G1 to C7
DEFAULT_POLYPHONY = (2, 8)
MAX_POLYPHONY = 12

_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, slots=True)
class PitchRange:
    """Pitches from `low` to `high`, both MIDI numbers and both inside.

    Raises
    ------
    InputError
        If it is not a range of the piano.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        """Check the ends."""
        if not MIN_PITCH <= self.low <= self.high <= MAX_PITCH:
            raise InputError(
                f"range {self}, allowed: from low to high, {MIN_PITCH} (A0) to {MAX_PITCH} (C8)"
            )

    @classmethod
    def parse(cls, text: str, *, option: str) -> Self:
        """Read "C4-A5", "Bb3-F#5" or "60-81"; C4 is middle C, 60.

        Raises
        ------
        InputError
            If the text is not a range; names the option.
        """
        low, _, high = text.partition("-")
        lowest, highest = _pitch(low), _pitch(high)
        if lowest is None or highest is None or not MIN_PITCH <= lowest <= highest <= MAX_PITCH:
            raise InputError(
                f"{option} {text!r}, allowed: LOW-HIGH, A0 to C8 (MIDI {MIN_PITCH} to {MAX_PITCH})",
                "such as C4-A5 or 60-81; C4 is middle C",
            )
        return cls(lowest, highest)

    def __str__(self) -> str:
        return f"{_name(self.low)}-{_name(self.high)}"

    def narrowed(self, lowest_shift: int, highest_shift: int) -> PitchRange:
        """Return the pitches that stay inside however they are moved between the two shifts.

        Raises
        ------
        InputError
            If none does.
        """
        low, high = self.low - lowest_shift, self.high - highest_shift
        low, high = max(low, MIN_PITCH), min(high, MAX_PITCH)
        if low > high:
            raise InputError(
                f"range {self}: the song's key and the transpositions of its sections leave no "
                "pitch in it",
                "take a wider range or another key",
            )
        return PitchRange(low, high)


@dataclass(frozen=True, slots=True)
class Polyphony:
    """How many notes of a voice sound at once at most.

    Raises
    ------
    InputError
        If a number is not a whole one from 1 to `MAX_POLYPHONY`.
    """

    lead: int = DEFAULT_POLYPHONY[0]
    accompaniment: int = DEFAULT_POLYPHONY[1]

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, number in (("lead", self.lead), ("accompaniment", self.accompaniment)):
            if not 1 <= number <= MAX_POLYPHONY or number != int(number):
                raise InputError(
                    f"max_polyphony {name}={number:g}, allowed: whole numbers, 1 to {MAX_POLYPHONY}"
                )

    @classmethod
    def parse(cls, text: str, *, option: str) -> Self:
        """Read "lead=1,accompaniment=6"; a voice that is left out has the default.

        Raises
        ------
        InputError
            If it cannot be read; names the option.
        """
        numbers = named_numbers(text, VOICE_NAMES, option=option)
        for name, number in numbers.items():
            if number != int(number) or not 1 <= number <= MAX_POLYPHONY:
                raise InputError(
                    f"{option} {text!r}: {name}={number:g}, allowed: whole numbers, 1 to "
                    f"{MAX_POLYPHONY}"
                )
        return cls(**{name: int(number) for name, number in numbers.items()})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the voices of one song can play, in the reference key."""

    lead: PitchRange = PitchRange(*DEFAULT_LEAD_RANGE)
    accompaniment: PitchRange = PitchRange(*DEFAULT_ACCOMPANIMENT_RANGE)
    polyphony: Polyphony = Polyphony()


def _pitch(text: str) -> int | None:
    """Return the MIDI number of "C4", "Bb3" or "60"; None for anything else."""
    text = text.strip()
    if text.isdecimal():
        return int(text)
    match = re.fullmatch(r"([A-Ga-g])([#b♯♭]?)([0-9])", text)
    if match is None:
        return None
    letter, accidental, octave = match.groups()
    sharp = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}[accidental]
    return 12 * (int(octave) + 1) + _NATURAL[letter.upper()] + sharp


def _name(pitch: int) -> str:
    return f"{TONIC_NAMES[pitch % 12]}{pitch // 12 - 1}"
