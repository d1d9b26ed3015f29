"""`singcli train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, QuietOption

if TYPE_CHECKING:
    from singcli.training.status import Status

EXAMPLES = (
    (
        "train the shipped network on two cores for two hours",
        "singcli train --data data/pop909 --config checkpoints/pop.toml --out runs/pop "
        "--max-minutes 120",
    ),
    (
        "the network of the paper, on MAESTRO's rows",
        "singcli train --data data/maestro-rows --config checkpoints/sing-paper.toml "
        "--out runs/sing",
    ),
    (
        "go on where it stopped",
        "singcli train --data data/pop909 --config checkpoints/pop.toml --out runs/pop --resume",
    ),
)


def train(
    data: Annotated[
        list[Path],
        typer.Option(help="A folder written by `singcli prepare`; may be repeated."),
    ],
    config: Annotated[Path, typer.Option(help="TOML with the run's configuration.")],
    out: Annotated[Path, typer.Option(help="Folder of the run, made if missing.")],
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Start from the weights of a .safetensors of the same [network], such as a "
            "bundled model's.",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after so many minutes, ready to resume.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda (mixed precision) or mps.")] = "auto",
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Processes on a CPU [default: the cores, at most 8]."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="In place of the configuration's seed.")
    ] = None,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network on a prepared dataset.

    The configuration says which: the pointer network, or with `architecture = "sing"` that of the
    paper, on the rows of `prepare --recipe sing`.

    RUN holds `last.safetensors` (to resume), `best.safetensors` (to export) and `log.jsonl`.
    Ctrl-C finishes the current batch, saves, and exits with 130.
    """
    from singcli.extras import require_train_extra

    require_train_extra()
    from singcli.training.train import train as run_training

    console = Console(quiet)
    with console.progress("training") as progress:

        def show(status: Status) -> None:
            note = (
                f"epoch {status.epoch}/{status.epochs}, {status.nats:.3f} {status.unit}, "
                f"{status.steps_per_second:,.0f} {status.pace}, {_clock(status.seconds_left)} left"
            )
            progress(round(1000 * status.share), 1000, note)

        result = run_training(
            data,
            config,
            out,
            device=device,
            processes=processes,
            max_minutes=max_minutes,
            resume=resume,
            seed=seed,
            init=init,
            on_status=show,
        )
    ending = "finished" if result.finished else "stopped; add --resume to go on"
    console.status(f"{ending} after {_clock(result.progress.seconds)}")
    pointer = all("nats_per_step" in row for row in result.progress.figures.values())
    figures = {
        "run": str(out),
        "finished": result.finished,
        "epoch": result.progress.epoch,
        "best_nats_per_step" if pointer else "best_loss": result.progress.best,
        "validation": result.progress.figures,
    }
    if json_output:
        console.result_json(figures)
        return
    console.result(str(out))
    for kind, row in result.progress.figures.items():
        console.status(_validation_line(kind, row))


def _validation_line(kind: str, row: dict[str, float]) -> str:
    if "nats_per_step" in row:
        return (
            f"validation, SSM {kind}: {row['nats_per_step']:.3f} nats a step "
            f"({row['nats_per_note']:.3f} a note) over {row['songs']:.0f} songs"
        )
    return (
        f"validation, {kind}: loss {row['loss']:.3f}, r of the SSMs {row['r']:.2f}, "
        f"{row['distinct_pitches']:.1f} pitches over {row['segments']:.0f} segments"
    )


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
