"""Carry the weights of the first bundled model, contract 1, over into a network of contract 2.

Usage: python checkpoints/from_contract_1.py OLD.safetensors NEW.safetensors CONFIG.toml

How the bundled model came to be (checkpoints/README.md): what the old network knew stays as it was,
what is new begins without effect, and training goes on from there with `singcli train --init NEW`.
OLD is checkpoints/pop.safetensors up to commit b100ca9.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from singcli.model.contract import (
    DURATIONS,
    N_DURATIONS,
    N_NOTE_TOKENS,
    NO_DURATION,
    TOKEN_PITCH,
    TOKEN_VOICE,
)
from singcli.structure.texture import DEFAULT_TEXTURE
from singcli.training.checkpoint import Progress, write_checkpoint
from singcli.training.config import read_config
from singcli.training.networks import PointerNetwork

OLD_DURATIONS = np.array([1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64])
OLD_PLACE = 47
# Columns of the LSTM's input: name, old width, new width.
SEEN = (
    ("roll", 128, 128),
    ("draft", 128, 128),
    ("bar", 64, 64),
    ("context", 32, 64),
    ("lead", 24, 24),
    ("bass", 0, 24),
    ("place", OLD_PLACE, 61),
    ("grade", 2, 2),
    ("loudness", 0, 2),
    ("lead_age", 1, 1),
)


def carried_over(old: dict[str, Tensor], network: PointerNetwork) -> dict[str, Tensor]:
    """Return the state of `network` with the old weights in their places."""
    new = {name: value.clone() for name, value in network.state_dict().items()}
    for name, value in old.items():
        if name in new and new[name].shape == value.shape:
            new[name] = value
    for part in ("weight", "bias"):
        new[f"note.lead_interval.{part}"] = old[f"note.interval.{part}"]
        new[f"note.bass_interval.{part}"].zero_()
    new["step.lstm.weight_ih_l0"] = _seen(old["step.lstm.weight_ih_l0"])
    _carry_context(old, new)
    _carry_heads(old, new)
    _carry_durations(old, new)
    return new


def _seen(old: Tensor) -> Tensor:
    """Return the LSTM's input weights with columns of zeros for what is new."""
    pieces, start = [], 0
    for _name, before, after in SEEN:
        pieces += [old[:, start : start + before], torch.zeros(len(old), after - before)]
        start += before
    return torch.cat(pieces, 1)


def _carry_context(old: dict[str, Tensor], new: dict[str, Tensor]) -> None:
    """Make the chroma of a sum over sounding notes, and its bias a part of the LSTM's."""
    column = torch.from_numpy(TOKEN_VOICE.astype(np.int64) * 12 + TOKEN_PITCH % 12)
    old_width = len(old["step.context.weight"])
    new["step.context.weight"][:old_width] = 0.0
    new["step.context.weight"][:old_width, N_NOTE_TOKENS:] = old["step.context.weight"][:, column]
    start = sum(before for _, before, _ in SEEN[:3])
    heard = old["step.lstm.weight_ih_l0"][:, start : start + old_width]
    new["step.lstm.bias_ih_l0"] = old["step.lstm.bias_ih_l0"] + heard @ old["step.context.bias"]


def _carry_heads(old: dict[str, Tensor], new: dict[str, Tensor]) -> None:
    """Old rows and columns come first in the layers that grew; of the new only features speak."""
    for name in ("step.mix.weight", "step.hints.weight", "step.hints.bias"):
        new[name].zero_()
    new["step.mix.weight"][:, : old["step.mix.weight"].shape[1]] = old["step.mix.weight"]
    for name in ("step.hints", "step.features"):
        for part in ("weight", "bias"):
            before = old[f"{name}.{part}"]
            new[f"{name}.{part}"][: len(before)] = before


def _carry_durations(old: dict[str, Tensor], new: dict[str, Tensor]) -> None:
    """Let a new class take the nearest old one, and share its probability."""
    nearest = np.abs(OLD_DURATIONS[None, :] - DURATIONS[:, None]).argmin(1)
    share = np.bincount(nearest)[nearest]
    rows = torch.from_numpy(nearest)
    table = old["note.duration_draft.weight"]
    new["note.duration_draft.weight"][:N_DURATIONS] = table[rows]
    new["note.duration_draft.weight"][NO_DURATION] = table[len(OLD_DURATIONS)]
    new["note.duration.weight"] = old["note.duration.weight"][rows].clone()
    fewer = torch.from_numpy(np.log(share)).float()
    new["note.duration.bias"] = old["note.duration.bias"][rows] - fewer
    new["note.duration_chord.weight"].zero_()


def main() -> None:
    """Write the checkpoint."""
    source, target, config_path = map(Path, sys.argv[1:])
    config = read_config(config_path)
    with safe_open(source, framework="pt") as file:
        prefix = "network."
        old = {name.removeprefix(prefix): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    torch.manual_seed(0)
    network = PointerNetwork(config.network.sizes)
    network.load_state_dict(carried_over(old, network))
    run = {"config": config.model_dump(), "textures": [dataclasses.asdict(DEFAULT_TEXTURE)]}
    write_checkpoint(target, network, Progress(), run | {"styles": [], "data": {}})


if __name__ == "__main__":
    main()
