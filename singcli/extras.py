"""Optional dependencies: whether they are there, and what to tell the user if not."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from singcli.errors import SingError

TRAIN_MODULES = ("torch", "safetensors", "onnx")
AUDIO_MODULES = ("librosa", "soundfile")


def require_train_extra() -> None:
    """Check that what training and export import is installed.

    Raises
    ------
    SingError
        Naming what is missing and the command that installs it.
    """
    _require(TRAIN_MODULES, "train", "training and export need {}")


def require_audio_extra() -> None:
    """Check that what reading a recording imports is installed.

    Raises
    ------
    SingError
        Naming what is missing and the command that installs it.
    """
    _require(AUDIO_MODULES, "audio", "a recording needs {} to be heard")


def _require(modules: Sequence[str], extra: str, message: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise SingError(
            message.format(", ".join(missing)),
            f"install the extra: pip install 'singcli[{extra}]'",
        )
