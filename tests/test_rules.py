"""Rules over the network's choices, with a network that knows nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from kernel_rows import NO_RULES, Choice, Note, batch_of, leaning

from singcli.metrics.defects import ending
from singcli.model.contract import DURATIONS, N_NOTE_TOKENS, N_TOKENS, STOP
from singcli.model.kernel import Batch, Counts
from singcli.model.limits import Limits, PitchRange, Polyphony
from singcli.model.plan import Given, Plan, SamplingOptions
from singcli.model.rule_keeping import (
    DENSITY,
    DENSITY_GAIN,
    LEAP_ODDS,
    MOST_TUNE,
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
SILENCE = np.zeros((2, 2 * N_NOTE_TOKENS), np.float32)  # a beat of two rows, as it is counted
SHARP = N_PITCHES + 40  # pitch 61
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


def counted(batch: Batch, played: np.ndarray) -> Counts:
    """What the kernel counts of a beat, in how many steps of which notes begin and sound."""
    onsets, sounding = played[:, :N_NOTE_TOKENS], played[:, N_NOTE_TOKENS:]
    lead = onsets[:, :N_PITCHES]
    numbers = (onsets, sounding, lead, lead * np.arange(N_PITCHES)[::-1], onsets * batch.foreign)
    nothing = np.zeros(len(played))
    return Counts(*(number.sum(axis=1) for number in numbers), nothing, nothing)


def sharp_and_natural() -> np.ndarray:
    """A beat of two rows: four notes outside the scale of C major, four inside."""
    played = SILENCE.copy()
    played[0, SHARP] = played[1, SHARP - 1] = 4
    return played


class TestRuleKeeper:
    def keeper(self, plan=PLAN, n=2, **options):
        rules = [rules_of(plan, **options)]
        batch = batch_of(rules, n)
        return batch, RuleKeeper(batch, rules)

    def test_notes_outside_the_scale_lose_odds_once_there_are_too_many(self):
        batch, keeper = self.keeper(scale_lock="soft")
        assert not batch.pitch_pull.any()
        keeper.count(counted(batch, sharp_and_natural()))
        assert batch.pitch_pull[0, SHARP] < -1
        assert not batch.pitch_pull[0, SHARP - 1]
        assert not batch.pitch_pull[1].any()
        keeper.spread(np.array([1, 1]))
        assert not batch.pitch_pull.any()

    def test_a_lock_that_is_off_costs_nothing(self):
        batch, keeper = self.keeper()
        keeper.count(counted(batch, sharp_and_natural()))
        assert not batch.pitch_pull.any()

    def test_leaps_of_the_lead_over_an_octave_lose_odds(self):
        batch, _ = self.keeper()
        batch.lead[0] = 40
        _, taste = leaning(batch, 0)
        pitches = np.arange(N_PITCHES)[::-1]
        assert set(pitches[taste[0, :N_PITCHES] == 0]) == set(range(28, 53))
        far = np.abs(pitches - 40) > 12
        assert (taste[0, :N_PITCHES][far] == np.float32(LEAP_ODDS)).all()
        assert not taste[:, N_PITCHES:].any()
        assert not taste[1].any()

    def test_notes_that_have_sounded_up_to_now_lose(self):
        batch, _ = self.keeper()
        batch.sounded[0, [30, 100]] = True
        _, taste = leaning(batch, 0)
        assert taste[0, [30, 100]].tolist() == [np.float32(odds) for odds in RESTRIKE_ODDS]
        assert np.count_nonzero(taste) == 2

    def test_the_lead_is_drawn_to_the_register_it_has_kept(self):
        batch, keeper = self.keeper()
        played = SILENCE.copy()
        played[0, N_PITCHES - 1 - 40] = 4  # pitch 40 of 88, four times
        keeper.count(counted(batch, played))
        pull = batch.pitch_pull[0, :N_PITCHES]
        assert pull.argmax() == N_PITCHES - 1 - 40
        assert pull[N_PITCHES - 1 - 47] == pytest.approx(-0.5 * (7 / REGISTER_WIDTH) ** 2)
        assert not batch.pitch_pull[1].any()
        assert not batch.pitch_pull[:, N_PITCHES:].any()
        keeper.count(counted(batch, np.roll(played, -12, axis=1)))  # an octave up
        assert pull.argmax() == N_PITCHES - 1 - 42  # four notes of 24: a sixth of the way

    def test_what_speaks_for_a_pitch_does_not_speak_for_striking(self):
        batch, keeper = self.keeper(scale_lock="soft")
        keeper.count(counted(batch, sharp_and_natural()))
        batch.lead[:], batch.sounded[:, 100] = 40, True
        odds, taste = leaning(batch, 0)
        assert not odds[0].any()
        np.testing.assert_allclose(
            taste[0, N_PITCHES:],
            batch.pitch_pull[0, N_PITCHES:] + RESTRIKE_ODDS[1] * batch.sounded[0, N_PITCHES:],
            rtol=1e-6,
        )

    def test_thin_music_gains_notes_and_length_thick_music_loses_them(self):
        batch, keeper = self.keeper()
        assert not batch.length_pull.any()
        played = SILENCE.copy()
        played[1, N_PITCHES:N_NOTE_TOKENS:20] = 4  # 20 notes a beat, and none in the other row
        played[1, N_NOTE_TOKENS + N_PITCHES :: 8] = 4
        for _ in range(40):
            keeper.count(counted(batch, played))
        odds, _ = leaning(batch, 0)
        assert odds[0] == pytest.approx(DENSITY_GAIN * DENSITY[0], rel=0.1)
        assert odds[1] == pytest.approx(DENSITY_GAIN * (DENSITY[1] - 20), rel=0.1)
        shorter, longer = batch.length_pull[:, [0, 3]].T  # 1 and 4 steps
        assert longer[0] - shorter[0] == pytest.approx(2 * POLYPHONY_GAIN * POLYPHONY[0], rel=0.1)
        assert longer[1] < shorter[1]

    def test_a_tune_that_has_been_silent_too_long_is_drawn_to_play(self):
        plan = Wish(form_from_string("A4 B4")).plan(Runtime.open(TINY).card)
        batch, _ = self.keeper(plan)
        first = 4 * 16  # behind the lead-in, which has no tune
        patience = first + TUNE_PATIENCE_BEATS * 4
        assert not leaning(batch, patience)[0].any()
        odds, taste = leaning(batch, patience + 8)
        assert (odds[:, :N_PITCHES] == 2.0).all()
        assert not odds[:, N_PITCHES:].any()
        assert not taste.any()
        assert leaning(batch, patience + 40)[0].max() == MOST_TUNE
        batch.lead_step[0] = patience + 7
        assert not leaning(batch, patience + 8)[0][0].any()
        assert not leaning(batch, first - 1)[0].any()

    def test_a_voice_that_is_full_strikes_no_more(self):
        rules = rules_of(dataclasses.replace(PLAN, limits=NARROW))
        full = Choice(last=20, n_struck=(1, 0), rules=rules).shares()
        assert not full[:N_PITCHES].any()
        assert full[N_PITCHES:STOP].any()
        assert full[STOP] > 0
        assert Choice(rules=rules).shares()[:N_PITCHES].any()

    def test_nothing_that_is_allowed_means_stop(self):
        rules = rules_of(dataclasses.replace(PLAN, limits=NARROW))
        logits = np.full(N_TOKENS, -np.inf, np.float32)
        logits[0] = 0.0  # far above the range
        assert Choice(logits, rules=rules).shares()[STOP] == 1

    def test_held_notes_that_end_soonest_make_room(self):
        batch, _ = self.keeper(dataclasses.replace(PLAN, limits=NARROW))
        batch.remaining[0, [10, 20]] = 5, 9  # lead, one at most
        batch.remaining[0, [100, 101, 102, 103]] = 4, 2, 8, 1
        batch.planes[0, 0, [10, 103]] = 1.0  # struck in this step
        batch.end_step(0, 0)
        assert np.flatnonzero(batch.remaining[0]).tolist() == [10, 100, 102, 103]
        assert np.flatnonzero(batch.sounded[0]).tolist() == [10, 100, 102, 103]

    def test_notes_last_four_bars_at_most(self):
        waltz = Plan(np.full((9, 9), 0.5, np.float32), regular_bars(3, 3), "form")
        for wanted, lasts in ((len(DURATIONS) - 1, 48), (2, 3)):
            logits = np.full(len(DURATIONS), -np.inf, np.float32)
            logits[wanted] = 0.0
            durations, _ = Note(logits, rules=rules_of(waltz)).shares()
            assert DURATIONS[np.flatnonzero(durations)].tolist() == [lasts]


class TestFinalChord:
    RULES = NO_RULES._replace(
        final_step=4,
        final_stop=20,
        final=np.isin(np.arange(N_TOKENS), [30, 34, 100, 104, 107]),
        final_bass=np.arange(N_TOKENS) == 100,
        final_lead=True,
    )

    def drawn(self, **moment) -> list[int]:
        rules = self.RULES._replace(**moment.pop("rules", {}))
        return np.flatnonzero(Choice(step=4, rules=rules, **moment).shares()).tolist()

    def test_begins_with_the_tune_then_comes_the_tonic_in_the_bass(self):
        assert self.drawn() == [30, 34]
        assert self.drawn(last=30, n_struck=(1, 0)) == [34, 100]
        assert self.drawn(last=100, n_struck=(1, 1)) == [104, 107, STOP]
        assert self.drawn(last=107, n_struck=(1, 3)) == [STOP]

    def test_has_no_lead_where_the_section_has_no_tune(self):
        assert self.drawn(rules={"final_lead": False, "final": self.RULES.final_bass}) == [100]

    def test_is_struck_though_the_network_would_rest(self):
        logits = np.where(np.arange(N_TOKENS) == STOP, 0.0, -np.inf).astype(np.float32)
        assert self.drawn(logits=logits) == [30, 34]

    def test_lasts_to_the_end_of_its_bar(self):
        durations, _ = Note(step=4, rules=self.RULES).shares()
        assert DURATIONS[np.flatnonzero(durations)].tolist() == [16]
