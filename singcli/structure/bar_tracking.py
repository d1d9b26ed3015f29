"""Pulses of a recording -> beats and bars.

A pulse is what a beat tracker finds: a beat, or half of one. A hidden Markov model decides, over
the whole piece, how many pulses a beat and how many beats a bar has, and where bars begin: its
states are the places in a bar; at a small price the count may begin anew, so that a lost or an
added pulse costs one bar and not the rest of the piece.

What is heard at each pulse: how much begins among low pitches and in all, how much the harmony
changes over two pulses, and the low harmony over four. The weights of these four for each kind of
place (linear discriminant analysis) were fitted on the 70 training songs of
`benchmarks/audio_template.py --fit`.

References
----------
Goto, "An audio-based real-time beat tracking system for music with or without drum-sounds" (JNMR
2001): chord changes as the evidence of bars.
Whiteley, Cemgil, Godsill, "Bayesian modelling of temporal structure in musical audio" (ISMIR 2006):
places in the bar as hidden states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.structure.spectrum import OCTAVE, Spectrum, max_near, mean_between

Array = npt.NDArray[np.float64]

LOW_SEMITONES = 28  # C1 to D#3
LOW_OCTAVES = 2
CONTEXT_PULSES = 32  # on each side: what is heard is compared with this
NEW_COUNT_COST = 20.0
USUAL_BPM, TEMPO_OCTAVES, TEMPO_WEIGHT = 90.0, 0.4, 0.1  # chosen on the same songs
TEMPO_SPAN = 8  # beats over which the tempo is taken: frames are too coarse for one

DOWNBEAT, BEAT, MIDDLE, BETWEEN = range(4)
WEIGHTS = np.array(  # a row for each kind; columns as in `pulse_evidence`
    [
        [2.38, 0.14, 0.32, -0.12],
        [-0.66, 0.75, -0.51, -0.30],
        [0.77, 0.17, -0.13, -0.42],
        [-0.40, -0.55, -0.19, -0.32],
    ]
)
OFFSETS = np.array([-0.53, -0.17, -0.15, -0.16])


class Pattern(NamedTuple):
    """How bars are counted in pulses."""

    beats_per_bar: int
    pulses_per_beat: int
    places: tuple[int, ...]


PATTERNS = (
    Pattern(4, 1, (DOWNBEAT, BEAT, MIDDLE, BEAT)),
    Pattern(4, 2, (DOWNBEAT, BETWEEN, BEAT, BETWEEN, MIDDLE, BETWEEN, BEAT, BETWEEN)),
    Pattern(3, 1, (DOWNBEAT, BEAT, BEAT)),
    Pattern(3, 2, (DOWNBEAT, BETWEEN, BEAT, BETWEEN, BEAT, BETWEEN)),
)


@dataclass(frozen=True, slots=True, eq=False)
class HeardBars:
    """Beats and bars of a recording.

    Parameters
    ----------
    beat_s : np.ndarray, shape=(n_beats,), float64
        Strictly increasing, in seconds.
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
    beats_per_bar : int
        3 or 4, of most bars.
    """

    beat_s: Array
    bar_beats: npt.NDArray[np.int32]
    beats_per_bar: int

    @property
    def tempo_bpm(self) -> float:
        """Median beats a minute."""
        span = min(TEMPO_SPAN, len(self.beat_s) - 1)
        return 60.0 * span / float(np.median(self.beat_s[span:] - self.beat_s[:-span]))


def bars_from_pulses(spectrum: Spectrum, pulse: npt.NDArray[np.intp]) -> HeardBars:
    """Find beats and bars.

    Parameters
    ----------
    spectrum : Spectrum
    pulse : np.ndarray, shape=(n_pulses,), strictly increasing, n_pulses >= 2
        Frames of the pulses.

    Returns
    -------
    HeardBars
        From the first downbeat on: an upbeat is left out. The last bar is filled up with beats at
        the last distance.
    """
    scores = pulse_evidence(spectrum, pulse) @ WEIGHTS.T + OFFSETS
    pulse_s = pulse.astype(np.float64) * spectrum.frame_s
    bpm = 60.0 / float(np.median(np.diff(pulse_s)))
    found = [(*_count(scores, pattern), pattern) for pattern in PATTERNS]
    _, place, pattern = max(found, key=lambda one: one[0] + _tempo_score(bpm, one[2]))
    return _bars_from_places(pulse_s, place, pattern)


def pulse_evidence(spectrum: Spectrum, pulse: npt.NDArray[np.intp]) -> Array:
    """Return what is heard at each pulse, as logarithm of its ratio to what is usual around it.

    Returns
    -------
    np.ndarray, shape=(n_pulses, 4), float64
        Low onsets, all onsets, change of harmony, change of the low harmony.
    """
    end = np.r_[pulse, 2 * pulse[-1] - pulse[-2]]
    sounding = mean_between(spectrum.magnitude, end)
    low = sounding[: LOW_OCTAVES * OCTAVE]
    harmony, bass = (part.reshape(-1, OCTAVE, len(pulse)).sum(axis=0) for part in (sounding, low))
    columns = (
        max_near(spectrum.rise[:LOW_SEMITONES].sum(axis=0), pulse),
        max_near(spectrum.onset, pulse),
        _change(harmony, reach=2),
        _change(bass, reach=4),
    )
    return np.column_stack([_relative(np.asarray(column, np.float64)) for column in columns])


def _change(harmony: npt.NDArray[np.float32], *, reach: int) -> Array:
    """Return 1 - cosine of the chroma of the `reach` pulses before and from each pulse."""
    n_pulses = harmony.shape[1]
    total = np.zeros((OCTAVE, n_pulses + 1))
    np.cumsum(harmony, axis=1, out=total[:, 1:])
    pulse = np.arange(n_pulses)
    before = total[:, pulse] - total[:, np.maximum(pulse - reach, 0)]
    after = total[:, np.minimum(pulse + reach, n_pulses)] - total[:, pulse]
    norm = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=0)
    cosine = np.divide((before * after).sum(axis=0), norm, out=np.ones(n_pulses), where=norm > 0)
    change: Array = np.maximum(1 - cosine, 0)
    return change


def _relative(values: Array) -> Array:
    reach = min(CONTEXT_PULSES, len(values) // 2)
    window = np.ones(2 * reach + 1)
    pulses = np.convolve(np.ones(len(values)), window)[reach : reach + len(values)]
    around = np.convolve(values, window)[reach : reach + len(values)] / pulses
    ratio: Array = np.log(0.1 + values / np.maximum(around, 1e-9))
    return ratio


def _count(scores: Array, pattern: Pattern) -> tuple[float, npt.NDArray[np.intp]]:
    """Count through the piece as well as can be (Viterbi).

    Returns
    -------
    float
        Score a pulse.
    np.ndarray, shape=(n_pulses,), intp
        Place of each pulse in its bar.
    """
    heard = scores[:, list(pattern.places)]
    n_pulses, n_places = heard.shape
    before = np.roll(np.arange(n_places), 1)
    came_from = np.zeros((n_pulses, n_places), np.intp)
    best = heard[0].copy()
    for pulse in range(1, n_pulses):
        top = int(best.argmax())
        is_new = best[top] - NEW_COUNT_COST > best[before]
        came_from[pulse] = np.where(is_new, top, before)
        best = np.where(is_new, best[top] - NEW_COUNT_COST, best[before]) + heard[pulse]
    place = np.empty(n_pulses, np.intp)
    place[-1] = best.argmax()
    for pulse in range(n_pulses - 1, 0, -1):
        place[pulse - 1] = came_from[pulse, place[pulse]]
    return float(best.max()) / n_pulses, place


def _tempo_score(pulse_bpm: float, pattern: Pattern) -> float:
    octaves = np.log2(pulse_bpm / pattern.pulses_per_beat / USUAL_BPM)
    return -TEMPO_WEIGHT * 0.5 * float(octaves / TEMPO_OCTAVES) ** 2


def _bars_from_places(pulse_s: Array, place: npt.NDArray[np.intp], pattern: Pattern) -> HeardBars:
    is_beat = place % pattern.pulses_per_beat == 0
    beat_s, in_bar = pulse_s[is_beat], place[is_beat] // pattern.pulses_per_beat
    downbeat = np.flatnonzero(in_bar == 0)
    first = int(downbeat[0]) if len(downbeat) else 0
    beat_s, downbeat = beat_s[first:], downbeat - first if len(downbeat) else np.zeros(1, np.intp)
    n_left = max(int(downbeat[-1]) + pattern.beats_per_bar - len(beat_s), 0)
    if n_left and len(beat_s) > 1:
        distance = float(np.median(np.diff(beat_s)[-TEMPO_SPAN:]))
        beat_s = np.r_[beat_s, beat_s[-1] + distance * np.arange(1, n_left + 1)]
    bars = np.r_[downbeat, len(beat_s)].astype(np.int32)
    return HeardBars(beat_s, bars, pattern.beats_per_bar)
