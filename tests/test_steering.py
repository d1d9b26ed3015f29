from __future__ import annotations

import numpy as np
import pytest

from singcli.model.contract import TOKEN_PITCH, TOKEN_VOICE
from singcli.model.steering import (
    CHROMA_PULL,
    FOREIGN_ERROR,
    LEAP_ERROR,
    RHYTHM_PULL,
    TUNE_PULL,
    attraction,
    choose_candidate,
    note_errors,
    row_errors,
    steering_weight,
    wanted_row,
)
from singcli.music.score import MIN_PITCH, N_PITCHES
from singcli.structure.ssm import RHYTHM_COLUMNS, TUNE_COLUMNS, ssm_from_features


def random_features(n_beats: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).random((n_beats, 40)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_row_errors_are_mean_squares_and_zero_without_a_past():
    rows = np.eye(3, dtype=np.float32)[:2]
    np.testing.assert_allclose(row_errors(rows, np.array([1.0, 0, 0])), [0, 2 / 3], atol=1e-6)
    assert row_errors(rows[:, :0], np.zeros(0)).tolist() == [0, 0]


def test_a_matrix_that_is_not_averaged_wants_its_own_row():
    ssm = random_features(12, 0)[:, :12]
    row = wanted_row(ssm, np.zeros((12, 12), np.float32), 7, window_beats=1)
    np.testing.assert_allclose(row, ssm[7, :7], rtol=1e-6)


@pytest.mark.parametrize("beat", [1, 2, 5, 9, 20, 30, 31])
def test_the_wanted_row_is_the_best_one_for_all_averages_it_is_part_of(beat):
    """Against the definition: sums over the windows, pair by pair."""
    n, window = 32, 8
    played = random_features(n, 2)
    raw = played @ played.T
    ssm = ssm_from_features(random_features(n, 3), window_beats=window)
    wanted = np.zeros(beat)
    for column in range(beat):
        terms = []
        for behind in range(window):
            centre, other = beat + 4 - behind, column + 4 - behind
            if not 0 < centre < n:
                continue
            value = ssm[centre, other] if 0 <= other < n else ssm[beat, column]
            term = float(value)
            for k in range(1, behind + 1):
                if column - k >= 0:
                    term += float(value) - raw[beat - k, column - k]
            terms.append(term)
        wanted[column] = np.mean(terms)
    found = wanted_row(ssm, raw, beat, window_beats=window)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_music_that_keeps_to_the_matrix_has_nothing_to_make_good():
    features = np.tile(random_features(1, 4), (24, 1))
    ssm = ssm_from_features(features, window_beats=8)
    row = wanted_row(ssm, features @ features.T, 16, window_beats=8)
    np.testing.assert_allclose(row, 1.0, atol=1e-5)


def beat_rows(n: int) -> np.ndarray:
    return np.zeros((n, RHYTHM_COLUMNS.stop), np.float32)


def test_notes_are_attracted_to_what_the_wanted_beats_have():
    features = beat_rows(12)
    features[:6, 12] = features[6:, 19] = 1.0  # the accompaniment: C, then G
    row = np.r_[np.zeros(6), np.ones(6)]
    bias = attraction(row, features, 1.0)
    accompaniment = TOKEN_VOICE == 1
    g, c = (bias[:, accompaniment & (tone == TOKEN_PITCH % 12)] for tone in (7, 0))
    np.testing.assert_allclose(g, CHROMA_PULL, rtol=1e-5)
    assert (c < 0).all()
    assert not bias[:, ~accompaniment].any()
    np.testing.assert_allclose(attraction(row, features, 0.5), bias / 2, rtol=1e-5)


def test_steps_and_notes_of_the_tune_attract_in_their_place():
    features = beat_rows(12)
    features[6:, RHYTHM_COLUMNS.start + 2] = 1.0
    features[6:, TUNE_COLUMNS.start + 2 * N_PITCHES + 39] = 1.0  # middle C at the third step
    bias = attraction(np.r_[np.zeros(6), np.ones(6)], features, 1.0)
    middle_c = (TOKEN_VOICE == 0) & (TOKEN_PITCH == MIN_PITCH + 39)
    assert bias[2, middle_c] == pytest.approx(RHYTHM_PULL + TUNE_PULL)
    assert bias[2].min() == pytest.approx(RHYTHM_PULL)
    assert not bias[[0, 1, 3]].any()


def test_nothing_attracts_without_a_past_or_without_contrast():
    features = beat_rows(12)
    features[:, :40] = random_features(12, 0)
    assert not attraction(np.ones(3), features, 1.0).any()
    assert not attraction(np.ones(12), features, 0.0).any()
    assert np.isfinite(attraction(np.full(12, 0.4), features, 1.0)).all()


def test_foreign_notes_and_leaps_speak_against_a_candidate():
    onsets = np.zeros((4, 4, 2, N_PITCHES), np.bool_)
    onsets[0, 0, 0, 60 - MIN_PITCH] = True
    onsets[1, 0, 0, 61 - MIN_PITCH] = True  # C sharp is not in C major
    onsets[2, 0, 0, 84 - MIN_PITCH] = True  # two octaves up
    last_lead = np.array([60, 60, 60, N_PITCHES + MIN_PITCH]) - MIN_PITCH
    errors = note_errors(onsets, last_lead, "major")
    np.testing.assert_allclose(errors, [0, FOREIGN_ERROR, LEAP_ERROR, 0])
    g_sharp = np.zeros((1, 4, 2, N_PITCHES), np.bool_)
    g_sharp[0, 0, 1, 68 - MIN_PITCH] = True  # the leading note of A minor
    assert note_errors(g_sharp, last_lead[:1], "minor") == 0
    assert note_errors(g_sharp, last_lead[:1], "major") == FOREIGN_ERROR


def test_steering_prefers_small_errors_as_far_as_its_strength_goes():
    errors = np.array([0.2, 0.1, 0.3])
    uniforms = np.linspace(0, 1, 300, endpoint=False)
    assert {choose_candidate(errors, steering_weight(1.0), u) for u in uniforms} == {1}
    assert {choose_candidate(errors, 1e6, u) for u in uniforms} == {1}
    even = np.bincount([choose_candidate(errors, steering_weight(0.0), u) for u in uniforms])
    assert even.tolist() == [100, 100, 100]
    strengths = [steering_weight(s) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert strengths == sorted(strengths)
