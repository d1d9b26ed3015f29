from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.metrics.structure import bar_overlap_map, same_label_overlap
from singcli.model.contract import DURATIONS
from singcli.model.plan import Given, Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.roll import sounding_roll
from singcli.music.score import ACCOMPANIMENT, LEAD, N_VOICES, Score, regular_bars
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.known_repeats import known_repeats

TINY = Path(__file__).parent / "data" / "tiny.onnx"
FORM = form_from_string("A2 A2 B2 A2")
PLAN = Plan(ssm=ssm_from_form(FORM), bar_beats=FORM.bar_beats, kind="form")


@pytest.fixture(scope="module")
def runtime():
    return Runtime.open(TINY)


def notes(score: Score):
    columns = (score.step, score.voice, score.pitch, score.duration)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_seed_makes_one_song_and_another_seed_another(runtime):
    one, same, other = (
        sample_scores(runtime, [PLAN], [seed], SamplingOptions())[0] for seed in (1, 1, 2)
    )
    assert notes(one) == notes(same)
    assert notes(one) != notes(other)
    assert one.n_notes > 10


@pytest.mark.parametrize("candidates", [1, 3])
def test_a_song_does_not_depend_on_the_songs_beside_it(runtime, candidates):
    options = SamplingOptions(candidates=candidates, steering=0.5)
    short_form = form_from_string("A2 B1")
    short = Plan(ssm=ssm_from_form(short_form), bar_beats=short_form.bar_beats, kind="form")
    together = sample_scores(runtime, [PLAN, short, PLAN], [4, 5, 6], options)
    for plan, seed, song in zip([PLAN, short, PLAN], [4, 5, 6], together, strict=True):
        alone = sample_scores(runtime, [plan], [seed], options)[0]
        assert notes(alone) == notes(song)
        assert song.n_bars == len(plan.bar_beats) - 1


def test_full_strictness_repeats_note_for_note(runtime):
    songs = sample_scores(runtime, [PLAN] * 3, [0, 2, 3], SamplingOptions(strictness=1))
    for song in songs:
        assert song.bars(0, 2).n_notes
        first = [(s, v, p) for s, v, p, _ in notes(song.bars(0, 2))]
        assert [(s, v, p) for s, v, p, _ in notes(song.bars(2, 4))] == first


def test_strictness_raises_the_overlap_of_repeats(runtime):
    means = []
    for strictness in (0, 0.25, 0.5, 0.75, 1):
        options = SamplingOptions(strictness=strictness)
        songs = sample_scores(runtime, [PLAN] * 8, range(8), options)
        means.append(np.mean([same_label_overlap(bar_overlap_map(s), FORM) for s in songs]))
    assert means == sorted(means)
    assert means[-1] > means[0] + 0.1


def test_steering_brings_the_music_nearer_to_the_wanted_matrix():
    from singcli.generate import model_path
    from singcli.metrics.structure import structure_correlation
    from singcli.structure.ssm import ssm_from_score

    runtime = Runtime.open(model_path("pop"))  # an untrained network has little to be steered

    def mean_r(candidates):
        options = SamplingOptions(candidates=candidates, steering=0.8)
        songs = sample_scores(runtime, [PLAN] * 6, range(6), options)
        return np.mean([structure_correlation(PLAN.ssm, ssm_from_score(song)) for song in songs])

    assert mean_r(8) > mean_r(1) + 0.1


def test_known_repeats_keep_the_overlap_that_is_wanted(runtime):
    form = form_from_string("A8 A8 A8")
    for strictness in (0.1, 0.5, 0.9):
        plan = Plan(
            ssm_from_form(form), form.bar_beats, "form", known=known_repeats(form, strictness)
        )
        songs = sample_scores(runtime, [plan] * 6, range(6), SamplingOptions())
        overlap = np.mean([same_label_overlap(bar_overlap_map(song), form) for song in songs])
        low = {0.1: 0.05, 0.5: 0.35, 0.9: 0.8}[strictness]  # two returns resemble each other less
        assert low < overlap < strictness + 0.1


def test_a_template_is_silent_where_its_matrix_is(runtime):
    ssm = PLAN.ssm.copy()
    ssm[8:12], ssm[:, 8:12] = 0.0, 0.0
    plan = Plan(ssm, PLAN.bar_beats, "music")
    for candidates in (1, 4):
        song = sample_scores(runtime, [plan], [0], SamplingOptions(candidates=candidates))[0]
        sounding = sounding_roll(song).any(axis=(1, 2))
        assert not sounding[32:48].any()
        assert sounding[:32].any()
        assert sounding[48:].any()


def test_given_voices_are_kept_and_the_other_is_written(runtime, aaba_score):
    mask = np.zeros((aaba_score.n_steps, N_VOICES), np.bool_)
    mask[:, LEAD] = True
    plan = Plan(
        ssm=PLAN.ssm,
        bar_beats=aaba_score.bar_beats,
        kind="form",
        given=Given(aaba_score, mask),
    )
    song = sample_scores(runtime, [plan], [3], SamplingOptions())[0]
    lead = [note for note in notes(song) if note[1] == LEAD]
    assert lead == [note for note in notes(aaba_score) if note[1] == LEAD]
    assert any(voice == ACCOMPANIMENT for _, voice, _, _ in notes(song))


def test_given_bars_are_kept_and_the_rest_is_written_anew(runtime, aaba_score):
    mask = np.zeros((aaba_score.n_steps, N_VOICES), np.bool_)
    mask[:64] = True
    plan = Plan(PLAN.ssm, aaba_score.bar_beats, "form", given=Given(aaba_score, mask))
    song = sample_scores(runtime, [plan], [3], SamplingOptions(candidates=2, steering=0.5))[0]
    assert notes(song.bars(0, 4)) == notes(aaba_score.bars(0, 4))
    assert notes(song.bars(4, 8)) != notes(aaba_score.bars(4, 8))


def test_silence_that_is_given_stays_silent(runtime, aaba_score):
    empty = aaba_score.bars(0, 0)
    silence = Score.from_notes([], [], [], [], [], bar_beats=aaba_score.bar_beats, tempo_bpm=100)
    assert empty.n_notes == 0
    mask = np.ones((silence.n_steps, N_VOICES), np.bool_)
    plan = Plan(PLAN.ssm, silence.bar_beats, "form", given=Given(silence, mask))
    assert sample_scores(runtime, [plan], [0], SamplingOptions())[0].n_notes == 0


@pytest.mark.parametrize("beats_per_bar", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["form", "none"])
def test_other_meters_and_no_matrix_work(runtime, beats_per_bar, kind):
    bars = regular_bars(4, beats_per_bar)
    ssm = np.full((bars[-1], bars[-1]), 0.7, np.float32)
    song = sample_scores(runtime, [Plan(ssm, bars, kind)], [0], SamplingOptions())[0]
    assert song.n_beats == bars[-1]
    assert set(song.duration.tolist()) <= set(range(1, DURATIONS.max() + 1))


def test_nothing_to_sample_gives_nothing(runtime):
    assert sample_scores(runtime, [], [], SamplingOptions()) == []


def test_progress_counts_the_beats(runtime):
    seen = []
    sample_scores(
        runtime,
        [PLAN],
        [0],
        SamplingOptions(),
        on_beat=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(beat, 32) for beat in range(1, 33)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"strictness": -0.1},
        {"strictness": 2},
        {"candidates": 0},
        {"candidates": 1000},
        {"steering": -1},
        {"steering": 1.1},
    ],
)
def test_options_outside_their_range_are_named(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=f"{name} = .*allowed"):
        SamplingOptions(**wrong)


def test_a_lead_in_is_sampled_and_left_out(runtime):
    form_beats = len(PLAN.ssm)
    ssm = np.full((form_beats + 8, form_beats + 8), 0.4, np.float32)
    ssm[8:, 8:] = PLAN.ssm
    plan = Plan(ssm, regular_bars(10, 4), "form", lead_in_bars=2)
    np.testing.assert_array_equal(plan.song_ssm, PLAN.ssm)
    assert plan.song_bar_beats.tolist() == PLAN.bar_beats.tolist()
    song = sample_scores(runtime, [plan], [0], SamplingOptions(strictness=1))[0]
    assert song.n_bars == 8
    assert same_label_overlap(bar_overlap_map(song), FORM) > 0.97
