import numpy as np
import pytest
from scipy import stats

from singcli.metrics.tonality import key_clarity, pitch_class_entropy, scale_consistency
from singcli.music.score import LEAD, Score, regular_bars

MAJOR, NATURAL_MINOR = {0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 10}
KRUMHANSL_KESSLER = [
    [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
]


def line(pitches, durations=None, n_bars=None):
    """One note a beat."""
    n = len(pitches)
    return Score.from_notes(
        np.arange(n) * 4,
        np.full(n, LEAD),
        pitches,
        np.full(n, 1) if durations is None else durations,
        np.full(n, 80),
        bar_beats=regular_bars(n_bars or max(-(-n // 4), 1), 4),
        tempo_bpm=100.0,
    )


def random_line(seed, n=50):
    rng = np.random.default_rng(seed)
    return line(
        rng.integers(40, 90, n), rng.integers(1, 5, n), n_bars=14
    )  # an empty bar at the end


class TestPitchClassEntropy:
    def test_hand_worked(self):
        score = line([60, 72, 48, 60, 60, 67, 64, 62])  # one pitch class, then four
        assert pitch_class_entropy(score, window_bars=1) == (0 + 2) / 2
        shares = np.array([5, 1, 1, 1]) / 8
        assert pitch_class_entropy(score, window_bars=2) == pytest.approx(-shares @ np.log2(shares))

    def test_all_pitch_classes_are_the_maximum(self):
        score = line(range(60, 72))
        assert pitch_class_entropy(score, window_bars=3) == pytest.approx(np.log2(12))

    @pytest.mark.parametrize("window_bars", [1, 4])
    @pytest.mark.parametrize("seed", range(4))
    def test_agrees_with_scipy(self, seed, window_bars):
        score = random_line(seed)
        entropies = []
        for first in range(score.n_bars - window_bars + 1):
            start, stop = first * 16, (first + window_bars) * 16
            notes = score.pitch[(score.step >= start) & (score.step < stop)]
            if len(notes):
                entropies.append(
                    stats.entropy(np.unique(notes % 12, return_counts=True)[1], base=2)
                )
        found = pitch_class_entropy(score, window_bars=window_bars)
        assert found == pytest.approx(np.mean(entropies))

    def test_a_piece_shorter_than_a_window_is_one_window(self):
        score = line([60, 62])
        assert pitch_class_entropy(score, window_bars=4) == 1

    def test_without_notes_and_without_a_window(self):
        assert pitch_class_entropy(line([]), window_bars=1) is None
        with pytest.raises(ValueError, match="window_bars = 0"):
            pitch_class_entropy(line([60]), window_bars=0)


class TestScaleConsistency:
    def test_perfect_and_hand_worked(self):
        assert scale_consistency(line([62, 64, 66, 67, 69, 71, 73])) == 1  # D major
        assert scale_consistency(line([60, 62, 64, 65, 67, 69, 71, 66])) == 7 / 8
        assert scale_consistency(line(range(60, 72))) == 7 / 12

    @pytest.mark.parametrize("seed", range(5))
    def test_equals_the_best_of_24_scales(self, seed):
        score = random_line(seed)
        shares = [
            np.mean([(pitch - tonic) % 12 in scale for pitch in score.pitch.tolist()])
            for tonic in range(12)
            for scale in (MAJOR, NATURAL_MINOR)
        ]
        assert scale_consistency(score) == pytest.approx(max(shares))

    def test_without_notes(self):
        assert scale_consistency(line([])) is None


class TestKeyClarity:
    @pytest.mark.parametrize("seed", range(5))
    def test_equals_pearsons_correlation_with_the_best_of_24_profiles(self, seed):
        score = random_line(seed)
        weights = np.zeros(12)
        for pitch, duration in zip(score.pitch, score.duration, strict=True):
            weights[pitch % 12] += duration
        r = {
            (tonic, mode): stats.pearsonr(weights, np.roll(profile, tonic))[0]
            for tonic in range(12)
            for mode, profile in zip(("major", "minor"), KRUMHANSL_KESSLER, strict=True)
        }
        assert key_clarity(score) == pytest.approx(max(r.values()))

    def test_a_scale_is_clearer_than_a_chromatic_line(self):
        c_major = line([60, 62, 64, 65, 67, 69, 71, 72])
        chromatic = line(range(60, 71))
        assert 0 <= key_clarity(chromatic) < 0.5 < key_clarity(c_major) <= 1

    def test_not_defined_where_nothing_or_everything_sounds_equally_long(self):
        assert key_clarity(line([])) is None
        assert key_clarity(line(range(60, 72))) is None
