"""A semi-Markov chain over the parts of a song, sampled at a given length.

The chain knows what follows the last few parts and how long parts are. Computed backwards, a table
says how likely a song is to end after exactly so many bars from each state; drawn along it, songs
are samples of the chain *given* their length, not cut or stretched to it.

References
----------
Rabiner, "A tutorial on hidden Markov models" (Proc. IEEE 1989): explicit durations (IV.D) and the
backward table (III.A).
Witten and Bell, "The zero-frequency problem" (IEEE Trans. Information Theory 1991): smoothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from singcli.structure.form_statistics import (
    BRIDGE,
    END,
    LONGEST,
    ORDER,
    START,
    THEMES,
    Context,
    Counts,
    FormStatistics,
)

Vector = npt.NDArray[np.float64]
Part = tuple[str, int]  # kind, bars
Key = TypeVar("Key")

N_LENGTHS = LONGEST + 1  # columns of a table of lengths: 0 to LONGEST bars


@dataclass(frozen=True, slots=True, eq=False)
class PartChain:
    """States (the last `ORDER` parts, and how many themes there were) and edges between them.

    Parameters
    ----------
    statistics : FormStatistics
    kinds : tuple of str
        Of the parts; edges give them by number.
    end : np.ndarray, shape=(n_states,), float64
        Chance that the song is over.
    source, target, kind : np.ndarray, shape=(n_edges,), intp
        Ordered by source. State 0 is the beginning.
    is_new : np.ndarray, shape=(n_edges,), bool
        Whether a theme is heard for the first time.
    chance : np.ndarray, shape=(n_edges,), float64
    """

    statistics: FormStatistics
    kinds: tuple[str, ...]
    end: Vector
    source: npt.NDArray[np.intp]
    target: npt.NDArray[np.intp]
    kind: npt.NDArray[np.intp]
    is_new: npt.NDArray[np.bool_]
    chance: Vector

    @classmethod
    def from_statistics(cls, statistics: FormStatistics) -> PartChain:
        """Follow everything that can happen from the beginning on."""
        counts = _counts_by_context(statistics.following)
        kinds = tuple(sorted({kind for row in counts.values() for kind in row} - {END}))
        states: list[tuple[Context, int]] = [((START,) * ORDER, 0)]
        numbers = {states[0]: 0}
        end, edges = [], []
        for number, (context, n_themes) in enumerate(states):  # grows while it is walked
            chances = _chances(counts, context, n_themes)
            end.append(chances.pop(END, 0.0))
            for kind, chance in chances.items():
                is_new = kind in THEMES[n_themes:]
                state = ((*context[1:], kind), n_themes + is_new)
                if state not in numbers:
                    numbers[state] = len(states)
                    states.append(state)
                edges.append((number, numbers[state], kinds.index(kind), is_new, chance))
        source, target, kind_number, new, chance_of = (
            np.array(c) for c in zip(*edges, strict=True)
        )
        return cls(statistics, kinds, np.array(end), source, target, kind_number, new, chance_of)

    def samples(self, n_bars: int, n_songs: int, rng: np.random.Generator) -> list[list[Part]]:
        """Draw the lengths of the themes, then the parts of some songs of `n_bars` bars with them.

        Returns
        -------
        list of list of (kind, bars)
            Empty if themes of those lengths do not fill so many bars.
        """
        lengths = self._drawn_lengths(rng)
        reach = self._backward(n_bars, lengths)
        if reach[n_bars, 0] <= 0:
            return []
        return [self._sample(n_bars, lengths, reach, rng) for _ in range(n_songs)]

    def _sample(
        self, n_bars: int, lengths: Vector, reach: Vector, rng: np.random.Generator
    ) -> list[Part]:
        parts: list[Part] = []
        state, left = 0, n_bars
        while left > 0:
            edges = slice(*np.searchsorted(self.source, [state, state + 1]))
            target, kind, is_new = self.target[edges], self.kind[edges], self.is_new[edges]
            bars = np.arange(1, min(LONGEST, left) + 1)
            weight = lengths[is_new.astype(np.intp), kind][:, bars]  # (n_edges, n_lengths)
            weight = weight * self.chance[edges, None] * reach[left - bars, target[:, None]]
            edge, place = divmod(drawn_index(weight.ravel(), rng), len(bars))
            parts.append((self.kinds[kind[edge]], int(bars[place])))
            state, left = int(target[edge]), left - int(bars[place])
        return parts

    def _drawn_lengths(self, rng: np.random.Generator) -> Vector:
        """Draw the themes' lengths; return how long parts are.

        Returns
        -------
        np.ndarray, shape=(2, n_kinds, N_LENGTHS)
            For parts in general, then for themes that are new; rows add up to 1.
        """
        table = self.statistics
        first = dict(table.lengths)  # a theme's first part has its length, later ones nearly so
        later = dict(table.lengths)
        row = table.lengths[THEMES[0]]
        for theme in (*THEMES, BRIDGE):
            row = table.lengths[BRIDGE] if theme == BRIDGE else row
            bars = drawn_key(row, rng)
            later[theme] = _plus_one(table.repeat_lengths.get(bars, {}), bars)
            first[theme] = later[theme] if theme == BRIDGE else {bars: 1}
            row = table.theme_lengths.get(bars, {bars: 1})
        return np.array([[_shares(of[kind]) for kind in self.kinds] for of in (later, first)])

    def _backward(self, n_bars: int, lengths: Vector) -> Vector:
        """Return the chance to end after exactly n bars, shape=(n_bars + 1, n_states)."""
        reach = np.zeros((n_bars + 1, len(self.end)))
        reach[0] = self.end
        kind_of_state = np.zeros(len(self.end), np.intp)  # that of the last part
        kind_of_state[self.target] = self.kind
        of_state = lengths[:, kind_of_state]  # (2, n_states, N_LENGTHS)
        is_new = self.is_new.astype(np.intp)
        for n in range(1, n_bars + 1):
            bars = np.arange(1, min(LONGEST, n) + 1)
            after = np.einsum("ksl,ls->ks", of_state[:, :, bars], reach[n - bars])
            chance = self.chance * after[is_new, self.target]
            reach[n] = np.bincount(self.source, chance, len(self.end))
        return reach


def drawn_index(weights: Vector, rng: np.random.Generator) -> int:
    """Draw a place in proportion to the weights; from one number of `rng`, on all versions."""
    total = np.cumsum(weights)
    last = np.searchsorted(total, total[-1])
    return int(min(np.searchsorted(total, rng.random() * total[-1], side="right"), last))


def drawn_key(counts: Mapping[Key, int], rng: np.random.Generator) -> Key:
    """Draw a key in proportion to its count."""
    return list(counts)[drawn_index(np.array(list(counts.values()), np.float64), rng)]


def _counts_by_context(
    following: Mapping[Context, Mapping[str, int]],
) -> dict[Context, Counter[str]]:
    """Return what followed the last `ORDER`, ..., 2, 1 parts."""
    counts: defaultdict[Context, Counter[str]] = defaultdict(Counter)
    for context, row in following.items():
        for n_parts in range(1, ORDER + 1):
            counts[context[-n_parts:]].update(row)
    return dict(counts)


def _chances(
    counts: Mapping[Context, Counter[str]], context: Context, n_themes: int
) -> dict[str, float]:
    """Return how likely each kind comes next; a theme only after the themes before it.

    Notes
    -----
    Source: Witten and Bell, interpolated; differs: what never followed the last part has no
    chance, so that songs do not go on behind an outro.
    """
    chances: dict[str, float] = {}
    for n_parts in range(1, ORDER + 1):
        row = counts.get(context[-n_parts:])
        if row is None:
            break
        total = sum(row.values())
        trust = total / (total + len(row)) if chances else 1.0
        chances = {
            kind: trust * row[kind] / total + (1 - trust) * chances.get(kind, 0.0)
            for kind in sorted({*row, *chances})
        }
    for theme in THEMES[n_themes + 1 :]:
        chances.pop(theme, None)
    total_chance = sum(chances.values())
    return {kind: chance / total_chance for kind, chance in chances.items()}


def _plus_one(counts: Counts, bars: int) -> Counts:
    return {**counts, bars: counts.get(bars, 0) + 1}


def _shares(counts: Counts) -> Vector:
    """Return the share of each number of bars, shape=(N_LENGTHS,)."""
    shares = np.zeros(N_LENGTHS)
    shares[list(counts)] = list(counts.values())
    shares /= shares.sum()
    return shares
