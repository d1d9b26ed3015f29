"""`singcli doctor`."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Annotated

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption

if TYPE_CHECKING:
    from singcli.doctor import Check

EXAMPLES = (
    ("does everything work here?", "singcli doctor"),
    ("with a model of your own", "singcli doctor --model mine.onnx"),
    ("what to send with a question", "singcli doctor --json"),
)


def doctor(
    *,
    model: Annotated[
        str, typer.Option(help="A bundled model, or an .onnx file, for the self-test.")
    ] = "pop",
    json_output: JsonOption = False,
) -> None:
    """Check the installation: versions, execution providers, paths, and a short song made and read.

    The self-test makes twelve bars twice, in memory, and measures them. Exit code 1 if a check
    failed; a warning is no failure.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as generate does
    from singcli.doctor import examine
    from singcli.errors import SingError

    console = Console()
    checks = []
    for check in examine(model):
        checks.append(check)
        if not json_output:
            console.result(_line(check))
    failed = [check.name for check in checks if check.status == "failed"]
    if json_output:
        found = [dataclasses.asdict(check) for check in checks]
        console.result_json({"ok": not failed, "checks": found})
    if failed:
        raise SingError(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _line(check: Check) -> str:
    remedy = f"; {check.remedy}" if check.remedy else ""
    return f"{check.status:8}{check.name:20}{check.detail}{remedy}"
