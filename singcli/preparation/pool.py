"""Run a function over many items in processes that may die."""

from __future__ import annotations

import contextlib
import functools
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# What processes import that prepare. Named here, where nothing else is imported: the command has it
# imported before it imports anything itself.
SCORES_PRELOAD, ROWS_PRELOAD = (
    (f"singcli.preparation.{worker}", "singcli.preparation.settling", "symusic.core")
    for worker in ("worker", "row_worker")
)
FROZEN = "singcli.preparation.frozen"
ITEMS_IN_FLIGHT = 8  # for each process: enough to keep it busy, few enough to bound the memory


def default_jobs() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Start:
    """How processes begin and when they are to end.

    Parameters
    ----------
    setup : callable, optional
        Called once in every process; can be pickled.
    preload : sequence of str
        Modules that are imported once for all processes, where the system can do that.
    stop : Event, optional
        From `new_event`; set as soon as nobody waits for outcomes any more, by an interruption
        say. The function may look at it and give up.
    """

    setup: Callable[[], None] | None = None
    preload: Sequence[str] = SCORES_PRELOAD
    stop: Event | None = None


_PLAIN = Start()


def new_event() -> Event:
    """Return an event that processes can share; it goes to them by `Start.setup`."""
    return _context().Event()


def outcomes_in_processes(
    function: Callable[[Item], Outcome],
    items: Iterable[Item],
    *,
    jobs: int,
    start: Start = _PLAIN,
    at_once: int = 1,
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
        1 runs everything in this process, without `start`.
    start : Start
    at_once : int > 0
        Items that go to a process together, and come back so: a journey takes a third of a
        millisecond. After a process has died its items travel alone.
    """
    if jobs == 1:
        for item in items:
            yield item, function(item)
        return
    remaining = iter(items)
    while suspects := (yield from _until_broken(function, remaining, jobs, start, at_once)):
        yield from _one_at_a_time(function, suspects, start)


def _until_broken(
    function: Callable[[Item], Outcome],
    remaining: Iterator[Item],
    jobs: int,
    start: Start,
    at_once: int,
) -> Generator[tuple[Item, Outcome], None, list[Item]]:
    """Yield outcomes until all items are done or a process dies; return what was in flight then."""
    pending: dict[Future[list[Outcome]], list[Item]] = {}
    work = functools.partial(_each, function)
    in_flight = jobs * max(ITEMS_IN_FLIGHT // at_once, 2)
    with _executor(jobs, start) as executor:
        while True:
            while len(pending) < in_flight and (
                items := list(itertools.islice(remaining, at_once))
            ):
                try:
                    pending[executor.submit(work, items)] = items
                except BrokenProcessPool:
                    return [*itertools.chain(*pending.values()), *items]
            if not pending:
                return []
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                if isinstance(future.exception(), BrokenProcessPool):
                    return list(itertools.chain(*pending.values()))
                yield from zip(pending.pop(future), future.result(), strict=True)


def _each(function: Callable[[Item], Outcome], items: Sequence[Item]) -> list[Outcome]:
    return [function(item) for item in items]


def _one_at_a_time(
    function: Callable[[Item], Outcome], items: list[Item], start: Start
) -> Iterator[tuple[Item, Outcome | None]]:
    """Yield outcomes, None for an item over which its process died; `items` is emptied."""
    while items:
        with _executor(1, start) as executor:
            died = False
            while items and not died:
                item = items.pop(0)
                future = executor.submit(function, item)
                died = isinstance(future.exception(), BrokenProcessPool)
                yield item, None if died else future.result()


@contextlib.contextmanager
def _executor(jobs: int, start: Start) -> Iterator[ProcessPoolExecutor]:
    """Yield an executor whose processes leave Ctrl-C to this one."""
    context = start_server(start.preload)
    executor = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_begin, initargs=(start.setup,)
    )
    try:
        yield executor
    except BaseException:
        if start.stop is not None:
            start.stop.set()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def start_server(preload: Sequence[str]) -> BaseContext:
    """Let what makes the processes begin to import, where there is such a server; do not wait.

    Parameters
    ----------
    preload : sequence of str
        As in `Start`; a server that has begun keeps to its own.

    Returns
    -------
    BaseContext
        How processes are started here.
    """
    context = _context()
    context.set_forkserver_preload([*preload, FROZEN])
    _start_deaf_server(context)
    return context


def _context() -> BaseContext:
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def _start_deaf_server(context: BaseContext) -> None:
    """Start the server that makes the processes, so that none ever hears Ctrl-C."""
    if context.get_start_method() != "forkserver":
        return
    from multiprocessing import forkserver

    with deaf_start():
        forkserver.ensure_running()


@contextlib.contextmanager
def deaf_start() -> Iterator[None]:
    """Ignore Ctrl-C in this block, and so do the processes started in it from their beginning.

    Processes that ignore it themselves, see `_begin`, do not while they start. A handler can only
    be set in the main thread; elsewhere nobody presses Ctrl-C while processes are started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(setup: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    if setup is not None:
        setup()


def end_with_parent() -> None:
    """Let this process end when the one that started it is gone, which may have been killed.

    Without, it would wait for work for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
