"""The benchmark of the SING paper from MAESTRO's zip to tables and pictures, by one command.

Stages: rows from the performances; every model trained and exported; the scorer of the
likelihoods; evaluate --protocol sing; pictures of five templates. What is finished is not done
again, and what was killed goes on: training from its last checkpoint, the evaluation from its last
result. Nothing that is made of MAESTRO may be shared as one's own (CC BY-NC-SA 4.0).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from _machine import cell_text, machine_line, markdown_table, run
from _row_pictures import draw_template, spread_segments
from _steering_curve import steering_curve

from singcli.cli import main as singcli
from singcli.errors import InputError
from singcli.files import write_text
from singcli.preparation.pool import default_jobs
from singcli.protocol.entrants import CANDIDATES
from singcli.protocol.run import model_names
from singcli.protocol.workshop import ModelFile, Settings, Workshop
from singcli.row_dataset import INDEX_NAME

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
PAPER = CHECKPOINTS / "sing-paper.toml"
CONFIGS = (PAPER, CHECKPOINTS / "rows.toml")
POINTERS = ("rows",)  # models whose steering is a matter of degree
ABLATION = "no-attention"
N_PICTURES = 5
PICTURED = ("copy the most similar row", "random notes")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything is, and how much of it is wanted."""

    zip: Path
    out: Path
    configs: tuple[Path, ...]
    samples: int
    segments: int | None
    scorer_epochs: int
    candidates: tuple[int, ...]
    jobs: int | None

    @property
    def rows(self) -> Path:
        """The row dataset."""
        return self.out / "rows"

    @property
    def scorer(self) -> Path:
        """The network of the likelihoods."""
        return self.out / "scorer.onnx"

    def model(self, config: Path) -> Path:
        """Return the model file that is made with a configuration."""
        return self.out / f"{config.stem}.onnx"


def command(*words: str | Path) -> None:
    """Run a command of singcli in this process.

    Raises
    ------
    SystemExit
        With its exit code, if it failed or was interrupted; its message has been printed.
    """
    code = singcli([str(word) for word in words])
    if code:
        sys.exit(code)


def prepare(bench: Bench) -> None:
    """Make the rows."""
    if not (bench.rows / INDEX_NAME).is_file():
        jobs = () if bench.jobs is None else ("--jobs", str(bench.jobs))
        command("prepare", "--recipe", "sing", bench.zip, "--out", bench.rows, *jobs)


def ablation_config(bench: Bench) -> Path:
    """Write the paper's configuration without attention, and return its path."""
    table = tomllib.loads(PAPER.read_text(encoding="utf-8"))
    table["name"] = ABLATION
    table["network"]["attention"] = False
    path = bench.out / f"{ABLATION}.toml"
    write_text(path, tomli_w.dumps(table))
    return path


def train(bench: Bench, config: Path) -> None:
    """Train and export one model."""
    model, run_dir = bench.model(config), bench.out / "runs" / config.stem
    if model.is_file():
        return
    resume = ("--resume",) if (run_dir / "last.safetensors").is_file() else ()
    command("train", "--data", bench.rows, "--config", config, "--out", run_dir, *resume)
    command("export-onnx", run_dir, "--out", model)


def train_scorer(bench: Bench) -> None:
    """Train the network of the likelihoods."""
    from singcli.training.scorer import train_scorer as fit

    if not bench.scorer.is_file():
        fit(
            bench.rows,
            bench.scorer,
            epochs=bench.scorer_epochs,
            on_epoch=lambda done, epochs, nats: print(
                f"scorer: epoch {done} of {epochs}, {nats:.3f} nats a row", file=sys.stderr
            ),
        )


def evaluate(bench: Bench, models: Sequence[Path]) -> None:
    """Run the protocol; the tables are printed and kept, as text and as JSON."""
    words: list[str | Path] = ["--rows", bench.rows, "--scorer", bench.scorer]
    words += [word for model in models for word in ("--model", model)]
    words += ["--results", bench.out / "results.jsonl", "--samples", str(bench.samples)]
    words += [word for number in bench.candidates for word in ("--candidates", str(number))]
    if bench.segments is not None:
        words += ["--segments", str(bench.segments)]
    if bench.jobs is not None:
        words += ["--jobs", str(bench.jobs)]
    for name, form in (("table.txt", ()), ("table.jsonl", ("--json", "--quiet"))):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            command("evaluate", "--protocol", "sing", *words, *form)
        write_text(bench.out / name, text.getvalue())
    print((bench.out / "table.txt").read_text(encoding="utf-8"))


def draw(bench: Bench, models: Sequence[Path]) -> None:
    """Draw five templates with the matrix and the roll of every model beside them."""
    folder = bench.out / "pictures"
    folder.mkdir(exist_ok=True)
    files = tuple(ModelFile(model.stem, model) for model in models)
    settings = Settings(bench.rows, files, candidates=bench.candidates)
    workshop = Workshop(settings)
    for number, segment in enumerate(spread_segments(workshop, N_PICTURES), start=1):
        path = folder / f"template-{number}.png"
        bag = f"bag of real rows, {max(bench.candidates)}"
        draw_template(path, workshop, segment, [*model_names(settings), bag, *PICTURED])


def curve(bench: Bench, model: Path) -> None:
    """Measure a pointer network on rows under stronger and stronger steering."""
    path = bench.out / f"curve-{model.stem}.txt"
    if not path.is_file():
        table = steering_curve(
            bench.rows,
            model,
            bench.out / f"curve-{model.stem}.png",
            jobs=bench.jobs or default_jobs(),
        )
        write_text(path, table)
    print(path.read_text(encoding="utf-8"))


@contextlib.contextmanager
def timed(bench: Bench, stage: str) -> Iterator[None]:
    """Add the seconds of a stage to what earlier runs of it took, also when it is interrupted."""
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds = times(bench)
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started
        write_text(bench.out / "times.json", json.dumps(seconds, indent=1) + "\n")


def times(bench: Bench) -> dict[str, float]:
    """Return the seconds of every stage, over all runs."""
    path = bench.out / "times.json"
    if not path.is_file():
        return {}
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def stages(bench: Bench) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the stages in order, by name."""
    yield "prepare", functools.partial(prepare, bench)
    configs = [*bench.configs, ablation_config(bench)]
    for config in configs:
        yield f"train {config.stem}", functools.partial(train, bench, config)
    models = [bench.model(config) for config in configs]
    yield "train scorer", functools.partial(train_scorer, bench)
    yield "evaluate", functools.partial(evaluate, bench, models)
    for model in models:
        if model.stem in POINTERS:
            yield f"curve {model.stem}", functools.partial(curve, bench, model)
    yield "pictures", functools.partial(draw, bench, models)


def run_bench(bench: Bench) -> None:
    """Run all stages and print what each took.

    Raises
    ------
    InputError
        If there is nothing to prepare the rows from, or two configurations have one name.
    """
    if not bench.zip.exists() and not (bench.rows / INDEX_NAME).is_file():
        raise InputError(f"{bench.zip}: no such file", "give MAESTRO's zip or its folder")
    names = [ABLATION, *(config.stem for config in bench.configs)]
    if len(set(names)) < len(names):
        raise InputError(
            f"configurations of one name: {', '.join(sorted(names))}", "rename one of the files"
        )
    bench.out.mkdir(parents=True, exist_ok=True)
    for name, stage in stages(bench):
        print(f"== {name}", file=sys.stderr)
        with timed(bench, name):
            stage()
    seconds = times(bench)
    rows = [
        [name, cell_text(value)]
        for name, value in (*seconds.items(), ("all", sum(seconds.values())))
    ]
    print(markdown_table(["stage", "seconds"], rows))
    print(machine_line("numpy", "onnxruntime", "torch"))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/sing.py maestro-v3.0.0-midi.zip --out runs/sing",
    )
    parser.add_argument("zip", type=Path, help="MAESTRO v3.0.0, the zip or its folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument(
        "--config", type=Path, action="append", help="a model to train, may be repeated (SING's)"
    )
    parser.add_argument("--samples", type=int, default=3, help="outputs of each segment (3)")
    parser.add_argument("--segments", type=int, help="so many test segments (all)")
    parser.add_argument(
        "--candidates", type=int, nargs="+", default=list(CANDIDATES), help="of a row (16 64 256)"
    )
    parser.add_argument("--scorer-epochs", type=int, default=8, help="of the scorer (8)")
    parser.add_argument("--jobs", type=int, help="processes (the cores)")
    arguments = parser.parse_args()
    run_bench(
        Bench(
            zip=arguments.zip,
            out=arguments.out,
            configs=tuple(arguments.config or CONFIGS),
            samples=arguments.samples,
            segments=arguments.segments,
            scorer_epochs=arguments.scorer_epochs,
            candidates=tuple(arguments.candidates),
            jobs=arguments.jobs,
        )
    )


if __name__ == "__main__":
    run(main)
