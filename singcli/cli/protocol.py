"""`singcli evaluate --protocol sing`: what it runs and how it shows the result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from singcli.cli.tables import NOTHING, aligned

if TYPE_CHECKING:
    from singcli.cli.console import Console
    from singcli.protocol.bootstrap import Interval
    from singcli.protocol.report import ControlRow, EntrantRow, PairRow, ProtocolReport, Spread
    from singcli.protocol.workshop import ModelFile, Settings

VARIANT_LABELS = {
    "paper": "MSE",
    "no_seed": "no seed",
    "no_diagonal": "no diagonal",
    "no_rests": "no rests",
    "strict": "none of them",
}
CONTINUITY_LABELS = {
    "nats": "nats a row",
    "held": "notes held",
    "lengths": "note length",
    "intervals": "top interval",
}


def evaluate_sing(
    console: Console, settings: Settings, *, results: Path | None, jobs: int, json_output: bool
) -> None:
    """Run the benchmark and print its tables, or a JSON object for every row of them."""
    from singcli.protocol.report import ProtocolReport
    from singcli.protocol.run import model_names, run_protocol

    with console.progress("benchmark") as progress:
        lines = run_protocol(settings, results=results, jobs=jobs, on_progress=progress)
    report = ProtocolReport.from_lines(lines, model_names(settings))
    if json_output:
        for row in report.to_json():
            console.result_json(row)
    else:
        for text in table_lines(report):
            console.result(text)
    real = report.rows[-1]
    console.status(
        f"{real.n_segments} test segments, {settings.samples} samples each; means with 95 % "
        "intervals over pieces, ± the standard deviation of single outputs"
    )


def model_file(text: str) -> ModelFile:
    """Return what `--model` names: NAME=FILE, or a file that is called by its stem."""
    from singcli.protocol.workshop import ModelFile

    name, equals, path = text.partition("=")
    return ModelFile(name, Path(path)) if equals else ModelFile(Path(text).stem, Path(text))


def table_lines(report: ProtocolReport) -> Iterator[str]:
    """Yield the tables, an empty line between two."""
    head = ["structure", "r", *VARIANT_LABELS.values(), "rows/s"]
    yield from _table(head, [_structure_cells(row) for row in report.rows])
    yield ""
    head = ["guards", "distinct pitches", "unique rows", "notes a row", "empty rows"]
    yield from _table(head, [_guard_cells(row) for row in report.rows])
    yield ""
    head = ["continuity"]
    for name, label in CONTINUITY_LABELS.items():
        head += [label, "to real"] if name in ("nats", "held") else [f"{label}, to real"]
    yield from _table(head, [_continuity_cells(row) for row in report.rows])
    if report.controls:
        yield ""
        ways = list(report.controls[0].r)
        head = ["r with the wanted matrix", *ways, *(f"more than {way}" for way in ways[1:])]
        yield from _table(head, [_control_cells(row) for row in report.controls])
    if report.pairs:
        yield ""
        labels = [f"{label}, of its distance" for label in CONTINUITY_LABELS.values()]
        head = ["model", "beside", "MSE, difference", *labels]
        yield from _table(head, [_pair_cells(row) for row in report.pairs], n_names=2)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, n_names: int = 1) -> list[str]:
    return aligned([head, *rows], right=range(n_names, len(head)))


def _structure_cells(row: EntrantRow) -> list[str]:
    paper, *others = (row.mse[name] for name in VARIANT_LABELS)
    speed = row.rows_per_second
    return [
        row.name,
        _number(1.0 - paper.mean.value / 2.0),
        f"{_with_ends(paper.mean)} ±{_number(paper.deviation)}",
        *(_number(other.mean.value) for other in others),
        NOTHING if math.isnan(speed) else f"{speed:,.0f}",
    ]


def _guard_cells(row: EntrantRow) -> list[str]:
    formats = {"distinct_pitches": ".1f", "notes_per_row": ".2f"}
    return [
        row.name,
        *(_spread(spread, formats.get(name, ".1%")) for name, spread in row.guards.items()),
    ]


def _continuity_cells(row: EntrantRow) -> list[str]:
    cells = [row.name]
    for name in CONTINUITY_LABELS:
        if name in row.continuity:
            cells.append(_number(row.continuity[name].value))
        cells.append(_with_ends(row.distance[name]))
    return cells


def _control_cells(row: ControlRow) -> list[str]:
    return [
        row.name,
        *(_number(figure.value) for figure in row.r.values()),
        *(_with_ends(figure) for figure in row.gain.values()),
    ]


def _pair_cells(row: PairRow) -> list[str]:
    return [
        row.model,
        row.baseline,
        _with_ends(row.mse),
        *(_with_ends(figure) for figure in row.distance.values()),
    ]


def _spread(spread: Spread, form: str) -> str:
    if math.isnan(spread.mean.value):
        return NOTHING
    return f"{spread.mean.value:{form}} ±{spread.deviation:{form}}"


def _with_ends(figure: Interval) -> str:
    if math.isnan(figure.value):
        return NOTHING
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.3f}"
