"""The attention of SING: how much each earlier row counts, from the wanted matrix alone.

Row t of the weights is sparsemax(SSM[t, :t]). The matrix is known beforehand, so all weights of a
piece are computed at once and kept without their zeros.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3.
Martins and Astudillo, "From Softmax to Sparsemax" (ICML 2016), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.structure.ssm import Matrix

ROWS_AT_ONCE = 64  # of a matrix; what is sorted stays in the cache


@dataclass(frozen=True, slots=True)
class Attention:
    """The weights of all rows of a piece, row after row, without zeros.

    Parameters
    ----------
    first : np.ndarray, shape=(n_rows + 1,), int64
        Row t has the weights `first[t]` to `first[t + 1]` (exclusive); row 0 has none.
    source : np.ndarray, shape=(n_weights,), int32
        The earlier row that a weight belongs to, rising within each row.
    weight : np.ndarray, shape=(n_weights,), float32
        Above 0; those of a row sum to 1.
    """

    first: npt.NDArray[np.int64]
    source: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]

    @classmethod
    def nothing(cls, n_rows: int) -> Attention:
        """Return the attention of a network that has none."""
        return cls(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.first) - 1

    def dense(self) -> Matrix:
        """Return the weights as a matrix, shape=(n_rows, n_rows), 0 on and above the diagonal."""
        weights = np.zeros((self.n_rows, self.n_rows), np.float32)
        row = np.repeat(np.arange(self.n_rows), np.diff(self.first))
        weights[row, self.source] = self.weight
        return weights


def sparsemax(scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the point of the simplex nearest to each row of scores.

    Parameters
    ----------
    scores : np.ndarray, shape=(..., n)
        Minus infinity where a weight is to be 0.

    Returns
    -------
    np.ndarray, shape=(..., n), float32 in [0, 1]
        Rows of sum 1; zeros where all scores of a row are minus infinity.
    """
    falling = np.sort(-scores, axis=-1)  # the scores from high to low, with the other sign
    total = np.cumsum(falling, axis=-1, dtype=np.float64)
    rank = np.arange(1, scores.shape[-1] + 1, dtype=np.float32)
    size = np.count_nonzero(falling * rank < total + 1, axis=-1, keepdims=True)
    in_support = np.take_along_axis(total, np.maximum(size - 1, 0), axis=-1)
    threshold = np.where(size > 0, -(in_support + 1) / np.maximum(size, 1), 0).astype(np.float32)
    weights: npt.NDArray[np.float32] = np.maximum(scores - threshold, 0, dtype=np.float32)
    return weights


def attention_from_ssm(ssm: Matrix) -> Attention:
    """Return the weights of all rows of a piece.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_rows, n_rows), float32
    """
    n_rows = len(ssm)
    counts = np.zeros(n_rows, np.int64)
    sources, weights = [], []
    for low in range(0, n_rows, ROWS_AT_ONCE):
        high = min(low + ROWS_AT_ONCE, n_rows)
        later = np.arange(high) >= np.arange(low, high)[:, None]
        block = sparsemax(np.where(later, -np.inf, ssm[low:high, :high]))
        place = np.flatnonzero(block)
        row, source = np.divmod(place, high)
        counts[low:high] = np.bincount(row, minlength=high - low)
        sources.append(source.astype(np.int32))
        weights.append(block.ravel()[place])
    return Attention(
        first=np.concatenate([[0], np.cumsum(counts)]),
        source=np.concatenate(sources) if sources else np.zeros(0, np.int32),
        weight=np.concatenate(weights) if weights else np.zeros(0, np.float32),
    )
