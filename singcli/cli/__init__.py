"""The command line: typer and rich, one thin module per command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from singcli.cli.completing import asked_word, print_candidates

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, or answer the shell that completes it, and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the name of the program; those of the process by default.
    """
    word = asked_word()
    if word is not None:
        print_candidates(sys.argv[1:] if arguments is None else arguments, word)
        return 0
    from singcli.cli.app import run  # Typer: a tenth of a second that names do not need

    return run(arguments)
