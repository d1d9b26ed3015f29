import dataclasses

import numpy as np
import pytest

from singcli.metrics import guards
from singcli.metrics.guards import GUARDS, mean_guards, measure_guards, random_excerpt
from singcli.music.key import Key
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

C_MAJOR = Key(0, "major")


def score_of(notes, n_bars=2, key=C_MAJOR, bar_beats=None):
    """Build a score from (step, voice, pitch, duration)."""
    step, voice, pitch, duration = zip(*notes, strict=True) if notes else ((), (), (), ())
    beats = regular_bars(n_bars, 4) if bar_beats is None else bar_beats
    return Score.from_notes(
        step,
        voice,
        pitch,
        duration,
        [80] * len(notes),
        bar_beats=beats,
        tempo_bpm=100.0,
        key=key,
    )


def random_score(seed, n_bars=6):
    rng = np.random.default_rng(seed)
    n = 80
    return Score.from_notes(
        rng.integers(0, n_bars * 16, n),
        rng.integers(0, 2, n),
        rng.integers(48, 84, n),
        rng.integers(1, 9, n),
        rng.integers(40, 100, n),
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100.0,
        key=C_MAJOR,
    )


HAND_WORKED = score_of(
    [
        (0, LEAD, 72, 4),
        (4, LEAD, 74, 4),  # a second
        (8, LEAD, 88, 2),  # 14 semitones: a leap
        (8, LEAD, 60, 2),  # below the tune
        (0, ACCOMPANIMENT, 48, 16),
        (16, ACCOMPANIMENT, 49, 4),  # not in C major
    ]
)


class TestHandWorked:
    def test_counts(self):
        report = measure_guards(HAND_WORKED)
        assert report.n_bars == 2
        assert report.notes_per_step == 6 / 32
        assert report.distinct_pitches == 6
        assert report.empty_steps == 12 / 32
        assert report.mean_polyphony == (4 + 4 + 2 + 2 + 16 + 4) / 32
        assert report.out_of_key == 1 / 6
        assert report.unique_bars == 1
        assert report.lead_leaps == 1 / 2
        assert report.lead_seconds == 1 / 2
        assert report.lead_spread == pytest.approx(np.std([72, 74, 88]))

    def test_beats(self):
        # strike+strike, strike+hold, two strikes+hold, hold, strike, then three silent ones
        assert guards.unique_beats(HAND_WORKED) == 6 / 8

    def test_a_struck_and_a_held_beat_are_not_the_same(self):
        held = score_of([(0, LEAD, 60, 8)], n_bars=1)
        struck = score_of([(0, LEAD, 60, 4), (4, LEAD, 60, 4)], n_bars=1)
        assert guards.unique_beats(held) == 3 / 4
        assert guards.unique_beats(struck) == 2 / 4

    def test_a_unison_of_both_voices_is_one_pitch(self):
        unison = score_of([(0, LEAD, 60, 32), (0, ACCOMPANIMENT, 60, 32)])
        assert guards.mean_polyphony(unison) == 1
        assert guards.distinct_pitches(unison) == 1
        assert guards.notes_per_step(unison) == 2 / 32

    def test_the_tune_is_the_highest_lead_note_of_each_step(self):
        score = score_of([(0, LEAD, 60, 1), (0, LEAD, 64, 1), (4, LEAD, 62, 1), (0, 1, 90, 1)])
        np.testing.assert_array_equal(guards.lead_intervals(score), [-2])

    def test_a_repeated_note_is_not_a_second(self):
        score = score_of([(0, LEAD, 60, 1), (4, LEAD, 60, 1)])
        assert guards.lead_seconds(score) == 0

    def test_an_octave_is_not_yet_a_leap(self):
        assert guards.lead_leaps(score_of([(0, LEAD, 60, 1), (4, LEAD, 72, 1)])) == 0
        assert guards.lead_leaps(score_of([(0, LEAD, 60, 1), (4, LEAD, 73, 1)])) == 1

    def test_bars_of_different_lengths_differ_even_when_silent(self):
        silent = score_of([], bar_beats=np.array([0, 4, 7, 11]))
        assert guards.unique_bars(silent) == 2 / 3


class TestEmpty:
    def test_silence(self):
        report = measure_guards(score_of([]))
        assert report.empty_steps == 1
        assert report.unique_beats == 1 / 8
        assert report.unique_bars == 1 / 2
        zero = set(GUARDS) - {"empty_steps", "unique_beats", "unique_bars"}
        assert {getattr(report, name) for name in zero} == {0}

    def test_no_bars_at_all(self):
        report = measure_guards(score_of([], n_bars=0))
        assert {getattr(report, name) for name in GUARDS} == {0}

    def test_no_key_no_figure(self):
        assert measure_guards(score_of([(0, LEAD, 60, 1)], key=None)).out_of_key is None


class TestInvariants:
    @pytest.mark.parametrize("seed", range(25))
    def test_shares_are_shares(self, seed):
        report = measure_guards(random_score(seed))
        for name in ("empty_steps", "unique_beats", "unique_bars", "out_of_key", "lead_leaps"):
            assert 0 <= getattr(report, name) <= 1

    @pytest.mark.parametrize("seed", range(25))
    def test_transposition_changes_nothing(self, seed):
        score = random_score(seed)
        before = dataclasses.asdict(measure_guards(score))
        assert dataclasses.asdict(measure_guards(score.transposed(3))) == pytest.approx(before)

    @pytest.mark.parametrize("seed", range(5))
    def test_playing_it_twice_halves_what_is_unique(self, seed):
        score = random_score(seed)
        again = Score.from_notes(
            np.r_[score.step, score.step + score.n_steps],
            np.tile(score.voice, 2),
            np.tile(score.pitch, 2),
            np.tile(score.duration, 2),
            np.tile(score.velocity, 2),
            bar_beats=regular_bars(2 * score.n_bars, 4),
            tempo_bpm=100.0,
        )
        assert guards.unique_bars(again) == guards.unique_bars(score) / 2
        assert guards.notes_per_step(again) == guards.notes_per_step(score)


class TestMeanGuards:
    def test_averages_what_is_known(self):
        with_key = measure_guards(HAND_WORKED)
        without = measure_guards(score_of([], key=None))
        means = mean_guards([with_key, without])
        assert means["notes_per_step"] == pytest.approx(3 / 32)
        assert means["out_of_key"] == pytest.approx(1 / 6)
        assert tuple(means) == GUARDS

    def test_of_nothing(self):
        assert set(mean_guards([]).values()) == {None}


class TestRandomExcerpt:
    def test_stays_inside_the_music(self):
        score = score_of([(33, LEAD, 60, 1), (70, LEAD, 62, 12)], n_bars=9)  # bars 2 to 5
        starts = set()
        for seed in range(40):
            excerpt = random_excerpt(score, n_bars=3, rng=np.random.default_rng(seed))
            assert excerpt.n_bars == 3
            starts.add(tuple(excerpt.step))
        assert starts == {(1, 38), (22,)}

    def test_too_short_or_silent(self):
        rng = np.random.default_rng(0)
        score = score_of([(33, LEAD, 60, 1), (70, LEAD, 62, 12)], n_bars=9)
        assert random_excerpt(score, n_bars=5, rng=rng) is None
        assert random_excerpt(score_of([], n_bars=9), n_bars=1, rng=rng) is None

    def test_the_whole_music(self):
        score = score_of([(33, LEAD, 60, 1), (70, LEAD, 62, 12)], n_bars=9)
        excerpt = random_excerpt(score, n_bars=4, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(excerpt.step, [1, 38])
