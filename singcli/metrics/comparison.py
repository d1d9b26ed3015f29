"""Finished music beside real held-out music and noise, figure by figure.

Conventions
-----------
- The reference is real music. Its own row is held-out: each of its pieces is measured against the
  band of all others, and its overlapping area is that of some of its pieces with the rest.
- A piece weighs 1, however many excerpts it has: medians are over the means of pieces, shares over
  the shares of the excerpts of pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from singcli.metrics.figures import FIGURES, Figures, figure_table, measure_figures
from singcli.metrics.histograms import HISTOGRAMS, Histograms, overlapping_area
from singcli.metrics.yardstick import Table, bands, held_out_inside, inside, piece_means
from singcli.music.score import Score

N_DRAWS = 20  # of real pieces set apart, for the overlapping area of real music with itself


@dataclass(frozen=True, slots=True)
class MeasuredPiece:
    """The excerpts of one piece, one at least: their figures, and their histograms together."""

    name: str
    excerpts: tuple[Figures, ...]
    histograms: Histograms

    @classmethod
    def from_excerpts(cls, name: str, scores: Sequence[Score]) -> Self:
        """Measure all excerpts of a piece."""
        return cls(
            name,
            tuple(measure_figures(score) for score in scores),
            Histograms.sum(Histograms.from_score(score) for score in scores),
        )


@dataclass(frozen=True, slots=True)
class SetFigure:
    """One figure of a set of pieces.

    Parameters
    ----------
    median : float, optional
        None where no piece has the figure.
    inside : float in [0, 1], optional
        Share of the pieces within the band of real music; None without a band.
    """

    median: float | None
    inside: float | None


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of evaluated, real and random music, and the middle 80 % of the real."""

    name: str
    band: tuple[float, float] | None
    evaluated: SetFigure
    real: SetFigure
    noise: SetFigure


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """Overlapping area of one histogram with that of real music, each in [0, 1] or None."""

    name: str
    evaluated: float | None
    real: float | None
    noise: float | None


def figure_rows(
    evaluated: Sequence[MeasuredPiece],
    real: Sequence[MeasuredPiece],
    noise: Sequence[MeasuredPiece],
) -> list[FigureRow]:
    """Compare all figures with the band of the real pieces, in the order of `FIGURES`."""
    band = bands(excerpt_table(real))
    held_out = held_out_inside(excerpt_table(real), _numbers(real))
    if held_out is None:
        held_out = np.full((1, len(FIGURES)), np.nan)
    columns = [
        (_medians(evaluated), shares_inside(evaluated, band).mean(axis=0)),
        (_medians(real), held_out.mean(axis=0)),
        (_medians(noise), shares_inside(noise, band).mean(axis=0)),
    ]
    rows = []
    for index, name in enumerate(FIGURES):
        low, high = (_known(limit) for limit in band[:, index])
        has_band = low is not None and high is not None
        sets = [
            SetFigure(_known(medians[index]), _known(shares[index]) if has_band else None)
            for medians, shares in columns
        ]
        limits = (low, high) if low is not None and high is not None else None
        rows.append(FigureRow(name, limits, *sets))
    return rows


def overlap_rows(
    evaluated: Sequence[MeasuredPiece],
    real: Sequence[MeasuredPiece],
    noise: Sequence[MeasuredPiece],
    rng: np.random.Generator,
) -> list[OverlapRow]:
    """Compare all histograms with those of the real pieces, in the order of `HISTOGRAMS`.

    For the real row as many pieces as are evaluated, but at most half of the real ones, are drawn
    and compared with the rest, `N_DRAWS` times; the mean is given.
    """
    sums = [Histograms.sum(p.histograms for p in pieces) for pieces in (evaluated, real, noise)]
    count = min(len(evaluated), len(real) // 2)
    parts = [_drawn_apart(real, count, rng) for _ in range(N_DRAWS)] if count else []
    rows = []
    for name in HISTOGRAMS:
        mine, whole, random = (getattr(total, name) for total in sums)
        of_parts = [overlapping_area(getattr(b, name), getattr(a, name)) for a, b in parts]
        known = [area for area in of_parts if area is not None]
        rows.append(
            OverlapRow(
                name,
                evaluated=overlapping_area(whole, mine),
                real=float(np.mean(known)) if known else None,
                noise=overlapping_area(whole, random),
            )
        )
    return rows


def shares_inside(pieces: Sequence[MeasuredPiece], band: Table) -> Table:
    """Return which share of each piece's excerpts lies in the band, shape=(n_pieces, n_figures)."""
    return piece_means(inside(excerpt_table(pieces), band).astype(np.float64), _numbers(pieces))


def excerpt_table(pieces: Sequence[MeasuredPiece]) -> Table:
    """Return the figures of all excerpts, shape=(n_excerpts, n_figures)."""
    return figure_table(figures for piece in pieces for figures in piece.excerpts)


def means_of_pieces(pieces: Sequence[MeasuredPiece]) -> Table:
    """Return the figures of each piece, averaged over its excerpts, shape=(n_pieces, n_figures)."""
    return piece_means(excerpt_table(pieces), _numbers(pieces))


def _numbers(pieces: Sequence[MeasuredPiece]) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(pieces)), [len(piece.excerpts) for piece in pieces])


def _medians(pieces: Sequence[MeasuredPiece]) -> npt.NDArray[np.float64]:
    columns = means_of_pieces(pieces).T
    known = [column[~np.isnan(column)] for column in columns]
    return np.array([np.median(values) if len(values) else np.nan for values in known])


def _drawn_apart(
    pieces: Sequence[MeasuredPiece], count: int, rng: np.random.Generator
) -> tuple[Histograms, Histograms]:
    order = rng.permutation(len(pieces))
    drawn, rest = (
        Histograms.sum(pieces[i].histograms for i in part)
        for part in (order[:count], order[count:])
    )
    return drawn, rest


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
