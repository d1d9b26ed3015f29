"""A model file of whatever architecture opened for inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from singcli.model.runtime import Runtime, model_bytes, opened_file

if TYPE_CHECKING:
    from singcli.model.sing.runtime import SingRuntime

SING_MARK = '"architecture"'  # in every card of SING; others may have it


def open_model(path: Path) -> Runtime | SingRuntime:
    """Open a model file as what its card says that it is.

    Raises
    ------
    InputError
        If it is missing, damaged, not an ONNX file or not one of singcli.
    """
    file = opened_file(model_bytes(path), source=str(path))
    if file.card is not None and SING_MARK in file.card:  # else its modules are not needed
        from singcli.model.sing.contract import ARCHITECTURE, architecture_of_card
        from singcli.model.sing.runtime import SingRuntime

        if architecture_of_card(file.card) == ARCHITECTURE:
            return SingRuntime.from_file(file, source=str(path))
    return Runtime.from_file(file, source=str(path))
