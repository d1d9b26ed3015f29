"""Time SING: rows written a second on one core, and rows trained on a second.

Generation is the whole way from wanted matrices to rolls, attention weights included, with the
graph of a model file. Training is `singcli train` with the paper's schedule: batches of at most 128
segments of one length, rolled out whole, one step of the optimiser for each. The speed of the first
epoch includes the attention weights, which later epochs keep. Without --data segments are made up:
phrases of random chords that come again. Beside wall time stands processor time, because other
programs on the machine cost wall time only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _machine import floor_verdict, machine_line, markdown_table, run, write_json

from singcli.model.rows import RowTask
from singcli.model.runtime import opened_file
from singcli.model.sing.attention import attention_from_ssm
from singcli.model.sing.contract import SingCard
from singcli.model.sing.generator import SingGenerator
from singcli.model.sing.runtime import SingRuntime
from singcli.model.sing.sampling import RowSampling
from singcli.resources import checkpoints_dir
from singcli.row_dataset import (
    Piece,
    RowDataset,
    Segment,
    segments_path,
    write_index,
    write_segments,
)
from singcli.structure.row_ssm import Roll, row_ssm
from singcli.structure.texture import DEFAULT_TEXTURE

LENGTHS = (436, 571, 700)  # three of the paper's sixteen
SEED_ROWS = 10
WANTED_WRITTEN, WANTED_TRAINED = 20_000.0, 10_000.0
PHRASE_ROWS, PHRASES = 16, 6


def invented_roll(rng: np.random.Generator, n_rows: int) -> Roll:
    """Return phrases of random chords, of which some come again."""
    phrases = np.zeros((PHRASES * PHRASE_ROWS, 128), np.bool_)
    for row in phrases:
        row[rng.choice(np.arange(36, 90), rng.integers(0, 8), replace=False)] = True
    order = rng.integers(0, PHRASES, -(-n_rows // PHRASE_ROWS))
    roll: Roll = np.concatenate(phrases.reshape(PHRASES, PHRASE_ROWS, 128)[order])[:n_rows]
    return roll


def invented_segments(split: str, lengths: Sequence[int], of_each: int) -> list[Segment]:
    """Return made-up segments."""
    rng = np.random.default_rng([len(split), of_each])
    return [
        Segment(f"{split}-{n_rows}-{k}#1", invented_roll(rng, n_rows))
        for n_rows in lengths
        for k in range(of_each)
    ]


def write_invented(folder: Path, of_each: int) -> None:
    """Write a row dataset of made-up segments."""
    pieces = []
    for split, count in (("train", of_each), ("validation", 1), ("test", of_each)):
        segments = invented_segments(split, LENGTHS, count)
        write_segments(segments_path(folder, split), segments)
        for segment in segments:
            n_rows, name = len(segment.roll), segment.id.removesuffix("#1")
            pieces.append(
                Piece.from_json(
                    {
                        "id": name,
                        "source": name,
                        "sha256": "",
                        "fingerprint": "",
                        "tempo_bpm": 200.0,
                        "n_rows": n_rows,
                        "lengths": [n_rows],
                        "split": split,
                    }
                )
            )
    write_index(folder, pieces, licences={}, settings={})


def untrained_runtime() -> SingRuntime:
    """Return the network of the paper with random weights: as fast as a trained one."""
    from singcli.training.sing.graph import model_from_sing
    from singcli.training.sing.network import SingNetwork

    card = SingCard(
        name="untrained",
        attention=True,
        seed_rows=SEED_ROWS,
        sampling=RowSampling(),
        textures=(DEFAULT_TEXTURE,),
        licence="none",
        training={},
    )
    content = model_from_sing(SingNetwork(), card).SerializeToString()
    return SingRuntime.from_file(opened_file(content, source="untrained"), source="untrained")


def written_per_second(
    runtime: SingRuntime, segments: Sequence[Segment], runs: int
) -> list[tuple[float, float]]:
    """Return rows a second of wall time and of processor time, for each run."""
    tasks = [RowTask(row_ssm(s.roll), s.roll[:SEED_ROWS]) for s in segments]
    n_rows = sum(task.n_rows for task in tasks)
    generator, speeds = SingGenerator(runtime), []
    for _ in range(runs):
        wall, processor = time.perf_counter(), time.process_time()
        generator.generate(tasks, range(len(tasks)))
        spent = time.perf_counter() - wall, time.process_time() - processor
        speeds.append((n_rows / spent[0], n_rows / spent[1]))
    return speeds


def trained_per_second(
    data: Path, config: Path, *, processes: int, minutes: float
) -> dict[int, tuple[float, float | None]]:
    """Return rows a second of wall time and of all processors' time, for each epoch begun.

    The share of its core that this process got stands for that of the others, too.
    """
    from singcli.training.status import Status
    from singcli.training.train import train

    seen: dict[int, list[tuple[float, float, float]]] = {}

    def note(status: Status) -> None:
        moment = (status.steps_per_second, time.perf_counter(), time.process_time())
        seen.setdefault(status.epoch, []).append(moment)

    with tempfile.TemporaryDirectory() as folder:
        train(
            [data],
            config,
            Path(folder) / "run",
            device="cpu",
            processes=processes,
            max_minutes=minutes,
            on_status=note,
        )
    speeds: dict[int, tuple[float, float | None]] = {}
    for epoch, moments in seen.items():
        (_, wall, processor), (speed, wall_end, processor_end) = moments[0], moments[-1]
        got = (processor_end - processor) / max(wall_end - wall, 1e-9)
        speeds[epoch] = (speed, speed / (got * processes) if got > 0 else None)
    return speeds


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/sing_speed.py --data data/maestro-rows",
    )
    parser.add_argument("--data", type=Path, help="a folder of `prepare --recipe sing`")
    parser.add_argument("--model", type=Path, help="an .onnx of sing (an untrained network)")
    parser.add_argument("--pieces", type=int, default=128, help="written at once (128)")
    parser.add_argument("--runs", type=int, default=3, help="of writing, the median counts (3)")
    parser.add_argument("--processes", type=int, default=2, help="that train (2)")
    parser.add_argument("--minutes", type=float, default=1.0, help="of training (1)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if min(arguments.pieces, arguments.runs, arguments.processes) < 1:
        parser.error("--pieces, --runs and --processes must be at least 1")

    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data
        if data is None:
            data = Path(folder)
            write_invented(data, arguments.pieces)
        segments = RowDataset.open(data).segments("test")[: arguments.pieces]
        runtime = SingRuntime.open(arguments.model) if arguments.model else untrained_runtime()
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
        if cores is not None:
            os.sched_setaffinity(0, {min(cores)})
        written = written_per_second(runtime, segments, arguments.runs)
        if cores is not None:
            os.sched_setaffinity(0, cores)
        weights = statistics.mean(
            len(attention_from_ssm(row_ssm(s.roll)).weight) / len(s.roll) for s in segments
        )
        config = checkpoints_dir() / "sing-paper.toml"
        trained = trained_per_second(
            data, config, processes=arguments.processes, minutes=arguments.minutes
        )
    wall, processor = (statistics.median(column) for column in zip(*written, strict=True))
    best = max(speed for speed, _ in trained.values())
    rows = [
        [f"written, {len(segments)} pieces at once", 1, wall, processor],
        *(
            [f"trained on, epoch {epoch}", arguments.processes, *speed]
            for epoch, speed in trained.items()
        ),
    ]
    header = ["rows", "cores", "a second", "a second of processor time"]
    print(machine_line("numpy", "onnxruntime", "torch"))
    lengths = sorted({len(segment.roll) for segment in segments})
    print(
        f"Pieces of {lengths[0]} to {lengths[-1]} rows, {weights:.0f} weights of attention a row; "
        f"median of {arguments.runs} runs; load of the machine {os.getloadavg()[0]:.1f}\n"
    )
    print(markdown_table(header, rows))
    print()
    print(floor_verdict("rows written", wall, WANTED_WRITTEN, " a second"))
    print(floor_verdict("rows trained on", best, WANTED_TRAINED, " a second"))
    write_json(arguments.json, {"header": header, "rows": rows})


if __name__ == "__main__":
    run(main)
