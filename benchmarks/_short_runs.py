"""Short training runs of variants of the network: the same songs, batches and schedule for all."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
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
from singcli.training.corpora import TEXTURE_LAGS
from singcli.training.examples import Draw, ExampleSettings, TrainingSong, epoch_draws
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
        variant, seed, plan, parameters, curve (nats a step in each tenth of the run), and what
        `validate` returns for `KINDS`, of the running mean of the weights ("mean") and, if it is
        the base, of the last weights ("last").
    """
    learner = Learner(variant, seed)
    curve = _train(learner, variant, seed, plan, songs)
    return {
        "variant": variant.name,
        "seed": seed,
        "plan": asdict(plan),
        "parameters": sum(p.numel() for p in learner.network.parameters()),
        "curve": curve,
        "mean": _figures(learner.average, songs),
        "last": _figures(learner.network, songs) if variant.name == BASE else None,
    }


def epoch_seconds(
    variants: Sequence[Variant], plan: Plan, songs: Songs, rounds: int
) -> dict[str, float]:
    """Return the seconds of the processor that an epoch of all training songs takes each variant.

    Medians over rounds in which all take turns to lay out a batch and to learn from a chunk.
    """
    learners = {variant.name: Learner(variant, seed=0) for variant in variants}
    draws = epoch_draws(songs.training, DATA, batch_songs=plan.batch_songs, seed=0, epoch=0)[0]
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for turn in range(rounds + 1):
        for variant in variants:
            begun = time.process_time()
            batch = _batch(variant, draws, songs, np.random.default_rng(turn))
            laid_out = time.process_time()
            chunk = next(batch.chunks(plan.chunk_steps, CPU))
            learners[variant.name].update(chunk, OPTIMISER.learning_rate, is_first=True)
            learned = time.process_time() - laid_out
            if turn:  # the first is slower than the others
                layout = (laid_out - begun) / int(batch.lengths.sum())
                seconds[variant.name].append(layout + learned / chunk.n_steps)
    n_steps = _epoch_steps(plan, songs)
    return {name: n_steps * statistics.median(found) for name, found in seconds.items()}


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


class Learner:
    """A variant's network, the running mean of its weights and its optimiser."""

    def __init__(self, variant: Variant, seed: int) -> None:
        self.smoothing = variant.smoothing
        self.network = network_of(variant, seed).train()
        self.average = copy.deepcopy(self.network).requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=OPTIMISER.learning_rate,
            weight_decay=OPTIMISER.weight_decay,
            fused=True,
        )
        self.state: State | None = None
        self.updates = 0
        torch.manual_seed(seed + 1)

    def update(self, chunk: Chunk, rate: float, *, is_first: bool) -> float:
        """Learn from a chunk, the first of its songs or the one after that before; return nats."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        state = None if self.state is None or is_first else self.state
        loss, after = chunk_loss(self.network, chunk, state)  # type: ignore[arg-type]  # any length
        self.state = tuple(part.detach() for part in after)
        known = loss.pitch + loss.duration
        asked = self._smoothed(known) + OPTIMISER.velocity_weight * loss.velocity
        self.optimiser.zero_grad(set_to_none=True)
        (asked / chunk.n_steps).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), OPTIMISER.clip_norm)
        self.optimiser.step()
        self.updates += 1
        self._move_average()
        return float(known.detach())

    def _smoothed(self, known: Tensor) -> Tensor:
        note = self.network.note
        if not isinstance(note, SmoothedNote):
            return known
        even = torch.stack(note.even_nats).sum()
        note.even_nats.clear()
        return (1 - self.smoothing) * known + self.smoothing * even

    @torch.no_grad()
    def _move_average(self) -> None:
        """Move the running mean of the weights as `train` does."""
        share = 1 - min(OPTIMISER.average, (1 + self.updates) / (10 + self.updates))
        for mean, latest in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(latest, share)


def _train(learner: Learner, variant: Variant, seed: int, plan: Plan, songs: Songs) -> list[float]:
    """Train to the end of the plan; return the nats a step in each tenth of it."""
    chunks = islice(_chunks(variant, seed, plan, songs), plan.updates)
    figures = [
        (learner.update(chunk, learning_rate(index, plan.updates), is_first=first), chunk.n_steps)
        for index, (chunk, first) in enumerate(chunks)
    ]
    parts = np.array_split(np.array(figures), min(10, plan.updates))
    return [float(nats / steps) for nats, steps in (part.sum(0) for part in parts)]


def _chunks(variant: Variant, seed: int, plan: Plan, songs: Songs) -> Iterator[tuple[Chunk, bool]]:
    """Yield the chunks of epoch after epoch, and whether each is the first of its batch."""
    rng = np.random.default_rng(seed)
    for epoch in count():
        for draws in epoch_draws(
            songs.training, DATA, batch_songs=plan.batch_songs, seed=seed, epoch=epoch
        ):
            batch = _batch(variant, draws, songs, rng)
            for index, chunk in enumerate(batch.chunks(plan.chunk_steps, CPU)):
                if chunk.n_steps >= plan.chunk_steps:  # not the tail of one long song, as `train`
                    yield chunk, index == 0


def _batch(
    variant: Variant, draws: Sequence[Draw], songs: Songs, rng: np.random.Generator
) -> Batch:
    batch = batch_from_draws(songs.training, draws, songs.settings)
    if variant.noise:
        spoil(batch, rng)
    return batch


def learning_rate(update: int, updates: int) -> float:
    """Warm up, stay level, and fall in a straight line in the last third."""
    warm = min(1.0, (update + 1) / OPTIMISER.warmup_updates)
    left = min(1.0, (1 - update / updates) / OPTIMISER.cooldown)
    fall = OPTIMISER.final_share + (1 - OPTIMISER.final_share) * left
    return OPTIMISER.learning_rate * warm * fall
