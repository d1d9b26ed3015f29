"""How the structure of a finished song is shown: a table of its sections, and one line for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from singcli.metrics.report import SectionReport, StructureReport
    from singcli.structure.quality import TemplateQuality

NOTHING = "-"


def section_table(report: StructureReport, *, similarity: bool) -> list[str]:
    """Return a line for the head and one for each section, in columns.

    Parameters
    ----------
    similarity : bool
        Whether wanted and measured are the similarity of a template and not the overlap of notes.
    """
    lengths = {section.start_bar: section.n_bars for section in report.sections}
    wanted = "similarity wanted" if similarity else "overlap wanted"
    rows = [["section", "bars", "source", wanted, "measured", "boundary"]]
    rows += [_cells(section, lengths) for section in report.sections]
    return aligned(rows, right=(3, 4))


def _cells(section: SectionReport, lengths: dict[int, int]) -> list[str]:
    source = section.source_bar
    return [
        section.label,
        bar_numbers(section.start_bar, section.n_bars),
        NOTHING if source is None else bar_numbers(source, lengths[source]),
        _figure(section.wanted),
        _figure(section.measured),
        {None: NOTHING, True: "found", False: "missed"}[section.boundary_found],
    ]


def summary(report: StructureReport, *, similarity: bool) -> str:
    """Return the figures of a song in one line; parameters as in `section_table`."""
    if similarity:
        meaning = "r of the beats"
    else:
        meaning = "labels found again" if report.r_bars is None else "r of the bars"
    parts = [
        f"structure {report.score:.2f} ({meaning})",
        f"{report.n_bars} of {report.n_bars_wanted} bars",
    ]
    if report.same_label is not None:
        parts.append(f"same-label overlap {report.same_label:.2f}")
    if report.different_label is not None:
        parts.append(f"different-label {report.different_label:.2f}")
    return ", ".join(parts)


def quality_line(quality: TemplateQuality) -> str:
    """Return how good a template is, in one line."""
    unlike = max(quality.value_percentile, quality.lag_percentile)
    new = ", ".join(bar_numbers(first, stop - first) for first, stop in quality.bars_without_source)
    return (
        f"{quality.repeating:.0%} of the beats repeat, contrast {quality.contrast:.2f}, "
        f"more unusual than {unlike:.0f}% of the training songs; bars without a source: "
        f"{new or 'none'}"
    )


def bar_numbers(start_bar: int, n_bars: int) -> str:
    """Return bars as musicians count them: from 1, the last one included."""
    stop = start_bar + n_bars
    return f"{stop}" if n_bars == 1 else f"{start_bar + 1}-{stop}"


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return rows of cells as lines with columns of equal width; those in `right` end together."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
