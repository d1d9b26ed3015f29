"""What a command shows: results on stdout; status, warnings, errors and progress on stderr.

Conventions: colours and progress bars appear on a terminal only. `NO_COLOR` and `TERM=dumb` turn
colours off, `FORCE_COLOR` turns them on where there is no terminal. rich is imported when a
progress bar is really drawn, never before.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TextIO

import typer


class Progress(Protocol):
    """How a worker reports where it is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` items are finished; `note` is shown behind the bar."""


def use_colour(stream: TextIO) -> bool:
    """Return whether `stream` shows colours (see the conventions of the module)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


@dataclass(frozen=True, slots=True)
class Console:
    """The two streams of a command.

    Parameters
    ----------
    quiet : bool
        Show results, warnings and errors only: no status lines and no progress bar.
    """

    quiet: bool = False

    def result(self, text: str) -> None:
        """Print one result line on stdout."""
        print(text, flush=True)  # noqa: T201

    def result_json(self, value: object) -> None:
        """Print `value` as one line of JSON on stdout."""
        self.result(json.dumps(value, ensure_ascii=False))

    def status(self, text: str) -> None:
        """Print what is going on, on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)  # noqa: T201

    def warning(self, text: str) -> None:
        """Print something that the user should know although the command goes on."""
        _print_labelled("warning", text, typer.colors.YELLOW)

    def error(self, text: str) -> None:
        """Print why something failed."""
        _print_labelled("error", text, typer.colors.RED)

    @property
    def draws_progress(self) -> bool:
        """Whether there is a terminal to draw a progress bar on."""
        return not self.quiet and os.environ.get("TERM") != "dumb" and sys.stderr.isatty()

    @contextlib.contextmanager
    def progress(self, description: str, *, unit: str | None = None) -> Iterator[Progress]:
        """Yield a callback `(done, total, note="")` that draws a progress bar on a terminal.

        Elsewhere, and when quiet, the callback does nothing.

        Parameters
        ----------
        unit : str, optional
            Of what is done, for the rate; without it no rate is shown.
        """
        if not self.draws_progress:
            yield _ignore
            return
        with _progress_bar(description, unit) as advance:
            yield advance


def _ignore(done: int, total: int, note: str = "") -> None:
    """Draw nothing."""
    del done, total, note


@contextlib.contextmanager
def _progress_bar(description: str, unit: str | None) -> Iterator[Progress]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    started = time.monotonic()
    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}{task.fields[note]}"),
        console=RichConsole(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # else results would go to the terminal of the bar
    )
    with bar:
        task = bar.add_task(description, total=None, note="", rate="")

        def advance(done: int, total: int, note: str = "") -> None:
            seconds = max(time.monotonic() - started, 1e-3)
            rate = "" if unit is None else f"{done / seconds:,.0f} {unit}/s  "
            bar.update(task, completed=done, total=total, note=note, rate=rate)

        yield advance


def _print_labelled(label: str, text: str, colour: str) -> None:
    if use_colour(sys.stderr):
        label = typer.style(label, fg=colour, bold=True)
    print(f"{label}: {text}", file=sys.stderr, flush=True)  # noqa: T201
