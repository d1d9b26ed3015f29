"""Self-similarity matrices, one row per beat.

Conventions
-----------
- A self-similarity matrix (SSM) is square, symmetric, float32, in [0, 1], one row per beat.
- A silent beat resembles nothing: its row is 0, the diagonal included.

References
----------
Foote, "Visualizing music and audio using self-similarity" (ACM Multimedia 1999).
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3: chroma rows compared by cosine.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli.music.roll import chroma, pitch_class_counts
from singcli.music.score import LEAD, MIN_PITCH, N_PITCHES, N_VOICES, STEPS_PER_BEAT, Score
from singcli.structure.texture import Texture

Matrix = npt.NDArray[np.float32]

WINDOW_BEATS = 8  # about two bars: phrases match, single chords do not
LEAD_ONSET_WEIGHT = 0.7
RHYTHM_WEIGHT = 0.5
# Columns of `beat_features`: both voices' pitch classes, the lead's onsets (step by step, pitches
# from low to high), onsets of each step.
CHROMA_COLUMNS = slice(0, N_VOICES * 12)
TUNE_COLUMNS = slice(N_VOICES * 12, N_VOICES * 12 + STEPS_PER_BEAT * N_PITCHES)
RHYTHM_COLUMNS = slice(TUNE_COLUMNS.stop, TUNE_COLUMNS.stop + STEPS_PER_BEAT)
LOUDEST_RHYTHM = 2  # more onsets than this at once count as this many
BLOCK_ENTRIES = 2**17  # averaged at once, in whole rows: half a MB


@dataclass(frozen=True, slots=True)
class Repeat:
    """Beats [start_beat, start_beat + n_beats) resemble those from `source_beat` on."""

    start_beat: int
    source_beat: int
    n_beats: int
    similarity: float


def beat_features(
    onsets: npt.NDArray[np.bool_], sounding: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Describe each beat by the chroma of both voices, the onsets of the lead and the rhythm.

    Parameters
    ----------
    onsets, sounding : np.ndarray, shape=(..., n_steps, 2, N_PITCHES), bool
        Rolls; n_steps a multiple of `STEPS_PER_BEAT`.

    Returns
    -------
    np.ndarray, shape=(..., n_beats, n_features), float32
        Rows of length 1, or 0 for a silent beat.
    """
    outer, n_steps = onsets.shape[:-3], onsets.shape[-3]
    beats = (*outer, n_steps // STEPS_PER_BEAT)
    harmony = chroma(sounding).reshape(*beats, STEPS_PER_BEAT, -1).sum(axis=-2)
    tune = unit_rows(onsets[..., LEAD, :].reshape(*beats, -1).astype(np.float32))
    rhythm = onsets.sum(axis=(-2, -1)).reshape(*beats, -1)
    return _weighted_rows(harmony, tune, rhythm)


def _weighted_rows(
    harmony: npt.NDArray[np.float32],
    tune: npt.NDArray[np.float32],
    rhythm: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.float32]:
    """Return the rows of `beat_features` from what they count.

    Parameters
    ----------
    harmony : np.ndarray, shape=(..., n_beats, N_VOICES * 12)
        Steps in which a pitch class sounds, times the pitches.
    tune : np.ndarray, shape=(..., n_beats, STEPS_PER_BEAT * N_PITCHES)
        Onsets of the lead, as rows of length 1 or 0.
    rhythm : np.ndarray, shape=(..., n_beats, STEPS_PER_BEAT)
        Onsets.
    """
    loudness = np.minimum(rhythm, LOUDEST_RHYTHM).astype(np.float32)
    features = np.empty((*harmony.shape[:-1], RHYTHM_COLUMNS.stop), np.float32)
    features[..., CHROMA_COLUMNS] = unit_rows(harmony)
    np.multiply(LEAD_ONSET_WEIGHT, tune, out=features[..., TUNE_COLUMNS])
    np.multiply(RHYTHM_WEIGHT, unit_rows(loudness), out=features[..., RHYTHM_COLUMNS])
    features /= _row_lengths(features)
    return features


def _features_of_score(score: Score) -> npt.NDArray[np.float32]:
    """Return `beat_features` of a score, counted note by note: rolls are mostly empty."""
    step, n_beats, n_steps = score.step.astype(np.intp), score.n_beats, score.n_steps
    pitch = score.pitch.astype(np.intp) - MIN_PITCH
    rhythm = np.bincount(step, minlength=n_steps).reshape(n_beats, STEPS_PER_BEAT)
    lead = score.voice == LEAD
    onset = step[lead]
    beat = onset // STEPS_PER_BEAT
    length = np.sqrt(np.bincount(beat, minlength=n_beats).astype(np.float32))
    tune = np.zeros(n_steps * N_PITCHES, np.float32)
    tune[onset * N_PITCHES + pitch[lead]] = np.float32(1.0) / length[beat]
    by_beat = (n_beats, STEPS_PER_BEAT, N_VOICES * 12)
    harmony = np.add.reduce(pitch_class_counts(score).reshape(by_beat), axis=1)
    return _weighted_rows(harmony, tune.reshape(n_beats, -1), rhythm)


def ssm_from_features(features: npt.NDArray[np.float32], *, window_beats: int = 1) -> Matrix:
    """Compare all rows by cosine and average along the diagonals.

    Parameters
    ----------
    features : np.ndarray, shape=(n_beats, n_features), float32
        Non-negative rows of length 1 or 0.
    window_beats : int > 0
        Length of the diagonal window, half of it before the beat; cut at the borders.
    """
    similarity: Matrix = features @ features.T
    sounding = np.diagonal(similarity) > 0
    if window_beats > 1:
        _average_along_diagonals(similarity, window_beats)
        if not sounding.all():
            similarity[~sounding] = 0.0
            similarity[:, ~sounding] = 0.0
    np.maximum(similarity, 0.0, out=similarity)
    return np.minimum(similarity, 1.0, out=similarity)


def ssm_from_score(score: Score, *, window_beats: int = WINDOW_BEATS) -> Matrix:
    """Return the self-similarity matrix of a score, in which phrases and not single chords match.

    Returns
    -------
    np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
    """
    return ssm_from_features(_features_of_score(score), window_beats=window_beats)


def chroma_ssm(score: Score) -> Matrix:
    """Return the paper's matrix: cosine of the beats' chroma, both voices together, no smoothing.

    Notes
    -----
    Source: SING, section 3; differs in the row: a beat of the score instead of an estimated beat.
    """
    by_step = pitch_class_counts(score).sum(axis=1)
    by_beat = by_step.reshape(score.n_beats, STEPS_PER_BEAT, 12).sum(axis=1)
    return ssm_from_features(unit_rows(by_beat))


def ssm_from_repeats(
    n_beats: int, repeats: Iterable[Repeat], *, texture: Texture, beats_per_bar: int = 4
) -> Matrix:
    """Draw repeats as stripes over a texture.

    Where stripes cross the larger similarity stays.

    Returns
    -------
    np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
        1 on the diagonal.
    """
    ssm = _matrix_from_lags(texture.lag_profile(n_beats, beats_per_bar))
    for repeat in repeats:
        beat = np.arange(repeat.n_beats)
        rows, columns = repeat.start_beat + beat, repeat.source_beat + beat
        ssm[rows, columns] = np.maximum(ssm[rows, columns], repeat.similarity)
        ssm[columns, rows] = ssm[rows, columns]
    np.fill_diagonal(ssm, 1.0)
    return ssm


def _matrix_from_lags(profile: npt.NDArray[np.float32]) -> Matrix:
    """Return the symmetric matrix whose entry (i, j) is `profile[abs(i - j)]`."""
    n_beats = len(profile)
    if n_beats == 0:
        return np.zeros((0, 0), np.float32)
    both_ways = np.concatenate([profile[:0:-1], profile])
    rows = np.lib.stride_tricks.sliding_window_view(both_ways, n_beats)[::-1]
    return rows.copy()


def _average_along_diagonals(matrix: Matrix, window_beats: int) -> None:
    """Average a square matrix in place, a block of rows after the other.

    A long piece's matrix is large, so nothing else of its size is held; of the rows already
    averaged the block keeps those originals that its windows still reach.
    """
    n_beats, back = len(matrix), window_beats // 2
    ahead = window_beats - back - 1
    originals = matrix[:0]
    at_once = max(1, BLOCK_ENTRIES // max(n_beats, 1))
    for low in range(0, n_beats, at_once):
        high = min(low + at_once, n_beats)
        first = low - len(originals)
        originals = np.concatenate([originals, matrix[low : high + ahead]])
        total = np.zeros((high - low, n_beats), np.float32)
        for shift in range(-back, ahead + 1):
            left, right = max(0, -shift), min(n_beats, n_beats - shift)
            top, bottom = max(low, left), min(high, right)
            if top < bottom:
                rows = slice(top + shift - first, bottom + shift - first)
                columns = slice(left + shift, right + shift)
                total[top - low : bottom - low, left:right] += originals[rows, columns]
        np.divide(total, _pair_counts(low, high, n_beats, window_beats), out=matrix[low:high])
        originals = originals[max(0, high - back) - first : high - first]


@functools.lru_cache(maxsize=2)  # half a MB each; songs of one length follow one another
def _pair_counts(low: int, high: int, n_beats: int, window_beats: int) -> Matrix:
    """Return how many beat pairs each window of these rows holds, shape=(n_rows, n_beats)."""
    rows = slice(low, high)
    beat = np.arange(n_beats, dtype=np.float32)
    before = np.minimum(beat, window_beats // 2)
    after = np.minimum(n_beats - 1 - beat, window_beats - window_beats // 2 - 1) + 1
    pairs: Matrix = np.minimum(before[rows, None], before)
    pairs += np.minimum(after[rows, None], after)
    return pairs


def unit_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale rows to length 1 and leave zero rows alone."""
    scaled: Matrix = (rows / _row_lengths(rows)).astype(np.float32, copy=False)
    return scaled


def _row_lengths(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the length of each row, 1 for zero rows, shape=(..., 1)."""
    length: npt.NDArray[np.float32] = np.sqrt(np.add.reduce(rows * rows, axis=-1, keepdims=True))
    length[length == 0] = 1
    return length
