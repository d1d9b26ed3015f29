"""Train for a bounded time and say how fast, and which share of the time is the network's.

Two processes by default, as `singcli train` on two cores, with the configuration of --config or, by
default, the widths, batches and chunks of the first model (what later networks have more is at its
narrowest). The clock of each part runs in every process; the shares are those of the one that
leads. The network is its forward and backward pass and the optimiser. The first --warm-up batches
do not count. Then the floor: the time that a step's products of matrices take alone in float32,
and so the most steps a second that any program could make of this network. On a machine that does
other work compare processor time with processor time.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch  # noqa: TID253
from _machine import (
    Row,
    floor_verdict,
    machine_line,
    markdown_table,
    run,
    usable_cores,
    write_json,
)
from _training_floor import Floor, measure_floor

from singcli.dataset import Dataset
from singcli.training import loop
from singcli.training.batches import Batch
from singcli.training.config import TrainConfig, read_config
from singcli.training.device import device_from_name
from singcli.training.loop import Trainer
from singcli.training.workers import Workers, crew

FIRST_MODEL: dict[str, dict[str, float]] = {
    "network": {
        "lstm": 384,
        "roll": 128,
        "draft": 128,
        "bar": 64,
        "context": 8,
        "hidden": 320,
        "duration": 128,
        "velocity": 8,
        "dropout": 0.25,
    },
    "data": {"share_none": 0.1, "share_form": 0.45, "share_cropped": 0.5},
    "run": {"epochs": 66, "batch_songs": 32, "chunk_steps": 128},
}
WANTED_SHARE, WANTED_PACE = 0.9, 20_000.0
FORWARD, BACKWARD, OPTIMISER = "forward pass and loss", "backward pass", "clipping and optimiser"
NETWORK = (FORWARD, BACKWARD, OPTIMISER)
EXAMPLES, CHUNKS, MEAN = "examples and batches", "chunks as tensors", "running mean of the weights"
EXCHANGE = "exchange with the other processes, and waiting for them"
SAVING, REST = "checkpoints and logs", "the rest"


class Clock:
    """Seconds by part, from the end of the warm-up on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.begun = time.perf_counter()
        self.processor_begun = time.process_time()
        self.steps = self.decisions = self.notes = 0  # of this process
        self.all_steps = self.whole = self.processor = 0.0
        self.batches = 0

    def restart(self) -> None:
        """Forget what was counted so far."""
        self.seconds.clear()
        self.begun, self.processor_begun = time.perf_counter(), time.process_time()
        self.steps = self.decisions = self.notes = 0

    def stop(self) -> None:
        """Take the time since the warm-up."""
        self.whole = time.perf_counter() - self.begun
        self.processor = time.process_time() - self.processor_begun

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted for a part."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[part] += time.perf_counter() - started

        return call

    def timed_items(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that yields, with the time between its items counted."""

        @functools.wraps(function)
        def items(*arguments: Any, **named: Any) -> Iterator[Any]:
            source = iter(function(*arguments, **named))
            following = self.timed(part, lambda: next(source, None))
            while (item := following()) is not None:
                self.steps += item.n_steps
                self.decisions += len(item.decisions.token)
                self.notes += item.n_notes
                yield item

        return items


@contextmanager
def clocked(clock: Clock, warm_up: int) -> Iterator[None]:
    """Count the time of the parts of training while the block runs."""

    def batch(*arguments: Any, **named: Any) -> Batch:
        if clock.batches == warm_up:
            clock.restart()
        clock.batches += 1
        made: Batch = examples(*arguments, **named)
        return made

    used = vars(loop)
    examples = clock.timed(EXAMPLES, used["batch_from_draws"])
    patches: list[tuple[Any, str, Any]] = [
        (loop, "batch_from_draws", batch),
        (loop, "chunk_loss", clock.timed(FORWARD, used["chunk_loss"])),
        (loop, "write_checkpoint", clock.timed(SAVING, used["write_checkpoint"])),
        (loop, "write_log", clock.timed(SAVING, used["write_log"])),
        (Batch, "chunks", clock.timed_items(CHUNKS, Batch.chunks)),
        (torch.Tensor, "backward", clock.timed(BACKWARD, torch.Tensor.backward)),
        (torch.optim.AdamW, "step", clock.timed(OPTIMISER, torch.optim.AdamW.step)),
        (
            torch.nn.utils,
            "clip_grad_norm_",
            clock.timed(OPTIMISER, torch.nn.utils.clip_grad_norm_),
        ),
        (Trainer, "_update_average", clock.timed(MEAN, Trainer._update_average)),
        (Workers, "sum_gradients", clock.timed(EXCHANGE, Workers.sum_gradients)),
        (Workers, "sum", clock.timed(EXCHANGE, Workers.sum)),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def train(
    workers: Workers, data: Path, config: TrainConfig, folder: Path, minutes: float, warm_up: int
) -> Clock:
    """Train in one process; its clock stops where training does."""
    clock = Clock()
    trainer = Trainer(
        [Dataset.open(data)], config, folder, device=device_from_name("cpu"), workers=workers
    )
    with clocked(clock, warm_up):
        trainer.train(max_minutes=minutes)
        clock.stop()
    (clock.all_steps,) = workers.sum(clock.steps)
    return clock


def measure(
    data: Path, config: TrainConfig, *, processes: int, minutes: float, warm_up: int
) -> Clock:
    """Train in several processes; return the clock of the first."""
    with tempfile.TemporaryDirectory() as place:
        arguments = (data, config, Path(place) / "run", minutes, warm_up)
        with crew(processes, train, arguments) as workers:
            clock = train(workers, *arguments)
    if clock.batches <= warm_up:
        raise SystemExit(f"no batch after the {warm_up} of the warm-up; give more --minutes")
    clock.seconds[REST] = clock.whole - sum(clock.seconds.values())
    return clock


def floor_table(clock: Clock, floor: Floor, processes: int) -> str:
    """Lay out what a step takes beside what its products take."""
    of_a_step = f"{clock.decisions / clock.steps:.2f}, {clock.notes / clock.steps:.2f}"
    most = f"steps a second of {processes} processes with nothing else"
    shorter: list[Row] = [
        [f"the same in {kind}, µs", f"{1e6 * seconds:.0f}"]
        for kind, seconds in floor.shorter.items()
    ]
    rows: list[Row] = [
        ["decisions and notes", of_a_step],
        ["multiply-adds, millions", f"{1e-6 * floor.multiply_adds:.2f}"],
        ["processor time, µs", f"{1e6 * clock.processor / clock.steps:.0f}"],
        ["the same of the products alone in float32, µs", f"{1e6 * floor.seconds:.0f}"],
        *shorter,
        ["GFLOP/s of them in float32", f"{floor.gflops:.0f}"],
        [most, f"{processes / floor.seconds:,.0f}"],
    ]
    return markdown_table(["of a step", ""], rows)


def main() -> None:
    """Read the arguments, train, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python benchmarks/training_speed.py --data data/pop909 --minutes 3",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--config", type=Path, help="a TOML of train (the first model's sizes)")
    parser.add_argument("--minutes", type=float, default=3.0, help="to train (3)")
    parser.add_argument("--warm-up", type=int, default=2, help="batches that do not count (2)")
    parser.add_argument("--processes", type=int, default=usable_cores(), help="(one a core)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.processes < 1 or arguments.warm_up < 0 or arguments.minutes <= 0:
        parser.error("needs at least one process, no negative warm-up and a positive time")
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that start
    torch.set_num_threads(1)
    if arguments.config is None:
        config = TrainConfig.model_validate(FIRST_MODEL)
    else:
        read = read_config(arguments.config)
        if not isinstance(read, TrainConfig):
            parser.error(f"{arguments.config}: is not of the pointer network")
        config = read
    clock = measure(
        arguments.data,
        config,
        processes=arguments.processes,
        minutes=arguments.minutes,
        warm_up=arguments.warm_up,
    )
    floor = measure_floor(
        config,
        decisions=clock.decisions / clock.steps,
        notes=clock.notes / clock.steps,
        processes=arguments.processes,
    )
    seconds, whole, pace = clock.seconds, clock.whole, clock.all_steps / clock.whole
    share = sum(seconds.get(part, 0.0) for part in NETWORK) / whole
    sizes = ", ".join(f"{name} {value}" for name, value in config.network.model_dump().items())
    print(machine_line("torch", "numpy"))
    print(f"{sizes}; batches of {config.run.batch_songs} songs, chunks of {config.run.chunk_steps}")
    print(f"{arguments.processes} processes of one thread, {whole:.0f} s after the warm-up\n")
    parts = [EXAMPLES, CHUNKS, *NETWORK, EXCHANGE, MEAN, SAVING, REST]
    rows: list[Row] = [[p, seconds.get(p, 0.0), 100 * seconds.get(p, 0.0) / whole] for p in parts]
    print(markdown_table(["part", "s", "%"], rows), "", sep="\n")
    print(floor_table(clock, floor, arguments.processes))
    verdicts = [
        floor_verdict("steps a second of all processes", pace, WANTED_PACE),
        floor_verdict("the network's share of the time", share, WANTED_SHARE),
    ]
    print("", *verdicts, sep="\n")
    write_json(
        arguments.json,
        {
            "steps_per_second": pace,
            "share": share,
            "seconds": seconds,
            "processor_seconds_a_step": clock.processor / clock.steps,
            "floor": asdict(floor),
            "verdicts": verdicts,
        },
    )


if __name__ == "__main__":
    run(main)
