"""Whether a song is the same to the last bit beside others: the network's rows, alone and together.

Made-up inputs (sparse notes, dense states) run through each part of the model one row at a time and
in batches. The graph as it is adds up the planes of `step_token_bias` in another order for one row
than for several; `Runtime.step` therefore doubles a row that is alone. Both are counted, and what
the second row costs is timed in turns, in processor seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _machine import Row, machine_line, markdown_table, run, write_json

from singcli.generate import model_path
from singcli.model.contract import (
    NOTE_OUTPUTS,
    PART_INPUT,
    STEP_OUTPUTS,
    note_inputs,
    step_inputs,
)
from singcli.model.runtime import Arrays, Runtime

DENSE = ("hidden", "cell", "features", "token_bias", "chosen")
DENSITY = 0.2
BATCHES = (2, 3, 4, 7, 8, 16, 31, 32, 64)
Part = Callable[[Arrays], Arrays]


def made_up(blank: Arrays, seed: int = 0) -> Arrays:
    """Fill in what a song might hold."""
    rng = np.random.default_rng(seed)
    return {
        name: value
        if value.dtype != np.float32
        else rng.standard_normal(value.shape, np.float32)
        if name in DENSE
        else (rng.random(value.shape) < DENSITY).astype(np.float32)
        for name, value in blank.items()
    }


def bare(runtime: Runtime, part: str) -> Part:
    """Return a part of the graph without what `Runtime` does about it."""
    names = STEP_OUTPUTS if part == "step" else NOTE_OUTPUTS
    which = np.array(part == "note")

    def call(inputs: Arrays) -> Arrays:
        values = runtime.session.run(names, inputs | {PART_INPUT: which})
        return dict(zip(names, values, strict=True))

    return call


def rows_that_differ(call: Part, inputs: Arrays, batch: int) -> int:
    """Return how many rows of batches have another bit than the same rows alone."""
    n_rows, differ = len(next(iter(inputs.values()))), 0
    for first in range(0, n_rows - batch + 1, batch):
        together = call({name: value[first : first + batch] for name, value in inputs.items()})
        for row in range(batch):
            at = slice(first + row, first + row + 1)
            alone = call({name: value[at] for name, value in inputs.items()})
            differ += any(not np.array_equal(together[n][row], alone[n][0]) for n in alone)
    return differ


def microseconds(call: Part, inputs: Arrays, n_calls: int) -> float:
    """Return the processor time of a call."""
    started = time.process_time()
    for _ in range(n_calls):
        call(inputs)
    return 1e6 * (time.process_time() - started) / n_calls


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/batch_bits.py --rows 512",
    )
    parser.add_argument("--model", type=Path, help="an .onnx file (the one that comes along)")
    parser.add_argument("--rows", type=int, default=256, help="rows compared, 64 or more (256)")
    parser.add_argument("--calls", type=int, default=300, help="calls in a turn of timing (300)")
    parser.add_argument("--turns", type=int, default=5, help="turns, of which the best counts (5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.rows < max(BATCHES) or min(arguments.calls, arguments.turns) < 1:
        parser.error(f"--rows {max(BATCHES)} or more, --calls and --turns 1 or more")

    runtime = Runtime.open(arguments.model or model_path("pop"))
    step = made_up(step_inputs(arguments.rows, runtime.card.sizes))
    note = made_up(note_inputs(arguments.rows, runtime.card.sizes))
    compared: list[tuple[str, Part, Arrays]] = [
        ("step, bare graph", bare(runtime, "step"), step),
        ("step, Runtime", runtime.step, step),
        ("note, Runtime", runtime.note, note),
    ]
    print(machine_line("onnxruntime", "numpy"))
    print(f"Rows of {arguments.rows} that differ from the same row alone, by batch:\n")
    table: list[Row] = [
        [name, *(rows_that_differ(call, inputs, batch) for batch in BATCHES)]
        for name, call, inputs in compared
    ]
    print(markdown_table(["part", *map(str, BATCHES)], table))
    alone = {name: value[:1] for name, value in step.items()}
    calls = {"bare graph, one row": bare(runtime, "step"), "Runtime, row doubled": runtime.step}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(arguments.turns):
        for name, call in calls.items():
            best[name] = min(best[name], microseconds(call, alone, arguments.calls))
    print(f"\nBest of {arguments.turns} times {arguments.calls} steps of one row:\n")
    print(markdown_table(["step", "µs"], [[name, value] for name, value in best.items()]))
    write_json(arguments.json, {"batches": BATCHES, "differ": table, "microseconds": best})


if __name__ == "__main__":
    run(main)
