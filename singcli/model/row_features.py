"""What the pointer network sees of rows of pitches: a step is a row, a note is a run of one pitch.

Conventions
-----------
- A row roll is bool, shape (n_rows, 128), column = MIDI pitch. Pitches outside the piano's 88 are
  not seen.
- All notes belong to the accompaniment; rolls in token order have 176 columns, as in `contract`.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024): the rows, and the user's matrix as attention over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.model.contract import (
    BARS_AGO,
    N_NOTE_TOKENS,
    N_PLACE,
    NO_DURATION,
    NO_VELOCITY,
    PLACE_SIZES,
    SSM_KINDS,
    SsmKind,
    duration_classes,
)
from singcli.model.features import TokenScore
from singcli.music.score import MIN_PITCH, N_PITCHES
from singcli.structure.alignment import RepeatMap, all_new, context_weights, repeat_map_from_ssm
from singcli.structure.row_ssm import N_ROW_PITCHES, Roll
from singcli.structure.ssm import Matrix

Floats = npt.NDArray[np.float32]

ROWS_A_BAR = 8  # what stands for a bar: about two and a half seconds
ROW_VELOCITY = 3  # class of every note: rows do not know how loud they are
_PITCHES = slice(MIN_PITCH, MIN_PITCH + N_PITCHES)
_KIND = sum(PLACE_SIZES[:4])  # columns of the place
_SOUND = sum(PLACE_SIZES[:6])


def tokens_from_roll(roll: Roll) -> npt.NDArray[np.bool_]:
    """Bring a row roll into token order.

    Returns
    -------
    np.ndarray, shape=(n_rows, 176), bool
    """
    tokens = np.zeros((len(roll), N_NOTE_TOKENS), np.bool_)
    tokens[:, N_PITCHES:] = roll[:, _PITCHES]
    return tokens


def roll_from_rows(tokens: npt.NDArray[np.bool_]) -> Roll:
    """Bring rows in token order back into a row roll, shape=(n_rows, 128)."""
    roll = np.zeros((len(tokens), N_ROW_PITCHES), np.bool_)
    roll[:, _PITCHES] = tokens[:, :N_PITCHES][:, ::-1] | tokens[:, N_PITCHES:]
    return roll


def row_tokens(roll: Roll) -> TokenScore:
    """Take the runs of each pitch as notes of one velocity, a step a row."""
    sounding = tokens_from_roll(roll)
    before = np.concatenate([np.zeros_like(sounding[:1]), sounding[:-1]])
    onsets = sounding & ~before
    falls = np.concatenate([~sounding[1:], np.ones_like(sounding[:1])])
    end = np.where(sounding & falls, np.arange(1, len(roll) + 1)[:, None], len(roll) + 1)
    end = np.minimum.accumulate(end[::-1], axis=0)[::-1]
    step, token = np.nonzero(onsets)
    duration = duration_classes(end[step, token] - step)
    duration_map = np.full(onsets.shape, NO_DURATION, np.int8)
    duration_map[step, token] = duration
    velocity_map = np.full(onsets.shape, NO_VELOCITY, np.int8)
    velocity_map[step, token] = ROW_VELOCITY
    velocity = np.full(len(step), ROW_VELOCITY)
    return TokenScore(step, token, duration, velocity, onsets, sounding, duration_map, velocity_map)


@dataclass(frozen=True, slots=True)
class RowPlan:
    """A wanted matrix laid out for the network.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_rows, n_rows), float32
    repeat_map : RepeatMap
    weights : np.ndarray, shape=(n_rows, n_rows), float32
        Of the soft context; zeros for the kind "none".
    place : np.ndarray, shape=(n_rows, N_PLACE), float32
    silent : np.ndarray, shape=(n_rows,), bool
        Rows without a sound: their diagonal is 0.
    """

    ssm: Matrix
    repeat_map: RepeatMap
    weights: Floats
    place: Floats
    silent: npt.NDArray[np.bool_]

    @classmethod
    def from_ssm(
        cls, ssm: Matrix, *, kind: SsmKind, temperature: float, continuation_bonus: float
    ) -> RowPlan:
        """Read sources and weights from a matrix, or none of them for the kind "none".

        No row has the one just before it as its source: what is held says that already, and the
        draft of the next row would be the row that is to be written.
        """
        n_rows = len(ssm)
        blank = kind == "none"
        silent = np.zeros(n_rows, np.bool_) if blank else ssm.diagonal() == 0
        return cls(
            ssm=ssm,
            repeat_map=all_new(n_rows)
            if blank
            else repeat_map_from_ssm(np.tril(ssm, -2), continuation_bonus=continuation_bonus),
            weights=np.zeros_like(ssm) if blank else context_weights(ssm, temperature=temperature),
            place=row_places(n_rows, kind, silent),
            silent=silent,
        )


def row_places(n_rows: int, kind: SsmKind, silent: npt.NDArray[np.bool_]) -> Floats:
    """Tell each row the kind of matrix, and whether it is to sound where that is known.

    Returns
    -------
    np.ndarray, shape=(n_rows, N_PLACE), float32
        The columns of the kind, and those of the tune for silent and sounding rows.
    """
    place = np.zeros((n_rows, N_PLACE), np.float32)
    place[:, _KIND + SSM_KINDS.index(kind)] = 1.0
    if kind != "none":
        place[np.arange(n_rows), _SOUND + (~silent).astype(np.int64)] = 1.0
    return place


def rows_ago(n_rows: int) -> npt.NDArray[np.int64]:
    """Return the rows 1, 2 and 4 bars of `ROWS_A_BAR` before each, -1 where there is none.

    Returns
    -------
    np.ndarray, shape=(len(BARS_AGO), n_rows), int64
    """
    ago: npt.NDArray[np.int64] = np.arange(n_rows) - ROWS_A_BAR * np.array(BARS_AGO)[:, None]
    return np.maximum(ago, -1)
