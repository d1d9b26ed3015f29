import dataclasses
import json

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.metrics.report import (
    SectionReport,
    SpanBars,
    StructureReport,
    measure_structure,
    measure_template_structure,
    without_transpositions,
)
from singcli.metrics.structure import bar_overlap_map, structure_correlation
from singcli.music.score import Score, regular_bars
from singcli.structure.dial import overlap_map
from singcli.structure.form import Form, wanted_bar_map
from singcli.structure.section import Section, Span
from singcli.structure.ssm import ssm_from_score

AABA = Form(tuple(Section(label, 8, variation=0.0) for label in "AABA"))
AB_A = Form(tuple(Section(label, 8, variation=0.0) for label in "ABA"))


def piece(labels, *, bars_each=8, seed=0):
    """Give every label its own random notes; equal labels are note-identical."""
    rng = np.random.default_rng(seed)
    n_steps = bars_each * 16
    theme = {}
    for label in sorted(set(labels)):
        step = rng.choice(n_steps, n_steps // 2, replace=False)
        theme[label] = step, rng.integers(48, 84, len(step)), rng.integers(0, 2, len(step))
    step = np.concatenate([theme[label][0] + i * n_steps for i, label in enumerate(labels)])
    pitch, voice = (np.concatenate([theme[label][k] for label in labels]) for k in (1, 2))
    return Score.from_notes(
        step,
        voice,
        pitch,
        np.full(len(step), 2),
        np.full(len(step), 80),
        bar_beats=regular_bars(bars_each * len(labels), 4),
        tempo_bpm=100.0,
    )


def empty_piece(n_bars):
    return Score.from_notes([], [], [], [], [], bar_beats=regular_bars(n_bars, 4), tempo_bpm=100.0)


class TestMeasureStructure:
    def test_a_piece_that_is_its_form(self):
        report = measure_structure(piece("AABA"), AABA)
        assert (report.n_bars_wanted, report.n_bars) == (32, 32)
        assert report.same_label == 1
        assert report.different_label < 0.1
        assert report.r_bars > 0.95
        assert report.r_beats > 0.5
        assert report.boundary_f == 1
        assert report.label_f == 1
        assert report.score == report.r_bars

    def test_sections_are_compared_with_the_first_of_their_label(self):
        sections = measure_structure(piece("AABA"), AABA).sections
        assert [(s.label, s.start_bar, s.n_bars, s.source_bar) for s in sections] == [
            ("A", 0, 8, None),
            ("A", 8, 8, 0),
            ("B", 16, 8, None),
            ("A", 24, 8, 0),
        ]
        assert [(s.wanted, s.measured) for s in sections] == [
            (None, None),
            (1.0, 1.0),
            (None, None),
            (1.0, 1.0),
        ]

    def test_wanted_is_what_the_dial_promises_and_measured_is_of_the_notes(self):
        form = Form((Section("A", 8), Section("A", 8, variation=0.4)))
        score = piece("AB")
        second = measure_structure(score, form, strictness=0.5).sections[1]
        assert second.wanted == pytest.approx(float(overlap_map(form, 0.5)[8, 0]))
        assert second.wanted < 0.5
        overlap = bar_overlap_map(score)
        assert second.measured == pytest.approx(np.mean([overlap[8 + i, i] for i in range(8)]))

    def test_a_piece_without_its_form(self):
        report = measure_structure(piece("ABCD"), AABA)
        assert report.same_label < 0.1
        assert report.r_bars < 0.3
        assert report.label_f < 0.6  # pairs inside a section are right

    def test_a_section_of_its_own_strictness_is_wanted_by_it(self):
        form = Form((Section("A", 8), Section("A", 8), Section("A", 8, strictness=1.0)))
        sections = measure_structure(piece("AAA"), form, strictness=0.25).sections
        assert [s.wanted for s in sections] == [None, 0.25, 1.0]

    def test_boundaries_that_can_be_heard_are_found_and_others_missed(self):
        found = [s.boundary_found for s in measure_structure(piece("AABA"), AABA).sections]
        assert found == [None, True, True, True]
        other = Form((Section("A", 5), Section("B", 27)))
        found = [s.boundary_found for s in measure_structure(piece("AABA"), other).sections]
        assert found == [None, False]

    def test_a_boundary_one_bar_away_counts(self):
        form = Form((Section("A", 7), Section("B", 25)))
        assert measure_structure(piece("AABA"), form).sections[1].boundary_found is True

    def test_a_form_that_repeats_nothing_is_judged_by_the_labels(self):
        report = measure_structure(piece("ABC"), Form(tuple(Section(x, 8) for x in "ABC")))
        assert report.r_bars is None
        assert report.score == report.label_f == 1

    def test_a_transposed_return_is_compared_with_the_transposition_undone(self):
        form = Form((Section("A", 8), Section("B", 8), Section("A", 8, 0.0, transpose=5)))
        plain = piece("ABA")
        score = plain.transposed_bars(form.bar_transpositions)
        report = measure_structure(score, form)
        assert report.sections[2].measured == 1
        assert report.same_label == 1
        assert report.r_bars == measure_structure(plain, AB_A).r_bars
        assert report.r_beats == pytest.approx(measure_structure(plain, AB_A).r_beats)
        assert measure_structure(score, AB_A).same_label < 0.2

    def test_transpositions_are_undone_as_far_as_the_form_reaches(self):
        form = Form((Section("A", 2), Section("A", 2, transpose=-3)))
        score = piece("AA", bars_each=2)
        moved = score.transposed_bars(form.bar_transpositions)
        assert without_transpositions(moved, form).pitch.tolist() == score.pitch.tolist()
        longer = piece("AAA", bars_each=2)
        assert without_transpositions(longer, form).n_bars == 6
        assert without_transpositions(score.bars(0, 3), form).n_bars == 3

    def test_r_is_that_of_the_maps(self):
        score = piece("ABBA", seed=3)
        report = measure_structure(score, AABA)
        wanted, measured = wanted_bar_map(AABA), bar_overlap_map(score)
        assert report.r_bars == structure_correlation(wanted, measured)

    def test_a_wanted_matrix_takes_the_place_of_the_forms_own(self):
        score = piece("AABA")
        report = measure_structure(score, AABA, wanted_ssm=ssm_from_score(score))
        assert report.r_beats == pytest.approx(1)

    @pytest.mark.parametrize("labels", ["A", "AAB", "AABAA"])
    def test_a_piece_of_another_length_is_compared_as_far_as_it_goes(self, labels):
        report = measure_structure(piece(labels), AABA)
        assert report.n_bars == 8 * len(labels)
        assert report.n_bars_wanted == 32
        assert len(report.sections) == 4
        last = report.sections[-1]
        assert (last.measured == 1) if labels == "AABAA" else (last.measured is None)

    def test_silence(self):
        report = measure_structure(empty_piece(32), AABA)
        assert (report.same_label, report.different_label) == (0, 0)
        assert (report.r_bars, report.r_beats) == (0, 0)

    def test_a_form_of_one_section_has_nothing_to_compare(self):
        report = measure_structure(piece("A"), Form((Section("A", 8),)))
        assert report.same_label is None
        assert report.different_label is None
        assert report.sections == (SectionReport("A", 0, 8, None, None, None, None),)


class TestMeasureTemplateStructure:
    def test_a_copy_of_the_template(self):
        score = piece("AABA")
        report = measure_template_structure(score, ssm_from_score(score), bar_beats=score.bar_beats)
        assert report.r_bars is None
        assert report.r_beats == pytest.approx(1)
        assert report.score == report.r_beats
        assert (report.boundary_f, report.label_f, report.same_label) == (1, 1, 1)

    def test_wanted_and_measured_are_the_similarity_of_a_section_with_its_source(self):
        score = piece("AABA")
        wanted = ssm_from_score(score)
        other = piece("ABBA", seed=5)
        second, _, last = measure_template_structure(
            other, wanted, bar_beats=score.bar_beats
        ).sections[1:]
        beats = np.arange(32)
        assert second.wanted == pytest.approx(wanted[32 + beats, beats].mean(), abs=1e-6)
        assert second.measured == pytest.approx(
            ssm_from_score(other)[32 + beats, beats].mean(), abs=1e-6
        )
        assert second.wanted > 0.9 > 0.6 > second.measured
        assert last.measured > 0.9

    def test_sections_of_the_template_may_be_given(self):
        score = piece("AABA")
        spans = [Span("verse", 0, 16), Span("verse", 16, 16)]
        report = measure_template_structure(
            score, ssm_from_score(score), bar_beats=score.bar_beats, sections=spans
        )
        assert [(s.label, s.source_bar) for s in report.sections] == [("verse", None), ("verse", 0)]

    def test_other_notes_in_the_same_form_are_near_and_another_form_is_not(self):
        template = piece("AABA", seed=1)
        wanted = ssm_from_score(template)

        def r_of(score):
            return measure_template_structure(score, wanted, bar_beats=template.bar_beats).r_beats

        assert r_of(piece("AABA", seed=2)) > 0.6
        assert r_of(piece("ABCD", seed=2)) < 0.3


class TestStructureReport:
    def test_survives_json(self):
        report = measure_structure(piece("AABA"), AABA)
        again = StructureReport.from_dict(json.loads(json.dumps(report.to_dict())))
        assert again == report

    def test_numbers_are_plain_and_finite(self):
        values = measure_structure(empty_piece(2), AABA).to_dict()
        json.dumps(values, allow_nan=False)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda v: v.pop("r_beats"), r"structure\.r_beats is missing"),
            (lambda v: v.update(r=1), r"structure\.r is unknown"),
            (lambda v: v["sections"][2].pop("label"), r"sections\[2\]\.label is missing"),
        ],
    )
    def test_a_damaged_report_names_the_field(self, change, message):
        values = measure_structure(piece("AABA"), AABA).to_dict()
        change(values)
        with pytest.raises(InputError, match=message):
            StructureReport.from_dict(values)

    def test_frozen(self):
        report = measure_structure(piece("A"), AABA)
        with pytest.raises(dataclasses.FrozenInstanceError):
            report.r_beats = 1.0


class TestSpanBars:
    def test_bars_outside_all_sections_resemble_nothing(self):
        bars = SpanBars.from_spans([Span("a", 1, 2), Span("a", 4, 2)], 6)
        assert bars.bar_labels[1:3] == ["a", "a"]
        assert bars.bar_labels[0] != bars.bar_labels[3]
        np.testing.assert_array_equal(bars.bar_places, [0, 0, 1, 0, 0, 1])

    def test_spans_beyond_the_end_are_cut(self):
        bars = SpanBars.from_spans([Span("a", 2, 8), Span("b", 10, 2)], 4)
        assert len(bars.bar_labels) == len(bars.bar_places) == 4
        assert bars.bar_labels[2:] == ["a", "a"]
