"""`singcli export-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption

EXAMPLES = (
    ("the best checkpoint of a run as one file", "singcli export-onnx runs/pop --out pop.onnx"),
    (
        "a song with it, on any machine, without torch",
        "singcli generate --preset aaba --model ./pop.onnx",
    ),
)


def export_onnx(
    run: Annotated[Path, typer.Argument(help="A folder written by `train`, or a checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .onnx file to write.")],
    *,
    weights: Annotated[
        Literal["float32", "int8"],
        typer.Option(help="How the file stores them: int8 is a quarter of the size, and faster."),
    ] = "float32",
    licence: Annotated[
        str | None, typer.Option(help="Of the weights [default: the data's licence texts].")
    ] = None,
    overwrite: OverwriteOption = False,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export a trained network as one self-contained ONNX file.

    The graph is checked against torch before anything is written; of int8 the difference is
    reported. The weights are copied beside it as .safetensors.
    """
    from singcli.extras import require_train_extra

    require_train_extra()
    from singcli.training.export import export_onnx as run_export

    console = Console(quiet)
    report = run_export(run, out, weights=weights, licence=licence, overwrite=overwrite)
    figures = {
        "path": str(report.path),
        "opset": report.opset,
        "bytes": report.bytes,
        "parameters": report.parameters,
        "largest_difference": report.parity,
        "steps_per_second": report.steps_per_second,
    }
    if json_output:
        console.result_json(figures)
        return
    console.result(str(report.path))
    console.status(
        f"  opset {report.opset}, {report.bytes / 1e6:.1f} MB, {report.parameters:,} parameters"
    )
    console.status(f"  largest difference from torch {report.parity:.1g}")
    for batch, speed in report.steps_per_second.items():
        console.status(f"  {speed:,.0f} steps a second with {batch} at once, one core")
