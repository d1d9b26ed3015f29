"""Short training runs of variants of the network: the same songs, batches and schedule for all."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _cells import State
from _variants import BASE, SmoothedNote, Variant, network_of, spoil
from torch import Tensor, nn

from singcli.dataset import Dataset
from singcli.errors import InputError
from singcli.model.contract import SsmKind
from singcli.music.score import STEPS_PER_BEAT
from singcli.structure.texture import fit_texture
from singcli.training.batches import Batch, Chunk, batch_from_draws
from singcli.training.config import DataConfig, OptimiserConfig
from singcli.training.examples import ExampleSettings, TrainingSong, epoch_draws
from singcli.training.loop import TEXTURE_LAGS
from singcli.training.loss import chunk_loss
from singcli.training.networks import PointerNetwork
from singcli.training.validation import Figures, validate

KINDS: tuple[SsmKind, ...] = ("music", "none")
VALIDATED_SONGS = 16  # at once
OPTIMISER = OptimiserConfig(cooldown=1 / 3, warmup_updates=100)
DATA = DataConfig()
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Plan:
    """What all runs share: length in updates, songs a batch, steps a chunk, validation songs."""

    updates: int
    batch_songs: int
    chunk_steps: int
    songs: int


class Songs(NamedTuple):
    """What a process trains on."""

    training: list[TrainingSong]
    validation: list[TrainingSong]
    settings: ExampleSettings


def open_songs(path: Path, n_validation: int) -> Songs:
    """Read a dataset; the texture under forms is fitted to its songs in 4/4."""
    data = Dataset.open(path)
    training, validation = (
        [TrainingSong.from_song(song) for song in data.songs(split)]
        for split in ("train", "validation")
    )
    if not training or not validation:
        raise InputError(
            f"{path}: {len(training)} training and {len(validation)} validation songs, "
            "at least 1 of each is needed",
            "prepare more songs, or with --validation-ids",
        )
    in_four = [s for s in training if set(np.diff(s.score.bar_beats).tolist()) == {4}]
    settings = ExampleSettings(
        styles=(data.style,) if data.style is not None else (),
        textures=(fit_texture([song.ssm for song in in_four or training], 4, TEXTURE_LAGS),),
        context_temperature=DATA.context_temperature,
        continuation_bonus=DATA.continuation_bonus,
    )
    return Songs(training, validation[:n_validation], settings)


def run_variant(variant: Variant, seed: int, plan: Plan, songs: Songs) -> dict[str, Any]:
    """Train a variant from nothing and validate it.

    Returns
    -------
    dict
        variant, seed, plan, parameters, seconds (of the processor) an epoch of all training songs,
        curve (nats a step in each tenth of the run), and the figures of `validate` for `KINDS`
        with the running mean of the weights ("mean") and, of the base, the last ones ("last").
    """
    network = network_of(variant, seed)
    average = copy.deepcopy(network).requires_grad_(requires_grad=False)
    seconds, steps, curve = _train(network, average, variant, seed, plan, songs)
    return {
        "variant": variant.name,
        "seed": seed,
        "plan": asdict(plan),
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds_per_epoch": seconds / steps * _epoch_steps(plan, songs),
        "curve": curve,
        "mean": _figures(average, songs),
        "last": _figures(network, songs) if variant.name == BASE else None,
    }


def _epoch_steps(plan: Plan, songs: Songs) -> int:
    """Return the steps that an epoch of the training songs shows."""
    epoch = epoch_draws(songs.training, DATA, batch_songs=plan.batch_songs, seed=0, epoch=0)
    beats = 0
    for draw in (draw for draws in epoch for draw in draws):
        bar_beats = songs.training[draw.song].score.bar_beats
        end = len(bar_beats) - 1 if draw.end_bar is None else draw.end_bar
        beats += int(bar_beats[end] - bar_beats[draw.first_bar])
    return beats * STEPS_PER_BEAT


def _figures(network: PointerNetwork, songs: Songs) -> dict[str, Figures]:
    return {
        kind: validate(
            network, songs.validation, kind, songs.settings, batch_songs=VALIDATED_SONGS, device=CPU
        )
        for kind in KINDS
    }


def _train(
    network: PointerNetwork,
    average: PointerNetwork,
    variant: Variant,
    seed: int,
    plan: Plan,
    songs: Songs,
) -> tuple[float, int, list[float]]:
    """Return seconds of the processor, steps, and nats a step in each tenth of the run."""
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=OPTIMISER.learning_rate,
        weight_decay=OPTIMISER.weight_decay,
        fused=True,
    )
    torch.manual_seed(seed + 1)
    network.train()
    nats, steps = np.zeros(plan.updates), np.zeros(plan.updates, np.int64)
    state: State | None = None
    begun = time.process_time()
    for update, (chunk, is_first) in zip(
        range(plan.updates), _chunks(variant, seed, plan, songs), strict=False
    ):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(update, plan.updates)
        state = None if is_first or state is None else tuple(part.detach() for part in state)
        loss, state = chunk_loss(network, chunk, state)  # type: ignore[arg-type]  # any length
        known = loss.pitch + loss.duration
        asked = _smoothed(known, network, variant) + OPTIMISER.velocity_weight * loss.velocity
        optimiser.zero_grad(set_to_none=True)
        (asked / chunk.n_steps).backward()
        nn.utils.clip_grad_norm_(network.parameters(), OPTIMISER.clip_norm)
        optimiser.step()
        _follow(average, network, update + 1)
        nats[update], steps[update] = float(known.detach()), chunk.n_steps
    seconds = time.process_time() - begun
    n_parts = min(10, plan.updates)
    parts = zip(np.array_split(nats, n_parts), np.array_split(steps, n_parts), strict=True)
    return seconds, int(steps.sum()), [float(n.sum() / s.sum()) for n, s in parts]


def _smoothed(known: Tensor, network: PointerNetwork, variant: Variant) -> Tensor:
    if not isinstance(network.note, SmoothedNote):
        return known
    even = torch.stack(network.note.even_nats).sum()
    network.note.even_nats.clear()
    return (1 - variant.smoothing) * known + variant.smoothing * even


def _chunks(variant: Variant, seed: int, plan: Plan, songs: Songs) -> Iterator[tuple[Chunk, bool]]:
    """Yield the chunks of epoch after epoch, and whether each is the first of its batch."""
    rng = np.random.default_rng(seed)
    for epoch in count():
        for draws in epoch_draws(
            songs.training, DATA, batch_songs=plan.batch_songs, seed=seed, epoch=epoch
        ):
            batch = batch_from_draws(songs.training, draws, songs.settings)
            if variant.noise:
                spoil(batch, rng)
            yield from _fair_chunks(batch, plan.chunk_steps)


def _fair_chunks(batch: Batch, n_steps: int) -> Iterator[tuple[Chunk, bool]]:
    """Leave out the tail of one long song, as `train` does."""
    for index, chunk in enumerate(batch.chunks(n_steps, CPU)):
        if chunk.n_steps >= n_steps:
            yield chunk, index == 0


def learning_rate(update: int, updates: int) -> float:
    """Warm up, stay level, and fall in a straight line in the last third."""
    warm = min(1.0, (update + 1) / OPTIMISER.warmup_updates)
    left = min(1.0, (1 - update / updates) / OPTIMISER.cooldown)
    fall = OPTIMISER.final_share + (1 - OPTIMISER.final_share) * left
    return OPTIMISER.learning_rate * warm * fall


@torch.no_grad()
def _follow(average: PointerNetwork, network: PointerNetwork, updates: int) -> None:
    """Move the running mean of the weights as `train` does."""
    share = 1 - min(OPTIMISER.average, (1 + updates) / (10 + updates))
    for mean, latest in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(latest, share)
