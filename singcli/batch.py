"""Many songs: in several processes, with a manifest, whatever happens to some of them.

What a song is depends on its own seed alone: not on the number of processes, on the order or on
the songs that are made beside it.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from singcli.errors import SingError
from singcli.files import WriteError
from singcli.manifest import ManifestRow, append_row
from singcli.preparation.pool import Start, default_jobs, new_event, outcomes_in_processes
from singcli.studio import Failed, Settings, Song, Studio
from singcli.targets import Target

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

SONGS_A_PROCESS = 32  # fewer are made before another process has begun
PRELOAD = ("singcli.batch", "onnxruntime", "symusic")

Chunk = tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A song that could not be made, and why, in one line."""

    target: Target
    name: str
    reason: str

    @property
    def path(self) -> Path:
        """Where the song was to be."""
        return self.target.path


def usual_jobs(n_songs: int) -> int:
    """Return how many processes are worth their start for so many songs."""
    return max(1, min(default_jobs(), n_songs // SONGS_A_PROCESS))


def make_batch(
    studio: Studio,
    targets: Sequence[Target],
    *,
    jobs: int,
    manifest: Path | None = None,
    on_work: Callable[[int], None] = lambda _done: None,
) -> Iterator[Song | Failure]:
    """Make songs and yield each when it is on disk and in the manifest.

    Parameters
    ----------
    studio : Studio
        Makes the songs itself if there is one job.
    targets : sequence of Target
        Their files are replaced if they exist.
    jobs : int > 0
        Processes. Several yield the songs as they finish, one in the order of `targets`.
    manifest : Path, optional
        Gets a row for every song.
    on_work : callable
        Called with the sum of `Studio.work` that is done.
    """
    if jobs == 1 or len(targets) < 2:
        for made in studio.outcomes(targets, on_work):
            yield _recorded(made, manifest)
        return
    done = 0
    for outcome in _from_processes(studio, targets, min(jobs, len(targets)), manifest):
        yield outcome
        done += studio.work(outcome.target)
        on_work(done)


def _from_processes(
    studio: Studio, targets: Sequence[Target], jobs: int, manifest: Path | None
) -> Iterator[Song | Failure]:
    stop = new_event()
    start = Start(functools.partial(_set_up, studio.settings, manifest, stop), PRELOAD, stop)
    lost: list[Chunk] = []
    chunks = _chunks(targets, jobs, studio.songs_at_once(targets[0]))
    for chunk, outcomes in outcomes_in_processes(_make_chunk, chunks, jobs=jobs, start=start):
        if outcomes is None:
            lost += [(target,) for target in chunk]
        else:
            yield from outcomes
    # Songs over which a process died: one at a time, and never in this process.
    again = outcomes_in_processes(_make_chunk, lost, jobs=max(2, jobs), start=start)
    for (target,), outcomes in again:
        if outcomes is None:
            name = studio.settings.sources[target.source].name
            failure = Failure(target, name, "its process died (out of memory?)")
            _record_failure(failure, manifest)
            yield failure
        else:
            yield from outcomes


def _chunks(targets: Sequence[Target], jobs: int, at_once: int) -> Iterator[Chunk]:
    """Yield batches of equal size, as large as they may be, that keep all processes busy."""
    rounds = math.ceil(len(targets) / (jobs * at_once))
    size = math.ceil(len(targets) / (jobs * rounds))
    for first in range(0, len(targets), size):
        yield tuple(targets[first : first + size])


_make: Callable[[Chunk], list[Song | Failure]]  # of this process, from `_set_up`


def _set_up(settings: Settings, manifest: Path | None, stop: Event) -> None:
    """Open the model, once in a process."""
    global _make
    studio = Studio(settings)

    def give_up_if_told(_done: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    def make(chunk: Chunk) -> list[Song | Failure]:
        return [_recorded(made, manifest) for made in studio.outcomes(chunk, give_up_if_told)]

    _make = make


def _make_chunk(chunk: Chunk) -> list[Song | Failure]:
    return _make(chunk)


def _recorded(made: Song | Failed, manifest: Path | None) -> Song | Failure:
    """Append the song to the manifest; what cannot be recorded has failed."""
    if isinstance(made, Failed):
        why = reason(made.error).removeprefix(f"{made.target.path}: ")  # told by the failure
        failure = Failure(made.target, made.name, why)
        _record_failure(failure, manifest)
        return failure
    if manifest is not None:
        row = ManifestRow.of_song(made.path, made.recipe, made.content, reached=made.reached)
        try:
            append_row(manifest, row)
        except WriteError as error:
            return Failure(made.target, row.name, reason(error))
    return made


def _record_failure(failure: Failure, manifest: Path | None) -> None:
    if manifest is None:
        return
    row = ManifestRow(
        failure.path.name, "failed", failure.name, failure.target.seed, error=failure.reason
    )
    with contextlib.suppress(WriteError):  # it is told on stderr anyway
        append_row(manifest, row)


def reason(error: Exception) -> str:
    """Return in one line why a song could not be made."""
    if isinstance(error, SingError):
        text = str(error) if error.remedy is None else f"{error}; {error.remedy}"
    elif isinstance(error, MemoryError):
        text = "out of memory"
    elif isinstance(error, OSError) and error.strerror is not None:
        text = error.strerror
    else:
        text = f"unexpected {type(error).__name__}: {error}"
    return " ".join(text.split())
