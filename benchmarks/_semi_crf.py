"""Likelihood of known sections under linear scores of stretches: what the fit maximises.

Songs are filled up to the longest one and worked on together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import BarFeatures
from singcli.structure.section import Span
from singcli.structure.segment_features import (
    LONGEST,
    length_features,
    line_features,
    stretch_features,
)

Vector = npt.NDArray[np.float64]

NEVER = -1e9


class LabelledSong(NamedTuple):
    """A song with known sections, in order, without gaps."""

    bars: BarFeatures
    sections: Sequence[Span]


class SemiCrf:
    """A semi-Markov conditional random field over the sections of songs.

    Parameters
    ----------
    songs : sequence of LabelledSong
        Those with a section of more than `LONGEST` bars are left out.

    References
    ----------
    Sarawagi, Cohen, "Semi-Markov conditional random fields for information extraction" (NeurIPS
    2004).
    """

    def __init__(self, songs: Sequence[LabelledSong]) -> None:
        songs = [s for s in songs if max(span.n_bars for span in s.sections) <= LONGEST]
        lines = [line_features(song.bars) for song in songs]
        stretches = [stretch_features(song.bars) for song in songs]
        kinds = length_features()
        self.names = [*lines[0], *stretches[0], *kinds]
        self._n_bars = np.array([song.bars.n_bars for song in songs])
        longest = int(self._n_bars.max())
        self._lines = _filled([np.stack(list(f.values()), -1) for f in lines], longest)
        self._stretches = _filled([np.stack(list(f.values()), -1) for f in stretches], longest)
        self._lengths = np.stack(list(kinds.values()), -1)
        n, start = np.arange(LONGEST + 1), np.arange(longest)[:, None]
        self._inside = (n >= 1) & (start + n <= self._n_bars[:, None, None])
        self._known = np.zeros(self._inside.shape)
        for song, known in zip(songs, self._known, strict=True):
            for span in song.sections:
                known[span.start_bar, span.n_bars] = 1.0
        self._expected_of_known = self._sums(self._known)

    def spread(self) -> Vector:
        """Return the standard deviation of every feature, 1 for the kinds of length."""
        lines = self._lines[self._inside.any(axis=2)].std(axis=0)
        stretches = self._stretches[self._inside].std(axis=0)
        return np.concatenate([lines, stretches, np.ones(self._lengths.shape[1])]) + 1e-6

    def loss(self, weights: Vector) -> tuple[float, Vector]:
        """Return the mean negative log likelihood of a song's sections, and its gradient."""
        scores = self._scores(weights)
        total, probability = self._marginals(scores)
        loss = float(total.sum() - scores[self._known > 0].sum())
        gradient = self._sums(probability) - self._expected_of_known
        return loss / len(self._n_bars), gradient / len(self._n_bars)

    def _scores(self, weights: Vector) -> Vector:
        n_lines, n_stretches = self._lines.shape[-1], self._stretches.shape[-1]
        lines, stretches, lengths = np.split(weights, [n_lines, n_lines + n_stretches])
        scores: Vector = (self._lines @ lines)[..., None] + self._lengths @ lengths
        scores = scores + self._stretches @ stretches.astype(np.float32)
        return np.where(self._inside, scores, NEVER)

    def _marginals(self, scores: Vector) -> tuple[Vector, Vector]:
        """Return log partition sums, and the probability of every stretch (forward-backward)."""
        n_songs, longest = scores.shape[:2]
        forward = np.full((n_songs, longest + 1), NEVER)
        forward[:, 0] = 0.0
        for stop in range(1, longest + 1):
            n = np.arange(1, min(LONGEST, stop) + 1)
            forward[:, stop] = _log_sum(forward[:, stop - n] + scores[:, stop - n, n])
        backward = np.full((n_songs, longest + LONGEST + 1), NEVER)
        backward[np.arange(n_songs), self._n_bars] = 0.0
        n = np.arange(1, LONGEST + 1)
        for start in range(longest - 1, -1, -1):
            value = _log_sum(backward[:, start + n] + scores[:, start, n])
            live = start < self._n_bars
            backward[live, start] = value[live]
        total = backward[:, 0]
        stops = np.arange(longest)[:, None] + np.arange(LONGEST + 1)
        log_probability = forward[:, :longest, None] + scores + backward[:, stops]
        probability = np.exp(np.minimum(log_probability - total[:, None, None], 0.0))
        return total, np.where(self._inside, probability, 0.0)

    def _sums(self, probability: Vector) -> Vector:
        """Return the expected sum of every feature."""
        flat = probability.reshape(-1).astype(np.float32)
        return np.concatenate(
            [
                np.einsum("sb,sbk->k", probability.sum(axis=2), self._lines),
                flat @ self._stretches.reshape(len(flat), -1),
                probability.sum(axis=(0, 1)) @ self._lengths,
            ]
        )


def _filled(tables: Sequence[Vector], longest: int) -> npt.NDArray[np.float32]:
    filled = np.zeros((len(tables), longest, *tables[0].shape[1:]), np.float32)
    for row, table in zip(filled, tables, strict=True):
        row[: len(table)] = table
    return filled


def _log_sum(values: Vector) -> Vector:
    most = values.max(axis=1, keepdims=True)
    return np.asarray((np.log(np.exp(values - most).sum(axis=1, keepdims=True)) + most)[:, 0])
