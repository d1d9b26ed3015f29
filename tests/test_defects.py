from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from singcli.metrics.defects import (
    Ending,
    TuneBars,
    doubled,
    ending,
    long_notes,
    measure_defects,
    places_of_form,
    places_of_labels,
    unasked_repeats,
)
from singcli.music.key import Key
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars
from singcli.structure.form_string import form_from_string

C_MAJOR = Key.parse("C major")


def score_of(*notes: tuple[int, int, int, int], n_bars: int = 4) -> Score:
    """Notes as (step, voice, pitch, duration)."""
    step, voice, pitch, duration = np.array(notes or np.empty((0, 4)), np.int64).T
    bars = regular_bars(n_bars, 4)
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        step * 0 + 80,
        bar_beats=bars,
        tempo_bpm=100,
    )


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([(48, 1, 36, 16), (48, 1, 52, 16)], Ending(bass_on_tonic=True, closes=True)),
        ([(48, 1, 36, 16), (60, 0, 67, 4)], Ending(bass_on_tonic=True, closes=True)),  # held
        ([(48, 1, 36, 4), (60, 0, 67, 4)], Ending(bass_on_tonic=False, closes=False)),
        ([(48, 1, 36, 16), (48, 1, 53, 16)], Ending(bass_on_tonic=True, closes=False)),
        ([(48, 1, 43, 16), (48, 1, 60, 16)], Ending(bass_on_tonic=False, closes=False)),
    ],
)
def test_the_ending_is_judged_by_what_sounds_with_the_last_onset(last, expected):
    assert ending(score_of((0, LEAD, 61, 4), *last), C_MAJOR) == expected


def test_nothing_does_not_end():
    assert ending(score_of(), C_MAJOR) == Ending(bass_on_tonic=False, closes=False)


def test_a_bar_counts_once_for_all_places_that_are_to_be_alike():
    same = [(16 * bar, LEAD, 60, 4) for bar in range(4)]
    assert unasked_repeats(score_of(*same), np.array([0, 1, 2, 3])) == 4
    assert unasked_repeats(score_of(*same), np.array([0, 1, 0, 1])) == 2
    assert unasked_repeats(score_of((0, LEAD, 60, 4)), np.arange(4)) == 1
    assert unasked_repeats(score_of(), np.arange(4)) == 0


def test_places_follow_the_form_to_the_first_bar():
    assert places_of_form(form_from_string("A2 B2 A2")).tolist() == [0, 1, 2, 3, 0, 1]
    assert places_of_labels([("a", 1, 2), ("a", 3, 2)], 6).tolist() == [0, 1, 2, 1, 2, 5]


def test_doubled_and_long_notes():
    score = score_of((0, LEAD, 60, 4), (4, LEAD, 62, 4), (0, ACCOMPANIMENT, 60, 4))
    assert doubled(score) == 0.5
    assert long_notes(score) == 0
    held = score_of((0, LEAD, 60, 65), (4, LEAD, 62, 64), n_bars=6)
    assert long_notes(held) == 0.5


def test_sections_without_the_tune_are_counted_where_it_is_wanted():
    score = score_of((0, LEAD, 60, 4), (16, ACCOMPANIMENT, 48, 4), (20, LEAD, 61, 4))
    sections = [TuneBars(0, 2, tune=True), TuneBars(2, 2, tune=True), TuneBars(2, 2, tune=False)]
    report = measure_defects(score, C_MAJOR, sections, np.arange(4))
    assert (report.tune_sections, report.tuneless_sections, report.dead_sections) == (2, 1, 2)
    assert (report.lead_low, report.lead_high, report.has_lead) == (60, 61, True)
    assert report.out_of_key == pytest.approx(1 / 3)
    assert report.density == 3 / 64


def test_a_piece_without_a_lead_is_said_so():
    report = measure_defects(score_of((0, ACCOMPANIMENT, 48, 4)), C_MAJOR, [], np.arange(4))
    assert dataclasses.asdict(report) | {"has_lead": False, "lead_low": 0, "lead_high": 0} == (
        dataclasses.asdict(report)
    )
