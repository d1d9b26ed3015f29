"""Weights in 8 bits beside the same weights in float32: size, likelihood, loading, speed.

The likelihood is that of the held-out songs under the matrix of the music, by torch, which rounds
as the file does: the weights, and what the step part multiplies them with. Loading and steps are
timed in turns, in processor seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch  # noqa: TID253
from _machine import Row, machine_line, markdown_table, run, write_json
from _rounded import rounded
from _trained import default_checkpoint, opened

from singcli.dataset import Dataset
from singcli.model.contract import note_inputs, step_inputs
from singcli.model.runtime import Runtime
from singcli.training.examples import TrainingSong
from singcli.training.export import Weights, export_onnx
from singcli.training.validation import validate

KINDS: tuple[Weights, ...] = ("float32", "int8")
HEADER = ["weights", "MB", "nats a step", "nats a note", "load ms", "steps/s, 1", "steps/s, 16"]
REPEATS, STEPS = 5, 200


def load_ms(path: Path) -> float:
    """Return the processor time of opening a file, in milliseconds."""
    started = time.process_time()
    Runtime.open(path)
    return 1000 * (time.process_time() - started)


def steps_per_second(runtime: Runtime, batch: int) -> float:
    """Return bare steps of one decision each in a second of processor time."""
    step, note = (make(batch, runtime.card.sizes) for make in (step_inputs, note_inputs))
    started = time.process_time()
    for _ in range(STEPS):
        runtime.step(step)
        runtime.note(note)
    return STEPS * batch / (time.process_time() - started)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/int8.py --data data/pop909",
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder written by prepare")
    parser.add_argument("--checkpoint", type=Path, help=".safetensors (the one that comes along)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    source = arguments.checkpoint or default_checkpoint()
    config, network, settings = opened(source)
    songs = [TrainingSong.from_song(s) for s in Dataset.open(arguments.data).songs("validation")]
    networks = dict(zip(KINDS, (network, rounded(network)), strict=True))
    rows: list[Row] = []
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / f"{kind}.onnx" for kind in KINDS}
        for kind in KINDS:
            export_onnx(source, paths[kind], weights=kind)
        runtimes = {kind: Runtime.open(paths[kind]) for kind in KINDS}
        times: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
        for _ in range(REPEATS):
            for kind in KINDS:
                speeds = (steps_per_second(runtimes[kind], batch) for batch in (1, 16))
                times[kind].append((load_ms(paths[kind]), *speeds))  # type: ignore[arg-type]
        for kind in KINDS:
            figures = validate(
                networks[kind],
                songs,
                "music",
                settings,
                batch_songs=config.run.batch_songs,
                device=torch.device("cpu"),
            )
            load, one, many = np.median(np.array(times[kind]), axis=0)
            size = paths[kind].stat().st_size / 1e6
            per_step, per_note = figures["nats_per_step"], figures["nats_per_note"]
            nats = f"{per_step:.4f}", f"{per_note:.4f}"
            rows.append([kind, f"{size:.2f}", *nats, f"{load:.0f}", f"{one:,.0f}", f"{many:,.0f}"])
            found[kind] = figures | {"bytes": size * 1e6, "load_ms": float(load)}
    print(f"{machine_line('torch', 'numpy', 'onnxruntime')}; {len(songs)} held-out songs\n")
    print(markdown_table(HEADER, rows))
    write_json(arguments.json, found)


if __name__ == "__main__":
    run(main)
