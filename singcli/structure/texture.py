"""Texture: how much music resembles itself at a distance, whatever its form.

A form says which sections repeat. Real songs also resemble themselves from beat to beat, bar to
bar and phrase to phrase; a model that has seen real self-similarity matrices expects that grain
under the stripes of a form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Texture:
    """Mean similarity of two beats as a sum of terms of their distance (lag).

    Parameters
    ----------
    floor : float
        Similarity of beats far apart and out of step.
    near : float
        Added at small lags, falling by a factor e every `near_beats` beats.
    near_beats : float > 0
        Reach of `near`, in beats.
    half_bar, bar, phrase, period : float
        Added where the lag is a whole number of half bars (2 beats in 4/4), of bars, of four bars
        and of eight bars.
    """

    floor: float
    near: float
    near_beats: float
    half_bar: float
    bar: float
    phrase: float
    period: float

    def lag_profile(self, n_lags: int, beats_per_bar: int) -> npt.NDArray[np.float32]:
        """Return the similarity for lags 0 to `n_lags` - 1, in beats.

        Returns
        -------
        np.ndarray, shape=(n_lags,), float32 in [0, 1]
        """
        lag = np.arange(n_lags)
        profile = self.floor + self.near * np.exp(-lag / self.near_beats)
        for height, beats in (
            (self.half_bar, beats_per_bar / 2),
            (self.bar, beats_per_bar),
            (self.phrase, 4 * beats_per_bar),
            (self.period, 8 * beats_per_bar),
        ):
            profile = profile + height * (lag % beats == 0)
        return np.clip(profile, 0.0, 1.0).astype(np.float32)

    def scaled(self, gain: float) -> Texture:
        """Return the texture with its grain (everything but the floor) multiplied by `gain`."""
        return Texture(
            self.floor,
            self.near * gain,
            self.near_beats,
            self.half_bar * gain,
            self.bar * gain,
            self.phrase * gain,
            self.period * gain,
        )


def fit_texture(ssms: list[npt.NDArray[np.float32]], beats_per_bar: int, n_lags: int) -> Texture:
    """Fit a texture to the mean lag profile of self-similarity matrices, by least squares.

    Parameters
    ----------
    ssms : list of np.ndarray, shape=(n_beats, n_beats)
        Of music in one meter.
    beats_per_bar : int > 0
    n_lags : int > 1
        Lags 1 to `n_lags` - 1 are fitted.
    """
    total, count = np.zeros(n_lags), np.zeros(n_lags)
    for ssm in ssms:
        for lag in range(1, min(n_lags, len(ssm))):
            diagonal = np.diagonal(ssm, -lag)
            total[lag] += diagonal.sum()
            count[lag] += len(diagonal)
    lags = np.flatnonzero(count)
    mean = total[lags] / count[lags]
    periods = np.array([beats_per_bar / 2, beats_per_bar, 4 * beats_per_bar, 8 * beats_per_bar])
    best: tuple[float, float, npt.NDArray[np.float64]] | None = None
    for near_beats in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0):
        terms = np.column_stack(
            [np.ones(len(lags)), np.exp(-lags / near_beats), lags[:, None] % periods == 0]
        )
        weights = np.linalg.lstsq(terms, mean, rcond=None)[0]
        error = float(((terms @ weights - mean) ** 2).sum())
        if best is None or error < best[0]:
            best = (error, near_beats, weights)
    assert best is not None
    floor, near, half_bar, bar, phrase, period = (float(w) for w in best[2])
    return Texture(floor, near, best[1], half_bar, bar, phrase, period)


# Fitted by `train` to the 4/4 songs of POP909 but those whose number ends in 3.
DEFAULT_TEXTURE = Texture(
    floor=0.380, near=0.608, near_beats=1.0, half_bar=-0.002, bar=0.008, phrase=0.074, period=0.025
)
