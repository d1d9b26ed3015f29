import itertools

import numpy as np
import pytest

from singcli.metrics.density import empty_beats, groove_similarity, notes_per_beat, polyphony
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars


def score_of(notes, n_bars=2, bar_beats=None):
    """Build a score from (step, voice, pitch, duration)."""
    step, voice, pitch, duration = zip(*notes, strict=True) if notes else ((), (), (), ())
    beats = regular_bars(n_bars, 4) if bar_beats is None else bar_beats
    return Score.from_notes(
        step, voice, pitch, duration, [80] * len(notes), bar_beats=beats, tempo_bpm=100.0
    )


def random_score(seed, bar_beats=None, n_notes=40):
    rng = np.random.default_rng(seed)
    beats = regular_bars(6, 4) if bar_beats is None else np.array(bar_beats)
    n_steps = int(beats[-1]) * 4
    notes = zip(
        rng.integers(0, n_steps, n_notes),
        rng.integers(0, 2, n_notes),
        rng.integers(48, 84, n_notes),
        rng.integers(1, 9, n_notes),
        strict=True,
    )
    return score_of(list(notes), bar_beats=beats)


def pitches_by_step(score):
    """Which pitches sound in each step, as sets, note by note."""
    sounding = [set() for _ in range(score.n_steps)]
    for step, pitch, duration in zip(score.step, score.pitch, score.duration, strict=True):
        for at in range(step, step + duration):
            sounding[at].add(int(pitch))
    return sounding


def test_hand_worked():
    score = score_of(
        [(0, LEAD, 72, 4), (0, ACCOMPANIMENT, 48, 6), (4, ACCOMPANIMENT, 55, 2), (16, LEAD, 60, 1)]
    )
    assert notes_per_beat(score) == 4 / 8
    assert polyphony(score) == (6 * 2 + 1) / 7
    assert empty_beats(score) == 5 / 8


def test_a_unison_of_both_voices_is_one_pitch():
    assert polyphony(score_of([(0, LEAD, 60, 4), (0, ACCOMPANIMENT, 60, 4)])) == 1


@pytest.mark.parametrize("seed", range(5))
def test_equal_what_sets_of_pitches_tell(seed):
    score = random_score(seed)
    sounding = pitches_by_step(score)
    sizes = [len(pitches) for pitches in sounding if pitches]
    assert polyphony(score) == pytest.approx(sum(sizes) / len(sizes))
    silent = [not any(sounding[at : at + 4]) for at in range(0, score.n_steps, 4)]
    assert empty_beats(score) == pytest.approx(np.mean(silent))
    assert notes_per_beat(score) == pytest.approx(len(score.step) / len(silent))


def test_without_notes():
    score = score_of([])
    assert notes_per_beat(score) == 0
    assert polyphony(score) is None
    assert empty_beats(score) == 1


class TestGrooveSimilarity:
    def test_hand_worked(self):
        # bars 1 and 2 disagree in one step of 16, bar 3 with 1 in two, with 2 in three
        score = score_of(
            [
                *[(0, LEAD, 72, 1), (0, LEAD, 60, 1), (8, ACCOMPANIMENT, 48, 1)],
                *[(16, LEAD, 70, 9), (24, LEAD, 50, 1), (28, LEAD, 51, 1)],
                *[(34, LEAD, 70, 1), (40, LEAD, 50, 1)],
            ],
            n_bars=3,
        )
        assert groove_similarity(score) == pytest.approx(1 - (1 + 2 + 3) / 3 / 16)

    def test_bars_of_one_rhythm_are_1_and_complements_are_0(self):
        same = [(bar * 16 + step, LEAD, 60 + bar + step, 2) for bar in range(4) for step in (0, 6)]
        assert groove_similarity(score_of(same, n_bars=4)) == 1
        complement = [(step + 16 * (step % 2), LEAD, 60, 1) for step in range(16)]
        assert groove_similarity(score_of(complement)) == 0

    @pytest.mark.parametrize("bar_beats", [None, [0, 4, 7, 10, 14, 15, 19]])
    @pytest.mark.parametrize("seed", range(4))
    def test_equals_xor_of_all_pairs_of_bars_of_the_same_length(self, seed, bar_beats):
        score = random_score(seed, bar_beats)
        bars = [
            [at in score.step for at in range(4 * a, 4 * b)]
            for a, b in itertools.pairwise(score.bar_beats)
        ]
        similarities = [
            1 - sum(x != y for x, y in zip(one, other, strict=True)) / len(one)
            for one, other in itertools.combinations(bars, 2)
            if len(one) == len(other)
        ]
        assert groove_similarity(score) == pytest.approx(np.mean(similarities))

    def test_empty_bars_agree_and_one_bar_has_no_groove(self):
        assert groove_similarity(score_of([])) == 1
        assert groove_similarity(score_of([(0, LEAD, 60, 1)], n_bars=1)) is None
        assert groove_similarity(score_of([], bar_beats=[0, 3, 7])) is None
