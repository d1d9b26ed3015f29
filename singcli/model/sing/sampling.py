"""How SING draws the notes of a row.

Of the pitches within a range the likeliest `top_k` get probabilities by sparsemax; from these a few
pitches are drawn, with replacement, and all that were drawn sound. So a row has one to `draws`
notes and is never empty, a limit that the authors state.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from singcli.model.sing.attention import sparsemax
from singcli.structure.row_ssm import N_ROW_PITCHES

NO_PITCH = N_ROW_PITCHES  # in place of a pitch that was drawn before
InitialState = Literal["zeros", "random"]
INITIAL_STATES: tuple[InitialState, ...] = ("zeros", "random")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RowSampling:
    """How rows are drawn.

    Parameters
    ----------
    top_k : int > 0
        Pitches that stay in the choice.
    lowest, highest : int, 0 to 127
        Of the pitches that can sound.
    draws : int > 0
        Most notes of a row.
    initial_state : {"zeros", "random"}
        Of the LSTM before the first row; random is a standard normal.
    """

    top_k: int = 50
    lowest: int = 30
    highest: int = 97
    draws: int = 3
    initial_state: InitialState = "zeros"


def draw_pitches(
    logits: Floats, chances: npt.NDArray[np.float64], sampling: RowSampling
) -> npt.NDArray[np.int64]:
    """Draw the pitches of one row for each song of a batch.

    Parameters
    ----------
    logits : np.ndarray, shape=(n, 128), float32
    chances : np.ndarray, shape=(n, draws), float64 in [0, 1)
        Random numbers that decide.
    sampling : RowSampling

    Returns
    -------
    np.ndarray, shape=(n, draws), int64
        Pitches; `NO_PITCH` in place of those that were drawn before.
    """
    probabilities = row_probabilities(logits, sampling)
    heights = np.cumsum(probabilities, axis=-1, dtype=np.float64)
    wanted = (chances * heights[:, -1:])[:, :, None]
    place = np.count_nonzero(heights[:, None, :] <= wanted, axis=-1)
    pitches: npt.NDArray[np.int64] = np.minimum(sampling.lowest + place, sampling.highest)
    drawn = np.sort(pitches, axis=-1)
    drawn[:, 1:][drawn[:, 1:] == drawn[:, :-1]] = NO_PITCH
    return drawn


def row_probabilities(logits: Floats, sampling: RowSampling) -> Floats:
    """Return how likely each pitch of the range is in a draw.

    Returns
    -------
    np.ndarray, shape=(n, highest - lowest + 1), float32
        Rows of sum 1. Pitches that share the last place among the `top_k` all stay in.
    """
    scores = logits[:, sampling.lowest : sampling.highest + 1]
    if sampling.top_k < scores.shape[-1]:
        least = np.partition(scores, -sampling.top_k, axis=-1)[:, -sampling.top_k, None]
        scores = np.where(scores >= least, scores, -np.inf)
    return sparsemax(scores)
