"""Rules over the network's choices, with a network that knows nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from singcli.metrics.defects import ending
from singcli.model.contract import DURATIONS, N_NOTE_TOKENS, N_TOKENS, START, STOP
from singcli.model.limits import Limits, PitchRange, Polyphony
from singcli.model.plan import Given, Plan, SamplingOptions
from singcli.model.rule_keeping import (
    DENSITY,
    DENSITY_GAIN,
    LEAP_ODDS,
    POLYPHONY,
    POLYPHONY_GAIN,
    REGISTER_WIDTH,
    RESTRIKE_ODDS,
    TUNE_PATIENCE_BEATS,
    RuleKeeper,
)
from singcli.model.rules import NEVER, SongRules, final_bar
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.key import reference_key
from singcli.music.roll import sounding_roll
from singcli.music.score import ACCOMPANIMENT, LEAD, N_PITCHES, N_VOICES, regular_bars
from singcli.structure.form import ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.known_repeats import known_repeats
from singcli.wish import Wish

TINY = Path(__file__).parent / "data" / "tiny.onnx"
FORM = form_from_string("A2 B2 A2")
PLAN = Plan(ssm=ssm_from_form(FORM), bar_beats=FORM.bar_beats, kind="form")
FREE = np.zeros((2, N_NOTE_TOKENS), np.bool_)  # two rows in which nothing sounds
SILENCE = np.zeros((2, 4, N_NOTE_TOKENS), np.bool_)  # a beat of them
NARROW = Limits(PitchRange(60, 72), PitchRange(36, 59), Polyphony(1, 3))


@pytest.fixture(scope="module")
def runtime():
    return Runtime.open(TINY)


def songs(runtime, plan, n=6, **options):
    return sample_scores(runtime, [plan] * n, range(n), SamplingOptions(**options))


def rules_of(plan: Plan, **options) -> SongRules:
    overlap = np.full(len(plan.ssm), options.pop("overlap", np.nan))
    return SongRules.from_plan(plan, len(plan.ssm) * 4, options.get("scale_lock", "off"), overlap)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("strictness", [0.5, 1.0])
def test_whatever_the_seed_the_rules_hold(runtime, mode, candidates, strictness):
    known = known_repeats(FORM, strictness) if candidates == 1 else None
    plan = dataclasses.replace(PLAN, mode=mode, limits=NARROW, ending=True, known=known)
    made = songs(runtime, plan, 8, scale_lock="hard", candidates=candidates, strictness=strictness)
    assert sum(song.n_notes for song in made) > 40
    for song in made:
        assert reference_key(mode).scale[song.pitch % 12].all()
        for voice, pitches, most in (
            (LEAD, NARROW.lead, 1),
            (ACCOMPANIMENT, NARROW.accompaniment, 3),
        ):
            played = song.pitch[song.voice == voice]
            assert ((played >= pitches.low) & (played <= pitches.high)).all()
            assert sounding_roll(song)[:, voice].sum(axis=1).max(initial=0) <= most
        assert (song.step + song.duration <= song.n_steps).all()
        assert song.duration.max(initial=0) <= DURATIONS.max()


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_a_song_ends_with_one_long_tonic_chord(runtime, mode):
    plan = dataclasses.replace(PLAN, mode=mode, ending=True, limits=NARROW)
    for song in songs(runtime, plan, candidates=1):
        start = int(song.bar_beats[-2]) * 4
        last = song.step >= start
        assert (song.step[last] == start).all()
        assert (song.duration[last] == song.n_steps - start).all()
        assert ending(song, reference_key(mode)).closes
        assert (song.step + song.duration <= start)[~last].all()


def test_without_an_ending_songs_end_anyhow(runtime):
    made = songs(runtime, PLAN)
    assert not all(ending(song, reference_key("major")).closes for song in made)


def test_the_final_chord_has_a_lead_where_its_section_has_the_tune():
    form = form_from_string("A4")
    with_tune = Wish(form)
    without = dataclasses.replace(
        form, sections=(dataclasses.replace(form.sections[0], tune=False),)
    )
    card = Runtime.open(TINY).card
    assert rules_of(with_tune.plan(card)).final_lead
    rules = rules_of(Wish(without).plan(card))
    assert not rules.final_lead
    assert (rules.final_step, rules.final_stop) == (7 * 16, 8 * 16)  # behind the lead-in


def test_there_is_no_final_chord_where_the_bar_is_to_be_another_note_for_note():
    plan = dataclasses.replace(PLAN, ending=True)
    assert rules_of(plan, overlap=0.9).final_step == 5 * 16
    assert rules_of(plan, overlap=1.0).final_step == NEVER
    assert rules_of(PLAN).final_step == NEVER


def test_a_template_ends_with_its_last_bar_that_sounds():
    ssm = PLAN.ssm.copy()
    ssm[16:], ssm[:, 16:] = 0.0, 0.0
    plan = Plan(ssm, PLAN.bar_beats, "music", ending=True)
    assert final_bar(plan) == (12, 16)
    silent = Plan(np.zeros_like(ssm), PLAN.bar_beats, "music", ending=True)
    assert final_bar(silent) == (NEVER, NEVER)


def test_an_accompaniment_that_cannot_play_the_triad_leaves_the_ending_out():
    limits = Limits(accompaniment=PitchRange(62, 62))
    assert rules_of(dataclasses.replace(PLAN, ending=True, limits=limits)).final_step == NEVER


def test_given_notes_are_above_the_rules(runtime, aaba_score):
    mask = np.zeros((aaba_score.n_steps, N_VOICES), np.bool_)
    mask[:, LEAD] = True
    form = form_from_string("A2 A2 B2 A2")
    plan = Plan(
        ssm_from_form(form),
        aaba_score.bar_beats,
        "form",
        given=Given(aaba_score.transposed(1), mask),
        limits=NARROW,
        ending=True,
    )
    (song,) = songs(runtime, plan, 1, scale_lock="hard")
    lead, wanted = song.voice == LEAD, aaba_score.voice == LEAD
    assert song.pitch[lead].tolist() == (aaba_score.pitch[wanted] + 1).tolist()
    assert reference_key("major").scale[song.pitch[~lead] % 12].all()
    assert (~lead).any()


class TestRuleKeeper:
    def keeper(self, plan=PLAN, n=2, **options):
        return RuleKeeper([rules_of(plan, **options)], np.zeros(n, np.int64))

    def test_notes_outside_the_scale_lose_odds_once_there_are_too_many(self):
        keeper = self.keeper(scale_lock="soft")
        none = np.full(2, N_PITCHES)
        onsets = np.zeros((2, 4, N_NOTE_TOKENS), np.bool_)
        sharp = N_PITCHES + 40  # pitch 61
        onsets[0, :, sharp] = True
        onsets[1, :, sharp - 1] = True
        assert not keeper.taste(none, FREE).any()
        keeper.count(onsets, SILENCE)
        bias = keeper.taste(none, FREE)
        assert bias[0, sharp] < -1
        assert not bias[0, sharp - 1]
        assert not bias[1].any()
        keeper.spread(np.array([1, 1]))
        assert not keeper.taste(none, FREE).any()

    def test_a_lock_that_is_off_costs_nothing(self):
        keeper = self.keeper()
        onsets = np.zeros((2, 4, N_NOTE_TOKENS), np.bool_)
        onsets[..., N_PITCHES + 40] = True  # pitch 61, which is not in C major
        keeper.count(onsets, SILENCE)
        assert not keeper.taste(np.full(2, N_PITCHES), FREE).any()

    def test_leaps_of_the_lead_over_an_octave_lose_odds(self):
        keeper = self.keeper()
        bias = keeper.taste(np.array([40, 40]), FREE)
        pitches = np.arange(N_PITCHES)[::-1]
        assert set(pitches[bias[0, :N_PITCHES] == 0]) == set(range(28, 53))
        assert (bias[0, :N_PITCHES][np.abs(pitches - 40) > 12] == np.float32(LEAP_ODDS)).all()
        assert not bias[:, N_PITCHES:].any()

    def test_notes_that_have_sounded_up_to_now_lose(self):
        held = FREE.copy()
        held[0, 100] = True
        bias = self.keeper().taste(np.full(2, N_PITCHES), held)
        assert bias[0, 100] == np.float32(RESTRIKE_ODDS[1])
        assert np.count_nonzero(bias) == 1

    def test_the_lead_is_drawn_to_the_register_it_has_kept(self):
        keeper = self.keeper()
        onsets = np.zeros((2, 4, N_NOTE_TOKENS), np.bool_)
        onsets[0, :, N_PITCHES - 1 - 40] = True  # pitch 40 of 88, four times
        keeper.count(onsets, SILENCE)
        none = np.full(2, N_PITCHES)
        bias = keeper.taste(none, FREE)
        assert bias[0, :N_PITCHES].argmax() == N_PITCHES - 1 - 40
        assert bias[0, N_PITCHES - 1 - 47] == pytest.approx(-0.5 * (7 / REGISTER_WIDTH) ** 2)
        assert not bias[1].any()
        onsets[0] = np.roll(onsets[0], -12, axis=-1)  # an octave up
        keeper.count(onsets, SILENCE)
        moved = keeper.taste(none, FREE)[0, :N_PITCHES]
        assert moved.argmax() == N_PITCHES - 1 - 42  # four notes of 24: a sixth of the way

    def test_thin_music_gains_notes_and_length_thick_music_loses_them(self):
        keeper = self.keeper()
        rows = np.arange(2)
        assert not keeper.length_bias(rows).any()
        onsets, sounding = SILENCE.copy(), SILENCE.copy()
        onsets[1, :, N_PITCHES::20] = True  # 20 notes a beat, and nothing in the other row
        sounding[1, :, N_PITCHES::8] = True
        for _ in range(40):
            keeper.count(onsets, sounding)
        thin, thick = keeper.odds(0, np.zeros(2, np.int64))
        assert thin == pytest.approx(DENSITY_GAIN * DENSITY[0], rel=0.1)
        assert thick == pytest.approx(DENSITY_GAIN * (DENSITY[1] - 20), rel=0.1)
        shorter, longer = keeper.length_bias(rows)[:, [0, 3]].T  # 1 and 4 steps
        assert longer[0] - shorter[0] == pytest.approx(2 * POLYPHONY_GAIN * POLYPHONY[0], rel=0.1)
        assert longer[1] < shorter[1]

    def test_a_tune_that_has_been_silent_too_long_is_drawn_to_play(self):
        plan = Wish(form_from_string("A4 B4")).plan(Runtime.open(TINY).card)
        keeper = self.keeper(plan)
        first = 4 * 16  # behind the lead-in, which has no tune
        patience = first + TUNE_PATIENCE_BEATS * 4
        never = np.full(2, -(10**6))
        assert not keeper.odds(patience, never).any()
        assert (keeper.odds(patience + 8, never)[:, :N_PITCHES] == 2.0).all()
        recently = np.array([patience + 7, -(10**6)])
        assert not keeper.odds(patience + 8, recently)[0].any()
        assert not keeper.odds(first - 1, never).any()

    def test_a_voice_that_is_full_strikes_no_more(self):
        keeper = self.keeper(dataclasses.replace(PLAN, limits=NARROW))
        struck = np.array([[1, 0], [0, 0]])
        probs = np.full((2, N_TOKENS), 1 / N_TOKENS, np.float32)
        kept = keeper.allow(probs, 0, np.arange(2), np.array([20, START]), struck)
        assert not kept[0, :N_PITCHES].any()
        assert kept[1, :N_PITCHES].any()
        assert kept[:, STOP].all()

    def test_nothing_that_is_allowed_means_stop(self):
        keeper = self.keeper(dataclasses.replace(PLAN, limits=NARROW))
        probs = np.zeros((2, N_TOKENS), np.float32)
        probs[:, 0] = 1.0  # far above the range
        kept = keeper.allow(probs, 0, np.arange(2), np.full(2, START), np.zeros((2, 2), int))
        assert np.flatnonzero(kept[0]).tolist() == [STOP]

    def test_held_notes_that_end_soonest_make_room(self):
        keeper = self.keeper(dataclasses.replace(PLAN, limits=NARROW))
        remaining = np.zeros((2, N_NOTE_TOKENS), np.int32)
        remaining[0, [10, 20]] = 5, 9  # lead, one at most
        remaining[0, [100, 101, 102, 103]] = 4, 2, 8, 1
        struck = np.zeros((2, N_NOTE_TOKENS), np.bool_)
        struck[0, [10, 103]] = True
        keeper.release(remaining, struck)
        assert np.flatnonzero(remaining[0]).tolist() == [10, 100, 102, 103]

    def test_notes_last_four_bars_at_most(self):
        waltz = Plan(np.full((9, 9), 0.5, np.float32), regular_bars(3, 3), "form")
        keeper = self.keeper(waltz)
        longest = keeper.limit_durations(np.array([len(DURATIONS) - 1, 2]), 0, np.arange(2))
        assert DURATIONS[longest].tolist() == [48, 3]
