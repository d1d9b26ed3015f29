"""Results as they come: one JSON line an output, appended, so that a killed run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from singcli.errors import InputError
from singcli.files import WriteError
from singcli.protocol.measure import Line

_START = '{"run": '  # of every line; what begins otherwise is not ours to cut off


def read_results(path: Path) -> list[Line]:
    """Read what has been measured so far; of a line that was not written whole nothing.

    Raises
    ------
    InputError
        If the file holds something else.
    """
    if not path.exists():
        return []
    try:
        text = path.read_bytes().decode()
        whole, rest = text[: text.rfind("\n") + 1], text[text.rfind("\n") + 1 :]
        if rest and not rest.startswith(_START[: len(rest)]):
            raise ValueError(f"the last line begins with {rest[:10]!r}")
        return [Line.from_json(json.loads(line)) for line in whole.splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: not results of the protocol ({error})", "give --results another file"
        ) from error


def append_results(path: Path, lines: Iterable[Line]) -> None:
    """Add lines at the end, in the place of one that was not written whole.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    text = "".join(json.dumps(line.to_json()) + "\n" for line in lines)
    try:
        with path.open("a+b") as file:
            end = _end_of_whole_lines(path)
            file.truncate(end)
            file.write(text.encode())
    except OSError as error:
        raise WriteError(path, error) from error


def _end_of_whole_lines(path: Path) -> int:
    """Return the number of bytes up to the last line break."""
    with path.open("rb") as file:
        at = file.seek(0, 2)
        while at > 0:
            file.seek(at - 1)
            if file.read(1) == b"\n":
                return at
            at -= 1
    return 0
