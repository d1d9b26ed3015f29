"""Time the model alone, without sampling, beside a bare loop of products with the same weights.

A *bare step* is one call of the step part and one decision of the note part, state fed back. Real
music has 1.4 notes a step, so a song makes 2.4 decisions a step on average (STOP is one), and a
batch as many as its fullest song: steps with three decisions are beside it. The *floor* is a loop
over matrices of the same shapes in float32, each multiplied with a vector (or a matrix of a row for
each song) by numpy, nothing between. Two processes have a batch each and are added up. Seconds are
those of the processor: both loops run in the calling thread.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported, as `generate` does

import numpy as np
import numpy.typing as npt
from _machine import Row, floor_verdict, machine_line, markdown_table, run, write_json

from singcli.generate import model_path
from singcli.model.contract import (
    BARS_AGO,
    N_ARTICULATION,
    N_CONTEXT,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_PLACE,
    N_TOKEN_HINTS,
    N_TOKENS,
    N_VELOCITIES,
    REACH,
    ModelCard,
    NetworkSizes,
    note_inputs,
    step_inputs,
)
from singcli.model.runtime import Arrays, Runtime
from singcli.music.score import N_VOICES

BATCHES = (1, 4, 16, 64)
DECISIONS = (1, 3)
PROCESSES = 2
WARM_UP_STEPS = 20
PITCH_EMBEDDING = 24  # of the last notes of lead and bass
HANDED_ON = (  # outputs of the step part, and the inputs that they become
    ("next_hidden", "hidden"),
    ("next_cell", "cell"),
    ("step_features", "features"),
    ("step_token_bias", "token_bias"),
)
SHARE_OF_FLOOR = 0.5  # that is wanted
Shapes = list[tuple[int, int]]


class Model(Protocol):
    """What is timed; `Runtime` is one."""

    @property
    def card(self) -> ModelCard:
        """What the file says of itself."""

    def step(self, inputs: Arrays) -> Arrays:
        """Run the step part."""

    def note(self, inputs: Arrays) -> Arrays:
        """Run the note part."""

    def bound_step(self, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """Return what runs the step part on these very arrays."""

    def bound_note(self, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """Return what runs the note part on these very arrays."""


def seconds_per_step(model: Model, batch: int, decisions: int, n_steps: int) -> float:
    """Return the mean processor time of one step of all songs of a batch."""
    step = step_inputs(batch, model.card.sizes)
    note = note_inputs(batch, model.card.sizes)
    seen, chosen = model.step(step), model.note(note)
    run_step, run_note = model.bound_step(step, seen), model.bound_note(note, chosen)
    start = 0.0
    for turn in range(WARM_UP_STEPS + n_steps):
        if turn == WARM_UP_STEPS:
            start = time.process_time()
        run_step()
        for name, handed_on in HANDED_ON:
            (step if handed_on in step else note)[handed_on][:] = seen[name]
        for _ in range(decisions):
            run_note()
            note["chosen"][:] = chosen["next_chosen"]
    return (time.process_time() - start) / n_steps


def product_shapes(sizes: NetworkSizes) -> tuple[Shapes, Shapes]:
    """Return (outputs, inputs) of every matrix that a step and a decision multiply with."""
    sources = sizes.draft + sizes.bar + sizes.context
    plain = N_PLACE + 2 + N_VOICES + 1 + N_ARTICULATION
    seen = sizes.roll + sources + 2 * PITCH_EMBEDDING + plain
    step = [
        (sizes.roll, 2 * N_NOTE_TOKENS),
        (sizes.draft, 4 * N_NOTE_TOKENS),
        (sizes.bar, 2 * len(BARS_AGO) * N_NOTE_TOKENS),
        (sizes.context, N_CONTEXT),
        (4 * sizes.lstm, seen + sizes.lstm),
        (sizes.lstm, sizes.lstm + sources),
        (sizes.features, sizes.lstm),
        (N_VOICES * N_TOKEN_HINTS, sizes.lstm),
    ]
    note = [
        (sizes.hidden, sizes.hidden),
        (N_TOKENS + 2 * (2 * REACH + 1) + 1, sizes.hidden),
        (sizes.duration, sizes.duration),
        (N_DURATIONS, sizes.duration),
        (N_VELOCITIES, sizes.velocity),
    ]
    return step, note


def floor_seconds(sizes: NetworkSizes, batch: int, decisions: int, n_steps: int) -> float:
    """Return the mean time of the products of a step and its decisions, and of nothing else."""
    step, note = (
        [(np.ones(shape, np.float32), _rows(batch, shape[1])) for shape in shapes]
        for shapes in product_shapes(sizes)
    )
    products = step + decisions * note
    start = 0.0
    for turn in range(WARM_UP_STEPS + n_steps):
        if turn == WARM_UP_STEPS:
            start = time.process_time()
        for weights, rows in products:
            weights @ rows
    return (time.process_time() - start) / n_steps


def _rows(batch: int, width: int) -> npt.NDArray[np.float32]:
    return np.ones(width if batch == 1 else (width, batch), np.float32)


def in_this_process(
    path: Path, batches: Sequence[int], n_steps: int, runs: int
) -> list[tuple[float, float]]:
    """Return bare steps a second of a model and of the floor, medians of runs by turns.

    For every batch and every one of `DECISIONS`.
    """
    model = Runtime.open(path)
    found = []
    for batch, decisions in itertools.product(batches, DECISIONS):
        ours, floor = [], []
        for _ in range(runs):
            ours.append(seconds_per_step(model, batch, decisions, n_steps))
            floor.append(floor_seconds(model.card.sizes, batch, decisions, n_steps))
        found.append((batch / statistics.median(ours), batch / statistics.median(floor)))
    return found


def rows_of(path: Path, batches: Sequence[int], n_steps: int, runs: int) -> list[Row]:
    """Measure in this process, then in two at once, whose steps are added up."""
    measure = functools.partial(in_this_process, path, batches, n_steps)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = {1: [measure(runs)], PROCESSES: pool.map(measure, [runs] * PROCESSES, chunksize=1)}
    rows: list[Row] = []
    for processes, of_processes in found.items():
        cases = itertools.product(batches, DECISIONS)
        for (batch, decisions), pairs in zip(cases, zip(*of_processes, strict=True), strict=True):
            ours, floor = (sum(column) for column in zip(*pairs, strict=True))
            rows.append([processes, batch, decisions, ours, floor, ours / floor])
    return rows


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/steps_per_second.py --batches 1 16 64",
    )
    parser.add_argument("--model", type=Path, help="an .onnx file (the one that comes along)")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="(1 4 16 64)")
    parser.add_argument("--steps", type=int, default=300, help="measured steps a run (300)")
    parser.add_argument("--runs", type=int, default=5, help="runs, of which the median counts (5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if min(arguments.steps, arguments.runs, *arguments.batches) < 1:
        parser.error("--steps, --runs and --batches must be at least 1")

    path = arguments.model or model_path("pop")
    rows = rows_of(path, arguments.batches, arguments.steps, arguments.runs)
    header = ["processes", "songs in each", "decisions a step", "steps/s of all songs", "floor"]
    print(machine_line("numpy", "onnxruntime"))
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, one thread a process; ", end="")
    print(f"medians of {arguments.runs} runs of {arguments.steps} steps, by turns\n")
    print(markdown_table([*header, "share of the floor"], rows))
    alone = rows[0]
    assert isinstance(alone[3], float)
    assert isinstance(alone[4], float)
    line = floor_verdict("steps a second of one song", alone[3], SHARE_OF_FLOOR * alone[4])
    print(f"\n{line}, half of the floor")
    write_json(
        arguments.json, {"model": path.name, "header": header, "rows": rows, "verdict": line}
    )


if __name__ == "__main__":
    run(main)
