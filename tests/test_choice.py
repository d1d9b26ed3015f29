"""One decision of the sampler: what mixing, shifts, waking and given notes do to what is drawn."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_rows import (
    KINDS,
    N_ROWS,
    N_STEPS,
    ONE,
    WITHIN,
    Choice,
    Note,
    of_kinds,
    random_logits,
)

from singcli.model import choice
from singcli.model.choice import next_token_table
from singcli.model.contract import (
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_TOKENS,
    N_VELOCITIES,
    START,
    STOP,
)
from singcli.model.decisions import PerDecision
from singcli.model.kernel import WAKING

ENDS = np.full(N_TOKENS, -np.inf, np.float32)  # logits of a network that would only stop
ENDS[STOP] = 0.0


def draft(*tokens: int) -> np.ndarray:
    onsets = np.zeros(N_NOTE_TOKENS, np.bool_)
    onsets[list(tokens)] = True
    return onsets


def given_tokens(free: list[int], *tokens: int) -> SimpleNamespace:
    """The same in every step: tokens of voices that are not given, and notes that are."""
    is_free = np.tile(np.isin(np.arange(N_TOKENS), [*free, STOP]), (N_STEPS, 1))
    following = next_token_table(np.tile(draft(*tokens), (N_STEPS, 1)))
    classes = np.zeros((2, N_STEPS, N_NOTE_TOKENS), np.int8)
    return SimpleNamespace(
        free=is_free, following=following, durations=classes[0], velocities=classes[1]
    )


def test_an_infinite_shift_copies_for_certain():
    copies = Choice(random_logits(), gate=-9.0, shift=np.inf)
    assert copies.shares()[STOP] == 1
    assert dataclasses.replace(copies, draft=draft(5, 60)).shares()[5] == 1
    note = Note(*(random_logits()[:n] for n in (N_DURATIONS, N_VELOCITIES)), shift=np.inf)
    assert dataclasses.replace(note, draft_duration=3).shares()[0][3] == 1
    assert dataclasses.replace(note, draft_velocity=5).shares()[1][5] == 1
    halved = dataclasses.replace(note, draft_duration=3, temperature=PerDecision(1, 1, 1, 1, 2))
    wanted = choice.softmax(note.velocity_logits[None] / 2)[0]
    np.testing.assert_allclose(halved.shares()[1], wanted, atol=WITHIN)


def test_a_class_beyond_the_table_is_none():
    note = Note(draft_duration=N_DURATIONS + 9, draft_velocity=N_VELOCITIES + 9, shift=np.inf)
    for shares in note.shares():
        np.testing.assert_allclose(shares, 1 / len(shares), atol=WITHIN)


def test_the_mixture_is_a_distribution_between_its_parts():
    shares = Choice(gate=0.0, draft=draft(7)).shares()
    assert shares[7] == pytest.approx(0.5 + 0.5 / N_TOKENS, abs=WITHIN)
    np.testing.assert_allclose(np.delete(shares, 7), 0.5 / N_TOKENS, atol=WITHIN)


def test_a_negative_shift_holds_back_all_notes_of_the_source_but_never_its_end():
    logits = random_logits(scale=1.0)
    logits[[5, 60]] = 4.0
    free = Choice(logits, gate=0.0, draft=draft(5, 60))
    held = dataclasses.replace(free, shift=-8.0)
    assert (free.shares()[[5, 60]] > 0.05).all()
    assert (held.shares()[[5, 60]] < 0.01 * free.shares()[[5, 60]]).all()
    behind = dataclasses.replace(held, last=70)
    assert behind.shares()[STOP] > 0.5


def test_attraction_is_added_to_the_logits():
    attraction = np.zeros(N_NOTE_TOKENS, np.float32)
    attraction[9] = 2.0
    one = Choice(random_logits(), gate=0.0, draft=draft(5), attraction=attraction)
    other = Choice(random_logits() + np.append(attraction, 0), gate=0.0, draft=draft(5))
    np.testing.assert_allclose(one.shares(), other.shares(), atol=WITHIN)


def test_only_rows_that_are_asleep_and_could_play_are_woken():
    logits = np.where(np.arange(N_TOKENS) == STOP, 2.0, ENDS).astype(np.float32)
    logits[4] = 0.0
    asleep = Choice(logits, sound=WAKING)
    free = dataclasses.replace(asleep, sound=0).shares()
    assert asleep.shares()[4] == 1
    assert free[STOP] > 0.8
    for awake in (
        {"held": draft(30)},
        {"step": 1},
        {"last": 3, "n_struck": (1, 0)},
    ):
        np.testing.assert_array_equal(dataclasses.replace(asleep, **awake).shares(), free)
    assert dataclasses.replace(asleep, logits=ENDS).shares()[STOP] == 1


@given(
    st.lists(st.floats(0.02, 1), min_size=N_VELOCITIES, max_size=N_VELOCITIES), st.floats(0.05, 1)
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(weights, top_p):
    probs = np.array(weights) / np.sum(weights)
    note = Note(velocity_logits=np.log(probs).astype(np.float32), top_p=PerDecision.of(top_p))
    shares = note.shares()[1]
    kept = np.where(shares > 0, probs, 0)
    mass = kept.sum()
    assert mass >= top_p - 1e-5
    least = kept[kept > 0].min()
    assert mass - kept[np.isclose(kept, least, rtol=1e-5)].sum() < top_p + 1e-5
    np.testing.assert_allclose(shares, kept / mass, atol=WITHIN)


def test_draws_follow_the_weights_and_never_hit_what_is_forbidden():
    weights = np.tile(np.array([[0.0, 1.0, 0.0, 3.0, 0.0]], np.float32), (20_000, 1))
    drawn = choice.draw(weights, np.random.default_rng(0).random(len(weights)))
    assert set(drawn.tolist()) == {1, 3}
    assert np.mean(drawn == 3) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1.0, 0.0)])
def test_the_edges_of_the_random_numbers_draw_what_has_weight(uniform):
    weights = np.array([[0.0, 0.2, 0.3, 0.0]], np.float32)
    assert weights[0, choice.draw(weights, np.array([uniform]))[0]] > 0


def test_given_notes_cannot_be_skipped_and_free_ones_may_come_before():
    shares = Choice(last=4, given=given_tokens([2, 9, 20], 12)).shares()
    assert np.flatnonzero(shares).tolist() == [9, 12]


def test_a_given_note_that_the_network_excludes_is_played_all_the_same():
    logits = random_logits()
    logits[12] = -np.inf
    assert Choice(logits, given=given_tokens([], 12)).shares()[12] == 1


def test_given_notes_are_as_long_and_as_loud_as_they_were():
    tokens = given_tokens([20], 12)
    tokens.durations[0, 12], tokens.velocities[0, 12] = 17, 3
    durations, velocities = Note(token=12, given=tokens).shares()
    assert durations[17] == velocities[3] == 1
    free = Note(token=20, given=tokens).shares()
    assert (free[0] > 0).all()
    assert (free[1] > 0).all()


def test_taste_changes_the_pitch_and_not_whether_a_voice_strikes():
    taste = np.random.default_rng(5).normal(size=N_NOTE_TOKENS).astype(np.float32)
    logits = random_logits(scale=1.0)
    plain = choice.softmax(logits[None])[0]
    tasted = Choice(logits, pitch_pull=taste).shares()
    for kind in KINDS[:2]:
        wanted = plain[kind] * np.exp(taste[kind])
        wanted *= plain[kind].sum() / wanted.sum()
        np.testing.assert_allclose(tasted[kind], wanted, atol=WITHIN)
    np.testing.assert_allclose(of_kinds(tasted), of_kinds(plain), atol=WITHIN)


def test_rows_draw_with_their_own_random_numbers():
    order = np.random.default_rng(0).permutation(N_ROWS)
    uniforms = (np.arange(N_ROWS) + 0.5) / N_ROWS
    sorted_tokens = Choice(random_logits(), temperature=ONE, last=START).drawn(uniforms)
    assert (np.diff(sorted_tokens) >= 0).all()
    shuffled = Choice(random_logits()).drawn(uniforms[order])
    np.testing.assert_array_equal(shuffled, sorted_tokens[order])
