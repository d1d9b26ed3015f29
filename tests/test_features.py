from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.model import contract
from singcli.model.choice import next_token_table
from singcli.model.contract import (
    DURATIONS,
    N_NOTE_TOKENS,
    N_PLACE,
    NO_DURATION,
    NO_LEAD,
    STOP,
    TOKEN_PITCH,
    TOKEN_VOICE,
    duration_classes,
    tokens_from_notes,
)
from singcli.model.features import (
    ENDINGS_AT_FIRST,
    ENDINGS_PACE,
    SectionPlace,
    TokenScore,
    articulation,
    last_lead,
    place_features,
    roll_from_tokens,
    soft_context,
    source_steps,
    steps_bars_ago,
)
from singcli.music.roll import onset_roll, sounding_roll
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars


def test_tokens_and_notes_go_back_and_forth():
    token = tokens_from_notes(TOKEN_VOICE, TOKEN_PITCH)
    assert token.tolist() == list(range(N_NOTE_TOKENS))


def test_tokens_rise_in_the_canonical_order_of_a_step(aaba_score):
    token = tokens_from_notes(aaba_score.voice, aaba_score.pitch)
    same_step = np.diff(aaba_score.step) == 0
    assert (np.diff(token)[same_step] > 0).all()


@given(st.integers(1, 200))
def test_a_duration_has_the_nearest_class(duration):
    found = DURATIONS[int(duration_classes(duration))]
    assert abs(found - duration) == np.abs(DURATIONS - duration).min()


def test_the_blank_inputs_have_the_documented_widths():
    sizes = contract.NetworkSizes()
    step, note = contract.step_inputs(3, sizes), contract.note_inputs(3, sizes)
    assert {len(value) for value in (step | note).values()} == {3}
    assert step["place"].shape == (3, N_PLACE)
    assert note["features"].shape == (3, sizes.features)


def test_token_rolls_are_the_scores_rolls_in_token_order(aaba_score):
    tokens = TokenScore.from_score(aaba_score)
    np.testing.assert_array_equal(roll_from_tokens(tokens.onsets), onset_roll(aaba_score))
    np.testing.assert_array_equal(roll_from_tokens(tokens.sounding), sounding_roll(aaba_score))
    assert (tokens.duration_map != NO_DURATION).sum() == aaba_score.n_notes


def test_a_note_sounds_for_its_class_or_until_it_is_struck_again():
    score = Score.from_notes(
        [0, 4, 8],
        [LEAD, LEAD, ACCOMPANIMENT],
        [60, 60, 50],
        [16, 2, 25],
        [80] * 3,
        bar_beats=regular_bars(9, 4),
        tempo_bpm=100,
    )
    sounding = TokenScore.from_score(score).sounding
    assert sounding[:, tokens_from_notes(LEAD, 60)].nonzero()[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert sounding[:, tokens_from_notes(ACCOMPANIMENT, 50)].sum() == 24  # 25 is drawn to 24


def test_place_features_are_one_hot_vectors_side_by_side():
    sections = [SectionPlace(-1, 2, tune=True), SectionPlace(1, 9, tune=False)]
    bars = np.array([0, 4, 7], np.int32)
    place = place_features(bars, kind="form", mode="minor", sections=sections, style=1)
    assert place.shape == (28, N_PLACE)
    assert (place.sum(axis=1) == len(contract.PLACE_SIZES)).all()
    edges = np.cumsum((0, *contract.PLACE_SIZES))
    step, beat, length, bar, kind, mode, tune, since, left, compound, style, end = (
        place[:, a:b].argmax(axis=1) for a, b in itertools.pairwise(edges)
    )
    assert step[:5].tolist() == [0, 1, 2, 3, 0]
    assert beat[[0, 15, 16, 27]].tolist() == [0, 3, 0, 2]
    assert length[[0, 27]].tolist() == [3, 2]
    assert bar[[0, 16]].tolist() == [0, 1]
    assert set(kind.tolist()) == {contract.SSM_KINDS.index("form")}
    assert set(mode.tolist()) == {1}
    assert tune[[0, 16]].tolist() == [1, 0]
    assert since[[0, 16]].tolist() == [1, 0]
    assert left[[0, 16]].tolist() == [0, contract.SECTION_BARS - 1]
    assert (set(compound.tolist()), set(style.tolist())) == ({0}, {1})
    assert end[[0, 16]].tolist() == [1, 0]


def test_without_sections_their_features_are_blank():
    place = place_features(np.array([0, 4], np.int32), kind="music", mode="major")
    assert (place.sum(axis=1) == len(contract.PLACE_SIZES) - 4).all()


def test_a_bar_ago_needs_the_same_place_in_the_bar_before():
    ago = steps_bars_ago(np.array([0, 2, 5], np.int32))[0]
    assert ago[:8].tolist() == [-1] * 8
    assert ago[8:16].tolist() == list(range(8))
    assert ago[16:].tolist() == [-1] * 4


def test_bars_ago_are_those_of_the_contract():
    ago = steps_bars_ago(np.arange(0, 41, 4, dtype=np.int32))
    first = [int(np.flatnonzero(steps >= 0)[0]) for steps in ago]
    assert first == [16 * bars for bars in contract.BARS_AGO]
    assert [int(steps[-1]) for steps in ago] == [159 - 16 * bars for bars in contract.BARS_AGO]


def test_articulation_tells_held_notes_and_how_notes_have_ended():
    onsets, carried = np.zeros((2, 9, 176), np.bool_)
    onsets[[0, 2, 5, 8], 40] = True  # the first ends right at the next, the second a step before
    carried[[1, 3, 6, 7], 40] = True
    seen = articulation(onsets, carried)
    assert seen[:, 0].tolist() == [0, 1, 0, 1, 0, 0, 1, 1, 0]
    assert seen[:, 1].tolist() == [0, 0, 1, 0, 1, 0, 0, 0, 1]
    assert seen[:, 2].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]
    at_first = ENDINGS_AT_FIRST
    assert (seen[:3, 3:] == at_first).all()
    after_one = at_first + np.float32(ENDINGS_PACE) * (np.array([1, 0], np.float32) - at_first)
    np.testing.assert_allclose(seen[3:6, 3:], np.tile(after_one, (3, 1)), rtol=1e-6)
    assert (seen[6:, 3] < after_one[0]).all()
    assert (seen[6:, 4] > after_one[1]).all()


def test_sources_spread_over_the_steps_of_their_beat():
    steps = source_steps(np.array([-1, 0, 0], np.int32))
    assert steps.tolist() == [-1, -1, -1, -1, 0, 1, 2, 3, 0, 1, 2, 3]


def test_soft_context_averages_what_earlier_beats_sounded(aaba_score):
    tokens = TokenScore.from_score(aaba_score)
    weights = np.zeros((aaba_score.n_beats,) * 2, np.float32)
    weights[8, 0] = 1.0
    context = soft_context(weights, tokens.onsets, tokens.sounding)
    rolls = np.concatenate([tokens.onsets, tokens.sounding], axis=1)
    np.testing.assert_array_equal(context[32:36], rolls[0:4])
    assert context[:32].max() == 0


def test_the_last_lead_is_the_highest_of_the_latest_onset_before():
    score = Score.from_notes(
        [2, 2, 5],
        [LEAD, LEAD, ACCOMPANIMENT],
        [60, 67, 40],
        [1, 1, 1],
        [80] * 3,
        bar_beats=regular_bars(2, 4),
        tempo_bpm=100,
    )
    pitch, age = last_lead(TokenScore.from_score(score).onsets)
    assert pitch[:3].tolist() == [NO_LEAD] * 3
    assert set(pitch[3:].tolist()) == {67 - 21}
    assert (np.diff(age[3:]) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_next_token_table_agrees_with_a_search(seed):
    onsets = np.random.default_rng(seed).random((4, N_NOTE_TOKENS)) < 0.03
    table = next_token_table(onsets)
    for row, struck in zip(table, onsets, strict=True):
        for token in range(N_NOTE_TOKENS + 1):
            later = np.flatnonzero(struck[token:])
            assert row[token] == (token + later[0] if len(later) else STOP)
