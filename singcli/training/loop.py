"""The training loop: chunked back-propagation, validation, checkpoints, resume."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from singcli.errors import InputError
from singcli.model.contract import SSM_KINDS, SsmKind
from singcli.training.batches import Batch, batch_from_draws
from singcli.training.checkpoint import Checkpoint, Progress, write_checkpoint
from singcli.training.config import TrainConfig
from singcli.training.corpora import (
    Corpora,
    facts_of,
    fitted_textures,
    material_of,
    songs_of,
    styles_of,
)
from singcli.training.device import mixed_precision
from singcli.training.epochs import run_epochs
from singcli.training.examples import ExampleSettings, Trainable, epoch_draws
from singcli.training.loss import State, chunk_loss
from singcli.training.networks import PointerNetwork
from singcli.training.run_folder import (
    BEST,
    LAST,
    RunResult,
    find_checkpoint,
    validate_resumed,
    write_log,
)
from singcli.training.status import Meter, Status
from singcli.training.validation import Figures, validate
from singcli.training.workers import Workers

CHECKPOINT_SECONDS = 180.0
LOG_SECONDS = 30.0


class Trainer:
    """One run in one folder.

    Parameters
    ----------
    datasets : sequence of Dataset, or of RowDataset
        From `singcli prepare`.
    config : TrainConfig
    run_dir : Path
        Made if it is missing.
    device : torch.device
    workers : Workers
        With which this process shares its batches.
    resume : bool
        Go on from the folder's last checkpoint, with the same configuration and data; only
        `run.epochs` may differ, and the learning rate then falls towards the new end. A run that
        ended before its first checkpoint begins anew.
    init : Path, optional
        A checkpoint whose weights a new run starts from.
    on_status : callable
        Called about once a second with a `Status`.

    Raises
    ------
    InputError
        If the folder already holds a run that is not resumed, or one of another configuration; or
        if the weights to start from are those of another network.
    """

    def __init__(
        self,
        datasets: Corpora,
        config: TrainConfig,
        run_dir: Path,
        *,
        device: torch.device,
        workers: Workers = Workers(),  # noqa: B008  # frozen
        resume: bool = False,
        init: Path | None = None,
        on_status: Callable[[Status], None] = lambda _status: None,
    ) -> None:
        self.config, self.run_dir, self.device, self.workers = config, run_dir, device, workers
        self.on_status = on_status
        checkpoint = find_checkpoint(run_dir, resume=resume)
        self.songs, self.validation = (
            songs_of(datasets, split) for split in ("train", "validation")
        )
        if len(self.songs) < workers.size or not self.validation:
            raise InputError(
                f"{datasets[0].path}: {len(self.songs)} training and {len(self.validation)} "
                f"validation songs, at least {workers.size} and 1 are needed",
                "prepare more songs, or another --validation-fraction",
            )
        styles = styles_of(datasets)
        self.settings = ExampleSettings(
            styles=styles,
            textures=fitted_textures(self.songs, styles),
            context_temperature=config.data.context_temperature,
            continuation_bonus=config.data.continuation_bonus,
        )
        self.run = {
            "config": config.model_dump(),
            "material": material_of(datasets),
            "styles": list(styles),
            "textures": [asdict(texture) for texture in self.settings.textures],
            "data": facts_of(datasets)
            | {
                "training_songs": len(self.songs),
                "validation_songs": len(self.validation),
            },
        }
        torch.manual_seed(config.run.seed)
        self.network = PointerNetwork(config.network.sizes, config.network.dropout).to(device)
        if init is not None and checkpoint is None:
            Checkpoint.read(init).restore_network(self.network)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.optimiser.learning_rate,
            weight_decay=config.optimiser.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.average = copy.deepcopy(self.network).requires_grad_(requires_grad=False).eval()
        self.progress = Progress()
        if checkpoint is not None:
            self._restore(checkpoint)
        else:
            torch.manual_seed(config.run.seed + 1 + workers.rank)  # every process its own dropout
        self.started = time.monotonic() - self.progress.seconds
        self.saved = time.monotonic()

    def _restore(self, checkpoint: Checkpoint) -> None:
        validate_resumed(checkpoint, self.run, self.run_dir)
        checkpoint.restore_network(self.average)
        checkpoint.restore_trained(self.network)
        checkpoint.restore_optimiser(self.optimiser)
        torch.set_rng_state(self._random_state(checkpoint))
        self.progress = checkpoint.progress

    def _random_state(self, checkpoint: Checkpoint) -> Tensor:
        states = checkpoint.random_states
        if len(states) != self.workers.size:
            raise InputError(
                f"--processes {self.workers.size}: the run was started with {len(states)}",
                f"resume with --processes {len(states)}",
            )
        return states[self.workers.rank]

    def train(self, *, max_minutes: float | None = None) -> RunResult:
        """Train to the end of the configuration, or for `max_minutes`, or until Ctrl-C.

        Whatever ends it, `last.safetensors` holds the state at the end of a whole batch.

        Raises
        ------
        KeyboardInterrupt
            After saving.
        """
        self._log("start", run=self.run, progress=asdict(self.progress))
        return run_epochs(
            self.progress,
            self.config.run.epochs,
            self.workers,
            max_minutes=max_minutes,
            train_epoch=self._train_epoch,
            end_epoch=self._end_epoch,
            save=self._save_last,
        )

    def _train_epoch(self, should_stop: Callable[[], bool]) -> bool:
        """Train the rest of the current epoch; return False where it was cut short."""
        run = self.config.run
        draws = epoch_draws(
            self.songs,
            self.config.data,
            batch_songs=run.batch_songs,
            seed=run.seed,
            epoch=self.progress.epoch,
        )
        self.network.train()
        meter = Meter()
        for index in range(self.progress.batch, len(draws)):
            if should_stop():
                return False
            share = (self.progress.epoch + index / len(draws)) / run.epochs
            mine = slice(self.workers.rank, None, self.workers.size)
            batch = batch_from_draws(self.songs, draws[index], self.settings, share=mine)
            self._train_batch(batch, share=share, meter=meter)
            self.progress.batch = index + 1
            self._report(meter, len(draws))
            if self._checkpoint_is_due():
                self._save_last()
        self.progress.epoch += 1
        self.progress.batch = 0
        return True

    def _train_batch(self, batch: Batch, *, share: float, meter: Meter) -> None:
        state: State | None = None
        total, n_steps = 0.0, 0
        for chunk in batch.chunks(self.config.run.chunk_steps, self.device):
            for group in self.optimiser.param_groups:
                group["lr"] = self._learning_rate(share)
            with mixed_precision(self.device):
                loss, state = chunk_loss(self.network, chunk, state)
            state = (state[0].detach(), state[1].detach())
            if chunk.n_steps_of_all < self.config.run.chunk_steps:
                continue  # the tail of one long song is no fair sample of a batch
            nats = loss.pitch + loss.duration
            weighted = nats + self.config.optimiser.velocity_weight * loss.velocity
            self.optimiser.zero_grad(set_to_none=True)
            (weighted / chunk.n_steps_of_all).backward()
            self.workers.sum_gradients(self.network)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip_norm)
            self.optimiser.step()
            self.progress.updates += 1
            self._update_average()
            total += float(nats.detach())
            n_steps += chunk.n_steps_of_all
        (total,) = self.workers.sum(total)
        meter.add(total, n_steps)

    def _learning_rate(self, share: float) -> float:
        """Warm up by updates, stay level, and fall in a straight line at the end of the run."""
        optimiser = self.config.optimiser
        warm = min(1.0, (self.progress.updates + 1) / max(1, optimiser.warmup_updates))
        left = min(1.0, max(0.0, 1 - share) / max(optimiser.cooldown, 1e-9))
        fall = optimiser.final_share + (1 - optimiser.final_share) * left
        return optimiser.learning_rate * warm * fall

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the mean of the weights, faster in the first updates."""
        updates = self.progress.updates
        share = 1 - min(self.config.optimiser.average, (1 + updates) / (10 + updates))
        for mean, latest in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(latest, share)

    def _end_epoch(self) -> None:
        every = self.config.run.full_validation_epochs
        full = self.progress.epoch % every == 0 or self.progress.epoch == self.config.run.epochs
        kinds: tuple[SsmKind, ...] = SSM_KINDS if full else ("music",)
        songs = self._headline_songs
        figures: dict[str, Figures] = {
            kind: self._validate(kind, songs)
            for kind in kinds
            if kind != "form" or any(song.repeats for song in songs)
        }
        nats = figures["music"]["nats_per_step"]
        for style in self.settings.styles[1:] if full else ():
            figures[style] = self._validate("music", self._songs_of(style))
        self.progress.figures = figures
        self._log(
            "epoch", epoch=self.progress.epoch, updates=self.progress.updates, validation=figures
        )
        if self.progress.best is None or nats < self.progress.best:
            self.progress.best = nats
            if self.workers.leads:
                write_checkpoint(self.run_dir / BEST, self.average, self.progress, self.run)
        self._save_last()

    @property
    def _headline_songs(self) -> list[Trainable]:
        """Songs that the run is judged by: those of the usual style."""
        return self._songs_of(self.settings.styles[0]) if self.settings.styles else self.validation

    def _songs_of(self, style: str) -> list[Trainable]:
        return [song for song in self.validation if song.style == style]

    def _validate(self, kind: SsmKind, songs: Sequence[Trainable]) -> Figures:
        return validate(
            self.average,
            songs,
            kind,
            self.settings,
            batch_songs=self.config.run.batch_songs,
            device=self.device,
            workers=self.workers,
        )

    def _report(self, meter: Meter, n_batches: int) -> None:
        now = time.monotonic()
        if not self.workers.leads:
            return
        self.progress.seconds = now - self.started
        share = (self.progress.epoch + self.progress.batch / n_batches) / self.config.run.epochs
        left = self.progress.seconds * (1 - share) / max(share, 1e-9)
        self.on_status(
            Status(
                epoch=self.progress.epoch + 1,
                epochs=self.config.run.epochs,
                share=share,
                nats=meter.nats,
                steps_per_second=meter.steps_per_second,
                seconds_left=left,
            )
        )
        if now - meter.logged > LOG_SECONDS:
            meter.logged = now
            self._log(
                "training",
                epoch=self.progress.epoch + 1,
                updates=self.progress.updates,
                nats_per_step=meter.nats,
                steps_per_second=meter.steps_per_second,
                learning_rate=self.optimiser.param_groups[0]["lr"],
            )

    def _checkpoint_is_due(self) -> bool:
        late = self.workers.leads and time.monotonic() - self.saved > CHECKPOINT_SECONDS
        return self.workers.sum(late)[0] > 0

    def _save_last(self) -> None:
        self.saved = time.monotonic()
        self.progress.seconds = self.saved - self.started
        random_states = self.workers.gather(torch.get_rng_state())
        if self.workers.leads:
            write_checkpoint(
                self.run_dir / LAST,
                self.average,
                self.progress,
                self.run,
                trained=self.network,
                optimiser=self.optimiser,
                random_states=random_states,
            )

    def _log(self, event: str, **fields: Any) -> None:
        if not self.workers.leads:
            return
        write_log(self.run_dir, event, self.started, **fields)
