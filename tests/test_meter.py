from __future__ import annotations

import numpy as np
import pytest

from singcli.music.meter import meter_of_bar, meters_of_bars, quarters_of_meter


@pytest.mark.parametrize(
    ("meter", "n_beats", "written"),
    [
        ("4/4", 4, "4/4"),
        ("2/2", 4, "2/2"),
        ("4/4", 2, "2/4"),
        ("4/4", 5, "5/4"),
        ("2/2", 2, "1/2"),
        ("2/2", 1, "1/4"),  # there is no half of a half note in halves
        ("6/8", 2, "4/8"),
        ("12/8", 3, "6/8"),
        ("9/8", 4, "4/4"),  # its own bar is not whole quarters
        ("", 3, "3/4"),
        ("4/4", 64, "64/4"),
    ],
)
def test_a_bar_is_written_in_the_note_values_of_its_meter(
    meter: str, n_beats: int, written: str
) -> None:
    assert meter_of_bar(meter, n_beats) == written
    assert quarters_of_meter(written) == n_beats


def test_a_piece_is_in_its_meter_but_for_some_bars() -> None:
    bar_beats = np.array([0, 3, 6, 8, 11], np.int32)
    assert meters_of_bars(bar_beats, "6/8") == ["6/8", "6/8", "4/8", "6/8"]
    assert meters_of_bars(bar_beats) == ["3/4", "3/4", "2/4", "3/4"]
