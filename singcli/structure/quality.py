"""Whether a template is any good, said before the work.

A template is followed by copying what repeats and by steering towards its matrix. A good one
repeats in stretches, tells places apart, and looks like what the model was trained on. The limits
were chosen so that hardly any song is warned of and degenerate matrices are:
`benchmarks/template_quality.py` counts both.

Conventions
-----------
- A beat *repeats* if its source in the repeat map lies at least a bar back and resembles it by
  `REPEAT_GRADE` or more.
- Percentiles say which share of the training songs is as near to their mean, from 0 to 100.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.structure.alignment import RepeatMap, repeat_map_from_ssm
from singcli.structure.ssm_file import Structure
from singcli.structure.template_reference import (
    TemplateReference,
    beats_per_bar,
    bundled_reference,
    similarities,
    sounding_pairs,
)

REPEAT_GRADE = 0.7  # phrases of different songs in one key reach 0.6 more often than not
FLAT = 1e-6  # a standard deviation below this is rounding

MIN_REPEATING = 0.2
MIN_NEW_BARS = 2.0
MIN_COHERENCE = 0.75
MIN_CONTRAST = 0.1
MAX_SILENCE = 0.1
MAX_IRREGULAR = 0.1
MAX_PERCENTILE = 99.5

ANOTHER = "choose another template"


class TemplateWarning(NamedTuple):
    """What is wrong with a template, and what to do; neither has a full stop."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class TemplateQuality:
    """What there is to say about a template.

    Parameters
    ----------
    repeating : float in [0, 1]
        Share of the beats that repeat.
    new_bars : float
        Length of what does not, in bars.
    coherence : float in [-1, 1]
        Correlation of the similarities of two beats and of the two beats before them, over all
        pairs at least a bar apart: whether repeats are stretches or single beats.
    contrast : float in [0, 1]
        How much more than half of the pairs at least a bar apart one in twenty is alike.
    silence : float in [0, 1]
        Share of the beats without a note.
    irregular : float in [0, 1]
        Share of the bars between the first and the last one that are not of the usual length.
    value_percentile, lag_percentile : float in [0, 100]
        How unusual the distribution of the similarities is, and how they depend on the distance.
    bars_without_source : tuple of (first, stop)
        Runs of bars that have fewer than half of their beats repeating; from 0, ends exclusive.
    beats_without_source : tuple of (first, stop)
        Runs of beats that do not repeat.
    warnings : tuple of TemplateWarning
        The gravest first; empty for a good template.
    """

    repeating: float
    new_bars: float
    coherence: float
    contrast: float
    silence: float
    irregular: float
    value_percentile: float
    lag_percentile: float
    bars_without_source: tuple[tuple[int, int], ...]
    beats_without_source: tuple[tuple[int, int], ...]
    warnings: tuple[TemplateWarning, ...] = ()


def measure_quality(
    structure: Structure,
    *,
    repeats: RepeatMap | None = None,
    reference: TemplateReference | None = None,
) -> TemplateQuality:
    """Measure a template and warn of what is wrong with it.

    Parameters
    ----------
    structure : Structure
        As it is to be followed: for a song of 64 bars the first 64 bars.
    repeats : RepeatMap, optional
        That of its matrix, where it is known already.
    reference : TemplateReference, optional
        What the model was trained on; the bundled model's by default.
    """
    reference = reference or bundled_reference()
    is_repeat = repeating_beats(structure, repeats or repeat_map_from_ssm(structure.ssm))
    bar = beats_per_bar(structure)
    inner_bars = np.diff(structure.bar_beats)[1:-1]
    of_values, of_lags = reference.percentiles(structure)
    n_repeating = np.add.reduceat(is_repeat, structure.bar_beats[:-1], dtype=np.int64)
    figures = TemplateQuality(
        repeating=float(is_repeat.mean()),
        new_bars=float(np.count_nonzero(~is_repeat)) / bar,
        coherence=_coherence(structure, bar),
        contrast=_contrast(structure, bar),
        silence=float(np.mean(np.diagonal(structure.ssm) == 0)),
        irregular=float(np.mean(inner_bars != bar)) if len(inner_bars) else 0.0,
        value_percentile=of_values,
        lag_percentile=of_lags,
        bars_without_source=_runs(2 * n_repeating < np.diff(structure.bar_beats)),
        beats_without_source=_runs(~is_repeat),
    )
    return dataclasses.replace(figures, warnings=tuple(_warnings(figures, structure, reference)))


def validate_quality(quality: TemplateQuality, name: str) -> None:
    """Refuse a template that there are warnings of.

    Raises
    ------
    InputError
        Says all that is wrong, and what to do about the gravest.
    """
    if quality.warnings:
        what = "; ".join(warning.what for warning in quality.warnings)
        raise InputError(f"template {name}: {what}", quality.warnings[0].remedy)


def repeating_beats(structure: Structure, repeats: RepeatMap) -> npt.NDArray[np.bool_]:
    """Return which beats repeat, shape=(n_beats,); see the header of the module."""
    lag = np.arange(structure.n_beats) - repeats.source
    far = (repeats.source >= 0) & (lag >= beats_per_bar(structure))
    repeating: npt.NDArray[np.bool_] = far & (repeats.grade >= REPEAT_GRADE)
    return repeating


def _coherence(structure: Structure, bar: int) -> float:
    """Correlate each pair of sounding beats with the pair before it; 0 where all are equal."""
    pairs = sounding_pairs(structure, bar)
    both = pairs[1:, 1:] & pairs[:-1, :-1]
    here, before = structure.ssm[1:, 1:][both], structure.ssm[:-1, :-1][both]
    if len(here) < 2 or min(before.std(), here.std()) < FLAT:
        return 0.0
    return float(np.corrcoef(before, here)[0, 1])


def _contrast(structure: Structure, bar: int) -> float:
    values = similarities(structure, least_lag=bar)
    return float(np.diff(np.quantile(values, (0.5, 0.95)))[0]) if len(values) else 0.0


def _runs(chosen: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return the stretches in which `chosen` holds, as (first, stop)."""
    edges = np.flatnonzero(np.diff(np.r_[False, chosen, False]))
    return tuple((int(first), int(stop)) for first, stop in edges.reshape(-1, 2))


def _warnings(
    figures: TemplateQuality, structure: Structure, reference: TemplateReference
) -> Iterator[TemplateWarning]:
    """Yield what is wrong, the gravest first."""
    if figures.silence == 1:
        yield TemplateWarning("nothing sounds in it", ANOTHER)
        return
    yield from _warnings_of_repeats(figures)
    yield from _warnings_of_strangeness(figures, structure, reference)
    if figures.silence > MAX_SILENCE:
        yield TemplateWarning(
            f"{figures.silence:.0%} of the beats are silent", "cut the silence out of it"
        )


def _warnings_of_repeats(figures: TemplateQuality) -> Iterator[TemplateWarning]:
    if figures.contrast < MIN_CONTRAST:
        yield TemplateWarning(
            f"all places are nearly as like one another (contrast {figures.contrast:.2f}, songs "
            f"have {MIN_CONTRAST:g} or more); nothing tells its sections apart",
            "choose a template with contrasts, or say the form with --form",
        )
    if figures.coherence < MIN_COHERENCE:
        yield TemplateWarning(
            f"single beats resemble one another, not stretches (coherence {figures.coherence:.2f},"
            f" songs have {MIN_COHERENCE:g} or more); there is no order to follow",
            "make the matrix again with singcli ssm, or choose another template",
        )
    if figures.repeating < MIN_REPEATING:
        yield TemplateWarning(
            f"only {figures.repeating:.0%} of the beats have a source; the song will hardly repeat",
            "choose a template with repeats, or say the form with --form",
        )
    elif figures.new_bars < MIN_NEW_BARS:
        yield TemplateWarning(
            f"all but {figures.new_bars:.2g} of its bars repeat; the song will have no second idea",
            "choose a template with more than one section",
        )


def _warnings_of_strangeness(
    figures: TemplateQuality, structure: Structure, reference: TemplateReference
) -> Iterator[TemplateWarning]:
    if structure.provenance.kind in ("preset", "form"):
        yield TemplateWarning(
            "it was drawn from a form, not from music", "give the form itself: --preset or --form"
        )
    elif max(figures.value_percentile, figures.lag_percentile) > MAX_PERCENTILE:
        yield TemplateWarning(
            "its matrix is unlike those that the model was trained on (farther from their mean "
            f"than {MAX_PERCENTILE:g}% of them)",
            ANOTHER,
        )
    least, most = reference.n_bars
    if not least <= structure.n_bars <= most:
        yield TemplateWarning(
            f"{structure.n_bars} bars; the model was trained on {least} to {most}",
            "cut it" if structure.n_bars > most else "repeat it, or choose a longer one",
        )
    bar = beats_per_bar(structure)
    if bar not in reference.beats_per_bar:
        known = " or ".join(f"{n}/4" for n in reference.beats_per_bar)
        yield TemplateWarning(
            f"its bars have {bar} quarter notes; the model was trained on {known}", ANOTHER
        )
    elif figures.irregular > MAX_IRREGULAR:
        yield TemplateWarning(
            f"{figures.irregular:.0%} of the bars are not of the usual length; the model was "
            "trained on even ones",
            "check its bar lines, or choose another template",
        )
