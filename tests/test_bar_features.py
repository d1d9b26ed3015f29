from __future__ import annotations

import numpy as np
import pytest

from singcli.music.score import LEAD, Score, regular_bars
from singcli.structure.bar_features import (
    bar_features_from_score,
    bar_features_from_ssm,
    bar_ssm,
    relative_similarity,
)
from singcli.structure.ssm import ssm_from_score


def tune(n_bars: int, *, seed: int = 0, beats: int = 4) -> Score:
    """Random eighths of the lead over two held notes a bar."""
    rng = np.random.default_rng(seed)
    per_bar = 2 * beats
    step = np.r_[np.arange(n_bars * per_bar) * 2, np.repeat(np.arange(n_bars), 2) * 4 * beats]
    pitch = np.r_[rng.integers(60, 78, n_bars * per_bar), rng.integers(40, 55, 2 * n_bars)]
    voice = np.r_[np.full(n_bars * per_bar, LEAD), np.ones(2 * n_bars, int)]
    length = np.r_[np.full(n_bars * per_bar, 2), np.full(2 * n_bars, 4 * beats)]
    return Score.from_notes(
        step,
        voice,
        pitch,
        length,
        np.full(len(step), 80),
        bar_beats=regular_bars(n_bars, beats),
        tempo_bpm=100,
    )


def joined(*scores: Score) -> Score:
    steps = np.cumsum([0, *(score.n_steps for score in scores)])
    bars = np.concatenate([np.diff(score.bar_beats) for score in scores])
    columns = [
        np.concatenate([getattr(score, name).astype(int) for score in scores])
        for name in ("voice", "pitch", "duration", "velocity")
    ]
    step = np.concatenate([s.step + first for s, first in zip(scores, steps, strict=False)])
    return Score.from_notes(step, *columns, bar_beats=np.r_[0, np.cumsum(bars)], tempo_bpm=100)


def test_bars_are_compared_beat_by_beat() -> None:
    rng = np.random.default_rng(1)
    ssm = rng.random((9, 9), np.float32)
    bar_beats = np.array([0, 4, 6, 9], np.int32)
    bars = bar_ssm(ssm, bar_beats)
    assert bars.shape == (3, 3)
    assert bars[0, 1] == pytest.approx(ssm[[0, 1], [4, 5]].mean())
    assert bars[2, 0] == pytest.approx(ssm[[6, 7, 8], [0, 1, 2]].mean())


def test_background_is_nothing_and_identity_is_one() -> None:
    bars = np.full((5, 5), 0.4)
    np.fill_diagonal(bars, 1.0)
    bars[3, 1] = bars[1, 3] = 0.7
    relative = relative_similarity(bars)
    assert relative[2, 0] == 0.0
    assert relative[3, 1] == pytest.approx(0.5)
    assert relative[4, 4] == 1.0


def test_without_transposition_bars_compare_as_in_the_matrix() -> None:
    score = tune(24)
    found = bar_features_from_score(score)
    of_beats = bar_ssm(ssm_from_score(score, window_beats=1), score.bar_beats)
    below = np.tril_indices(24, -1)
    assert found.shift is not None
    assert not found.shift.any()
    assert np.corrcoef(found.alike[below], of_beats[below])[0, 1] > 0.98


@pytest.mark.parametrize("semitones", [-5, -1, 2, 6])
def test_transposed_bars_are_alike_and_tell_their_interval(semitones: int) -> None:
    theme, other = tune(8, seed=1), tune(8, seed=2)
    found = bar_features_from_score(joined(theme, other, theme.transposed(semitones)))
    bar = np.arange(8)
    assert found.shift is not None
    assert found.overlap is not None
    np.testing.assert_allclose(found.alike[16 + bar, bar], 1.0, atol=1e-4)
    np.testing.assert_allclose(found.overlap[16 + bar, bar], 1.0)
    assert (found.shift[16 + bar, bar] == semitones).all()
    assert (found.shift[bar, 16 + bar] == (-semitones if semitones < 6 else 6)).all()
    assert not found.shift[8 + bar, bar].any()


def test_overlap_is_the_share_of_notes_in_common() -> None:
    theme = tune(1)
    half = theme.pitch.astype(int) + np.where(theme.step >= 8, 1, 0)
    other = Score.from_notes(
        theme.step,
        theme.voice,
        half,
        theme.duration,
        theme.velocity,
        bar_beats=theme.bar_beats,
        tempo_bpm=100,
    )
    found = bar_features_from_score(joined(theme, other))
    assert found.overlap is not None
    assert found.overlap[0, 0] == 1.0
    shared = np.count_nonzero(theme.step < 8)
    assert found.overlap[1, 0] == pytest.approx(shared / (2 * theme.n_notes - shared))


def test_the_tune_and_its_rests() -> None:
    lead = tune(2)
    silent = lead._rebuilt(voice=np.ones(lead.n_notes, int))
    found = bar_features_from_score(joined(lead, silent, lead))
    assert found.tune is not None
    assert found.rests is not None
    np.testing.assert_allclose(found.tune, [1, 1, 0, 0, 1, 1])
    longest, since, until = found.rests.T
    assert until[2] == 2.0  # two bars or more
    assert since[4] == 2.0
    assert longest[4] == 2.0
    assert since[1] == pytest.approx(2 / 16)
    assert until[1] == 0.0


def test_silent_bars_resemble_nothing() -> None:
    theme = tune(4)
    gap = Score.from_notes([], [], [], [], [], bar_beats=regular_bars(4, 4), tempo_bpm=100)
    found = bar_features_from_score(joined(theme, gap, theme))
    assert found.overlap is not None
    assert not found.overlap[4:8].any()
    assert (found.alike[4:8, :4] <= 0.0).all()
    assert np.isfinite(found.texture).all()


def test_bars_of_unequal_length() -> None:
    long, short = tune(4, seed=3), tune(3, seed=4, beats=3)
    found = bar_features_from_score(joined(long, short, long))
    bar = np.arange(4)
    np.testing.assert_allclose(found.alike[7 + bar, bar], 1.0, atol=1e-4)


def test_only_the_matrix() -> None:
    score = tune(12)
    found = bar_features_from_ssm(ssm_from_score(score), score.bar_beats)
    assert found.n_bars == 12
    assert found.overlap is None
    assert found.tune is None
