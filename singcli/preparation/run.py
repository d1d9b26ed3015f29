"""One run over all sources: what is made, what is there from before, what is left out and why."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from singcli.dataset import Entry
from singcli.errors import InputError, SingError
from singcli.preparation import output
from singcli.preparation.pool import Start, outcomes_in_processes
from singcli.preparation.settling import Recipe, Settled, read_task, settled, settled_in_process
from singcli.preparation.sources import Skipped, Source, SourceReader
from singcli.preparation.task import Unwritten
from singcli.row_dataset import Piece

MIN_SONGS_FOR_PROCESSES = 64  # starting them takes as long as this many songs
SONGS_AT_ONCE = 8  # on their way to a process and back

CRASHED = "its process ended over it: out of memory or time, or a crash in native code"

OnProgress = Callable[[int, int, str], None]
Made = TypeVar("Made", Entry, Piece)


class Run(Generic[Made]):
    """The results of one run, made or reused, and what was left out.

    Parameters
    ----------
    skipped : list of Skipped
        What has been left out so far; grows.
    reuse : bool
        Whether what an earlier run stored of the very same source and settings is taken over.
    """

    def __init__(
        self, recipe: Recipe[Made], reader: SourceReader, skipped: list[Skipped], *, reuse: bool
    ) -> None:
        self.entries: dict[str, Made] = {}
        self.skipped = skipped
        self.n_reused = 0
        self._recipe: Recipe[Made] = recipe
        self._reader = reader
        self._reuse = reuse
        self._unwritten: list[Unwritten] = []

    def finish(self, sources: Sequence[Source], jobs: int, on_progress: OnProgress | None) -> None:
        """Handle all sources, telling of each when it is done with; put `skipped` in order.

        Parameters
        ----------
        jobs : int > 0
            Processes.
        on_progress : callable, optional
            Called as (files done, of so many, name of the file).
        """
        results: dict[str, Settled[Made]] = {}
        for source, result in self._results(sources, jobs):
            results[source.id] = result or self._crashed(source)
            if on_progress is not None:
                on_progress(len(results), len(sources), source.name)
        name_of_fingerprint: dict[str, str] = {}
        for source in sources:
            result = results[source.id]
            twin = source.name
            if result.fingerprint is not None:
                twin = name_of_fingerprint.setdefault(result.fingerprint, source.name)
            if twin == source.name:
                self._take(source, result)
            else:
                same = Skipped(source.name, f"the same file as {twin}", failed=False)
                self.skipped.append(same)
        self.skipped.sort(key=lambda skip: skip.source)

    def validate(self, out: Path) -> None:
        """Check that something was made, and that all of it could be stored in folder `out`.

        Raises
        ------
        InputError
            If no file was usable; the report says why.
        SingError
            If there was no room for something.
        """
        if self._unwritten:
            first, things = self._unwritten[0], self._recipe.things
            raise SingError(
                f"{len(self._unwritten)} {things} could not be stored, first {first.reason}",
                f"make room and run the same prepare again: the other {things} are kept",
            )
        if not self.entries:
            output.write_report(out, self.skipped)
            skip = self.skipped[0]
            raise InputError(
                f"none of {len(self.skipped)} files could be prepared"
                f" ({skip.source}: {skip.reason})"
            )

    def _results(
        self, sources: Sequence[Source], jobs: int
    ) -> Iterator[tuple[Source, Settled[Made] | None]]:
        """Yield the sources as they are done with; None where the process died over one."""
        if jobs == 1 or len(sources) < MIN_SONGS_FOR_PROCESSES:
            for source in sources:
                yield source, settled(source, self._recipe, self._reader, reuse=self._reuse)
            return
        work = functools.partial(settled_in_process, recipe=self._recipe, reuse=self._reuse)
        start = Start(preload=self._recipe.preload)
        yield from outcomes_in_processes(
            work, sources, jobs=jobs, start=start, at_once=SONGS_AT_ONCE
        )

    def _crashed(self, source: Source) -> Settled[Made]:
        """Return what is known of a source over which a process died."""
        task = read_task(source, self._recipe, self._reader)
        fingerprint = None if isinstance(task, Skipped) else task.fingerprint
        return Settled(Skipped(source.name, CRASHED), fingerprint)

    def _take(self, source: Source, result: Settled[Made]) -> None:
        outcome = result.outcome
        if isinstance(outcome, Skipped):
            self.skipped.append(outcome)
        elif isinstance(outcome, Unwritten):
            self._unwritten.append(outcome)
        else:
            self.entries[source.id] = outcome
            self.n_reused += result.reused
