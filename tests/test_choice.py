from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from note_mixture import note_probs

from singcli.model import choice
from singcli.model.choice import NOTE_KINDS, own_probs
from singcli.model.contract import (
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_TOKENS,
    N_VELOCITIES,
    NO_DURATION,
    NO_VELOCITY,
    STOP,
)
from singcli.model.decisions import PerDecision

NOTHING = np.zeros((2, N_NOTE_TOKENS), np.bool_)


def random_logits(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, N_TOKENS)).astype(np.float32)


def test_an_infinite_shift_copies_for_certain():
    logits, shift = random_logits(2), np.full(2, np.inf, np.float32)
    copied = np.array([5, STOP])
    probs = note_probs(logits, np.full(2, -9, "f4"), copied, NOTHING, shift=shift, temperature=1)
    np.testing.assert_array_equal(probs[np.arange(2), copied], 1)
    durations, velocities = choice.class_probs(
        (logits[:, :N_DURATIONS], logits[:, :N_VELOCITIES]),
        np.array([[3, NO_VELOCITY], [NO_DURATION, 5]]),
        shift=shift,
        temperatures=(1.0, 2.0),
    ).swapaxes(0, 1)
    assert durations[0, 3] == velocities[1, 5] == 1
    assert max(durations[1].max(), velocities[0].max()) < 1
    np.testing.assert_allclose(
        velocities[0, :N_VELOCITIES], choice.softmax(logits[:1, :N_VELOCITIES] / 2)[0], rtol=1e-5
    )
    assert not velocities[:, N_VELOCITIES:].any()


def test_the_mixture_is_a_distribution_between_its_parts():
    logits = np.zeros((1, N_TOKENS), np.float32)
    zero = np.zeros(1, np.float32)
    probs = note_probs(logits, zero, np.array([7]), NOTHING[:1], shift=zero, temperature=1.0)
    np.testing.assert_allclose(probs.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(probs[0, 7], 0.5 + 0.5 / N_TOKENS, rtol=1e-5)


def test_a_negative_shift_holds_back_all_notes_of_the_source_but_never_its_end():
    logits, copied = random_logits(2), np.array([5, STOP])
    source = NOTHING.copy()
    source[:, [5, 60]] = True
    shift = np.full(2, -8.0, np.float32)
    free, held = (
        note_probs(logits, np.zeros(2, "f4"), copied, source, shift=s, temperature=1)
        for s in (np.zeros(2, np.float32), shift)
    )
    np.testing.assert_allclose(held.sum(axis=1), 1, rtol=1e-5)
    assert (held[:, [5, 60]] < 0.01 * free[:, [5, 60]]).all()
    assert held[1, STOP] > 0.5


def test_attraction_is_added_to_the_logits():
    logits, zero = random_logits(2), np.zeros(2, np.float32)
    attraction = np.zeros((2, N_NOTE_TOKENS), np.float32)
    attraction[:, 9] = 2.0
    moved = logits.copy()
    moved[:, 9] += 2.0
    one = note_probs(
        logits, zero, np.array([5, 6]), NOTHING, shift=zero, temperature=1, attraction=attraction
    )
    other = note_probs(moved, zero, np.array([5, 6]), NOTHING, shift=zero, temperature=1)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


def test_only_rows_that_are_asleep_and_could_play_are_woken():
    probs = np.zeros((3, N_TOKENS), np.float32)
    probs[:, STOP], probs[:2, 4] = 0.9, 0.1
    woken = choice.woken(probs, np.array([True, False, True]))
    assert woken[0, STOP] == 0
    np.testing.assert_array_equal(woken[1:], probs[1:])


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


def test_taste_changes_the_pitch_and_not_whether_a_voice_strikes():
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(3, N_TOKENS)).astype(np.float32)
    taste = rng.normal(size=(3, N_NOTE_TOKENS)).astype(np.float32)
    nothing = np.zeros((1, N_NOTE_TOKENS), np.float32)
    temperature = PerDecision.of(1.0)
    plain = own_probs(logits, nothing, temperature)
    tasted = own_probs(logits, nothing, temperature, taste)
    for kind in NOTE_KINDS:
        np.testing.assert_allclose(
            tasted[:, kind].sum(axis=1), plain[:, kind].sum(axis=1), rtol=1e-5
        )
        wanted = plain[:, kind] * np.exp(taste[:, kind]) if kind.stop <= STOP else plain[:, kind]
        wanted = (
            wanted / wanted.sum(axis=1, keepdims=True) * plain[:, kind].sum(axis=1, keepdims=True)
        )
        np.testing.assert_allclose(tasted[:, kind], wanted, rtol=1e-4)
