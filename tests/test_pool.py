from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from singcli.preparation.pool import ITEMS_IN_FLIGHT, default_jobs, outcomes_in_processes


def square(n: int) -> int:
    if n < 0:
        os._exit(9)  # as a crash in native code, or the kernel out of memory, would
    return n * n


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_gets_its_outcome(jobs: int) -> None:
    outcomes = dict(outcomes_in_processes(square, range(50), jobs=jobs))
    assert outcomes == {n: n * n for n in range(50)}


def test_only_the_item_that_kills_its_process_is_lost() -> None:
    items = [*range(20), -1, *range(20, 40), -2, *range(40, 60)]
    outcomes = list(outcomes_in_processes(square, items, jobs=2))
    assert sorted(item for item, _ in outcomes) == sorted(items)
    assert dict(outcomes) == {n: n * n if n >= 0 else None for n in items}


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(200):
            taken.append(n)
            yield n

    outcomes = outcomes_in_processes(square, items(), jobs=2)
    next(outcomes)
    assert len(taken) <= 2 * ITEMS_IN_FLIGHT
    outcomes.close()


def test_there_is_at_least_one_job() -> None:
    assert default_jobs() >= 1
