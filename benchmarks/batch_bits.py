"""Whether a song is the same to the last bit beside others: the network's rows, alone and together.

Made-up inputs (sparse notes, dense states) run through each part of the model one row at a time and
in batches; the rows that differ are counted. A sum over an axis is what would make them differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _machine import Row, machine_line, markdown_table, run, write_json

from singcli.generate import model_path
from singcli.model.contract import note_inputs, step_inputs
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


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/batch_bits.py --rows 512",
    )
    parser.add_argument("--model", type=Path, help="an .onnx file (the one that comes along)")
    parser.add_argument("--rows", type=int, default=256, help="rows compared, 64 or more (256)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.rows < max(BATCHES):
        parser.error(f"--rows {max(BATCHES)} or more")

    runtime = Runtime.open(arguments.model or model_path("pop"))
    step = made_up(step_inputs(arguments.rows, runtime.card.sizes))
    note = made_up(note_inputs(arguments.rows, runtime.card.sizes))
    compared: list[tuple[str, Part, Arrays]] = [
        ("step", runtime.step, step),
        ("note", runtime.note, note),
    ]
    print(machine_line("onnxruntime", "numpy"))
    print(f"Rows of {arguments.rows} that differ from the same row alone, by batch:\n")
    table: list[Row] = [
        [name, *(rows_that_differ(call, inputs, batch) for batch in BATCHES)]
        for name, call, inputs in compared
    ]
    print(markdown_table(["part", *map(str, BATCHES)], table))
    write_json(arguments.json, {"batches": BATCHES, "differ": table})


if __name__ == "__main__":
    run(main)
