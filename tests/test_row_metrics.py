"""The measures of row rolls, by hand and against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from row_rolls import roll_of, song_roll
from scipy import stats

from singcli.metrics.row_structure import (
    PAPER,
    STRICT,
    VARIANTS,
    Variant,
    row_correlation,
    row_ssm_mse,
)
from singcli.metrics.rows import (
    N_INTERVALS,
    OFFSET,
    distinct_pitches,
    empty_rows,
    held_share,
    note_lengths,
    notes_per_row,
    row_guards,
    top_intervals,
    unique_rows,
    wasserstein,
)
from singcli.structure.row_ssm import row_chroma, row_ssm

ROLL = roll_of((60, 64), (60, 67), (), (60, 67), (59, 67))


class TestMatrix:
    def test_equals_the_double_loop(self):
        roll = song_roll(30, 1)
        chroma = [np.array([row[c::12].sum() for c in range(12)]) for row in roll]
        for i, a in enumerate(chroma):
            for j, b in enumerate(chroma):
                length = np.linalg.norm(a) * np.linalg.norm(b)
                wanted = a @ b / length if length else 0.0
                assert row_ssm(roll)[i, j] == pytest.approx(wanted, abs=1e-6)

    def test_an_empty_row_resembles_nothing_and_not_itself(self):
        ssm = row_ssm(ROLL)
        assert not ssm[2].any()
        assert not ssm[:, 2].any()
        assert np.diagonal(ssm)[[0, 1, 3, 4]] == pytest.approx(1.0)

    def test_octaves_make_no_difference_and_unisons_of_classes_are_counted(self):
        assert row_chroma(roll_of((60, 72, 67))).tolist() == [[2, *[0] * 6, 1, *[0] * 4]]
        up = np.roll(ROLL, 12, axis=1)
        np.testing.assert_allclose(row_ssm(up), row_ssm(ROLL), atol=1e-6)
        assert row_chroma(roll_of((127, 0)))[0, [7, 0]].tolist() == [1, 1]


class TestGuards:
    def test_by_hand(self):
        assert distinct_pitches(ROLL) == 4
        assert unique_rows(ROLL) == 4 / 5
        assert notes_per_row(ROLL) == 8 / 5
        assert empty_rows(ROLL) == pytest.approx(1 / 5)
        assert row_guards(ROLL) == (4, 4 / 5, 8 / 5, pytest.approx(1 / 5))

    def test_silence(self):
        assert row_guards(roll_of((), ())) == (0, 0.5, 0.0, 1.0)


class TestContinuity:
    def test_held_share_by_hand(self):
        # Rows after the first: 60 of (60, 67); none; none of (60, 67); 67 of (59, 67).
        assert held_share(ROLL) == 2 / 6
        assert held_share(roll_of((60,), ())) is None
        assert held_share(roll_of((60,), (60,), (60,))) == 1.0

    def test_note_lengths_by_hand(self):
        # 60: 2 and 1; 64: 1; 67: 1 and 2; 59: 1.
        assert note_lengths(ROLL).tolist() == [0, 4, 2, 0, 0, 0]
        assert note_lengths(roll_of((0, 127), (0, 127))).tolist() == [0, 0, 2]

    def test_note_lengths_add_up_to_the_notes(self):
        roll = song_roll(50, 3)
        lengths = note_lengths(roll)
        assert lengths @ np.arange(len(lengths)) == roll.sum()

    def test_top_intervals_by_hand(self):
        # Tops 64, 67, none, 67, 67: up a third; held. The rest makes no interval.
        counts = top_intervals(ROLL)
        assert counts.shape == (N_INTERVALS,)
        assert {int(k) - OFFSET: int(counts[k]) for k in np.flatnonzero(counts)} == {3: 1, 0: 1}

    def test_the_widest_intervals_fit(self):
        counts = top_intervals(roll_of((0,), (127,), (0,)))
        assert counts[0] == counts[-1] == 1

    @pytest.mark.parametrize("seed", range(5))
    def test_wasserstein_is_that_of_scipy(self, seed):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 9, (2, 30))
        values = np.arange(30)
        wanted = stats.wasserstein_distance(values, values, a, b)
        assert wasserstein(a, b) == pytest.approx(wanted)
        assert wasserstein(a, 3 * a) == pytest.approx(0.0)

    def test_wasserstein_of_many_and_of_nothing(self):
        a = np.array([[2, 0, 0], [0, 0, 0]])
        b = np.array([[0, 0, 1], [1, 0, 0]])
        np.testing.assert_allclose(wasserstein(a, b), [2.0, np.nan])
        with pytest.raises(ValueError, match="3 classes, but 2"):
            wasserstein(a, b[:, :2])


class TestStructure:
    def matrices(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        return row_ssm(song_roll(40, seed)), row_ssm(song_roll(40, seed + 50))

    @pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
    def test_equals_pearson_over_the_pairs_that_take_part(self, variant):
        wanted, measured = self.matrices()
        kept = [
            (i, j)
            for i in range(40)
            for j in range(40)
            if (variant.seed or min(i, j) >= 10)
            and (variant.diagonal or i != j)
            and (variant.rests or (wanted[i, i] > 0 and wanted[j, j] > 0))
        ]
        assert (len(kept) == 1600) == (variant == PAPER)
        rows, columns = np.array(kept).T
        expected = stats.pearsonr(wanted[rows, columns], measured[rows, columns]).statistic
        found = row_correlation(wanted, measured, variant, n_seed=10)
        assert found == pytest.approx(expected, abs=1e-6)

    def test_is_the_mean_squared_error_of_the_z_scores(self):
        wanted, measured = (m.astype(np.float64) for m in self.matrices(3))
        z = [(m - m.mean()) / m.std() for m in (wanted, measured)]
        assert row_ssm_mse(wanted, measured) == pytest.approx(np.mean((z[0] - z[1]) ** 2), abs=1e-6)

    def test_the_same_music_has_no_error_and_its_transposition_neither(self):
        roll = song_roll(40, 7)
        assert row_ssm_mse(row_ssm(roll), row_ssm(np.roll(roll, 5, axis=1))) == pytest.approx(
            0.0, abs=1e-6
        )

    @pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
    @pytest.mark.parametrize("constant", [0.0, 1 / 3, 1.0])
    def test_a_constant_matrix_correlates_with_nothing(self, variant, constant):
        wanted = self.matrices()[0]
        flat = np.full_like(wanted, constant)
        assert row_ssm_mse(wanted, flat, variant, n_seed=10) == 2.0

    def test_nothing_left_to_compare_counts_as_nothing(self):
        wanted = row_ssm(song_roll(8, 0))
        assert row_correlation(wanted, wanted, STRICT, n_seed=8) == 0.0
        one = np.ones((1, 1), np.float32)
        assert row_correlation(one, one, Variant("x", diagonal=False)) == 0.0

    def test_shapes_must_agree(self):
        with pytest.raises(ValueError, match="not compared"):
            row_correlation(np.ones((3, 3), np.float32), np.ones((2, 2), np.float32))
