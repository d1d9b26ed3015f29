from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.music.grid import (
    BeatNotes,
    beats_from_seconds,
    key_of_notes,
    regular_bar_lines,
    score_from_beats,
    steps_from_beats,
)


def beat_notes(notes: list[tuple[float, float, int]]) -> BeatNotes:
    onset, end, pitch = (np.array(c) for c in zip(*notes, strict=True))
    n = len(notes)
    return BeatNotes(
        onset.astype(float),
        end.astype(float),
        np.zeros(n, np.uint8),
        pitch.astype(np.uint8),
        np.full(n, 80, np.uint8),
    )


def test_times_go_to_the_nearest_step_and_halves_up() -> None:
    beats = np.array([0.0, 0.124, 0.125, 0.126, 0.25, -0.124, -0.125, -0.2, 1.9])
    assert steps_from_beats(beats).tolist() == [0, 0, 1, 1, 1, 0, 0, -1, 8]


@given(st.integers(0, 100_000), st.sampled_from([24, 96, 120, 480, 960, 32767]))
def test_ticks_on_the_grid_stay_where_they_are(step: int, ticks_per_quarter: int) -> None:
    tick = round(step * ticks_per_quarter / 4)
    if tick * 4 == step * ticks_per_quarter:
        assert steps_from_beats(np.array([tick / ticks_per_quarter]))[0] == step


def test_beats_between_annotated_beats_and_beyond() -> None:
    beat_s = np.array([1.0, 2.0, 4.0, 6.0])  # it slows down
    times_s = np.array([0.0, 1.0, 1.5, 3.0, 6.0, 8.0])
    assert beats_from_seconds(beat_s, times_s).tolist() == [-0.5, 0.0, 0.5, 1.5, 3.0, 4.0]


def test_a_note_lasts_one_step_at_least() -> None:
    score, _ = score_from_beats(beat_notes([(0, 0.01, 60), (1, 1, 62)]), [0, 4], tempo_bpm=120)
    assert score.duration.tolist() == [1, 1]


def test_empty_bars_at_both_ends_are_left_out() -> None:
    notes = beat_notes([(9, 10, 60), (12, 13, 62)])
    score, left_out = score_from_beats(notes, [0, 4, 8, 12, 16, 20], tempo_bpm=120)
    assert (left_out, score.n_bars, score.step.tolist()) == (2, 2, [4, 16])


def test_untrimmed_all_bars_stay() -> None:
    notes = beat_notes([(9, 10, 60)])
    score, left_out = score_from_beats(notes, [0, 4, 8, 12, 16], tempo_bpm=120, trim=False)
    assert (left_out, score.n_bars, score.step.tolist()) == (0, 4, [36])


def test_a_note_rounded_onto_the_bar_line_belongs_to_the_next_bar() -> None:
    notes = beat_notes([(3.99, 5, 60), (8, 9, 60)])
    score, left_out = score_from_beats(notes, [0, 4, 8, 12], tempo_bpm=120)
    assert (left_out, score.n_bars, score.step.tolist()) == (1, 2, [0, 16])


def test_a_note_that_ends_on_the_last_bar_line_adds_no_bar() -> None:
    score, _ = score_from_beats(beat_notes([(0, 8, 60)]), [0, 4, 8, 12], tempo_bpm=120)
    assert score.n_bars == 2


@pytest.mark.parametrize("first_bar_beat", range(-5, 6))
@pytest.mark.parametrize("beats_per_bar", [2, 3, 4])
def test_regular_bars_surround_all_notes(beats_per_bar: int, first_bar_beat: int) -> None:
    notes = beat_notes([(-2.3, -1, 60), (5, 11.9, 60)])
    lines = regular_bar_lines(notes, beats_per_bar=beats_per_bar, first_bar_beat=first_bar_beat)
    assert (np.diff(lines) == beats_per_bar).all()
    assert ((lines - first_bar_beat) % beats_per_bar == 0).all()
    assert lines[0] <= -2.25
    assert lines[0] > -2.25 - beats_per_bar
    assert 12 <= lines[-1] < 12 + beats_per_bar


def test_the_key_is_estimated_from_what_sounds() -> None:
    scale = [(i, i + 1, pitch) for i, pitch in enumerate([62, 66, 69, 62, 67, 64, 69, 61, 62])]
    assert str(key_of_notes(beat_notes(scale))) == "D major"


def test_all_pitch_classes_alike_have_no_key() -> None:
    assert key_of_notes(beat_notes([(i, i + 1, 60 + i) for i in range(12)])) is None
