"""One source that is made into something and stored, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.files import WriteError
from singcli.preparation.allowance import Allowance, within
from singcli.preparation.sources import Skipped
from singcli.row_dataset import Piece

Content = TypeVar("Content")
Made = TypeVar("Made", Entry, Piece)


@dataclass(frozen=True, slots=True)
class Task:
    """A source that has been read; fields as in `Entry` and `prepared_score`."""

    id: str
    source: str
    content: bytes
    side_files: Mapping[str, str]
    sha256: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A song or piece for which there was no room; fields as in `Skipped`.

    Nothing is wrong with its source, so the dataset is not complete without it.
    """

    source: str
    reason: str


def made_and_stored(
    task: Task,
    make: Callable[[], tuple[Content, Made] | Skipped],
    write: Callable[[Path, Content, Made], None],
    path: Path,
    *,
    allowance: Allowance,
    own_process: bool,
) -> Made | Skipped | Unwritten:
    """Make what a dataset holds of a source, and store it.

    Parameters
    ----------
    make : callable
        Returns the content and its row of the index.
    write : callable
        Stores them in `path`.
    allowance : Allowance
        For `make`.
    own_process : bool
        Whether this process may be ended over a file that takes too long.

    Returns
    -------
    Entry or Piece, Skipped or Unwritten
        Why the source was left out, whatever happened: a file must not end the run.
    """
    try:
        with within(allowance, source=task.source, own_process=own_process):
            made = make()
    except InputError as error:
        return Skipped(task.source, reason(error, task.source))
    except Exception as error:  # noqa: BLE001 - a bug of ours or a library's, met in this file
        return Skipped(task.source, _one_line(f"unexpected {type(error).__name__}: {error}"))
    if isinstance(made, Skipped):
        return made
    content, row = made
    try:
        write(path, content, row)
    except WriteError as error:
        return Unwritten(task.source, str(error))
    return row


def _one_line(text: str) -> str:
    """Return the text without line breaks, at most 200 characters of it."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def reason(error: InputError, source: str) -> str:
    """Return the message of an error without the name of the file that it begins with."""
    return str(error).removeprefix(f"{source}: ")
