"""Which songs are held out for validation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from singcli.errors import InputError


@dataclass(frozen=True, slots=True)
class Validation:
    """How the songs to hold out are chosen.

    Parameters
    ----------
    fraction : float in [0, 1)
        Share of the songs, drawn by id and seed: a song's place in the draw does not depend on
        which other songs there are.
    ids : str, optional
        A regular expression searched for in the ids, instead of drawing.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    fraction: float = 0.1
    ids: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise InputError(f"validation fraction = {self.fraction}, allowed: 0 to below 1")
        compiled(self.ids or "", "validation ids")

    def chosen(self, ids: Sequence[str], seed: int) -> set[str]:
        """Return the ids of the songs to hold out, at least one of two or more unless fraction = 0.

        Parameters
        ----------
        ids : sequence of str
        seed : int
        """
        if self.ids is not None:
            return {song_id for song_id in ids if re.search(self.ids, song_id)}
        count = round(self.fraction * len(ids))
        if self.fraction > 0 and len(ids) > 1:
            count = max(count, 1)
        draw = sorted(ids, key=lambda i: hashlib.sha256(f"{seed}:{i}".encode()).digest())
        return set(draw[:count])


def compiled(pattern: str, name: str) -> re.Pattern[str]:
    """Return a regular expression; raise InputError, calling it `name`, if it is none."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{name} = {pattern!r}, allowed: a regular expression ({error})"
        ) from error
