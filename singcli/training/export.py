"""Checkpoint -> one self-contained ONNX file (DESIGN.md, section 6).

The file's graph is one `If` with two branches that share no weight: the *step* part runs once a
step, the *note* part once for every note and STOP inside it (input `note_part`, false or true).
Every input has a default of batch size 1, so that a caller feeds only the inputs of one part; the
outputs of the other part come out empty.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from singcli import __version__
from singcli.errors import InputError, SingError
from singcli.files import replacing
from singcli.model.contract import (
    CARD_KEY,
    NO_DURATION,
    NO_LEAD,
    NOTE_OUTPUTS,
    PART_INPUT,
    START,
    STEP_OUTPUTS,
    STOP,
    ModelCard,
    note_inputs,
    step_inputs,
)
from singcli.model.runtime import Runtime
from singcli.structure.texture import Texture
from singcli.training.checkpoint import Checkpoint
from singcli.training.config import TrainConfig
from singcli.training.loop import BEST
from singcli.training.networks import NoteNetwork, PointerNetwork, StepInputs, StepNetwork

OPSET = 18
IR_VERSION = 10  # what onnxruntime 1.20, the oldest that we allow, still reads
PARITY_STEPS = 48
PARITY_SONGS = 3
PARITY_TOLERANCE = 2e-4  # float32 in another order of summation, over `PARITY_STEPS` of recurrence
SPEED_SECONDS = 0.5


class _StepPart(nn.Module):
    """One step of the step network, its state as plain inputs and outputs."""

    def __init__(self, network: StepNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take the tensors of `step_inputs`, return those of `STEP_OUTPUTS`."""
        *seen, hidden, cell = tensors
        return self.network.tick(StepInputs(*seen), hidden, cell)


class _NotePart(nn.Module):
    """One decision of the note network; adds the last token to the step's sum on the way."""

    def __init__(self, network: NoteNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        features: Tensor,
        token_bias: Tensor,
        chosen: Tensor,
        last_token: Tensor,
        draft_onsets: Tensor,
        lead: Tensor,
        draft_duration: Tensor,
    ) -> tuple[Tensor, ...]:
        """Take the tensors of `note_inputs`, return those of `NOTE_OUTPUTS`."""
        is_note = (last_token < STOP).unsqueeze(-1)
        chosen = chosen + self.network.chosen(last_token) * is_note
        logits, gate = self.network.pitch_logits(
            features, token_bias, chosen, last_token, draft_onsets, lead
        )
        duration = self.network.duration_logits(features, last_token, draft_duration)
        return logits, gate, chosen, duration


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written and how it was checked."""

    path: Path
    opset: int
    bytes: int
    parameters: int
    parity: float
    steps_per_second: dict[int, float]


def export_onnx(
    run: Path, out: Path, *, licence: str | None = None, overwrite: bool = False
) -> ExportReport:
    """Export the best checkpoint of a run and check it against torch.

    Parameters
    ----------
    run : Path
        A folder written by `train`, or a checkpoint file.
    out : Path
        The `.onnx` to write; the weights (`.safetensors`) are written beside it.
    licence : str, optional
        Of the weights; by default the licence texts of the training data.

    Raises
    ------
    InputError
        If there is no checkpoint, or `out` exists and may not be replaced.
    SingError
        If the graph disagrees with torch by more than `PARITY_TOLERANCE`; nothing is written.
    """
    source = run if run.is_file() else run / BEST
    weights = out.with_suffix(".safetensors")
    if out.suffix != ".onnx":
        raise InputError(f"--out {out}: must end in .onnx")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder", "make it, or choose another --out")
    for path in (out, weights):
        if path.exists() and not overwrite:
            raise InputError(f"{path}: already exists", "add --overwrite to replace it")
    checkpoint = Checkpoint.read(source)
    config = TrainConfig.model_validate(checkpoint.run["config"])
    network = PointerNetwork(config.network.sizes)
    checkpoint.restore_network(network)
    network.eval()
    card = _card(checkpoint, config, licence)
    model = model_from_network(network, card)
    content = model.SerializeToString()
    runtime = Runtime.from_bytes(content, source=str(out))
    parity = parity_error(network, runtime)
    if parity > PARITY_TOLERANCE:
        raise SingError(
            f"{out}: graph and torch differ by {parity:.2g}, allowed {PARITY_TOLERANCE:g}",
            "report this with the versions of torch, onnx and onnxruntime",
        )
    with replacing(out) as temporary:
        temporary.write_bytes(content)
    with replacing(weights) as temporary:
        temporary.write_bytes(source.read_bytes())
    return ExportReport(
        path=out,
        opset=OPSET,
        bytes=len(content),
        parameters=sum(p.numel() for p in network.parameters()),
        parity=parity,
        steps_per_second={n: _steps_per_second(runtime, n) for n in (1, 16)},
    )


def _card(checkpoint: Checkpoint, config: TrainConfig, licence: str | None) -> ModelCard:
    data = checkpoint.run["data"]
    progress = checkpoint.progress
    return ModelCard(
        name=config.name,
        sizes=config.network.sizes,
        texture=Texture(**checkpoint.run["texture"]),
        context_temperature=config.data.context_temperature,
        continuation_bonus=config.data.continuation_bonus,
        licence=licence or "\n\n".join(data["licences"].values()) or "not stated",
        training={
            "singcli": __version__,
            "config": config.model_dump(),
            "data": data | {"licences": sorted(data["licences"])},
            "epochs": progress.epoch,
            "hours": round(progress.seconds / 3600, 2),
            "validation": progress.figures,
        },
    )


def model_from_network(network: PointerNetwork, card: ModelCard) -> ModelProto:
    """Trace both parts, put each in a branch of one `If` and attach the card."""
    parts = (
        ("step", _StepPart(network.step), step_inputs(1, card.sizes), STEP_OUTPUTS),
        ("note", _NotePart(network.note), note_inputs(1, card.sizes), NOTE_OUTPUTS),
    )
    inputs, outputs, defaults, branches = [], [], {PART_INPUT: np.zeros((), np.bool_)}, {}
    for name, part, blank, names in parts:
        graph = _traced(part, blank, names, batch=f"{name}_rows")
        inputs += list(graph.input)
        outputs += list(graph.output)
        defaults |= blank
        branches[name] = _branch(graph, name, first_output=len(outputs) - len(names))
    choice = helper.make_node(
        "If",
        [PART_INPUT],
        [output.name for output in outputs],
        then_branch=branches["note"],
        else_branch=branches["step"],
    )
    which = helper.make_tensor_value_info(PART_INPUT, TensorProto.BOOL, [])
    initializers = [numpy_helper.from_array(value, name) for name, value in defaults.items()]
    model = helper.make_model(
        helper.make_graph([choice], card.name, [which, *inputs], outputs, initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="singcli",
        producer_version=__version__,
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model)
    return model


def _branch(graph: GraphProto, name: str, *, first_output: int) -> GraphProto:
    """Return a part as a branch, with empty tensors for the outputs of the other part.

    Its names get a prefix, but for the inputs, which it takes from the outer graph.
    """
    graph = onnx.compose.add_prefix_graph(graph, f"{name}/", rename_inputs=False)
    del graph.input[:]
    empty = [
        numpy_helper.from_array(np.zeros(0, np.float32), f"{name}/empty_{k}")
        for k in range(len(STEP_OUTPUTS + NOTE_OUTPUTS) - len(graph.output))
    ]
    blanks = [helper.make_tensor_value_info(e.name, TensorProto.FLOAT, [0]) for e in empty]
    nodes = [helper.make_node("Constant", [], [e.name], value=e) for e in empty]
    ordered = [*blanks[:first_output], *graph.output, *blanks[first_output:]]
    return helper.make_graph([*graph.node, *nodes], name, [], ordered, list(graph.initializer))


def _traced(
    part: nn.Module, inputs: dict[str, Any], outputs: tuple[str, ...], *, batch: str
) -> GraphProto:
    """Export one part with a dynamic first axis called `batch`."""
    rows = torch.export.Dim(batch, min=1, max=65536)
    # Two rows, because the exporter would take a batch of one for a constant.
    example = tuple(torch.from_numpy(np.repeat(value, 2, axis=0)) for value in inputs.values())
    shapes = tuple({0: rows} for _ in example)
    with _quiet_exporter():
        program = torch.onnx.export(
            part.eval(),
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_shapes=(shapes,) if isinstance(part, _StepPart) else shapes,  # *tensors is one
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto.graph


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's remarks on its own internals from the user."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@torch.no_grad()
def parity_error(network: PointerNetwork, runtime: Runtime) -> float:
    """Return the largest difference between torch and the graph over random steps and decisions."""
    rng = np.random.default_rng(0)
    note_part = _NotePart(network.note)
    sizes = network.sizes
    step = step_inputs(PARITY_SONGS, sizes)
    worst = 0.0
    for _ in range(PARITY_STEPS):
        _randomise(step, rng, but=("hidden", "cell"))
        got = runtime.step(step)
        wanted = dict(zip(STEP_OUTPUTS, _step_of_training(network, step), strict=True))
        note = note_inputs(PARITY_SONGS, sizes)
        _randomise(note, rng)
        note["features"], note["token_bias"] = got["step_features"], got["step_token_bias"]
        got |= runtime.note(note)
        wanted |= dict(zip(NOTE_OUTPUTS, note_part(*_tensors(note)), strict=True))
        worst = max(worst, *(float(np.abs(got[n] - wanted[n].numpy()).max()) for n in got))
        step["hidden"], step["cell"] = got["next_hidden"], got["next_cell"]
    return worst


def _step_of_training(network: PointerNetwork, step: dict[str, Any]) -> tuple[Tensor, ...]:
    """Run one step with the LSTM that was trained."""
    *seen, hidden, cell = _tensors(step)
    state = (hidden.unsqueeze(0), cell.unsqueeze(0))
    inputs = StepInputs(*(tensor.unsqueeze(1) for tensor in seen))
    features, token_bias, (hidden, cell) = network.step(inputs, state)
    return features.squeeze(1), token_bias.squeeze(1), hidden.squeeze(0), cell.squeeze(0)


_LIMITS = {
    "lead": NO_LEAD,
    "last_lead": NO_LEAD,
    "last_token": START,
    "draft_duration": NO_DURATION,
}


def _randomise(inputs: dict[str, Any], rng: np.random.Generator, but: tuple[str, ...] = ()) -> None:
    for name, value in inputs.items():
        if name in but:
            continue
        if name in _LIMITS:
            inputs[name] = rng.integers(0, _LIMITS[name] + 1, value.shape)
        else:
            inputs[name] = (rng.random(value.shape) < 0.1).astype(np.float32)


def _tensors(inputs: dict[str, Any]) -> list[Tensor]:
    return [torch.from_numpy(value) for value in inputs.values()]


def _steps_per_second(runtime: Runtime, batch: int) -> float:
    """Time bare steps of one decision each."""
    step = step_inputs(batch, runtime.card.sizes)
    note = note_inputs(batch, runtime.card.sizes)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SPEED_SECONDS:
        runtime.step(step)
        runtime.note(note)
        done += batch
    return done / (time.perf_counter() - started)
