from __future__ import annotations

from pathlib import Path

import numpy as np

from singcli.evaluation_picture import CLASSES, UNITS, write_evaluation_png
from singcli.metrics.comparison import MeasuredPiece, figure_rows, overlap_rows
from singcli.metrics.figures import FIGURE_LABELS, FIGURES
from singcli.metrics.histograms import HISTOGRAM_LABELS, HISTOGRAMS
from singcli.music.score import ACCOMPANIMENT, Score, regular_bars


def without_lead(pitch: int) -> MeasuredPiece:
    """One chord a bar, and no tune: its intervals and the lead's durations are not defined."""
    score = Score.from_notes(
        [0, 16],
        [ACCOMPANIMENT] * 2,
        [pitch] * 2,
        [16] * 2,
        [80] * 2,
        bar_beats=regular_bars(2, 4),
        tempo_bpm=100.0,
    )
    return MeasuredPiece.from_excerpts(f"{pitch}", [score])


def test_draws_what_is_not_defined_as_empty_panels(tmp_path: Path) -> None:
    mine, real, noise = ([without_lead(pitch)] for pitch in (48, 50, 52))
    rows = figure_rows(mine, real, noise)
    overlaps = overlap_rows(mine, real, noise, np.random.default_rng(0))
    assert rows[FIGURES.index("lead_interval")].band is None
    assert overlaps[HISTOGRAMS.index("lead_duration")].evaluated is None
    write_evaluation_png(tmp_path / "a.png", mine, real, noise, rows, overlaps)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_everything_has_a_label() -> None:
    assert tuple(FIGURE_LABELS) == FIGURES
    assert tuple(HISTOGRAM_LABELS) == tuple(CLASSES) == tuple(UNITS) == HISTOGRAMS
