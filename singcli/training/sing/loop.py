"""The training loop of SING: one optimiser step after the whole roll-out of a batch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from singcli.errors import InputError
from singcli.row_dataset import RowDataset, Segment
from singcli.structure.row_ssm import row_ssm
from singcli.structure.texture import fit_texture
from singcli.training.checkpoint import Checkpoint, Progress, write_checkpoint
from singcli.training.epochs import run_epochs
from singcli.training.run_folder import (
    BEST,
    LAST,
    RunResult,
    find_checkpoint,
    validate_resumed,
    write_log,
)
from singcli.training.sing.batches import (
    SegmentStore,
    batch_order,
    batches_of_segments,
    rolled_out,
)
from singcli.training.sing.config import SingConfig
from singcli.training.sing.loss import row_loss
from singcli.training.sing.network import SingNetwork
from singcli.training.sing.validation import validate_sing
from singcli.training.status import Meter, Status
from singcli.training.workers import Workers

CHECKPOINT_SECONDS = 180.0
LOG_SECONDS = 30.0
TEXTURE_SEGMENTS, TEXTURE_LAGS, TEXTURE_ROWS_PER_BAR = 64, 65, 4


class SingTrainer:
    """One run in one folder.

    Parameters
    ----------
    datasets : sequence of RowDataset
        From `singcli prepare --recipe sing`.
    config : SingConfig
    run_dir : Path
        Made if it is missing.
    device : torch.device
    workers : Workers
        With which this process shares its batches. What is drawn does not depend on their number.
    resume : bool
        Go on from the folder's last checkpoint, with the same configuration and data; only
        `run.epochs` may differ. A run that ended before its first checkpoint begins anew.
    init : Path, optional
        A checkpoint whose weights a new run starts from.
    on_status : callable
        Called with a `Status` after every batch.

    Raises
    ------
    InputError
        If the folder already holds a run that is not resumed, or one of another configuration; if
        the data have no segments for training or validation, or too short ones; or if the weights
        to start from are those of another network.
    """

    def __init__(
        self,
        datasets: Sequence[RowDataset],
        config: SingConfig,
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
        self.train_store, self.validation_store = (
            SegmentStore(_segments(datasets, split, config), attention=config.network.attention)
            for split in ("train", "validation")
        )
        self.batches = batches_of_segments(self.train_store.segments, config.run.batch_segments)
        self.run: dict[str, Any] = {
            "config": config.model_dump(),
            "texture": asdict(
                fit_texture(
                    [row_ssm(s.roll) for s in self.train_store.segments[:TEXTURE_SEGMENTS]],
                    TEXTURE_ROWS_PER_BAR,
                    TEXTURE_LAGS,
                )
            ),
            "data": {
                "fingerprint": _fingerprint(datasets),
                "licences": {k: v for data in datasets for k, v in data.licences.items()},
                "training_segments": len(self.train_store.segments),
                "validation_segments": len(self.validation_store.segments),
            },
        }
        torch.manual_seed(config.run.seed)
        self.network = SingNetwork(attention=config.network.attention).to(device)
        if init is not None and checkpoint is None:
            Checkpoint.read(init).restore_network(self.network)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=config.optimiser.learning_rate
        )
        self.progress = Progress()
        if checkpoint is not None:
            validate_resumed(checkpoint, self.run, run_dir)
            checkpoint.restore_network(self.network)
            checkpoint.restore_optimiser(self.optimiser)
            self.progress = checkpoint.progress
        self.started = time.monotonic() - self.progress.seconds
        self.saved = time.monotonic()

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
            save=lambda: self._save(LAST),
        )

    def _train_epoch(self, should_stop: Callable[[], bool]) -> bool:
        """Train the rest of the current epoch; return False where it was cut short."""
        epoch = self.progress.epoch
        order = batch_order(len(self.batches), seed=self.config.run.seed, epoch=epoch)
        meter = Meter()
        for place in range(self.progress.batch, len(order)):
            if should_stop():
                return False
            self._train_batch(self.batches[order[place]], meter)
            self.progress.batch = place + 1
            self.progress.updates += 1
            self._report(meter)
            late = self.workers.leads and time.monotonic() - self.saved > CHECKPOINT_SECONDS
            if self.workers.sum(late)[0] > 0:
                self._save(LAST)
        self.progress.epoch += 1
        self.progress.batch = 0
        return True

    def _train_batch(self, batch: Sequence[int], meter: Meter) -> None:
        """Roll a batch out and take one step of the optimiser."""
        training = self.config.training
        self.optimiser.zero_grad(set_to_none=True)
        notes = ssm = 0.0
        if mine := batch[self.workers.rank :: self.workers.size]:
            draws = {"seed": self.config.run.seed, "epoch": self.progress.epoch}
            store, sampling = self.train_store, self.config.training_sampling
            _, logits, wanted = rolled_out(
                self.network,
                [store.segments[index] for index in mine],
                [store.piece(index, training.seed_rows, sampling, **draws) for index in mine],
                sampling,
                store.teacher(mine, training, **draws),
                self.device,
            )
            loss = row_loss(logits, wanted, ssm_of=training.ssm_of)
            share = 1.0 if training.ssm_over_batch == "sum" else 1 / len(batch)
            weighted_ssm = training.ssm_weight * share * loss.ssm
            (loss.notes / len(batch) + weighted_ssm).backward()
            notes, ssm = float(loss.notes.detach()) / len(batch), float(weighted_ssm.detach())
        self.workers.sum_gradients(self.network)
        if self.config.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimiser.clip_norm)
        self.optimiser.step()
        n_rows = len(batch) * len(self.train_store.segments[batch[0]].roll)
        meter.add(n_rows * sum(self.workers.sum(notes, ssm)), n_rows)

    def _end_epoch(self) -> None:
        figures = validate_sing(
            self.network,
            self.validation_store,
            self.config,
            device=self.device,
            workers=self.workers,
        )
        self.progress.figures = {"own rows": figures}
        self._log(
            "epoch", epoch=self.progress.epoch, updates=self.progress.updates, validation=figures
        )
        best = self.progress.best is None or figures["loss"] < self.progress.best
        if best:
            self.progress.best = figures["loss"]
        if best or self.config.run.keep == "last":
            self._save(BEST)
        self._save(LAST)

    def _report(self, meter: Meter) -> None:
        if not self.workers.leads:
            return
        now, epochs = time.monotonic(), self.config.run.epochs
        self.progress.seconds = now - self.started
        share = (self.progress.epoch + self.progress.batch / len(self.batches)) / epochs
        self.on_status(
            Status(
                epoch=self.progress.epoch + 1,
                epochs=epochs,
                share=share,
                nats=meter.nats,
                steps_per_second=meter.steps_per_second,
                seconds_left=self.progress.seconds * (1 - share) / max(share, 1e-9),
                unit="loss",
                pace="rows/s",
            )
        )
        if now - meter.logged > LOG_SECONDS:
            meter.logged = now
            self._log(
                "training",
                epoch=self.progress.epoch + 1,
                updates=self.progress.updates,
                loss=meter.nats,
                rows_per_second=meter.steps_per_second,
            )

    def _save(self, name: str) -> None:
        """Write a checkpoint: with the optimiser, to go on from, or the weights alone."""
        self.saved = time.monotonic()
        self.progress.seconds = self.saved - self.started
        if self.workers.leads:
            optimiser = self.optimiser if name == LAST else None
            path = self.run_dir / name
            write_checkpoint(path, self.network, self.progress, self.run, optimiser=optimiser)

    def _log(self, event: str, **fields: Any) -> None:
        if self.workers.leads:
            write_log(self.run_dir, event, self.started, **fields)


def _segments(datasets: Sequence[RowDataset], split: str, config: SingConfig) -> list[Segment]:
    segments = [segment for data in datasets for segment in data.segments(split)]
    least = config.training.seed_rows + 1
    if not segments:
        raise InputError(
            f"{datasets[0].path}: no segments in the split {split!r}, at least 1 is needed",
            "prepare more pieces",
        )
    for segment in segments:
        if len(segment.roll) < least:
            raise InputError(
                f"segment {segment.id} has {len(segment.roll)} rows, at least {least} are needed",
                "set training.seed_rows lower, or prepare longer segments",
            )
    return segments


def _fingerprint(datasets: Sequence[RowDataset]) -> str:
    """Hash what the pieces, their segments and their splits are."""
    rows = [(p.id, p.fingerprint, p.lengths, p.split) for data in datasets for p in data.pieces]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
