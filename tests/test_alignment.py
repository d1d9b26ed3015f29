from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from singcli.structure.alignment import (
    NEW,
    NEW_BELOW,
    context_weights,
    repeat_map_from_ssm,
    sparsemax,
)
from singcli.structure.ssm import Repeat, ssm_from_repeats
from singcli.structure.texture import DEFAULT_TEXTURE

ROWS = arrays(
    np.float32, st.tuples(st.just(3), st.integers(1, 6)), elements=st.floats(-4, 4, width=16)
)


def sparsemax_by_supports(row):
    """Try every support and keep the projection that is nearest to the row."""
    best = None
    for size in range(1, len(row) + 1):
        for support in itertools.combinations(range(len(row)), size):
            inside = list(support)
            weights = np.zeros(len(row))
            weights[inside] = row[inside] - (row[inside].sum() - 1) / size
            if weights.min() < -1e-12:
                continue
            distance = ((weights - row) ** 2).sum()
            if best is None or distance < best[0]:
                best = (distance, weights)
    return best[1]


@given(ROWS)
def test_sparsemax_is_the_nearest_point_of_the_simplex(rows):
    wanted = [sparsemax_by_supports(row.astype(np.float64)) for row in rows]
    np.testing.assert_allclose(sparsemax(rows), wanted, atol=1e-5)


@given(ROWS)
def test_sparsemax_rows_are_probabilities_in_the_order_of_the_scores(rows):
    weights = sparsemax(rows)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    for row, weight in zip(rows, weights, strict=True):
        assert (np.diff(weight[np.argsort(row, kind="stable")]) >= -1e-6).all()


def score_of_path(ssm, path, bonus):
    steps = itertools.pairwise(path)
    similarity = sum(ssm[beat, source] for beat, source in enumerate(path, 1))
    return similarity + bonus * sum(b == a + 1 for a, b in steps)


@pytest.mark.parametrize("seed", range(10))
def test_the_repeat_map_is_the_best_of_all_paths(seed):
    ssm = np.random.default_rng(seed).uniform(NEW_BELOW, 1, (6, 6)).astype(np.float32)
    paths = itertools.product(*(range(beat) for beat in range(1, 6)))
    best = max(score_of_path(ssm, path, 0.15) for path in paths)
    found = repeat_map_from_ssm(ssm).source[1:].tolist()
    assert score_of_path(ssm, found, 0.15) == pytest.approx(best, abs=1e-5)


def test_a_stripe_is_copied_beat_by_beat():
    ssm = ssm_from_repeats(64, [Repeat(32, 0, 32, 0.9)], texture=DEFAULT_TEXTURE)
    repeat_map = repeat_map_from_ssm(ssm)
    assert repeat_map.source[32:].tolist() == list(range(32))
    np.testing.assert_allclose(repeat_map.grade[32:], 0.9)


def test_beats_without_similarity_are_new():
    repeat_map = repeat_map_from_ssm(np.zeros((5, 5), np.float32))
    assert repeat_map.source.tolist() == [NEW] * 5
    assert repeat_map.grade.tolist() == [0.0] * 5


@pytest.mark.parametrize("n_beats", [0, 1, 2])
def test_the_shortest_pieces_have_a_map(n_beats):
    repeat_map = repeat_map_from_ssm(np.ones((n_beats, n_beats), np.float32))
    assert repeat_map.source.tolist() == [NEW, 0][:n_beats]
    assert context_weights(np.ones((n_beats, n_beats), np.float32)).shape == (n_beats, n_beats)


def test_context_weights_see_the_past_only():
    ssm = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    weights = context_weights(ssm)
    assert np.triu(weights).max() == 0
    np.testing.assert_allclose(weights.sum(axis=1)[1:], 1, atol=1e-5)
    assert weights[0].sum() == 0


def test_context_weights_are_the_sparsemax_of_what_came_before():
    n_beats = 150
    ssm = np.random.default_rng(1).random((n_beats, n_beats)).astype(np.float32)
    weights = context_weights(ssm, temperature=0.1)
    for beat in range(1, n_beats):
        wanted = sparsemax((ssm[beat, :beat] / np.float32(0.1))[None])[0]
        np.testing.assert_allclose(weights[beat, :beat], wanted, atol=1e-6)


def test_context_weights_of_a_long_piece_need_hardly_more_memory_than_their_matrix():
    n_beats = 1500
    ssm = np.random.default_rng(1).random((n_beats, n_beats), np.float32)
    tracemalloc.start()
    size = context_weights(ssm).nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * size
