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
    """Train the pointer network on a prepared dataset.

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
                f"epoch {status.epoch}/{status.epochs}, {status.nats:.3f} nats a step, "
                f"{status.steps_per_second:,.0f} steps/s, {_clock(status.seconds_left)} left"
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
    figures = {
        "run": str(out),
        "finished": result.finished,
        "epoch": result.progress.epoch,
        "best_nats_per_step": result.progress.best,
        "validation": result.progress.figures,
    }
    if json_output:
        console.result_json(figures)
        return
    console.result(str(out))
    for kind, row in result.progress.figures.items():
        console.status(
            f"validation, SSM {kind}: {row['nats_per_step']:.3f} nats a step "
            f"({row['nats_per_note']:.3f} a note) over {row['songs']:.0f} songs"
        )


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
