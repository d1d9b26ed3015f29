"""What segmentation sees of a piece: how alike its bars are, and how they sound.

Conventions
-----------
- Matrices have bars on both axes. `alike` is *relative*: 0 is the piece's background (the median
  over pairs of different bars), 1 is identity, what is less alike than the background is negative.
- Bars are compared beat by beat from their beginnings, as far as both reach.
- Pitches count as pitch classes, so that octaves do not matter and a bar can be compared with
  another one in all twelve transpositions.

References
----------
Müller, Clausen, "Transposition-invariant self-similarity matrices" (ISMIR 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.music.roll import pitch_class_counts
from singcli.music.score import LEAD, N_VOICES, STEPS_PER_BEAT, Score

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

N_CLASSES = 12
TUNE_WEIGHT, RHYTHM_WEIGHT = 0.7, 0.5  # against the harmony, as in `singcli.structure.ssm`
LOUDEST_RHYTHM = 2
SHIFT_BARS = 4  # bars that agree on a transposition
SHIFT_GAIN = 0.15  # by which a transposition must exceed the music as it stands
SHIFT_SIMILARITY = 0.7  # of the bars, transposed
LONGEST_REST_STEPS = 32
_NEARBY_RESTS = np.array([[-2], [-1], [0], [1]])  # of the one at the bar line
BLOCK_ENTRIES = 2**19  # of the matrices that are compared at once: 2 MB


@dataclass(frozen=True, slots=True, eq=False)
class BarFeatures:
    """The bars of one piece.

    Parameters
    ----------
    alike : np.ndarray, shape=(n_bars, n_bars), float32, at most 1
        Relative similarity, see the conventions; up to transposition if there are notes.
    overlap : np.ndarray, shape=(n_bars, n_bars), float32 in [0, 1], optional
        Share of notes in common (step in the bar, voice, pitch class), up to transposition.
    shift : np.ndarray, shape=(n_bars, n_bars), int8 in [-5, 6], optional
        Semitones by which the row's bar stands above the column's; 0 where they are not alike.
    tune : np.ndarray, shape=(n_bars,), optional
        Share of the bar in which the lead sounds, doubled and at most 1.
    rests : np.ndarray, shape=(n_bars, 3), optional
        Around the bar line: the longest time between two onsets of the lead, the time since its
        last one, the time until its next one; in units of four beats, at most 2.
    texture : np.ndarray, shape=(n_bars, 5), optional
        Onsets of lead and accompaniment, their mean pitches, velocity; as z-scores.
    """

    alike: Matrix
    overlap: Matrix | None = None
    shift: npt.NDArray[np.int8] | None = None
    tune: Vector | None = None
    rests: Vector | None = None
    texture: Vector | None = None

    @property
    def n_bars(self) -> int:
        """Number of bars."""
        return len(self.alike)


def bar_ssm(ssm: npt.NDArray[np.float32], bar_beats: npt.NDArray[np.int32]) -> Vector:
    """Compare bars beat by beat: first beat with first, second with second.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), float64 in [0, 1]
        Mean over the beats that both bars have.
    """
    length = np.diff(bar_beats)
    total = np.zeros((len(length), len(length)))
    for place in range(int(length.max(initial=0))):
        bars = np.flatnonzero(length > place)
        beats = bar_beats[:-1][bars] + place
        total[np.ix_(bars, bars)] += ssm[np.ix_(beats, beats)]
    return total / np.minimum.outer(length, length)


def bar_features_from_ssm(
    ssm: npt.NDArray[np.float32], bar_beats: npt.NDArray[np.int32]
) -> BarFeatures:
    """Describe the bars of a piece of which only the self-similarity matrix is known."""
    return BarFeatures(relative_similarity(bar_ssm(ssm, bar_beats)))


def bar_features_from_score(score: Score) -> BarFeatures:
    """Describe the bars of a piece whose notes are known."""
    pitched, plain, onsets = _bar_rows(score)
    length = score.bar_beats[1:] - score.bar_beats[:-1]
    common = np.minimum(length[:, None], length).astype(np.float32)
    plain_alike = _turned(pitched, plain, [0])[0] / common
    alike, shift = plain_alike.copy(), np.zeros(common.shape, np.int8)
    most = np.maximum(along_diagonals(plain_alike) + SHIFT_GAIN, SHIFT_SIMILARITY)
    at_once = max(1, min(N_CLASSES - 1, BLOCK_ENTRIES // max(common.size, 1)))
    for first in range(1, N_CLASSES, at_once):
        semitones = np.arange(first, min(first + at_once, N_CLASSES))
        turned = _turned(pitched, plain, semitones) / common
        smooth = along_diagonals(turned)
        rows, columns = np.nonzero(smooth.max(axis=0) > most)
        best = smooth[:, rows, columns].argmax(axis=0)
        alike[rows, columns] = turned[best, rows, columns]
        most[rows, columns] = smooth[best, rows, columns]
        shift[rows, columns] = semitones[best]
    overlap = _overlap(onsets, shift)
    tune, rests = _tune(score)
    return BarFeatures(
        alike=relative_similarity(alike, typical=plain_alike),
        overlap=overlap,
        shift=np.where(shift > N_CLASSES // 2, shift - N_CLASSES, shift),
        tune=tune,
        rests=rests,
        texture=_texture(score),
    )


def relative_similarity(bars: npt.NDArray[np.floating], typical: Matrix | None = None) -> Matrix:
    """Return a matrix with the background at 0 and identity at 1.

    Parameters
    ----------
    bars : np.ndarray, shape=(n_bars, n_bars), in [0, 1]
    typical : np.ndarray, of the same shape, optional
        Where the background is taken from; `bars` itself unless given.
    """
    below = (bars if typical is None else typical)[np.tri(len(bars), k=-1, dtype=np.bool_)]
    background = _median(below) if len(below) else 0.0
    relative: Matrix = ((bars - background) / max(1.0 - background, 1e-6)).astype(np.float32)
    return np.minimum(np.maximum(relative, -1.0), 1.0)


def _median(values: npt.NDArray[np.floating]) -> float:
    """Return `np.median` of a line of numbers, without its detours."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    low, high = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    return float((low + high) / 2)


def _bar_rows(score: Score) -> tuple[Matrix, Matrix, Matrix]:
    """Return harmony and tune, rhythm, and onsets of every bar.

    Returns
    -------
    pitched : np.ndarray, shape=(n_bars, beats, n, 12)
    plain : np.ndarray, shape=(n_bars, beats, STEPS_PER_BEAT)
    onsets : np.ndarray, shape=(n_bars, steps * N_VOICES, 12), 0 or 1
        Bars are filled up to the longest one. Harmony (two voices), tune and rhythm of one beat
        have together the length 1.
    """
    by_beat, n_steps = (score.n_beats, STEPS_PER_BEAT, -1), score.n_steps
    voice_class = score.voice.astype(np.intp) * N_CLASSES + score.pitch % N_CLASSES
    row = N_VOICES * N_CLASSES
    struck = np.bincount(score.step * row + voice_class, minlength=n_steps * row) > 0
    harmony = _unit(np.add.reduce(pitch_class_counts(score).reshape(by_beat), axis=1))
    of_lead = struck.reshape(n_steps, row)[:, LEAD * N_CLASSES : (LEAD + 1) * N_CLASSES]
    tune = _unit(of_lead.reshape(score.n_beats, -1).astype(np.float32))
    onsets = np.bincount(score.step, minlength=n_steps).reshape(score.n_beats, -1)
    rhythm = _unit(np.minimum(onsets, LOUDEST_RHYTHM).astype(np.float32))
    beats = _unit(np.concatenate([harmony, TUNE_WEIGHT * tune, RHYTHM_WEIGHT * rhythm], axis=1))
    n_pitched = beats.shape[1] - STEPS_PER_BEAT

    starts, length = score.bar_beats[:-1], score.bar_beats[1:] - score.bar_beats[:-1]
    place = np.arange(length.max())
    inside = place < length[:, None]
    beat = np.where(inside, starts[:, None] + place, 0)
    rows = beats[beat] * inside[..., None]
    hits = struck.reshape(score.n_beats, -1)[beat] & inside[..., None]
    return (
        rows[..., :n_pitched].reshape(*beat.shape, -1, N_CLASSES),
        rows[..., n_pitched:],
        hits.astype(np.float32).reshape(len(starts), -1, N_CLASSES),
    )


def _turned(
    pitched: Matrix, plain: Matrix, semitones: npt.NDArray[np.intp] | Sequence[int]
) -> Matrix:
    """Return the beats' similarities, summed over each two bars, the column's bar moved up.

    Returns
    -------
    np.ndarray, shape=(n_shifts, n_bars, n_bars)
    """
    n_bars, n_pitched = len(pitched), pitched[:1].size
    turned = np.empty((len(semitones), n_bars, n_pitched + plain[:1].size), np.float32)
    turned[..., n_pitched:] = _flat(plain)
    _move_up(pitched, semitones, out=turned[..., :n_pitched])
    similarity: Matrix = np.concatenate([_flat(pitched), _flat(plain)], axis=1) @ np.swapaxes(
        turned, 1, 2
    )
    return similarity


def _move_up(
    pitched: Matrix, semitones: npt.NDArray[np.intp] | Sequence[int], *, out: Matrix
) -> None:
    """Write bars by pitch class, shape=(n_bars, ..., 12), moved up by each number in turn.

    Parameters
    ----------
    out : np.ndarray, shape=(n_shifts, n_bars, n)
    """
    two_octaves = np.concatenate([pitched, pitched], axis=-1)
    for number, moved in zip(semitones, out.reshape(-1, *pitched.shape), strict=True):
        moved[...] = two_octaves[..., N_CLASSES - number : 2 * N_CLASSES - number]


def along_diagonals(bars: Matrix) -> Matrix:
    """Return the best mean over `SHIFT_BARS` bars of a diagonal that contain each pair.

    Parameters
    ----------
    bars : np.ndarray, shape=(..., n_bars, n_bars)
    """
    n_bars = bars.shape[-1]
    size = min(SHIFT_BARS, n_bars)
    share = bars / size
    padded = np.zeros((*bars.shape[:-2], n_bars + size - 1, n_bars + size - 1), np.float32)
    windows = [
        padded[..., shift : shift + n_bars, shift : shift + n_bars] for shift in range(size)
    ]  # each that begins `size - 1 - shift` bars before its pair
    for window in windows:
        window += share
    best = windows[0].copy()
    for window in windows[1:]:
        np.maximum(best, window, out=best)
    return best


def _overlap(onsets: Matrix, shift: npt.NDArray[np.int8]) -> Matrix:
    """Return notes in common over notes in either, the column's bar moved up by `shift`."""
    mine = _flat(onsets)
    shared = mine @ mine.T
    rows, columns = shift.nonzero()
    numbers = shift[rows, columns]
    used = np.bincount(numbers, minlength=N_CLASSES).nonzero()[0]
    at_once = max(1, BLOCK_ENTRIES // max(mine.size, shared.size, 1))
    for low in range(0, len(used), at_once):
        semitones = used[low : low + at_once]
        moved = np.empty((len(semitones), *mine.shape), np.float32)
        _move_up(onsets, semitones, out=moved)
        index = _index_of(semitones)[numbers]
        here = (index >= 0).nonzero()[0]
        row, column = rows[here], columns[here]
        shared[row, column] = (mine @ np.swapaxes(moved, 1, 2))[index[here], row, column]
    size = mine.sum(axis=1)
    overlap: Matrix = shared / np.maximum(size[:, None] + size - shared, 1.0)
    return overlap


def _index_of(semitones: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return where each number of semitones is in a list, -1 where it is not."""
    index = np.full(N_CLASSES, -1)
    index[semitones] = np.arange(len(semitones))
    return index


def _tune(score: Score) -> tuple[Vector, Vector]:
    """Return how much of each bar the lead fills, and its rests around the bar lines."""
    lead = score.voice == LEAD
    steps = score.bar_beats.astype(np.int64) * STEPS_PER_BEAT
    starts, n_steps = steps[:-1], score.n_steps
    begin = score.step[lead]
    begins = np.bincount(begin, minlength=n_steps + 1)
    ends = np.bincount(begin + score.duration[lead], minlength=n_steps + 1)
    sounding = (begins - ends)[:-1].cumsum() > 0
    share = np.add.reduceat(sounding, starts) / (steps[1:] - steps[:-1])

    far = LONGEST_REST_STEPS
    onset = np.concatenate([[-far], begins.nonzero()[0], [n_steps + far]])
    after = onset.searchsorted(starts)
    since, until = starts - onset[np.maximum(after - 1, 0)], onset[after] - starts
    # Rests that lie around the bar line, not only on it.
    index = np.minimum(np.maximum(after + _NEARBY_RESTS, 1), len(onset) - 1)
    last, following = onset[index - 1], onset[index]
    near = (last < starts + far // 4) & (following > starts - far // 2)
    longest = np.maximum.reduce(np.where(near, following - last, 0), axis=0)
    rests = np.minimum(np.array([longest, since, until]).T, far) / (far / 2)
    return np.minimum(2.0 * share, 1.0), rests


def _texture(score: Score) -> Vector:
    steps = score.bar_beats.astype(np.int64) * STEPS_PER_BEAT
    bar = steps.searchsorted(score.step, side="right") - 1
    columns = []
    for voice in range(N_VOICES):
        mine = score.voice == voice
        of_bar = bar[mine]
        count = np.bincount(of_bar, minlength=score.n_bars)
        columns += [count / (steps[1:] - steps[:-1]), _means(of_bar, score.pitch[mine], count)]
    columns.append(_means(bar, score.velocity, np.bincount(bar, minlength=score.n_bars)))
    table = np.array(columns).T.copy()
    return np.asarray((table - table.mean(axis=0)) / (table.std(axis=0) + 1e-3))


def _means(
    bar: npt.NDArray[np.int64], value: npt.NDArray[np.uint8], count: npt.NDArray[np.int64]
) -> Vector:
    """Return the mean value of each bar's notes, and the median of these where there are none."""
    total = np.bincount(bar, value.astype(np.float64), minlength=len(count))
    filled = count > 0
    means = total / np.maximum(count, 1)
    return np.where(filled, means, _median(means[filled]) if filled.any() else 0.0)


def _flat(rows: Matrix) -> Matrix:
    return rows.reshape(len(rows), -1)


def _unit(rows: Matrix) -> Matrix:
    length = np.sqrt(np.add.reduce(rows * rows, axis=-1, keepdims=True))
    length[length == 0] = 1
    return np.asarray(rows / length, np.float32)
