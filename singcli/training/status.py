"""How a run is doing, for logs and progress displays."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """A moment of a run, for progress displays.

    `nats` is the recent training loss, in `unit`; `pace` says what `steps_per_second` counts.
    """

    epoch: int
    epochs: int
    share: float
    nats: float
    steps_per_second: float
    seconds_left: float
    unit: str = "nats a step"
    pace: str = "steps/s"


class Meter:
    """Running loss and speed of an epoch, and when it was last logged."""

    def __init__(self) -> None:
        self.started = self.logged = time.monotonic()
        self.total = 0.0
        self.steps = 0.0

    def add(self, nats: float, steps: float) -> None:
        """Count a chunk's loss."""
        self.total += nats
        self.steps += steps

    @property
    def nats(self) -> float:
        """Mean loss per step."""
        return self.total / max(self.steps, 1)

    @property
    def steps_per_second(self) -> float:
        """Mean speed since the epoch began."""
        return self.steps / max(time.monotonic() - self.started, 1e-9)
