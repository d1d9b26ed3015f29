"""Evidence for sections: numbers for every bar line and every stretch of bars.

Conventions
-----------
- `LONGEST` bars is the longest stretch that is weighed as one section.
- A feature of a bar line has the shape (n_bars,): of the line at which each bar begins; that at
  the beginning of the piece is 0. A feature of a stretch has the shape (n_bars, LONGEST + 1): of
  the bars [start, start + n); 0 where the piece has no such stretch.
- What is computed for all matrices of a piece at once has them on the first axis. What depends on
  the number of bars alone is kept for the next piece of that length.
- A *repeat* of a stretch is another, not overlapping stretch of the same length, compared bar by
  bar.

References
----------
Foote, "Automatic audio segmentation using a measure of audio novelty" (ICME 2000): checkerboards.
Serra, Müller, Grosche, Arcos, "Unsupervised detection of music boundaries by time series structure
features" (AAAI 2012): stripes of the matrix that begin and end.
Paulus, Klapuri, "Music structure analysis using a probabilistic fitness measure" (IEEE TASLP 2009):
homogeneity and repetition of whole stretches.
Cambouropoulos, "The local boundary detection model" (ICMC 2001): rests of the tune.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import BarFeatures, Vector

LONGEST = 32
SAME = {"alike": 0.5, "overlap": 0.25}  # from here on two stretches count as the same
EDGE = 0.25  # from here on a stripe that stops at a stretch's border is told
CHECKERBOARDS = {"alike": (2, 4, 8, 16), "overlap": (4, 8)}  # bars on each side
STRIPES = (2, 4)  # bars on each side
SIDES = (1, 2, 4)
TEXTURES = ("lead_density", "lead_pitch", "density", "pitch", "velocity")
STRETCH_KINDS = (
    "repeat",
    "repeat, bars",
    "next",
    "next, bars",
    "left edge",
    "right edge",
    "edges",
    "halves",
    "halves, bars",
    "uniform",
    "uniform, bars",
)
SINGLE_LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24)

BLOCK_ENTRIES = 2**18  # of the stretches' sums that are compared at once: 1 MB

Features = dict[str, Vector]
Places = npt.NDArray[np.intp]


def line_features(bars: BarFeatures) -> Features:
    """Return what speaks for a boundary at each bar line."""
    found: Features = {}
    names, matrices = _matrices(bars)
    excess = np.maximum(matrices - _same(names), 0.0)
    stripes = [(side, *_stripe_ends(excess, side)) for side in STRIPES]
    checkerboards = {side: _checkerboard(matrices, side) for side in CHECKERBOARDS["alike"]}
    for index, name in enumerate(names):
        for side in CHECKERBOARDS[name]:
            found[f"{name} checkerboard {side}"] = checkerboards[side][index]
        for side, begins, ends in stripes:
            found[f"{name} begins {side}"] = begins[index]
            found[f"{name} ends {side}"] = ends[index]
    if bars.tune is not None and bars.rests is not None and bars.texture is not None:
        changes = _changes(np.concatenate([bars.tune[:, None], bars.texture], axis=1))
        for side, change in zip(SIDES, changes[..., 0], strict=True):
            found[f"tune enters {side}"] = np.maximum(change, 0.0)
            found[f"tune leaves {side}"] = np.maximum(-change, 0.0)
        found["longest rest"], found["rest before"], found["rest after"] = bars.rests.T
        for side, columns in zip(SIDES[1:], np.abs(changes[1:, :, 1:]), strict=True):
            for name, change in zip(TEXTURES, columns.T, strict=True):
                found[f"{name} {side}"] = change
    lines = np.array(list(found.values()))
    lines[:, :1] = 0.0
    return dict(zip(found, lines, strict=True))


def stretch_features(bars: BarFeatures) -> Features:
    """Return what speaks for each stretch of bars as a section."""
    return dict(zip(*stretch_table(bars), strict=True))


def stretch_table(bars: BarFeatures) -> tuple[list[str], Vector]:
    """Return `stretch_features` as their names and one table.

    Returns
    -------
    list of str
    np.ndarray, shape=(n_features, n_bars, LONGEST + 1)
    """
    n_bars = np.arange(LONGEST + 1)
    names, matrices = _matrices(bars)
    keys = [f"{name} {kind}" for name in names for kind in STRETCH_KINDS]
    of_tune = [] if bars.tune is None else ["tune varies", "tune varies, bars"]
    ends, of_ends = _ends(bars.n_bars)
    table = np.empty((len(keys) + len(of_tune) + len(ends), bars.n_bars, LONGEST + 1))

    found = table[: len(keys)].reshape(len(names), len(STRETCH_KINDS), bars.n_bars, LONGEST + 1)
    kind = dict(zip(STRETCH_KINDS, found.swapaxes(0, 1), strict=True))  # by matrix
    same, (best, left, right, adjacent) = _same(names), _repeats(matrices)
    for name, similarity in {
        "repeat": best,
        "next": adjacent,
        "halves": _inner_repeat(matrices),
    }.items():
        np.maximum(similarity - same, 0.0, out=kind[name])
    for name, excess in {"left edge": left, "right edge": right}.items():
        np.maximum(excess - EDGE, 0.0, out=kind[name])
    np.minimum(kind["left edge"], kind["right edge"], out=kind["edges"])
    _uniformity(matrices, out=kind["uniform"])
    for name in ("repeat", "next", "halves", "uniform"):
        np.multiply(kind[name], n_bars, out=kind[f"{name}, bars"])
    if bars.tune is not None:
        spread = _variance(bars.tune)
        table[len(keys)], table[len(keys) + 1] = spread, spread * n_bars
    table[len(keys) + len(of_tune) :] = of_ends
    return [*keys, *of_tune, *ends], table


@functools.cache
def length_features() -> dict[str, Vector]:
    """Return what speaks for each length, shape=(LONGEST + 1,) each."""
    n = np.arange(LONGEST + 1)
    other = ~np.isin(n, (0, *SINGLE_LENGTHS))
    kinds = {
        "odd": other & (n % 2 == 1),
        "even": other & (n % 4 == 2),
        "fours": other & (n % 4 == 0),
        "over 16": n > 16,
    }
    return {f"{k} bars": (n == k).astype(float) for k in SINGLE_LENGTHS} | {
        name: kind.astype(float) for name, kind in kinds.items()
    }


def _matrices(bars: BarFeatures) -> tuple[tuple[str, ...], Vector]:
    """Return what the bars are compared by, and the matrices, shape=(n, n_bars, n_bars)."""
    if bars.overlap is None:
        return ("alike",), np.array([bars.alike], np.float64)
    return ("alike", "overlap"), np.array([bars.alike, bars.overlap], np.float64)


def _same(names: Sequence[str]) -> Vector:
    return np.array([SAME[name] for name in names])[:, None, None]


def _checkerboard(bars: Vector, side: int) -> Vector:
    """Return how much the music changes at each bar line, by each matrix that is asked.

    Source: Foote (2000), with a Gaussian taper; beyond the piece the matrix is mirrored.
    """
    asked = [side in sides for sides in CHECKERBOARDS.values()]
    bars = bars[: sum(asked)]
    n_matrices, n_bars, _ = bars.shape
    kernel, place = _checkerboard_kernel(side), _mirrored_places(n_bars, side)
    padded = bars.reshape(n_matrices, -1).take(place, axis=1)
    of_matrix, down, across = padded.strides
    windows = np.ndarray(  # of the diagonals alone
        (n_matrices, n_bars, *kernel.shape),
        padded.dtype,
        padded,
        0,
        (of_matrix, down + across, down, across),
    )
    weighted = (windows * kernel).reshape(n_matrices, n_bars, -1)
    return np.asarray(np.add.reduce(weighted, axis=2))


@functools.cache
def _checkerboard_kernel(side: int) -> Vector:
    place = np.arange(-side, side) + 0.5
    half = np.sign(place) * np.exp(-0.5 * (place / (0.5 * side)) ** 2)
    kernel = np.outer(half, half)
    return np.asarray(kernel / np.abs(kernel).sum())


@functools.lru_cache(maxsize=32)
def _mirrored_places(n_bars: int, side: int) -> Places:
    """Return where each pair of bars of a piece with `side` more at both ends is in its matrix."""
    bar = np.pad(np.arange(n_bars), side, mode="reflect" if n_bars > side else "edge")
    return bar[:, None] * n_bars + bar


def _stripe_ends(excess: Vector, side: int) -> tuple[Vector, Vector]:
    """Return the strongest stripe that begins, and that ends, at each bar line."""
    n_bars = excess.shape[-1]
    size = n_bars + 2 * side
    padded = np.zeros((len(excess), size, size))
    padded[:, side:-side, side:-side] = excess / side
    total = padded.copy()
    for shift in range(1, side):
        total[:, : size - shift, : size - shift] += padded[:, shift:, shift:]
    after, before = total[:, side : side + n_bars, side : side + n_bars], total[:, :n_bars, :n_bars]
    change = after - before
    change.reshape(len(excess), -1)[:, :: n_bars + 1] = 0.0  # the diagonals
    return change.max(axis=2), np.maximum(-change.min(axis=2), 0.0)


def _changes(columns: Vector) -> Vector:
    """Return the means of bars after each line minus those before, shape=(n_sides, n_bars, n)."""
    n_bars, n_columns = columns.shape
    total = np.zeros((n_bars + 1, n_columns))
    np.cumsum(columns, axis=0, out=total[1:])
    bar, side = np.arange(n_bars), np.array(SIDES)[:, None]
    stop, start = np.minimum(bar + side, n_bars), np.maximum(bar - side, 0)
    after = (total[stop] - total[:-1]) / (stop - bar)[..., None]
    before = (total[:-1] - total[start]) / np.maximum(bar - start, 1)[..., None]
    return np.asarray(after - before)


def _repeats(bars: Vector) -> Vector:
    """Compare every stretch with all its repeats.

    Returns
    -------
    np.ndarray, shape=(4, n_matrices, n_bars, LONGEST + 1)
        Similarity to the best repeat; left and right, by how much a repeat exceeds the bars to its
        left (right): high where it begins (ends) there, low inside a longer repeat, at most the
        similarity of the repeat; and similarity to the stretch that follows or precedes at once,
        whichever is more alike.
    """
    n_matrices, n_bars, _ = bars.shape
    found = np.zeros((4, n_matrices, n_bars, LONGEST + 1))
    # Repeats lie on the rows here, and the stretches that they repeat on the columns.
    turned = np.full((n_matrices, n_bars + LONGEST, n_bars + LONGEST), -np.inf, np.float32)
    turned[:, :n_bars, :n_bars] = bars.transpose(0, 2, 1)
    beside = np.zeros((n_matrices, n_bars + LONGEST + 2, n_bars + LONGEST + 2), np.float32)
    of_piece = beside[:, 1 : n_bars + 1, 1 : n_bars + 1]
    np.maximum(turned[:, :n_bars, :n_bars], 0.0, out=of_piece)
    before = beside[:, :n_bars, :n_bars].transpose(1, 0, 2)
    next_to = found[3].reshape(n_matrices, -1)
    longest = min(LONGEST, n_bars // 2)
    at_once = max(1, BLOCK_ENTRIES // max(bars.size, 1))
    total = np.zeros((n_bars, n_matrices, n_bars), np.float32)
    for low in range(1, longest + 1, at_once):
        lengths = np.arange(low, min(low + at_once, longest + 1))
        places = _repeat_places(n_bars, low, len(lengths))
        figures = np.empty((3, len(lengths), n_bars, n_matrices, n_bars), np.float32)
        mean, left, right = figures
        for own, of_length in zip(
            mean,
            _down_the_diagonals(turned[:, low - 1 :, low - 1 :], n_bars, len(lengths)),
            strict=True,
        ):
            total = np.add(total, of_length, out=own)
        np.copyto(mean, -np.inf, where=places.overlapping)
        total = total.copy()
        mean /= lengths.astype(np.float32)[:, None, None, None]
        np.subtract(mean, before, out=left)
        behind = _down_the_diagonals(beside[:, low + 1 :, low + 1 :], n_bars, len(lengths))
        np.subtract(mean, behind, out=right)
        best = np.maximum.reduce(figures, axis=2)
        np.copyto(best, 0.0, where=best == -np.inf)  # no such stretch, or none that repeats it
        found[:3, :, :, low : low + len(lengths)] = best.transpose(0, 2, 3, 1)
        following = mean[places.length, places.next_start, :, places.start].T
        next_to[:, places.stretch] = following
        next_to[:, places.next_stretch] = np.maximum(next_to[:, places.next_stretch], following)
    return found


class RepeatPlaces(NamedTuple):
    """Stretches of several lengths, and those of the same lengths that follow them.

    Parameters
    ----------
    overlapping : np.ndarray, shape=(n_lengths, n_bars, 1, n_bars), bool
        Whether the stretches from two bars overlap.
    length, start, next_start : np.ndarray, shape=(n,)
        Which length, and first bars, of the stretches that another one follows, and of that one.
    stretch, next_stretch : np.ndarray, shape=(n,)
        Their places in a table of the shape (n_bars, LONGEST + 1).
    """

    overlapping: npt.NDArray[np.bool_]
    length: Places
    start: Places
    next_start: Places
    stretch: Places
    next_stretch: Places


@functools.lru_cache(maxsize=8)
def _repeat_places(n_bars: int, low: int, n_lengths: int) -> RepeatPlaces:
    """Return what `_repeats` needs to know of `n_lengths` lengths from `low` on."""
    bar, lengths = np.arange(n_bars), np.arange(low, low + n_lengths)
    distance = np.abs(bar[:, None] - bar)
    overlapping = distance < lengths[:, None, None]
    index, start = np.nonzero(bar <= n_bars - 2 * lengths[:, None])
    length = lengths[index]
    stretch = start * (LONGEST + 1) + length
    following = start + length
    next_stretch = stretch + length * (LONGEST + 1)
    return RepeatPlaces(overlapping[:, :, None], index, start, following, stretch, next_stretch)


def _down_the_diagonals(
    matrices: npt.NDArray[np.float32], n_bars: int, n_lengths: int
) -> npt.NDArray[np.float32]:
    """Return a view of matrices moved up and to the left in turn, by 0, 1, ... rows and columns.

    Returns
    -------
    np.ndarray, shape=(n_lengths, n_bars, n_matrices, n_bars)
        By move, row, matrix and column.
    """
    of_matrix, down, across = matrices.strides
    return np.lib.stride_tricks.as_strided(
        matrices,
        (n_lengths, n_bars, len(matrices), n_bars),
        (down + across, down, of_matrix, across),
        writeable=False,
    )


def _inner_repeat(bars: Vector) -> Vector:
    """Return how alike the two halves of each stretch are; 0 for odd lengths."""
    n_matrices, n_bars, _ = bars.shape
    halves = np.zeros((n_matrices, n_bars, LONGEST + 1))
    half, place, compared, start = _half_places(n_bars)
    total = np.zeros((n_matrices, LONGEST // 2 + 1, n_bars + 1))
    total[:, half, place + 1] = bars[:, place + half, place]
    np.cumsum(total, axis=2, out=total)
    means = (total[:, compared, start + compared] - total[:, compared, start]) / compared
    halves[:, start, 2 * compared] = means
    return halves


@functools.lru_cache(maxsize=8)
def _half_places(n_bars: int) -> tuple[Places, Places, Places, Places]:
    """Return all pairs of bars at a distance of half a stretch, and the stretches.

    Both as half their length, and the place where they begin.
    """
    half, place = np.arange(LONGEST // 2 + 1)[:, None], np.arange(n_bars)
    pair_half, pair_place = np.nonzero((half > 0) & (place < n_bars - half))
    compared, start = np.nonzero((half > 0) & (place <= n_bars - 2 * half))
    return pair_half, pair_place, compared, start


def _uniformity(bars: Vector, out: Vector) -> None:
    """Write the mean similarity of the pairs of different bars in each stretch."""
    n_matrices, n_bars, _ = bars.shape
    area = np.zeros((n_matrices, n_bars + 1, n_bars + 1))
    others = area[:, 1:, 1:]
    others[...] = bars
    area.reshape(n_matrices, -1)[:, n_bars + 2 :: n_bars + 2] = 0.0  # the diagonals
    np.cumsum(others, axis=1, out=others)
    np.cumsum(others, axis=2, out=others)
    stretch, corners, n_pairs = _squares(n_bars)
    both, above, left, before = area.reshape(n_matrices, -1)[:, corners].transpose(1, 0, 2)
    inside = both - above - left
    inside += before
    out[...] = 0.0
    out[:, *stretch] = inside / n_pairs


@functools.lru_cache(maxsize=8)
def _squares(n_bars: int) -> tuple[tuple[Places, Places], Places, Places]:
    """Return stretches of two bars and more, where their sums begin and end, their pairs of bars.

    The places are those in a matrix of n_bars + 1 rows: (stop, stop), (start, stop), (stop, start)
    and (start, start).
    """
    start, n = _stretch_places(n_bars)
    start, n = start[n_bars:], n[n_bars:]
    stop = start + n
    corners = np.array([(stop, stop), (start, stop), (stop, start), (start, start)])
    return (start, n), corners[:, 0] * (n_bars + 1) + corners[:, 1], n * (n - 1)


def _variance(values: Vector) -> Vector:
    n_bars = len(values)
    total = np.zeros((2, n_bars + 1))
    np.cumsum([values, values**2], axis=1, out=total[:, 1:])
    start, n = _stretch_places(n_bars)
    mean, mean_of_squares = (total[:, start + n] - total[:, start]) / n
    spread = np.zeros((n_bars, LONGEST + 1))
    spread[start, n] = mean_of_squares - mean**2
    return spread


@functools.lru_cache(maxsize=8)
def _stretch_places(n_bars: int) -> tuple[Places, Places]:
    """Return first bar and length of all stretches, the shorter ones first."""
    n = np.arange(1, LONGEST + 1)[:, None]
    index, start = np.nonzero(np.arange(n_bars) <= n_bars - n)
    return start, index + 1


@functools.lru_cache(maxsize=8)
def _ends(n_bars: int) -> tuple[list[str], Vector]:
    """Mark stretches at the ends of the piece, where intros, codas and pickups lie."""
    lengths = np.arange(LONGEST + 1)
    first, last = np.zeros((2, n_bars, LONGEST + 1))
    first[0] = 1.0
    n = np.arange(1, min(LONGEST, n_bars) + 1)
    last[n_bars - n, n] = 1.0
    found = {
        "first, short": first * (lengths <= 2),
        "first, not in fours": first * (lengths % 4 != 0),
        "last": last,
        "last, not in fours": last * (lengths % 4 != 0),
        "end, under 8": (first + last) * ((lengths >= 3) & (lengths < 8)),
    }
    return [*found], np.array([*found.values()])
