"""The plain function behind `singcli train`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from singcli.errors import InputError
from singcli.files import held, remove_temporaries
from singcli.training.config import Config, read_config
from singcli.training.corpora import open_corpora, open_rows
from singcli.training.device import device_from_name
from singcli.training.loop import Trainer
from singcli.training.run_folder import RunResult
from singcli.training.sing.config import SingConfig
from singcli.training.sing.loop import SingTrainer
from singcli.training.status import Status
from singcli.training.workers import Workers, crew


def train(
    data: Sequence[Path],
    config_path: Path,
    out: Path,
    *,
    device: str = "auto",
    processes: int | None = None,
    max_minutes: float | None = None,
    resume: bool = False,
    seed: int | None = None,
    init: Path | None = None,
    on_status: Callable[[Status], None] = lambda _status: None,
) -> RunResult:
    """Train a network on prepared datasets.

    Parameters
    ----------
    data : sequence of Path
        Written by `prepare`; the first one's style is the model's usual one. For SING, row
        datasets written by `prepare --recipe sing`.
    config_path : Path
        A TOML with the tables of `TrainConfig` or `SingConfig`.
    out : Path
        The run's folder: `last.safetensors`, `best.safetensors`, `log.jsonl`.
    device : {"auto", "cpu", "cuda", "mps"}
    processes : int > 0, optional
        Processes that share each batch; by default the number of cores on a CPU, at most 8, and
        1 elsewhere. A resumed run keeps the number it started with.
    max_minutes : float > 0, optional
        Stop after the batch in which this time has passed.
    seed : int >= 0, optional
        In place of the configuration's.
    init : Path, optional
        A `.safetensors` whose weights a new run starts from.

    Raises
    ------
    InputError
        If configuration, data or folder cannot be used, or another process writes to it; nothing
        has been written then.
    SingError
        If the disk is full or one of the processes ended; the last checkpoint is whole.
    KeyboardInterrupt
        After saving, if the user or the system asks to stop.
    """
    config = read_config(config_path)
    if seed is not None:
        config = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
    chosen = device_from_name(device)
    if processes is None:
        processes = min(os.cpu_count() or 1, 8) if chosen.type == "cpu" else 1
    if processes > 1 and chosen.type != "cpu":
        raise InputError(f"--processes {processes}: only the CPU is shared, found {chosen.type}")
    _open(data, config)  # fail here and not in the followers
    with crew(
        processes, _work, (data, config, out, chosen.type, resume, max_minutes, init)
    ) as workers:
        return _work(
            workers, data, config, out, chosen.type, resume, max_minutes, init, on_status=on_status
        )


def _open(data: Sequence[Path], config: Config) -> None:
    open_rows(data) if isinstance(config, SingConfig) else open_corpora(data)


def _work(
    workers: Workers,
    data: Sequence[Path],
    config: Config,
    out: Path,
    device: str,
    resume: bool,  # noqa: FBT001
    max_minutes: float | None,
    init: Path | None,
    *,
    on_status: Callable[[Status], None] = lambda _status: None,
) -> RunResult:
    settings: dict[str, Any] = {
        "device": device_from_name(device),
        "workers": workers,
        "resume": resume,
        "init": init,
        "on_status": on_status,
    }
    trainer: Trainer | SingTrainer
    if isinstance(config, SingConfig):
        trainer = SingTrainer(open_rows(data), config, out, **settings)
    else:
        trainer = Trainer(open_corpora(data), config, out, **settings)
    if not workers.leads:
        return trainer.train(max_minutes=max_minutes)
    with held(out):
        remove_temporaries(out)
        return trainer.train(max_minutes=max_minutes)
