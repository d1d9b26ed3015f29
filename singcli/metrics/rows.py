"""What a row roll is like: its guards, and how its rows follow one another.

A structure measure alone can be won by rows that have nothing to do with each other, so the guards
tell whether the rows are as varied and as full as those of real music, and the measures of
continuity whether one row leads to the next.

Conventions
-----------
- A row roll is bool, shape (n_rows, 128); column = MIDI pitch. A row is about 0.3 s.
- Rows hold no onsets: a pitch that sounds in two rows in turn counts as held.
- Counts of whole numbers are arrays, int64, whose index is the number (or the number + `OFFSET`),
  so that those of several rolls can be added.
- A mean over nothing is None.

References
----------
Yang, Lerch, "On the evaluation of generative models in music" (Neural Computing and Applications
2020), section 4.1: pitch count, note length histogram, pitch intervals.
Dong, Hsiao, Yang, Yang, "MuseGAN" (AAAI 2018), section 5.2: empty bars, used pitch classes.
Vaserstein, "Markov processes over denumerable products of spaces" (1969), and Rubner, Tomasi,
Guibas, "The earth mover's distance as a metric for image retrieval" (IJCV 2000).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.structure.row_ssm import N_ROW_PITCHES, Roll

Counts = npt.NDArray[np.int64]
Weights = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]

OFFSET = N_ROW_PITCHES - 1  # index of the interval 0
N_INTERVALS = 2 * OFFSET + 1


class Guards(NamedTuple):
    """How varied and how full rows are; every field is the function of the same name."""

    distinct_pitches: int
    unique_rows: float
    notes_per_row: float
    empty_rows: float


def row_guards(roll: Roll) -> Guards:
    """Measure all guards of rows, one at least."""
    return Guards(distinct_pitches(roll), unique_rows(roll), notes_per_row(roll), empty_rows(roll))


def distinct_pitches(roll: Roll) -> int:
    """Return how many pitches sound in any row (pitch count, Yang and Lerch 2020)."""
    return int(roll.any(axis=0).sum())


def unique_rows(roll: Roll) -> float:
    """Return the number of different rows over the number of rows, in (0, 1].

    Notes
    -----
    Source: the table of our own measurement of SING. All empty rows are one row.
    """
    return len(np.unique(np.packbits(roll, axis=1), axis=0)) / len(roll)


def notes_per_row(roll: Roll) -> float:
    """Return the mean number of pitches in a row, empty rows counted (density)."""
    return float(roll.sum()) / len(roll)


def empty_rows(roll: Roll) -> float:
    """Return the share of the rows in which nothing sounds, in [0, 1].

    Notes
    -----
    Source: ratio of empty bars (EB), Dong et al. (2018); differs: rows.
    """
    return 1.0 - float(roll.any(axis=1).mean())


def held_share(roll: Roll) -> float | None:
    """Return the share of the notes that sounded in the row before as well.

    Parameters
    ----------
    roll : np.ndarray, shape=(n_rows, 128), bool
        The notes of the first row are not counted.

    Returns
    -------
    float in [0, 1], or None without notes after the first row
    """
    n_notes = int(roll[1:].sum())
    return int((roll[1:] & roll[:-1]).sum()) / n_notes if n_notes else None


def note_lengths(roll: Roll) -> Counts:
    """Count notes by the number of rows that they sound through.

    Returns
    -------
    np.ndarray, shape=(n_rows + 1,), int64
        Index = rows. What sounds on at either end of the roll counts as far as it is seen.

    Notes
    -----
    Source: note length histogram, Yang and Lerch (2020); differs: whole rows.
    """
    edge = np.zeros((1, roll.shape[1]), np.int8)
    change = np.diff(roll.astype(np.int8), axis=0, prepend=edge, append=edge).T
    starts, ends = np.nonzero(change == 1)[1], np.nonzero(change == -1)[1]  # pitch by pitch
    return np.bincount(ends - starts, minlength=len(roll) + 1).astype(np.int64)


def top_intervals(roll: Roll) -> Counts:
    """Count the intervals between the highest pitches of two rows in turn.

    Rows beside an empty row make no interval with it; a top note that is held has the interval 0.

    Returns
    -------
    np.ndarray, shape=(N_INTERVALS,), int64
        Index = semitones upwards + `OFFSET`.

    Notes
    -----
    Source: pitch interval (PI), Yang and Lerch (2020); differs: of the top line, row by row.
    """
    top = N_ROW_PITCHES - 1 - roll[:, ::-1].argmax(axis=1)
    sounding = np.asarray(roll.any(axis=1))
    intervals = np.diff(top)[sounding[1:] & sounding[:-1]]
    return np.bincount(intervals + OFFSET, minlength=N_INTERVALS).astype(np.int64)


def wasserstein(reference: Weights, estimated: Weights) -> npt.NDArray[np.float64]:
    """Return the 1-Wasserstein (earth mover's) distance of distributions of whole numbers.

    Parameters
    ----------
    reference, estimated : np.ndarray, shape=(..., n_classes)
        Counts, at least 0; neighbouring classes are 1 apart.

    Returns
    -------
    np.ndarray, shape=(...,), float64
        In the unit of the classes, 0 for the same distribution; NaN where one of them is empty.

    Raises
    ------
    ValueError
        If the numbers of classes differ.
    """
    if reference.shape[-1] != estimated.shape[-1]:
        raise ValueError(f"{reference.shape[-1]} classes, but {estimated.shape[-1]} estimated ones")
    below = [_shares(counts).cumsum(axis=-1) for counts in (reference, estimated)]
    distance: npt.NDArray[np.float64] = np.abs(below[0] - below[1]).sum(axis=-1)
    return distance


def _shares(counts: Weights) -> npt.NDArray[np.float64]:
    total = counts.sum(axis=-1, keepdims=True).astype(np.float64)
    shares: npt.NDArray[np.float64] = counts / np.where(total > 0, total, np.nan)
    return shares
