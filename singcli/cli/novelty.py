"""`singcli novelty`: a group of commands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption

if TYPE_CHECKING:
    from singcli.novelty.checking import Checked
    from singcli.novelty.report import NoveltyReport, SharedRun
    from singcli.novelty.yardstick import Reference, Yardstick

EXAMPLES = (
    ("what a song shares with the songs that the model has learned from",
     "singcli novelty check song.mid"),
    ("a folder of songs, one object a line", "singcli novelty check songs/ --json"),
    ("songs of a model of your own", "singcli novelty check songs/ --model mine.onnx"),
    ("the index of a model of your own, to lie beside mine.onnx",
     "singcli novelty index data --out mine.novelty.npz"),
    ("of a model that was trained on several datasets",
     "singcli novelty index data/pop909 data/lieder --out both.novelty.npz"),
)  # fmt: skip
MARK = "*"


def novelty() -> None:
    """Find what songs share with those that a model was trained on."""


def check(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help="MIDI files, folders and zip archives of them."),
    ],
    model: Annotated[
        str, typer.Option(help="A bundled model, or an .onnx file with an index beside it.")
    ] = "pop",
    index: Annotated[
        Path | None,
        typer.Option(help="A .novelty.npz of `novelty index`, instead of a model's own."),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(help="Compare with the held-out songs of one of the datasets [default: all]."),
    ] = None,
    beats: Annotated[
        Literal["file", "annotation", "estimate"],
        typer.Option(
            help="Where the beats come from: the files' tempo maps and meters, beat_midi.txt "
            "beside them, or an estimate (for performances without a grid)."
        ),
    ] = "file",
    rules: Annotated[
        str, typer.Option(help="Which tracks are the tune: auto, pop909, ... or .toml.")
    ] = "auto",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say of every file where its runs are.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find what songs share with the training songs of a model, whatever the key.

    The columns: notes of the longest shared run; share of the passages of six notes, and of the
    bars, that occur in any training song; each for the tune ("lead") and for all notes. Then the
    training song with the most of the same passages. A figure above the 95th percentile of real
    songs that the model has not seen has a star. Of one file the places of the runs are told.
    """
    # Before numpy is imported: there is nothing here that threads would make faster.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from singcli.errors import InputError, PartialFailureError
    from singcli.novelty.checking import check_files, index_path
    from singcli.novelty.index_file import read_index
    from singcli.novelty.yardstick import yardstick_of

    console = Console(quiet)
    path = index if index is not None else index_path(model)
    read = read_index(path)
    yardstick = yardstick_of(read, corpus)
    checked: list[Checked] = []
    failed: list[Checked] = []
    for file in check_files(inputs, read, beats=beats, rules=rules):
        (failed if file.report is None else checked).append(file)
        if file.report is not None and as_json:
            console.result_json(_json(file.name, file.report, yardstick))
    if not checked:
        raise InputError(failed[0].error)
    if not as_json:
        songs = f"{len(read.songs)} songs of {', '.join(part.name for part in read.corpora)}"
        console.status(f"{path.name}: {songs}")
        _show(console, checked, yardstick, places=verbose or len(checked) == 1)
    for file in failed:
        console.warning(f"left out {file.name}: {file.error}")
    if failed:
        raise PartialFailureError(f"{len(failed)} of {len(checked) + len(failed)} files left out")


def index(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Folders written by `prepare`.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write (.novelty.npz), beside the model.")
    ],
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the index of the songs that a model was trained on: hashes, no notes.

    The held-out songs of the datasets are compared with the training songs, and the index keeps
    the figures: they stand beside those of every song that is checked.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from singcli.errors import InputError
    from singcli.files import validate_new_file
    from singcli.novelty.building import build_index
    from singcli.novelty.index_file import SUFFIX, write_index
    from singcli.novelty.yardstick import yardstick_of

    if not out.name.endswith(SUFFIX):
        raise InputError(f"{out}: an index ends in {SUFFIX}")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent}: no such folder")
    validate_new_file(out, overwrite=overwrite)
    console = Console(quiet)
    with console.progress("measuring held-out songs") as progress:
        built = build_index(data, on_progress=progress)
    write_index(built, out)
    yardstick = yardstick_of(built)
    if as_json:
        console.result_json(
            {
                "path": str(out),
                "bytes": out.stat().st_size,
                "songs": len(built.songs),
                "held_out": _reference_json(yardstick.songs),
                "excerpts": _reference_json(yardstick.excerpts),
            }
        )
    else:
        console.result(str(out))
    n_held_out = yardstick.songs.pieces
    console.status(f"{len(built.songs)} songs, {n_held_out} held out as the yardstick")


SUBCOMMANDS = {"check": check, "index": index}


def _show(
    console: Console, checked: Sequence[Checked], yardstick: Yardstick, *, places: bool
) -> None:
    """Print a table of the files and the yardstick, and where the runs are."""
    import numpy as np

    from singcli.cli.tables import aligned
    from singcli.novelty.yardstick import Reference

    reports = [(file.name, file.report) for file in checked if file.report is not None]
    rows = [_head()]
    starred = False
    for name, report in reports:
        beyond = yardstick.songs.beyond(report.figures())
        starred |= bool(beyond)
        rows.append([name, *_cells(report.figures(), beyond), _nearest_name(report)])
    if len(reports) > 1:
        figures = np.array([list(report.figures().values()) for _, report in reports])
        rows += _reference_rows(f"these {len(reports)}", Reference.from_figures(figures))
    rows += _reference_rows("held-out songs", yardstick.songs)
    rows += _reference_rows("held-out excerpts", yardstick.excerpts)
    for line in aligned(rows, right=range(1, len(rows[0]) - 1)):
        console.result(line)
    for name, report in reports if places else ():
        for part, run in (("lead", report.lead.run), ("all", report.all.run)):
            console.result(f"{name}, {part}: {_place(run)}")
    if starred:
        console.status(f"{MARK} above the 95th percentile of the held-out songs")


def _head() -> list[str]:
    columns = ("run", "passages", "bars")
    return ["", *(f"{what} {part}" for what in columns for part in ("lead", "all")), "nearest", ""]


def _reference_rows(name: str, reference: Reference) -> list[list[str]]:
    if reference.pieces == 0:
        return []
    return [
        [f"{name}, median", *_cells(reference.median), ""],
        [f"{name}, 95 %", *_cells(reference.high), ""],
    ]


def _cells(figures: Mapping[str, float], beyond: Sequence[str] = ()) -> list[str]:
    """Return the figures in the order of the columns, those in `beyond` with a star."""
    cells = []
    for name, value in figures.items():
        cell = _run_length(value) if name.endswith("_run") else f"{value:.1%}"
        cells.append(f"{cell}{MARK if name in beyond else ' '}")
    return cells


def _run_length(notes: float) -> str:
    from singcli.novelty.hashing import PASSAGE_NOTES

    return f"{notes:.1f}".removesuffix(".0") if notes >= PASSAGE_NOTES else f"<{PASSAGE_NOTES}"


def _nearest_name(report: NoveltyReport) -> str:
    return "none" if report.nearest is None else report.nearest.song


def _place(run: SharedRun | None) -> str:
    if run is None:
        return "no run"
    here = _bars(run.start_bar, run.end_bar)
    there = _bars(run.song_start_bar, run.song_end_bar)
    others = {1: "", 2: ", and in another song"}.get(run.songs, f", and in {run.songs - 1} others")
    return f"{run.notes} notes, {here}, as in {run.song} {there}{others}"


def _bars(start_bar: int, end_bar: int) -> str:
    from singcli.cli.tables import bar_numbers

    numbers = bar_numbers(start_bar, end_bar - start_bar)
    return f"bars {numbers}" if "-" in numbers else f"bar {numbers}"


def _json(name: str, report: NoveltyReport, yardstick: Yardstick) -> dict[str, Any]:
    """Return the result as one object; bars count from 0, ends are exclusive."""
    return {
        "file": name,
        **report.to_dict(),
        "figures": report.figures(),
        "beyond": yardstick.songs.beyond(report.figures()),
        "held_out": _reference_json(yardstick.songs),
        "excerpts": _reference_json(yardstick.excerpts),
    }


def _reference_json(reference: Reference) -> dict[str, Any]:
    return {
        "pieces": reference.pieces,
        "median": dict(reference.median),
        "percentile_95": dict(reference.high),
    }
