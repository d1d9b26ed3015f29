"""Weights in 8 bits."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import regenerate  # noqa: E402
from onnx import numpy_helper  # noqa: E402

from singcli.model.contract import (  # noqa: E402
    N_NOTE_TOKENS,
    NOTE_OUTPUTS,
    START,
    STEP_OUTPUTS,
    note_inputs,
    step_inputs,
)
from singcli.model.graph_check import PRODUCT  # noqa: E402
from singcli.model.runtime import Runtime  # noqa: E402
from singcli.training.graph import model_from_network, quantised_model  # noqa: E402
from singcli.training.networks import MASKED  # noqa: E402
from singcli.training.quantisation import (  # noqa: E402
    BOUND,
    EMBEDDED,
    GELU,
    LARGEST,
    LARGEST_FACTOR,
    LARGEST_GELU,
    LEAST_GELU,
    ROLLS,
    STATE,
    bounds,
    coded,
    quantised,
)

N_SONGS, N_STEPS = 5, 12
LARGEST_16_BIT = 2**15 - 1


def decoded(codes, kind):
    return kind.scale * (codes.astype(float) - kind.zero)


@pytest.fixture(scope="module")
def quantised_runtime():
    model = quantised_model(regenerate.tiny_network(), regenerate.tiny_card())
    return Runtime.from_bytes(model.SerializeToString(), source="int8")


@pytest.fixture(scope="module")
def steps(quantised_runtime):
    """Inputs of steps and decisions as sparse as music, the state fed back."""
    rng = np.random.default_rng(0)
    sizes = quantised_runtime.card.sizes
    hidden, cell = (step_inputs(N_SONGS, sizes)[name] for name in ("hidden", "cell"))
    found = []
    for _ in range(N_STEPS):
        step, note = step_inputs(N_SONGS, sizes), note_inputs(N_SONGS, sizes)
        for inputs in (step, note):
            for name, blank in inputs.items():
                if blank.dtype == np.float32:
                    inputs[name] = (rng.random(blank.shape) < 0.03).astype(np.float32)
                else:
                    inputs[name] = rng.integers(0, blank.max() + 1, blank.shape)
        step["hidden"], step["cell"] = hidden, cell
        seen = quantised_runtime.step(step)
        hidden, cell = seen["next_hidden"], seen["next_cell"]
        note["features"], note["token_bias"] = seen["step_features"], seen["step_token_bias"]
        found.append((step, note))
    return found


def both_parts(runtime, step, note):
    return runtime.step(step) | runtime.note(note)


@pytest.mark.parametrize("largest", [LARGEST, LARGEST_FACTOR])
@pytest.mark.parametrize("seed", range(3))
def test_no_weight_moves_by_more_than_half_a_step(seed, largest):
    weights = np.random.default_rng(seed).normal(0, 3, (7, 5)).astype(np.float32)
    integers, scale = quantised(weights, largest)
    assert integers.dtype == np.int8
    assert np.abs(integers).max() == largest
    assert (np.abs(integers * scale[:, None] - weights) <= scale[:, None] / 2 + 1e-6).all()


def test_a_row_of_zeros_stays_zero():
    integers, scale = quantised(np.zeros((2, 3), np.float32))
    assert not integers.any()
    assert (scale > 0).all()
    assert (bounds(np.zeros((2, 3), np.float32)) > 0).all()


def test_bounds_are_multiples_of_the_norm():
    np.testing.assert_allclose(bounds(np.array([[3.0, 4.0]], np.float32)), [5 * BOUND])


@pytest.mark.parametrize("kind", [ROLLS, STATE, EMBEDDED, GELU])
def test_zero_has_a_code_and_numbers_move_by_half_a_step(kind):
    low, high = (decoded(np.array(code), kind) for code in (0, 255))
    values = np.linspace(low, high, 999).astype(np.float32)
    codes = coded(values, kind)
    assert codes.dtype == np.uint8
    assert np.abs(decoded(codes, kind) - values).max() <= kind.scale / 2 + 1e-6
    assert decoded(coded(np.zeros(1, np.float32), kind), kind) == 0
    np.testing.assert_array_equal(coded(np.array([low - 1, high + 1], "f4"), kind), [0, 255])


def test_codes_hold_what_they_are_for():
    one, age = np.ones(1, np.float32), np.log1p(64) / 4
    for kind in (ROLLS, STATE):
        np.testing.assert_allclose(decoded(coded(one, kind), kind), 1)
    assert decoded(np.array(255), STATE) >= age
    assert decoded(np.array(0), GELU) <= LEAST_GELU
    assert decoded(np.array(255), GELU) == pytest.approx(LARGEST_GELU)


def test_two_products_fit_into_16_bits():
    assert 2 * 255 * LARGEST_FACTOR <= LARGEST_16_BIT
    assert 2 * coded(np.ones(1, np.float32), ROLLS).item() * LARGEST <= LARGEST_16_BIT


def test_weights_of_codes_have_7_bits():
    model = quantised_model(regenerate.tiny_network(), regenerate.tiny_card())
    seen = 0
    for branch in model.graph.node[0].attribute:
        stored = {t.name: numpy_helper.to_array(t) for t in branch.g.initializer}
        for node in branch.g.node:
            if node.op_type == PRODUCT:
                weights = stored[node.input[1]]
                assert weights.dtype == np.int8
                assert np.abs(weights.astype(int)).max() == LARGEST_FACTOR
                seen += weights.size
    assert seen > 1000


def test_the_file_is_smaller():
    network, card = regenerate.tiny_network(), regenerate.tiny_card()
    whole, small = (make(network, card) for make in (model_from_network, quantised_model))
    assert small.ByteSize() < 0.7 * whole.ByteSize()


def test_it_computes_nearly_what_float32_does(quantised_runtime, steps):
    model = model_from_network(regenerate.tiny_network(), regenerate.tiny_card())
    exact = Runtime.from_bytes(model.SerializeToString(), source="float32")
    for step, note in steps:
        wanted, found = (both_parts(r, step, note) for r in (exact, quantised_runtime))
        assert any((found[name] != wanted[name]).any() for name in found)
        for name in (*STEP_OUTPUTS, *NOTE_OUTPUTS):
            error = np.abs(found[name] - wanted[name]).max()
            kept = wanted[name][wanted[name] > MASKED]
            assert error < 0.06 * max(1.0, np.abs(kept).max()), name


def test_it_computes_what_the_benchmark_takes_it_for(quantised_runtime, steps, monkeypatch):
    from singcli.training.export import _step_of_training, _tensors
    from singcli.training.graph import NotePart

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    network = importlib.import_module("_rounded").rounded(regenerate.tiny_network()).eval()
    for step, note in steps:
        found = both_parts(quantised_runtime, step, note)
        with torch.no_grad():
            values = (*_step_of_training(network, step), *NotePart(network.note)(*_tensors(note)))
        for name, value in zip((*STEP_OUTPUTS, *NOTE_OUTPUTS), values, strict=True):
            # A code may be the next one where float32 adds up in another order.
            assert np.abs(found[name] - value.numpy()).max() < 0.02, name


def test_a_row_alone_is_the_same_to_the_last_bit(quantised_runtime, steps):
    for step, note in steps:
        together = both_parts(quantised_runtime, step, note)
        for row in range(N_SONGS):
            alone = both_parts(
                quantised_runtime,
                *({k: v[row : row + 1] for k, v in inputs.items()} for inputs in (step, note)),
            )
            for name, value in together.items():
                np.testing.assert_array_equal(alone[name][0], value[row], err_msg=name)


@pytest.mark.parametrize("token", [0, 87, 88, 175, 176, START])
def test_tokens_that_do_not_rise_are_masked(quantised_runtime, token):
    note = note_inputs(1, quantised_runtime.card.sizes)
    note["last_token"][:] = token
    masked = quantised_runtime.note(note)["logits"][0] == MASKED
    n_masked = 0 if token == START else min(token + 1, N_NOTE_TOKENS)
    np.testing.assert_array_equal(np.flatnonzero(masked), np.arange(n_masked))
