"""What each change of the network brings: variants trained from nothing, one change at a time.

Every variant sees the same batches for the same number of updates with the same learning rates, and
what it has in common with the others begins with the same weights. A short run: it says what helps
at its beginning, not where a run of days would end. The base is run with a second seed too; what
differs by less than those two has not been told apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch  # noqa: TID253
from _machine import Row, machine_line, markdown_table, run
from _part_speed import steps_per_second
from _short_runs import KINDS, Plan, Songs, epoch_seconds, open_songs, run_variant
from _variants import BASE, VARIANTS

Record = dict[str, Any]
Job = tuple[int, int]  # index of the variant, seed

BATCHES = (1, 16)
HEADER = [
    *("change", "parameters", "nats a step", "beside base", "no matrix", "beside base"),
    *("nats a note", "pitch and STOP", "duration", "s an epoch", "steps/s, 1", "steps/s, 16"),
]

SONGS: list[Songs] = []  # of this process, opened once


def jobs(n_seeds: int) -> list[Job]:
    """Return all runs, the most telling first; only the base is run with further seeds."""
    base = next(index for index, variant in enumerate(VARIANTS) if variant.name == BASE)
    first = [(base, seed) for seed in range(n_seeds)]
    return first + [(index, 0) for index in range(len(VARIANTS)) if index != base]


def open_in_process(data: Path, n_songs: int) -> None:
    """Prepare a process for runs: one thread, the songs read."""
    torch.set_num_threads(1)
    SONGS.append(open_songs(data, n_songs))


def run_job(job: Job, plan: Plan) -> Record:
    """Train and validate one variant."""
    index, seed = job
    return run_variant(VARIANTS[index], seed, plan, SONGS[0])


def run_jobs(wanted: Sequence[Job], plan: Plan, data: Path, processes: int) -> Iterator[Record]:
    """Yield the records of runs as they end, so many at once."""
    with ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),
        initializer=open_in_process,
        initargs=(data, plan.songs),
    ) as pool:
        for done in as_completed([pool.submit(run_job, job, plan) for job in wanted]):
            yield done.result()


def read_records(path: Path, plan: Plan) -> list[Record]:
    """Return the runs of a file that were made by this plan."""
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if record["plan"] == asdict(plan)]


def table_rows(records: Sequence[Record], speeds: dict[str, list[float]]) -> list[Row]:
    """Return a row for each run beside the first run of the base, and one for its last weights."""
    by_run = {(record["variant"], record["seed"]): record for record in records}
    base = by_run.pop((BASE, 0), None)
    if base is None:
        return []
    rows = [_row(BASE, base, base["mean"], base, speeds)]
    rows.append(_row("no running mean of the weights", base, base["last"], base, speeds))
    for (name, seed), record in sorted(by_run.items(), key=lambda item: item[0][0] != BASE):
        title = f"{name}, seed {seed}" if seed else name
        rows.append(_row(title, record, record["mean"], base, speeds))
    return rows


def _row(
    title: str,
    record: Record,
    figures: dict[str, dict[str, float]],
    base: Record,
    speeds: dict[str, list[float]],
) -> Row:
    row: Row = [title, f"{record['parameters']:,}"]
    for kind in KINDS:
        nats, beside = figures[kind]["nats_per_step"], base["mean"][kind]["nats_per_step"]
        row += [f"{nats:.3f}", f"{nats - beside:+.3f}"]
    row += [f"{figures['music'][key]:.3f}" for key in ("nats_per_note", "pitch", "duration")]
    known = speeds.get(record["variant"])
    return row + (["-"] * 3 if known is None else [f"{value:,.0f}" for value in known])


def measure_speeds(data: Path, plan: Plan, rounds: int) -> dict[str, list[float]]:
    """Return seconds an epoch, and steps a second at inference for `BATCHES`, of every variant."""
    torch.set_num_threads(1)
    training = epoch_seconds(VARIANTS, plan, open_songs(data, plan.songs), rounds)
    timed = [variant for variant in VARIANTS if variant.speed_of is None]
    inference = steps_per_second(timed, BATCHES, rounds)
    return {v.name: [training[v.name], *inference[v.speed_of or v.name]] for v in VARIANTS}


def main() -> None:
    """Read the arguments, run what is not in the file yet, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/architectures.py --data data/pop909 --runs runs.jsonl",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--runs", type=Path, required=True, help="file of finished runs, added to")
    parser.add_argument("--updates", type=int, default=800, help="of every run (800)")
    parser.add_argument("--batch-songs", type=int, default=8, help="songs a batch (8)")
    parser.add_argument("--chunk-steps", type=int, default=64, help="steps an update (64)")
    parser.add_argument("--songs", type=int, default=60, help="held-out songs, the first (60)")
    parser.add_argument("--seeds", type=int, default=2, help="runs of the base (2)")
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0: none (5)")
    parser.add_argument("--processes", type=int, default=2, help="runs at once, a core each (2)")
    arguments = parser.parse_args()

    plan = Plan(arguments.updates, arguments.batch_songs, arguments.chunk_steps, arguments.songs)
    records = read_records(arguments.runs, plan)
    done = {(record["variant"], record["seed"]) for record in records}
    missing = [job for job in jobs(arguments.seeds) if (VARIANTS[job[0]].name, job[1]) not in done]
    if missing:
        for record in run_jobs(missing, plan, arguments.data, arguments.processes):
            with arguments.runs.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            records.append(record)
    speeds = measure_speeds(arguments.data, plan, arguments.rounds) if arguments.rounds else {}
    print(machine_line("torch", "numpy", "onnxruntime"))
    print(
        f"{plan.updates} updates of {plan.batch_songs} songs times {plan.chunk_steps} steps from "
        f"nothing; {plan.songs} held-out songs of {arguments.data.name}, whole; seconds are those "
        "of the processor, one thread\n"
    )
    print(markdown_table(HEADER, table_rows(records, speeds)))


if __name__ == "__main__":
    run(main)
