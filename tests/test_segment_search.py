"""The evidence for sections and the search for the best cut, against plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.structure.bar_features import BarFeatures
from singcli.structure.section_labels import PairTables, StackedCuts, grouped
from singcli.structure.segment_candidates import best_cuts, candidate_cuts, inside_sections
from singcli.structure.segment_features import (
    LONGEST,
    SAME,
    length_features,
    line_features,
    stretch_features,
)
from singcli.structure.segmentation_weights import bundled_weights


def features_of(bars: np.ndarray) -> BarFeatures:
    return BarFeatures(bars.astype(np.float32))


def random_bars(n_bars: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(-0.5, 1.0, (n_bars, n_bars))
    bars = np.maximum(values, values.T)
    np.fill_diagonal(bars, 1.0)
    return bars


def test_repeats_equal_those_of_a_plain_loop() -> None:
    bars = random_bars(11, 0)
    found = stretch_features(features_of(bars))["alike repeat"]
    for n, start in itertools.product(range(1, 6), range(11)):
        others = [
            np.mean([bars[start + i, other + i] for i in range(n)])
            for other in range(11 - n + 1)
            if start + n <= 11 and abs(other - start) >= n
        ]
        expected = max(max(others, default=0.0) - SAME["alike"], 0.0)
        assert found[start, n] == pytest.approx(expected, abs=1e-5)


def test_a_repeat_is_sharp_where_it_begins_and_ends() -> None:
    bars = np.full((16, 16), 0.0)
    np.fill_diagonal(bars, 1.0)
    for place in range(4):
        bars[2 + place, 10 + place] = bars[10 + place, 2 + place] = 1.0
    found = stretch_features(features_of(bars))
    left, right = found["alike left edge"], found["alike right edge"]
    assert left[2, 2] > 0.7
    assert left[3, 2] == 0.0  # inside the repeat
    assert right[4, 2] > 0.7
    assert right[3, 2] == 0.0
    lines = line_features(features_of(bars))
    assert set(np.flatnonzero(lines["alike begins 4"] > 0.4)) == {2, 10}
    assert set(np.flatnonzero(lines["alike ends 4"] > 0.4)) == {6, 14}


def test_neighbours_and_halves() -> None:
    bars = np.zeros((12, 12))
    np.fill_diagonal(bars, 1.0)
    for place in range(4):
        bars[4 + place, place] = bars[place, 4 + place] = 0.9
    found = stretch_features(features_of(bars))
    assert found["alike next"][0, 4] == pytest.approx(0.4)
    assert found["alike next"][4, 4] == pytest.approx(0.4)
    assert found["alike next"][8, 4] == 0.0
    assert found["alike halves"][0, 8] == pytest.approx(0.4)
    assert found["alike halves"][4, 8] == 0.0
    assert found["alike uniform"][0, 8] == pytest.approx(8 * 0.9 / 56)


def test_music_changes_where_blocks_meet() -> None:
    bars = np.kron(np.eye(2), np.ones((8, 8)))
    lines = line_features(features_of(bars))
    for side in (2, 4, 8):
        assert lines[f"alike checkerboard {side}"].argmax() == 8
    assert all(values[0] == 0.0 for values in lines.values())


def test_every_length_is_of_one_kind() -> None:
    table = length_features()
    kinds = np.sum([v for name, v in table.items() if name != "over 16"], axis=0)
    assert kinds[0] == 0
    assert (kinds[1:] == 1).all()


@pytest.mark.parametrize("source", ["notes", "ssm"])
@pytest.mark.parametrize("level", ["sections", "phrases"])
def test_every_feature_has_its_weight(source: str, level: str) -> None:
    weights = bundled_weights(source, level)
    bars = random_bars(9, 1).astype(np.float32)
    if source == "ssm":
        piece = BarFeatures(bars)
    else:
        one = np.ones(9)
        piece = BarFeatures(bars, bars.clip(0), None, one, np.ones((9, 3)), np.ones((9, 5)))
    used = {*line_features(piece), *stretch_features(piece), *length_features()}
    assert used == set(weights.stretches)
    pairs = PairTables(piece).pair_features(StackedCuts.of([[(0, 4), (4, 5)]]))
    assert {*pairs, "bias"} == set(weights.labels)


@given(st.integers(1, 9), st.integers(0, 10))
def test_the_best_cut_is_the_best_of_all(n_bars: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(n_bars, LONGEST + 1))
    inside = np.arange(n_bars)[:, None] + np.arange(LONGEST + 1) <= n_bars
    scores = np.where(inside, scores, -np.inf)
    (found,) = best_cuts(scores[..., None])

    def total(cut: list[tuple[int, int]]) -> float:
        return sum(scores[start, n] for start, n in cut)

    cuts = []
    for lines in itertools.product([False, True], repeat=n_bars - 1):
        edges = [0, *(bar + 1 for bar, line in enumerate(lines) if line), n_bars]
        cuts.append([(a, b - a) for a, b in itertools.pairwise(edges)])
    assert total(list(found)) == pytest.approx(max(map(total, cuts)))


def test_candidates_differ_cover_the_piece_and_begin_with_the_best() -> None:
    scores = np.random.default_rng(3).normal(size=(40, LONGEST + 1))
    inside = np.arange(40)[:, None] + np.arange(LONGEST + 1) <= 40
    found = candidate_cuts(np.where(inside, scores, -np.inf))
    assert len({cut for cut, _ in found}) == len(found) > 10
    assert found[0][1] == max(score for _, score in found)
    for cut, _ in found:
        assert [start for start, _ in cut] == [0, *np.cumsum([n for _, n in cut])[:-1]]
        assert sum(n for _, n in cut) == 40
    assert found == candidate_cuts(np.where(inside, scores, -np.inf))


def test_no_phrase_reaches_over_the_start_of_a_section() -> None:
    scores = inside_sections(np.zeros((10, LONGEST + 1)), [0, 4, 6])
    for start, n in itertools.product(range(10), range(1, 11)):
        crosses = any(start < line < start + n for line in (4, 6, 10))
        assert (scores[start, n] == -np.inf) == crosses


def test_stretches_are_compared_bar_by_bar() -> None:
    bars = random_bars(10, 2)
    cuts = StackedCuts.of([[(0, 10)], [(0, 3), (3, 5), (8, 2)]])
    pairs = PairTables(features_of(bars)).pair_features(cuts)
    found = {name: cuts.matrices(value)[1] for name, value in pairs.items()}
    assert found["alike"][0, 1] == pytest.approx(bars[[0, 1, 2], [3, 4, 5]].mean(), abs=1e-6)
    first, second = bars[[0, 1], [3, 4]].mean(), bars[2, 5]
    assert found["weaker half"][1, 0] == pytest.approx(min(first, second), abs=1e-6)
    assert found["length"][1, 2] == pytest.approx(0.6)


def test_groups_join_by_their_mean() -> None:
    scores = np.array([[0, 3, -1, -9], [3, 0, -1, -9], [-1, -1, 0, 2], [-9, -9, 2, 0]], float)
    assert grouped(scores) == [0, 0, 1, 1]
    scores[:2, 2] = scores[2, :2] = 2.5
    assert grouped(scores) == [0, 0, 0, 1]
    assert grouped(np.zeros((1, 1))) == [0]
    assert grouped(-np.ones((3, 3))) == [0, 1, 2]
