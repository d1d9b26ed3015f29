"""Time `singcli generate --preset aaba` as a whole process, beside the bare imports that it needs.

Every command runs once unmeasured, so that the file cache is warm; then all of them take turns.
Python may keep the modules that it has compiled, as it does where singcli is installed.
This script itself stays small: on Linux a child's peak memory starts at that of its parent.
Needs a POSIX system (`os.wait4`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from _machine import (
    Row,
    machine_line,
    markdown_table,
    run,
    split_arguments,
    summary,
    verdict,
    write_json,
)

from singcli.cli.completing import WORD_VARIABLE

BARE_IMPORTS = "import numpy, onnxruntime, pydantic, symusic, typer"
LIMIT_S, RATIO_LIMIT, HELP_LIMIT_S = 0.8, 2.5, 0.25
MEMORY_LIMIT_MB = 200.0
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss

GENERATE, IMPORTS, HELP, PYTHON = "generate --preset aaba", "bare imports", "--help", "python alone"
NAMES, OPTIONS = "completion of a preset's name", "completion of an option"


class Run(NamedTuple):
    """One process: seconds by the clock and of the processor, peak memory in 10^6 bytes."""

    seconds: float
    processor_s: float
    peak_mb: float


def run_process(command: Sequence[str]) -> Run:
    """Run a command to its end and measure it; stop the benchmark if it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{errors.read().decode(errors='replace')}")
    processor_s = usage.ru_utime + usage.ru_stime
    return Run(seconds, processor_s, usage.ru_maxrss * MAXRSS_BYTES / 1e6)


def measure(n_runs: int, python: str, options: Sequence[str]) -> dict[str, list[Run]]:
    """Run all commands in turn, `n_runs` times each after one unmeasured turn."""
    names = (GENERATE, IMPORTS, HELP, NAMES, OPTIONS, PYTHON)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    singcli = [python, "-m", "singcli"]
    for turn in range(n_runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            seed = ["--seed", str(turn), "--out-dir", folder]
            commands = {
                GENERATE: [*singcli, "generate", "--preset", "aaba", *seed, *options],
                IMPORTS: [python, "-c", BARE_IMPORTS],
                HELP: [*singcli, "--help"],
                NAMES: ["env", f"{WORD_VARIABLE}=:a", *singcli, "generate", "--preset"],
                OPTIONS: ["env", f"{WORD_VARIABLE}=:--s", *singcli, "generate"],
                PYTHON: [python, "-c", "pass"],
            }
            for name, command in commands.items():
                result = run_process(command)
                if turn > 0:
                    runs[name].append(result)
            if not list(Path(folder).glob("*.mid")):
                sys.exit(f"{' '.join(commands[GENERATE])} wrote no MIDI file")
    return runs


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="What follows -- is passed to generate. "
        "Example: python benchmarks/cold_start.py --runs 15 -- --strictness 0.5",
    )
    parser.add_argument("--runs", type=int, default=10, help="measured runs a command (10)")
    parser.add_argument("--python", default=sys.executable, help="interpreter to test (this one)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    if arguments.runs < 1:
        parser.error("--runs must be at least 1")

    runs = measure(arguments.runs, arguments.python, options)
    seconds = {name: summary([r.seconds for r in of_name]) for name, of_name in runs.items()}
    busy = {name: summary([r.processor_s for r in of_name]) for name, of_name in runs.items()}
    peak = {name: max(r.peak_mb for r in of_name) for name, of_name in runs.items()}
    base = seconds[IMPORTS]["median"]
    rows: list[Row] = [
        [
            *(name, s["median"], s["min"], s["max"], s["median"] / base),
            *(busy[name]["median"], peak[name]),
        ]
        for name, s in seconds.items()
    ]
    median = seconds[GENERATE]["median"]
    verdicts = [
        verdict(f"median of {GENERATE}", median, LIMIT_S, " s"),
        verdict(f"median of {GENERATE}, in bare imports", median / base, RATIO_LIMIT),
        verdict(f"median of {HELP}", seconds[HELP]["median"], HELP_LIMIT_S, " s"),
        verdict(f"peak memory of {GENERATE}", peak[GENERATE], MEMORY_LIMIT_MB, " MB"),
    ]
    header = ["process", "median s", "min s", "max s", "times bare imports", "processor s"]
    print(machine_line("numpy", "onnxruntime", "pydantic", "symusic", "typer"))
    print(f"{arguments.runs} runs each, in turns, warm file cache\n")
    print(markdown_table([*header, "peak MB"], rows), *verdicts, sep="\n\n")
    write_json(
        arguments.json,
        {"seconds": seconds, "processor_s": busy, "peak_mb": peak, "verdicts": verdicts},
    )


if __name__ == "__main__":
    run(main)
