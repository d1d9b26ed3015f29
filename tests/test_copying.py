from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.model.copying import HALF_SHIFT, MOST_SHIFT, CopyControl, open_shift

unit = st.floats(0, 1, width=32)


@given(unit, unit)
def test_the_shift_rises_with_the_wanted_overlap(one, other):
    low, high = sorted((one, other))
    assert open_shift(low) <= open_shift(high)


def test_the_shift_is_log_odds_with_certainty_at_one_and_no_opinion_on_nothing():
    shift = open_shift([0.0, 0.5, 1.0, np.nan])
    assert shift.tolist() == [-MOST_SHIFT, pytest.approx(HALF_SHIFT), np.inf, 0.0]


def counts(played: list[int], source: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Notes in common, and of both, of one row."""
    common, either = set(played) & set(source), set(played) | set(source)
    return np.array([float(len(common))]), np.array([float(len(either))])


def test_missing_notes_pull_and_surplus_holds_back():
    wanted = np.full(1, 0.5, np.float32)
    control = CopyControl(1)
    assert control.shift(wanted) == open_shift(wanted)
    control.count(*counts([9, 10], [1, 2]), wanted)
    missing = control.shift(wanted)[0]
    assert missing > HALF_SHIFT
    control.count(*counts([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]), wanted)
    assert control.shift(wanted)[0] < missing


def test_a_row_without_a_source_forgets():
    wanted, nothing = np.full(1, 0.5, np.float32), np.full(1, np.nan, np.float32)
    control = CopyControl(1)
    control.count(*counts([9], [1]), wanted)
    control.count(*counts([9], [1]), nothing)
    assert control.shift(wanted) == open_shift(wanted)
    assert control.shift(nothing) == 0


def test_rows_spread_with_their_counts():
    wanted = np.full(2, 0.5, np.float32)
    control = CopyControl(2)
    control.count(np.array([0.0, 1.0]), np.array([2.0, 1.0]), wanted)
    before = control.shift(wanted)
    control.spread(np.array([1, 1]))
    assert control.shift(wanted).tolist() == [before[1], before[1]]


def test_control_reaches_the_wanted_overlap_whatever_the_network_likes():
    rng = np.random.default_rng(0)
    for liking in (-3.0, 0.0, 3.0):  # log odds of copying without any shift
        for overlap in (0.2, 0.5, 0.8):
            wanted = np.full(1, overlap, np.float32)
            control, common, either = CopyControl(1), 0, 0
            for _ in range(60):
                copied = rng.random(4) < 1 / (1 + np.exp(-liking - control.shift(wanted)[0]))
                played = [n if kept else 100 + n for n, kept in enumerate(copied)]
                control.count(*counts(played, [0, 1, 2, 3]), wanted)
                common, either = common + copied.sum(), either + 8 - copied.sum()
            assert common / either == pytest.approx(overlap, abs=0.06)
