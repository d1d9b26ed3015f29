"""One run over all sources: what is made, what is there from before, what is left out and why."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from singcli.dataset import Entry
from singcli.errors import InputError, SingError
from singcli.preparation import output
from singcli.preparation.output import Layout
from singcli.preparation.pool import outcomes_in_processes
from singcli.preparation.sources import Skipped, Source, SourceReader
from singcli.preparation.task import Task, Unwritten, reason
from singcli.row_dataset import Piece

MIN_SONGS_FOR_PROCESSES = 64  # starting them takes as long as this many songs

CRASHED = "its process ended over it: out of memory or time, or a crash in native code"

OnProgress = Callable[[int, int, str], None]
Made = TypeVar("Made", Entry, Piece)


@dataclass(frozen=True, slots=True)
class Recipe(Generic[Made]):
    """What is made of a source.

    Parameters
    ----------
    layout : Layout
    make : callable
        Called as make(task, own_process=whether the process may be ended over it); makes and
        stores one, in other processes, and must not raise.
    stored : callable
        Returns what an earlier run stored under an id; InputError if there is nothing.
    salt : sequence
        Everything beside the source that the result depends on, as JSON.
    side_files : bool
        Whether the annotations beside the source are read too.
    """

    layout: Layout
    make: Callable[..., Made | Skipped | Unwritten]
    stored: Callable[[str], Made]
    salt: Sequence[object]
    side_files: bool


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
        self._name_of_fingerprint: dict[str, str] = {}
        self._settled: list[str] = []
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
        for done, name in enumerate(self._finished(sources, jobs), start=1):
            if on_progress is not None:
                on_progress(done, len(sources), name)
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
            first, things = self._unwritten[0], self._recipe.layout.things
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

    def _finished(self, sources: Sequence[Source], jobs: int) -> Iterator[str]:
        """Yield the name of each source when it is done with, one way or another."""
        jobs = jobs if len(sources) >= MIN_SONGS_FOR_PROCESSES else 1
        work = functools.partial(self._recipe.make, own_process=jobs > 1)
        for task, outcome in outcomes_in_processes(work, self._tasks(sources), jobs=jobs):
            self._settle(task.id, outcome or Skipped(task.source, CRASHED))
            yield from self._take_settled()
        yield from self._take_settled()

    def _tasks(self, sources: Sequence[Source]) -> Iterator[Task]:
        """Read the sources; yield what needs work and settle the others."""
        for source in sources:
            try:
                content = self._reader.read(source)
            except InputError as error:
                self._settle(source.id, Skipped(source.name, reason(error, source.name)))
                continue
            side_files = self._reader.side_files(source) if self._recipe.side_files else {}
            sha256 = hashlib.sha256(content).hexdigest()
            fingerprint = _fingerprint([sha256, dict(side_files), *self._recipe.salt])
            twin = self._name_of_fingerprint.setdefault(fingerprint, source.name)
            if twin != source.name:
                same = Skipped(source.name, f"the same file as {twin}", failed=False)
                self._settle(source.id, same)
            elif self._reuse and (entry := self._stored(source.id, fingerprint)) is not None:
                self.n_reused += 1
                self._settle(source.id, dataclasses.replace(entry, source=source.name))
            else:
                yield Task(source.id, source.name, content, side_files, sha256, fingerprint)

    def _settle(self, song_id: str, outcome: Made | Skipped | Unwritten) -> None:
        if isinstance(outcome, Skipped):
            self.skipped.append(outcome)
        elif isinstance(outcome, Unwritten):
            self._unwritten.append(outcome)
        else:
            self.entries[song_id] = outcome
        self._settled.append(outcome.source)

    def _take_settled(self) -> list[str]:
        settled, self._settled = self._settled, []
        return settled

    def _stored(self, song_id: str, fingerprint: str) -> Made | None:
        """Return what an earlier run stored of the very same source and settings."""
        try:
            entry = self._recipe.stored(song_id)
        except InputError:
            return None
        return entry if entry.fingerprint == fingerprint else None


def _fingerprint(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
