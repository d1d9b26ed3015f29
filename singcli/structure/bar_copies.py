"""A repeat map in words: which bars copy which."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.structure.alignment import NEW, RepeatMap

STRONG_GRADE = 0.6  # from here on a repeat is more than the resemblance of any two places


@dataclass(frozen=True, slots=True)
class BarCopy:
    """A stretch of bars and where its music comes from.

    Parameters
    ----------
    start_bar, n_bars : int
        Bars count from 0.
    source_bar : int or None
        None where the bars are new.
    source_beat : int
        Beat of `source_bar`, from 0; 0 where bars are paired with whole bars.
    grade : float in [0, 1]
        Mean similarity to the source; 0 where the bars are new.
    """

    start_bar: int
    n_bars: int
    source_bar: int | None
    source_beat: int
    grade: float


def bar_copies(repeats: RepeatMap, bar_beats: npt.NDArray[np.int32]) -> list[BarCopy]:
    """Sum up a repeat map by bars; neighbours that continue one another become one stretch.

    A bar copies if at least half of its beats do; its source is where most of them point. Beats
    that copy from less than a bar before (a repeated chord) are no repeat of a bar.
    """
    copies: list[BarCopy] = []
    for bar in range(len(bar_beats) - 1):
        copy = _bar_copy(repeats, bar_beats, bar)
        last = copies[-1] if copies else None
        if last is not None and _continues(last, copy):
            n_bars = last.n_bars + 1
            grade = (last.grade * last.n_bars + copy.grade) / n_bars
            copies[-1] = dataclasses.replace(last, n_bars=n_bars, grade=grade)
        else:
            copies.append(copy)
    return copies


def _bar_copy(repeats: RepeatMap, bar_beats: npt.NDArray[np.int32], bar: int) -> BarCopy:
    start = int(bar_beats[bar])
    beats = np.arange(start, int(bar_beats[bar + 1]))
    source = repeats.source[beats]
    copied = beats[(source != NEW) & (beats - source >= len(beats))]
    if 2 * len(copied) < len(beats):
        return BarCopy(bar, 1, None, 0, 0.0)
    lags, counts = np.unique(copied - repeats.source[copied], return_counts=True)
    source_start = max(start - int(lags[counts.argmax()]), 0)
    source_bar = int(np.searchsorted(bar_beats, source_start, side="right")) - 1
    grade = float(repeats.grade[copied].mean())
    return BarCopy(bar, 1, source_bar, source_start - int(bar_beats[source_bar]), grade)


def _continues(last: BarCopy, copy: BarCopy) -> bool:
    if last.source_bar is None or copy.source_bar is None:
        return last.source_bar is copy.source_bar
    same_strength = (last.grade >= STRONG_GRADE) == (copy.grade >= STRONG_GRADE)
    follows = copy.source_bar == last.source_bar + last.n_bars
    return same_strength and follows and copy.source_beat == last.source_beat
