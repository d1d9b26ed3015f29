"""The structure of a finished piece beside the structure that was asked for, as one record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.metrics.structure import (
    LabelledBars,
    Matrix,
    bar_overlap_map,
    boundary_scores,
    different_label_overlap,
    label_scores,
    same_label_overlap,
    structure_correlation,
)
from singcli.music.score import Score
from singcli.structure.form import Form, ssm_from_form, wanted_bar_map
from singcli.structure.section import Span
from singcli.structure.segmentation import sections_from_ssm
from singcli.structure.ssm import ssm_from_score


@dataclass(frozen=True, slots=True)
class SectionOverlap:
    """A section beside the first section of its label, its source.

    Parameters
    ----------
    label : str
    start_bar, n_bars : int
        Bars count from 0.
    source_bar : int, optional
        First bar of the source; None for the first section of its label.
    wanted, measured : float in [0, 1], optional
        Mean over the bars at the same place of both; `wanted` from the form (similarity),
        `measured` from the music (`bar_overlap_map`). None where there is nothing to compare.
    """

    label: str
    start_bar: int
    n_bars: int
    source_bar: int | None
    wanted: float | None
    measured: float | None


@dataclass(frozen=True, slots=True)
class StructureReport:
    """What was asked for and what is there.

    Parameters
    ----------
    n_bars_wanted, n_bars : int
        Lengths of the plan and of the music.
    r_bars : float in [-1, 1], optional
        `structure_correlation` of the wanted bar map and the music's `bar_overlap_map`; None for
        a template, which has no bar map.
    r_beats : float in [-1, 1]
        `structure_correlation` of the wanted and the music's self-similarity matrix.
    same_label, different_label : float in [0, 1], optional
        `same_label_overlap` and `different_label_overlap`; None without such bars.
    boundary_f, label_f : float in [0, 1]
        F-measures of `boundary_scores` (within one bar) and `label_scores` of the sections that
        `sections_from_ssm` finds in the music alone.
    sections : tuple of SectionOverlap
    """

    n_bars_wanted: int
    n_bars: int
    r_bars: float | None
    r_beats: float
    same_label: float | None
    different_label: float | None
    boundary_f: float
    label_f: float
    sections: tuple[SectionOverlap, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return dataclasses.asdict(self) | {
            "sections": [dataclasses.asdict(s) for s in self.sections]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a report from what `to_dict` returned.

        Raises
        ------
        InputError
            If a field is missing or unknown.
        """
        _validate_fields(cls, values, "structure")
        sections = []
        for index, row in enumerate(values["sections"]):
            _validate_fields(SectionOverlap, row, f"structure.sections[{index}]")
            sections.append(SectionOverlap(**row))
        return cls(**(dict(values) | {"sections": tuple(sections)}))


@dataclass(frozen=True, slots=True)
class SpanBars:
    """The bars of a row of sections; see `LabelledBars`. Bars in no section resemble nothing."""

    bar_labels: Sequence[str]
    bar_places: npt.NDArray[np.integer[Any]]

    @classmethod
    def from_spans(cls, spans: Sequence[Span], n_bars: int) -> Self:
        """Label `n_bars` bars; a bar outside all sections gets a label of its own."""
        labels = [f"bar {bar}" for bar in range(n_bars)]
        places = np.zeros(n_bars, np.int_)
        for label, start, length in spans:
            stop = min(start + length, n_bars)
            labels[start:stop] = [label] * (stop - start)
            places[start:stop] = np.arange(stop - start)
        return cls(labels, places)


def measure_structure(
    score: Score, form: Form, *, wanted_ssm: Matrix | None = None
) -> StructureReport:
    """Compare a finished score with the form that it was made from.

    Parameters
    ----------
    score : Score
        May be shorter or longer than the form: what both have is compared.
    form : Form
    wanted_ssm : np.ndarray, shape=(n_beats, n_beats), optional
        The matrix that steered the generation; that of the form unless given.
    """
    ssm = ssm_from_form(form) if wanted_ssm is None else wanted_ssm
    return _measure(score, ssm, form, form.section_bars, wanted_bar_map(form))


def measure_template_structure(
    score: Score, wanted_ssm: Matrix, *, bar_beats: npt.NDArray[np.int32]
) -> StructureReport:
    """Compare a finished score with the self-similarity matrix of a template.

    The template's sections are those that `sections_from_ssm` finds in its matrix.

    Parameters
    ----------
    score : Score
    wanted_ssm : np.ndarray, shape=(n_beats, n_beats)
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        The template's bars, in beats; see `Score`.
    """
    spans = sections_from_ssm(wanted_ssm, bar_beats)
    bars = SpanBars.from_spans(spans, len(bar_beats) - 1)
    return _measure(score, wanted_ssm, bars, spans, None)


def _measure(
    score: Score,
    wanted_ssm: Matrix,
    bars: LabelledBars,
    spans: Sequence[Span],
    wanted_map: Matrix | None,
) -> StructureReport:
    bar_map = bar_overlap_map(score)
    ssm = ssm_from_score(score)
    found = sections_from_ssm(ssm, score.bar_beats)
    n_common = min(score.n_bars, len(bars.bar_labels))
    return StructureReport(
        n_bars_wanted=len(bars.bar_labels),
        n_bars=score.n_bars,
        r_bars=None if wanted_map is None else _common_correlation(wanted_map, bar_map),
        r_beats=_common_correlation(wanted_ssm, ssm),
        same_label=same_label_overlap(bar_map, bars),
        different_label=different_label_overlap(bar_map, bars),
        boundary_f=boundary_scores(_boundaries(spans), _boundaries(found)).f_measure,
        label_f=label_scores(
            bars.bar_labels[:n_common],
            SpanBars.from_spans(found, score.n_bars).bar_labels[:n_common],
        ).f_measure,
        sections=_section_overlaps(spans, wanted_map, bar_map),
    )


def _boundaries(spans: Sequence[Span]) -> list[int]:
    return [span.start_bar for span in spans if span.start_bar > 0]


def _common_correlation(wanted: Matrix, measured: Matrix) -> float:
    n = min(len(wanted), len(measured))
    return structure_correlation(wanted[:n, :n], measured[:n, :n])


def _section_overlaps(
    spans: Sequence[Span], wanted_map: Matrix | None, bar_map: Matrix
) -> tuple[SectionOverlap, ...]:
    sources: dict[str, Span] = {}
    rows = []
    for span in spans:
        source = sources.setdefault(span.label, span)
        is_first = source is span
        rows.append(
            SectionOverlap(
                *span,
                source_bar=None if is_first else source.start_bar,
                wanted=None
                if is_first or wanted_map is None
                else _overlap(wanted_map, span, source),
                measured=None if is_first else _overlap(bar_map, span, source),
            )
        )
    return tuple(rows)


def _overlap(bar_map: Matrix, span: Span, source: Span) -> float | None:
    """Average a map over the bars at the same place of two sections, as far as it reaches."""
    n_bars = min(span.n_bars, source.n_bars, max(len(bar_map) - span.start_bar, 0))
    bar = np.arange(n_bars)
    pairs = bar_map[span.start_bar + bar, source.start_bar + bar]
    return float(pairs.mean(dtype=np.float64)) if n_bars else None


def _validate_fields(record: type[Any], values: Mapping[str, Any], where: str) -> None:
    known = {field.name for field in dataclasses.fields(record)}
    for name in sorted(known.symmetric_difference(values)):
        kind = "is missing" if name in known else "is unknown"
        raise InputError(f"{where}.{name} {kind}, allowed: exactly {', '.join(sorted(known))}")
