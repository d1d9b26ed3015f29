"""What stands beside every model in the benchmark and has learnt nothing.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 5: random notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from singcli.model.rows import RowTask
from singcli.structure.row_ssm import N_ROW_PITCHES, Roll

LOWEST_RANDOM_PITCH = 39
N_RANDOM_PITCHES = 50  # as many as the paper's sampler chooses from
N_RANDOM_NOTES = 3  # draws a row, so that a row has one to three notes


@dataclass(frozen=True, slots=True)
class RandomNotes:
    """Three notes of fifty in every row, drawn with replacement; the matrix is not looked at."""

    name: str = "random notes"

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[Roll]:
        """Return a roll of each task."""
        return [_random_roll(task, seed) for task, seed in zip(tasks, seeds, strict=True)]


def _random_roll(task: RowTask, seed: int) -> Roll:
    rng = np.random.default_rng(seed)
    roll = blank_roll(task)
    drawn = rng.integers(N_RANDOM_PITCHES, size=(len(roll), N_RANDOM_NOTES))
    first = len(task.seed_rows)
    rows = np.arange(first, len(roll))[:, None]
    roll[rows, LOWEST_RANDOM_PITCH + drawn[first:]] = True
    return roll


@dataclass(frozen=True, slots=True)
class CopiedRows:
    """Every row is the earlier one that it should resemble most, the first of several.

    So all rows are rows of the seed. The paper's attention with all of its weight on one row.
    """

    name: str = "copy the most similar row"

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[Roll]:
        """Return a roll of each task; the seeds make no difference."""
        return [_copied_roll(task) for task, _ in zip(tasks, seeds, strict=True)]


def _copied_roll(task: RowTask) -> Roll:
    roll = blank_roll(task)
    for row in range(max(len(task.seed_rows), 1), len(roll)):
        roll[row] = roll[task.ssm[row, :row].argmax()]
    return roll


def blanked_at_rests(task: RowTask, roll: Roll) -> Roll:
    """Return a finished roll emptied after the seed wherever the diagonal of the matrix is 0.

    What a matrix gives away: its empty rows are those of the music it was made from.
    """
    rests = np.diagonal(task.ssm) == 0
    rests[: len(task.seed_rows)] = False
    blanked: Roll = roll & ~rests[:, None]
    return blanked


def blank_roll(task: RowTask) -> Roll:
    """Return the seed rows followed by empty ones, shape=(n_rows, 128)."""
    roll = np.zeros((task.n_rows, N_ROW_PITCHES), np.bool_)
    roll[: len(task.seed_rows)] = task.seed_rows
    return roll
