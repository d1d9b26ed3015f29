"""How much of a piece is repeated, at short, middle and long range: the structureness indicator.

Conventions
-----------
- A *frame* is a stretch of beats, a half bar where the bar has an even number of beats; the
  self-similarity matrix of the beats is brought down to frames, because the work grows with the
  fourth power of their number.
- A scape plot is square: row k holds the segments of k + 1 frames, column j those that begin at
  frame j; entries for segments that would go past the end are 0.

References
----------
Müller, Jiang, Grosche, "A robust fitness measure for capturing repetitions in music recordings
with applications to audio thumbnailing" (IEEE TASLP 2013), sections II and III: path families,
score, coverage, fitness.
Müller, Jiang, "A scape plot representation for visualizing repetitive structures of music
recordings" (ISMIR 2012).
Wu, Yang, "The Jazz Transformer on the front line" (ISMIR 2020), section 4.4: structureness
indicator (SI), 3 to 8, 8 to 15 and over 15 seconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.music.score import Score
from singcli.structure.ssm import ssm_from_score

Matrix = npt.NDArray[np.float64]

MAX_FRAMES = 96  # a piece of more is described by longer frames
KEPT_SHARE = 0.15  # of the cells of a self-similarity matrix: Müller et al., and Wu and Yang
PENALTY = -2.0  # of the others
SHORT_S, MIDDLE_S, LONG_S = (3.0, 8.0), (8.0, 15.0), (15.0, np.inf)  # Wu and Yang (2020)
_CELL = np.int32(1 << 16)  # cells and covered rows of a path family travel in one integer
_ROW = np.int32(1)


class Repetition(NamedTuple):
    """Structureness at short, middle and long range, each in [0, 1); None where not defined."""

    short: float | None
    middle: float | None
    long: float | None


def repetition(score: Score) -> Repetition:
    """Return the largest fitness of all segments of 3 to 8, of 8 to 15 and of over 15 seconds.

    Returns
    -------
    Repetition
        Short is 3 s or more and less than 8, middle 8 or more and less than 15. None where no
        segment has such a length: the piece is too short, or a frame too long.

    Notes
    -----
    Source: SI of Wu and Yang (2020), section 4.4; differs: of the notes' own self-similarity matrix
    (`ssm_from_score`), where they synthesise sound and compare its chroma; frames of
    `frame_beats`, where they have two a second; a piece is not compared with its transpositions
    and not at other tempos. Seconds are those of the score's one tempo.
    """
    if score.n_notes == 0:
        return Repetition(None, None, None)
    n_beats = frame_beats(score)
    fitness = fitness_scape_plot(thresholded(frame_ssm(ssm_from_score(score), n_beats)))
    length_s = np.arange(1, len(fitness) + 1) * n_beats * 60.0 / score.tempo_bpm
    highest = [
        fitness[(low <= length_s) & (length_s < high)] for low, high in (SHORT_S, MIDDLE_S, LONG_S)
    ]
    return Repetition(*(float(rows.max()) if len(rows) else None for rows in highest))


def frame_beats(score: Score) -> int:
    """Return the beats of a frame: half a bar or, if that is not whole beats, a bar.

    They are doubled until the piece has no more than `MAX_FRAMES` frames.
    """
    lengths = np.diff(score.bar_beats)
    bar = int(np.bincount(lengths).argmax())
    beats = bar // 2 if bar % 2 == 0 and bar > 2 else bar
    while score.n_beats > MAX_FRAMES * beats:
        beats *= 2
    return beats


def frame_ssm(ssm: npt.NDArray[np.float32], n_beats: int) -> Matrix:
    """Bring a self-similarity matrix of beats down to frames of `n_beats`.

    The similarity of two frames is the mean over their beats at the same place. Beats at the end
    that do not fill a frame are left out; a piece shorter than a frame is one frame.

    Returns
    -------
    np.ndarray, shape=(n_frames, n_frames), float64 in [0, 1]
    """
    width = min(n_beats, len(ssm))
    n_frames = len(ssm) // width
    used = ssm[: n_frames * width, : n_frames * width].astype(np.float64)
    blocks = used.reshape(n_frames, width, n_frames, width)
    mean: Matrix = np.einsum("iaja->ij", blocks) / width
    return mean


def thresholded(ssm: Matrix) -> Matrix:
    """Keep the largest `KEPT_SHARE` of a self-similarity matrix, and penalise the rest.

    What is kept is scaled, so that the smallest value kept becomes 0 and a similarity of 1 stays 1;
    where only similarities of 1 are kept they stay 1. The diagonal is 1, the rest `PENALTY`.

    Notes
    -----
    Source: Müller et al. (2013), section II-B: relative threshold, scaling, penalty. Values as
    large as the smallest one kept are kept too, so a piece of one repeated bar keeps all.
    """
    n_kept = max(1, round(KEPT_SHARE * ssm.size))
    lowest = float(np.sort(ssm, axis=None)[-n_kept])
    span = 1.0 - lowest
    scaled = (ssm - lowest) / span if span > 1e-6 else np.ones_like(ssm)
    enhanced = np.where((ssm >= lowest) & (ssm > 0), scaled, PENALTY)
    np.fill_diagonal(enhanced, 1.0)
    return enhanced


def fitness_scape_plot(ssm: Matrix) -> Matrix:
    """Return the fitness of every segment: how well, and how much of the piece, it explains.

    The path family of a segment is the set of paths through the columns of the segment that has
    the largest sum: each path leads from the segment's first column to its last by steps of (1, 1),
    (2, 1) or (1, 2), and the rows of different paths do not overlap. The fitness is the harmonic
    mean of two figures, from both of which the trivial path (the segment itself) is taken off: the
    sum per cell of the paths, and the share of the piece's rows that the paths span.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n, n)
        At most 1, with 1 on the diagonal; values below 0 break paths.

    Returns
    -------
    np.ndarray, shape=(n, n), float64 in [0, 1)

    Notes
    -----
    Source: Müller et al. (2013), sections II-C to III-B. Of families with the same sum the one is
    taken that has no further path, then the one of plain diagonal steps.
    """
    n = len(ssm)
    segments = _Segments.of(n)
    score, packed = _optimal_families(ssm, segments)
    length = segments.last - segments.elevator
    per_cell = np.maximum((score - length) / np.maximum(packed // _CELL, 1), 0.0)
    covered = np.maximum((packed % _CELL - length) / max(n, 1), 0.0)
    total = per_cell + covered
    fitness = np.divide(2 * per_cell * covered, total, out=np.zeros_like(total), where=total > 0)
    plot = np.zeros((n, n))
    plot[length - 1, segments.start] = fitness
    return plot


class _Segments(NamedTuple):
    """All segments side by side in one line: each has a slot for its elevator, then its columns.

    `elevator`, `last` and `start` have an entry a segment: its first slot, its last, and the frame
    where it begins. `column`, with an entry a slot, is the slot's column of the matrix.
    """

    elevator: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]

    @classmethod
    def of(cls, n: int) -> _Segments:
        length = np.repeat(np.arange(1, n + 1), np.arange(n, 0, -1))
        last = np.cumsum(length + 1) - 1
        rank = np.arange(len(length))
        start = rank - np.searchsorted(length, length)  # among the segments of its length
        elevator = last - length
        slot = np.arange(int((length + 1).sum()))
        column = slot - np.repeat(elevator, length + 1) + np.repeat(start, length + 1) - 1
        return cls(elevator, last, start, np.maximum(column, 0))


def _optimal_families(ssm: Matrix, segments: _Segments) -> tuple[Matrix, npt.NDArray[np.int32]]:
    """Return the sum, and the cells and rows, of the best path family of every segment.

    Dynamic programming, a row of the matrix after the other and all segments at once: the elevator
    of a row holds the best family that ends above it, the other slots the best one of which a path
    is at this cell.
    """
    elevator, first, last = segments.elevator, segments.elevator + 1, segments.last
    wide = segments.last - segments.elevator > 1
    second = elevator[wide] + 2
    n_slots = len(segments.column)
    above = np.full(n_slots, -np.inf)
    packed = np.zeros(n_slots, np.int32)
    two_above, packed_two_above = above.copy(), packed.copy()
    here, packed_here, skipped = above.copy(), packed.copy(), np.empty(n_slots)
    above[elevator] = 0.0  # before the first row: no path yet
    for row in ssm:
        lift = np.maximum(above[elevator], above[last])
        packed_lift = np.where(above[last] > above[elevator], packed[last], packed[elevator])
        here[1:], packed_here[1:] = above[:-1], packed[:-1]
        _take_better(here[1:], packed_here[1:], two_above[:-1], packed_two_above[:-1] + _ROW)
        skipped[2:] = above[:-2]
        skipped[second] = -np.inf  # no path begins at the second column
        _take_better(here[2:], packed_here[2:], skipped[2:], packed[:-2])
        here[first], packed_here[first] = lift, packed_lift
        here += row[segments.column]
        packed_here += _CELL + _ROW
        here[elevator], packed_here[elevator] = lift, packed_lift
        two_above, above, here = above, here, two_above
        packed_two_above, packed, packed_here = packed, packed_here, packed_two_above
    better = above[last] > above[elevator]
    return (
        np.where(better, above[last], above[elevator]),
        np.where(better, packed[last], packed[elevator]),
    )


def _take_better(
    score: Matrix,
    packed: npt.NDArray[np.int32],
    other: Matrix,
    other_packed: npt.NDArray[np.int32],
) -> None:
    """Replace what is smaller than the other, in place."""
    better = other > score
    np.copyto(score, other, where=better)
    np.copyto(packed, other_packed, where=better)
