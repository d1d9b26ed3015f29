"""The outer lines of the rows that are being sampled: last lead and bass notes, articulation.

The same as `features.last_lead`, `last_bass` and `articulation`, step by step instead of at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.model.contract import N_NOTE_TOKENS, NO_BASS, NO_LEAD
from singcli.model.features import (
    ENDINGS_AT_FIRST,
    articulation_columns,
    ending_outcomes,
    lead_age,
    mean_endings,
)
from singcli.music.score import N_PITCHES

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

LONG_AGO = -(10**6)


class OuterLines:
    """Last lead and bass note of R rows, and how the lead's notes have ended.

    Attributes
    ----------
    lead, bass : np.ndarray, shape=(R,), int64
        0 to 87; `NO_LEAD` and `NO_BASS` before the first.
    lead_step : np.ndarray, shape=(R,), int64
        Where the last lead note began.
    """

    def __init__(self, n_rows: int) -> None:
        self.lead = np.full(n_rows, NO_LEAD, np.int64)
        self.bass = np.full(n_rows, NO_BASS, np.int64)
        self.lead_step = np.full(n_rows, LONG_AGO, np.int64)
        self._heard_step = np.full(n_rows, LONG_AGO, np.int64)  # the latest in which a lead sounds
        self._outcomes = np.zeros((n_rows, 2), np.float32)  # were a note of the lead to begin
        self._endings = np.tile(ENDINGS_AT_FIRST, (n_rows, 1))

    def inputs(self, step: int, carried: npt.NDArray[np.bool_]) -> Arrays:
        """Return what the step part is told of them.

        Parameters
        ----------
        carried : np.ndarray, shape=(R, 176), bool
            Notes held over into this step.
        """
        held: npt.NDArray[np.bool_] = np.any(carried[:, :N_PITCHES], axis=1)
        self._outcomes = ending_outcomes(held, step - 1 - self._heard_step)
        return {
            "articulation": articulation_columns(held, self._outcomes, self._endings),
            "lead": self.lead.copy(),
            "lead_age": lead_age(step - self.lead_step)[:, None],
            "bass": self.bass.copy(),
        }

    def follow(
        self, step: int, onsets: npt.NDArray[np.bool_], sounding: npt.NDArray[np.bool_]
    ) -> None:
        """Take in what the step played, both (R, 176); the outer note of an onset counts."""
        lead, accompaniment = onsets[:, :N_PITCHES], onsets[:, N_PITCHES:N_NOTE_TOKENS]
        struck = np.flatnonzero(lead.any(axis=1))
        if len(struck):
            ended = struck[self._heard_step[struck] != LONG_AGO]
            self._endings[ended] = mean_endings(self._endings[ended], self._outcomes[ended])
            self.lead[struck] = N_PITCHES - 1 - lead[struck].argmax(axis=1)
            self.lead_step[struck] = step
        self._heard_step[sounding[:, :N_PITCHES].any(axis=1)] = step
        struck = np.flatnonzero(accompaniment.any(axis=1))
        if len(struck):
            self.bass[struck] = accompaniment[struck].argmax(axis=1)

    def spread(self, source: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row `source` says."""
        for name in ("lead", "bass", "lead_step", "_heard_step", "_endings"):
            setattr(self, name, getattr(self, name)[source])
