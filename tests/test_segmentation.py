from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singcli.music.key import Key
from singcli.music.score import LEAD, Score, regular_bars
from singcli.structure.form import ssm_from_form, wanted_bar_map
from singcli.structure.form_string import form_from_string
from singcli.structure.section import Span
from singcli.structure.segmentation import (
    bar_ssm,
    form_from_sections,
    sections_from_ssm,
    span_similarity,
)
from singcli.structure.ssm import ssm_from_score
from singcli.structure.texture import DEFAULT_TEXTURE, Texture

FLAT = Texture(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)


def tune_of_form(letters: str, bars: int = 8, *, seed: int = 0) -> Score:
    """Each letter a random tune of its own, in eighths, over two held notes."""
    rng = np.random.default_rng(seed)
    tunes = {c: rng.choice([60, 62, 64, 65, 67, 69, 71, 72], bars * 8) for c in set(letters)}
    bass = {c: rng.choice([36, 41, 43, 45, 48], bars) for c in set(letters)}
    notes = []
    for place, letter in enumerate(letters):
        start = place * bars * 16
        notes += [(start + 2 * i, LEAD, pitch, 2) for i, pitch in enumerate(tunes[letter])]
        notes += [(start + 16 * i, 1, pitch, 16) for i, pitch in enumerate(bass[letter])]
    step, voice, pitch, duration = np.array(notes).T
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        np.full(len(step), 80),
        bar_beats=regular_bars(bars * len(letters), 4),
        tempo_bpm=100,
    )


@pytest.mark.parametrize("letters", ["AABA", "ABAC", "ABACA", "AABB"])
@pytest.mark.parametrize("seed", range(3))
def test_sections_of_hand_made_music(letters: str, seed: int) -> None:
    score = tune_of_form(letters, seed=seed)
    found = sections_from_ssm(ssm_from_score(score), score.bar_beats)
    assert found == [Span(label, 8 * i, 8) for i, label in enumerate(letters)]


@pytest.mark.parametrize("texture", [FLAT, DEFAULT_TEXTURE], ids=["flat", "default"])
@pytest.mark.parametrize(
    "text", ["AABA", "A4 B8 C8 B8 C8 D4", "A12 A12 A12", "A8 B8 A8 C8 A8", "A8:0 A8:0 A8:0 B8"]
)
def test_planted_stripes_are_found(text: str, texture: Texture) -> None:
    form = form_from_string(text)
    found = sections_from_ssm(ssm_from_form(form, texture=texture), form.bar_beats)
    assert found == form.section_bars


def test_labels_follow_the_order_of_the_sections() -> None:
    form = form_from_string("chorus8 verse8 chorus8")
    found = sections_from_ssm(ssm_from_form(form), form.bar_beats)
    assert [span.label for span in found] == ["A", "B", "A"]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_sections_cover_any_piece_without_gaps(n_bars: int, beats: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.random((n_bars * beats, n_bars * beats), np.float32)
    bars = np.r_[0, np.sort(rng.permutation(np.arange(1, n_bars * beats))[: n_bars - 1])]
    bar_beats = np.r_[bars, n_bars * beats].astype(np.int32)  # bars of unequal length
    found = sections_from_ssm(np.minimum(half, half.T), bar_beats)
    bar = 0
    for span in found:
        assert span.start_bar == bar
        assert span.n_bars >= 1
        bar += span.n_bars
    assert bar == n_bars


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_matrix_has_sections_too(value: float) -> None:
    found = sections_from_ssm(np.full((64, 64), value, np.float32), regular_bars(16, 4))
    assert sum(span.n_bars for span in found) == 16


def test_bars_are_compared_beat_by_beat() -> None:
    rng = np.random.default_rng(1)
    ssm = rng.random((9, 9), np.float32)
    bar_beats = np.array([0, 4, 6, 9], np.int32)
    bars = bar_ssm(ssm, bar_beats)
    assert bars.shape == (3, 3)
    assert bars[0, 1] == pytest.approx(ssm[[0, 1], [4, 5]].mean())
    assert bars[2, 0] == pytest.approx(ssm[[6, 7, 8], [0, 1, 2]].mean())


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
