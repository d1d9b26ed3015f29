"""What becomes of one source: read, known from before or made and stored. Runs in any process."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.preparation.sources import Skipped, Source, SourceReader
from singcli.preparation.task import Task, Unwritten, reason
from singcli.row_dataset import Piece

Made = TypeVar("Made", Entry, Piece)


@dataclass(frozen=True, slots=True)
class Recipe(Generic[Made]):
    """What is made of a source; can be pickled.

    Parameters
    ----------
    things : str
        What it makes is called.
    make : callable
        Called as make(task, own_process=whether the process may be ended over it); makes and
        stores one, and must not raise.
    stored : callable
        Returns what an earlier run stored under an id; InputError if there is nothing.
    salt : str
        Everything beside the source that the result depends on, from `salt_from`.
    side_files : bool
        Whether the annotations beside the source are read too.
    max_bytes : int
        Larger files are refused.
    preload : sequence of str
        Modules that processes need.
    """

    things: str
    make: Callable[..., Made | Skipped | Unwritten]
    stored: Callable[[str], Made]
    salt: str
    side_files: bool
    max_bytes: int
    preload: Sequence[str]


@dataclass(frozen=True, slots=True)
class Settled(Generic[Made]):
    """What became of a source.

    Parameters
    ----------
    outcome : Entry or Piece, Skipped or Unwritten
    fingerprint : str, optional
        As in `Entry`, None where the source could not be read. Of sources with the same one only
        the first counts.
    reused : bool
        Whether an earlier run had stored it.
    """

    outcome: Made | Skipped | Unwritten
    fingerprint: str | None = None
    reused: bool = False


def settled(
    source: Source,
    recipe: Recipe[Made],
    reader: SourceReader,
    *,
    reuse: bool,
    own_process: bool = False,
) -> Settled[Made]:
    """Read a source; make of it what is not there yet. Never raises.

    Parameters
    ----------
    reuse : bool
        Whether what an earlier run stored of the very same source and settings is taken over.
    own_process : bool
        Whether this process may be ended over a file that takes too long.
    """
    task = read_task(source, recipe, reader)
    if isinstance(task, Skipped):
        return Settled(task)
    if reuse and (entry := _stored(recipe, task)) is not None:
        renamed = dataclasses.replace(entry, source=source.name)
        return Settled(renamed, task.fingerprint, reused=True)
    return Settled(recipe.make(task, own_process=own_process), task.fingerprint)


def settled_in_process(source: Source, *, recipe: Recipe[Made], reuse: bool) -> Settled[Made]:
    """Do `settled` in a process that may be ended over it, with a reader of its own."""
    reader = _own_reader(recipe.max_bytes)
    return settled(source, recipe, reader, reuse=reuse, own_process=True)


def read_task(source: Source, recipe: Recipe[Made], reader: SourceReader) -> Task | Skipped:
    """Read a source and what lies beside it."""
    try:
        content = reader.read(source)
    except InputError as error:
        return Skipped(source.name, reason(error, source.name))
    side_files = reader.side_files(source) if recipe.side_files else {}
    sha256 = hashlib.sha256(content).hexdigest()
    fingerprint = fingerprint_of(sha256, side_files, recipe.salt)
    return Task(source.id, source.name, content, side_files, sha256, fingerprint)


def salt_from(parts: Sequence[object]) -> str:
    """Return what the results depend on beside their sources, as the end of a JSON array."""
    return f", {json.dumps(parts, sort_keys=True)[1:]}"


def fingerprint_of(sha256: str, side_files: Mapping[str, str], salt: str) -> str:
    """Return the hash of [sha256, side_files, *parts] as JSON, with the salt of these parts."""
    own = _ENCODER.encode([sha256, dict(side_files)]).removesuffix("]")
    return hashlib.sha256(f"{own}{salt}".encode()).hexdigest()


_ENCODER = json.JSONEncoder(sort_keys=True)


@functools.lru_cache(maxsize=1)
def _own_reader(max_bytes: int) -> SourceReader:
    return SourceReader(max_bytes)


def _stored(recipe: Recipe[Made], task: Task) -> Made | None:
    """Return what an earlier run stored of the very same source and settings."""
    try:
        entry = recipe.stored(task.id)
    except InputError:
        return None
    return entry if entry.fingerprint == task.fingerprint else None
