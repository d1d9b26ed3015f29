"""Steering: of several candidates for a beat keep one whose row of the SSM is as wanted.

A particle filter with one survivor a beat: kept with probability proportional to
exp(-strength * mean squared distance of the row).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def row_errors(candidates: Floats, past: Floats, wanted: Floats) -> npt.NDArray[np.float64]:
    """Return how far each candidate's row of the SSM is from the wanted one.

    Parameters
    ----------
    candidates : np.ndarray, shape=(M, n_features)
        `beat_features` of the candidates.
    past : np.ndarray, shape=(n_past, n_features)
    wanted : np.ndarray, shape=(n_past,)

    Returns
    -------
    np.ndarray, shape=(M,), float64
        Mean squared differences; 0 where there is no past.
    """
    if len(past) == 0:
        return np.zeros(len(candidates))
    difference = candidates @ past.T - wanted
    return np.asarray((difference.astype(np.float64) ** 2).mean(axis=1))


def choose_candidate(errors: npt.NDArray[np.float64], strength: float, uniform: float) -> int:
    """Draw a candidate with probability proportional to exp(-strength * error)."""
    weights = np.cumsum(np.exp(-strength * (errors - errors.min())))
    return int(np.count_nonzero(weights <= uniform * weights[-1]))
