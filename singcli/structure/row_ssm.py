"""The self-similarity matrix of a row roll: the paper's own.

Conventions
-----------
- A row roll is bool, shape (n_rows, 128): which pitches sound in each row; column = MIDI pitch.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3: chroma rows compared by cosine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.structure.ssm import Matrix, ssm_from_features, unit_rows

Roll = npt.NDArray[np.bool_]

N_ROW_PITCHES = 128
N_CLASSES = 12


def row_chroma(roll: Roll) -> npt.NDArray[np.float32]:
    """Count the pitches of each pitch class.

    Parameters
    ----------
    roll : np.ndarray, shape=(n_rows, 128), bool

    Returns
    -------
    np.ndarray, shape=(n_rows, 12), float32
        Pitch class 0 is C.
    """
    n_octaves = -(-N_ROW_PITCHES // N_CLASSES)
    padded = np.zeros((len(roll), n_octaves * N_CLASSES), np.float32)
    padded[:, :N_ROW_PITCHES] = roll
    counts: npt.NDArray[np.float32] = padded.reshape(len(roll), n_octaves, N_CLASSES).sum(axis=1)
    return counts


def row_ssm(roll: Roll) -> Matrix:
    """Compare all rows by the cosine of their chroma.

    Parameters
    ----------
    roll : np.ndarray, shape=(n_rows, 128), bool

    Returns
    -------
    np.ndarray, shape=(n_rows, n_rows), float32 in [0, 1]
        An empty row has 0 everywhere, on the diagonal as well.

    Notes
    -----
    Source: SING, section 3.
    """
    return ssm_from_features(unit_rows(row_chroma(roll)))
