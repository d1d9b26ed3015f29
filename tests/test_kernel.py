"""The compiled part of the sampler against numpy, decision by decision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sampling_reference as reference
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_rows import (
    LONG_AGO,
    N_ROWS,
    N_STEPS,
    NO_RULES,
    WITHIN,
    Choice,
    Note,
    batch_of,
)

from singcli.model.contract import (
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_TOKENS,
    N_VELOCITIES,
    NO_DURATION,
    NO_VELOCITY,
    START,
    STOP,
    TOKEN_PITCH,
    TOKEN_VOICE,
)
from singcli.model.decisions import PerDecision
from singcli.model.kernel import WAKING
from singcli.model.layout import GivenTokens
from singcli.model.plan import Given
from singcli.model.rules import NEVER, SongRules
from singcli.music.score import N_PITCHES, N_VOICES, Score, regular_bars

EDGES = np.array([0.0, np.nextafter(1.0, 0.0)])

seeds = st.integers(0, 2**32 - 1)
shifts = st.sampled_from([-8.0, -1.5, 0.0, 2.0, 8.0, np.inf])
temperatures = st.builds(PerDecision, *[st.sampled_from([0.3, 0.9, 1.0, 1.6])] * 5)
top_ps = st.builds(PerDecision, *[st.sampled_from([0.3, 0.9, 1.0])] * 5)


def normal(rng: np.random.Generator, n: int, scale: float) -> np.ndarray:
    return rng.normal(0, scale, n).astype(np.float32)


def some(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    return rng.random(n) < share


def random_rules(rng: np.random.Generator, final_step: int = NEVER) -> SongRules:
    """Rules that leave a part of the tokens."""
    chord = np.append(some(rng, N_NOTE_TOKENS, 0.2), False)
    return NO_RULES._replace(
        allowed=np.append(some(rng, N_NOTE_TOKENS, rng.choice([0.05, 0.7, 1.0])), True),
        polyphony=rng.integers(1, 4, N_VOICES),
        tune_since=np.full(N_STEPS, rng.choice([NEVER, 0])),
        longest=rng.integers(0, N_DURATIONS, N_STEPS),
        final_step=final_step,
        final_stop=final_step + int(rng.integers(1, 80)),
        final=chord,
        final_bass=chord & np.append(some(rng, N_NOTE_TOKENS, 0.1), False),
        final_lead=bool(rng.integers(2)),
    )


def random_given(rng: np.random.Generator) -> GivenTokens:
    """Notes of two bars, of which a part of the voices and steps is given."""
    step, token = np.nonzero(rng.random((32, N_NOTE_TOKENS)) < 0.02)
    score = Score.from_notes(
        *(step, TOKEN_VOICE[token], TOKEN_PITCH[token]),
        *(rng.integers(1, 20, len(step)), rng.integers(1, 128, len(step))),
        bar_beats=regular_bars(2, 4),
        tempo_bpm=100,
    )
    return GivenTokens(Given(score, rng.random((32, N_VOICES)) < 0.6), 32)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    """Any decision; half of them without given notes, final chord or notes struck before."""
    rng = np.random.default_rng(draw(seeds))
    logits = normal(rng, N_TOKENS, 2.0)
    logits[:STOP][some(rng, STOP, rng.choice([0.0, 0.3]))] = -np.inf
    step, is_first = draw(st.sampled_from([4, 6])), draw(st.booleans())
    return Choice(
        logits=logits,
        gate=float(rng.uniform(-4, 4)),
        shift=draw(shifts),
        draft=some(rng, N_NOTE_TOKENS, rng.choice([0.0, 0.03])),
        attraction=normal(rng, N_NOTE_TOKENS, 0.5),
        density_pull=float(rng.normal()),
        pitch_pull=normal(rng, N_NOTE_TOKENS, 1.0),
        held=some(rng, N_NOTE_TOKENS, rng.choice([0.0, 0.03])),
        sounded=some(rng, N_NOTE_TOKENS, 0.1),
        lead=int(rng.integers(N_PITCHES + 1)),
        lead_step=int(rng.choice([LONG_AGO, -30, -18, -1])),
        sound=draw(st.sampled_from([0, WAKING])),
        step=step,
        last=START if is_first else int(rng.integers(N_NOTE_TOKENS)),
        n_struck=(0, 0) if is_first else tuple(rng.integers(0, 4, N_VOICES)),
        temperature=draw(temperatures),
        top_p=draw(top_ps),
        rules=random_rules(rng, draw(st.sampled_from([NEVER, step, 7]))),
        given=random_given(rng) if draw(st.booleans()) else None,
    )


@st.composite
def notes(draw: st.DrawFn) -> Note:
    rng = np.random.default_rng(draw(seeds))
    step, velocity_logits = draw(st.sampled_from([4, 6])), normal(rng, N_VELOCITIES, 2.0)
    velocity_logits[1:][some(rng, N_VELOCITIES - 1, 0.3)] = -np.inf
    return Note(
        duration_logits=normal(rng, N_DURATIONS, 2.0),
        velocity_logits=velocity_logits,
        draft_duration=draw(st.sampled_from([0, 7, N_DURATIONS - 1, NO_DURATION])),
        draft_velocity=draw(st.sampled_from([0, N_VELOCITIES - 1, NO_VELOCITY])),
        shift=draw(shifts),
        length_pull=normal(rng, N_DURATIONS, 1.0),
        step=step,
        token=int(rng.integers(N_NOTE_TOKENS)),
        temperature=draw(temperatures),
        top_p=draw(top_ps),
        rules=random_rules(rng, draw(st.sampled_from([NEVER, step, 7]))),
    )


def rounded(moment):
    """The moment, and those in which a choice on the brink of the nucleus falls in, or out."""
    for factor in (1.0, 1 + 1e-5, 1 - 1e-5):
        top_p = PerDecision(*(value * factor for value in moment.top_p.values))
        yield dataclasses.replace(moment, top_p=top_p)


def error(shares: np.ndarray, probs: np.ndarray) -> float:
    return float(np.abs(shares - probs).max())


@given(choices())
def test_tokens_are_drawn_as_in_numpy(choice):
    shares = choice.shares()
    assert min(error(shares, reference.token_probs(c)) for c in rounded(choice)) < WITHIN


@given(choices())
def test_the_edges_of_the_random_numbers_draw_allowed_tokens(choice):
    drawn = choice.drawn(EDGES)
    assert any((reference.token_probs(c)[drawn] > 0).all() for c in rounded(choice))


@given(notes(), st.booleans())
def test_durations_and_velocities_are_drawn_as_in_numpy(note, has_given):
    if has_given:
        given = random_given(np.random.default_rng(note.token))
        is_struck = given.durations[note.step] != NO_DURATION
        forced = np.flatnonzero(is_struck & ~given.free[note.step, :STOP])
        tokens = (*forced, *np.flatnonzero(given.free[note.step, :STOP]))
        assume(tokens)  # else both voices are given and rest
        note = dataclasses.replace(note, given=given, token=int(tokens[0]))
    shares = note.shares()
    wanted = [reference.class_probs(n) for n in rounded(note)]
    for kind in range(2):
        assert min(error(shares[kind], probs[kind]) for probs in wanted) < WITHIN
    drawn = note.drawn(EDGES)
    assert any(
        (probs[0][drawn[0]] > 0).all() and (probs[1][drawn[1]] > 0).all() for probs in wanted
    )


@given(seeds)
def test_held_notes_are_released_as_in_numpy(seed):
    rng = np.random.default_rng(seed)
    songs = [random_rules(rng) for _ in range(3)]
    batch = batch_of(songs, 2)
    shape = (6, N_NOTE_TOKENS)
    remaining = rng.integers(1, 9, shape) * (rng.random(shape) < 0.05)
    struck = (remaining > 0) & (rng.random(shape) < 0.3)
    batch.remaining[:], batch.planes[2, :, :N_NOTE_TOKENS] = remaining, struck
    batch.end_step(6, 2)
    wanted = [
        reference.release(steps, onsets, songs[row // 2])
        for row, (steps, onsets) in enumerate(zip(remaining, struck, strict=True))
    ]
    np.testing.assert_array_equal(batch.remaining, wanted)
    np.testing.assert_array_equal(batch.planes[2, :, N_NOTE_TOKENS:] > 0, np.array(wanted) > 0)


@pytest.mark.parametrize("difference", [-80.3, -44.1, -17.77, -5.0, -1.3, -0.4, -1e-3])
def test_the_exponential_is_exact_to_two_units_in_the_last_place(difference):
    logits = np.full(N_VELOCITIES, -np.inf, np.float32)
    logits[2:4] = difference, 0.0  # the first is drawn by random numbers up to its probability
    power = np.exp(np.float64(logits[2]))
    edge = power / (1 + power)
    uniforms = edge * (1 + np.linspace(-1e-6, 1e-6, N_ROWS))
    drawn = Note(velocity_logits=logits).drawn(uniforms)[1]
    assert (np.diff(drawn) >= 0).all()
    found = uniforms[np.count_nonzero(drawn == 2) - 1]
    assert abs(found / edge - 1) < 2 * np.finfo(np.float32).eps


def test_what_is_improbable_beyond_reckoning_is_never_drawn():
    logits = np.full(N_TOKENS, -89.0, np.float32)
    logits[50] = 0.0
    assert (Choice(logits=logits).drawn(EDGES) == 50).all()


def test_a_network_that_gives_no_numbers_draws_what_is_allowed():
    nothing = np.full(N_TOKENS, np.nan, np.float32)
    rules = NO_RULES._replace(allowed=np.isin(np.arange(N_TOKENS), [9, 99, STOP]))
    for choice in (Choice(nothing, rules=rules), Choice(gate=np.nan, rules=rules)):
        assert np.isin(choice.drawn(EDGES), [9, 99, STOP]).all()
    for classes, n in zip(
        Note(nothing[:N_DURATIONS], nothing[:N_VELOCITIES]).drawn(EDGES),
        (N_DURATIONS, N_VELOCITIES),
        strict=True,
    ):
        assert ((classes >= 0) & (classes < n)).all()


def test_given_notes_lie_in_memory_as_the_kernel_reads_them():
    tokens = random_given(np.random.default_rng(0))
    for name, dtype, width in (
        ("free", np.bool_, N_TOKENS),
        ("following", np.int64, N_TOKENS),
        ("durations", np.int8, N_NOTE_TOKENS),
        ("velocities", np.int8, N_NOTE_TOKENS),
    ):
        array = getattr(tokens, name)
        assert (array.dtype, array.shape) == (dtype, (32, width))
        assert array.flags.c_contiguous
