from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from singcli.music.roll import onset_roll, sounding_roll
from singcli.music.score import Score, regular_bars
from singcli.structure.ssm import (
    Repeat,
    beat_features,
    chroma_ssm,
    ssm_from_features,
    ssm_from_repeats,
    ssm_from_score,
)
from singcli.structure.texture import DEFAULT_TEXTURE, Texture, fit_texture


def random_score(seed, n_bars=6):
    rng = np.random.default_rng(seed)
    n = n_bars * 14
    return Score.from_notes(
        rng.integers(0, n_bars * 16, n),
        rng.integers(0, 2, n),
        rng.integers(45, 80, n),
        rng.integers(1, 9, n),
        rng.integers(1, 128, n),
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100,
    )


def averaged_by_loops(similarity, window):
    n = len(similarity)
    averaged = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            shifts = range(-(window // 2), window - window // 2)
            pairs = [(i + s, j + s) for s in shifts if 0 <= i + s < n and 0 <= j + s < n]
            averaged[i, j] = np.mean([similarity[a, b] for a, b in pairs])
    return averaged


@pytest.mark.parametrize("window", [2, 3, 8, 40])
def test_the_window_averages_along_the_diagonals(window):
    features = np.abs(np.random.default_rng(1).normal(size=(13, 5))).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    wanted = averaged_by_loops(features @ features.T, window)
    np.testing.assert_allclose(ssm_from_features(features, window_beats=window), wanted, atol=1e-5)


@pytest.mark.parametrize("window", [2, 8, 9, 80])
@pytest.mark.parametrize("block_rows", [1, 3, 50])
def test_blocks_of_rows_change_nothing(window, block_rows, monkeypatch):
    features = np.abs(np.random.default_rng(2).normal(size=(50, 7))).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features[[4, 20]] = 0
    whole = ssm_from_features(features, window_beats=window)
    monkeypatch.setattr("singcli.structure.ssm.BLOCK_ENTRIES", block_rows * len(features))
    np.testing.assert_array_equal(ssm_from_features(features, window_beats=window), whole)


def test_a_long_piece_needs_hardly_more_memory_than_its_matrix():
    n_beats = 2000
    features = np.eye(8, dtype=np.float32)[np.arange(n_beats) % 8]
    for make in (
        lambda: ssm_from_features(features, window_beats=8),
        lambda: ssm_from_repeats(n_beats, [Repeat(900, 0, 900, 0.8)], texture=DEFAULT_TEXTURE),
    ):
        tracemalloc.start()
        size = make().nbytes
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size == 4 * n_beats**2
        assert peak < 1.3 * size


@pytest.mark.parametrize("seed", range(5))
def test_an_ssm_is_symmetric_in_range_and_blind_to_transposition(seed):
    score = random_score(seed)
    ssm = ssm_from_score(score)
    assert ssm.dtype == np.float32
    assert ssm.min() >= 0
    assert ssm.max() <= 1
    np.testing.assert_allclose(ssm, ssm.T, atol=1e-6)
    np.testing.assert_allclose(ssm_from_score(score.transposed(3)), ssm, atol=1e-5)


def test_the_chroma_ssm_does_not_hear_octaves():
    score = random_score(0)
    np.testing.assert_allclose(chroma_ssm(score.transposed(12)), chroma_ssm(score), atol=1e-6)


def test_silent_beats_match_nothing():
    score = Score.from_notes(
        [0, 32], [0, 0], [60, 60], [4, 4], [80, 80], bar_beats=regular_bars(4, 4), tempo_bpm=100
    )
    for ssm in (ssm_from_score(score), chroma_ssm(score)):
        assert ssm[1:8].max() == 0
        assert ssm[0, 0] > 0
    assert chroma_ssm(score)[0, 8] == 1


def test_features_have_length_one_or_nothing(aaba_score):
    features = beat_features(onset_roll(aaba_score), sounding_roll(aaba_score))
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)


def test_repeats_are_stripes_over_the_texture():
    ssm = ssm_from_repeats(40, [Repeat(16, 0, 16, 0.8)], texture=DEFAULT_TEXTURE)
    beat = np.arange(16)
    np.testing.assert_allclose(ssm[16 + beat, beat], 0.8)
    np.testing.assert_allclose(ssm[beat, 16 + beat], 0.8)
    np.testing.assert_allclose(np.diagonal(ssm), 1)
    profile = DEFAULT_TEXTURE.lag_profile(40, 4)
    np.testing.assert_allclose(ssm[39, 38], profile[1])
    np.testing.assert_allclose(ssm[30, 13], profile[17])


@pytest.mark.parametrize("n_beats", [0, 1, 2])
def test_the_shortest_pieces_have_a_texture(n_beats):
    wanted = np.full((n_beats, n_beats), DEFAULT_TEXTURE.lag_profile(2, 4)[1])
    np.fill_diagonal(wanted, 1)
    ssm = ssm_from_repeats(n_beats, [], texture=DEFAULT_TEXTURE)
    assert ssm.dtype == np.float32
    np.testing.assert_array_equal(ssm, wanted)


def test_a_texture_is_found_again_in_matrices_drawn_from_it():
    texture = Texture(0.3, 0.4, 2.0, 0.03, 0.05, 0.06, 0.02)
    ssm = ssm_from_repeats(96, [], texture=texture)
    fitted = fit_texture([ssm, ssm], 4, 65)
    wanted = texture.lag_profile(64, 4)
    np.testing.assert_allclose(fitted.lag_profile(64, 4)[1:], wanted[1:], atol=1e-4)


def test_a_scaled_texture_keeps_its_floor():
    flat = DEFAULT_TEXTURE.scaled(0.0).lag_profile(9, 4)
    np.testing.assert_allclose(flat, DEFAULT_TEXTURE.floor, atol=1e-6)
