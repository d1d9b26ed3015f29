"""Epoch after epoch until the end of a run, a deadline or Ctrl-C, whatever is trained."""

from __future__ import annotations

import time
from collections.abc import Callable

from singcli.training.checkpoint import Progress
from singcli.training.interrupts import held_interrupt
from singcli.training.memory import keep_freed_memory
from singcli.training.run_folder import RunResult
from singcli.training.workers import Workers


def run_epochs(
    progress: Progress,
    epochs: int,
    workers: Workers,
    *,
    max_minutes: float | None,
    train_epoch: Callable[[Callable[[], bool]], bool],
    end_epoch: Callable[[], None],
    save: Callable[[], None],
) -> RunResult:
    """Train to the last epoch, or for `max_minutes`, or until Ctrl-C.

    Parameters
    ----------
    train_epoch : callable
        Trains the rest of the current epoch; asks the callable that it is given whether to stop,
        and returns False where it did.
    save : callable
        Called where the run was cut short.

    Raises
    ------
    KeyboardInterrupt
        After saving.
    """
    keep_freed_memory()
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    with held_interrupt() as interrupted:

        def should_stop() -> bool:
            late = deadline is not None and time.monotonic() > deadline
            return workers.sum(late or bool(interrupted))[0] > 0

        while progress.epoch < epochs:
            if not train_epoch(should_stop):
                save()
                if interrupted:
                    raise KeyboardInterrupt
                return RunResult(finished=False, progress=progress)
            end_epoch()
    return RunResult(finished=True, progress=progress)
