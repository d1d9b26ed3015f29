"""Keys bar by bar: the path through them, and songs that are brought into one key."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from singcli.music.key import Key
from singcli.music.modulation import (
    MIN_SEGMENT_BARS,
    _nearest_octave,
    best_path,
    in_reference_key,
    main_key,
    reference_shifts,
)
from singcli.music.score import ACCOMPANIMENT, LEAD, Score, regular_bars

CHORDS = [(0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)]  # C Am F G, a bar each


def song_in_c(n_bars: int, moved: dict[int, int] | None = None, key: str | None = None) -> Score:
    """A tune over four chords in C major; from bar `b` on moved by `moved[b]` semitones."""
    notes = []
    for bar in range(n_bars):
        move = next((m for b, m in sorted((moved or {}).items(), reverse=True) if bar >= b), 0)
        chord, tune = CHORDS[bar % 4], (*CHORDS[bar % 4], 2)
        notes += [(16 * bar, ACCOMPANIMENT, 48 + p + move, 16, 60) for p in chord]
        notes += [(16 * bar + 4 * b, LEAD, 72 + p % 12 + move, 4, 90) for b, p in enumerate(tune)]
    return Score.from_notes(
        *np.array(notes).T,
        bar_beats=regular_bars(n_bars, 4),
        tempo_bpm=100.0,
        key=None if key is None else Key.parse(key),
    )


def best_path_by_trial(fit, change_penalty, min_length):
    """Try all paths whose stays are long enough."""
    n, n_states = fit.shape
    best, found = -np.inf, None
    for path in itertools.product(range(n_states), repeat=n):
        stays = [len(list(group)) for _, group in itertools.groupby(path)]
        if min(stays) < min(min_length, n):
            continue
        value = fit[np.arange(n), path].sum() - change_penalty * (len(stays) - 1)
        if value > best:
            best, found = value, path
    return found


class TestBestPath:
    @pytest.mark.parametrize("seed", range(12))
    @pytest.mark.parametrize("min_length", [1, 2, 3, 9])
    def test_is_the_best_of_all_paths(self, seed, min_length):
        rng = np.random.default_rng(seed)
        fit = rng.normal(size=(8, 3))
        penalty = float(rng.uniform(0, 2))
        path = best_path(fit, change_penalty=penalty, min_length=min_length)
        assert tuple(path) == best_path_by_trial(fit, penalty, min_length)

    def test_one_place(self):
        fit = np.array([[0.0, 2.0, 1.0]])
        assert best_path(fit, change_penalty=1, min_length=8).tolist() == [1]


class TestShifts:
    @pytest.mark.parametrize("semitones", range(-5, 7))
    def test_a_song_in_one_key_moves_as_a_whole(self, semitones):
        score = song_in_c(16).transposed(semitones)
        shifts = reference_shifts(score)
        assert set(shifts) == {-semitones if semitones < 6 else 6}
        assert shifts.shape == (16,)

    @pytest.mark.parametrize("semitones", [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5])
    @pytest.mark.parametrize("key", ["C", None])
    def test_a_late_modulation_is_undone(self, semitones, key):
        score = song_in_c(52, {20: semitones}, key)
        shifts = reference_shifts(score)
        assert set(shifts) == {0, -semitones}
        shared = 1  # a bar at the border may be at home in both keys
        assert abs(int((shifts != 0).sum()) - 32) <= shared
        assert not shifts[: 20 - shared].any()

    def test_the_way_back_is_found_too(self):
        shifts = reference_shifts(song_in_c(36, {12: 1, 24: 0}))
        assert shifts.tolist() == [0] * 12 + [-1] * 12 + [0] * 12

    def test_a_stay_that_is_too_short_is_no_modulation(self):
        short = MIN_SEGMENT_BARS // 2
        assert not reference_shifts(song_in_c(24 + short, {12: 1, 12 + short: 0})).any()

    def test_a_tritone_takes_the_side_of_the_segment_before(self):
        assert _nearest_octave(np.array([0, 6, 6, 0])).tolist() == [0, 6, 6, 0]
        assert _nearest_octave(np.array([0, 11, 6, 6])).tolist() == [0, -1, -6, -6]
        assert _nearest_octave(np.array([0, 1, 6, 7])).tolist() == [0, 1, 6, -5]

    def test_a_known_key_is_the_main_one(self):
        score = song_in_c(32, {8: 2}, "C")
        assert set(reference_shifts(score)[:8]) == {0}
        unknown = dataclasses.replace(score.transposed(5), key=None)
        assert set(reference_shifts(unknown)[8:]) == {5}

    def test_silence_leaves_the_key_alone(self):
        score = Score.from_notes(
            *np.empty((5, 0)), bar_beats=regular_bars(9, 3), tempo_bpm=90, key=Key.parse("D")
        )
        assert reference_shifts(score).tolist() == [-2] * 9

    def test_bars_may_be_of_any_length(self):
        score = dataclasses.replace(song_in_c(16), bar_beats=np.array([0, 3, 8, 9, 40, 64]))
        assert reference_shifts(score).shape == (5,)


class TestMainKey:
    def test_is_that_of_most_bars(self):
        late, early = song_in_c(40, {24: 1}), song_in_c(40, {12: 1})
        assert main_key(late) == Key(0, "major")
        assert main_key(early) == Key(1, "major")

    def test_minor_is_told_from_its_relative(self):
        bass = [(16 * bar, ACCOMPANIMENT, 45, 16, 60) for bar in range(16)]
        tune = [(16 * bar + 8, LEAD, p, 8, 90) for bar in range(16) for p in (64, 69 + bar % 3)]
        score = Score.from_notes(
            *np.array(bass + tune).T, bar_beats=regular_bars(16, 4), tempo_bpm=90
        )
        assert main_key(score) == Key(9, "minor")
        assert in_reference_key(score).key == Key(9, "minor")

    def test_silence_has_none(self):
        score = Score.from_notes(*np.empty((5, 0)), bar_beats=regular_bars(9, 3), tempo_bpm=90)
        assert main_key(score) is None
        assert in_reference_key(score).key == Key(0, "major")


class TestScore:
    def test_every_bar_arrives_in_the_reference_key(self):
        plain = song_in_c(32, key="C")
        found = in_reference_key(song_in_c(32, {20: 1}, "C").transposed(4))
        assert found.key == Key(0, "major")
        for name in ("step", "voice", "pitch", "duration", "velocity"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))

    def test_the_mode_stays(self):
        score = dataclasses.replace(song_in_c(16), key=Key.parse("Am")).transposed(3)
        assert in_reference_key(score).key == Key(9, "minor")

    def test_a_song_in_one_key_moves_as_before(self):
        score = song_in_c(16, key="C").transposed(-4)
        moved = in_reference_key(score)
        wanted = score.transposed(4)
        np.testing.assert_array_equal(moved.pitch, wanted.pitch)
        assert moved.key == wanted.key
