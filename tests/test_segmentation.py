from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.music.score import LEAD, Score, regular_bars
from singcli.structure.bar_features import bar_features_from_score
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.section import Span
from singcli.structure.segmentation import (
    phrases_in_sections,
    sections_from_score,
    sections_from_ssm,
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


def joined(*scores: Score) -> Score:
    steps = np.cumsum([0, *(score.n_steps for score in scores)])
    step = np.concatenate([s.step + first for s, first in zip(scores, steps, strict=False)])
    columns = [
        np.concatenate([getattr(score, name) for score in scores])
        for name in ("voice", "pitch", "duration", "velocity")
    ]
    n_bars = sum(score.n_bars for score in scores)
    return Score.from_notes(step, *columns, bar_beats=regular_bars(n_bars, 4), tempo_bpm=100)


@pytest.mark.parametrize("letters", ["AABA", "ABACA", "AABB", "ABCBA"])
@pytest.mark.parametrize("seed", range(3))
def test_sections_of_hand_made_music(letters: str, seed: int) -> None:
    score = tune_of_form(letters, seed=seed)
    expected = [Span(label, 8 * i, 8) for i, label in enumerate(letters)]
    assert sections_from_score(score) == expected
    assert sections_from_ssm(ssm_from_score(score), score.bar_beats) == expected


@pytest.mark.parametrize("texture", [FLAT, DEFAULT_TEXTURE], ids=["flat", "default"])
@pytest.mark.parametrize(
    "text", ["AABA", "A4 B8 C8 B8 C8 C8 D4", "A12 A12 A12", "A8 B8 A8 C8 A8", "A8:0 A8:0 A8:0 B8"]
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


def transposed_part(score: Score, start: int, stop: int, semitones: int) -> Score:
    shift = np.zeros(score.n_bars, int)
    shift[start:stop] = semitones
    return score.transposed_bars(shift)


@pytest.mark.parametrize("semitones", [-3, 2, 5])
def test_a_section_in_another_key_keeps_its_label(semitones: int) -> None:
    score = transposed_part(tune_of_form("ABACA"), 32, 40, semitones)
    assert [span.label for span in sections_from_score(score)] == list("ABACA")
    assert [span.start_bar for span in sections_from_score(score)] == [0, 8, 16, 24, 32]


@pytest.mark.parametrize("seed", range(3))
def test_phrases_repeat_inside_a_section_that_comes_back_as_a_whole(seed: int) -> None:
    line = tune_of_form("X", 4, seed=seed)
    one, other = tune_of_form("X", seed=30 + seed), tune_of_form("X", seed=40 + seed)
    verse = [line, line]
    score = joined(*verse, one, *verse, other, *verse)
    sections = sections_from_score(score)
    assert [(s.label, s.n_bars) for s in sections] == [(label, 8) for label in "ABACA"]
    phrases = phrases_in_sections(bar_features_from_score(score), sections)
    for part in phrases[::2]:
        assert [(p.label, p.n_bars) for p in part] == [("a", 4), ("a", 4)]


def test_the_tune_leaving_is_a_boundary() -> None:
    score = tune_of_form("AABA")
    bar = np.searchsorted(score.bar_beats * 4, score.step, side="right") - 1
    kept = (score.voice != LEAD) | (bar < 16) | (bar >= 24)
    columns = [getattr(score, c)[kept] for c in ("step", "voice", "pitch", "duration", "velocity")]
    quiet = Score.from_notes(*columns, bar_beats=score.bar_beats, tempo_bpm=100)
    assert [span.start_bar for span in sections_from_score(quiet)] == [0, 8, 16, 24]


@pytest.mark.parametrize("n_bars", [1, 2, 3, 5])
def test_very_short_pieces(n_bars: int) -> None:
    score = tune_of_form("A", n_bars)
    found = sections_from_score(score)
    assert sum(span.n_bars for span in found) == n_bars
    phrases = phrases_in_sections(bar_features_from_score(score), found)
    assert sum(p.n_bars for part in phrases for p in part) == n_bars


def test_silence_has_sections_too() -> None:
    empty = Score.from_notes([], [], [], [], [], bar_beats=regular_bars(12, 4), tempo_bpm=100)
    assert sum(span.n_bars for span in sections_from_score(empty)) == 12
