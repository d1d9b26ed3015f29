"""Meters as text, "4/4" and the like, and the length of their bars in quarter notes.

Conventions
-----------
- A beat is a quarter note: a bar of 6/8 has three. Bars that singcli makes are whole beats.
- A bar that is shorter or longer than its meter says is written in the meter's own note values
  where that is possible: half a bar of 4/4 is 2/4, a third of 6/8 is 2/8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError

METERS = ("4/4", "3/4", "6/8", "2/4")  # the common ones; any bar of 1 to 12 whole quarters is fine
LONGEST_BAR_BEATS = 12

_METER = re.compile(r"([1-9][0-9]?)/(1|2|4|8|16)")


def beats_from_meter(meter: str) -> int:
    """Return the quarter notes in a bar of "4/4", "3/4", "6/8" and the like.

    Raises
    ------
    InputError
        If the text is not a meter, or its bar not 1 to 12 whole quarter notes.
    """
    quarters = quarters_of_meter(meter)
    if quarters not in range(1, LONGEST_BAR_BEATS + 1):
        raise InputError(
            f"meter = {meter!r}, allowed: bars of 1 to {LONGEST_BAR_BEATS} whole quarter notes, "
            f"such as {', '.join(METERS)}"
        )
    return int(quarters)


def quarters_of_meter(meter: str) -> float:
    """Return the quarter notes in a bar, 4.5 for "9/8"; 0 if the text is not a meter."""
    match = _METER.fullmatch(meter)
    return 4 * int(match[1]) / int(match[2]) if match else 0.0


def is_compound(meter: str) -> bool:
    """Return whether the beats of a meter are divided by three, as in 6/8, 9/8 and 12/8."""
    match = _METER.fullmatch(meter)
    return match is not None and int(match[2]) >= 8 and int(match[1]) in (6, 9, 12)


def meter_of_bar(meter: str, n_beats: int) -> str:
    """Return how a bar of `n_beats` quarter notes is written among bars of `meter`.

    Parameters
    ----------
    meter : str
        Such as "6/8"; quarters are written where it is not a meter of whole quarters.
    n_beats : int > 0
    """
    quarters = quarters_of_meter(meter)
    if quarters == n_beats:
        return meter
    match = _METER.fullmatch(meter)
    if match and quarters == int(quarters):
        numerator, remainder = divmod(n_beats * int(match[2]), 4)
        if remainder == 0 and numerator > 0:
            return f"{numerator}/{match[2]}"
    return f"{n_beats}/4"


def meters_of_bars(bar_beats: npt.NDArray[np.int32], meter: str = "") -> list[str]:
    """Return the meter of every bar of a piece that is in `meter` for the most part.

    Parameters
    ----------
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        Beat at which each bar starts; the last entry is the number of beats.
    meter : str
        Quarters throughout if empty.
    """
    lengths: Sequence[int] = np.diff(bar_beats).tolist()
    return [meter_of_bar(meter, n_beats) for n_beats in lengths]
