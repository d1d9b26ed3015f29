from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.model import choice
from singcli.model.contract import N_DURATIONS, N_TOKENS, NO_DURATION, STOP
from singcli.model.steering import choose_candidate, row_errors


def test_strictness_moves_only_what_is_more_than_texture():
    shift = choice.copy_shift(0.5, [0.3, choice.FREE_BELOW, 0.7, choice.FULL_FROM, 1.0])
    assert shift[:2].tolist() == [0, 0]
    assert 0 < shift[2] < shift[3] == shift[4] == pytest.approx(choice.HALF_SHIFT)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.6, 1))
def test_the_shift_rises_with_strictness(one, other, grade):
    low, high = sorted((one, other))
    assert choice.copy_shift(low, grade) <= choice.copy_shift(high, grade)


def test_full_strictness_copies_for_certain():
    logits = np.random.default_rng(0).normal(size=(2, N_TOKENS)).astype(np.float32)
    copied = np.array([5, STOP])
    shift = choice.copy_shift(1.0, [0.9, 0.9])
    probs = choice.note_probs(logits, np.full(2, -9, "f4"), copied, shift=shift, temperature=1)
    np.testing.assert_array_equal(probs[np.arange(2), copied], 1)
    durations = choice.duration_probs(
        logits[:, :N_DURATIONS], np.array([3, NO_DURATION]), shift=shift, temperature=1
    )
    assert durations[0, 3] == 1
    assert durations[1].max() < 1


def test_the_mixture_is_a_distribution_between_its_parts():
    logits = np.zeros((1, N_TOKENS), np.float32)
    zero = np.zeros(1, np.float32)
    probs = choice.note_probs(logits, zero, np.array([7]), shift=zero, temperature=1.0)
    np.testing.assert_allclose(probs.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(probs[0, 7], 0.5 + 0.5 / N_TOKENS, rtol=1e-5)


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=12), st.floats(0.05, 1))
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(weights, top_p):
    probs = (np.array([weights]) / np.sum(weights)).astype(np.float32)
    kept = choice.nucleus(probs, top_p)
    mass = kept.sum()
    assert mass >= top_p - 1e-5
    smallest = kept[kept > 0].min()
    assert mass - (kept == smallest).sum() * smallest < top_p + 1e-5
    np.testing.assert_array_equal(kept[kept > 0], probs[kept > 0])


def test_draws_follow_the_weights_and_never_hit_what_is_forbidden():
    weights = np.tile(np.array([[0.0, 1.0, 0.0, 3.0, 0.0]], np.float32), (20_000, 1))
    drawn = choice.draw(weights, np.random.default_rng(0).random(len(weights)))
    assert set(drawn.tolist()) == {1, 3}
    assert np.mean(drawn == 3) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0)])
def test_the_edges_of_the_random_numbers_draw_allowed_tokens(uniform):
    weights = np.array([[0.0, 0.2, 0.3, 0.0]], np.float32)
    assert weights[0, choice.draw(weights, np.array([uniform]))[0]] > 0


def test_given_notes_cannot_be_skipped_and_free_ones_may_come_before():
    probs = np.full((1, N_TOKENS), 1 / N_TOKENS, np.float32)
    free = np.zeros((1, N_TOKENS), np.bool_)
    free[0, [2, 9, 20]] = True
    kept = choice.restrict(probs, np.array([4]), free, np.array([12]))
    assert np.flatnonzero(kept[0]).tolist() == [9, 12]


def test_a_given_note_that_the_network_excludes_is_played_all_the_same():
    probs = np.zeros((1, N_TOKENS), np.float32)
    kept = choice.restrict(probs, np.array([-1]), np.zeros_like(probs, np.bool_), np.array([12]))
    assert np.flatnonzero(kept[0]).tolist() == [12]


def test_row_errors_are_mean_squares_and_zero_without_a_past():
    past = np.eye(3, dtype=np.float32)
    candidates = past[:2]
    wanted = np.array([1, 0, 0], np.float32)
    np.testing.assert_allclose(row_errors(candidates, past, wanted), [0, 2 / 3], atol=1e-6)
    assert row_errors(candidates, past[:0], wanted[:0]).tolist() == [0, 0]


def test_steering_prefers_small_errors_as_far_as_its_strength_goes():
    errors = np.array([0.2, 0.1, 0.3])
    uniforms = np.linspace(0, 1, 300, endpoint=False)
    assert {choose_candidate(errors, 1e6, u) for u in uniforms} == {1}
    even = np.bincount([choose_candidate(errors, 0, u) for u in uniforms])
    assert even.tolist() == [100, 100, 100]
