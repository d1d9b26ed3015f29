from __future__ import annotations

import numpy as np
import pytest

from singcli.music.roll import chroma, onset_roll, pitch_class_counts, sounding_roll
from singcli.music.score import MAX_PITCH, MIN_PITCH, N_PITCHES, Score, regular_bars


def random_score(seed: int) -> Score:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 60))
    return Score.from_notes(
        rng.integers(0, 32, n),
        rng.integers(0, 2, n),
        rng.integers(MIN_PITCH, MAX_PITCH + 1, n),
        rng.integers(1, 20, n),
        rng.integers(1, 128, n),
        bar_beats=regular_bars(2, 4),
        tempo_bpm=120,
    )


@pytest.mark.parametrize("seed", range(25))
def test_the_rolls_are_those_of_a_naive_loop(seed: int) -> None:
    score = random_score(seed)
    onsets = np.zeros((32, 2, N_PITCHES), bool)
    sounding = np.zeros((32, 2, N_PITCHES), bool)
    for i in range(score.n_notes):
        start, voice = int(score.step[i]), score.voice[i]
        pitch = int(score.pitch[i]) - MIN_PITCH
        onsets[start, voice, pitch] = True
        sounding[start : start + int(score.duration[i]), voice, pitch] = True
    np.testing.assert_array_equal(onset_roll(score), onsets)
    np.testing.assert_array_equal(sounding_roll(score), sounding)


@pytest.mark.parametrize("pitch", range(MIN_PITCH, MAX_PITCH + 1))
def test_chroma_puts_every_pitch_into_its_class(pitch: int) -> None:
    roll = np.zeros((1, N_PITCHES), bool)
    roll[0, pitch - MIN_PITCH] = True
    expected = np.zeros((1, 12))
    expected[0, pitch % 12] = 1
    np.testing.assert_array_equal(chroma(roll), expected)


def test_chroma_counts_and_keeps_leading_axes() -> None:
    assert chroma(np.ones((3, 2, N_PITCHES), bool)).shape == (3, 2, 12)
    assert chroma(np.ones((1, N_PITCHES), bool)).sum() == N_PITCHES


def test_silence_has_no_chroma() -> None:
    assert not chroma(np.zeros((4, N_PITCHES), bool)).any()


@pytest.mark.parametrize("seed", range(10))
def test_pitch_classes_counted_note_by_note_are_those_of_the_roll(seed: int) -> None:
    score = random_score(seed)
    np.testing.assert_array_equal(pitch_class_counts(score), chroma(sounding_roll(score)))
