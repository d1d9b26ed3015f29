"""Fixtures that several test modules share."""

from __future__ import annotations

import os

import numpy as np
import pytest

from singcli.music.key import Key
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

os.environ["SINGCLI_PRESETS"] = os.devnull + "-no-such-folder"  # not the developer's own presets


@pytest.fixture
def aaba_score() -> Score:
    """Eight bars of 4/4: a two-bar phrase A, again, a different one, and A once more."""
    phrase_a = [(0, 72, 4), (4, 74, 4), (8, 76, 8), (16, 76, 4), (20, 74, 4), (24, 72, 8)]
    phrase_b = [(0, 81, 6), (6, 79, 2), (8, 77, 8), (16, 74, 12), (28, 71, 4)]
    notes = []
    for place, phrase in enumerate([phrase_a, phrase_a, phrase_b, phrase_a]):
        bass = 48 if phrase is phrase_a else 53
        start = place * 32
        notes += [(start + step, LEAD, pitch, length, 90) for step, pitch, length in phrase]
        notes += [(start + 8 * i, ACCOMPANIMENT, bass, 8, 60) for i in range(4)]
        notes += [(start + 8 * i, ACCOMPANIMENT, bass + 7, 8, 55) for i in range(4)]
    step, voice, pitch, duration, velocity = np.array(notes).T
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        velocity,
        bar_beats=regular_bars(8, 4),
        tempo_bpm=120,
        key=Key.parse("C major"),
    )
