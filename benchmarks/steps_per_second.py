"""Time the model alone, without sampling: runtime calls on one thread, state fed back.

A *bare step* is one call of the step part and one decision of the note part. Real music has 1.4
notes a step, so a song makes 2.4 decisions a step on average (STOP is one), and a batch as many as
its fullest song: steps with three decisions are beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Protocol

from _machine import machine_line, markdown_table, run, write_json

from singcli.generate import model_path
from singcli.model.contract import ModelCard, note_inputs, step_inputs
from singcli.model.runtime import Arrays, Runtime

BATCHES = (1, 16)
DECISIONS = (1, 3)
WARM_UP_STEPS = 20


class Model(Protocol):
    """What is timed; `Runtime` is one."""

    @property
    def card(self) -> ModelCard:
        """What the file says of itself."""

    def step(self, inputs: Arrays) -> Arrays:
        """Run the step part."""

    def note(self, inputs: Arrays) -> Arrays:
        """Run the note part."""


def seconds_per_step(model: Model, batch: int, decisions: int, n_steps: int) -> float:
    """Return the mean wall time of one step of all songs of a batch."""
    step = step_inputs(batch, model.card.sizes)
    note = note_inputs(batch, model.card.sizes)
    start = 0.0
    for turn in range(WARM_UP_STEPS + n_steps):
        if turn == WARM_UP_STEPS:
            start = time.perf_counter()
        seen = model.step(step)
        step["hidden"], step["cell"] = seen["next_hidden"], seen["next_cell"]
        note["features"], note["token_bias"] = seen["step_features"], seen["step_token_bias"]
        for _ in range(decisions):
            note["chosen"] = model.note(note)["next_chosen"]
    return (time.perf_counter() - start) / n_steps


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/steps_per_second.py --batches 1 16 64",
    )
    parser.add_argument("--model", type=Path, help="an .onnx file (the one that comes along)")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="(1 16)")
    parser.add_argument("--steps", type=int, default=1000, help="measured steps a run (1000)")
    parser.add_argument("--runs", type=int, default=5, help="runs, of which the median counts (5)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if min(arguments.steps, arguments.runs, *arguments.batches) < 1:
        parser.error("--steps, --runs and --batches must be at least 1")

    path = arguments.model or model_path("pop")
    model = Runtime.open(path)
    rows = []
    for batch in arguments.batches:
        for decisions in DECISIONS:
            runs = [
                seconds_per_step(model, batch, decisions, arguments.steps)
                for _ in range(arguments.runs)
            ]
            seconds = statistics.median(runs)
            microseconds = [1e6 * value for value in (seconds, min(runs), max(runs))]
            rows.append([batch, decisions, *microseconds, 1 / seconds, batch / seconds])
    header = [
        *("songs", "decisions a step", "µs a step", "min µs", "max µs"),
        *("steps/s of each song", "steps/s of all songs"),
    ]
    print(machine_line("numpy", "onnxruntime"))
    print(
        f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, LSTM of {model.card.sizes.lstm}, ",
        end="",
    )
    print(f"one thread; median of {arguments.runs} runs of {arguments.steps} steps\n")
    print(markdown_table(header, rows))
    write_json(arguments.json, {"model": path.name, "header": header, "rows": rows})


if __name__ == "__main__":
    run(main)
