"""Options that several commands share, so that they are spelled and explained alike."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print results as JSON, one object a line.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are already there.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")
]
