"""Histograms of music, and how much of two histograms overlaps.

Conventions
-----------
- A histogram is an array of counts, int64, so that those of several pieces can be added.
- The last class of a duration or a density, and both ends of an interval, take in all beyond.

References
----------
Yang, Lerch, "On the evaluation of generative models in music" (Neural Computing and Applications
2020; first online 2018), sections 4.1 and 4.2: pitch class histogram, note length histogram, pitch
intervals; overlapping area. Ren, He, Tan, Qin, Zhao, Liu, "PopMAG" (ACM Multimedia 2020), section
4.3: overlapping area of the distributions themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from singcli.metrics.guards import lead_intervals
from singcli.music.key import estimate_key, reference_key
from singcli.music.score import LEAD, N_VOICES, STEPS_PER_BEAT, Score

Counts = npt.NDArray[np.int64]

MAX_DURATION_STEPS = 32  # eight beats
MAX_INTERVAL = 24  # semitones
MAX_ONSETS = 16  # in a beat


@dataclass(frozen=True, slots=True)
class Histograms:
    """Counts of one piece or of several.

    Parameters
    ----------
    pitch_class : np.ndarray, shape=(12,)
        Notes by pitch class above the tonic of the key that `estimate_key` hears, with the relative
        major for minor: transposing music to C major or A minor gives the same figures.
    duration, lead_duration : np.ndarray, shape=(MAX_DURATION_STEPS,)
        Notes by duration in steps, from 1; of both voices, and of the lead.
    interval : np.ndarray, shape=(2 * MAX_INTERVAL + 1,)
        Signed intervals in semitones, from -MAX_INTERVAL: each note after the one before it in its
        voice, in canonical order, so the steps inside chords are among them.
    lead_interval : np.ndarray, shape=(2 * MAX_INTERVAL + 1,)
        The tune's (`guards.lead_intervals`).
    density : np.ndarray, shape=(MAX_ONSETS + 1,)
        Beats by the number of notes that begin in them, from 0.
    """

    pitch_class: Counts
    duration: Counts
    lead_duration: Counts
    interval: Counts
    lead_interval: Counts
    density: Counts

    @classmethod
    def from_score(cls, score: Score) -> Self:
        """Count one piece."""
        lead = score.voice == LEAD
        pitch = score.pitch.astype(np.int64)
        steps = [np.diff(pitch[score.voice == voice]) for voice in range(N_VOICES)]
        in_beat = np.bincount(score.step // STEPS_PER_BEAT, minlength=score.n_beats)
        return cls(
            pitch_class=np.bincount((pitch - _tonic(score)) % 12, minlength=12),
            duration=_durations(score.duration),
            lead_duration=_durations(score.duration[lead]),
            interval=_intervals(np.concatenate(steps)),
            lead_interval=_intervals(lead_intervals(score)),
            density=np.bincount(np.minimum(in_beat, MAX_ONSETS), minlength=MAX_ONSETS + 1),
        )

    @classmethod
    def sum(cls, histograms: Iterable[Histograms]) -> Self:
        """Add the counts of pieces, one at least."""
        pieces = list(histograms)
        return cls(*(np.sum([getattr(p, n) for p in pieces], axis=0) for n in HISTOGRAMS))


HISTOGRAMS = tuple(field.name for field in dataclasses.fields(Histograms))
HISTOGRAM_LABELS = {
    "pitch_class": "pitch class",
    "duration": "duration",
    "lead_duration": "duration, lead",
    "interval": "interval",
    "lead_interval": "interval, lead",
    "density": "density",
}


def overlapping_area(reference: Counts, estimated: Counts) -> float | None:
    """Return the area that two histograms share when each is scaled to an area of 1.

    Parameters
    ----------
    reference, estimated : np.ndarray, shape=(n_classes,)
        Counts, at least 0.

    Returns
    -------
    float in [0, 1], or None if one of them is empty
        1 for the same distribution, 0 for two without a common class; 1 - the total variation
        distance.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Source: Yang and Lerch (2020), section 4.2; differs: the overlap of the histograms themselves,
    as Ren et al. (2020) take it, not of smoothed densities (kernels) of the distances between
    pieces. The classes are whole numbers, so nothing has to be smoothed.
    """
    if reference.shape != estimated.shape:
        raise ValueError(f"histograms of {reference.shape} and {estimated.shape} classes")
    a, b = reference.sum(), estimated.sum()
    return float(np.minimum(reference / a, estimated / b).sum()) if a and b else None


def _tonic(score: Score) -> int:
    """Return the pitch class of the tonic, of the relative major for minor; 0 where no key is."""
    weights = np.bincount(score.pitch.astype(np.intp) % 12, weights=score.duration, minlength=12)
    if np.ptp(weights) == 0:
        return 0
    key = estimate_key(weights)
    return (key.tonic - reference_key(key.mode).tonic) % 12


def _durations(steps: npt.NDArray[np.int32]) -> Counts:
    return np.bincount(
        np.minimum(steps, MAX_DURATION_STEPS) - 1, minlength=MAX_DURATION_STEPS
    ).astype(np.int64)


def _intervals(semitones: npt.NDArray[np.int64]) -> Counts:
    limited = np.clip(semitones, -MAX_INTERVAL, MAX_INTERVAL) + MAX_INTERVAL
    return np.bincount(limited, minlength=2 * MAX_INTERVAL + 1)
