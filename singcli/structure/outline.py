"""The outline of a piece: its sections with variations, transpositions and phrases.

The sections may be found or given; what is inside them is found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.music.score import Score
from singcli.structure.bar_features import (
    BarFeatures,
    Vector,
    bar_features_from_score,
    bar_features_from_ssm,
    bar_ssm,
)
from singcli.structure.form import Form
from singcli.structure.found_form import (
    FoundPhrase,
    FoundSection,
    form_from_found,
    measured_sections,
)
from singcli.structure.section import Span
from singcli.structure.segmentation import phrases_in_sections, sections_from_features
from singcli.structure.ssm import ssm_from_score
from singcli.structure.ssm_file import Structure

SILENT_TUNE = 0.05  # the lead takes no part in a section if it sounds in less of it


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """What was found in a piece.

    Parameters
    ----------
    sections : tuple of FoundSection
    bars : np.ndarray, shape=(n_bars, n_bars)
        `bar_ssm`, with the sections' transpositions undone: what variations were measured in. Of
        notes beat against beat, without the window that blurs where phrases meet.
    """

    sections: tuple[FoundSection, ...]
    bars: Vector


def outline_from_score(
    score: Score, sections: Sequence[Span] = (), *, bars: BarFeatures | None = None
) -> Outline:
    """Outline a piece whose notes are known.

    Parameters
    ----------
    score : Score
    sections : sequence of Span
        Without gaps; found in the music unless given.
    bars : BarFeatures, optional
        Those of the score where they are known already.
    """
    if bars is None:
        bars = bar_features_from_score(score)
    spans = sections or sections_from_features(bars)
    transpositions = _transpositions(bars, spans)
    of_bar = np.repeat(transpositions, [span.n_bars for span in spans])
    plain = score.transposed_bars(-of_bar) if of_bar.any() else score
    similarity = bar_ssm(ssm_from_score(plain, window_beats=1), score.bar_beats)
    found = measured_sections(
        similarity,
        spans,
        phrases=phrases_in_sections(bars, spans),
        transpositions=transpositions,
        tunes=_tunes(bars, spans),
    )
    return Outline(found, similarity)


def outline_from_ssm(
    ssm: npt.NDArray[np.float32], bar_beats: npt.NDArray[np.int32], sections: Sequence[Span]
) -> Outline:
    """Outline a piece of which only the self-similarity matrix is known."""
    phrases = phrases_in_sections(bar_features_from_ssm(ssm, bar_beats), sections)
    similarity = bar_ssm(ssm, bar_beats)
    return Outline(measured_sections(similarity, sections, phrases=phrases), similarity)


def form_from_outline(outline: Outline, structure: Structure, *, name: str) -> Form:
    """Return the outline of a piece as a form; see `form_from_found`.

    Raises
    ------
    InputError
        If the piece is longer, faster or slower than a form may be.
    """
    return form_from_found(
        outline.sections,
        outline.bars,
        structure.bar_beats,
        tempo_bpm=structure.tempo_bpm,
        meter=structure.meter,
        key=structure.key,
        name=name,
    )


def form_from_structure(structure: Structure, *, name: str) -> Form:
    """Return the sections of a structure as a form, without phrases.

    Raises
    ------
    InputError
        As `form_from_outline`.
    """
    bars = bar_ssm(structure.ssm, structure.bar_beats)
    outline = Outline(measured_sections(bars, structure.sections), bars)
    return form_from_outline(outline, structure, name=name)


def sections_of_form(form: Form) -> tuple[FoundSection, ...]:
    """Return what a form says of its sections, as if it had been found."""
    themes: set[str] = set()
    found = []
    for section, span in zip(form.sections, form.section_bars, strict=True):
        phrases, models, bar = [], set[str](), span.start_bar
        for phrase in section.phrases:
            variation = phrase.variation if phrase.label in models else None
            phrases.append(FoundPhrase(phrase.label, bar, phrase.n_bars, variation))
            models.add(phrase.label)
            bar += phrase.n_bars
        found.append(
            FoundSection(
                *span,
                variation=section.variation if span.label in themes else None,
                transpose=section.transpose,
                tune=section.tune,
                phrases=tuple(phrases),
            )
        )
        themes.add(span.label)
    return tuple(found)


def _transpositions(bars: BarFeatures, sections: Sequence[Span]) -> list[int]:
    """Return by how many semitones most bars of a section stand above its theme."""
    themes = {span.label: span for span in reversed(sections)}
    transpositions = []
    for span in sections:
        theme = themes[span.label]
        bar = np.arange(min(span.n_bars, theme.n_bars))
        shift = 0
        if bars.shift is not None and span is not theme:
            found = bars.shift[span.start_bar + bar, theme.start_bar + bar].astype(np.int64)
            shifts, counts = np.unique(found, return_counts=True)
            shift = int(shifts[counts.argmax()])
        transpositions.append(shift)
    return transpositions


def _tunes(bars: BarFeatures, sections: Sequence[Span]) -> list[bool]:
    """Return whether the lead takes part in each section; always where it never does."""
    if bars.tune is None or bars.tune.max(initial=0.0) < SILENT_TUNE:
        return [True] * len(sections)
    return [
        bool(bars.tune[span.start_bar : span.start_bar + span.n_bars].mean() >= SILENT_TUNE)
        for span in sections
    ]
