import numpy as np
import pytest

from singcli.metrics.histograms import (
    HISTOGRAMS,
    MAX_DURATION_STEPS,
    MAX_INTERVAL,
    MAX_ONSETS,
    Histograms,
    overlapping_area,
)
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars


def score_of(notes, n_bars=2):
    """Build a score from (step, voice, pitch, duration)."""
    step, voice, pitch, duration = zip(*notes, strict=True) if notes else ((), (), (), ())
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        [80] * len(notes),
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100.0,
    )


NOTES = [
    (0, LEAD, 72, 4),
    (4, LEAD, 74, 2),
    (6, LEAD, 71, 2),
    (8, LEAD, 72, 8),
    (0, ACCOMPANIMENT, 48, 16),
    (0, ACCOMPANIMENT, 52, 16),
    (0, ACCOMPANIMENT, 55, 16),
    (16, ACCOMPANIMENT, 43, 16),
]


def as_dict(counts, first):
    return {int(i) + first: int(counts[i]) for i in np.flatnonzero(counts)}


class TestHistograms:
    def test_hand_worked(self):
        found = Histograms.from_score(score_of(NOTES))
        assert as_dict(found.pitch_class, 0) == {0: 3, 2: 1, 4: 1, 7: 2, 11: 1}
        assert as_dict(found.duration, 1) == {2: 2, 4: 1, 8: 1, 16: 4}
        assert as_dict(found.lead_duration, 1) == {2: 2, 4: 1, 8: 1}
        assert as_dict(found.lead_interval, -MAX_INTERVAL) == {2: 1, -3: 1, 1: 1}
        assert as_dict(found.interval, -MAX_INTERVAL) == {2: 1, -3: 1, 1: 1, 4: 1, 3: 1, -12: 1}
        assert as_dict(found.density, 0) == {0: 4, 1: 2, 2: 1, 4: 1}

    @pytest.mark.parametrize("shift", [-5, 1, 6])
    def test_pitch_classes_do_not_change_when_the_music_is_transposed(self, shift):
        moved = [(step, voice, pitch + shift, length) for step, voice, pitch, length in NOTES]
        one, other = (Histograms.from_score(score_of(notes)) for notes in (NOTES, moved))
        for name in HISTOGRAMS:
            assert getattr(one, name).tolist() == getattr(other, name).tolist()

    def test_what_is_beyond_the_last_class_is_counted_there(self):
        crowd = [(0, ACCOMPANIMENT, pitch, 64) for pitch in range(40, 60)]
        found = Histograms.from_score(
            score_of([*crowd, (0, LEAD, 30, 1), (4, LEAD, 90, 1)], n_bars=4)
        )
        assert as_dict(found.duration, 1) == {1: 2, MAX_DURATION_STEPS: 20}
        assert as_dict(found.lead_interval, -MAX_INTERVAL) == {MAX_INTERVAL: 1}
        assert found.density[MAX_ONSETS] == 1

    def test_sum_and_emptiness(self):
        one, empty = Histograms.from_score(score_of(NOTES)), Histograms.from_score(score_of([]))
        both = Histograms.sum([one, one, empty])
        assert (both.duration == 2 * one.duration).all()
        assert both.density[0] == 2 * one.density[0] + 8
        assert not empty.pitch_class.any()


class TestOverlappingArea:
    def test_perfect_disjoint_and_hand_worked(self):
        assert overlapping_area(np.array([1, 3, 0]), np.array([2, 6, 0])) == 1
        assert overlapping_area(np.array([1, 0]), np.array([0, 5])) == 0
        assert overlapping_area(np.array([1, 1, 2]), np.array([3, 1, 0])) == 0.25 + 0.25

    @pytest.mark.parametrize("seed", range(5))
    def test_is_one_minus_the_total_variation_distance(self, seed):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 20, (2, 30))
        distance = np.abs(a / a.sum() - b / b.sum()).sum() / 2
        assert overlapping_area(a, b) == pytest.approx(1 - distance)
        assert overlapping_area(a, b) == overlapping_area(b, a)

    def test_of_an_empty_histogram(self):
        assert overlapping_area(np.zeros(3, int), np.array([1, 0, 0])) is None

    def test_of_different_classes(self):
        with pytest.raises(ValueError, match="histograms of"):
            overlapping_area(np.ones(3, int), np.ones(4, int))
