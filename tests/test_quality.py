"""Template quality: figures on made matrices, warnings with remedies, and the yardstick."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.errors import InputError
from singcli.music.score import Score, regular_bars
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.quality import TemplateQuality, measure_quality, validate_quality
from singcli.structure.section import Span
from singcli.structure.ssm import ssm_from_score
from singcli.structure.ssm_file import Provenance, Structure
from singcli.structure.template_reference import (
    LAGS_BARS,
    PERCENTILES,
    SHARES,
    TemplateReference,
    bundled_reference,
    lag_profile,
)


def structure(ssm, *, bar_beats=None, kind="midi"):
    ssm = np.asarray(ssm, np.float32)
    bars = regular_bars(len(ssm) // 4, 4) if bar_beats is None else np.asarray(bar_beats, np.int32)
    return Structure(
        ssm=ssm,
        bar_beats=bars,
        beat_s=np.arange(len(ssm)) * 0.5,
        sections=(Span("A", 0, len(bars) - 1),),
        tempo_bpm=120.0,
        meter="4/4",
        key=None,
        provenance=Provenance(kind, "x", ""),
    )


def symmetric(values):
    below = np.tril(values, -1)
    return below + below.T + np.eye(len(values))


def song_score(form="ABACAB", seed=1):
    """Sections of 8 bars in C: two-bar phrases over chords; a label is the same music again."""
    rng = np.random.default_rng(seed)
    music = {}
    for label in form:
        if label not in music:
            scale = rng.permutation([0, 2, 4, 5, 7, 9, 11])
            phrases = [
                [(step, 0, 60 + int(rng.choice(scale)), 2, 80) for step in range(0, 32, 2)]
                + [
                    (step, 1, 48 + int(root) + third, 8, 60)
                    for step, root in zip(range(0, 32, 8), rng.choice(scale, 4), strict=True)
                    for third in (0, 4, 7)
                ]
                for _ in range(4)
            ]
            music[label] = phrases
    notes = [
        (8 * 16 * place + 32 * number + step, *rest)
        for place, label in enumerate(form)
        for number, phrase in enumerate(music[label])
        for step, *rest in phrase
    ]
    columns = np.array(notes).T
    return Score.from_notes(*columns, bar_beats=regular_bars(8 * len(form), 4), tempo_bpm=120.0)


@pytest.fixture(scope="module")
def song():
    return structure(ssm_from_score(song_score()))


def words(quality):
    return "; ".join(warning.what for warning in quality.warnings)


class TestFigures:
    def test_a_song_that_repeats_half_of_it(self, song):
        quality = measure_quality(song)
        assert quality.repeating == pytest.approx(0.5, abs=0.06)  # A, A and B come back
        assert quality.new_bars == pytest.approx(24, abs=3)
        assert quality.coherence > 0.9
        assert quality.silence == 0
        (first, second) = quality.bars_without_source
        assert first[0] == 0
        assert first[1] == pytest.approx(16, abs=1)
        assert second == pytest.approx((24, 32), abs=1)
        beats = [beat for run in quality.beats_without_source for beat in range(*run)]
        assert {*range(52), *range(100, 124)} <= set(beats)
        assert not {*range(68, 92), *range(132, 192)} & set(beats)

    def test_runs_cover_what_does_not_repeat(self, song):
        quality = measure_quality(song)
        beats = sum(stop - first for first, stop in quality.beats_without_source)
        assert beats == pytest.approx((1 - quality.repeating) * song.n_beats)
        assert quality.new_bars * 4 == beats

    @given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
    def test_figures_are_in_their_ranges_whatever_the_matrix(self, n_bars, n_beats, seed):
        rng = np.random.default_rng(seed)
        n = n_bars * n_beats
        ssm = symmetric(rng.random((n, n)))
        silent = rng.random(n) < rng.choice([0, 0.3, 1])
        ssm[silent] = ssm[:, silent] = 0
        quality = measure_quality(structure(ssm, bar_beats=regular_bars(n_bars, n_beats)))
        for name in ("repeating", "contrast", "silence", "irregular"):
            assert 0 <= getattr(quality, name) <= 1, name
        assert -1 <= quality.coherence <= 1
        assert 0 <= quality.value_percentile <= 100
        assert 0 <= quality.lag_percentile <= 100
        assert 0 <= quality.new_bars <= n_bars

    def test_a_known_repeat_map_gives_the_same(self, song):
        from singcli.structure.alignment import repeat_map_from_ssm

        known = repeat_map_from_ssm(song.ssm)
        assert measure_quality(song, repeats=known) == measure_quality(song)


class TestWarnings:
    def test_none_of_a_song(self, song):
        reference = TemplateReference.from_structures(
            [structure(ssm_from_score(song_score(seed=seed))) for seed in range(8)] + [song], "made"
        )
        reference = dataclasses.replace(reference, n_bars=(13, 210))
        assert measure_quality(song, reference=reference).warnings == ()

    def test_every_one_has_a_remedy_and_no_full_stop(self):
        rng = np.random.default_rng(0)
        seen = 0
        for ssm in (symmetric(rng.random((64, 64))), np.full((64, 64), 0.9), np.zeros((64, 64))):
            for warning in measure_quality(structure(ssm)).warnings:
                seen += 1
                assert warning.what
                assert warning.remedy
                assert not (warning.what + warning.remedy).endswith(".")
        assert seen >= 5

    def test_random_matrix(self):
        ssm = symmetric(np.random.default_rng(0).random((192, 192)))
        assert "not stretches" in words(measure_quality(structure(ssm)))

    def test_shuffled_beats(self, song):
        order = np.random.default_rng(0).permutation(song.n_beats)
        quality = measure_quality(structure(song.ssm[np.ix_(order, order)]))
        assert "not stretches" in words(quality)

    @pytest.mark.parametrize("level", [0.0, 0.3, 0.9, 1.0])
    def test_flat_matrix(self, level):
        quality = measure_quality(structure(symmetric(np.full((128, 128), level))))
        assert "nearly as like one another" in words(quality)
        assert quality.contrast == 0

    def test_one_bar_repeated(self):
        pitch = [60, 67, 64, 72] * 40
        ones = np.ones(160, int)
        score = Score.from_notes(
            np.arange(160) * 4, 0 * ones, pitch, ones * 4, ones * 80,
            bar_beats=regular_bars(40, 4), tempo_bpm=100.0,
        )  # fmt: skip
        quality = measure_quality(structure(ssm_from_score(score)))
        assert quality.repeating > 0.9
        assert "no second idea" in words(quality)

    def test_nothing_comes_back(self):
        quality = measure_quality(structure(ssm_from_score(song_score("ABCDEFGH"))))
        assert "hardly repeat" in words(quality)
        assert "--form" in quality.warnings[0].remedy

    def test_silence_is_all_there_is_to_say(self):
        quality = measure_quality(structure(np.zeros((64, 64))))
        assert [warning.what for warning in quality.warnings] == ["nothing sounds in it"]

    def test_much_silence(self, song):
        ssm = song.ssm.copy()
        ssm[:40] = ssm[:, :40] = 0
        assert "21% of the beats are silent" in words(measure_quality(structure(ssm)))

    def test_drawn_from_a_form(self):
        form = form_from_string("AABA")
        drawn = structure(ssm_from_form(form), kind="form")
        remedies = [warning.remedy for warning in measure_quality(drawn).warnings]
        assert "give the form itself: --preset or --form" in remedies

    @pytest.mark.parametrize(("n_bars", "remedy"), [(4, "repeat it"), (240, "cut it")])
    def test_length_outside_of_training(self, n_bars, remedy):
        ssm = symmetric(np.full((4 * n_bars, 4 * n_bars), 0.4))
        found = [w for w in measure_quality(structure(ssm)).warnings if "trained on 13" in w.what]
        assert len(found) == 1
        assert remedy in found[0].remedy

    def test_meter_outside_of_training(self):
        ssm = symmetric(np.full((100, 100), 0.4))
        quality = measure_quality(structure(ssm, bar_beats=regular_bars(20, 5)))
        assert "bars have 5 quarter notes; the model was trained on 3/4 or 4/4" in words(quality)

    def test_uneven_bars(self, song):
        bars = np.cumsum([0] + [3, 5] * 6 + [4] * 36)
        quality = measure_quality(structure(song.ssm, bar_beats=bars))
        assert quality.irregular == pytest.approx(11 / 46)
        assert "24% of the bars are not of the usual length" in words(quality)


class TestStrict:
    def test_refuses_what_there_is_a_warning_of(self):
        quality = measure_quality(structure(np.zeros((64, 64))))
        with pytest.raises(InputError, match=r"^template x\.mid: nothing sounds in it$") as caught:
            validate_quality(quality, "x.mid")
        assert caught.value.remedy == "choose another template"
        assert caught.value.exit_code == 2

    def test_lets_others_pass(self):
        good = TemplateQuality(0.6, 20, 0.95, 0.2, 0, 0, 50, 50, (), ())
        validate_quality(good, "x.mid")


class TestReference:
    def test_the_bundled_one_was_measured_on_the_training_songs(self):
        reference = bundled_reference()
        assert reference.source.startswith("POP909, 726 training songs (MIT")
        assert reference.beats_per_bar == (3, 4)
        assert len(reference.values) == len(SHARES)
        assert len(reference.lags) == len(LAGS_BARS)
        for distances in (reference.value_distances, reference.lag_distances):
            assert len(distances) == len(PERCENTILES)
            assert (np.diff(distances) >= 0).all()

    def test_text_reads_back_equal(self):
        reference = bundled_reference()
        assert TemplateReference.from_toml(reference.to_toml().encode()) == reference

    def test_a_member_is_among_its_own(self, song):
        reference = TemplateReference.from_structures([song] * 3, "one song")
        assert reference.distances(song) == pytest.approx((0, 0), abs=1e-3)
        assert reference.n_bars == (48, 48)
        flat = structure(symmetric(np.full((192, 192), 0.9)))
        assert reference.percentiles(flat) == (100, 100)

    def test_lags_are_counted_in_bars(self):
        lag = np.abs(np.subtract.outer(np.arange(24), np.arange(24)))
        every_bar = structure((lag % 3 == 0).astype(float), bar_beats=regular_bars(8, 3))
        profile = lag_profile(every_bar)
        np.testing.assert_array_equal(profile[2:7], 1)  # 1 to 6 bars
        assert profile[0] == 0  # a beat
        assert np.isnan(profile[7:]).all()  # 8 bars and more: behind the end


class TestBenchmark:
    @pytest.fixture
    def script(self, monkeypatch):
        folder = Path(__file__).resolve().parent.parent / "benchmarks"
        monkeypatch.syspath_prepend(str(folder))
        return importlib.import_module("template_quality")

    def test_pieces_follow_one_another_with_all_their_notes(self, script, aaba_score):
        twice = script.joined([aaba_score, aaba_score.bars(0, 3)])
        assert twice.n_bars == 11
        assert twice.bars(0, 8).n_notes == aaba_score.n_notes
        np.testing.assert_array_equal(twice.bars(8, 11).step, aaba_score.bars(0, 3).step)

    def test_shuffled_bars_keep_the_beats_of_a_bar_together(self, script, aaba_score):
        moved = script.shuffled_bars(aaba_score, np.random.default_rng(0))
        ssm = ssm_from_score(aaba_score)
        blocks = {ssm[i : i + 4, i : i + 4].tobytes() for i in range(0, 32, 4)}
        assert {moved[i : i + 4, i : i + 4].tobytes() for i in range(0, 32, 4)} == blocks

    def test_made_matrices_are_symmetric(self, script):
        rng = np.random.default_rng(0)
        for make in (script.random_matrix, script.flat_matrix):
            ssm = make(16, rng)
            np.testing.assert_array_equal(ssm, ssm.T)
            assert set(np.diagonal(ssm)) == {1}

    def test_rank_correlation(self, script):
        assert script.rank_correlation([1, 2, 3], [10, 20, 1000]) == pytest.approx(1)
        assert script.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
        assert script.rank_correlation([1, 1, 1], [3, 2, 1]) is None
        assert script.mean_ranks(np.array([5.0, 1.0, 5.0])).tolist() == [1.5, 0, 1.5]
