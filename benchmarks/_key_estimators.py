"""Estimators of keys: published profiles, and singcli's weights and shares fitted anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from singcli.metrics.tonality import KRUMHANSL_KESSLER
from singcli.music.key import Key, Mode
from singcli.music.modulation import shares_of_beats
from singcli.music.score import Score

Arrays = npt.NDArray[np.float64]
Estimator = Callable[[Arrays], Key]

MODES: tuple[Mode, ...] = ("major", "minor")
RIDGE = 1e-5
PROFILES = {
    "Krumhansl-Kessler (1982)": KRUMHANSL_KESSLER,
    "Temperley (1999)": (
        (5, 2, 3.5, 2, 4.5, 4, 2, 4.5, 2, 3.5, 1.5, 4),
        (5, 2, 3.5, 4.5, 2, 4, 2, 4.5, 3.5, 2, 1.5, 4),
    ),
    "Kostka-Payne (Temperley 2007)": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
    "Bellman-Budge (2005)": (
        (16.8, 0.86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.8, 8.04, 0.62, 10.57),
        (18.16, 0.69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, 0.92, 10.21),
    ),
    "Albrecht-Shanahan (2013)": (
        (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
        (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
    ),
}


def pitch_class_shares(score: Score) -> Arrays:
    """Return the share of the sounding time of each pitch class, shape=(12,)."""
    weights = np.bincount(score.pitch % 12, weights=score.duration, minlength=12)
    shares: Arrays = weights / weights.sum()
    return shares


def by_correlation(profiles: Sequence[Sequence[float]]) -> Estimator:
    """Return the estimator of Krumhansl and Schmuckler with a major and a minor profile."""
    rows = np.array([np.roll(row, tonic) for row in profiles for tonic in range(12)])
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def estimate(shares: Arrays) -> Key:
        mode, tonic = divmod(int(np.argmax(rows @ shares)), 12)
        return Key(tonic, MODES[mode])

    return estimate


def fitted_weights(shares: Arrays, keys: Sequence[Key]) -> Arrays:
    """Fit the weights of `estimate_key`, shape=(2, 12), tonic first.

    Softmax regression over the 24 keys with weights that are shared by rotation, a ridge of
    `RIDGE`; then each mode's weights are centred, as the estimator does it.
    """
    from scipy.optimize import minimize

    rotations = (np.arange(12) + np.arange(12)[:, None]) % 12
    seen = shares[:, rotations]  # (n, tonic, interval)
    right = np.array([MODES.index(key.mode) * 12 + key.tonic for key in keys])
    each = np.arange(len(keys))

    def loss(flat: Arrays) -> tuple[float, Arrays]:
        score = np.einsum("nti,mi->nmt", seen, flat.reshape(2, 12)).reshape(len(keys), 24)
        chance = np.exp(score - score.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        value = -np.log(chance[each, right]).mean() + RIDGE * (flat**2).sum()
        chance[each, right] -= 1
        slope = np.einsum("nmt,nti->mi", chance.reshape(-1, 2, 12), seen) / len(keys)
        return float(value), slope.ravel() + 2 * RIDGE * flat

    found = minimize(loss, np.zeros(24), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    weights: Arrays = found.x.reshape(2, 12)
    weights -= weights.mean(axis=1, keepdims=True)
    return weights


def reference_shares(scores: Sequence[Score]) -> Arrays:
    """Return the share of each pitch class in the reference key, both modes equally, shape=(12,).

    Parameters
    ----------
    scores : sequence of Score
        With their keys.
    """
    of_mode: dict[Mode, Arrays] = {mode: np.zeros(12) for mode in MODES}
    for score in scores:
        if score.key is not None:
            total = shares_of_beats(score).sum(axis=0)
            of_mode[score.key.mode] += np.roll(total / total.sum(), score.key.shift_to_reference)
    mean: Arrays = np.mean([total / total.sum() for total in of_mode.values()], axis=0)
    return mean
