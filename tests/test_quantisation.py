"""Weights in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from singcli.model.contract import NOTE_OUTPUTS, STEP_OUTPUTS, note_inputs, step_inputs  # noqa: E402
from singcli.model.runtime import Runtime  # noqa: E402
from singcli.training.graph import model_from_network  # noqa: E402
from singcli.training.quantisation import (  # noqa: E402
    LARGEST,
    SMALLEST,
    quantise_model,
    quantised,
)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_no_weight_moves_by_more_than_half_a_step(axis, seed):
    weights = np.random.default_rng(seed).normal(0, 3, (7, 5)).astype(np.float32)
    integers, scale = quantised(weights, axis)
    scale = np.expand_dims(scale, 1 - axis)
    assert integers.dtype == np.int8
    assert np.abs(integers).max() == LARGEST
    assert (np.abs(integers * scale - weights) <= scale / 2 + 1e-6).all()


def test_a_row_of_zeros_stays_zero():
    integers, scale = quantised(np.zeros((2, 3), np.float32), 0)
    assert not integers.any()
    assert (scale > 0).all()


def test_the_graph_computes_with_the_rounded_weights():
    import regenerate

    network = regenerate.tiny_network()
    model = model_from_network(network, regenerate.tiny_card())
    whole = len(model.SerializeToString())
    quantise_model(model)
    content = model.SerializeToString()
    assert len(content) < 0.7 * whole
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim == 2 and weights.numel() >= SMALLEST:
                integers, scale = quantised(weights.numpy(), 0)
                weights.copy_(torch.from_numpy(integers * scale[:, None]))
    wanted = Runtime.from_bytes(
        model_from_network(network, regenerate.tiny_card()).SerializeToString(), source="x"
    )
    found = Runtime.from_bytes(content, source="int8")
    rng = np.random.default_rng(0)
    step, note = step_inputs(3, found.card.sizes), note_inputs(3, found.card.sizes)
    for inputs in (step, note):
        for name, value in inputs.items():
            if value.dtype == np.float32:
                inputs[name] = rng.random(value.shape, np.float32)
    for part, inputs, names in (("step", step, STEP_OUTPUTS), ("note", note, NOTE_OUTPUTS)):
        for name in names:
            values = (getattr(runtime, part)(inputs)[name] for runtime in (found, wanted))
            np.testing.assert_allclose(*values, atol=1e-5, err_msg=name)
