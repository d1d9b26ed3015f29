"""The dial at work: how strongly a row is drawn to its source, from what it has copied so far.

A fixed pull does not give the overlap that is wanted: a network that has begun to copy goes on
copying, one that has strayed goes on straying, and how much differs from form to form. So the pull
is controlled: the notes in common with the source are counted, and what is missing or too much
moves the pull of the next beat.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

HALF_SHIFT = 0.7  # shift of the log odds of copying where half of the notes are wanted
GAIN = 1.0  # change of the shift for every note that is missing or too much
MEMORY = 0.97  # of those notes, from beat to beat
MOST_SHIFT = 8.0
AIM_BELOW = 0.1  # times s (1 - s): bars of few notes keep more than their share of them


def open_shift(wanted: npt.ArrayLike) -> Floats:
    """Return the shift of the log odds of copying before anything has been counted.

    Parameters
    ----------
    wanted : array_like in [0, 1]
        Overlap with the source; NaN gives 0.

    Returns
    -------
    np.ndarray, float32
        -`MOST_SHIFT` to `MOST_SHIFT`, and infinite at 1.
    """
    overlap = np.asarray(wanted, np.float64)
    with np.errstate(divide="ignore"):
        shift = np.clip(HALF_SHIFT + np.log(overlap) - np.log1p(-overlap), -MOST_SHIFT, MOST_SHIFT)
    return _without_gaps(shift, overlap)


class CopyControl:
    """How many notes each row has in common with its sources beyond what was wanted.

    Parameters
    ----------
    n_rows : int
    """

    def __init__(self, n_rows: int) -> None:
        self._surplus = np.zeros(n_rows)

    def shift(self, wanted: Floats) -> Floats:
        """Return how far to move the log odds of copying in the next beat.

        Parameters
        ----------
        wanted : np.ndarray, shape=(n_rows,)
            Overlap with the source; NaN where there is nothing to control.

        Returns
        -------
        np.ndarray, shape=(n_rows,), float32
            -`MOST_SHIFT` to `MOST_SHIFT`; negative to hold copying back. 0 for NaN, infinite for 1.
        """
        shift = np.clip(open_shift(wanted) - GAIN * self._surplus, -MOST_SHIFT, MOST_SHIFT)
        return _without_gaps(shift, wanted)

    def count(self, common: Vector, either: Vector, wanted: Floats) -> None:
        """Count a finished beat.

        Parameters
        ----------
        common, either : np.ndarray, shape=(n_rows,)
            Onsets that the beat and its source have in common, and that one of them has.
        wanted : np.ndarray, shape=(n_rows,)
            Rows with NaN forget.
        """
        aim = wanted - AIM_BELOW * wanted * (1.0 - wanted)
        surplus = MEMORY * self._surplus + common - aim * either
        self._surplus = np.where(np.isnan(wanted), 0.0, surplus)

    def spread(self, row: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row that `row` says."""
        self._surplus = self._surplus[row]


def _without_gaps(shift: npt.NDArray[np.float64], wanted: npt.ArrayLike) -> Floats:
    overlap = np.asarray(wanted)
    gapless: Floats = np.where(
        overlap >= 1, np.inf, np.where(np.isnan(overlap), 0.0, shift)
    ).astype(np.float32)
    return gapless
