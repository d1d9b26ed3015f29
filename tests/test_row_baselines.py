"""What stands beside the models in the paper's benchmark."""

from __future__ import annotations

import numpy as np
import pytest
from row_rolls import roll_of, song_roll

from singcli.metrics.row_structure import row_ssm_mse
from singcli.model.rows import RowTask
from singcli.protocol.baselines import (
    LOWEST_RANDOM_PITCH,
    N_RANDOM_PITCHES,
    CopiedRows,
    RandomNotes,
    blanked_at_rests,
)
from singcli.protocol.row_bag import RowBag, RowPool
from singcli.protocol.tasks import WAYS, another_roll, flat_matrix, task
from singcli.row_dataset import Segment
from singcli.structure.row_ssm import row_chroma, row_ssm

SEED_ROWS = 10


@pytest.fixture(scope="module")
def pool() -> RowPool:
    return RowPool.from_rolls([song_roll(60, seed) for seed in range(20, 26)])


def task_of(roll: np.ndarray) -> RowTask:
    return RowTask(row_ssm(roll), roll[:SEED_ROWS])


TASKS = [task_of(song_roll(n_rows, seed)) for n_rows, seed in ((40, 1), (55, 2), (33, 3))]


@pytest.mark.parametrize("which", [0, 1, 2])
class TestEvery:
    def generator(self, which, pool):
        return (RandomNotes(), CopiedRows(), RowBag(pool, 8))[which]

    def test_begins_with_the_seed_and_has_the_length_of_the_matrix(self, which, pool):
        for given, roll in zip(
            TASKS, self.generator(which, pool).generate(TASKS, [1, 2, 3]), strict=True
        ):
            assert roll.shape == (len(given.ssm), 128)
            assert roll.dtype == np.bool_
            np.testing.assert_array_equal(roll[:SEED_ROWS], given.seed_rows)

    def test_depends_on_its_own_task_and_seed_alone(self, which, pool):
        generator = self.generator(which, pool)
        together = generator.generate(TASKS, [1, 2, 3])
        for index in (2, 0, 1):
            (alone,) = generator.generate([TASKS[index]], [index + 1])
            np.testing.assert_array_equal(alone, together[index])


class TestRandomNotes:
    def test_one_to_three_notes_of_fifty(self):
        (roll,) = RandomNotes().generate([task_of(song_roll(600, 0))], [5])
        after = roll[SEED_ROWS:]
        assert set(after.sum(axis=1)) <= {1, 2, 3}
        pitches = np.flatnonzero(after.any(axis=0))
        assert pitches[0] == LOWEST_RANDOM_PITCH
        assert len(pitches) == N_RANDOM_PITCHES
        assert after.sum() / len(after) == pytest.approx(50 * (1 - (49 / 50) ** 3), abs=0.05)

    def test_does_not_look_at_the_matrix(self):
        blank = RowTask(np.zeros_like(TASKS[0].ssm), TASKS[0].seed_rows)
        both = RandomNotes().generate([TASKS[0], blank], [4, 4])
        np.testing.assert_array_equal(*both)


class TestCopiedRows:
    def test_by_hand(self):
        c, f = (60, 64), (65, 69)
        ssm = np.array([[1, 0, 0.2, 0.9], [0, 1, 0.8, 0], [0.2, 0.8, 1, 0], [0.9, 0, 0, 1]])
        given = RowTask(ssm.astype(np.float32), roll_of(c, f))
        (roll,) = CopiedRows().generate([given], [0])
        np.testing.assert_array_equal(roll, roll_of(c, f, f, c))

    def test_without_a_seed_nothing_sounds(self):
        given = RowTask(TASKS[0].ssm, np.zeros((0, 128), np.bool_))
        assert not CopiedRows().generate([given], [0])[0].any()


def test_rests_of_the_template_are_blanked_and_nothing_else():
    roll = roll_of(*[(60,)] * 4)
    ssm = row_ssm(roll_of((), (60,), (), (62,)))
    blanked = blanked_at_rests(RowTask(ssm, roll[:1]), roll)
    assert blanked.any(axis=1).tolist() == [True, True, False, True]


class TestRowBag:
    def test_every_row_is_one_of_the_pool(self, pool):
        (roll,) = RowBag(pool, 8).generate(TASKS[:1], [3])
        known = {row.tobytes() for row in pool.packed}
        assert {row.tobytes() for row in np.packbits(roll[SEED_ROWS:], axis=1)} <= known

    @pytest.mark.parametrize("candidates", [1, 5, 40])
    def test_keeps_the_candidate_whose_row_of_the_matrix_is_nearest(self, pool, candidates):
        given, seed = TASKS[1], 9
        (roll,) = RowBag(pool, candidates).generate([given], [seed])
        rng = np.random.default_rng(seed)
        drawn = rng.integers(len(pool.packed), size=(len(given.ssm), candidates))
        for row in range(SEED_ROWS, len(roll)):
            errors = []
            for candidate in pool.rows(drawn[row]):
                made = row_ssm(np.concatenate([roll[:row], candidate[None]]))[row]
                errors.append(((made - given.ssm[row, : row + 1]) ** 2).sum())
            chosen = row_ssm(roll[: row + 1])[row]
            error = ((chosen - given.ssm[row, : row + 1]) ** 2).sum()
            assert error == pytest.approx(min(errors), abs=1e-4)

    def test_more_candidates_keep_better_to_the_matrix(self, pool):
        errors = []
        for candidates in (1, 8, 64):
            rolls = RowBag(pool, candidates).generate(TASKS, [1, 2, 3])
            errors.append(
                np.mean([row_ssm_mse(t.ssm, row_ssm(r)) for t, r in zip(TASKS, rolls, strict=True)])
            )
        assert errors[0] > errors[1] > errors[2]
        assert errors[0] > 1.5 > 0.7 > errors[2]

    def test_the_pool_keeps_all_rows(self):
        rolls = [song_roll(20, 1), song_roll(30, 2)]
        pool = RowPool.from_rolls(rolls)
        whole = np.concatenate(rolls)
        np.testing.assert_array_equal(pool.rows(np.arange(50)), whole)
        lengths = np.linalg.norm(pool.chroma, axis=1)
        np.testing.assert_allclose(lengths, whole.any(axis=1), atol=1e-6)
        counts = row_chroma(whole)
        np.testing.assert_allclose(
            pool.chroma * np.linalg.norm(counts, axis=1)[:, None], counts, atol=1e-5
        )


class TestTasks:
    segments = (
        Segment("a#1", song_roll(30, 1)),
        Segment("a#2", song_roll(36, 2)),
        Segment("b#1", song_roll(33, 3)),
        Segment("c#1", song_roll(32, 4)),
    )

    @pytest.mark.parametrize("way", WAYS)
    def test_every_way_gives_the_same_seed_rows_and_a_matrix_of_the_same_size(self, way):
        for index, segment in enumerate(self.segments):
            given = task(self.segments, index, way, seed=1)
            assert given.ssm.shape == (len(segment.roll),) * 2
            np.testing.assert_array_equal(given.seed_rows, segment.roll[:SEED_ROWS])

    def test_wanted_is_the_segments_own_and_shuffled_the_same_in_disorder(self):
        own = row_ssm(self.segments[0].roll)
        np.testing.assert_array_equal(task(self.segments, 0, "wanted", seed=1).ssm, own)
        shuffled = task(self.segments, 0, "shuffled", seed=1).ssm
        assert not np.array_equal(shuffled, own)
        np.testing.assert_array_equal(np.sort(shuffled.ravel()), np.sort(own.ravel()))
        np.testing.assert_array_equal(shuffled, shuffled.T)

    def test_none_is_flat_at_the_mean(self):
        flat = flat_matrix(np.array([[1, 0.2, 0.4], [0.2, 0, 0.6], [0.4, 0.6, 1]], np.float32))
        assert flat == pytest.approx(np.array([[1, 0.4, 0.4], [0.4, 1, 0.4], [0.4, 0.4, 1]]))

    def test_another_is_of_another_piece_nearest_in_length_from_above(self):
        np.testing.assert_array_equal(another_roll(self.segments, 0), self.segments[3].roll[:30])
        begun_again = another_roll(self.segments, 1)  # all others are shorter
        longest = self.segments[2].roll
        np.testing.assert_array_equal(begun_again, np.concatenate([longest, longest[:3]]))
