"""The likelihood of rows under a small LSTM that has nothing to do with the music it judges.

The network is trained on the train split alone (`singcli.training.scorer`) and is none of those
that are compared. Given the rows before, every pitch of the next row sounds or not, independently:
the row LSTM that the field has as its simplest baseline.

Contract
--------
Input `previous` (n_rows, n, 128) float32: the row before each, zeros before the first. Output
`logits` (n_rows, n, 128) float32. The file's card names the architecture `ROW_SCORER`.

References
----------
Boulanger-Lewandowski, Bengio, Vincent, "Modeling temporal dependencies in high-dimensional
sequences" (ICML 2012): likelihood of piano-roll rows, the RNN baseline.
Hochreiter, Schmidhuber, "Long short-term memory" (Neural Computation 1997).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.model.runtime import model_bytes, opened_file, validate_trial
from singcli.structure.row_ssm import N_ROW_PITCHES, Roll

ROW_SCORER = "row-scorer"
CARD_VERSION = 1
ROLLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class RowScorer:
    """A scorer ready to run on one thread.

    Parameters
    ----------
    card : mapping
        What the file says of itself: `training` with data, sizes and figures, `licence`.
    sha256 : str
        Of the file.
    session : onnxruntime.InferenceSession
    """

    card: Mapping[str, Any]
    sha256: str
    session: Any

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file of a scorer.

        Raises
        ------
        InputError
            If it is missing, damaged, or not a scorer of this version.
        """
        return cls.from_bytes(model_bytes(path), source=str(path))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str) -> Self:
        """Open a scorer from the bytes of its file; `source` names it in errors."""
        file = opened_file(content, source=source)
        try:
            card = json.loads(file.card or "{}")
            kind, version = card.get("architecture"), card.get("version")
        except (ValueError, AttributeError, RecursionError):
            card, kind, version = {}, None, None
        if kind != ROW_SCORER:
            raise InputError(
                f"{source}: architecture = {kind!r}, allowed: {ROW_SCORER!r}",
                "give --scorer the file that benchmarks/sing.py trained",
            )
        inputs = {name: shape[2:] for name, shape in file.inputs.items()}
        is_known = version == CARD_VERSION and "logits" in file.outputs
        if not is_known or inputs != {"previous": [N_ROW_PITCHES]}:
            raise InputError(
                f"{source}: scorer version {version!r} with the inputs {inputs}, this singcli "
                f"reads version {CARD_VERSION}",
                "train it again with benchmarks/sing.py",
            )
        blank = np.zeros((2, 1, N_ROW_PITCHES), np.float32)
        validate_trial(
            lambda: {"logits": file.session.run(["logits"], {"previous": blank})[0]},
            {"logits": blank.shape},
            source=source,
        )
        return cls(card, file.sha256, file.session)

    def nats_per_row(self, rolls: Sequence[Roll], *, n_given: int) -> list[float]:
        """Return the mean negative log-likelihood of each roll's rows, in nats a row.

        Parameters
        ----------
        rolls : sequence of np.ndarray, shape=(n_rows, 128), bool
        n_given : int >= 0
            Rows at the beginning that are listened to and not judged; less than any roll has.
        """
        order = sorted(range(len(rolls)), key=lambda index: len(rolls[index]))
        found: dict[int, float] = {}
        for first in range(0, len(order), ROLLS_AT_ONCE):
            chosen = order[first : first + ROLLS_AT_ONCE]
            nats = self._nats([rolls[index] for index in chosen])
            for column, index in enumerate(chosen):
                found[index] = float(nats[n_given : len(rolls[index]), column].mean())
        return [found[index] for index in range(len(rolls))]

    def _nats(self, rolls: Sequence[Roll]) -> npt.NDArray[np.float64]:
        """Return the nats of every row, shape=(longest, n); what follows a roll's end is noise."""
        rows = np.zeros((max(map(len, rolls)), len(rolls), N_ROW_PITCHES), np.float32)
        for column, roll in enumerate(rolls):
            rows[: len(roll), column] = roll
        previous = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
        (logits,) = self.session.run(["logits"], {"previous": previous})
        nats = np.logaddexp(0.0, logits) - rows * logits  # of Bernoulli variables
        total: npt.NDArray[np.float64] = nats.sum(axis=-1, dtype=np.float64)
        return total
