from __future__ import annotations

import numpy as np
import pytest

from singcli.music.key import Key
from singcli.music.score import LEAD, Score, regular_bars
from singcli.structure.bar_features import bar_ssm
from singcli.structure.form import ssm_from_form, wanted_bar_map
from singcli.structure.form_string import form_from_string
from singcli.structure.found_form import (
    FoundPhrase,
    FoundSection,
    form_from_found,
    measured_sections,
    span_similarity,
)
from singcli.structure.outline import outline_from_score, outline_from_ssm, sections_of_form
from singcli.structure.section import Phrase, Span


def form_from_sections(ssm, bar_beats, sections, **facts):
    bars = bar_ssm(ssm, bar_beats)
    return form_from_found(measured_sections(bars, sections), bars, bar_beats, **facts)


def tune(n_bars: int, *, seed: int = 0, voice: int = LEAD) -> Score:
    """Random eighths over a held note a bar."""
    rng = np.random.default_rng(seed)
    step = np.r_[np.arange(8 * n_bars) * 2, np.arange(n_bars) * 16]
    pitch = np.r_[rng.integers(60, 78, 8 * n_bars), rng.integers(40, 55, n_bars)]
    voices = np.r_[np.full(8 * n_bars, voice), np.ones(n_bars, int)]
    length = np.r_[np.full(8 * n_bars, 2), np.full(n_bars, 16)]
    bars = regular_bars(n_bars, 4)
    return Score.from_notes(
        step, voices, pitch, length, np.full(len(step), 80), bar_beats=bars, tempo_bpm=100
    )


def joined(*scores: Score) -> Score:
    steps = np.cumsum([0, *(score.n_steps for score in scores)])
    step = np.concatenate([s.step + first for s, first in zip(scores, steps, strict=False)])
    columns = [
        np.concatenate([getattr(score, name) for score in scores])
        for name in ("voice", "pitch", "duration", "velocity")
    ]
    n_bars = sum(score.n_bars for score in scores)
    return Score.from_notes(step, *columns, bar_beats=regular_bars(n_bars, 4), tempo_bpm=100)


def form_of(found, bars, bar_beats):
    return form_from_found(
        found, bars, bar_beats, tempo_bpm=100, meter="4/4", key=None, name="found"
    )


def test_span_similarity_cuts_the_longer_span() -> None:
    bars = np.arange(16, dtype=np.float64).reshape(4, 4)
    assert span_similarity(bars, (0, 3), (2, 2)) == (bars[0, 2] + bars[1, 3]) / 2


def test_found_sections_become_a_form_that_wants_the_same_repeats() -> None:
    form = form_from_string("A8 A8:0.3 B8 A8:0.1 C8")
    found = form_from_sections(
        ssm_from_form(form),
        form.bar_beats,
        form.section_bars,
        tempo_bpm=84.123,
        meter="4/4",
        key=Key.parse("D minor"),
        name="found",
    )
    assert (found.name, found.tempo_bpm, str(found.key)) == ("found", 84.12, "D minor")
    assert [section.variation for section in found.sections] == [0.15, 0.3, 0.15, 0.1, 0.15]
    np.testing.assert_allclose(wanted_bar_map(found), wanted_bar_map(form), atol=1e-6)


def test_phrases_found_in_a_form_want_the_same_repeats() -> None:
    form = form_from_string("A = a4 a4:0.2 b4; A12 B8 A12:0.1")
    bars = bar_ssm(ssm_from_form(form), form.bar_beats)
    inner = [Span("a", 0, 4), Span("a", 4, 4), Span("b", 8, 4)]
    phrases = [inner, [Span("a", 12, 8)], [Span(p, 20 + start, n) for p, start, n in inner]]
    found = measured_sections(bars, form.section_bars, phrases=phrases)
    assert found[0].phrases[1].variation == pytest.approx(0.2, abs=1e-6)
    assert found[0].phrases[0].variation is None
    assert found[1].phrases == ()
    np.testing.assert_allclose(
        wanted_bar_map(form_of(found, bars, form.bar_beats)), wanted_bar_map(form), atol=0.011
    )


def test_labels_that_are_alike_are_listed() -> None:
    form = form_from_string("A8 B8")
    ssm = ssm_from_form(form)
    beat = np.arange(32)
    ssm[32 + beat, beat] = ssm[beat, 32 + beat] = 0.7
    found = form_from_sections(
        ssm, form.bar_beats, form.section_bars, tempo_bpm=100, meter="9/8", key=None, name="x"
    )
    assert found.similarity == {("A", "B"): 0.7}
    assert found.meter == "4/4"  # 9/8 has no whole quarters: the bars as they are


def test_a_repeat_longer_than_its_theme_has_a_rest() -> None:
    parts = (FoundPhrase("a", 0, 4, None), FoundPhrase("a", 4, 4, 0.25))
    found = [
        FoundSection("A", 0, 8, None, phrases=parts),
        FoundSection("A", 8, 9, 0.1, phrases=(FoundPhrase("a", 8, 9, None),)),
        FoundSection("A", 17, 6, 0.1),
    ]
    form = form_of(found, np.eye(23), regular_bars(23, 4))
    assert form.sections[0].phrases == (Phrase("a", 4), Phrase("a", 4, 0.25))
    assert form.sections[1].phrases == (*form.sections[0].phrases, Phrase("rest", 1))
    assert [p.n_bars for p in form.sections[2].phrases] == [4, 2]


def test_sections_in_another_meter_say_so() -> None:
    found = [FoundSection("A", 0, 4, None), FoundSection("B", 4, 2, None)]
    form = form_of(found, np.eye(6), np.r_[0:17:4, 19, 22].astype(np.int32))
    assert [section.meter for section in form.sections] == ["", "3/4"]
    assert form.n_beats == 22


@pytest.mark.parametrize("semitones", [-4, 3])
def test_transposed_returns_are_measured_in_the_theme_s_key(semitones: int) -> None:
    theme, other = tune(8, seed=1), tune(8, seed=2)
    score = joined(theme, other, theme.transposed(semitones))
    outline = outline_from_score(score)
    assert [(s.label, s.transpose) for s in outline.sections] == [
        ("A", 0), ("B", 0), ("A", semitones)
    ]  # fmt: skip
    assert outline.sections[2].variation == pytest.approx(0.0, abs=0.05)
    form = form_of(outline.sections, outline.bars, score.bar_beats)
    assert form.sections[2].transpose == semitones


def test_sections_without_the_tune_say_so() -> None:
    score = joined(tune(8, seed=1), tune(8, seed=2, voice=1), tune(8, seed=1))
    assert [section.tune for section in outline_from_score(score).sections] == [True, False, True]
    silent = joined(tune(8, voice=1), tune(8, seed=1, voice=1))
    assert all(section.tune for section in outline_from_score(silent).sections)


def test_given_sections_are_kept_and_only_outlined() -> None:
    score = joined(tune(4, seed=1), tune(4, seed=1), tune(4, seed=2))
    given = (Span("x", 0, 2), Span("y", 2, 10))
    assert [section.span for section in outline_from_score(score, given).sections] == list(given)


def test_a_matrix_is_outlined_without_notes() -> None:
    form = form_from_string("A8 B8 A8:0.2")
    outline = outline_from_ssm(ssm_from_form(form), form.bar_beats, form.section_bars)
    assert [section.span for section in outline.sections] == form.section_bars
    assert outline.sections[2].variation == pytest.approx(0.2, abs=1e-6)


def test_what_a_form_says_of_its_sections() -> None:
    found = sections_of_form(form_from_string("A = a4 a'4; A8 B4 A8+5:0.3"))
    assert [section.span for section in found] == [
        Span("A", 0, 8),
        Span("B", 8, 4),
        Span("A", 12, 8),
    ]
    assert [section.variation for section in found] == [None, None, 0.3]
    assert [section.transpose for section in found] == [0, 0, 5]
    assert found[2].phrases == (FoundPhrase("a", 12, 4, None), FoundPhrase("a", 16, 4, 0.15))
