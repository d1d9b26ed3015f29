"""Compare SING's rolls as `prepare --recipe sing` makes them with those that its authors published.

Segments are compared in the order of MAESTRO's table, with the authors' 396 validation segments;
every segment that differs is listed with what differs. A sample of the files is also read by
pretty_midi itself, which the paper used. Needs MAESTRO v3.0.0 (zip or folder) and the rolls.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import difflib
import io
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _machine import (
    Row,
    floor_verdict,
    machine_line,
    markdown_table,
    run,
    verdict,
    write_json,
)

from singcli.errors import InputError
from singcli.preparation.limits import Limits
from singcli.preparation.row_roll import trimmed
from singcli.preparation.sing import rows_from_midi
from singcli.preparation.sources import Source, SourceReader, find_sources
from singcli.row_dataset import SPLITS, Roll, RowDataset, counts_of

WANTED_SEGMENTS = {"train": 3262, "validation": 396, "test": 438}  # the paper's
MIN_EQUAL = 0.999
LIMIT_S = 300.0
TABLE_NAME = "maestro-v*.csv"


@dataclass(frozen=True, slots=True)
class TempoSegment:
    """A segment with the tempo of its piece, and a name to print."""

    name: str
    tempo_bpm: float
    roll: Roll


def time_prepare(source: Path, out: Path, jobs: int) -> float:
    """Prepare into a new folder; return the wall time."""
    command = [sys.executable, "-m", "singcli", "prepare", str(source), "--recipe", "sing"]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(out), "--jobs", str(jobs)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"prepare ended with exit code {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - start


def file_order(source: Path) -> list[str]:
    """Return the names of the MIDI files in the order of MAESTRO's table."""
    if source.is_dir():
        texts = [path.read_text(encoding="utf-8") for path in sorted(source.rglob(TABLE_NAME))]
    else:
        with zipfile.ZipFile(source) as archive:
            names = [name for name in archive.namelist() if Path(name).match(TABLE_NAME)]
            texts = [archive.read(name).decode() for name in names]
    if len(texts) != 1:
        raise InputError(f"{source}: {len(texts)} files {TABLE_NAME}, needed is one")
    return [row["midi_filename"] for row in csv.DictReader(io.StringIO(texts[0], newline=""))]


def read_reference(path: Path) -> list[TempoSegment]:
    """Read the authors' rolls: packed rows, lengths and tempos."""
    with np.load(path, allow_pickle=False) as stored:
        rows = np.unpackbits(stored["rolls"], axis=1).astype(np.bool_)
        ends, tempos = np.cumsum(stored["length"]), stored["tempo"].tolist()
    rolls = np.split(rows, ends[:-1])
    return [
        TempoSegment(f"authors' segment {n}", tempo, roll)
        for n, (tempo, roll) in enumerate(zip(tempos, rolls, strict=True))
    ]


def ordered_segments(data: RowDataset, order: Sequence[str], split: str) -> list[TempoSegment]:
    """Return a split's segments, the pieces in the order of the table."""
    rolls = {segment.id: segment.roll for segment in data.segments(split)}
    place = {name: n for n, name in enumerate(order)}
    pieces = [piece for piece in data.pieces if piece.split == split]
    pieces.sort(key=lambda piece: place["/".join(piece.source.split("/")[-2:])])
    return [
        TempoSegment(name, piece.tempo_bpm, rolls[name])
        for piece in pieces
        for name in (f"{piece.id}#{n}" for n in range(1, len(piece.lengths) + 1))
    ]


def alignment(
    ours: Sequence[TempoSegment], authors: Sequence[TempoSegment]
) -> difflib.SequenceMatcher[bytes]:
    """Return how ours follow from the authors' by leaving out, adding and changing segments."""
    keys = [[segment.roll.tobytes() for segment in side] for side in (authors, ours)]
    return difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=False)


def differences(ours: Sequence[TempoSegment], authors: Sequence[TempoSegment]) -> Iterator[str]:
    """Yield a line for every segment that only one side has, or that differs."""
    for tag, low, high, our_low, our_high in alignment(ours, authors).get_opcodes():
        if tag == "equal":
            continue
        theirs, mine = list(authors[low:high]), list(ours[our_low:our_high])
        n_pairs = min(len(theirs), len(mine))
        yield from map(explained, mine[:n_pairs], theirs[:n_pairs])
        for segment in mine[n_pairs:]:
            yield f"{segment.name}: not among the authors' ({len(segment.roll)} rows)"
        for segment in theirs[n_pairs:]:
            yield f"{segment.name}: missing in ours ({len(segment.roll)} rows)"


def explained(ours: TempoSegment, authors: TempoSegment) -> str:
    """Return what differs between two segments that should be the same."""
    where = f"{ours.name} ({authors.name})"
    if not np.isclose(ours.tempo_bpm, authors.tempo_bpm, rtol=1e-12):
        return f"{where}: tempo {ours.tempo_bpm!r}, the authors' {authors.tempo_bpm!r}"
    if len(ours.roll) != len(authors.roll):
        return f"{where}: {len(ours.roll)} rows, the authors' {len(authors.roll)}"
    rows = np.flatnonzero((ours.roll != authors.roll).any(axis=1))
    pitches = np.flatnonzero((ours.roll != authors.roll).any(axis=0))
    return (
        f"{where}: same tempo, {len(rows)} of {len(ours.roll)} rows differ, the first is {rows[0]},"
        f" at pitches {', '.join(map(str, pitches[:8].tolist()))}"
    )


@dataclass(frozen=True, slots=True)
class Readings:
    """One file read by singcli and by pretty_midi.

    Parameters
    ----------
    name : str
    tempos : pair of float
        Ours and pretty_midi's.
    is_tied : bool
        Whether pretty_midi had more than one most frequent interval to choose from.
    is_roll_equal : bool
        Whether the trimmed rolls are equal, both at our tempo.
    seconds : pair of float
        Wall time from the bytes to the roll.
    """

    name: str
    tempos: tuple[float, float]
    is_tied: bool
    is_roll_equal: bool
    seconds: tuple[float, float]


def read_both_ways(content: bytes, name: str) -> Readings:
    """Read one MIDI file both ways."""
    import pretty_midi

    start = time.perf_counter()
    tempo_bpm, roll = rows_from_midi(content, limits=Limits(), source=name)
    middle = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tempo changes on other tracks than the first
        music = pretty_midi.PrettyMIDI(io.BytesIO(content))
    tempos, shares = music.estimate_tempi()
    expected = trimmed(music.get_piano_roll(fs=tempo_bpm / 60).T > 0)
    end = time.perf_counter()
    return Readings(
        name,
        (tempo_bpm, float(tempos[0])),
        int((shares == shares[0]).sum()) > 1,
        np.array_equal(roll, expected),
        (middle - start, end - middle),
    )


def sample_readings(sources: Sequence[Source], n: int, seed: int) -> list[Readings]:
    """Read a random sample of the files both ways."""
    chosen = random.Random(seed).sample(list(sources), min(n, len(sources)))
    with SourceReader(Limits().max_bytes) as reader:
        return [read_both_ways(reader.read(source), source.name) for source in chosen]


def print_readings(readings: Sequence[Readings]) -> None:
    """Print how far the two readings agree, and every file on which they do not."""
    ours, theirs = np.array([r.seconds for r in readings]).mean(axis=0)
    same_tempo = [r for r in readings if r.tempos[0] == r.tempos[1]]
    rows: list[Row] = [
        ["files", len(readings)],
        ["same tempo, to the last bit", len(same_tempo)],
        ["several most frequent intervals", sum(r.is_tied for r in readings)],
        ["same rows at that tempo", sum(r.is_roll_equal for r in readings)],
        ["singcli, s/file", float(ours)],
        ["pretty_midi, s/file", float(theirs)],
    ]
    print(f"\n{markdown_table(['beside pretty_midi', 'n'], rows)}")
    for r in readings:
        if r.tempos[0] != r.tempos[1]:
            tie = "several intervals are equally frequent" if r.is_tied else "NOT a tie"
            print(f"- {r.name}: tempo {r.tempos[0]!r}, pretty_midi's here {r.tempos[1]!r}: {tie}")
        if not r.is_roll_equal:
            print(f"- {r.name}: the rows differ")


@contextlib.contextmanager
def prepared(arguments: argparse.Namespace) -> Iterator[tuple[Path, float | None]]:
    """Yield the prepared corpus, and how long it took where it was prepared for this."""
    if arguments.data is not None:
        yield arguments.data, None
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows"
        yield out, time_prepare(arguments.source, out, arguments.jobs)


def main() -> None:
    """Read the arguments, prepare, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python benchmarks/sing_rolls.py maestro-v3.0.0-midi.zip "
        "--reference validation_rolls.npz",
    )
    parser.add_argument("source", type=Path, help="MAESTRO v3.0.0, zip or folder")
    parser.add_argument("--reference", type=Path, required=True, help="the authors' rolls, .npz")
    parser.add_argument("--data", type=Path, help="compare this row dataset, do not prepare anew")
    parser.add_argument("--jobs", type=int, default=2, help="processes of prepare (2)")
    parser.add_argument("--sample", type=int, default=20, help="files read by pretty_midi (20)")
    parser.add_argument("--seed", type=int, default=0, help="draws the sample (0)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    authors, order = read_reference(arguments.reference), file_order(arguments.source)
    sources, _ = find_sources([arguments.source])
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    with prepared(arguments) as (path, seconds):
        data = RowDataset.open(path)
        ours = ordered_segments(data, order, "validation")
    found = list(differences(ours, authors))
    n_equal = sum(block.size for block in alignment(ours, authors).get_matching_blocks())
    lengths = [[len(segment.roll) for segment in side] for side in (ours, authors)]
    n_lengths = sum(a == b for a, b in zip(*lengths, strict=False))

    print(machine_line("numpy", "symusic", "pretty_midi"))
    print(f"{len(sources)} MIDI files, {len(data.pieces)} of them long enough\n")
    counts = {split: counts_of(data.pieces, split)["segments"] for split in SPLITS}
    rows: list[Row] = [[split, counts[split], WANTED_SEGMENTS[split]] for split in SPLITS]
    rows += [
        ["validation: same length", n_lengths, len(authors)],
        ["validation: same rows", n_equal, len(authors)],
    ]
    print(markdown_table(["segments", "ours", "the paper's"], rows))
    print(f"\n{len(found)} segments differ", *found, sep="\n- ")
    if arguments.sample > 0:
        print_readings(sample_readings(sources, arguments.sample, arguments.seed))
    verdicts = [floor_verdict("segments with the same rows", n_equal / len(authors), MIN_EQUAL)]
    if seconds is not None:
        print(f"\nprepare: {seconds:.0f} s, {arguments.jobs} processes; load before: {load:.1f}")
        verdicts.append(verdict(f"prepare of {len(sources)} files", seconds, LIMIT_S, " s"))
    print("", *verdicts, sep="\n")
    figures = {"seconds": seconds, "segments": counts, "same_rows": n_equal, "differences": found}
    write_json(arguments.json, figures | {"load_before": load, "verdicts": verdicts})


if __name__ == "__main__":
    run(main)
