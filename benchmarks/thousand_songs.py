"""Many songs in one call: none fails, memory stays level, and a killed call goes on to the same.

One call makes --songs songs (1,000). Once a second the resident memory of all its processes is
added up (pages that they share count for each), until it ends. Then the same call begins in another
folder, is killed (SIGKILL) at a random moment after its first songs, --kills times, and goes on
with --skip-existing; at the end every file has to be the same, byte for byte, and the manifests
have to agree. Needs a POSIX system (`ps`).
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from _process_group import Sample, call

from singcli.files import TEMPORARY_PREFIX
from singcli.manifest import manifest_path, read_rows

WARM_UP_SONGS = 50  # memory may grow until so many are made
MAX_GROWTH = 1.05  # from the first quarter after them to the last
QUARTERS = 4


def words(preset: str, n_songs: int, folder: Path, options: Sequence[str]) -> list[str]:
    """Return the command that makes the songs with the seeds from 1."""
    command = [sys.executable, "-m", "singcli", "generate", "--preset", preset, "--quiet"]
    return [*command, "--seeds", f"1-{n_songs}", "--out-dir", str(folder), *options]


def n_recorded(folder: Path) -> int:
    """Return how many songs the manifest of a folder has so far."""
    path = manifest_path(folder)
    return path.read_bytes().count(b"\n") if path.exists() else 0


def fingerprints(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every song and recipe, and what the manifest says of each song."""
    if not folder.exists():
        return {}
    manifest = manifest_path(folder)
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path != manifest and not path.name.startswith(TEMPORARY_PREFIX)
    }
    for name, row in read_rows(manifest).items():
        found[f"{manifest.name}: {name}"] = f"{row['status']} {row['sha256']}"
    return found


def quarters(samples: Sequence[Sample], n_songs: int) -> Iterator[tuple[str, list[float]]]:
    """Yield a name and the memory of the time before the warm-up's end, and of each quarter after.

    Songs are written in batches, so a part of few songs may have no sample.
    """
    warm = min(WARM_UP_SONGS, n_songs // 4)
    edges = [warm + (n_songs - warm) * k // QUARTERS for k in range(QUARTERS + 1)]
    for low, high in zip([0, *edges[:-1]], edges, strict=True):
        last = n_songs if high == n_songs else high - 1
        yield (
            f"{low} to {high} songs",
            [s.megabytes for s in samples if low <= s.progress <= last],
        )


@dataclass(slots=True)
class Resumed:
    """What a call that was killed left behind, and what its continuation made of it."""

    killed_after_s: list[float] = field(default_factory=list)
    n_made: list[int] = field(default_factory=list)
    torn: int = 0
    different: int = 0
    left: int = 0


def killed_and_resumed(
    command: Sequence[str], folder: Path, wanted: dict[str, str], moments: Sequence[float]
) -> Resumed:
    """Kill the call after each of the moments, let it go on to the end, and compare."""
    found = Resumed()
    for moment in moments:
        again = ["--skip-existing"] if folder.exists() else []
        call([*command, *again], kill_after_s=moment)
        found.killed_after_s.append(moment)
        here = fingerprints(folder)
        found.n_made.append(sum(name.endswith(".mid") for name in here if ": " not in name))
        found.torn += sum(wanted.get(name) != sha for name, sha in here.items())
    last = call([*command, "--skip-existing"])
    if last.code != 0:
        sys.exit(f"the call with --skip-existing ended with {last.code}:\n{last.errors}")
    here = fingerprints(folder)
    found.different = sum(here.get(n) != wanted.get(n) for n in here.keys() | wanted.keys())
    found.left = len(list(folder.glob(f"{TEMPORARY_PREFIX}*")))
    return found


def main() -> None:
    """Read the arguments, make songs, kill, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="What follows -- is passed to generate. "
        "Example: python benchmarks/thousand_songs.py --songs 1000 -- --jobs 2",
    )
    parser.add_argument("--songs", type=int, default=1000, help="in one call (1000)")
    parser.add_argument("--preset", default="aaba", help="their form (aaba)")
    parser.add_argument("--kills", type=int, default=1, help="of the second call (1)")
    parser.add_argument("--interval", type=float, default=1.0, help="s between two samples (1)")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments (0)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    n_songs = arguments.songs
    if n_songs < 2 or arguments.kills < 1 or arguments.interval <= 0:
        parser.error("needs at least two songs, one kill and a positive interval")
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as place:
        folder, other = Path(place) / "songs", Path(place) / "killed"
        whole = call(
            words(arguments.preset, n_songs, folder, options),
            interval_s=arguments.interval,
            progress=lambda: n_recorded(folder),
        )
        rows = read_rows(manifest_path(folder))
        failed = n_songs - sum(row["status"] == "made" for row in rows.values())
        if whole.code != 0:
            print(f"exit code {whole.code}:\n{whole.errors}")
        wanted = fingerprints(folder)
        moments = [
            draw.uniform(min(whole.first_s, whole.seconds), whole.seconds)
            for _ in range(arguments.kills)
        ]
        resumed = killed_and_resumed(
            words(arguments.preset, n_songs, other, options), other, wanted, moments
        )

    print(machine_line("numpy", "onnxruntime"))
    print(
        f"{n_songs} songs of {arguments.preset} in one call: {whole.seconds:.1f} s, "
        f"{n_songs / whole.seconds:.2f} songs/s; {failed} failed; "
        f"{len(whole.samples)} samples of its memory\n"
    )
    parts = list(quarters(whole.samples, n_songs))
    table: list[Row] = [
        [name, len(m), statistics.median(m) if m else None, max(m) if m else None]
        for name, m in parts
    ]
    print(markdown_table(["written", "samples", "median MB", "peak MB"], table))
    for moment, n_made in zip(resumed.killed_after_s, resumed.n_made, strict=True):
        print(f"\nkilled after {moment:.1f} s, {n_made} songs were there", end="")
    print(f"\n{len(wanted)} files and rows compared, {resumed.left} temporaries left\n")
    peaks = [max(m) for _, m in parts[1:] if m]
    verdicts = [
        verdict("songs that failed", failed, 0),
        verdict("files that a kill tore", resumed.torn, 0),
        verdict("files and rows that differ after going on", resumed.different, 0),
    ]
    if len(peaks) > 1:
        growth = peaks[-1] / peaks[0]
        verdicts.append(verdict("peak of the last part by that of the first", growth, MAX_GROWTH))
    else:
        verdicts.append("left open: too few samples to say whether memory stays level")
    print(*verdicts, sep="\n")
    write_json(
        arguments.json,
        {
            "seconds": whole.seconds,
            "failed": failed,
            "samples": whole.samples,
            "memory": {name: summary(m) for name, m in parts if m},
            "killed_after_s": resumed.killed_after_s,
            "made_then": resumed.n_made,
            "verdicts": verdicts,
        },
    )
    sys.exit(any(line.startswith("MISSED") for line in verdicts))


if __name__ == "__main__":
    run(main)
