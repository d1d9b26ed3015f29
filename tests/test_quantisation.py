"""Weights in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from singcli.model.contract import NOTE_OUTPUTS, STEP_OUTPUTS, note_inputs, step_inputs  # noqa: E402
from singcli.model.runtime import Runtime  # noqa: E402
from singcli.training.graph import model_from_network  # noqa: E402
from singcli.training.quantisation import (  # noqa: E402
    BLOCK,
    LARGEST,
    in_blocks,
    quantise_model,
    quantised,
)


@pytest.mark.parametrize("seed", range(5))
def test_no_weight_moves_by_more_than_half_a_step(seed):
    weights = np.random.default_rng(seed).normal(0, 3, (7, 5)).astype(np.float32)
    integers, scale = quantised(weights)
    assert integers.dtype == np.int8
    assert np.abs(integers).max() == LARGEST
    assert (np.abs(integers * scale[:, None] - weights) <= scale[:, None] / 2 + 1e-6).all()


def test_a_row_of_zeros_stays_zero():
    integers, scale = quantised(np.zeros((2, 3), np.float32))
    assert not integers.any()
    assert (scale > 0).all()


@pytest.mark.parametrize("width", [1, BLOCK, BLOCK + 1])
def test_blocks_are_the_row_and_zeros(width):
    weights = np.random.default_rng(0).normal(size=(3, width)).astype(np.float32)
    blocks = in_blocks(weights).reshape(3, -1)
    np.testing.assert_array_equal(blocks[:, :width], weights)
    assert not blocks[:, width:].any()
    assert blocks.shape[1] % BLOCK == 0


def test_the_graph_is_smaller_and_computes_nearly_the_same():
    import regenerate

    model = model_from_network(regenerate.tiny_network(), regenerate.tiny_card())
    wanted = Runtime.from_bytes(model.SerializeToString(), source="float32")
    whole = len(model.SerializeToString())
    quantise_model(model)
    content = model.SerializeToString()
    assert len(content) < whole
    found = Runtime.from_bytes(content, source="int8")
    rng = np.random.default_rng(0)
    step, note = step_inputs(3, found.card.sizes), note_inputs(3, found.card.sizes)
    for inputs in (step, note):
        for name, value in inputs.items():
            if value.dtype == np.float32:
                inputs[name] = rng.random(value.shape, np.float32)
    for part, inputs, names in (("step", step, STEP_OUTPUTS), ("note", note, NOTE_OUTPUTS)):
        exact, rounded = (getattr(runtime, part)(inputs) for runtime in (wanted, found))
        assert any((rounded[name] != exact[name]).any() for name in names)
        for name in names:
            error = np.abs(rounded[name] - exact[name]).max()
            assert error < 0.05 * max(1.0, np.abs(exact[name]).max()), name
            alone = getattr(found, part)({key: value[1:2] for key, value in inputs.items()})
            np.testing.assert_array_equal(alone[name][0], rounded[name][1], err_msg=name)
