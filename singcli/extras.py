"""Optional dependencies: whether they are there, and what to tell the user if not."""

from __future__ import annotations

from importlib.util import find_spec

from singcli.errors import SingError

TRAIN_MODULES = ("torch", "safetensors", "onnx")


def require_train_extra() -> None:
    """Check that what training and export import is installed.

    Raises
    ------
    SingError
        Naming what is missing and the command that installs it.
    """
    missing = [name for name in TRAIN_MODULES if find_spec(name) is None]
    if missing:
        raise SingError(
            f"training and export need {', '.join(missing)}",
            "install the extra: pip install 'singcli[train]'",
        )
