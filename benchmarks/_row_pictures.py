"""Pictures of a template and of what every entrant makes of it: matrices above, rolls below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from singcli.metrics.row_structure import row_correlation
from singcli.plotting import SSM_COLOURS, new_figure, write_figure
from singcli.protocol.entrants import REAL
from singcli.protocol.tasks import WANTED
from singcli.protocol.workshop import Output, Unit, Workshop
from singcli.structure.row_ssm import Roll, row_ssm

COLUMN_INCHES, FIGURE_INCHES = 2.6, 4.6
PITCHES = (21, 109)  # of a piano, the end excluded


def draw_template(path: Path, workshop: Workshop, segment: int, names: Sequence[str]) -> None:
    """Draw what entrants make of the matrix of a test segment, the real piece first.

    Parameters
    ----------
    path : Path
        The .png to write.
    workshop : Workshop
    segment : int
        Its number among the test segments.
    names : sequence of str
        Entrants; the first sample of each is drawn.
    """
    output = Output(segment, 0)
    rolls = {
        name: workshop.generate(Unit(workshop.settings, name, WANTED, (output,)))[0][0]
        for name in (REAL, *names)
    }
    wanted = row_ssm(rolls[REAL])
    figure = new_figure(COLUMN_INCHES * len(rolls), FIGURE_INCHES)
    figure.suptitle(workshop.segments[segment].id, fontsize=8)
    axes: Any = figure.subplots(2, len(rolls), height_ratios=(2, 1), squeeze=False)
    for column, (name, roll) in enumerate(rolls.items()):
        made = row_ssm(roll)
        top, bottom = axes[0, column], axes[1, column]
        top.imshow(made, cmap=SSM_COLOURS, vmin=0.0, vmax=1.0, interpolation="auto")
        top.set_title(f"{name}\nr {row_correlation(wanted, made):.2f}", fontsize=8)
        _draw_roll(bottom, roll)
        if column:
            bottom.set_yticklabels([])
        top.set_xticks([])
        top.set_yticks([])
    axes[1, 0].set_ylabel("MIDI pitch", fontsize=8)
    axes[1, 0].set_xlabel("row", fontsize=8)
    write_figure(figure, path)


def _draw_roll(axes: Any, roll: Roll) -> None:
    low, high = PITCHES
    axes.imshow(
        ~roll[:, low:high].T,
        cmap="gray",
        aspect="auto",
        origin="lower",
        interpolation="auto",
        extent=(0, len(roll), low, high),
    )
    axes.tick_params(labelsize=6)


def spread_segments(workshop: Workshop, count: int) -> list[int]:
    """Return the numbers of some test segments of different pieces, evenly spread."""
    first_of_piece = [
        index for index, segment in enumerate(workshop.segments) if segment.id.endswith("#1")
    ]
    places = np.linspace(0, len(first_of_piece) - 1, min(count, len(first_of_piece)))
    return [first_of_piece[place] for place in places.round().astype(int)]
