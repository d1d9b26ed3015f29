"""The repeats that a form asks for, as one source for every beat.

A form may want a bar to resemble several earlier ones; attention that copies needs one. A bar of a
later section looks back at the same bar of the first section of its label, its theme, so that
returns do not drift away from the theme copy by copy; a bar of a theme, at the earlier bar that it
is to resemble most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.structure.alignment import NEW, RepeatMap
from singcli.structure.dial import overlap_map
from singcli.structure.form import Form, wanted_bar_map


@dataclass(frozen=True, slots=True)
class KnownRepeats:
    """Sources that need not be read out of a self-similarity matrix.

    Parameters
    ----------
    source : np.ndarray, shape=(n_beats,), int32
        An earlier beat, or `NEW` where nothing is asked.
    similarity : np.ndarray, shape=(n_beats,), float32 in [0, 1]
        To the source; 0 where nothing is asked.
    overlap : np.ndarray, shape=(n_beats,), float32 in [0, 1]
        Share of the notes that the beat is to have in common with its source (see
        `singcli.structure.dial`); NaN where nothing is asked.
    """

    source: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float32]
    overlap: npt.NDArray[np.float32]

    def over(self, found: RepeatMap) -> RepeatMap:
        """Return a repeat map of the same length with these sources in place of its own."""
        known = self.source != NEW
        return RepeatMap(
            source=np.where(known, self.source, found.source).astype(np.int32),
            grade=np.where(known, self.similarity, found.grade).astype(np.float32),
        )

    def moved(self, n_beats: int) -> KnownRepeats:
        """Return the repeats behind `n_beats` of which nothing is asked."""
        before = (n_beats, 0)
        source = np.where(self.source == NEW, NEW, self.source + n_beats)
        return KnownRepeats(
            source=np.pad(source, before, constant_values=NEW).astype(np.int32),
            similarity=np.pad(self.similarity, before),
            overlap=np.pad(self.overlap, before, constant_values=np.nan),
        )


def known_repeats(form: Form, strictness: float) -> KnownRepeats:
    """Return the source of every beat of a form, and the overlap that strictness asks of it.

    Parameters
    ----------
    form : Form
    strictness : float in [0, 1]
        Of the song; a section's own goes before it.
    """
    bar_source, bar_similarity = bar_sources(form)
    overlap_of_bars = overlap_map(form, strictness)
    bar_beats = form.bar_beats
    n_beats = int(bar_beats[-1])
    source = np.full(n_beats, NEW, np.int32)
    similarity = np.zeros(n_beats, np.float32)
    overlap = np.full(n_beats, np.nan, np.float32)
    lengths = np.diff(bar_beats)
    for bar in np.flatnonzero(bar_source != NEW):
        copied = bar_source[bar]
        place = np.arange(min(lengths[bar], lengths[copied]))
        beats = bar_beats[bar] + place
        source[beats] = bar_beats[copied] + place
        similarity[beats] = bar_similarity[bar]
        overlap[beats] = overlap_of_bars[bar, copied]
    return KnownRepeats(source, similarity, overlap)


def bar_sources(form: Form) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the earlier bar that each bar repeats, `NEW` where it is new, and the similarity.

    Returns
    -------
    source : np.ndarray, shape=(n_bars,), int32
    similarity : np.ndarray, shape=(n_bars,), float32 in [0, 1]
    """
    wanted = np.tril(wanted_bar_map(form), -1)
    source = np.where(wanted.any(axis=1), wanted.argmax(axis=1), NEW)  # the earliest of the best
    themes = {span.label: span for span in reversed(form.section_bars)}
    for span in form.section_bars:
        theme = themes[span.label]
        place = np.arange(min(span.n_bars, theme.n_bars) if theme is not span else 0)
        bars = span.start_bar + place
        asked = wanted[bars, theme.start_bar + place] > 0
        source[bars[asked]] = theme.start_bar + place[asked]
    similarity = np.where(source == NEW, 0.0, wanted[np.arange(len(wanted)), source])
    return source.astype(np.int32), similarity.astype(np.float32)
