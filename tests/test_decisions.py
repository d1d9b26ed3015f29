"""Numbers for every kind of decision, and that each moves its own kind alone."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_rows import KINDS, ONE, WITHIN, Choice, of_kinds, random_logits

from singcli.errors import InputError
from singcli.model.choice import softmax
from singcli.model.contract import N_NOTE_TOKENS, N_TOKENS, STOP
from singcli.model.decisions import PerDecision
from singcli.music.score import N_PITCHES

LEAD = slice(N_PITCHES)
LOGITS = random_logits()


def shares(temperature: PerDecision = ONE, top_p: PerDecision = ONE) -> np.ndarray:
    return Choice(LOGITS, temperature=temperature, top_p=top_p).shares()


def test_a_number_is_for_all_kinds_and_kinds_left_out_have_the_default():
    assert PerDecision.parse("0.9", option="--x", default=ONE) == PerDecision.of(0.9)
    mixed = PerDecision.parse("lead=0.8, duration=0.7", option="--x", default=ONE)
    assert mixed.values == (0.8, 1.0, 1.0, 0.7, 1.0)
    assert str(mixed) == "lead=0.8,accompaniment=1,count=1,duration=0.7,velocity=1"
    kinds = ("lead", "accompaniment", "count", "duration", "velocity")
    assert PerDecision.of(dict(zip(kinds, range(5), strict=True))).count == 2


@pytest.mark.parametrize("text", ["", "lead", "lead=", "lead=a", "lead=1,lead=2", "lead=1,"])
def test_what_cannot_be_read_is_named_with_its_option(text):
    with pytest.raises(InputError, match=r"--top-p '.*allowed: a number, or NAME=NUMBER"):
        PerDecision.parse(text, option="--top-p", default=ONE)


def test_an_unknown_kind_is_named_with_the_nearest():
    with pytest.raises(InputError, match="no kind is called 'leed'") as caught:
        PerDecision.parse("leed=1", option="--top-p", default=ONE)
    assert "lead" in caught.value.remedy


def test_one_temperature_for_all_kinds_is_that_of_the_softmax():
    wanted = softmax(LOGITS[None] / 0.7)[0]
    np.testing.assert_allclose(shares(PerDecision.of(0.7)), wanted, atol=WITHIN)


def test_a_cold_voice_plays_its_likeliest_pitch_as_often_as_it_plays():
    warm, cold = shares(), shares(PerDecision(0.05, 1.0, 1.0, 1.0, 1.0))
    np.testing.assert_allclose(of_kinds(cold), of_kinds(warm), atol=2 * WITHIN)
    assert cold[LOGITS[LEAD].argmax()] > 0.95 * cold[LEAD].sum()
    np.testing.assert_allclose(cold[N_PITCHES:], warm[N_PITCHES:], atol=2 * WITHIN)


def test_the_temperature_of_the_count_leaves_the_pitches_of_a_voice_as_they_are():
    warm, cold = shares(), shares(PerDecision(1.0, 1.0, 0.7, 1.0, 1.0))
    assert of_kinds(cold).max() > of_kinds(warm).max() + 0.05
    for kind in KINDS[:2]:
        within = [share[kind] / share[kind].sum() for share in (warm, cold)]
        np.testing.assert_allclose(*within, atol=3 * WITHIN / cold[kind].sum())


def test_a_kind_that_is_ruled_out_stays_out_whatever_its_temperature():
    logits = LOGITS.copy()
    logits[LEAD] = -np.inf
    found = Choice(logits, temperature=PerDecision(0.5, 0.6, 1.0, 1.0, 1.0)).shares()
    assert not found[LEAD].any()
    assert found[N_PITCHES:N_NOTE_TOKENS].any()


def test_top_p_of_a_voice_cuts_its_pitches_alone():
    whole, kept = shares(), shares(top_p=PerDecision(0.5, 1.0, 1.0, 1.0, 1.0))
    assert np.count_nonzero(kept[LEAD]) < N_PITCHES / 2
    left = whole[LEAD][kept[LEAD] > 0].sum() / whole[LEAD].sum()
    assert 0.49 < left < 0.9
    others = [share[N_PITCHES:] / share[N_PITCHES:].sum() for share in (whole, kept)]
    np.testing.assert_allclose(*others, atol=4 * WITHIN / whole[N_PITCHES:].sum())


def test_top_p_of_the_count_drops_the_unlikeliest_kind_whole():
    logits = np.full(N_TOKENS, -np.inf, np.float32)
    logits[[3, 100, STOP]] = np.log([0.1, 0.3, 0.6])
    kept = Choice(logits, top_p=PerDecision(1.0, 1.0, 0.8, 1.0, 1.0)).shares()
    assert np.flatnonzero(kept).tolist() == [100, STOP]
