"""`singcli replay`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption

if TYPE_CHECKING:
    from singcli.replay import Difference, Replay

EXAMPLES = (
    ("is this the file that its recipe makes?", "singcli replay aaba-7.mid"),
    ("make it again, with the model it was made with", "singcli replay song.mid --model mine.onnx"),
    (
        "a song that followed a template, into a new file",
        "singcli replay song.mid --template reference.mid --out again.mid",
    ),
)


def replay(
    file: Annotated[Path, typer.Argument(help="A MIDI file of `generate`.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="A bundled model, or an .onnx file [default: the bundled one that the recipe "
            "names]."
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:WEIGHT]",
            help="What the song followed, if not a form; as given to `generate`.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the new file as well.")
    ] = None,
    overwrite: OverwriteOption = False,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a song again from the recipe that its MIDI file carries, and compare the bytes.

    Exit code 0 if the new file is the old one, byte for byte. Else 1, with a line for everything
    that differs: in the files, and in what the notes depend on, which is the model, the
    versions of singcli, numpy and onnxruntime, and the class of machine. Nothing is written
    without --out.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as generate does
    from singcli.errors import InputError, SingError
    from singcli.files import validate_new_file, write_bytes
    from singcli.generate import model_path
    from singcli.replay import replay as run_replay
    from singcli.structure.blend import template_argument
    from singcli.wish import template_from_files

    console = Console(quiet)
    if out is not None:
        if not out.parent.is_dir():
            raise InputError(f"{out}: there is no folder {out.parent}")
        validate_new_file(out, overwrite=overwrite)
    parts = [template_argument(text) for text in template or ()]
    with console.progress("sampling") as progress:
        result = run_replay(
            file,
            model=None if model is None else model_path(model),
            template=template_from_files(parts) if parts else None,
            on_progress=lambda share: progress(round(100 * share), 100),
        )
    if out is not None:
        write_bytes(out, result.content)
    if json_output:
        console.result_json(_json(file, result, out))
    else:
        for line in _lines(file, result, out):
            console.result(line)
    if not result.same:
        raise SingError(
            f"{file}: the song made again is another one",
            None if result.surroundings else "the file has been changed since it was made",
        )


def _lines(file: Path, result: Replay, out: Path | None) -> list[str]:
    if result.same:
        first = f"{file}: the same, {len(result.content)} bytes, seed {result.recipe.seed}"
    else:
        first = f"{file}: not the same"
    lines = [first, *map(_line, (*result.differences, *result.surroundings))]
    return lines if out is None else [*lines, str(out)]


def _line(difference: Difference) -> str:
    what, recorded, here = difference
    return f"  {what}: {recorded}; here {here}"


def _json(file: Path, result: Replay, out: Path | None) -> dict[str, Any]:
    return {
        "file": str(file),
        "same": result.same,
        "differences": [difference._asdict() for difference in result.differences],
        "surroundings": [difference._asdict() for difference in result.surroundings],
        "out": None if out is None else str(out),
    }
