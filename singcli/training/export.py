"""Checkpoint -> one self-contained ONNX file, checked against torch before it is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from singcli.errors import InputError, SingError
from singcli.files import validate_new_file, write_bytes
from singcli.model.contract import (
    NO_BASS,
    NO_DURATION,
    NO_LEAD,
    NO_VELOCITY,
    NOTE_OUTPUTS,
    START,
    STEP_OUTPUTS,
    ModelCard,
    note_inputs,
    step_inputs,
)
from singcli.model.runtime import Runtime
from singcli.structure.texture import Texture
from singcli.training.checkpoint import Checkpoint, reading_facts, write_checkpoint
from singcli.training.config import TrainConfig
from singcli.training.graph import OPSET, NotePart, model_from_network, quantised_model
from singcli.training.networks import PointerNetwork, StepInputs
from singcli.training.run_folder import BEST, licence_of_weights, training_facts
from singcli.training.sing.export import (
    sing_card,
    sing_from_checkpoint,
    sing_parity_error,
    sing_rows_per_second,
    sing_runtime,
    validate_weights,
)

Weights = Literal["float32", "int8"]

PARITY_STEPS = 48
PARITY_SONGS = 3
PARITY_DENSITY = 0.03  # of ones in rolls, about that of music
PARITY_TOLERANCE = 2e-4  # float32 in another order of summation, over `PARITY_STEPS` of recurrence
SPEED_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written and how it was checked; `parity` is the largest difference from torch."""

    path: Path
    opset: int
    bytes: int
    parameters: int
    parity: float
    steps_per_second: dict[int, float]


def export_onnx(
    run: Path,
    out: Path,
    *,
    weights: Weights = "float32",
    licence: str | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Export the best checkpoint of a run and check it against torch.

    Parameters
    ----------
    run : Path
        A folder written by `train`, or a checkpoint file.
    out : Path
        The `.onnx` to write; the weights (`.safetensors`) are written beside it.
    weights : {"float32", "int8"}
        How the file stores them, and multiplies with them.
    licence : str, optional
        Of the weights, for both files; by default the licence texts of the training data.

    Raises
    ------
    InputError
        If there is no checkpoint, or `out` exists and may not be replaced.
    SingError
        If the graph disagrees with torch by more than `PARITY_TOLERANCE`; nothing is written.
    """
    source = run if run.is_file() else run / BEST
    beside = out.with_suffix(".safetensors")
    if out.suffix != ".onnx":
        raise InputError(f"--out {out}: must end in .onnx")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder", "make it, or choose another --out")
    for path in (out, beside):
        validate_new_file(path, overwrite=overwrite)
    checkpoint = Checkpoint.read(source)
    with reading_facts(source):
        architecture = checkpoint.run["config"].get("architecture")
    made = _made_sing if architecture == "sing" else _made_pointer
    model = made(checkpoint, source, out, weights, licence)
    write_bytes(out, model.content, durable=True)
    facts = checkpoint.run
    if licence:
        facts = facts | {"data": facts["data"] | {"licences": {"stated": licence}}}
    write_checkpoint(beside, model.network, checkpoint.progress, facts)
    return ExportReport(
        path=out,
        opset=OPSET,
        bytes=len(model.content),
        parameters=sum(p.numel() for p in model.network.parameters()),
        parity=model.parity,
        steps_per_second=model.steps_per_second,
    )


class _Made(NamedTuple):
    """A model file that is ready to be written, and how it was checked."""

    content: bytes
    network: nn.Module
    parity: float
    steps_per_second: dict[int, float]


def _made_pointer(
    checkpoint: Checkpoint, source: Path, out: Path, weights: Weights, licence: str | None
) -> _Made:
    with reading_facts(source):
        config = TrainConfig.model_validate(checkpoint.run["config"])
        card = _card(checkpoint, config, licence)
    network = PointerNetwork(config.network.sizes)
    checkpoint.restore_network(network)
    network.eval()
    model = model_from_network(network, card)
    runtime = Runtime.from_bytes(model.SerializeToString(), source=str(out))
    parity = parity_error(network, runtime)
    _validate_parity(parity, out)
    if weights == "int8":
        model = quantised_model(network, card)
        runtime = Runtime.from_bytes(model.SerializeToString(), source=str(out))
        parity = parity_error(network, runtime)
    content = model.SerializeToString(deterministic=True)
    return _Made(content, network, parity, {n: _steps_per_second(runtime, n) for n in (1, 16)})


def _made_sing(
    checkpoint: Checkpoint, source: Path, out: Path, weights: Weights, licence: str | None
) -> _Made:
    validate_weights(weights)
    with reading_facts(source):
        card = sing_card(checkpoint, licence)
    network = sing_from_checkpoint(checkpoint)
    content, runtime = sing_runtime(card, network, source=str(out))
    parity = sing_parity_error(network, runtime)
    _validate_parity(parity, out)
    return _Made(content, network, parity, {n: sing_rows_per_second(runtime, n) for n in (1, 128)})


def _validate_parity(parity: float, out: Path) -> None:
    if parity > PARITY_TOLERANCE:
        raise SingError(
            f"{out}: graph and torch differ by {parity:.2g}, allowed {PARITY_TOLERANCE:g}",
            "report this with the versions of torch, onnx and onnxruntime",
        )


def _card(checkpoint: Checkpoint, config: TrainConfig, licence: str | None) -> ModelCard:
    return ModelCard(
        name=config.name,
        sizes=config.network.sizes,
        material=checkpoint.run.get("material", "songs"),
        styles=tuple(checkpoint.run["styles"]),
        textures=tuple(Texture(**texture) for texture in checkpoint.run["textures"]),
        context_temperature=config.data.context_temperature,
        continuation_bonus=config.data.continuation_bonus,
        licence=licence_of_weights(checkpoint, licence),
        training=training_facts(checkpoint, config.model_dump()),
    )


@torch.no_grad()
def parity_error(network: PointerNetwork, runtime: Runtime) -> float:
    """Return the largest difference between torch and the graph over random steps and decisions."""
    rng = np.random.default_rng(0)
    note_part = NotePart(network.note)
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
    "bass": NO_BASS,
    "last_bass": NO_BASS,
    "last_token": START,
    "draft_duration": NO_DURATION,
    "chord_duration": NO_DURATION,
    "draft_velocity": NO_VELOCITY,
    "voice_velocity": NO_VELOCITY,
}


def _randomise(inputs: dict[str, Any], rng: np.random.Generator, but: tuple[str, ...] = ()) -> None:
    for name, value in inputs.items():
        if name in but:
            continue
        if name in _LIMITS:
            inputs[name] = rng.integers(0, _LIMITS[name] + 1, value.shape)
        else:
            inputs[name] = (rng.random(value.shape) < PARITY_DENSITY).astype(np.float32)


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
