"""Weights in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from singcli.model.runtime import Runtime  # noqa: E402
from singcli.training.export import parity_error  # noqa: E402
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
    import onnx
    import regenerate

    path = Path(regenerate.DATA) / "tiny.onnx"
    network, model = regenerate.tiny_network(), onnx.load(path)
    assert parity_error(network, Runtime.open(path)) < 1e-5
    quantise_model(model)
    content = model.SerializeToString()
    assert len(content) < 0.7 * path.stat().st_size
    int8 = Runtime.from_bytes(content, source="int8")
    assert parity_error(network, int8) > 1e-3
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim == 2 and weights.numel() >= SMALLEST:
                integers, scale = quantised(weights.numpy(), 0)
                weights.copy_(torch.from_numpy(integers * scale[:, None]))
    assert parity_error(network, int8) < 1e-5
