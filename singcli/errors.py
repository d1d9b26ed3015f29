"""Errors that a user can act on: one line of what, where and what is allowed, and a remedy.

Anything that is not a `SingError` is a bug of ours and ends in a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class SingError(Exception):
    """A failure the user can do something about.

    Parameters
    ----------
    message : str
        One line: where, what was found, what is allowed.
    remedy : str, optional
        What to do next, without a full stop.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class InputError(SingError):
    """A file, a value or a configuration given by the user cannot be used (exit code 2)."""

    exit_code = 2


class PartialFailureError(SingError):
    """Part of a batch failed and the user asked to be told by the exit code (exit code 3)."""

    exit_code = 3


class StructureError(SingError):
    """Finished songs keep less to their structure than the user requires (exit code 4)."""

    exit_code = 4


def nearest_names(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to `limit` known names that look like `name`, the nearest first."""
    return difflib.get_close_matches(name, sorted(known), n=limit, cutoff=0.4)


def hint_from_names(near: Sequence[str], otherwise: str | None = None) -> str | None:
    """Return a question for the names of `nearest_names`, or what to say where none is near."""
    return f"did you mean {' or '.join(near)}?" if near else otherwise
