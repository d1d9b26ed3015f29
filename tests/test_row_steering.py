"""Steering of rows: what proposals lean to, which candidates may be chosen, how far they are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from singcli.model.row_steering import (
    AHEAD_DECAY,
    COUNT_SLACK,
    ROWS_AHEAD,
    candidate_errors,
    eligible,
    pitch_taste,
    released,
    unit_chroma,
)
from singcli.music.score import MIN_PITCH, N_PITCHES
from singcli.structure.row_ssm import row_ssm


def columns(pitches: list[int]) -> np.ndarray:
    """Return a row, (88,), in which MIDI pitches sound."""
    row = np.zeros(N_PITCHES, np.bool_)
    row[np.array(pitches) - MIN_PITCH] = True
    return row


def test_chroma_is_that_of_the_matrix():
    rows = np.random.default_rng(0).random((20, N_PITCHES)) < 0.05
    rolls = np.zeros((20, 128), np.bool_)
    rolls[:, MIN_PITCH : MIN_PITCH + N_PITCHES] = rows
    chroma = unit_chroma(rows)
    np.testing.assert_allclose(chroma @ chroma.T, row_ssm(rolls), atol=1e-6)


def test_taste_is_for_what_sounded_where_the_row_is_to_be_alike():
    past = unit_chroma(np.stack([columns([60]), columns([66])] * 6))
    taste = pitch_taste(np.array([1.0, 0.0] * 6), past, 0.5)
    assert taste[60 - MIN_PITCH] == taste[72 - MIN_PITCH] > 0 > taste[66 - MIN_PITCH]
    assert not pitch_taste(np.array([1.0, 0.0] * 6), past, 0.0).any()
    assert not pitch_taste(np.array([1.0, 0.0]), past[:2], 0.5).any()


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_only_notes_that_speak_against_the_row_are_ended(seed, strength):
    rng = np.random.default_rng(seed)
    remaining, taste = rng.integers(0, 9, N_PITCHES), rng.normal(size=N_PITCHES)
    left = released(remaining, taste, strength, rng.random((30, 1 + N_PITCHES)))
    assert ((left == remaining) | (left == 0)).all()
    np.testing.assert_array_equal(left[:, taste >= 0], np.tile(remaining[taste >= 0], (30, 1)))
    changed = (left != remaining).any()
    assert not changed if strength == 0 else True
    some = released(np.full(N_PITCHES, 4), -np.abs(taste), 1.0, rng.random((30, 1 + N_PITCHES)))
    assert (some == 0).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.floats(0.0, 0.999))
def test_candidates_begin_about_as_many_notes_as_the_drawn_one(counts, uniform):
    numbers = np.array(counts)
    drawn = numbers[int(uniform * len(numbers))]
    kept = numbers[eligible(numbers, uniform)]
    assert drawn in kept
    assert (np.abs(kept - drawn) <= COUNT_SLACK).all()
    assert (kept > 0).all() if drawn > 0 else (kept == 0).all()
    assert len(kept) == sum(
        abs(n - drawn) <= COUNT_SLACK and bool(n) == bool(drawn) for n in counts
    )


def test_errors_look_ahead_until_there_is_to_be_silence():
    past_rows = np.stack([columns([60]), columns([64]), columns([60])])
    left = np.stack([2 * columns([60]), 1 * columns([60]), 3 * columns([64])]).astype(np.int64)
    past = unit_chroma(past_rows)

    def by_hand(ssm: np.ndarray, n_rows: int) -> np.ndarray:
        total = np.zeros(len(left))
        for ahead in range(n_rows):
            rows = unit_chroma(left > ahead) @ past.T
            total += AHEAD_DECAY**ahead * ((rows - ssm[3 + ahead, :3]) ** 2).mean(axis=1)
        return total / sum(AHEAD_DECAY**ahead for ahead in range(n_rows))

    ssm = np.eye(8, dtype=np.float32)
    ssm[3:6, [0, 2]] = 1.0
    errors = candidate_errors(ssm, 3, past, left)
    np.testing.assert_allclose(errors, by_hand(ssm, ROWS_AHEAD))
    assert errors.argmin() == 0  # it sounds on
    np.testing.assert_allclose(candidate_errors(ssm[:4, :4], 3, past, left), by_hand(ssm, 1))
    ssm[4, 4] = 0.0
    np.testing.assert_allclose(candidate_errors(ssm, 3, past, left), by_hand(ssm, 1))
