"""Beats of music a second and songs a minute: one song alone, a batch, a song of three minutes.

In this process, on one thread, the model open: a song from its plan to its finished file, made one
after the other, with the weights in 8 bits and in float32 by turns. Then the command line as a
user calls it, start and end included: a batch with one and with two processes. A beat is one of the
finished music; the lead-in before it is sampled as well and not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `generate` does

from _machine import Row, floor_verdict, machine_line, markdown_table, run, write_json

from singcli.generate import model_path
from singcli.structure.form_string import form_from_string
from singcli.studio import Failed, Settings, Song, Studio
from singcli.targets import Target
from singcli.wish import Wish
from singcli.wish_sources import SameWish

MODELS = ("pop", "pop-float32")
AABA, THREE_MINUTES = "A8 A8 B8 A8", "I4 A8 B8 A8 B8 C8 A8 B8 B8 O4"  # 72 bars at 96 are 3:00
TEMPO_BPM = 96.0
ALONE_GOAL, BATCH_GOAL = 1000.0, 8000.0  # beats a second


class Speed(NamedTuple):
    """Songs, their beats, and what they took by the clock and of the processor, in seconds."""

    n_songs: int
    n_beats: int
    seconds: float
    processor_s: float | None  # None where several processes share the work


def one_by_one(studio: Studio, seeds: Sequence[int], folder: Path) -> list[Speed]:
    """Make songs one after the other, after one that is not counted."""
    found = []
    for turn, seed in enumerate([0, *seeds]):
        clock, processor = time.perf_counter(), time.process_time()
        (song,) = studio.outcomes([Target(0, seed, folder / f"{seed}.mid")])
        seconds, busy = time.perf_counter() - clock, time.process_time() - processor
        if isinstance(song, Failed):
            raise song.error
        if turn:
            found.append(Speed(1, beats_of(song), seconds, busy))
    return found


def beats_of(song: Song) -> int:
    """Return the length of a song in quarter notes."""
    ticks_per_beat = 480
    return song.recipe.sections[-1].end_tick // ticks_per_beat


def batch(n_songs: int, jobs: int, options: Sequence[str]) -> Speed:
    """Let the command line make songs of aaba, start and end included."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "singcli", "generate", "--form", AABA, "--quiet"]
        words += ["--seeds", f"1-{n_songs}", "--jobs", str(jobs), "--out-dir", folder, *options]
        clock, before = time.perf_counter(), _children_s()
        process = subprocess.run(words, capture_output=True, text=True, check=False)
        seconds, busy = time.perf_counter() - clock, _children_s() - before
        n_made = len(list(Path(folder).glob("*.mid")))
    if process.returncode != 0 or n_made != n_songs:
        sys.exit(f"{' '.join(words)} wrote {n_made} songs:\n{process.stderr}")
    return Speed(n_songs, n_songs * 32 * 4, seconds, busy if jobs == 1 else None)


def _children_s() -> float:
    """Return the processor seconds of the children that have ended so far."""
    times = os.times()
    return times.children_user + times.children_system


def table_row(what: str, songs: Sequence[Speed]) -> Row:
    """Return a row: beats a second by the clock and of the processor, songs a minute, a song."""
    beats = statistics.median(song.n_beats / song.seconds for song in songs)
    busy = [song.n_beats / song.processor_s for song in songs if song.processor_s is not None]
    of_processor = statistics.median(busy) if busy else None
    a_minute = statistics.median(60 * song.n_songs / song.seconds for song in songs)
    a_song = statistics.median(song.seconds / song.n_songs for song in songs)
    return [what, sum(song.n_songs for song in songs), beats, of_processor, a_minute, a_song]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/songs_a_minute.py --songs 10 --batch 256",
    )
    parser.add_argument("--songs", type=int, default=5, help="made one after the other (5)")
    parser.add_argument("--batch", type=int, default=256, help="songs of a batch (256)")
    parser.add_argument("--runs", type=int, default=1, help="of each batch (1)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if min(arguments.songs, arguments.batch, arguments.runs) < 1:
        parser.error("--songs, --batch and --runs must be at least 1")

    found: dict[str, list[Speed]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form, what in ((AABA, "a song of 32 bars"), (THREE_MINUTES, "a song of 3 minutes")):
            source = SameWish(Wish(form_from_string(form), tempo_bpm=TEMPO_BPM))
            for model in MODELS:
                studio = Studio(Settings(model_path(model), (source,)))
                name = f"{what}, {model}"
                found[name] = one_by_one(studio, range(1, arguments.songs + 1), Path(folder))
    for _ in range(arguments.runs):
        for jobs in (1, 2):
            name = f"a batch of {arguments.batch}, --jobs {jobs}"
            found.setdefault(name, []).append(batch(arguments.batch, jobs, []))
    rows = [table_row(name, speeds) for name, speeds in found.items()]
    header = ["what", "songs", "beats a s", "beats a processor s", "songs a minute", "s a song"]
    print(machine_line("numpy", "onnxruntime"))
    print("Medians; beats a second by the clock unless said otherwise\n")
    print(markdown_table(header, rows))
    alone, many = rows[0][2], rows[-1][2]
    assert isinstance(alone, float)
    assert isinstance(many, float)
    lines = [
        floor_verdict("one song on one core", alone, ALONE_GOAL, " beats a second"),
        floor_verdict("a batch in two processes", many, BATCH_GOAL, " beats a second"),
    ]
    print("", *lines, sep="\n")
    write_json(arguments.json, {"header": header, "rows": rows, "verdicts": lines})


if __name__ == "__main__":
    run(main)
