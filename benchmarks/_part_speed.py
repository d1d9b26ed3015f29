"""Steps a second of a variant's network at inference: both parts as ONNX, one thread."""

from __future__ import annotations

import logging
import statistics
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import onnxruntime
import torch
from _variants import Variant, VariantStep, network_of
from torch import Tensor, nn

from singcli.model.contract import note_inputs, step_inputs
from singcli.training.graph import OPSET
from singcli.training.networks import StepInputs
from singcli.training.note_part import FusedNotePart

ROUND_STEPS = 200
WARM_UP_STEPS = 20

Arrays = dict[str, npt.NDArray[Any]]


class TickPart(nn.Module):
    """One step of the step part, its state as plain inputs and outputs."""

    def __init__(self, network: VariantStep) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take the tensors of `StepInputs` and the state; return features, bias and the state."""
        n = len(StepInputs._fields)
        features, bias, state = self.network.tick_any(StepInputs(*tensors[:n]), tensors[n:])
        return features, bias, *state


class PartSpeed:
    """A variant as it would be sampled from: a step and a note decision by turns.

    Its weights are untrained: time does not depend on them.
    """

    def __init__(self, variant: Variant) -> None:
        network = network_of(variant, seed=0).eval()
        assert isinstance(network.step, VariantStep)
        self.cell, self.sizes = network.step.cell, network.sizes
        self.step_session = _session(TickPart(network.step), self._blank_step(2))
        self.note_session = _session(FusedNotePart(network.note), note_inputs(2, network.sizes))

    def _blank_step(self, batch: int) -> Arrays:
        blank = step_inputs(batch, self.sizes)
        seen = {name: value for name, value in blank.items() if name not in ("hidden", "cell")}
        return seen | {f"state_{k}": v.numpy() for k, v in enumerate(self.cell.blank(batch))}

    def seconds_per_step(self, batch: int, n_steps: int) -> float:
        """Return the mean processor time of a step of `batch` songs and one decision of each."""
        step, note = self._blank_step(batch), note_inputs(batch, self.sizes)
        begun = time.process_time()
        for _ in range(n_steps):
            features, bias, *state = self.step_session.run(None, step)
            step |= {f"state_{k}": value for k, value in enumerate(state)}
            note["features"], note["token_bias"] = features, bias
            self.note_session.run(None, note)
        return (time.process_time() - begun) / n_steps


def steps_per_second(
    variants: Sequence[Variant], batches: Sequence[int], rounds: int
) -> dict[str, list[float]]:
    """Return steps a second of all songs together, a number for each batch size.

    Medians over rounds in which all take turns. The time is that of the processor: onnxruntime
    runs in the calling thread, and other processes on the machine do not count.
    """
    timed = {variant.name: PartSpeed(variant) for variant in variants}
    seconds: dict[tuple[str, int], list[float]] = {
        (name, batch): [] for name in timed for batch in batches
    }
    for turn in range(rounds + 1):
        for (name, batch), found in seconds.items():
            n_steps = ROUND_STEPS if turn else WARM_UP_STEPS
            value = timed[name].seconds_per_step(batch, n_steps)
            if turn:
                found.append(value)
    return {
        name: [batch / statistics.median(seconds[name, batch]) for batch in batches]
        for name in timed
    }


def _session(part: nn.Module, inputs: Arrays) -> onnxruntime.InferenceSession:
    """Export a part for any number of songs, and open it on one thread.

    `inputs` are those of two songs, because the exporter takes a single one for a constant.
    """
    tensors = tuple(torch.from_numpy(value) for value in inputs.values())
    shapes = tuple({0: torch.export.Dim("songs", min=1, max=65536)} for _ in tensors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of the exporter on its own internals
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            *(part.eval(), tensors),
            input_names=list(inputs),
            opset_version=OPSET,
            dynamic_shapes=(shapes,) if isinstance(part, TickPart) else shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
