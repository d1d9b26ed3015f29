"""Which bars of a form are to be alike, from its sections alone, and the stripes this makes.

The rules are those of `singcli.structure.form`; bars compare by their place, whatever their length.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from singcli.structure.section import Phrase, Section, distinct_labels
from singcli.structure.ssm import Repeat


def wanted_bars(
    sections: tuple[Section, ...], similarity: Mapping[tuple[str, str], float]
) -> npt.NDArray[np.float64]:
    """Return which bars are to be alike, and how much.

    Parameters
    ----------
    sections : tuple of Section
    similarity : mapping of (label, label) to float in [0, 1]
        Between sections of different labels.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), float64 in [0, 1]
        Symmetric; 1 on the diagonal, 0 where nothing is asked. Not to be written to: it is kept
        for the next song of the form.
    """
    return _wanted_bars(sections, tuple(similarity.items()))


@functools.lru_cache(maxsize=4)  # 2 MB each of 512 bars
def _wanted_bars(
    sections: tuple[Section, ...], similarity: tuple[tuple[tuple[str, str], float], ...]
) -> npt.NDArray[np.float64]:
    rows = _bar_rows(sections)
    section, label, label_place, variation, phrase, phrase_place, turn, phrase_variation = rows.T

    same_section = np.equal.outer(section, section)
    between_sections = np.where(same_section, 1.0, 1.0 - np.maximum.outer(variation, variation))
    same_turn = np.equal.outer(turn, turn)
    between_phrases = np.where(
        same_turn, 1.0, 1.0 - np.maximum.outer(phrase_variation, phrase_variation)
    )
    alike = np.equal.outer(label, label) & np.equal.outer(phrase, phrase)
    alike &= np.equal.outer(phrase_place, phrase_place)
    wanted = np.where(alike, between_sections * between_phrases, 0.0)

    number = {name: index for index, name in enumerate(distinct_labels(sections))}
    table = np.zeros((len(number), len(number)))
    for (one, other), value in similarity:
        table[number[one], number[other]] = table[number[other], number[one]] = value
    labels = label.astype(np.intp)
    across = np.where(np.equal.outer(label_place, label_place), table[np.ix_(labels, labels)], 0.0)
    alike_bars: npt.NDArray[np.float64] = np.maximum(wanted, across)
    alike_bars.flags.writeable = False
    return alike_bars


def stripes_from_bars(
    wanted: npt.NDArray[np.float64],
    bar_beats: npt.NDArray[np.int32],
    section_starts: Collection[int],
) -> list[Repeat]:
    """Return the stretches of bars at one distance and similarity.

    Parameters
    ----------
    wanted : np.ndarray, shape=(n_bars, n_bars)
        As `wanted_bars` returns it.
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        Of two bars of different length, the beats that both have are paired.
    section_starts : collection of int
        Bars at which a stripe may not go on, neither its rows nor its columns.

    Returns
    -------
    list of Repeat
        In beats; ordered by start, then by source.
    """
    n_bars = len(wanted)
    lengths = np.diff(bar_beats)
    starts_section = np.isin(np.arange(n_bars + 1), list(section_starts))
    repeats = []
    for lag in range(1, n_bars):
        values = np.diagonal(wanted, -lag)  # bar lag + i against bar i
        if not values.any():
            continue
        distance = bar_beats[lag:-1] - bar_beats[: n_bars - lag]  # in beats
        breaks = (np.diff(values) != 0) | (np.diff(distance) != 0)
        breaks |= starts_section[1 : n_bars - lag] | starts_section[lag + 1 : n_bars]
        edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(values)]
        for start, stop in pairwise(edges):
            if values[start] > 0:
                last_beats = min(lengths[stop - 1], lengths[stop - 1 + lag])
                repeats.append(
                    Repeat(
                        start_beat=int(bar_beats[start + lag]),
                        source_beat=int(bar_beats[start]),
                        n_beats=int(bar_beats[stop - 1] - bar_beats[start] + last_beats),
                        similarity=float(values[start]),
                    )
                )
    return sorted(repeats, key=lambda repeat: (repeat.start_beat, repeat.source_beat))


def _bar_rows(sections: tuple[Section, ...]) -> npt.NDArray[np.float64]:
    """Return, for every bar, what `wanted_bars` compares, shape=(n_bars, 8).

    Columns: section, label, place in the section, the section's variation (0 for a theme), phrase
    label, place in the phrase, which phrase of its label in the section this is, its variation.
    """
    numbers: dict[str, int] = {}
    phrase_numbers: dict[str, int] = {}
    rows: list[list[float]] = []
    for index, section in enumerate(sections):
        theme = section.label not in numbers
        label = numbers.setdefault(section.label, len(numbers))
        place, seen = 0, dict[str, int]()
        for phrase in section.phrases or (Phrase("", section.n_bars),):
            turn = seen.get(phrase.label, 0)
            seen[phrase.label] = turn + 1
            number = phrase_numbers.setdefault(phrase.label, len(phrase_numbers))
            for phrase_place in range(phrase.n_bars):
                of_section = [index, label, place, 0.0 if theme else section.variation]
                of_phrase = [number, phrase_place, turn, phrase.variation if turn else 0.0]
                rows.append(of_section + of_phrase)
                place += 1
    return np.array(rows)
