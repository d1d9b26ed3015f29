from __future__ import annotations

import numpy as np
import pytest

from singcli.music.downbeats import downbeat_evidence, pickup_steps


def song(pickup: int, n_bars: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return onset, end and pitch: chords change on the bar line, a tune moves in quarters."""
    notes = [(step, step + 4, 72 + step % 3) for step in range(0, pickup, 4)]
    for bar in range(n_bars):
        start, root = pickup + 16 * bar, (48, 53, 55, 57)[bar % 4]
        notes += [(start, start + 16, root + third) for third in (0, 4, 7)]
        notes += [(start + 4 * i, start + 4 * i + 4, root + 24 + 2 * i) for i in range(4)]
    onset, end, pitch = np.array(notes).T
    return onset, end, pitch


@pytest.mark.parametrize("pickup", [0, 4, 8, 12])
def test_the_upbeat_is_found(pickup: int) -> None:
    assert pickup_steps(*song(pickup), bar_steps=16) == pickup


@pytest.mark.parametrize("shift", range(0, 16, 4))
def test_the_evidence_peaks_where_bars_begin(shift: int) -> None:
    onset, end, pitch = song(0)
    evidence = downbeat_evidence(onset + shift - 32, end + shift - 32, pitch, bar_steps=16)
    assert evidence.sum() == pytest.approx(1)
    assert int(evidence.argmax()) == shift


def test_rests_before_the_music_are_no_upbeat() -> None:
    onset, end, pitch = song(0)
    assert pickup_steps(onset + 8, end + 8, pitch, bar_steps=16) == 0


def test_one_note_has_no_upbeat() -> None:
    one = np.array([0]), np.array([4]), np.array([60])
    assert pickup_steps(*one, bar_steps=16) == 0
