"""A recording as a spectrum of semitones, and what it tells of each beat.

The features of a beat are those of notes (`singcli.structure.ssm.beat_features`), heard: chroma of
what sounds, onsets of the upper pitches in its four steps, and rhythm. Only peaks of the spectrum
count, which keeps the tails of loud notes and their neighbours out.

Calibration
-----------
The model has learned from matrices of notes. A recording's matrix follows notes with r = 0.8
(docs/results.md), but its background is higher and its repeats lower. So its distance from 1 is
scaled until its median is the usual one, within bounds (a loop is one pattern all over, and may
stay so), and then its quantiles are taken to those of notes. Both rows of quantiles were measured
on 70 training songs of POP909 by `benchmarks/audio_template.py --fit`; they are those of pairs of
beats at least `WINDOW_BEATS` apart, which the smoothing does not join.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.music.score import STEPS_PER_BEAT
from singcli.structure.ssm import (
    LEAD_ONSET_WEIGHT,
    RHYTHM_WEIGHT,
    WINDOW_BEATS,
    Matrix,
    ssm_from_features,
)

N_SEMITONES, OCTAVE = 84, 12  # seven octaves from C1
LOWEST_TUNE = 28  # E3: onsets from here on tell the tune
LOWEST_CHROMA = 12  # C2: an octave above the lowest pitch, where semitones are told apart
HIGHEST_CHROMA = 48  # C5, for the key only
COMPRESSION = 100.0  # of magnitudes, before the logarithm
SILENCE = 3e-3  # of the spectrum's loud magnitude (-50 dB): a beat below it is silent
ONSET_FRAMES = 2  # an onset may come so many frames early or late
MAX_SCALE = 1.5  # of the distance from 1

QUANTILES = (0, 0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1)
HEARD = (
    *(0.111, 0.270, 0.330, 0.365, 0.403, 0.435, 0.469),
    *(0.511, 0.554, 0.592, 0.645, 0.697, 0.760, 0.888),
)
OF_NOTES = (
    *(0.052, 0.183, 0.250, 0.289, 0.331, 0.370, 0.412),
    *(0.468, 0.528, 0.586, 0.668, 0.752, 0.858, 0.997),
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """What is heard at every frame.

    Parameters
    ----------
    magnitude : np.ndarray, shape=(N_SEMITONES, n_frames), float32
        Of each semitone from C1 on; 1 is loud.
    onset : np.ndarray, shape=(n_frames,), float32
        How much begins.
    frame_s : float > 0
        Distance of frames, in seconds.
    """

    magnitude: Floats
    onset: Floats
    frame_s: float

    @property
    def rise(self) -> Floats:
        """How much each semitone grows louder, shape=(N_SEMITONES, n_frames)."""
        loud = np.log1p(COMPRESSION * self.magnitude)
        growth: Floats = np.maximum(np.diff(loud, axis=1, prepend=loud[:, :1]), 0)
        return growth

    @property
    def chroma(self) -> npt.NDArray[np.float64]:
        """Total of each pitch class over the recording, to find its key by, shape=(12,).

        Of peaks from C2 to B4, compressed: higher up there are more partials than notes.
        """
        peaks = np.log1p(COMPRESSION * _peaks(self.magnitude)[LOWEST_CHROMA:HIGHEST_CHROMA])
        total: npt.NDArray[np.float64] = _folded(peaks).sum(axis=1, dtype=np.float64)
        return total


def ssm_from_spectrum(spectrum: Spectrum, beat_s: npt.NDArray[np.float64]) -> Matrix:
    """Return the self-similarity matrix of a recording, as the notes of it would have it.

    Parameters
    ----------
    spectrum : Spectrum
    beat_s : np.ndarray, shape=(n_beats,), float64, n_beats >= 2
        When each beat begins; the last one is as long as the one before.

    Returns
    -------
    np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
        As `singcli.structure.ssm.ssm_from_score`, calibrated.
    """
    features = heard_features(spectrum, beat_s)
    return calibrated(ssm_from_features(features, window_beats=WINDOW_BEATS))


def heard_features(spectrum: Spectrum, beat_s: npt.NDArray[np.float64]) -> Floats:
    """Describe each beat by chroma, onsets of the upper pitches and rhythm.

    Returns
    -------
    np.ndarray, shape=(n_beats, n_features), float32
        Rows of length 1, or 0 for a silent beat.
    """
    n_beats, n_frames = len(beat_s), spectrum.magnitude.shape[1]
    edge = np.r_[beat_s, 2 * beat_s[-1] - beat_s[-2]] / spectrum.frame_s
    place = np.arange(STEPS_PER_BEAT * n_beats + 1) / STEPS_PER_BEAT
    frame = np.round(np.interp(place, np.arange(n_beats + 1), edge)).astype(np.intp)
    step = frame[:-1]

    peaks = _peaks(spectrum.magnitude)
    recent = peaks > 0  # a peak now or in the two frames before
    recent[:, 1:] |= peaks[:, :-1] > 0
    recent[:, 2:] |= peaks[:, :-2] > 0
    begun = max_near(spectrum.rise * recent, step)[LOWEST_TUNE:]
    tune = np.maximum(begun - 2 * begun.mean(axis=0), 0)
    beat = frame[::STEPS_PER_BEAT]
    harmony = _folded(mean_between(np.log1p(COMPRESSION * peaks), beat)[LOWEST_CHROMA:])
    harmony = np.maximum(harmony - np.median(harmony, axis=0), 0)
    rhythm = np.maximum(max_near(spectrum.onset, step) - spectrum.onset.mean(), 0)
    parts = [
        _unit(harmony.T),
        LEAD_ONSET_WEIGHT * _unit(tune.T.reshape(n_beats, -1)),
        RHYTHM_WEIGHT * _unit(rhythm.reshape(n_beats, -1)),
    ]
    sounds = mean_between(spectrum.magnitude.max(axis=0), beat) > SILENCE
    sounds &= beat[:-1] < n_frames
    return _unit(np.concatenate(parts, axis=1) * sounds[:, None])


def calibrated(ssm: Matrix) -> Matrix:
    """Take the values of a recording's matrix to those that the matrix of its notes would have.

    Monotone; 0 stays 0 and 1 stays 1, so silent beats stay silent.
    """
    heard = far_values(ssm)
    if not len(heard):
        return ssm
    usual = HEARD[QUANTILES.index(0.5)]
    scale = (1 - usual) / max(1 - float(np.median(heard)), 1e-6)
    scale = float(np.clip(scale, 1 / MAX_SCALE, MAX_SCALE))
    anchored = np.maximum(1 - (1 - ssm) * scale, 0)
    values: Matrix = np.interp(anchored, (0, *HEARD, 1), (0, *OF_NOTES, 1)).astype(np.float32)
    values[ssm == 0] = 0
    return values


def far_values(ssm: Matrix) -> Floats:
    """Return the values of the pairs of sounding beats that the smoothing does not join."""
    values: Floats = ssm[np.tril_indices(len(ssm), -WINDOW_BEATS)]
    return values[values > 0]


def max_near(values: Floats, frame: npt.NDArray[np.intp]) -> Floats:
    """Return the greatest value within `ONSET_FRAMES` of each frame, along the last axis."""
    reach = np.arange(-ONSET_FRAMES, ONSET_FRAMES + 1)
    around = np.clip(frame[:, None] + reach, 0, values.shape[-1] - 1)
    greatest: Floats = values[..., around].max(axis=-1)
    return greatest


def mean_between(values: Floats, frame: npt.NDArray[np.intp]) -> Floats:
    """Return the mean from each frame up to the next, 0 beyond the end, shape=(..., n - 1)."""
    total = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=total[..., 1:])
    at = np.clip(frame, 0, values.shape[-1])
    mean: Floats = (np.diff(total[..., at]) / np.maximum(np.diff(at), 1)).astype(np.float32)
    return mean


def _peaks(magnitude: Floats) -> Floats:
    """Return the magnitudes with all but those at least as great as both neighbours set to 0."""
    padded = np.pad(magnitude, ((1, 1), (0, 0)))
    is_peak = (magnitude >= padded[2:]) & (magnitude >= padded[:-2])
    return np.where(is_peak, magnitude, np.float32(0))


def _folded(by_semitone: Floats) -> Floats:
    """Add up octaves, shape=(12, ...)."""
    classes: Floats = by_semitone.reshape(-1, OCTAVE, *by_semitone.shape[1:]).sum(axis=0)
    return classes


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = (rows / np.where(length > 0, length, 1)).astype(np.float32)
    return scaled
