"""One run over all sources: what is made, what is there from before, what is left out and why."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.preparation.pool import outcomes_in_processes
from singcli.preparation.sources import Skipped, Source, SourceReader
from singcli.preparation.worker import Task, reason
from singcli.row_dataset import Piece

MIN_SONGS_FOR_PROCESSES = 64  # starting them takes as long as this many songs

OnProgress = Callable[[int, int, str], None]
Made = TypeVar("Made", Entry, Piece)


@dataclass(frozen=True, slots=True)
class Recipe(Generic[Made]):
    """What is made of a source.

    Parameters
    ----------
    make : callable
        Makes and stores one; runs in other processes and must not raise.
    stored : callable
        Returns what an earlier run stored under an id; InputError if there is nothing.
    salt : sequence
        Everything beside the source that the result depends on, as JSON.
    side_files : bool
        Whether the annotations beside the source are read too.
    """

    make: Callable[[Task], Made | Skipped]
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

    def finish(self, sources: Sequence[Source], jobs: int, on_progress: OnProgress | None) -> None:
        """Handle all sources, telling of each when it is done with; put `skipped` in order."""
        for done, name in enumerate(self._finished(sources, jobs), start=1):
            if on_progress is not None:
                on_progress(done, len(sources), name)
        self.skipped.sort(key=lambda skip: skip.source)

    def nothing_made(self) -> InputError:
        """Return what to raise where there are no entries."""
        first = self.skipped[0]
        return InputError(
            f"none of {len(self.skipped)} files could be prepared ({first.source}: {first.reason})"
        )

    def _finished(self, sources: Sequence[Source], jobs: int) -> Iterator[str]:
        """Yield the name of each source when it is done with, one way or another."""
        jobs = jobs if len(sources) >= MIN_SONGS_FOR_PROCESSES else 1
        for task, outcome in outcomes_in_processes(
            self._recipe.make, self._tasks(sources), jobs=jobs
        ):
            self._settle(task.id, outcome or Skipped(task.source, "reading it crashed the process"))
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

    def _settle(self, song_id: str, outcome: Made | Skipped) -> None:
        if isinstance(outcome, Skipped):
            self.skipped.append(outcome)
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
