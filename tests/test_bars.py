from __future__ import annotations

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.music.bars import BarLines, bars_from_meters
from singcli.music.notes import MeterChange

Q = 480


def bars(meters: list[tuple[float, int, int]], end: float) -> BarLines:
    changes = [MeterChange(round(at * Q), n, d) for at, n, d in meters]
    return bars_from_meters(changes, ticks_per_quarter=Q, end_tick=round(end * Q), source="x")


@pytest.mark.parametrize(
    ("numerator", "denominator", "beats"),
    [(4, 4, 4), (3, 4, 3), (2, 4, 2), (6, 8, 3), (12, 8, 6), (2, 2, 4), (1, 4, 1), (4, 8, 2)],
)
def test_whole_bars_are_counted_in_quarters(numerator: int, denominator: int, beats: int) -> None:
    lines = bars([(0, numerator, denominator)], end=12)
    assert np.diff(lines.beat).tolist() == [beats] * (12 // beats)
    assert lines.beats_per_quarter == 1
    assert lines.meter == f"{numerator}/{denominator}"


@pytest.mark.parametrize(
    ("numerator", "denominator", "beats", "per_quarter"),
    [(3, 8, 3, 2), (9, 8, 9, 2), (7, 8, 7, 2), (5, 8, 5, 2), (9, 16, 9, 4)],
)
def test_other_meters_are_counted_in_smaller_beats(
    numerator: int, denominator: int, beats: int, per_quarter: int
) -> None:
    quarters = 4 * numerator / denominator
    lines = bars([(0, numerator, denominator)], end=quarters * 5)
    assert np.diff(lines.beat).tolist() == [beats] * 5
    assert lines.beats_per_quarter == per_quarter
    beat = lines.beats_from_ticks(np.array([round(quarters * Q), round(quarters * Q) + Q // 2]))
    assert beat.tolist() == [beats, beats + per_quarter / 2]


def test_an_odd_bar_among_whole_ones_is_filled_up() -> None:
    lines = bars([(0, 4, 4), (40, 3, 8), (41.5, 4, 4)], end=81.5)
    assert np.diff(lines.beat).tolist() == [4] * 10 + [2] + [4] * 10
    ticks = np.array([40 * Q, 41 * Q, round(41.5 * Q), round(45.5 * Q)])
    assert lines.beats_from_ticks(ticks).tolist() == [40, 41, 42, 46]


def test_a_change_of_meter_begins_a_new_bar() -> None:
    lines = bars([(0, 4, 4), (6, 3, 4)], end=12)
    assert np.diff(lines.beat).tolist() == [4, 2, 3, 3]
    assert lines.meter in ("4/4", "3/4")


def test_a_change_after_the_end_does_not_matter() -> None:
    assert np.diff(bars([(0, 4, 4), (100, 3, 4)], end=6).beat).tolist() == [4, 4]


def test_a_first_bar_may_begin_before_the_file() -> None:
    lines = bars([(-3, 4, 4)], end=9)
    assert lines.tick[0] == -3 * Q
    assert lines.beats_from_ticks(np.array([0, Q])).tolist() == [3, 4]


def test_there_is_always_one_bar() -> None:
    assert len(bars([(0, 4, 4)], end=0).beat) == 2


@pytest.mark.parametrize(
    ("meters", "end", "message"),
    [
        ([(0, 255, 1)], 10, "lasts 1020 quarters"),
        ([(0, 1, 64)], 10, "not whole beats"),
        ([(0, 1, 4)], 30_000, "more than 20000 bars"),
    ],
)
def test_absurd_meters_are_refused(
    meters: list[tuple[float, int, int]], end: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        bars(meters, end)
