"""A song whose beats have candidates: what its matrix wants of them, and which one stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.model.layout import Layout, overlap_from_grade
from singcli.model.plan import SamplingOptions
from singcli.model.steering import (
    OTHER_SOURCES,
    attraction,
    choose_candidate,
    note_errors,
    row_errors,
    steering_weight,
    wanted_row,
)
from singcli.structure.ssm import RHYTHM_COLUMNS, WINDOW_BEATS

Floats = npt.NDArray[np.float32]


class SteeredSong:
    """What has become of a song's matrix so far, and what is wanted of its next beat.

    Parameters
    ----------
    layout : Layout
    options : SamplingOptions
    """

    def __init__(self, layout: Layout, options: SamplingOptions) -> None:
        self._layout, self._options = layout, options
        n_beats = len(layout.grade)
        # The matrix of music is averaged; that of a form says what it means beat by beat.
        self._window_beats = WINDOW_BEATS if layout.plan.kind == "music" else 1
        self._features = np.zeros((n_beats, RHYTHM_COLUMNS.stop), np.float32)
        self._played = np.zeros((n_beats, n_beats), np.float32)
        self._wanted_row = np.zeros(0)

    def begin_beat(self, beat: int) -> Floats:
        """Return what speaks for every note of the beat, shape=(STEPS_PER_BEAT, 176)."""
        plan = self._layout.plan
        steers = self._options.steering > 0 and plan.kind != "none"
        self._wanted_row = np.zeros(0)
        if steers and 0 < beat < len(plan.ssm):
            self._wanted_row = wanted_row(
                plan.ssm, self._played, beat, window_beats=self._window_beats
            )
        return attraction(self._wanted_row, self._features, self._options.steering)

    def other_sources(self) -> tuple[npt.NDArray[np.intp], Floats, Floats]:
        """Return beats to look back at instead of the plan's: those that are to be most alike.

        Returns
        -------
        beats, grade, overlap : np.ndarray, shape=(n,)
            Of each its similarity and the notes wanted in common with it; none where the plan knows
            its repeats.
        """
        n = 0
        if self._layout.plan.known is None:
            n = int(self._options.candidates * OTHER_SOURCES)
        beats = np.argsort(-self._wanted_row, kind="stable")[:n]
        grade = self._wanted_row[beats].clip(0.0, 1.0).astype(np.float32)
        return beats, grade, overlap_from_grade(grade, self._options.strictness)

    def choose(
        self,
        features: Floats,
        onsets: npt.NDArray[np.bool_],
        last_lead: npt.NDArray[np.int64],
        uniform: float,
    ) -> int:
        """Return the candidate that is kept.

        Parameters
        ----------
        features : np.ndarray, shape=(M, n_features)
            Of `beat_features`.
        onsets : np.ndarray, shape=(M, STEPS_PER_BEAT, 2, N_PITCHES), bool
        last_lead : np.ndarray, shape=(M,)
            Last pitch of the lead before the beat.
        uniform : float
            In [0, 1).
        """
        rows = features @ self._features[: len(self._wanted_row)].T
        errors = row_errors(rows, self._wanted_row)
        errors += note_errors(onsets, last_lead, self._layout.plan.mode)
        return choose_candidate(errors, steering_weight(self._options.steering), uniform)

    def keep(self, beat: int, features: Floats) -> None:
        """Take in the features of the beat as it was played, shape=(n_features,)."""
        self._features[beat] = features
        self._played[beat, :beat] = self._features[:beat] @ features
