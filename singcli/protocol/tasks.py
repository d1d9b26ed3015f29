"""What every entrant is given: the matrix of a test segment and its first rows, in four ways.

A controller is real only if music made with the wanted matrix is nearer to it than music of the
same dice made without any, with the same entries in disorder, or with another piece's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from singcli.errors import InputError
from singcli.model.rows import RowTask
from singcli.row_dataset import Segment
from singcli.structure.row_ssm import Roll, row_ssm
from singcli.structure.ssm import Matrix

N_SEED_ROWS = 10  # the paper's
Way = Literal["wanted", "none", "shuffled", "another"]
WANTED: Way = "wanted"
WAYS: tuple[Way, ...] = get_args(Way)


def piece_of(segment: Segment) -> str:
    """Return the piece that a segment is part of."""
    return segment.id.rpartition("#")[0]


def task(segments: Sequence[Segment], index: int, way: Way, *, seed: int) -> RowTask:
    """Return the task that segment `index` sets in one of the ways.

    Parameters
    ----------
    segments : sequence of Segment
        All that the benchmark runs over; "another" takes its matrix from one of them.
    index : int
    way : {"wanted", "none", "shuffled", "another"}
    seed : int >= 0
        For the disorder of "shuffled".
    """
    roll = segments[index].roll
    ssm = row_ssm(another_roll(segments, index) if way == "another" else roll)
    if way == "none":
        ssm = flat_matrix(ssm)
    elif way == "shuffled":
        order = np.random.default_rng(seed).permutation(len(ssm))
        ssm = ssm[np.ix_(order, order)]
    return RowTask(ssm, roll[:N_SEED_ROWS])


def flat_matrix(ssm: Matrix) -> Matrix:
    """Return a matrix without structure: the mean of all others everywhere, 1 on the diagonal.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_rows, n_rows)
    """
    n_pairs = max(ssm.size - len(ssm), 1)
    mean = (ssm.sum(dtype=np.float64) - np.trace(ssm, dtype=np.float64)) / n_pairs
    flat = np.full_like(ssm, mean)
    np.fill_diagonal(flat, 1.0)
    return flat


def another_roll(segments: Sequence[Segment], index: int) -> Roll:
    """Return the roll of another piece, cut to the length of segment `index`.

    The first after it (from the end on to the beginning) whose length is nearest from above; if
    all are shorter, the longest of them, begun again at its end.

    Raises
    ------
    InputError
        If all segments are of one piece.
    """
    own = segments[index]
    n_rows = len(own.roll)
    others = [
        s for s in (*segments[index + 1 :], *segments[:index]) if piece_of(s) != piece_of(own)
    ]
    if not others:
        raise InputError(
            f"{own.id}: no other piece among the test segments to take a matrix from",
            "evaluate over more segments",
        )
    longer = [segment for segment in others if len(segment.roll) >= n_rows]
    if longer:
        return min(longer, key=lambda segment: len(segment.roll)).roll[:n_rows]
    longest = max(others, key=lambda segment: len(segment.roll)).roll
    return longest[np.arange(n_rows) % len(longest)]
