"""A picture of an evaluation: every figure and every histogram of three kinds of music."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from singcli.metrics.comparison import FigureRow, MeasuredPiece, OverlapRow, means_of_pieces
from singcli.metrics.figures import FIGURE_LABELS, FIGURES
from singcli.metrics.histograms import (
    HISTOGRAM_LABELS,
    MAX_DURATION_STEPS,
    MAX_INTERVAL,
    MAX_ONSETS,
    Histograms,
)
from singcli.metrics.yardstick import Table
from singcli.music.score import STEPS_PER_BEAT
from singcli.plotting import new_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("evaluated", "real", "noise")
COLOURS = {"evaluated": "#b3122e", "real": "#35507a", "noise": "#8c8c8c"}
COLUMNS = 5
WIDTH, ROW_HEIGHT = 16.0, 2.5  # inches
HEADROOM = 1.45  # above a histogram, for its legend
MARGIN = 0.35  # of the spread of evaluated and real music, beside them
PITCH_CLASS_NAMES = ("1", "", "2", "", "3", "4", "", "5", "", "6", "", "7")
# First value of the first class, and how many classes are a unit, of each histogram.
CLASSES = {
    "pitch_class": (0, 1),
    "duration": (1, STEPS_PER_BEAT),
    "lead_duration": (1, STEPS_PER_BEAT),
    "interval": (-MAX_INTERVAL, 1),
    "lead_interval": (-MAX_INTERVAL, 1),
    "density": (0, 1),
}
UNITS = {
    "pitch_class": "degree of the major scale",
    "duration": f"beats ({MAX_DURATION_STEPS // STEPS_PER_BEAT} or more)",
    "lead_duration": f"beats ({MAX_DURATION_STEPS // STEPS_PER_BEAT} or more)",
    "interval": f"semitones (±{MAX_INTERVAL} or more)",
    "lead_interval": f"semitones (±{MAX_INTERVAL} or more)",
    "density": f"notes in a beat ({MAX_ONSETS} or more)",
}


def write_evaluation_png(
    path: Path,
    evaluated: Sequence[MeasuredPiece],
    real: Sequence[MeasuredPiece],
    noise: Sequence[MeasuredPiece],
    figures: Sequence[FigureRow],
    overlaps: Sequence[OverlapRow],
) -> None:
    """Draw how the figures of the pieces lie, and their histograms with the overlapping area.

    Parameters
    ----------
    path : Path
        Ends in .png; written whole or not at all.
    evaluated, real, noise : sequence of MeasuredPiece
    figures : sequence of FigureRow
        The shaded bands, and the shares inside them.
    overlaps : sequence of OverlapRow
    """
    sets = dict(zip(KINDS, (evaluated, real, noise), strict=True))
    n_panels = len(figures) + len(overlaps)
    n_rows = -(-n_panels // COLUMNS)
    figure = new_figure(WIDTH, ROW_HEIGHT * n_rows)
    panels = figure.subplots(n_rows, COLUMNS).ravel()
    tables = {kind: means_of_pieces(pieces) for kind, pieces in sets.items()}
    for axes, row in zip(panels, figures, strict=False):
        _draw_figure(axes, tables, row)
    sums = {kind: Histograms.sum(p.histograms for p in pieces) for kind, pieces in sets.items()}
    for axes, overlap in zip(panels[len(figures) :], overlaps, strict=False):
        _draw_histogram(axes, sums, overlap)
    for axes in panels[n_panels:]:
        axes.set_axis_off()
    counts = ", ".join(f"{len(pieces)} {kind}" for kind, pieces in sets.items())
    figure.suptitle(
        f"{counts}. Dots: pieces, at the edge if beyond; line or arrow: median; band: middle 80 % "
        "of real excerpts; percent: share inside it. Histograms: overlapping area with real.",
        fontsize="medium",
    )
    write_figure(figure, path)


def _draw_figure(axes: Axes, tables: dict[str, Table], row: FigureRow) -> None:
    """Draw a row of dots for each kind of music, over the band."""
    index = FIGURES.index(row.name)
    columns = {kind: table[:, index] for kind, table in tables.items()}
    known = {kind: column[~np.isnan(column)] for kind, column in columns.items()}
    low, high = _limits(row, np.concatenate([known["evaluated"], known["real"]]))
    if row.band is not None:
        axes.axvspan(*row.band, color=COLOURS["real"], alpha=0.15, linewidth=0)
    rng = np.random.default_rng(0)  # spreads the dots
    labels = []
    for place, kind in enumerate(KINDS):
        values = np.clip(known[kind], low, high)
        height = place + rng.uniform(-0.25, 0.25, len(values))
        axes.scatter(values, height, s=9, alpha=0.5, color=COLOURS[kind], linewidths=0)
        figure = getattr(row, kind)
        if figure.median is not None and low <= figure.median <= high:
            axes.plot([figure.median] * 2, [place - 0.4, place + 0.4], color=COLOURS[kind], lw=2)
        elif figure.median is not None:
            _point_beyond(axes, figure.median, place, right=figure.median > high)
        share = "-" if figure.inside is None else f"{figure.inside:.0%}"
        labels.append(f"{kind} {share}")
    axes.set_xlim(low, high)
    axes.set_ylim(len(KINDS) - 0.4, -0.6)
    axes.set_yticks(range(len(KINDS)), labels, fontsize="small")
    axes.tick_params(axis="x", labelsize="small")
    axes.set_title(FIGURE_LABELS[row.name], fontsize="medium")


def _point_beyond(axes: Axes, median: float, place: int, *, right: bool) -> None:
    """Write the median of what lies beyond the edge beside an arrow."""
    text = f"{median:.3g} \N{RIGHTWARDS ARROW}" if right else f"\N{LEFTWARDS ARROW} {median:.3g}"
    axes.annotate(
        text,
        (0.96 if right else 0.04, place),
        xycoords=("axes fraction", "data"),
        ha="right" if right else "left",
        va="center",
        fontsize="small",
    )


def _limits(row: FigureRow, values: Any) -> tuple[float, float]:
    """Return how far the axis reaches: around evaluated and real music, not around all noise."""
    band = [] if row.band is None else list(row.band)
    shown = np.concatenate([values, band])
    if len(shown) == 0:
        return 0.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    margin = MARGIN * (high - low) or 0.1
    return max(low - margin, -0.02 * (high + margin)), high + margin


def _draw_histogram(axes: Axes, sums: dict[str, Histograms], row: OverlapRow) -> None:
    """Draw the shares of the classes: real music as an area, the others as lines."""
    first, per_unit = CLASSES[row.name]
    tallest = 0.0
    for kind in ("real", "noise", "evaluated"):
        counts = getattr(sums[kind], row.name)
        shares = counts / max(counts.sum(), 1)
        edges = (np.arange(len(counts) + 1) + first - 0.5) / per_unit
        tallest = max(tallest, float(shares.max()))
        area = getattr(row, kind)
        axes.stairs(
            shares,
            edges,
            fill=kind == "real",
            color=COLOURS[kind],
            alpha=0.45 if kind == "real" else 1.0,
            linewidth=1.4 if kind == "evaluated" else 0.9,
            label=f"{kind} {'-' if area is None else f'{area:.2f}'}",
        )
    if row.name == "pitch_class":
        axes.set_xticks(range(12), PITCH_CLASS_NAMES)
    axes.set_yticks([])
    axes.set_ylim(0, HEADROOM * (tallest or 1.0))
    axes.tick_params(axis="x", labelsize="small")
    axes.set_xlabel(UNITS[row.name], fontsize="small")
    axes.set_title(HISTOGRAM_LABELS[row.name], fontsize="medium")
    axes.legend(fontsize="x-small", frameon=False, loc="upper right")
