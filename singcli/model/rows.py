"""Music as rows of pitches, and what every generator of such rows is asked for.

Conventions
-----------
- A row says which pitches sound in one beat (SING: one estimated beat, about 0.3 s); a row roll is
  bool, shape (n_rows, 128), column = MIDI pitch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from singcli.structure.row_ssm import Roll
from singcli.structure.ssm import Matrix


@dataclass(frozen=True, slots=True)
class RowTask:
    """One piece to be written.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_rows, n_rows), float32
        The wanted self-similarity.
    seed_rows : np.ndarray, shape=(n_seed_rows, 128), bool
        With which the piece begins; n_seed_rows <= n_rows.
    """

    ssm: Matrix
    seed_rows: Roll

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises
        ------
        ValueError
            If the matrix is not square or shorter than the given rows.
        """
        if self.ssm.shape != (self.n_rows, self.n_rows) or len(self.seed_rows) > self.n_rows:
            raise ValueError(f"ssm of {self.ssm.shape}, seed rows of {self.seed_rows.shape}")

    @property
    def n_rows(self) -> int:
        """Rows of the finished piece."""
        return len(self.ssm)


class RowGenerator(Protocol):
    """Whatever writes pieces of rows: a model or a baseline."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def generate(self, tasks: Sequence[RowTask], seeds: Sequence[int]) -> list[Roll]:
        """Write one piece for each task and seed.

        Returns
        -------
        list of np.ndarray, shape=(n_rows, 128), bool
            Whole rolls that begin with their seed rows. Result i depends on `tasks[i]` and
            `seeds[i]` alone, not on what else is asked for.
        """
