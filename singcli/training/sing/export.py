"""A checkpoint of SING as a model file, and how far its graph is from torch."""

from __future__ import annotations

import time

import numpy as np
import torch

from singcli.errors import InputError
from singcli.model.runtime import opened_file
from singcli.model.sing.contract import SingCard
from singcli.model.sing.roll_out import HIDDEN
from singcli.model.sing.runtime import SingRuntime
from singcli.structure.texture import Texture
from singcli.training.checkpoint import Checkpoint
from singcli.training.run_folder import licence_of_weights, training_facts
from singcli.training.sing.config import SingConfig
from singcli.training.sing.graph import model_from_sing
from singcli.training.sing.network import SingNetwork

PARITY_ROWS = 48
PARITY_SONGS = 3
SPEED_SECONDS = 0.5


def sing_from_checkpoint(checkpoint: Checkpoint) -> SingNetwork:
    """Return the network of a checkpoint.

    Raises
    ------
    InputError
        If the weights are those of another network.
    """
    config = SingConfig.model_validate(checkpoint.run["config"])
    network = SingNetwork(attention=config.network.attention)
    checkpoint.restore_network(network)
    return network.eval()


def sing_runtime(card: SingCard, network: SingNetwork, *, source: str) -> tuple[bytes, SingRuntime]:
    """Return the content of the model file, and the file opened."""
    model = model_from_sing(network, card)
    content = model.SerializeToString(deterministic=True)
    return content, SingRuntime.from_file(opened_file(content, source=source), source=source)


def validate_weights(weights: str) -> None:
    """Check that the file is to store the weights as they are.

    Raises
    ------
    InputError
        If they are to be stored in 8 bits.
    """
    if weights != "float32":
        raise InputError(
            f"--weights {weights}: a model of sing has half a megabyte and stays in float32",
            "leave --weights out",
        )


def sing_card(checkpoint: Checkpoint, licence: str | None) -> SingCard:
    """Return the card of the model file, by default with the licences of the training data."""
    config = SingConfig.model_validate(checkpoint.run["config"])
    return SingCard(
        name=config.name,
        attention=config.network.attention,
        seed_rows=config.training.seed_rows,
        sampling=config.sampling.settings,
        textures=(Texture(**checkpoint.run["texture"]),),
        licence=licence_of_weights(checkpoint, licence),
        training=training_facts(checkpoint, config.model_dump()),
    )


@torch.no_grad()
def sing_parity_error(network: SingNetwork, runtime: SingRuntime) -> float:
    """Return the largest difference between torch's own LSTM and the graph over random rows."""
    rng = np.random.default_rng(0)
    shape = (PARITY_ROWS, PARITY_SONGS, HIDDEN)
    row = (rng.random(shape) < 0.03).astype(np.float32)
    weighted = rng.random(shape, np.float32)
    start = np.zeros(shape[1:], np.float32)
    blank = torch.from_numpy(start)
    wanted = network(torch.from_numpy(row), torch.from_numpy(weighted), (blank, blank)).numpy()
    hidden, cell, worst = start, start, 0.0
    for t in range(PARITY_ROWS):
        logits, hidden, cell = runtime(row[t], weighted[t], hidden, cell)
        worst = max(worst, float(np.abs(logits - wanted[t]).max()))
    return worst


def sing_rows_per_second(runtime: SingRuntime, n: int) -> float:
    """Time bare steps of n songs, without attention and drawing."""
    blank = np.zeros((n, HIDDEN), np.float32)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SPEED_SECONDS:
        runtime(blank, blank, blank, blank)
        done += n
    return done / (time.perf_counter() - started)
