from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.music.key import Key
from singcli.music.roll import onset_roll
from singcli.music.score import ACCOMPANIMENT, LEAD, MAX_PITCH, MIN_PITCH, Score, regular_bars

NOTES = st.lists(
    st.tuples(
        st.integers(-5, 40),
        st.integers(0, 1),
        st.integers(0, 127),
        st.integers(0, 50),
        st.integers(0, 200),
    ),
    max_size=60,
)


def build(notes: list[tuple[int, ...]], **options: object) -> Score:
    columns = np.array(notes, np.int64).reshape(-1, 5).T
    return Score.from_notes(*columns, bar_beats=regular_bars(2, 4), tempo_bpm=120, **options)


@given(NOTES)
def test_every_score_is_canonical(notes: list[tuple[int, ...]]) -> None:
    score = build(notes)
    step, voice = score.step.astype(int), score.voice.astype(int)
    pitch, end = score.pitch.astype(int), step + score.duration
    order = list(zip(step, voice, np.where(voice == LEAD, -pitch, pitch), strict=True))
    assert order == sorted(order)
    assert len(set(zip(step, voice, pitch, strict=True))) == score.n_notes
    assert (score.duration >= 1).all()
    assert (end <= score.n_steps).all()
    assert ((pitch >= MIN_PITCH) & (pitch <= MAX_PITCH)).all()
    assert ((score.velocity >= 1) & (score.velocity <= 127)).all()
    for one in range(score.n_notes):
        later = (voice == voice[one]) & (pitch == pitch[one]) & (step > step[one])
        assert not later.any() or end[one] <= step[later].min()


@given(NOTES)
def test_a_score_built_from_a_score_is_the_same(notes: list[tuple[int, ...]]) -> None:
    score = build(notes)
    again = build(
        list(zip(score.step, score.voice, score.pitch, score.duration, score.velocity, strict=True))
    )
    for name in ("step", "voice", "pitch", "duration", "velocity"):
        np.testing.assert_array_equal(getattr(score, name), getattr(again, name))


def test_of_equal_onsets_the_longest_stays() -> None:
    score = build([(0, 0, 60, 2, 50), (0, 0, 60, 7, 90)])
    assert (score.n_notes, score.duration[0], score.velocity[0]) == (1, 7, 90)


def test_a_note_is_cut_where_its_pitch_is_struck_again_in_its_voice() -> None:
    score = build([(0, 0, 60, 9, 80), (4, 0, 60, 2, 80), (2, 1, 60, 9, 80)])
    assert score.duration.tolist() == [4, 9, 2]


def test_an_empty_score_has_its_bars() -> None:
    score = build([])
    assert (score.n_notes, score.n_bars, score.n_beats, score.n_steps) == (0, 2, 8, 32)


@pytest.mark.parametrize("semitones", [-14, -1, 0, 5, 12])
def test_transposing_keeps_pitch_classes_and_the_piano(semitones: int) -> None:
    score = build([(0, 0, 21, 4, 80), (4, 1, 60, 4, 80), (8, 0, 108, 4, 80)], key=Key.parse("D"))
    moved = score.transposed(semitones)
    expected = (score.pitch.astype(int) + semitones) % 12
    assert (moved.pitch.astype(int) % 12).tolist() == expected.tolist()
    assert moved.key == Key((2 + semitones) % 12, "major")


@given(NOTES, st.tuples(st.integers(-11, 11), st.integers(-11, 11)))
def test_each_bar_can_be_transposed_on_its_own(
    notes: list[tuple[int, ...]], semitones: tuple[int, int]
) -> None:
    score = build(notes, key=Key.parse("D"))
    moved = score.transposed_bars(np.array(semitones))
    expected = []
    for step, voice, pitch in zip(score.step, score.voice, score.pitch, strict=True):
        target = int(pitch) + semitones[int(step) // 16]
        while target > MAX_PITCH:
            target -= 12
        while target < MIN_PITCH:
            target += 12
        expected.append((step, voice, target))
    assert set(zip(moved.step, moved.voice, moved.pitch, strict=True)) == set(expected)
    assert (moved.key, moved.bar_beats.tolist()) == (score.key, [0, 4, 8])


def test_a_note_moves_with_the_bar_in_which_it_begins() -> None:
    score = build([(12, LEAD, 60, 8, 80), (16, ACCOMPANIMENT, 50, 4, 80)])
    moved = score.transposed_bars(np.array([0, 5]))
    assert (moved.pitch.tolist(), moved.duration.tolist()) == ([60, 55], [8, 4])
    cut = build([(12, LEAD, 60, 8, 80), (16, LEAD, 55, 4, 80)]).transposed_bars(np.array([0, 5]))
    assert (cut.pitch.tolist(), cut.duration.tolist()) == ([60, 60], [4, 4])  # struck again


def test_bars_are_cut_out_with_the_notes_that_begin_in_them() -> None:
    score = build([(0, LEAD, 60, 30, 80), (16, ACCOMPANIMENT, 50, 4, 80), (20, LEAD, 64, 4, 80)])
    second = score.bars(1, 2)
    assert second.n_bars == 1
    assert second.step.tolist() == [0, 4]
    assert onset_roll(second).sum() == 2
