"""Carry the weights of the second bundled model, contract 2, over into a network of contract 3.

Usage: python checkpoints/from_contract_2.py OLD.safetensors NEW.safetensors CONFIG.toml

How the bundled model came to be (checkpoints/README.md): what the old network knew stays as it was,
what is new begins without effect, and training goes on from there with `singcli train --init NEW`.
OLD is checkpoints/pop.safetensors of commit ce6eea2.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from singcli.model.contract import (
    BARS_AGO,
    N_ARTICULATION,
    N_NOTE_TOKENS,
    N_PLACE,
    N_VOICES,
)
from singcli.structure.texture import DEFAULT_TEXTURE
from singcli.training.checkpoint import Progress, write_checkpoint
from singcli.training.config import read_config
from singcli.training.networks import PITCH_EMBEDDING, PointerNetwork

OLD_BAR = 64
# Place of each old hint (draft onset and sounding, a bar ago, carried, context) among the new ones.
HINTS = (0, 1, 5, 2, 3, 4)


def carried_over(old: dict[str, Tensor], network: PointerNetwork) -> dict[str, Tensor]:
    """Return the state of `network` with the old weights in their places."""
    new = {name: value.clone() for name, value in network.state_dict().items()}
    for name, value in old.items():
        if new[name].shape == value.shape:
            new[name] = value
    _carry_bars(old["step.bar.weight"], new["step.bar.weight"])
    sizes = network.sizes
    before = sizes.roll + sizes.draft + OLD_BAR
    after = sizes.context + 2 * PITCH_EMBEDDING + N_PLACE + 3 + N_VOICES
    new["step.lstm.weight_ih_l0"] = _with_columns(
        old["step.lstm.weight_ih_l0"], (before, sizes.bar - OLD_BAR), (after, N_ARTICULATION)
    )
    before = sizes.lstm + sizes.draft + OLD_BAR
    new["step.mix.weight"] = _with_columns(
        old["step.mix.weight"], (before, sizes.bar - OLD_BAR), (sizes.context, 0)
    )
    for part in ("weight", "bias"):
        new[f"step.hints.{part}"] = _hints(old[f"step.hints.{part}"], new[f"step.hints.{part}"])
    return new


def _carry_bars(old: Tensor, new: Tensor) -> None:
    """Put the onsets of a bar ago, now and next, where they stand among the bars ago."""
    new[:OLD_BAR] = 0.0
    for moment in range(2):
        there = moment * len(BARS_AGO) * N_NOTE_TOKENS
        here = slice(moment * N_NOTE_TOKENS, (moment + 1) * N_NOTE_TOKENS)
        new[:OLD_BAR, there : there + N_NOTE_TOKENS] = old[:, here]


def _with_columns(old: Tensor, *pieces: tuple[int, int]) -> Tensor:
    """Return the matrix with columns of zeros behind pieces of it: (columns, zeros behind)."""
    widths = [width for width, _ in pieces]
    parts = old.split(widths, 1)
    wide = [torch.nn.functional.pad(p, (0, n)) for p, (_, n) in zip(parts, pieces, strict=True)]
    return torch.cat(wide, 1)


def _hints(old: Tensor, new: Tensor) -> Tensor:
    """Put each hint's weights of both voices in their new place, zeros for the new hints."""
    placed = torch.zeros_like(new).unflatten(0, (-1, N_VOICES))
    placed[list(HINTS)] = old.unflatten(0, (-1, N_VOICES))
    return placed.flatten(0, 1)


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
