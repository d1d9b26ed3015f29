"""Time `singcli prepare` on a corpus, beside plain loops that only open files with pretty_midi.

Every run prepares into a new folder, so nothing is taken over from an earlier run. The loops are
one process and as many as there are cores; their processes have begun, and imported pretty_midi,
before the clock does. One more run, which is not timed, tells the memory of prepare's processes;
its songs are packed and written again, for the floor: what `prepare` cannot do without.
"""

from __future__ import annotations

import argparse
import multiprocessing
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
    floor_verdict,
    machine_line,
    markdown_table,
    run,
    split_arguments,
    summary,
    usable_cores,
    verdict,
    write_json,
)
from _prepare_floor import parts_seconds, start_seconds
from _process_group import call

LIMIT_S_PER_FILE = 60.0 / 817  # one minute for all of POP909
MEMORY_LIMIT_MB = 1000.0
WANTED_RATIO = 20.0  # of the plain loop to prepare
SAMPLE_S = 0.1  # between two looks at the memory
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


def peak_and_floor(
    inputs: Sequence[Path], options: Sequence[str], midi: Sequence[Path], cores: int
) -> tuple[float, dict[str, float]]:
    """Prepare once more; return what its processes take together, and the seconds of the floor.

    Returns
    -------
    float
        The most memory at a time, in 10^6 bytes.
    dict of str to float
        Wall time of the parts that `prepare` cannot do without, for all files.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "singcli", "prepare", *map(str, inputs)]
        made = call([*command, "--out", f"{folder}/data", *options], interval_s=SAMPLE_S)
        if made.code != 0:
            sys.exit(f"prepare ended with exit code {made.code}:\n{made.errors}")
        songs = sorted(Path(folder, "data", "songs").glob("*.npz"))
        start = {"Python, imports, processes that do nothing": start_seconds(cores)}
        floor = start | parts_seconds(midi, songs, cores)
    return max((sample.megabytes for sample in made.samples), default=0.0), floor


def midi_files(inputs: Sequence[Path]) -> list[Path]:
    """Return all MIDI files below the inputs, sorted."""
    found = [f for i in inputs for f in ([i] if i.is_file() else i.rglob("*"))]
    return sorted(f for f in found if f.suffix.lower() in MIDI_SUFFIXES)


def time_pretty_midi(paths: Sequence[Path], processes: int) -> float:
    """Open files one after the other with pretty_midi, shared among processes; return wall time."""
    shares = [list(paths[k::processes]) for k in range(processes)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.map(open_all, [share[:1] for share in shares], chunksize=1)  # imports
        start = time.perf_counter()
        pool.map(open_all, shares, chunksize=1)
        return time.perf_counter() - start


def open_all(paths: Sequence[Path]) -> None:
    """Open files with pretty_midi."""
    import pretty_midi

    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tempo changes on other tracks than the first
            pretty_midi.PrettyMIDI(str(path))


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="What follows -- is passed to prepare. "
        "Example: python benchmarks/prepare_speed.py corpus/ -- --beats annotation",
    )
    parser.add_argument("inputs", nargs="+", type=Path, help="what prepare is given")
    parser.add_argument("--runs", type=int, default=3, help="measured runs (3)")
    parser.add_argument(
        "--sample", type=int, default=60, help="files for pretty_midi, 0 for all (60)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the sample (0)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)

    paths = midi_files(arguments.inputs)
    if not paths or arguments.runs < 1 or arguments.sample < 0:
        parser.error("needs at least one MIDI file (not in a zip) and one run")
    n_sample = min(arguments.sample or len(paths), len(paths))
    sample, cores = random.Random(arguments.seed).sample(paths, n_sample), usable_cores()
    plain = {n: time_pretty_midi(sample, n) / len(sample) for n in sorted({1, cores})}
    runs = [time_prepare(arguments.inputs, options) for _ in range(arguments.runs)]
    peak, floor = peak_and_floor(arguments.inputs, options, paths, cores)
    seconds = summary([run[0] for run in runs])
    _, n_songs, n_skipped = runs[-1]

    print(machine_line("numpy", "symusic", "pretty_midi"))
    print(
        f"{len(paths)} MIDI files: {n_songs} prepared, {n_skipped} left out; {arguments.runs} runs"
    )
    print(f"pretty_midi: {len(sample)} of the same files, opened only; {cores} cores\n")
    header = ["what", "s for all", "min s", "max s", "files/s"]
    n = len(paths)
    median = seconds["median"]
    rows: list[Row] = [
        ["singcli prepare", median, seconds["min"], seconds["max"], n / median],
        *(
            [f"pretty_midi, opening only, {processes} at once", each * n, None, None, 1 / each]
            for processes, each in plain.items()
        ),
        *([f"floor: {name}", part, None, None, n / part] for name, part in floor.items()),
        ["floor, all of it", sum(floor.values()), None, None, n / sum(floor.values())],
    ]
    print(markdown_table(header, rows))
    ratios = {processes: each * n / median for processes, each in plain.items()}
    told = (f"{ratio:.1f} with {processes}" for processes, ratio in ratios.items())
    print(f"\npretty_midi takes so many times as long, by its processes: {', '.join(told)}")
    verdicts = [
        verdict(f"prepare of {n} files", median, n * LIMIT_S_PER_FILE, " s"),
        floor_verdict("the plain loop, one process, by prepare", ratios[1], WANTED_RATIO),
        verdict("memory of all processes of prepare", peak, MEMORY_LIMIT_MB, " MB"),
    ]
    print(*verdicts, sep="\n")
    write_json(
        arguments.json,
        {
            "seconds": seconds,
            "n_files": n,
            "n_songs": n_songs,
            "n_skipped": n_skipped,
            "pretty_midi_s_per_file": plain,
            "peak_mb": peak,
            "floor_s": floor,
            "verdicts": verdicts,
        },
    )


if __name__ == "__main__":
    run(main)
