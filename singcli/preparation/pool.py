"""Run a function over many items in processes that may die."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

WORKERS = ("singcli.preparation.worker", "singcli.preparation.row_worker")
ITEMS_IN_FLIGHT = 8  # for each process: enough to keep it busy, few enough to bound the memory


def default_jobs() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def outcomes_in_processes(
    function: Callable[[Item], Outcome], items: Iterable[Item], *, jobs: int
) -> Iterator[tuple[Item, Outcome | None]]:
    """Yield every item with its outcome, as they finish; None where the process died over it.

    When a process dies (out of memory, a crash in native code) the items it may have died of are
    run again one at a time, so that only the guilty one is lost.

    Parameters
    ----------
    function : callable
        Importable by name. Must not raise.
    items : iterable
        Consumed as processes become free.
    jobs : int > 0
        1 runs everything in this process.
    """
    if jobs == 1:
        for item in items:
            yield item, function(item)
        return
    remaining = iter(items)
    while suspects := (yield from _until_broken(function, remaining, jobs)):
        yield from _one_at_a_time(function, suspects)


def _until_broken(
    function: Callable[[Item], Outcome], remaining: Iterator[Item], jobs: int
) -> Generator[tuple[Item, Outcome], None, list[Item]]:
    """Yield outcomes until all items are done or a process dies; return what was in flight then."""
    pending: dict[Future[Outcome], Item] = {}
    with _executor(jobs) as executor:
        while True:
            for item in itertools.islice(remaining, jobs * ITEMS_IN_FLIGHT - len(pending)):
                try:
                    pending[executor.submit(function, item)] = item
                except BrokenProcessPool:
                    return [*pending.values(), item]
            if not pending:
                return []
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                if isinstance(future.exception(), BrokenProcessPool):
                    return list(pending.values())
                yield pending.pop(future), future.result()


def _one_at_a_time(
    function: Callable[[Item], Outcome], items: list[Item]
) -> Iterator[tuple[Item, Outcome | None]]:
    """Yield outcomes, None for an item over which its process died; `items` is emptied."""
    while items:
        with _executor(1) as executor:
            died = False
            while items and not died:
                item = items.pop(0)
                future = executor.submit(function, item)
                died = isinstance(future.exception(), BrokenProcessPool)
                yield item, None if died else future.result()


@contextlib.contextmanager
def _executor(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield an executor whose processes leave Ctrl-C to this one."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([*WORKERS, "symusic"])
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
