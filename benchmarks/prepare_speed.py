"""Time `singcli prepare` on a corpus, beside a plain loop that only opens files with pretty_midi.

Every run prepares into a new folder, so nothing is taken over from an earlier run.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

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

LIMIT_S_PER_FILE = 60.0 / 817  # one minute for all of POP909
MIDI_SUFFIXES = {".mid", ".midi"}


def time_prepare(inputs: Sequence[Path], options: Sequence[str]) -> tuple[float, int, int]:
    """Prepare once; return the wall time, the songs prepared and the files left out."""
    from singcli.dataset import REPORT_NAME, Dataset

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "data"
        command = [sys.executable, "-m", "singcli", "prepare", *map(str, inputs)]
        start = time.perf_counter()
        process = subprocess.run(
            [*command, "--out", str(out), *options], capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if process.returncode != 0:
            sys.exit(f"prepare ended with exit code {process.returncode}:\n{process.stderr}")
        report = out / REPORT_NAME
        skipped = len(report.read_text().splitlines()) if report.exists() else 0
        return seconds, len(Dataset.open(out).entries), skipped


def midi_files(inputs: Sequence[Path]) -> list[Path]:
    """Return all MIDI files below the inputs, sorted."""
    found = [f for i in inputs for f in ([i] if i.is_file() else i.rglob("*"))]
    return sorted(f for f in found if f.suffix.lower() in MIDI_SUFFIXES)


def time_pretty_midi(paths: Sequence[Path]) -> float:
    """Open files one after the other with pretty_midi; return the wall time."""
    import pretty_midi

    start = time.perf_counter()
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tempo changes on other tracks than the first
            pretty_midi.PrettyMIDI(str(path))
    return time.perf_counter() - start


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="What follows -- is passed to prepare. "
        "Example: python benchmarks/prepare_speed.py corpus/ -- --beats annotation",
    )
    parser.add_argument("inputs", nargs="+", type=Path, help="what prepare is given")
    parser.add_argument("--runs", type=int, default=3, help="measured runs (3)")
    parser.add_argument("--sample", type=int, default=60, help="files for pretty_midi (60)")
    parser.add_argument("--seed", type=int, default=0, help="draws the sample (0)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)

    paths = midi_files(arguments.inputs)
    if not paths or arguments.runs < 1 or arguments.sample < 1:
        parser.error("needs at least one MIDI file (not in a zip), one run and a sample of one")
    sample = random.Random(arguments.seed).sample(paths, min(arguments.sample, len(paths)))
    plain = time_pretty_midi(sample) / len(sample)
    runs = [time_prepare(arguments.inputs, options) for _ in range(arguments.runs)]
    seconds = summary([run[0] for run in runs])
    _, n_songs, n_skipped = runs[-1]

    print(machine_line("numpy", "symusic", "pretty_midi"))
    print(
        f"{len(paths)} MIDI files: {n_songs} prepared, {n_skipped} left out; {arguments.runs} runs"
    )
    print(f"pretty_midi: {len(sample)} of the same files, opened only, one process\n")
    header = ["what", "s for all", "min s", "max s", "files/s"]
    n = len(paths)
    median = seconds["median"]
    rows: list[Row] = [
        ["singcli prepare", median, seconds["min"], seconds["max"], n / median],
        ["pretty_midi, opening only", plain * n, None, None, 1 / plain],
    ]
    print(markdown_table(header, rows))
    print(f"\npretty_midi takes {plain * n / median:.1f} times as long as prepare")
    verdicts = [verdict(f"prepare of {n} files", median, n * LIMIT_S_PER_FILE, " s")]
    print(*verdicts, sep="\n")
    write_json(
        arguments.json,
        {
            "seconds": seconds,
            "n_files": n,
            "n_songs": n_songs,
            "n_skipped": n_skipped,
            "pretty_midi_s_per_file": plain,
            "verdicts": verdicts,
        },
    )


if __name__ == "__main__":
    run(main)
