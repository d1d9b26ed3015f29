"""Rows one after the other: the loop that writes pieces with SING, in training as well.

The network is whatever computes logits from the row before, the weighted earlier rows and its
state (`Cell`): the graph of a model file, or torch. Drawing, attention and bookkeeping are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from singcli.model.sing.attention import Attention
from singcli.model.sing.sampling import NO_PITCH, Floats, RowSampling, draw_pitches
from singcli.structure.row_ssm import N_ROW_PITCHES, Roll

HIDDEN = 128  # width of the LSTM's state
Scalar = TypeVar("Scalar", bound=np.generic)
_BINS = N_ROW_PITCHES + 1  # the last one takes what is no pitch


class Cell(Protocol):
    """One step of the network for n songs."""

    def __call__(
        self, row: Floats, weighted: Floats, hidden: Floats, cell: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return logits (n, 128) and the next state, from arrays (n, 128) and a state."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece to be written, with the random numbers that decide about it.

    Parameters
    ----------
    seed_rows : np.ndarray, shape=(n_seed_rows, 128), bool
    attention : Attention
        Of all rows.
    chances : np.ndarray, shape=(n_rows, draws), float64 in [0, 1)
    state : np.ndarray, shape=(2, HIDDEN), float32
        Hidden and cell state at the beginning.
    """

    seed_rows: Roll
    attention: Attention
    chances: npt.NDArray[np.float64]
    state: Floats

    @property
    def n_rows(self) -> int:
        """Rows of the finished piece."""
        return self.attention.n_rows


def piece_from_seed(
    seed_rows: Roll,
    attention: Attention,
    seed: int | Sequence[int] | np.random.SeedSequence,
    sampling: RowSampling,
) -> Piece:
    """Return a piece whose random numbers come from its seed alone."""
    rng = np.random.default_rng(seed)
    chances = rng.random((attention.n_rows, sampling.draws))
    state = np.zeros((2, HIDDEN), np.float32)
    if sampling.initial_state == "random":
        state = rng.standard_normal((2, HIDDEN), np.float32)
    return Piece(seed_rows, attention, chances, state)


@dataclass(frozen=True, slots=True)
class Teacher:
    """What the network is fed in place of its own rows, in training.

    Parameters
    ----------
    here : np.ndarray, shape=(n, n_rows), bool
        Whether the row before row t is replaced when row t is drawn.
    rows : np.ndarray, shape=(n, n_rows, 128), bool
        By what.
    """

    here: npt.NDArray[np.bool_]
    rows: Roll


@dataclass(frozen=True, slots=True)
class Trace:
    """What the network was fed, for a second look at it; written by `roll_out`.

    Parameters
    ----------
    row, weighted : np.ndarray, shape=(n_rows, n, 128), float32
        Entry t is what was fed to draw row t. Entry 0 of a piece with seed rows is not used.
    """

    row: Floats
    weighted: Floats

    @classmethod
    def blank(cls, n_rows: int, n: int) -> Trace:
        """Return a trace to be written."""
        shape = (n_rows, n, N_ROW_PITCHES)
        return cls(np.zeros(shape, np.float32), np.zeros(shape, np.float32))


def roll_out(
    cell: Cell,
    pieces: Sequence[Piece],
    sampling: RowSampling,
    *,
    teacher: Teacher | None = None,
    trace: Trace | None = None,
) -> list[Roll]:
    """Write pieces, a row of all of them at a time.

    Parameters
    ----------
    cell : callable
        The network.
    pieces : sequence of Piece
        From long to short.
    sampling : RowSampling
    teacher : Teacher, optional
    trace : Trace, optional
        To be filled in.

    Returns
    -------
    list of np.ndarray, shape=(n_rows, 128), bool
        They begin with the seed rows. Attention is paid to seed rows and own rows, never to those
        of a teacher.

    Notes
    -----
    The network reads the seed rows one after the other; a piece without any begins after an empty
    row.
    """
    lengths = np.array([piece.n_rows for piece in pieces])
    n_seeds = np.array([len(piece.seed_rows) for piece in pieces])
    memory = _Memory(pieces, sampling.draws)
    chances = _padded([piece.chances for piece in pieces])
    seeds = _padded([piece.seed_rows for piece in pieces])
    start = np.stack([piece.state for piece in pieces])
    hidden, state = start[:, 0], start[:, 1]
    row = np.zeros((len(pieces), N_ROW_PITCHES), np.float32)
    rolls = np.zeros((len(pieces), lengths.max(initial=0), _BINS), np.bool_)
    for t in range(rolls.shape[1]):
        n = int(np.count_nonzero(lengths > t))
        row, hidden, state = row[:n], hidden[:n], state[:n]
        weighted = memory.weighted(t, n)
        if teacher is not None:
            row = np.where(teacher.here[:n, t, None], teacher.rows[:n, t], row)
        if trace is not None:
            trace.row[t, :n], trace.weighted[t, :n] = row, weighted
        logits, hidden, state = cell(row, weighted, hidden, state)
        if t == 0 and (seeded := n_seeds > 0).any():  # no empty row before the first seed row
            hidden = np.where(seeded[:, None], start[:, 0], hidden)
            state = np.where(seeded[:, None], start[:, 1], state)
        given = n_seeds[:n] > t
        if not given.all():
            drawn = draw_pitches(logits, chances[:n, t], sampling)
            drawn[given] = NO_PITCH
            memory.remember(t, drawn)
            rolls[np.arange(n)[:, None], t, drawn] = True
        if given.any():
            rolls[:n, t, :N_ROW_PITCHES][given] = seeds[:n][given, t]
        row = rolls[:n, t, :N_ROW_PITCHES].astype(np.float32)
    return [
        roll[:length, :N_ROW_PITCHES].copy() for roll, length in zip(rolls, lengths, strict=True)
    ]


class _Memory:
    """The rows so far, as what attention adds up: drawn pitches, and the seed rows in full."""

    def __init__(self, pieces: Sequence[Piece], draws: int) -> None:
        n, n_rows = len(pieces), max((piece.n_rows for piece in pieces), default=0)
        self.n_rows = n_rows
        self.drawn = np.full((n * n_rows, draws), NO_PITCH, np.int64)
        self.seeds = _padded([piece.seed_rows for piece in pieces]).astype(np.float32)
        self.of_seeds = np.zeros((n_rows, n, self.seeds.shape[1]), np.float32)
        counts = np.zeros((n_rows, n), np.int64)
        entries = [_split(piece) for piece in pieces]
        for k, entry in enumerate(entries):
            self.of_seeds[entry.seed_row, k, entry.seed_source] = entry.seed_weight
            counts[: len(entry.counts), k] = entry.counts
        ends = np.cumsum(counts).reshape(counts.shape)
        self.ends = np.concatenate([[0], ends[:, -1]]) if n else np.zeros(1, np.int64)
        total = int(self.ends[-1])
        self.slot = np.zeros(total, np.int64)  # in `drawn`
        self.bin = np.zeros(total, np.int64)  # the first of the song's in what is added up
        self.weight = np.zeros(total, np.float64)
        for k, entry in enumerate(entries):
            mine = counts[: len(entry.counts), k]
            first = ends[: len(mine), k] - mine
            within = np.arange(mine.sum()) - np.repeat(np.cumsum(mine) - mine, mine)
            place = np.repeat(first, mine) + within
            self.slot[place] = k * n_rows + entry.source
            self.bin[place] = k * _BINS
            self.weight[place] = entry.weight

    def weighted(self, t: int, n: int) -> Floats:
        """Return the sum of the earlier rows by their weights for row t, shape=(n, 128)."""
        part = slice(self.ends[t], self.ends[t + 1])
        bins = self.drawn[self.slot[part]] + self.bin[part, None]
        weights = np.broadcast_to(self.weight[part, None], bins.shape)
        own = np.bincount(bins.ravel(), weights.ravel(), minlength=n * _BINS)
        total: Floats = own.reshape(n, _BINS)[:, :N_ROW_PITCHES].astype(np.float32)
        if self.seeds.shape[1]:
            total += np.matmul(self.of_seeds[t, :n, None], self.seeds[:n])[:, 0]
        return total

    def remember(self, t: int, drawn: npt.NDArray[np.int64]) -> None:
        """Keep the pitches of row t, shape=(n, draws)."""
        self.drawn[np.arange(len(drawn)) * self.n_rows + t] = drawn


@dataclass(frozen=True, slots=True)
class _Entries:
    """The weights of a piece: those of its seed rows, and the others row by row."""

    seed_row: npt.NDArray[np.int64]
    seed_source: npt.NDArray[np.int32]
    seed_weight: Floats
    counts: npt.NDArray[np.int64]
    source: npt.NDArray[np.int32]
    weight: Floats


def _split(piece: Piece) -> _Entries:
    attention = piece.attention
    row = np.repeat(np.arange(attention.n_rows), np.diff(attention.first))
    own = attention.source >= len(piece.seed_rows)
    return _Entries(
        seed_row=row[~own],
        seed_source=attention.source[~own],
        seed_weight=attention.weight[~own],
        counts=np.bincount(row[own], minlength=attention.n_rows),
        source=attention.source[own],
        weight=attention.weight[own],
    )


def _padded(arrays: Sequence[npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
    """Stack arrays that differ in their first axis; what is missing is 0."""
    longest = max((len(array) for array in arrays), default=0)
    padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for k, array in enumerate(arrays):
        padded[k, : len(array)] = array
    return padded
