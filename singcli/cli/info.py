"""`singcli info`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption
from singcli.cli.tables import aligned

if TYPE_CHECKING:
    from singcli.info.report import Info

EXAMPLES = (
    ("a bundled model: what it was trained on, under which licences", "singcli info pop"),
    ("how a song was made, from the file alone", "singcli info aaba-7.mid"),
    ("the whole licence text of a model", "singcli info mine.onnx --licence"),
    ("for a script", "singcli info song.npz --json"),
)


def info(
    file: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE",
            help="A bundled model, or a file: .onnx, .mid, .npz, .json; or a dataset's folder.",
        ),
    ],
    *,
    licence: Annotated[
        bool, typer.Option("--licence", help="Print the licence text that the file holds.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Say what a file is, how it was made, and under which licences.

    Those of code, weights, training data and outputs are told apart.

    A file is told by its content. Only the part of it is read that says what it is.
    """
    from singcli.errors import SingError
    from singcli.info.describing import describe

    console = Console()
    found = describe(file)
    if licence and not found.licence_text:
        raise SingError(f"{found.path}: {found.kind} holds no licence text")
    if licence:
        console.result(found.licence_text.strip())
    elif json_output:
        console.result_json(_json(found))
    else:
        for line in _lines(found):
            console.result(line)


def _lines(found: Info) -> Iterator[str]:
    yield f"{found.path}: {found.kind}"
    for title, values in (
        ("what is in it", found.facts),
        ("how it was made", found.made),
        ("licences", found.licences),
    ):
        rows = [[f"  {name.replace('_', ' ')}", _text(value)] for name, value in values.items()]
        if rows:
            yield title
            yield from aligned(rows)
    if found.hint:
        yield f"next: {found.hint}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = (f"{name} {_text(part)}" for name, part in value.items() if part is not None)
        return ", ".join(parts)
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _json(found: Info) -> dict[str, Any]:
    return {
        "file": str(found.path),
        "kind": found.kind,
        "facts": dict(found.facts),
        "made": dict(found.made),
        "licences": dict(found.licences),
        "licence_text": found.licence_text,
    }
