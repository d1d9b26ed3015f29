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
from singcli.records import fields_of
from singcli.structure.bar_features import bar_ssm
from singcli.structure.dial import overlap_map
from singcli.structure.form import Form, ssm_from_form, wanted_bar_map
from singcli.structure.section import Span
from singcli.structure.segmentation import sections_from_score, sections_from_ssm
from singcli.structure.ssm import ssm_from_score

BarMap = npt.NDArray[np.float32] | npt.NDArray[np.float64]

WINDOW_BARS = 1  # a boundary counts as found that far away


@dataclass(frozen=True, slots=True)
class SectionReport:
    """A section beside the first section of its label, its source.

    Parameters
    ----------
    label : str
    start_bar, n_bars : int
        Bars count from 0.
    source_bar : int, optional
        First bar of the source; None for the first section of its label.
    wanted, measured : float in [0, 1], optional
        Mean over the bars at the same place of both. With a form the overlap of the notes:
        `wanted` from `overlap_map`, `measured` from `bar_overlap_map`. With a template, which asks
        for no overlap, the similarity in the wanted and in the measured matrix. None where there
        is nothing to compare.
    boundary_found : bool, optional
        Whether `sections_from_score` finds a boundary in the music within `WINDOW_BARS` bars of the
        section's start; None for a section that begins the piece.
    """

    label: str
    start_bar: int
    n_bars: int
    source_bar: int | None
    wanted: float | None
    measured: float | None
    boundary_found: bool | None


@dataclass(frozen=True, slots=True)
class StructureReport:
    """What was asked for and what is there.

    Parameters
    ----------
    n_bars_wanted, n_bars : int
        Lengths of the plan and of the music.
    score : float in [-1, 1]
        The figure of the contract: `r_bars` of a form that repeats something, `label_f` of one
        that does not, `r_beats` of a template.
    r_bars : float in [-1, 1], optional
        `structure_correlation` of the wanted bar map and the music's `bar_overlap_map`; None for
        a template, which has no bar map, and for a form that wants no bar to be like another.
    r_beats : float in [-1, 1]
        `structure_correlation` of the wanted and the music's self-similarity matrix.
    same_label, different_label : float in [0, 1], optional
        `same_label_overlap` and `different_label_overlap`; None without such bars.
    boundary_f, label_f : float in [0, 1]
        F-measures of `boundary_scores` (within `WINDOW_BARS`) and `label_scores` of the sections
        that `sections_from_score` finds in the music alone.
    sections : tuple of SectionReport

    Notes
    -----
    Bars that the form transposes are compared with the transposition undone
    (`without_transpositions`): in overlaps, `r_bars` and `r_beats`. Boundaries and labels are those
    of the music as it sounds.
    """

    n_bars_wanted: int
    n_bars: int
    score: float
    r_bars: float | None
    r_beats: float
    same_label: float | None
    different_label: float | None
    boundary_f: float
    label_f: float
    sections: tuple[SectionReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return fields_of(self) | {"sections": [fields_of(section) for section in self.sections]}

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
            _validate_fields(SectionReport, row, f"structure.sections[{index}]")
            sections.append(SectionReport(**row))
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
    score: Score, form: Form, *, strictness: float = 1.0, wanted_ssm: Matrix | None = None
) -> StructureReport:
    """Compare a finished score with the form that it was made from.

    Parameters
    ----------
    score : Score
        May be shorter or longer than the form: what both have is compared.
    form : Form
    strictness : float in [0, 1]
        Of the song: says how much overlap was wanted of a repeat (`overlap_map`); 1 asks for all
        that the form allows.
    wanted_ssm : np.ndarray, shape=(n_beats, n_beats), optional
        The matrix that steered the generation; that of the form unless given.
    """
    plain = without_transpositions(score, form)
    ssm = ssm_from_score(plain)
    wanted_map, bar_map = wanted_bar_map(form), bar_overlap_map(plain)
    report = _measure(
        sections_from_score(score),
        form,
        form.section_bars,
        bar_map=bar_map,
        r_beats=_common_correlation(ssm_from_form(form) if wanted_ssm is None else wanted_ssm, ssm),
        compared=(overlap_map(form, strictness, wanted=wanted_map), bar_map),
    )
    if np.count_nonzero(wanted_map) == np.count_nonzero(np.diagonal(wanted_map)):  # no pair
        return dataclasses.replace(report, score=report.label_f)
    r_bars = _common_correlation(wanted_map, bar_map)
    return dataclasses.replace(report, score=r_bars, r_bars=r_bars)


def measure_template_structure(
    score: Score,
    wanted_ssm: Matrix,
    *,
    bar_beats: npt.NDArray[np.int32],
    sections: Sequence[Span] = (),
) -> StructureReport:
    """Compare a finished score with the self-similarity matrix of a template.

    Parameters
    ----------
    score : Score
    wanted_ssm : np.ndarray, shape=(n_beats, n_beats)
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        The template's bars, in beats; see `Score`.
    sections : sequence of Span
        The template's; those that `sections_from_ssm` finds in its matrix unless given.
    """
    spans = sections or sections_from_ssm(wanted_ssm, bar_beats)
    ssm = ssm_from_score(score)
    return _measure(
        sections_from_score(score),
        SpanBars.from_spans(spans, len(bar_beats) - 1),
        spans,
        bar_map=bar_overlap_map(score),
        r_beats=_common_correlation(wanted_ssm, ssm),
        compared=(bar_ssm(wanted_ssm, bar_beats), bar_ssm(ssm, score.bar_beats)),
    )


def without_transpositions(score: Score, form: Form) -> Score:
    """Return the score with the transpositions of its form's sections undone.

    A transposed repeat of a section has the section's own notes then. Notes at the ends of the
    piano, which have changed their octave on the way, may stay an octave off.
    """
    shift = form.bar_transpositions
    if not shift.any():
        return score
    shift = np.pad(shift, (0, max(score.n_bars - len(shift), 0)))[: score.n_bars]
    return score.transposed_bars(-shift)


def _measure(
    found: Sequence[Span],
    bars: LabelledBars,
    spans: Sequence[Span],
    *,
    bar_map: Matrix,
    r_beats: float,
    compared: tuple[BarMap, BarMap],
) -> StructureReport:
    """Measure what reports on a form and on a template have in common; the score is `r_beats`.

    `found` are the sections of the music, `compared` the wanted and the measured map of which the
    figures of the wanted sections are means.
    """
    n_bars = len(bar_map)
    n_common = min(n_bars, len(bars.bar_labels))
    return StructureReport(
        n_bars_wanted=len(bars.bar_labels),
        n_bars=n_bars,
        score=r_beats,
        r_bars=None,
        r_beats=r_beats,
        same_label=same_label_overlap(bar_map, bars),
        different_label=different_label_overlap(bar_map, bars),
        boundary_f=boundary_scores(
            _boundaries(spans), _boundaries(found), window_bars=WINDOW_BARS
        ).f_measure,
        label_f=label_scores(
            bars.bar_labels[:n_common],
            SpanBars.from_spans(found, n_bars).bar_labels[:n_common],
        ).f_measure,
        sections=_section_reports(spans, *compared, boundaries=_boundaries(found)),
    )


def _boundaries(spans: Sequence[Span]) -> list[int]:
    return [span.start_bar for span in spans if span.start_bar > 0]


def _common_correlation(wanted: Matrix, measured: Matrix) -> float:
    n = min(len(wanted), len(measured))
    return structure_correlation(wanted[:n, :n], measured[:n, :n])


def _section_reports(
    spans: Sequence[Span], wanted: BarMap, measured: BarMap, *, boundaries: Sequence[int]
) -> tuple[SectionReport, ...]:
    sources: dict[str, Span] = {}
    rows = []
    for span in spans:
        source = sources.setdefault(span.label, span)
        repeated = source is not span
        found = any(abs(bar - span.start_bar) <= WINDOW_BARS for bar in boundaries)
        rows.append(
            SectionReport(
                *span,
                source_bar=source.start_bar if repeated else None,
                wanted=_mean_over_bars(wanted, span, source) if repeated else None,
                measured=_mean_over_bars(measured, span, source) if repeated else None,
                boundary_found=found if span.start_bar > 0 else None,
            )
        )
    return tuple(rows)


def _mean_over_bars(bar_map: BarMap, span: Span, source: Span) -> float | None:
    """Average a map over the bars at the same place of two sections, as far as it reaches."""
    n_bars = min(span.n_bars, source.n_bars, max(len(bar_map) - span.start_bar, 0))
    bar = np.arange(n_bars)
    pairs = bar_map[span.start_bar + bar, source.start_bar + bar]
    return float(np.add.reduce(pairs, dtype=np.float64) / n_bars) if n_bars else None


def _validate_fields(record: type[Any], values: Mapping[str, Any], where: str) -> None:
    known = {field.name for field in dataclasses.fields(record)}
    for name in sorted(known.symmetric_difference(values)):
        kind = "is missing" if name in known else "is unknown"
        raise InputError(f"{where}.{name} {kind}, allowed: exactly {', '.join(sorted(known))}")
