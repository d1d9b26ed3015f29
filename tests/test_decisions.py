from __future__ import annotations

import numpy as np
import pytest

from singcli.errors import InputError
from singcli.model import choice
from singcli.model.contract import N_NOTE_TOKENS, N_TOKENS, STOP
from singcli.model.decisions import PerDecision
from singcli.music.score import N_PITCHES

ONE = PerDecision.of(1.0)
NOTHING = np.zeros((1, N_NOTE_TOKENS), np.float32)


def logits(n: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 2, (n, N_TOKENS)).astype(np.float32)


def of_kinds(probs: np.ndarray) -> np.ndarray:
    return np.stack([probs[:, kind].sum(axis=1) for kind in choice.NOTE_KINDS], axis=1)


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
    probs = choice.own_probs(logits(), NOTHING, PerDecision.of(0.7))
    np.testing.assert_allclose(probs, choice.softmax(logits() / 0.7), rtol=1e-5)


def test_a_cold_voice_plays_its_likeliest_pitch_as_often_as_it_plays():
    warm = choice.own_probs(logits(), NOTHING, ONE)
    cold = choice.own_probs(logits(), NOTHING, PerDecision(0.05, 1.0, 1.0, 1.0, 1.0))
    np.testing.assert_allclose(of_kinds(cold), of_kinds(warm), rtol=1e-4)
    lead = slice(N_PITCHES)
    best = logits()[:, lead].argmax(axis=1)
    assert (cold[np.arange(4), best] > 0.95 * cold[:, lead].sum(axis=1)).all()
    np.testing.assert_allclose(cold[:, N_PITCHES:], warm[:, N_PITCHES:], rtol=1e-4)


def test_the_temperature_of_the_count_leaves_the_pitches_of_a_voice_as_they_are():
    warm = choice.own_probs(logits(), NOTHING, ONE)
    cold = choice.own_probs(logits(), NOTHING, PerDecision(1.0, 1.0, 0.1, 1.0, 1.0))
    for kind in choice.NOTE_KINDS[:2]:
        within = [
            probs[:, kind] / probs[:, kind].sum(axis=1, keepdims=True) for probs in (warm, cold)
        ]
        np.testing.assert_allclose(*within, rtol=1e-3)
    assert of_kinds(cold).max() > of_kinds(warm).max()
    np.testing.assert_allclose(cold.sum(axis=1), 1, rtol=1e-4)


def test_a_kind_that_is_ruled_out_stays_out_whatever_its_temperature():
    scores = logits()
    scores[:, :N_PITCHES] = -np.inf
    probs = choice.own_probs(scores, NOTHING, PerDecision(0.5, 0.6, 1.0, 1.0, 1.0))
    assert not probs[:, :N_PITCHES].any()
    np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=1e-4)


def test_top_p_of_a_voice_cuts_its_pitches_alone():
    probs = choice.own_probs(logits(), NOTHING, ONE)
    kept = choice.kept_probs(probs, PerDecision(0.5, 1.0, 1.0, 1.0, 1.0))
    lead = slice(N_PITCHES)
    assert (np.count_nonzero(kept[:, lead], axis=1) < N_PITCHES / 2).all()
    share = kept[:, lead].sum(axis=1) / probs[:, lead].sum(axis=1)
    assert ((share >= 0.5 - 1e-4) & (share < 0.9)).all()
    np.testing.assert_array_equal(kept[:, N_PITCHES:], probs[:, N_PITCHES:])


def test_top_p_of_the_count_drops_the_unlikeliest_kind_whole():
    probs = np.zeros((1, N_TOKENS), np.float32)
    probs[0, [3, 100, STOP]] = 0.1, 0.3, 0.6
    kept = choice.kept_probs(probs, PerDecision(1.0, 1.0, 0.8, 1.0, 1.0))
    assert np.flatnonzero(kept[0]).tolist() == [100, STOP]
