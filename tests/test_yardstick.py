import itertools

import numpy as np
import pytest

from singcli.metrics.figures import FIGURES, Figures, figure_table, measure_figures
from singcli.metrics.yardstick import (
    bands,
    excerpts,
    held_out_inside,
    inside,
    noise_like,
    piece_means,
)
from singcli.music.score import Score, regular_bars

NAN = np.nan


def random_score(n_bars, seed=0):
    rng = np.random.default_rng(seed)
    n = n_bars * 10
    return Score.from_notes(
        rng.integers(0, n_bars * 16, n),
        rng.integers(0, 2, n),
        rng.integers(48, 84, n),
        rng.integers(1, 9, n),
        rng.integers(40, 100, n),
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100.0,
    )


class TestFigures:
    def test_of_a_small_piece(self, aaba_score):
        found = measure_figures(aaba_score)
        assert found.notes_per_beat == len(aaba_score.step) / 32
        assert found.note_length == pytest.approx(aaba_score.duration.mean() / 4)
        tune = aaba_score.pitch[aaba_score.voice == 0].astype(int)
        steps = [abs(b - a) for a, b in itertools.pairwise(tune)]
        assert found.lead_interval == pytest.approx(sum(steps) / len(steps))
        assert found.scale_consistency == 1
        assert found.repetition_short > 0
        assert found.repetition_long == 0  # of 16 seconds no segment of 15 has room to come back

    def test_without_notes(self):
        empty = Score.from_notes([], [], [], [], [], bar_beats=[0, 4, 8], tempo_bpm=100.0)
        found = measure_figures(empty)
        assert (found.notes_per_beat, found.empty_beats, found.groove_similarity) == (0, 1, 1)
        assert sum(getattr(found, name) is None for name in FIGURES) == len(FIGURES) - 3

    def test_table_has_nan_for_what_is_not_defined(self):
        one = Figures(**(dict.fromkeys(FIGURES, 0.5) | {"polyphony": None}))
        table = figure_table([one, one])
        assert table.shape == (2, len(FIGURES))
        assert np.isnan(table[:, FIGURES.index("polyphony")]).all()
        assert np.nansum(table) == 2 * 0.5 * (len(FIGURES) - 1)
        assert figure_table([]).shape == (0, len(FIGURES))


class TestExcerpts:
    @pytest.mark.parametrize(
        ("n_bars", "expected"),
        [(3, []), (4, [4]), (7, [7]), (8, [8]), (11, [8]), (12, [8] * 2), (23, [8] * 3)],
    )
    def test_as_many_as_there_is_room_for(self, n_bars, expected):
        assert [e.n_bars for e in excerpts(random_score(n_bars), 8)] == expected

    def test_from_the_first_bar_to_the_last(self):
        for n_bars, starts in ((11, [0]), (12, [0, 4]), (19, [0, 11]), (20, [0, 6, 12])):
            score = random_score(n_bars)
            for found, start in zip(excerpts(score, 8), starts, strict=True):
                assert found.pitch.tolist() == score.bars(start, start + 8).pitch.tolist()

    def test_of_silence(self):
        empty = Score.from_notes([], [], [], [], [], bar_beats=regular_bars(8, 4), tempo_bpm=100.0)
        assert excerpts(empty, 4) == []


class TestNoise:
    def test_has_the_notes_of_each_voice_and_the_range(self):
        score = random_score(16)
        noise = noise_like(score, np.random.default_rng(1))
        assert np.bincount(noise.voice).tolist() == np.bincount(score.voice).tolist()
        assert noise.bar_beats.tolist() == score.bar_beats.tolist()
        assert score.pitch.min() <= noise.pitch.min()
        assert noise.pitch.max() <= score.pitch.max()
        assert noise.step.tolist() != score.step.tolist()

    def test_is_even(self):
        noise = noise_like(random_score(400), np.random.default_rng(1))
        steps = np.bincount(noise.step % 16, minlength=16)
        assert steps.min() > 0.7 * steps.mean()
        pitches = np.bincount(noise.pitch - 48, minlength=36)
        assert pitches.min() > 0.6 * pitches.mean()

    def test_follows_its_seed(self):
        score = random_score(8)
        one, again, other = (noise_like(score, np.random.default_rng(s)) for s in (3, 3, 4))
        assert one.pitch.tolist() == again.pitch.tolist() != other.pitch.tolist()


class TestBands:
    def test_percentiles(self):
        table = np.column_stack([np.arange(11.0), np.full(11, NAN), [*[2.0] * 10, NAN]])
        found = bands(table)
        np.testing.assert_array_equal(found, [[1, NAN, 2], [9, NAN, 2]])

    def test_inside_with_both_ends_and_never_undefined(self):
        band = np.array([[1.0, 1, NAN], [2, 2, NAN]])
        table = np.array([[1, 2.1, 1], [2, NAN, 1], [0.9, 1.5, NAN]])
        expected = [[True, False, False], [True, False, False], [False, True, False]]
        assert inside(table, band).tolist() == expected

    def test_means_of_pieces(self):
        table = np.array([[1.0, NAN], [3, NAN], [7, 5], [9, NAN]])
        found = piece_means(table, np.array([4, 4, 6, 6]))
        np.testing.assert_array_equal(found, [[2, NAN], [8, 5]])

    @pytest.mark.parametrize("seed", range(3))
    def test_held_out_is_every_piece_against_the_others(self, seed):
        rng = np.random.default_rng(seed)
        table, piece = rng.normal(size=(30, 2)), np.repeat(np.arange(10), 3)
        found = held_out_inside(table, piece)
        for number in range(10):
            others = table[piece != number]
            low, high = np.percentile(others, 10, axis=0), np.percentile(others, 90, axis=0)
            mine = table[piece == number]
            np.testing.assert_allclose(found[number], ((mine >= low) & (mine <= high)).mean(0))

    def test_one_piece_cannot_be_held_out(self):
        assert held_out_inside(np.ones((3, 2)), np.zeros(3, int)) is None
