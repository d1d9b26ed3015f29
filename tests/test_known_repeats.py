from __future__ import annotations

import numpy as np
import pytest

from singcli.structure.alignment import NEW, all_new
from singcli.structure.dial import FREE_BELOW, FULL_FROM, overlap_map, wanted_overlap
from singcli.structure.form import Form, Phrase, Section
from singcli.structure.form_string import form_from_string
from singcli.structure.known_repeats import bar_sources, known_repeats


def test_the_dial_reaches_from_free_to_full():
    assert wanted_overlap([0.0, FREE_BELOW, FULL_FROM, 1.0], 0.6).tolist() == pytest.approx(
        [0, 0, 0.6, 0.6]
    )
    halfway = (FREE_BELOW + FULL_FROM) / 2
    assert float(wanted_overlap(halfway, 0.6)) == pytest.approx(0.3)


def test_a_section_has_a_strictness_of_its_own():
    form = Form((Section("A", 2), Section("A", 2, 0.0, strictness=1.0), Section("A", 2, 0.0)))
    overlap = overlap_map(form, 0.5)
    assert overlap[2, 0] == 1.0
    assert overlap[4, 0] == overlap[4, 2] == 0.5
    assert overlap[1, 0] == 0
    np.testing.assert_array_equal(overlap, overlap.T)


def test_returns_look_back_at_the_theme_and_not_at_each_other():
    source, similarity = bar_sources(form_from_string("A2 B2 A2:0.1 A2:0.3"))
    assert source.tolist() == [NEW] * 4 + [0, 1, 0, 1]
    assert similarity.tolist() == pytest.approx([0] * 4 + [0.9] * 2 + [0.7] * 2)


def test_inside_a_theme_phrases_look_back_at_their_model():
    phrases = (Phrase("a", 2), Phrase("a", 2, 0.2))
    source, similarity = bar_sources(Form((Section("A", 4, phrases=phrases), Section("A", 4))))
    assert source.tolist() == [NEW, NEW, 0, 1, 0, 1, 2, 3]
    assert similarity[2] == pytest.approx(0.8)


def test_different_labels_that_are_alike_have_a_source_too():
    form = Form((Section("A", 2), Section("B", 2)), similarity={("A", "B"): 0.7})
    assert bar_sources(form)[0].tolist() == [NEW, NEW, 0, 1]


def test_a_longer_return_is_new_where_the_theme_has_ended():
    assert bar_sources(form_from_string("A1 A2"))[0].tolist() == [NEW, 0, NEW]


def test_beats_follow_their_bars_as_far_as_both_reach():
    form = Form((Section("A", 1), Section("A", 1, 0.0, meter="3/4")))
    known = known_repeats(form, 0.5)
    assert known.source.tolist() == [NEW] * 4 + [0, 1, 2]
    assert known.overlap[4:].tolist() == [0.5] * 3
    assert np.isnan(known.overlap[:4]).all()


def test_known_sources_go_before_found_ones_and_move_with_a_lead_in():
    known = known_repeats(form_from_string("A1 A1"), 0.5).moved(2)
    assert known.source.tolist() == [NEW] * 6 + [2, 3, 4, 5]
    assert np.isnan(known.overlap[:6]).all()
    merged = known.over(all_new(10))
    assert merged.source.tolist() == known.source.tolist()
    assert merged.grade[6:].tolist() == pytest.approx([0.85] * 4)
