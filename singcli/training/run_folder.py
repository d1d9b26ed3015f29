"""A training run: its folder and log, what resuming may not change, what a card tells of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli import __version__
from singcli.errors import InputError
from singcli.files import append_line
from singcli.training.checkpoint import Checkpoint, Progress

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a call of `train` ended: `finished` is False where time or the user stopped it."""

    finished: bool
    progress: Progress


def find_checkpoint(run_dir: Path, *, resume: bool) -> Checkpoint | None:
    """Return the checkpoint to go on from, None for a new run, whose folder is made.

    A run that ended before its first checkpoint begins anew.

    Raises
    ------
    InputError
        If the folder already holds a run that is not resumed, or none to resume.
    """
    last = run_dir / LAST
    if resume and (last.exists() or not (run_dir / LOG).exists()):
        return Checkpoint.read(last)
    if last.exists():
        raise InputError(f"{run_dir}: already holds a run", "add --resume, or choose another --out")
    run_dir.mkdir(parents=True, exist_ok=True)
    return None


def validate_resumed(checkpoint: Checkpoint, run: dict[str, Any], run_dir: Path) -> None:
    """Check that a run goes on as it began; only `run.epochs` may differ.

    Raises
    ------
    InputError
        If configuration or data are others.
    """
    for key in ("config", "data"):
        if _fixed_part(checkpoint.run.get(key)) != _fixed_part(run[key]):
            raise InputError(
                f"{run_dir}: the run was started with other {key}",
                "resume with the --config and --data of the start, or choose another --out",
            )


def _fixed_part(facts: Any) -> Any:
    """Return what a resumed run may not change: all but the number of epochs."""
    plain = json.loads(json.dumps(facts))
    if isinstance(plain, dict) and isinstance(plain.get("run"), dict):
        plain["run"].pop("epochs", None)
    return plain


def write_log(run_dir: Path, event: str, started: float, **fields: Any) -> None:
    """Append a line to the log; `started` is the run's beginning as of `time.monotonic`."""
    line = {"event": event, "seconds": round(time.monotonic() - started, 1)} | fields
    append_line(run_dir / LOG, json.dumps(line))


def licence_of_weights(checkpoint: Checkpoint, stated: str | None) -> str:
    """Return the licence as stated, else those of the training data."""
    return stated or "\n\n".join(checkpoint.run["data"]["licences"].values()) or "not stated"


def training_facts(checkpoint: Checkpoint, config: dict[str, Any]) -> dict[str, Any]:
    """Return what the card of a model file tells of its training."""
    data, progress = checkpoint.run["data"], checkpoint.progress
    return {
        "singcli": __version__,
        "config": config,
        "data": data | {"licences": sorted(data["licences"])},
        "epochs": progress.epoch,
        "hours": round(progress.seconds / 3600, 2),
        "validation": progress.figures,
    }
