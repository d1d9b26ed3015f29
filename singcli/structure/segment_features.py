"""Evidence for sections: numbers for every bar line and every stretch of bars.

Conventions
-----------
- `LONGEST` bars is the longest stretch that is weighed as one section.
- A feature of a bar line has the shape (n_bars,): of the line at which each bar begins; that at
  the beginning of the piece is 0. A feature of a stretch has the shape (n_bars, LONGEST + 1): of
  the bars [start, start + n); 0 where the piece has no such stretch.
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

from collections.abc import Iterator

import numpy as np

from singcli.structure.bar_features import BarFeatures, Vector

LONGEST = 32
SAME = {"alike": 0.5, "overlap": 0.25}  # from here on two stretches count as the same
EDGE = 0.25  # from here on a stripe that stops at a stretch's border is told
CHECKERBOARDS = {"alike": (2, 4, 8, 16), "overlap": (4, 8)}  # bars on each side
STRIPES = (2, 4)  # bars on each side
SIDES = (1, 2, 4)
TEXTURES = ("lead_density", "lead_pitch", "density", "pitch", "velocity")
SINGLE_LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24)

_NEVER = np.float32(-1e6)

Features = dict[str, Vector]


def line_features(bars: BarFeatures) -> Features:
    """Return what speaks for a boundary at each bar line."""
    found: Features = {}
    for name, matrix in _matrices(bars):
        for side in CHECKERBOARDS[name]:
            found[f"{name} checkerboard {side}"] = _checkerboard(matrix, side)
        excess = np.maximum(matrix - SAME[name], 0.0)
        for side in STRIPES:
            begins, ends = _stripe_ends(excess, side)
            found[f"{name} begins {side}"], found[f"{name} ends {side}"] = begins, ends
    if bars.tune is not None and bars.rests is not None and bars.texture is not None:
        for side in SIDES:
            change = _change(bars.tune[:, None], side)[:, 0]
            found[f"tune enters {side}"] = np.maximum(change, 0.0)
            found[f"tune leaves {side}"] = np.maximum(-change, 0.0)
        found["longest rest"], found["rest before"], found["rest after"] = bars.rests.T
        for side in SIDES[1:]:
            for name, change in zip(TEXTURES, _change(bars.texture, side).T, strict=True):
                found[f"{name} {side}"] = np.abs(change)
    return {name: _without_first(value) for name, value in found.items()}


def stretch_features(bars: BarFeatures) -> Features:
    """Return what speaks for each stretch of bars as a section."""
    n_bars = np.arange(LONGEST + 1)
    found: Features = {}
    for name, matrix in _matrices(bars):
        best, adjacent, left, right = _repeats(matrix)
        repeat, inner = np.maximum(best - SAME[name], 0.0), _inner_repeat(matrix)
        following, inner = (np.maximum(v - SAME[name], 0.0) for v in (adjacent, inner))
        uniform = _uniformity(matrix)
        found |= {
            f"{name} repeat": repeat,
            f"{name} repeat, bars": repeat * n_bars,
            f"{name} next": following,
            f"{name} next, bars": following * n_bars,
            f"{name} left edge": np.maximum(left - EDGE, 0.0),
            f"{name} right edge": np.maximum(right - EDGE, 0.0),
            f"{name} edges": np.maximum(np.minimum(left, right) - EDGE, 0.0),
            f"{name} halves": inner,
            f"{name} halves, bars": inner * n_bars,
            f"{name} uniform": uniform,
            f"{name} uniform, bars": uniform * n_bars,
        }
    if bars.tune is not None:
        spread = _variance(bars.tune)
        found |= {"tune varies": spread, "tune varies, bars": spread * n_bars}
    return found | _ends(bars.n_bars)


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


def _matrices(bars: BarFeatures) -> Iterator[tuple[str, Vector]]:
    yield "alike", bars.alike.astype(np.float64)
    if bars.overlap is not None:
        yield "overlap", bars.overlap.astype(np.float64)


def _without_first(lines: Vector) -> Vector:
    return np.asarray(np.r_[0.0, lines[1:]])


def _checkerboard(bars: Vector, side: int) -> Vector:
    """Return how much the music changes at each bar line.

    Source: Foote (2000), with a Gaussian taper; beyond the piece the matrix is mirrored.
    """
    place = np.arange(-side, side) + 0.5
    half = np.sign(place) * np.exp(-0.5 * (place / (0.5 * side)) ** 2)
    kernel = np.outer(half, half)
    kernel /= np.abs(kernel).sum()
    padded = np.pad(bars, side, mode="reflect" if len(bars) > side else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    return np.array([(windows[b, b] * kernel).sum() for b in range(len(bars))])


def _stripe_ends(excess: Vector, side: int) -> tuple[Vector, Vector]:
    """Return the strongest stripe that begins, and that ends, at each bar line."""
    n_bars = len(excess)
    padded = np.pad(excess, side)
    total = np.zeros_like(padded)
    for shift in range(side):
        total[: len(padded) - shift, : len(padded) - shift] += padded[shift:, shift:] / side
    after, before = total[side : side + n_bars, side : side + n_bars], total[:n_bars, :n_bars]
    change = after - before
    np.fill_diagonal(change, 0.0)
    return np.maximum(change, 0.0).max(axis=1), np.maximum(-change, 0.0).max(axis=1)


def _change(columns: Vector, side: int) -> Vector:
    """Return the mean of `side` bars after each line minus that before, shape as `columns`."""
    n_bars = len(columns)
    total = np.vstack([np.zeros((1, columns.shape[1])), np.cumsum(columns, axis=0)])
    bar = np.arange(n_bars)
    stop, start = np.minimum(bar + side, n_bars), np.maximum(bar - side, 0)
    after = (total[stop] - total[bar]) / (stop - bar)[:, None]
    before = (total[bar] - total[start]) / np.maximum(bar - start, 1)[:, None]
    return np.asarray(after - before)


def _repeats(bars: Vector) -> tuple[Vector, Vector, Vector, Vector]:
    """Compare every stretch with all its repeats.

    Returns
    -------
    best : np.ndarray, shape=(n_bars, LONGEST + 1)
        Similarity to the best repeat.
    adjacent : np.ndarray
        To the stretch that follows or precedes at once, whichever is more alike.
    left, right : np.ndarray
        By how much a repeat exceeds the bars to its left (right): high where it begins (ends)
        there, low inside a longer repeat. At most the similarity of the repeat.
    """
    n_bars = len(bars)
    best, adjacent, left, right = np.zeros((4, n_bars, LONGEST + 1))
    beside = np.pad(np.maximum(bars, 0.0), 1).astype(np.float32)
    row = bars.astype(np.float32)
    total = np.zeros_like(row)
    for n in range(1, min(LONGEST, n_bars // 2) + 1):
        count = n_bars - n + 1
        total = total[:count, :count] + row[n - 1 :, n - 1 :]
        for near in (total[n - 1 :], total[:, n - 1 :]):  # stretches that now overlap, for good
            np.fill_diagonal(near, _NEVER)
        mean = total / np.float32(n)
        best[:count, n] = mean.max(axis=1)
        left[:count, n] = (mean - beside[:count, :count]).max(axis=1)
        right[:count, n] = (mean - beside[n + 1 :, n + 1 :]).max(axis=1)
        following = np.diagonal(mean, n)
        adjacent[: count - n, n] = following
        adjacent[n:count, n] = np.maximum(adjacent[n:count, n], following)
    return best, adjacent, left, right


def _inner_repeat(bars: Vector) -> Vector:
    """Return how alike the two halves of each stretch are; 0 for odd lengths."""
    n_bars = len(bars)
    halves = np.zeros((n_bars, LONGEST + 1))
    for half in range(1, min(LONGEST, n_bars) // 2 + 1):
        total = np.r_[0.0, np.cumsum(np.diagonal(bars, -half))]
        means = (total[half:] - total[:-half]) / half
        halves[: len(means), 2 * half] = means
    return halves


def _uniformity(bars: Vector) -> Vector:
    """Return the mean similarity of the pairs of different bars in each stretch."""
    n_bars = len(bars)
    area = np.zeros((n_bars + 1, n_bars + 1))
    area[1:, 1:] = (bars - np.diag(np.diagonal(bars))).cumsum(axis=0).cumsum(axis=1)
    means = np.zeros((n_bars, LONGEST + 1))
    for n in range(2, min(LONGEST, n_bars) + 1):
        start = np.arange(n_bars - n + 1)
        stop = start + n
        inside = area[stop, stop] - area[start, stop] - area[stop, start] + area[start, start]
        means[start, n] = inside / (n * (n - 1))
    return means


def _variance(values: Vector) -> Vector:
    n_bars = len(values)
    one, two = (np.r_[0.0, np.cumsum(values**power)] for power in (1, 2))
    spread = np.zeros((n_bars, LONGEST + 1))
    for n in range(1, min(LONGEST, n_bars) + 1):
        mean = (one[n:] - one[:-n]) / n
        spread[: n_bars - n + 1, n] = (two[n:] - two[:-n]) / n - mean**2
    return spread


def _ends(n_bars: int) -> Features:
    """Mark stretches at the ends of the piece, where intros, codas and pickups lie."""
    lengths = np.arange(LONGEST + 1)
    first, last = np.zeros((2, n_bars, LONGEST + 1))
    first[0] = 1.0
    n = np.arange(1, min(LONGEST, n_bars) + 1)
    last[n_bars - n, n] = 1.0
    return {
        "first, short": first * (lengths <= 2),
        "first, not in fours": first * (lengths % 4 != 0),
        "last": last,
        "last, not in fours": last * (lengths % 4 != 0),
        "end, under 8": (first + last) * ((lengths >= 3) & (lengths < 8)),
    }
