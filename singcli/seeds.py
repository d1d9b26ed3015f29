"""Which seeds a call makes songs of: one, several in a row, a list, or the share of one machine."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from singcli.errors import InputError

MAX_SEED = 2**63 - 1
MAX_COUNT = 100_000
DRAWN_SEEDS = 10**6  # a drawn seed is short enough to be typed again

_RANGE = re.compile(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?")
_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of one of several machines in the songs of a call: every `of`-th one.

    Parameters
    ----------
    number : int, 1 to `of`
    of : int

    Raises
    ------
    InputError
        If the number is outside its range.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        """Check the range."""
        if not 1 <= self.number <= self.of:
            raise InputError(
                f"--shard {self.number}/{self.of}, allowed: from 1/{self.of} to {self.of}/{self.of}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "3/16".

        Raises
        ------
        InputError
            If it is nothing of the kind.
        """
        match = _SHARD.fullmatch(text.strip())
        if match is None or int(match[2]) == 0:
            raise InputError(
                f"--shard {text!r}, allowed: NUMBER/OF", "such as 3/16, the third of 16 machines"
            )
        return cls(int(match[1]), int(match[2]))

    def of_items(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this machine's items, spread evenly over all of them."""
        return items[self.number - 1 :: self.of]


def seeds_from_text(text: str) -> list[int]:
    """Return the seeds of a text such as "1-1000" or "1-10,42,77-80", in its order.

    Raises
    ------
    InputError
        If it cannot be read, a range runs backwards, a seed comes twice or there are too many.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise InputError(
                f"--seeds {text!r}: {part.strip()!r} is neither a seed nor a range",
                "such as 1-1000, or 1-10,42,77-80",
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise InputError(f"--seeds {text!r}: {part.strip()} runs backwards")
        if last > MAX_SEED:
            raise InputError(f"--seeds {text!r}: {last}, allowed: 0 to {MAX_SEED}")
        if len(seeds) + last - first >= MAX_COUNT:
            raise InputError(f"--seeds {text!r}: more than {MAX_COUNT} seeds")
        for seed in range(first, last + 1):
            if seed in seeds:
                raise InputError(f"--seeds {text!r}: {seed} comes twice")
            seeds[seed] = None
    return list(seeds)


def counted_seeds(seed: int | None, count: int) -> list[int]:
    """Return `count` seeds that count up from `seed`; without one, it is drawn.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"count = {count}, allowed: 1 to {MAX_COUNT}")
    first = secrets.randbelow(DRAWN_SEEDS) if seed is None else seed
    if not 0 <= first <= MAX_SEED - count:
        raise InputError(f"seed = {first}, allowed: 0 to {MAX_SEED - count}")
    return list(range(first, first + count))
