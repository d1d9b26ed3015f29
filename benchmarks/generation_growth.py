"""How time and memory of a song grow with its length: sampled, and written as MIDI.

Every size has a fresh process of its own. The form is AABA of 32 bars again and again, as a matrix
of a form that the sampler follows with one candidate; longer than `generate` lets a form be, to see
where it leads. Time is that of the processor, memory the peak of the process, beside that of a
process that has opened the model and made nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _machine import Row, machine_line, markdown_table, run, verdict, write_json

SIZES = (8, 32, 128, 512, 2048)
PERIOD_BARS, BEATS_PER_BAR = 32, 4
STRAIGHT = 1.5  # times the cost of a bar between the sizes that are compared
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def measure_here(model_name: str, n_bars: int) -> dict[str, float]:
    """Make a song of so many bars in this process; seconds of the processor, peak in megabytes."""
    import resource

    from singcli.generate import model_path
    from singcli.model.runtime import Runtime
    from singcli.model.sampling import sample_scores
    from singcli.music.midi_writing import midi_from_score

    runtime = Runtime.open(model_path(model_name))
    figures: dict[str, float] = {"planning": 0.0, "sampling": 0.0, "writing": 0.0}
    if n_bars:
        started = time.process_time()
        plan, options = long_plan(runtime.card, n_bars)
        planned = time.process_time()
        (score,) = sample_scores(runtime, [plan], [1], options)
        sampled = time.process_time()
        midi_from_score(score)
        written = time.process_time()
        figures = {
            "planning": planned - started,
            "sampling": sampled - planned,
            "writing": written - sampled,
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES / 1e6
    return figures | {"peak_mb": peak}


def long_plan(card: Any, n_bars: int) -> tuple[Any, Any]:
    """Return a plan whose matrix repeats that of AABA, and how to draw."""
    import dataclasses

    import numpy as np

    from singcli.music.score import regular_bars
    from singcli.structure.form_string import form_from_string
    from singcli.wish import Wish

    wish = Wish(form_from_string("A8 A8 B8 A8"))
    plan = wish.plan(card)
    first = plan.lead_in_bars * BEATS_PER_BAR
    period = plan.ssm[first:, first:]
    n_beats = n_bars * BEATS_PER_BAR
    times = -(-n_beats // len(period))
    long = dataclasses.replace(
        plan,
        ssm=np.tile(period, (times, times))[:n_beats, :n_beats],
        bar_beats=regular_bars(n_bars, BEATS_PER_BAR),
        lead_in_bars=0,
        known=None,
        sections=(),
        compound=None,
    )
    return long, wish.options()


def measure(model: str, n_bars: int) -> dict[str, float]:
    """Measure in a fresh process; this one stays small, for a child's peak starts at its own."""
    words = [sys.executable, __file__, "--inside", str(n_bars), "--model", model]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)} failed:\n{process.stderr}")
    figures: dict[str, float] = json.loads(process.stdout)
    return figures


def verdicts(by_size: Mapping[int, Mapping[str, float]], blank_mb: float) -> list[str]:
    """Say whether the largest song costs more a bar than one of a quarter of its length."""
    sizes = sorted(by_size)
    if len(sizes) < 2:
        return []
    small, large = sizes[-2:]
    lines = []
    for what, unit, costs in (
        ("time", " ms", {n: 1000 * seconds(by_size[n]) / n for n in (small, large)}),
        ("memory", " MB", {n: (by_size[n]["peak_mb"] - blank_mb) / n for n in (small, large)}),
    ):
        name = f"{what} a bar with {large} bars, {STRAIGHT:g} times that with {small} at most:"
        lines.append(verdict(name, costs[large], STRAIGHT * costs[small], unit))
    return lines


def seconds(figures: Mapping[str, float]) -> float:
    """Return the time of all stages."""
    return figures["planning"] + figures["sampling"] + figures["writing"]


def main() -> None:
    """Read the arguments, measure every size in a process of its own, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/generation_growth.py --bars 8 32 128",
    )
    parser.add_argument(
        "--bars", type=int, nargs="+", default=list(SIZES), help="sizes (8 32 128 512 2048)"
    )
    parser.add_argument("--model", default="pop", help="name or path (pop)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        print(json.dumps(measure_here(arguments.model, arguments.inside)))
        return
    if min(arguments.bars) < 2:
        parser.error("--bars must be at least 2")
    blank_mb = measure(arguments.model, 0)["peak_mb"]
    by_size = {n: measure(arguments.model, n) for n in sorted(arguments.bars)}
    rows: list[Row] = [
        [
            *(n, n * BEATS_PER_BAR, f["planning"], f["sampling"], f["writing"]),
            *(n * BEATS_PER_BAR / seconds(f), f["peak_mb"], f["peak_mb"] - blank_mb),
        ]
        for n, f in by_size.items()
    ]
    header = ["bars", "beats", "plan s", "sampling s", "MIDI s", "beats a s", "peak MB", "more MB"]
    print(machine_line("numpy", "onnxruntime"))
    print(f"Processor seconds; a process that only opens the model: {blank_mb:.0f} MB\n")
    print(markdown_table(header, rows))
    lines = verdicts(by_size, blank_mb)
    print("", *lines, sep="\n")
    write_json(arguments.json, {"blank_mb": blank_mb, "bars": by_size, "verdicts": lines})


if __name__ == "__main__":
    run(main)
