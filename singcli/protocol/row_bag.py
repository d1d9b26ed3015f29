"""Music without a model: real rows, drawn at random and chosen by the row of the matrix they make.

It keeps to any matrix, the better the more candidates it has, and no row leads to the next: what a
model adds to a bag shows in the measures of continuity, not in the structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from singcli.model.rows import RowTask
from singcli.protocol.baselines import blank_roll
from singcli.structure.row_ssm import N_CLASSES, N_ROW_PITCHES, Roll, row_chroma
from singcli.structure.ssm import unit_rows


@dataclass(frozen=True, slots=True)
class RowPool:
    """Rows of real pieces.

    Parameters
    ----------
    packed : np.ndarray, shape=(n, 16), uint8
        `np.packbits` of the rows.
    chroma : np.ndarray, shape=(n, 12), float32
        Of length 1, or 0 for an empty row.
    """

    packed: npt.NDArray[np.uint8]
    chroma: npt.NDArray[np.float32]

    @classmethod
    def from_rolls(cls, rolls: Sequence[Roll]) -> Self:
        """Put all rows of some pieces into a pool, one row at least, empty ones as well."""
        return cls(
            np.concatenate([np.packbits(roll, axis=1) for roll in rolls]),
            np.concatenate([unit_rows(row_chroma(roll)) for roll in rolls]),
        )

    def rows(self, index: npt.NDArray[np.integer]) -> Roll:
        """Return the rows of these numbers, shape=(len(index), 128)."""
        bits = np.unpackbits(self.packed[index], axis=1, count=N_ROW_PITCHES)
        return bits.astype(np.bool_)


@dataclass(frozen=True, slots=True)
class RowBag:
    """Of `candidates` rows drawn from the pool, the one nearest to the wanted row of the matrix.

    Parameters
    ----------
    pool : RowPool
        Rows of pieces that are not among the tasks.
    candidates : int > 0
    """

    pool: RowPool
    candidates: int

    @property
    def name(self) -> str:
        """Of the row in the table."""
        return f"bag of real rows, {self.candidates}"

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[Roll]:
        """Return a roll of each task."""
        return [self._roll(task, seed) for task, seed in zip(tasks, seeds, strict=True)]

    def _roll(self, task: RowTask, seed: int) -> Roll:
        rng = np.random.default_rng(seed)
        roll, n_seed = blank_roll(task), len(task.seed_rows)
        past = np.zeros((len(roll), N_CLASSES))
        past[:n_seed] = unit_rows(row_chroma(task.seed_rows))
        drawn = rng.integers(len(self.pool.chroma), size=(len(roll), self.candidates))
        gram = past[:n_seed].T @ past[:n_seed]
        kept = np.zeros(len(roll), np.int64)
        for row in range(n_seed, len(roll)):
            candidates = self.pool.chroma[drawn[row]].astype(np.float64)
            wanted = task.ssm[row, : row + 1].astype(np.float64)
            best = _squared_errors(candidates, gram, wanted[:row] @ past[:row], wanted[row])
            chosen = int(best.argmin())
            kept[row], past[row] = drawn[row, chosen], candidates[chosen]
            gram += np.outer(past[row], past[row])
        roll[n_seed:] = self.pool.rows(kept[n_seed:])
        return roll


def _squared_errors(
    candidates: npt.NDArray[np.float64],
    gram: npt.NDArray[np.float64],
    wanted_chroma: npt.NDArray[np.float64],
    wanted_self: float,
) -> npt.NDArray[np.float64]:
    """Return how far each candidate's row of the matrix is from the wanted one, but for a constant.

    With the past P (n_past, 12) and a candidate c, the squared error over the past is
    |P c - w|² = c' (P'P) c - 2 c' (P'w) + |w|². So a row costs the same however long the past is.
    The entry on the diagonal is 1 for a candidate that sounds and 0 for one that does not.

    Parameters
    ----------
    candidates : np.ndarray, shape=(M, 12)
    gram : np.ndarray, shape=(12, 12)
        P'P.
    wanted_chroma : np.ndarray, shape=(12,)
        P'w.
    wanted_self : float
        The wanted entry on the diagonal.
    """
    past = np.einsum("mi,mi->m", candidates @ gram, candidates) - 2.0 * candidates @ wanted_chroma
    itself = (candidates.any(axis=1) - wanted_self) ** 2
    errors: npt.NDArray[np.float64] = past + itself
    return errors
