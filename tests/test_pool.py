from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from singcli.preparation import pool
from singcli.preparation.pool import (
    ITEMS_IN_FLIGHT,
    Start,
    default_jobs,
    new_event,
    outcomes_in_processes,
)


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


def test_items_that_travel_together_are_lost_alone() -> None:
    items = [*range(20), -1, *range(20, 45)]
    outcomes = list(outcomes_in_processes(square, items, jobs=2, at_once=8))
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


def test_processes_end_with_the_one_that_started_them() -> None:
    script = (
        "import multiprocessing, threading, time\n"
        "from singcli.preparation.pool import outcomes_in_processes\n"
        "def tell():\n"
        "    while not multiprocessing.active_children(): time.sleep(0.05)\n"
        "    print('begun', flush=True)\n"
        "threading.Thread(target=tell).start()\n"
        "list(outcomes_in_processes(time.sleep, [0.1, 600], jobs=2))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.kill()
        process.communicate(timeout=100)  # until nobody holds the other end of the pipe


def test_what_is_running_is_told_to_stop() -> None:
    stop = new_event()
    outcomes = outcomes_in_processes(square, range(50), jobs=2, start=Start(stop=stop))
    next(outcomes)
    assert not stop.is_set()
    outcomes.close()
    assert stop.is_set()


def told_at_the_start(told: Event) -> None:
    told.set()


def test_every_process_is_set_up() -> None:
    told = new_event()
    start = Start(setup=functools.partial(told_at_the_start, told))
    assert dict(outcomes_in_processes(square, range(3), jobs=2, start=start)) == {0: 0, 1: 1, 2: 4}
    assert told.is_set()


def test_there_is_at_least_one_job() -> None:
    assert default_jobs() >= 1


def _is_deaf() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("ctrl_c")
def test_processes_do_not_hear_ctrl_c_even_while_they_start():
    context = pool._context()
    if context.get_start_method() != "forkserver":
        pytest.skip("processes are started in another way here")
    pool._start_deaf_server(context)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with ProcessPoolExecutor(1, mp_context=context) as plain:
        assert plain.submit(_is_deaf).result()


def _end_if_deaf() -> None:
    sys.exit(0 if _is_deaf() else 1)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="signals are not inherited")
def test_processes_of_their_own_interpreter_do_not_hear_ctrl_c_either():
    with pool.deaf_start():
        process = multiprocessing.get_context("spawn").Process(target=_end_if_deaf)
        process.start()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    process.join(60)
    assert process.exitcode == 0
