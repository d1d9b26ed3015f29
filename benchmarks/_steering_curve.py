"""How structure and guards change as the steering of the pointer network on rows grows."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from _machine import markdown_table
from _row_pictures import spread_segments

from singcli.metrics.row_structure import PAPER
from singcli.model.row_pointer import RowPointer
from singcli.model.runtime import Runtime
from singcli.plotting import new_figure, write_figure
from singcli.preparation.pool import outcomes_in_processes
from singcli.protocol.entrants import REAL
from singcli.protocol.measure import Line, all_figures
from singcli.protocol.report import EntrantRow, Results
from singcli.protocol.tasks import WANTED, task
from singcli.protocol.workshop import Settings, Workshop
from singcli.structure.row_ssm import row_ssm

STRENGTHS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 1.0)
CANDIDATES = 64
N_SEGMENTS = 48
GUARDS = {
    "distinct_pitches": "distinct pitches",
    "unique_rows": "unique rows",
    "notes_per_row": "notes a row",
    "empty_rows": "empty rows",
}
CONTINUITY = {
    "held": "notes held",
    "lengths": "note length",
    "intervals": "top interval",
}
ALLOWED = 0.25  # by which guards may differ from real music
FIGURE_INCHES = (5.5, 3.5)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A strength of a model file, over test segments of a row dataset."""

    rows: Path
    model: Path
    strength: float

    @property
    def name(self) -> str:
        """What it is called among the lines."""
        return f"{self.strength:g}"


@functools.lru_cache(maxsize=1)
def _workshop(rows: Path) -> Workshop:
    return Workshop(Settings(rows))


def lines_of_point(point: Point) -> list[Line]:
    """Write and measure a sample of each segment."""
    workshop = _workshop(point.rows)
    indices = spread_segments(workshop, N_SEGMENTS)
    pointer = RowPointer(Runtime.open(point.model), CANDIDATES, steering=point.strength)
    tasks = [task(workshop.segments, index, WANTED, seed=index) for index in indices]
    rolls = pointer.generate(tasks, indices)
    return [
        _line(point.name, workshop.segments[index].id, row_ssm(workshop.segments[index].roll), roll)
        for index, roll in zip(indices, rolls, strict=True)
    ]


def _line(entrant: str, segment: str, wanted: Any, roll: Any) -> Line:
    return Line(
        run="curve",
        entrant=entrant,
        way=WANTED,
        segment=segment,
        sample=0,
        n_rows=len(roll),
        seconds=0.0,
        **all_figures(wanted, roll),
    )


def steering_curve(rows: Path, model: Path, picture: Path, *, jobs: int) -> str:
    """Write and measure everything, draw it, and return the table."""
    workshop = _workshop(rows)
    real = [workshop.segments[index] for index in spread_segments(workshop, N_SEGMENTS)]
    lines = [_line(REAL, one.id, row_ssm(one.roll), one.roll) for one in real]
    points = [Point(rows, model, strength) for strength in STRENGTHS]
    for point, made in outcomes_in_processes(lines_of_point, points, jobs=jobs):
        if made is None:
            raise SystemExit(f"a process died over strength {point.name}")
        lines += made
    results = Results(lines)
    found = [results.entrant(point.name) for point in points]
    ratios = [_guards_over_real(row, results.entrant(REAL)) for row in found]
    _draw(picture, [_r(row) for row in found], ratios)
    heads = ["steering", "r", "MSE", *(f"{label} / real" for label in GUARDS.values())]
    heads += [f"{label}, to real" for label in CONTINUITY.values()]
    cells = [
        [
            row.name,
            f"{_r(row):.3f}",
            f"{row.mse[PAPER.name].mean.value:.3f}",
            *(f"{ratio:.2f}" for ratio in of_row.values()),
            *(f"{row.distance[measure].value:.3f}" for measure in CONTINUITY),
        ]
        for row, of_row in zip(found, ratios, strict=True)
    ]
    head = f"{CANDIDATES} candidates, {len(real)} test segments of different pieces, one sample"
    return f"{head}\n\n{markdown_table(heads, cells)}"


def _r(row: EntrantRow) -> float:
    return 1.0 - row.mse[PAPER.name].mean.value / 2.0


def _guards_over_real(row: EntrantRow, real: EntrantRow) -> dict[str, float]:
    return {
        label: row.guards[field].mean.value / real.guards[field].mean.value
        for field, label in GUARDS.items()
    }


def _draw(picture: Path, r: list[float], ratios: list[dict[str, float]]) -> None:
    """Draw r and the guards over real music's against the strength."""
    figure = new_figure(*FIGURE_INCHES)
    axes: Any = figure.subplots()
    axes.axhspan(1.0 - ALLOWED, 1.0 + ALLOWED, color="0.93")
    places = np.arange(len(STRENGTHS))
    axes.plot(places, r, marker="o", color="black", linewidth=2.5, label="r")
    for label in GUARDS.values():
        axes.plot(places, [of_row[label] for of_row in ratios], marker="o", label=label)
    axes.set_xticks(places, [f"{strength:g}" for strength in STRENGTHS])
    axes.set_xlabel("steering")
    axes.set_ylabel("r; guards over those of real pieces")
    axes.set_ylim(0.0, 1.6)
    axes.legend(fontsize=7)
    write_figure(figure, picture)
