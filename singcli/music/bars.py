"""Bars from a file's meters: time signatures -> bar lines in whole beats.

Conventions
-----------
A score's bars are whole beats, and a beat is a quarter note: 4/4 has four, 6/8 three, 2/2 four.
Where a meter's bar is not whole quarters (3/8, 9/8, 7/8), the whole file is counted in eighths, or
sixteenths, if that is what its music is mostly in: 3/8 has three beats then, at twice the tempo.
An odd bar among whole ones (one 3/8 in a song in 4/4, a bar cut short by a change of meter) is
filled up to the next whole beat with silence instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.music.notes import MeterChange

BEATS_PER_QUARTER = (1, 2, 4)
MAX_PADDING = 0.05  # share of silence that filling up bars may add
MAX_BAR_QUARTERS = 64
MAX_BARS = 20_000


@dataclass(frozen=True, slots=True)
class BarLines:
    """Bar lines in ticks and in beats.

    Parameters
    ----------
    tick : np.ndarray, shape=(n_bars + 1,), float64
        Strictly increasing, from 0 to the end of the last bar.
    beat : np.ndarray, shape=(n_bars + 1,), int64
    beats_per_quarter : int
        1, or 2 or 4 where bars are counted in eighths or sixteenths.
    ticks_per_quarter : int
    meter : str
        The meter that holds for the most bars, such as "6/8".
    """

    tick: npt.NDArray[np.float64]
    beat: npt.NDArray[np.int64]
    beats_per_quarter: int
    ticks_per_quarter: int
    meter: str

    def beats_from_ticks(self, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the beat of every tick; in a filled-up bar the silence comes at the end."""
        bar = self.tick.searchsorted(ticks, side="right") - 1
        bar = np.minimum(np.maximum(bar, 0), len(self.tick) - 2)
        within = (ticks - self.tick[bar]) * self.beats_per_quarter / self.ticks_per_quarter
        beats: npt.NDArray[np.float64] = self.beat[bar] + within
        return beats


def bars_from_meters(
    meters: Sequence[MeterChange], *, ticks_per_quarter: int, end_tick: int, source: str
) -> BarLines:
    """Lay bars from tick 0 until `end_tick` is inside one; a change of meter begins a new bar.

    Raises
    ------
    InputError
        If a bar is longer than 64 quarters, there are more than 20,000, or they cannot be brought
        to whole beats with at most 5 % of added silence.
    """
    lines, meter = _bar_lines(meters, ticks_per_quarter, end_tick, source)
    tick = np.array([float(line) for line in lines])
    length = np.diff(tick) / ticks_per_quarter
    for per_quarter in BEATS_PER_QUARTER:
        exact = length * per_quarter
        whole = np.maximum(np.ceil(exact - 1e-9), 1)
        if whole.sum() <= exact.sum() * (1 + MAX_PADDING):
            beat = np.r_[0, np.cumsum(whole)].astype(np.int64)
            return BarLines(tick, beat, per_quarter, ticks_per_quarter, meter)
    raise InputError(
        f"{source}: the bars of its meter, {meter}, are not whole beats",
        "allowed are meters whose bars are whole quarters, eighths or sixteenths",
    )


def _bar_lines(
    meters: Sequence[MeterChange], ticks_per_quarter: int, end_tick: int, source: str
) -> tuple[list[Fraction | int], str]:
    lines: list[Fraction | int] = []
    bars_of_meter: dict[str, int] = {}
    for i, meter in enumerate(meters):
        quarters = Fraction(4 * meter.numerator, meter.denominator)
        name = f"{meter.numerator}/{meter.denominator}"
        if quarters > MAX_BAR_QUARTERS:
            raise InputError(
                f"{source}: a bar of {name} lasts {quarters} quarters, allowed are up to"
                f" {MAX_BAR_QUARTERS}"
            )
        is_last = i + 1 == len(meters) or meters[i + 1].tick >= end_tick
        stop = end_tick if is_last else meters[i + 1].tick
        in_ticks = quarters * ticks_per_quarter
        length = in_ticks.numerator if in_ticks.denominator == 1 else in_ticks
        n_bars = max(-((meter.tick - stop) // length), 1 if is_last else 0)
        if len(lines) + n_bars > MAX_BARS:
            raise InputError(f"{source}: more than {MAX_BARS} bars")
        lines += [meter.tick + k * length for k in range(n_bars)]
        bars_of_meter[name] = bars_of_meter.get(name, 0) + n_bars
        if is_last:
            lines.append(meter.tick + n_bars * length)
            break
    return lines, max(bars_of_meter, key=lambda name: bars_of_meter[name])
