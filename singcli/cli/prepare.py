"""`singcli prepare`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, QuietOption

if TYPE_CHECKING:
    from singcli.prepare import PrepareReport
    from singcli.prepare_rows import RowsReport

EXAMPLES = (
    (
        "POP909 with its beats, keys and section labels; hold out the songs that end in 3",
        "singcli prepare POP909/ --out data/pop909 --beats annotation --rules pop909 "
        "--validation-ids '3$'",
    ),
    (
        "all MIDI of a folder and an archive, whatever it is",
        "singcli prepare midi/ more.zip --out data/mine --licence 'CC0, my own pieces'",
    ),
    (
        "MAESTRO as the paper SING prepares it, with its official split",
        "singcli prepare maestro-v3.0.0-midi.zip --recipe sing --out data/sing",
    ),
)

MAX_REASONS_SHOWN = 10


def prepare(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="MIDI files, folders and zip archives of them."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the dataset, made if missing.")],
    *,
    recipe: Annotated[
        Literal["score", "sing"],
        typer.Option(
            help="score: notes on a grid, what the models of this tool learn from. sing: rolls of "
            "one row an estimated beat, cut into segments, as the paper SING makes them; "
            "MAESTRO's own split is kept."
        ),
    ] = "score",
    beats: Annotated[
        Literal["file", "annotation", "estimate"],
        typer.Option(
            help="Beats from the files' ticks and meters, from POP909's beat_midi.txt beside them, "
            "or estimated (for performances played without a grid)."
        ),
    ] = "file",
    pickups: Annotated[
        bool,
        typer.Option(
            "--pickups/--no-pickups",
            help="With --beats file: listen for upbeats that the files' bars do not know of.",
        ),
    ] = False,
    rules: Annotated[
        str,
        typer.Option(
            help="Who plays the lead: auto, pop909, lieder, solo-piano, or a TOML file of rules."
        ),
    ] = "auto",
    sections: Annotated[
        bool,
        typer.Option(
            "--sections/--no-sections", help="Align POP909's human section labels and keep them."
        ),
    ] = True,
    find_sections: Annotated[
        bool,
        typer.Option(
            "--find-sections",
            help="Give songs without section labels those that `ssm` finds.",
        ),
    ] = False,
    validation_fraction: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the songs held out for validation.")
    ] = 0.1,
    validation_ids: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Hold out the songs whose id matches, instead of a share."
        ),
    ] = None,
    test_ids: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="With --recipe sing: keep the pieces whose id matches for tests."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the songs held out.")] = 0,
    licence: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT|FILE",
            help="Licence of the songs [default: LICENSE files beside or above them].",
        ),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(help="Name of the kind of music, such as pop, for models that know several."),
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Skip larger files.")] = 8 * 2**20,
    max_notes: Annotated[int, typer.Option(min=1, help="Skip files of more notes.")] = 100_000,
    max_tracks: Annotated[int, typer.Option(min=1, help="Skip files of more tracks.")] = 1_000,
    max_minutes: Annotated[float, typer.Option(min=0.01, help="Skip longer files.")] = 120.0,
    max_seconds: Annotated[
        float, typer.Option(min=0.01, help="Processor time for one file; skip it after that.")
    ] = 60.0,
    max_memory: Annotated[
        float, typer.Option(min=1, metavar="MB", help="Memory for one file; skip it beyond that.")
    ] = 1024.0,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, max=256, help="Processes [default: the cores]."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 if a file had to be skipped.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Make all songs anew, and take out those that are not among the inputs.",
        ),
    ] = False,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn MIDI files into a dataset to train on.

    Run again, it goes on where it was interrupted and makes only what is new or changed. A file
    that cannot be used is skipped; OUT/report.jsonl says why.
    """
    _prepare_processes(recipe, jobs)
    from singcli.preparation.allowance import Allowance
    from singcli.preparation.limits import Limits
    from singcli.preparation.validation import Validation
    from singcli.prepare import prepare as run_prepare
    from singcli.prepare_rows import prepare_rows

    console = Console(quiet)
    shared: dict[str, Any] = {
        "validation": Validation(validation_fraction, validation_ids),
        "seed": seed,
        "licence": _licence_text(licence),
        "limits": Limits(max_bytes, max_notes, max_tracks, max_minutes),
        "allowance": Allowance(max_seconds, max_memory),
        "jobs": jobs,
        "overwrite": overwrite,
    }
    own: dict[str, Any] = {
        "beats": beats,
        "pickups": pickups,
        "rules": rules,
        "sections": sections,
        "find_sections": find_sections,
        "style": style,
    }
    _validate_options(recipe, own, test_ids)
    report: PrepareReport | RowsReport
    with console.progress("preparing") as progress:
        if recipe == "sing":
            report = prepare_rows(inputs, out, test_ids=test_ids, on_progress=progress, **shared)
        else:
            report = run_prepare(inputs, out, on_progress=progress, **own, **shared)
    _tell(console, report, json_output=json_output, strict=strict)


def _prepare_processes(recipe: str, jobs: int | None) -> None:
    """Let the processes import what they need while this one does."""
    from singcli.preparation.pool import (
        ROWS_PRELOAD,
        SCORES_PRELOAD,
        default_jobs,
        start_server,
    )

    if (jobs or default_jobs()) > 1:
        start_server(SCORES_PRELOAD if recipe == "score" else ROWS_PRELOAD)


def _validate_options(recipe: str, own: Mapping[str, Any], test_ids: str | None) -> None:
    """Check that no option of the other recipe was given."""
    from singcli.errors import InputError

    if recipe == "score":
        if test_ids is not None:
            raise InputError("--test-ids is an option of --recipe sing", "leave it out")
        return
    parameters = inspect.signature(prepare).parameters
    for name, value in own.items():
        if value != parameters[name].default:
            flag = f"--no-{name}" if value is False else f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is no option of --recipe sing", "leave it out")


def _tell(
    console: Console, report: PrepareReport | RowsReport, *, json_output: bool, strict: bool
) -> None:
    """Say what was done, and what was left out and why."""
    from singcli.errors import PartialFailureError

    reasons = report.data / "report.jsonl"
    failures = [skip for skip in report.skipped if skip.failed]
    for skip in failures[:MAX_REASONS_SHOWN]:
        console.warning(f"skipped {skip.source}: {skip.reason}")
    if len(failures) > MAX_REASONS_SHOWN:
        console.warning(f"skipped {len(failures) - MAX_REASONS_SHOWN} more files, see {reasons}")
    summary = report.summary()
    if json_output:
        console.result_json(summary)
    else:
        console.result(str(report.data))
    console.status(
        f"{_made(summary)}, {summary['reused']} of them from before; "
        f"{summary['skipped']} files skipped; {summary['seconds']} s"
    )
    if strict and failures:
        raise PartialFailureError(f"{len(failures)} files were skipped", f"see {reasons}")


def _made(summary: Mapping[str, Any]) -> str:
    """Return what was made, in words."""
    if "pieces" in summary:
        splits = ", ".join(
            f"{summary[split]['segments']} {purpose}"
            for split, purpose in (
                ("train", "segments to train on"),
                ("validation", "for validation"),
                ("test", "for tests"),
            )
        )
        return f"{splits}, cut from {summary['pieces']} pieces"
    return (
        f"{summary['songs']} songs ({summary['train']} to train on, {summary['validation']} held "
        f"out, {summary['with_sections']} with sections)"
    )


def _licence_text(licence: str | None) -> str | None:
    """Return the content of the file, if it is the name of one, else the text itself."""
    if licence is None or "\n" in licence:
        return licence
    path = Path(licence)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else licence
