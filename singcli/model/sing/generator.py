"""SING as a generator of rows: tasks in, rolls out, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from singcli.model.rows import RowTask
from singcli.model.sing.attention import Attention, attention_from_ssm
from singcli.model.sing.roll_out import Piece, piece_from_seed, roll_out
from singcli.model.sing.runtime import SingRuntime
from singcli.structure.row_ssm import Roll

PIECES_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class SingGenerator:
    """A model file of SING that writes pieces; see `RowGenerator`."""

    runtime: SingRuntime

    @property
    def name(self) -> str:
        """The model's own name."""
        return self.runtime.card.name

    def generate(
        self,
        tasks: Sequence[RowTask],
        seeds: Sequence[int | np.random.SeedSequence],
        *,
        on_pieces: Callable[[int], None] = lambda _done: None,
    ) -> list[Roll]:
        """Write one piece for each task and seed.

        Parameters
        ----------
        tasks : sequence of RowTask
        seeds : sequence of int or SeedSequence
        on_pieces : callable
            Called with the number of finished pieces.

        Returns
        -------
        list of np.ndarray, shape=(n_rows, 128), bool
        """
        rolls: dict[int, Roll] = {}
        by_length = sorted(range(len(tasks)), key=lambda k: -tasks[k].n_rows)
        for first in range(0, len(tasks), PIECES_AT_ONCE):
            part = by_length[first : first + PIECES_AT_ONCE]
            pieces = [self._piece(tasks[k], seeds[k]) for k in part]
            written = roll_out(self.runtime, pieces, self.runtime.card.sampling)
            rolls |= dict(zip(part, written, strict=True))
            on_pieces(len(rolls))
        return [rolls[k] for k in range(len(tasks))]

    def _piece(self, task: RowTask, seed: int | np.random.SeedSequence) -> Piece:
        card = self.runtime.card
        attention = (
            attention_from_ssm(task.ssm) if card.attention else Attention.nothing(task.n_rows)
        )
        return piece_from_seed(task.seed_rows, attention, seed, card.sampling)
