import mir_eval
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from singcli.metrics.structure import (
    bar_overlap_map,
    boundary_scores,
    different_label_overlap,
    label_scores,
    same_label_overlap,
    same_place_map,
    ssm_mse,
    structure_correlation,
)
from singcli.music.score import ACCOMPANIMENT, LEAD, STEPS_PER_BEAT, Score, regular_bars

BAR = 4 * STEPS_PER_BEAT
TOLERANCE = 1e-6  # maps are float32


class Bars:
    def __init__(self, labels, places):
        self.bar_labels = labels
        self.bar_places = np.array(places)


def score_of(notes, n_bars=None, bar_beats=None):
    """Build a score from (bar, step in bar, voice, pitch), four beats a bar unless told."""
    beats = regular_bars(n_bars, 4) if bar_beats is None else np.array(bar_beats)
    step = [beats[bar] * STEPS_PER_BEAT + place for bar, place, _, _ in notes]
    return Score.from_notes(
        step,
        [voice for _, _, voice, _ in notes],
        [pitch for *_, pitch in notes],
        [1] * len(notes),
        [80] * len(notes),
        bar_beats=beats,
        tempo_bpm=100.0,
    )


def random_score(seed, n_bars=8):
    rng = np.random.default_rng(seed)
    notes = [
        (int(rng.integers(n_bars)), int(rng.integers(BAR)), int(rng.integers(2)), int(p))
        for p in rng.integers(55, 67, 60)
    ]
    return score_of(notes, n_bars)


def aaba_score():
    a = [(0, LEAD, 72), (4, LEAD, 74), (0, ACCOMPANIMENT, 48)]
    b = [(0, LEAD, 65), (2, LEAD, 67), (8, ACCOMPANIMENT, 53)]
    bars = [(0, a), (1, a), (2, b), (3, a)]
    return score_of([(bar, *note) for bar, notes in bars for note in notes], 4)


AABA = Bars(["A", "A", "B", "A"], [0, 0, 0, 0])


class TestBarOverlapMap:
    def test_counts_shared_notes_over_all_notes(self):
        one = [(0, 0, LEAD, 72), (0, 4, LEAD, 74), (0, 0, ACCOMPANIMENT, 48)]
        other = [(1, 0, LEAD, 72), (1, 4, LEAD, 76), (1, 0, ACCOMPANIMENT, 48)]
        overlap = bar_overlap_map(score_of(one + other, 2))
        np.testing.assert_allclose(overlap, [[1, 2 / 4], [2 / 4, 1]], atol=TOLERANCE)

    def test_voices_pitches_and_steps_are_told_apart(self):
        notes = [(0, 0, LEAD, 60), (1, 0, ACCOMPANIMENT, 60), (2, 1, LEAD, 60), (3, 0, LEAD, 61)]
        np.testing.assert_array_equal(bar_overlap_map(score_of(notes, 4)), np.eye(4))

    def test_empty_bars_overlap_nothing_not_even_themselves(self):
        overlap = bar_overlap_map(score_of([(1, 0, LEAD, 60)], 3))
        np.testing.assert_array_equal(overlap, np.diag([0, 1, 0]))

    def test_a_score_without_notes(self):
        np.testing.assert_array_equal(bar_overlap_map(score_of([], 3)), np.zeros((3, 3)))

    def test_a_score_without_bars(self):
        assert bar_overlap_map(score_of([], 0)).shape == (0, 0)

    def test_bars_of_different_lengths_are_compared_over_the_beats_that_both_have(self):
        notes = [(0, 0, LEAD, 60), (0, 14, LEAD, 62), (1, 0, LEAD, 60), (2, 0, LEAD, 60)]
        overlap = bar_overlap_map(score_of(notes, bar_beats=[0, 4, 7, 11]))
        assert overlap[1, 0] == overlap[2, 1] == 1
        assert overlap[2, 0] == pytest.approx(1 / 2)
        late = bar_overlap_map(score_of([(0, 14, LEAD, 62), (1, 0, LEAD, 60)], bar_beats=[0, 4, 7]))
        np.testing.assert_array_equal(late, np.eye(2))

    @pytest.mark.parametrize("seed", range(25))
    def test_equals_the_sets_it_is_defined_by(self, seed):
        score = random_score(seed)
        bars = [set() for _ in range(score.n_bars)]
        for step, voice, pitch in zip(score.step, score.voice, score.pitch, strict=True):
            bars[step // BAR].add((step % BAR, voice, pitch))
        expected = [[len(a & b) / max(len(a | b), 1) for b in bars] for a in bars]
        np.testing.assert_allclose(bar_overlap_map(score), expected, atol=TOLERANCE)

    @pytest.mark.parametrize("seed", range(25))
    def test_symmetric_bounded_float32_and_blind_to_transposition(self, seed):
        score = random_score(seed)
        overlap = bar_overlap_map(score)
        assert overlap.dtype == np.float32
        np.testing.assert_array_equal(overlap, overlap.T)
        assert overlap.min() >= 0
        assert overlap.max() <= 1
        np.testing.assert_array_equal(overlap, bar_overlap_map(score.transposed(5)))


class TestLabelOverlaps:
    def test_exact_repeats_and_foreign_b(self):
        overlap = bar_overlap_map(aaba_score())
        assert same_label_overlap(overlap, AABA) == 1
        assert different_label_overlap(overlap, AABA) == 0

    def test_only_bars_at_the_same_place_count_as_the_same(self):
        form = Bars(["A", "A", "A", "A"], [0, 1, 0, 1])
        overlap = np.zeros((4, 4), np.float32)
        overlap[2, 0] = 0.5
        overlap[3, 1] = 0.1
        overlap[1, 0] = overlap[3, 2] = 0.9  # neighbours inside a section
        assert same_label_overlap(overlap, form) == pytest.approx(0.3)

    def test_all_pairs_with_different_labels_count_whatever_their_place(self):
        form = Bars(["A", "A", "B"], [0, 1, 0])
        overlap = np.zeros((3, 3), np.float32)
        overlap[2] = [0.2, 0.4, 1.0]
        overlap[1, 0] = 0.9
        assert different_label_overlap(overlap, form) == pytest.approx(0.3)

    def test_none_where_there_is_no_such_pair(self):
        overlap = np.eye(2, dtype=np.float32)
        assert same_label_overlap(overlap, Bars(["A", "B"], [0, 0])) is None
        assert different_label_overlap(overlap, Bars(["A", "A"], [0, 1])) is None
        assert same_label_overlap(np.zeros((0, 0), np.float32), Bars([], [])) is None

    def test_a_form_of_another_length_is_compared_where_both_have_bars(self):
        overlap = bar_overlap_map(aaba_score())
        assert same_label_overlap(overlap[:3, :3], AABA) == 1
        assert same_label_overlap(overlap, Bars(["A", "A"], [0, 0])) == 1

    def test_same_place_map_of_two_bars_of_a_and_b(self):
        form = Bars(["A", "A", "B", "A", "A"], [0, 1, 0, 0, 1])
        expected = np.eye(5, dtype=bool)
        expected[[0, 3, 1, 4], [3, 0, 4, 1]] = True
        np.testing.assert_array_equal(same_place_map(form), expected)


class TestStructureCorrelation:
    def test_perfect_inverted_and_hand_worked(self):
        wanted = np.zeros((3, 3), np.float32)
        wanted[1, 0], wanted[2, 0], wanted[2, 1] = 1, 0, 0
        assert structure_correlation(wanted, 0.2 + 0.3 * wanted) == pytest.approx(1)
        assert structure_correlation(wanted, 1 - wanted) == pytest.approx(-1)
        measured = np.zeros((3, 3), np.float32)
        measured[1, 0], measured[2, 0], measured[2, 1] = 0.5, 0.25, 0  # r = sqrt(3) / 2
        assert structure_correlation(wanted, measured) == pytest.approx(np.sqrt(3) / 2)

    def test_the_diagonal_and_the_upper_half_do_not_count(self):
        rng = np.random.default_rng(0)
        wanted, measured = rng.random((2, 5, 5)).astype(np.float32)
        before = structure_correlation(wanted, measured)
        measured[np.triu_indices(5)] = 7
        assert structure_correlation(wanted, measured) == before

    @pytest.mark.parametrize("value", [0.0, 0.1, 0.3])
    def test_a_constant_map_has_no_correlation(self, value):
        flat = np.full((5, 5), value, np.float32)
        other = np.random.default_rng(0).random((5, 5)).astype(np.float32)
        assert structure_correlation(flat, other) == 0
        assert structure_correlation(other, flat) == 0
        assert ssm_mse(flat, other) == 2

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_too_small_to_correlate(self, n):
        assert structure_correlation(np.ones((n, n), "f4"), np.ones((n, n), "f4")) == 0

    @pytest.mark.parametrize("shapes", [((3, 3), (4, 4)), ((3, 4), (3, 4)), ((3,), (3,))])
    def test_maps_that_cannot_be_compared(self, shapes):
        with pytest.raises(ValueError, match="square maps of one size"):
            structure_correlation(np.ones(shapes[0], "f4"), np.ones(shapes[1], "f4"))

    @pytest.mark.parametrize("seed", range(25))
    def test_error_of_z_scores_is_two_times_one_minus_r(self, seed):
        wanted, measured = np.random.default_rng(seed).random((2, 9, 9)).astype(np.float32)
        below = np.tril_indices(9, -1)
        scores = [
            (values - values.mean()) / values.std()
            for values in (wanted[below].astype(float), measured[below].astype(float))
        ]
        expected = np.mean((scores[0] - scores[1]) ** 2)
        assert ssm_mse(wanted, measured) == pytest.approx(expected)
        reference = np.corrcoef(wanted[below], measured[below])[0, 1]
        assert structure_correlation(wanted, measured) == pytest.approx(reference, abs=TOLERANCE)


def intervals_and_labels(boundaries, n_bars):
    edges = [0, *boundaries, n_bars]
    return np.array([edges[:-1], edges[1:]], float).T


boundary_sets = st.lists(st.integers(1, 39), min_size=1, unique=True).map(sorted)


class TestBoundaryScores:
    def test_perfect(self):
        assert boundary_scores([8, 16, 24], [8, 16, 24]) == (1, 1, 1)

    def test_one_bar_beside_counts_two_bars_do_not(self):
        assert boundary_scores([8, 16], [9, 18]) == (0.5, 0.5, 0.5)
        assert boundary_scores([8, 16], [9, 18], window_bars=0) == (0, 0, 0)

    def test_a_boundary_is_matched_once(self):
        assert boundary_scores([8], [7, 9]) == (0.5, 1, pytest.approx(2 / 3))

    def test_nothing_to_find(self):
        assert boundary_scores([], []) == (1, 1, 1)
        assert boundary_scores([8], []) == (0, 0, 0)
        assert boundary_scores([], [8]) == (0, 0, 0)

    @given(boundary_sets, boundary_sets, st.integers(0, 3))
    def test_agrees_with_mir_eval(self, reference, estimated, window):
        expected = mir_eval.segment.detection(
            intervals_and_labels(reference, 40),
            intervals_and_labels(estimated, 40),
            window=window,
            trim=True,
        )
        assert boundary_scores(reference, estimated, window_bars=window) == pytest.approx(expected)


class TestLabelScores:
    def test_names_do_not_matter(self):
        assert label_scores("AABA", "xxyx") == (1, 1, 1)

    def test_hand_worked(self):
        # wanted pairs: 01 03 13; found pairs: 01 23; shared: 01
        assert label_scores("AABA", "xxyy") == (1 / 2, 1 / 3, pytest.approx(0.4))

    def test_no_repeats(self):
        assert label_scores("AB", "xy") == (1, 1, 1)
        assert label_scores("AA", "xy") == (0, 0, 0)
        assert label_scores([], []) == (1, 1, 1)

    def test_lengths_must_agree(self):
        with pytest.raises(ValueError, match="4 reference labels, but 3"):
            label_scores("AABA", "AAB")

    @given(st.data(), st.integers(2, 12))
    def test_agrees_with_mir_eval(self, data, n_bars):
        reference, estimated = (
            data.draw(st.lists(st.sampled_from("ab"), min_size=n_bars, max_size=n_bars))
            for _ in range(2)
        )
        assume(max(len(set(reference)), len(set(estimated))) < n_bars)  # mir_eval divides 0 by 0
        edges = np.arange(n_bars + 1.0)
        intervals = np.array([edges[:-1], edges[1:]]).T
        expected = mir_eval.segment.pairwise(
            intervals, reference, intervals, estimated, frame_size=1.0
        )
        assert label_scores(reference, estimated) == pytest.approx(expected)
