"""Simple and published ways to cut a piece into sections, to compare the analyser with."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from singcli.structure.bar_features import bar_ssm
from singcli.structure.section import Span
from singcli.structure.section_labels import grouped

Vector = npt.NDArray[np.float64]

# chosen on 100 training songs of POP909, by the mean of all four measures
FOOTE_BARS = 8  # on each side of the checkerboard
FOOTE_PEAK = -0.5  # standard deviations from the mean
FOOTE_SAME = 0.8  # between background and identity
SPECTRAL_SHARE = 0.05  # of the other bars are a bar's neighbours
SPECTRAL_LABELS = 4  # as many eigenvectors; the largest gap of eigenvalues chooses no better
SPECTRAL_SMOOTHING = 3  # bars of the median filter


def every(n_bars: int, total: int) -> list[Span]:
    """Cut every `n_bars` bars from the start; every section is new."""
    starts = range(0, total, n_bars)
    return [Span(str(start), start, min(n_bars, total - start)) for start in starts]


def all_one(total: int) -> list[Span]:
    """Return one section."""
    return [Span("A", 0, total)]


def random_sections(n_sections: int, total: int) -> list[Span]:
    """Cut at random bar lines and label at random, half as many labels as sections."""
    rng = np.random.default_rng(total)
    starts = np.sort(rng.permutation(np.arange(1, total))[: n_sections - 1])
    edges = [0, *(int(start) for start in starts), total]
    labels = rng.integers(0, max(n_sections // 2, 1), n_sections)
    return [
        Span(str(label), start, stop - start)
        for label, (start, stop) in zip(labels, itertools.pairwise(edges), strict=False)
    ]


def foote_sections(ssm: npt.NDArray[np.float32], bar_beats: npt.NDArray[np.int32]) -> list[Span]:
    """Cut where the checkerboard novelty has peaks, join sections whose bars are alike.

    Notes
    -----
    Source: Foote, "Automatic audio segmentation using a measure of audio novelty" (ICME 2000);
    labels by average linkage of the mean similarity along the diagonal.
    """
    bars = bar_ssm(ssm, bar_beats)
    n_bars = len(bars)
    novelty = _novelty(bars)
    middle = novelty[1:]
    threshold = middle.mean() + FOOTE_PEAK * middle.std() if len(middle) else 0.0
    peaks = [
        bar
        for bar in range(1, n_bars)
        if novelty[bar] >= threshold and novelty[bar] == novelty[max(bar - 2, 1) : bar + 3].max()
    ]
    edges = [0, *peaks, n_bars]
    cut = [(start, stop - start) for start, stop in itertools.pairwise(edges)]
    background = float(np.median(bars))
    alike = np.array([[_diagonal_mean(bars, one, other) for other in cut] for one in cut])
    labels = grouped((alike - background) / (1 - background) - FOOTE_SAME)
    return [Span(str(label), *stretch) for label, stretch in zip(labels, cut, strict=True)]


def _novelty(bars: Vector) -> Vector:
    side = FOOTE_BARS
    place = np.arange(-side, side) + 0.5
    half = np.sign(place) * np.exp(-2 * (place / side) ** 2)
    kernel = np.outer(half, half)
    padded = np.pad(bars, side, mode="edge")
    return np.array(
        [
            (padded[bar : bar + 2 * side, bar : bar + 2 * side] * kernel).sum()
            for bar in range(len(bars))
        ]
    )


def _diagonal_mean(bars: Vector, one: tuple[int, int], other: tuple[int, int]) -> float:
    bar = np.arange(min(one[1], other[1]))
    return float(bars[one[0] + bar, other[0] + bar].mean())


def spectral_sections(ssm: npt.NDArray[np.float32], bar_beats: npt.NDArray[np.int32]) -> list[Span]:
    """Cluster the bars of a graph of repeats and neighbours by its smallest eigenvectors.

    Notes
    -----
    Source: McFee, Ellis, "Analyzing song structure with spectral clustering" (ISMIR 2014); differs:
    bars instead of beats, and one number of clusters for all songs.
    """
    bars = bar_ssm(ssm, bar_beats)
    n_bars = len(bars)
    if n_bars < 2 * SPECTRAL_LABELS:
        return all_one(n_bars)
    _, vectors = np.linalg.eigh(_laplacian(bars))
    rows = _median_along_time(vectors[:, :SPECTRAL_LABELS])
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    labels = _k_means(rows, SPECTRAL_LABELS)
    starts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), n_bars]
    return [
        Span(str(labels[start]), start, stop - start) for start, stop in itertools.pairwise(starts)
    ]


def _laplacian(bars: Vector) -> Vector:
    """Return the normalised Laplacian of mutual neighbours and of bars that follow one another."""
    n_bars = len(bars)
    near = np.abs(np.subtract.outer(np.arange(n_bars), np.arange(n_bars))) <= 1
    others = np.where(near, -np.inf, bars)
    n_neighbours = max(1, round(SPECTRAL_SHARE * n_bars))
    least = np.sort(others, axis=1)[:, -n_neighbours][:, None]
    repeats = np.where((others >= least) & (others >= least.T), bars, 0.0)
    repeats = np.maximum(_median_along_diagonals(repeats), 0.0)
    path = np.where(near, bars, 0.0)
    np.fill_diagonal(path, 0.0)
    of_repeats, of_path = repeats.sum(axis=1), path.sum(axis=1)
    both = of_repeats + of_path
    balance = float((of_path @ both) / max(both @ both, 1e-9))
    graph = balance * repeats + (1 - balance) * path
    degree = 1 / np.sqrt(np.maximum(graph.sum(axis=1), 1e-9))
    laplacian: Vector = np.eye(n_bars) - degree[:, None] * graph * degree
    return laplacian


def _median_along_diagonals(matrix: Vector) -> Vector:
    filtered = np.zeros_like(matrix)
    for lag in range(1, len(matrix)):
        values = _medians(np.diagonal(matrix, -lag), 3)
        place = np.arange(len(values))
        filtered[place + lag, place] = filtered[place, place + lag] = values
    return filtered


def _median_along_time(vectors: Vector) -> Vector:
    return np.apply_along_axis(_medians, 0, vectors, SPECTRAL_SMOOTHING)


def _medians(values: Vector, width: int) -> Vector:
    padded = np.pad(values, width // 2, mode="edge")
    medians: Vector = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    return medians


def _k_means(rows: Vector, n_groups: int) -> npt.NDArray[np.intp]:
    """Group rows, from centres that are far from one another (deterministic)."""
    centres = rows[:1]
    while len(centres) < n_groups:
        distance = ((rows[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
        centres = np.vstack([centres, rows[distance.argmax()]])
    for _ in range(50):
        group = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        means = [
            rows[group == k].mean(axis=0) if (group == k).any() else centre
            for k, centre in enumerate(centres)
        ]
        if np.allclose(means, centres):
            break
        centres = np.array(means)
    return np.asarray(group)
