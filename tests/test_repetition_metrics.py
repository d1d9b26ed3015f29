import functools

import numpy as np
import pytest

from singcli.metrics.repetition import (
    MAX_FRAMES,
    PENALTY,
    Repetition,
    fitness_scape_plot,
    frame_beats,
    frame_ssm,
    repetition,
    thresholded,
)
from singcli.music.score import LEAD, Score, regular_bars

STEPS = ((1, 1), (2, 1), (1, 2))


def paths(n, width, row, column=0):
    """All paths from a cell to the last column, as lists of cells; n rows, `width` columns."""
    if column == width - 1:
        yield [(row, column)]
        return
    for down, right in STEPS:
        if row + down < n and column + right < width:
            for rest in paths(n, width, row + down, column + right):
                yield [(row, column), *rest]


def brute_force_fitness(ssm, start, width):
    """The definition, family by family: (sum, cells, covered rows) of the best from a row on."""
    n = len(ssm)
    segment = ssm[:, start : start + width]

    @functools.cache
    def best_from(row):
        if row >= n:
            return (0.0, 0, 0)
        options = [best_from(row + 1)]
        for path in paths(n, width, row):
            end = path[-1][0]
            score, cells, covered = best_from(end + 1)
            gained = sum(segment[cell] for cell in path)
            options.append((score + gained, cells + len(path), covered + end - row + 1))
        return max(options, key=lambda option: option[0])

    score, cells, covered = best_from(0)
    per_cell = max((score - width) / cells, 0) if cells else 0
    coverage = max((covered - width) / n, 0)
    return 2 * per_cell * coverage / (per_cell + coverage) if per_cell + coverage else 0


class TestFitness:
    @pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
    @pytest.mark.parametrize("seed", range(4))
    def test_equals_the_best_of_all_path_families(self, n, seed):
        rng = np.random.default_rng(seed)
        half = rng.uniform(-0.6, 1, (n, n))
        ssm = np.maximum(half, half.T)
        np.fill_diagonal(ssm, 1)
        plot = fitness_scape_plot(ssm)
        for width in range(1, n + 1):
            for start in range(n - width + 1):
                expected = brute_force_fitness(ssm, start, width)
                assert plot[width - 1, start] == pytest.approx(expected, abs=1e-12)
        assert not plot[np.add.outer(np.arange(n), np.arange(n)) >= n].any()

    def test_an_exact_repeat_is_hand_worked(self):
        # A A of four frames: sum 8 over 8 cells, 8 rows; less the segment: 4 / 8 and 4 / 8
        ssm = np.where(np.subtract.outer(np.arange(8), np.arange(8)) % 4 == 0, 1.0, PENALTY)
        plot = fitness_scape_plot(ssm)
        assert plot[3, 0] == pytest.approx(0.5)
        assert plot[3, 4] == pytest.approx(0.5)
        assert plot.max() == pytest.approx(0.5)
        assert plot[7, 0] == 0  # the whole piece explains only itself

    def test_a_piece_without_repeats_has_none(self):
        ssm = np.full((6, 6), PENALTY)
        np.fill_diagonal(ssm, 1)
        assert not fitness_scape_plot(ssm).any()

    def test_of_nothing(self):
        assert fitness_scape_plot(np.zeros((0, 0))).shape == (0, 0)


class TestThreshold:
    def test_hand_worked(self):
        ssm = np.array([[1, 0.9, 0.3], [0.9, 1, 0.5], [0.3, 0.5, 1]])  # 0.15 x 9: one cell, all 1
        expected = np.array([[1, -2, -2], [-2, 1, -2], [-2, -2, 1.0]])
        assert thresholded(ssm).tolist() == expected.tolist()

    def test_keeps_the_share_and_scales_it(self):
        rng = np.random.default_rng(0)
        half = rng.uniform(0, 0.9, (40, 40))
        ssm = np.maximum(half, half.T)
        np.fill_diagonal(ssm, 1)
        found = thresholded(ssm)
        kept = found > PENALTY
        assert kept.mean() == pytest.approx(0.15, abs=1 / 40)
        assert found[kept].min() == 0
        lowest = ssm[kept].min()
        np.testing.assert_allclose(found[kept], (ssm[kept] - lowest) / (1 - lowest))

    def test_a_piece_of_one_repeated_bar_keeps_everything(self):
        assert (thresholded(np.ones((5, 5))) == 1).all()

    def test_silence_resembles_nothing_but_has_its_diagonal(self):
        assert (thresholded(np.zeros((3, 3))) == np.where(np.eye(3), 1, PENALTY)).all()


class TestFrames:
    @pytest.mark.parametrize(("n_beats", "width"), [(12, 2), (13, 3), (2, 4)])
    def test_mean_over_the_beats_at_the_same_place(self, n_beats, width):
        ssm = np.random.default_rng(n_beats).random((n_beats, n_beats)).astype(np.float32)
        found = frame_ssm(ssm, width)
        width = min(width, n_beats)
        assert found.shape == (n_beats // width,) * 2
        for i in range(len(found)):
            for j in range(len(found)):
                pairs = [ssm[i * width + k, j * width + k] for k in range(width)]
                assert found[i, j] == pytest.approx(np.mean(pairs, dtype=np.float64))

    @pytest.mark.parametrize(
        ("n_bars", "beats", "expected"),
        [
            (32, 4, 2),
            (49, 4, 4),
            (96, 4, 4),
            (128, 4, 8),
            (32, 3, 3),
            (8, 6, 3),
            (4, 2, 2),
            (9, 1, 1),
        ],
    )
    def test_a_frame_is_half_a_bar_until_there_are_too_many(self, n_bars, beats, expected):
        score = tune([], n_bars=n_bars, beats_per_bar=beats)
        assert frame_beats(score) == expected
        assert score.n_beats <= MAX_FRAMES * expected


def tune(pitches, *, n_bars, beats_per_bar=4, tempo_bpm=120.0):
    """One note a beat."""
    n = len(pitches)
    return Score.from_notes(
        np.arange(n) * 4,
        np.full(n, LEAD),
        pitches,
        np.full(n, 4),
        np.full(n, 80),
        bar_beats=regular_bars(n_bars, beats_per_bar),
        tempo_bpm=tempo_bpm,
    )


class TestRepetition:
    rng = np.random.default_rng(5)
    a, b = rng.integers(48, 84, 32), rng.integers(48, 84, 32)  # eight bars, 16 seconds
    new = rng.integers(48, 84, 128)

    def test_sections_of_sixteen_seconds_show_at_long_range(self):
        aaba = repetition(tune([*self.a, *self.a, *self.b, *self.a], n_bars=32))
        none = repetition(tune(self.new, n_bars=32))
        # A of 16 of the 64 frames: sum 48 over 48 cells, 48 rows; less A: 32 / 48 and 32 / 64
        assert aaba.long == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5), abs=0.05)
        assert none.long < 0.15
        assert none.short < aaba.short

    def test_a_loop_of_two_bars_shows_at_short_range(self):
        loop = repetition(tune([*self.a[:8]] * 16, n_bars=32))
        assert loop.short > 0.8
        assert loop.short > loop.long

    def test_seconds_follow_the_tempo(self):
        pitches = [*self.a, *self.a, *self.b, *self.a]
        slow = repetition(tune(pitches, n_bars=32, tempo_bpm=60))
        fast = repetition(tune(pitches, n_bars=32, tempo_bpm=240))
        assert slow.long >= fast.long
        assert fast.middle == pytest.approx(repetition(tune(pitches, n_bars=32)).long, abs=0.1)

    def test_not_defined_without_notes_or_without_such_segments(self):
        assert repetition(tune([], n_bars=4)) == Repetition(None, None, None)
        short = repetition(tune(self.a[:8], n_bars=2))  # four seconds
        assert short.short is not None
        assert short.middle is None
        assert short.long is None

    @pytest.mark.parametrize("n_bars", [1, 2, 40])
    def test_stays_in_its_range(self, n_bars):
        found = repetition(tune(self.new[: n_bars * 4], n_bars=n_bars))
        assert all(figure is None or 0 <= figure < 1 for figure in found)
