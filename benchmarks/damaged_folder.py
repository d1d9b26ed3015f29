"""Prepare a folder of which a third is damaged: no traceback, no hang, a reason for each file.

The files are small songs of our own, or those of --given, as often as needed: a copy has other
bytes behind its last track, so that it is not the same file. Damage is drawn from the seed.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _machine import Row, machine_line, markdown_table, run, verdict, write_json
from _mutator import damaged, small_song

DAMAGED_SHARE = 3  # every third file
PATIENCE_S = 3600
BUG = re.compile(r"unexpected|its process ended")


class Outcome(NamedTuple):
    """What `prepare` did with the folder."""

    exit_code: int
    stderr: str
    seconds: float
    reasons: dict[str, str]
    songs: set[str]


def make_folder(folder: Path, n_files: int, given: Sequence[Path], seed: int) -> set[str]:
    """Fill a folder with files; return the names of the damaged ones."""
    hurt = set()
    for i in range(n_files):
        content = _original(i, given)
        name = f"{i:05d}.mid"
        if i % DAMAGED_SHARE == 0:
            hurt.add(name)
            content = damaged(content, np.random.default_rng([seed, i]))
        (folder / name).write_bytes(content)
    return hurt


def _original(i: int, given: Sequence[Path]) -> bytes:
    if not given:
        return small_song(i)
    content = given[i % len(given)].read_bytes()
    return content + f"copy {i // len(given)}".encode() if i >= len(given) else content


def prepare_folder(folder: Path, options: Sequence[str]) -> Outcome:
    """Run `prepare` on it."""
    from singcli.dataset import REPORT_NAME, Dataset

    out = folder.parent / "data"
    command = [sys.executable, "-m", "singcli", "prepare", str(folder), "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.run(
        [*command, "--quiet", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        return Outcome(process.returncode, process.stderr, seconds, {}, set())
    rows = map(json.loads, (out / REPORT_NAME).read_text(encoding="utf-8").splitlines())
    return Outcome(
        process.returncode,
        process.stderr,
        seconds,
        {Path(row["source"]).name: row["reason"] for row in rows},
        {Path(entry.source).name for entry in Dataset.open(out).entries},
    )


def main() -> None:
    """Read the arguments, damage, prepare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: python benchmarks/damaged_folder.py --files 10000"
    )
    parser.add_argument("--files", type=int, default=300, help="in the folder (300)")
    parser.add_argument("--given", type=Path, nargs="*", default=[], help="MIDI files or folders")
    parser.add_argument("--seed", type=int, default=0, help="draws the damage (0)")
    parser.add_argument("--jobs", default="2", help="processes of prepare (2)")
    parser.add_argument("--beats", default="file", help="passed to prepare (file)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    given = sorted(
        file
        for path in arguments.given
        for file in ([path] if path.is_file() else path.rglob("*.mid"))
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "files"
        folder.mkdir()
        hurt = make_folder(folder, arguments.files, given, arguments.seed)
        names = {path.name for path in folder.iterdir()}
        outcome = prepare_folder(folder, ["-j", arguments.jobs, "--beats", arguments.beats])

    print(machine_line("numpy", "symusic"))
    what = f"{len(given)} given files" if given else "songs of our own"
    print(f"{arguments.files} files made of {what}, {len(hurt)} damaged, seed {arguments.seed}\n")
    rows: list[Row] = [
        [kind, len(group), len(group & outcome.songs), len(group & set(outcome.reasons))]
        for kind, group in (("whole", names - hurt), ("damaged", hurt))
    ]
    print(markdown_table(["files", "n", "became songs", "left out with a reason"], rows))
    counts = Counter(re.sub(r"[-\d.]+", "N", reason) for reason in outcome.reasons.values())
    print()
    print(markdown_table(["reason", "files"], [[r, n] for r, n in counts.most_common(20)]))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"\n{outcome.seconds:.1f} s, {arguments.files / outcome.seconds:.0f} files a second, "
        f"largest process {children.ru_maxrss / 1024:.0f} MB"
    )
    unaccounted = names - outcome.songs - set(outcome.reasons)
    bugs = [reason for reason in outcome.reasons.values() if BUG.search(reason)]
    verdicts = [
        verdict("exit code", outcome.exit_code, 0),
        verdict("tracebacks", outcome.stderr.count("Traceback"), 0),
        verdict("files without song or reason", len(unaccounted), 0),
        verdict("files that met a bug or ended their process", len(bugs), 0),
        verdict("whole files left out", len((names - hurt) & set(outcome.reasons)), 0),
    ]
    print(*verdicts, *bugs[:10], sep="\n")
    write_json(
        arguments.json,
        {"files": arguments.files, "seconds": outcome.seconds, "reasons": counts,
         "verdicts": verdicts},
    )  # fmt: skip
    sys.exit(any(line.startswith("MISSED") for line in verdicts))


if __name__ == "__main__":
    run(main)
