"""Steps a second of a variant's network at inference: both parts as ONNX, one thread."""

from __future__ import annotations

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

from singcli.model.contract import NetworkSizes, note_inputs, step_inputs
from singcli.training.graph import OPSET, NotePart
from singcli.training.networks import StepInputs

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

    Parameters
    ----------
    variant : Variant
        Its weights are untrained: time does not depend on them.
    batch : int
        Songs at once; the graphs are made for this number.
    """

    def __init__(self, variant: Variant, batch: int) -> None:
        network = network_of(variant, seed=0).eval()
        assert isinstance(network.step, VariantStep)
        self.inputs = _blank_step(network.step, batch, network.sizes)
        self.note = note_inputs(batch, network.sizes)
        self.step_session = _session(TickPart(network.step), self.inputs)
        self.note_session = _session(NotePart(network.note), self.note)

    def seconds_per_step(self, n_steps: int) -> float:
        """Return the mean processor time of a step of all songs and one decision each."""
        begun = time.process_time()
        for _ in range(n_steps):
            features, bias, *state = self.step_session.run(None, self.inputs)
            self.inputs |= {f"state_{k}": value for k, value in enumerate(state)}
            self.note["features"], self.note["token_bias"] = features, bias
            self.note_session.run(None, self.note)
        return (time.process_time() - begun) / n_steps


def steps_per_second(
    variants: Sequence[Variant], batches: Sequence[int], rounds: int
) -> dict[str, list[float]]:
    """Return steps a second of all songs together, a number for each batch size.

    Medians over rounds in which all take turns. The time is that of the processor: onnxruntime
    runs in the calling thread, and other processes on the machine do not count.
    """
    timed = {(v.name, batch): PartSpeed(v, batch) for v in variants for batch in batches}
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in timed}
    for part in timed.values():
        part.seconds_per_step(WARM_UP_STEPS)
    for _ in range(rounds):
        for key, part in timed.items():
            seconds[key].append(part.seconds_per_step(ROUND_STEPS))
    return {
        v.name: [batch / statistics.median(seconds[v.name, batch]) for batch in batches]
        for v in variants
    }


def _blank_step(step: VariantStep, batch: int, sizes: NetworkSizes) -> Arrays:
    blank = step_inputs(batch, sizes)
    seen = {name: value for name, value in blank.items() if name not in ("hidden", "cell")}
    return seen | {f"state_{k}": v.numpy() for k, v in enumerate(step.cell.blank(batch))}


def _session(part: nn.Module, inputs: Arrays) -> onnxruntime.InferenceSession:
    """Export a part for the shapes of its inputs, and open it on one thread."""
    tensors = tuple(torch.from_numpy(value) for value in inputs.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of the exporter on its own internals
        program = torch.onnx.export(
            *(part.eval(), tensors),
            input_names=list(inputs),
            opset_version=OPSET,
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
