"""The kinds of decision that the sampler makes, and numbers that each of them has of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from singcli.errors import InputError, hint_from_names, nearest_names

DECISIONS = ("lead", "accompaniment", "count", "duration", "velocity")


@dataclass(frozen=True, slots=True)
class PerDecision:
    """A number for every kind of decision.

    Parameters
    ----------
    lead, accompaniment : float
        For which pitch of the voice is struck.
    count : float
        For whether the next note is the lead's, the accompaniment's or none: how many there are.
    duration, velocity : float
        For how long and how loud a note is.
    """

    lead: float
    accompaniment: float
    count: float
    duration: float
    velocity: float

    @classmethod
    def of(cls, value: PerDecision | float | Mapping[str, float]) -> PerDecision:
        """Return a number for all kinds, or the kinds of a recipe, as numbers for every kind.

        Raises
        ------
        TypeError, ValueError
            If it is none of them.
        """
        if isinstance(value, PerDecision):
            return value
        if isinstance(value, Mapping):
            return cls(**{name: float(number) for name, number in value.items()})
        return cls(*[float(value)] * len(DECISIONS))

    @classmethod
    def parse(cls, text: str, *, option: str, default: PerDecision) -> Self:
        """Read "0.9" for all kinds, or "lead=0.9,duration=0.8"; kinds left out have the default.

        Raises
        ------
        InputError
            If the text is neither; names the option.
        """
        try:
            number = float(text)
        except ValueError:
            named = named_numbers(text, DECISIONS, option=option)
            return cls(**(dataclasses.asdict(default) | named))
        return cls(*[number] * len(DECISIONS))

    @property
    def values(self) -> tuple[float, float, float, float, float]:
        """Return the numbers in the order of `DECISIONS`."""
        return self.lead, self.accompaniment, self.count, self.duration, self.velocity

    def __str__(self) -> str:
        if len(set(self.values)) == 1:
            return f"{self.lead:g}"
        pairs = zip(DECISIONS, self.values, strict=True)
        return ",".join(f"{name}={value:g}" for name, value in pairs)


def named_numbers(text: str, names: Iterable[str], *, option: str) -> dict[str, float]:
    """Read "lead=0.9,duration=0.8".

    Raises
    ------
    InputError
        If a name is not one of `names`, is there twice, or has no number.
    """
    allowed = tuple(names)
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (word.strip() for word in part.partition("="))
        if equals and name not in allowed:
            near = hint_from_names(nearest_names(name, allowed), f"there are {', '.join(allowed)}")
            raise InputError(f"{option} {text!r}: no kind is called {name!r}", near)
        value = _number(number)
        if not equals or name in found or value is None:
            raise InputError(
                f"{option} {text!r}, allowed: a number, or NAME=NUMBER with commas between them",
                f"such as {allowed[0]}=1; names are {', '.join(allowed)}",
            )
        found[name] = value
    return found


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
