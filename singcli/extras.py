"""Optional dependencies: whether they are there, and what to tell the user if not."""

from __future__ import annotations

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
    missing = [name for name in TRAIN_MODULES if find_spec(name) is None]
    if missing:
        raise SingError(
            f"training and export need {', '.join(missing)}",
            "install the extra: pip install 'singcli[train]'",
        )


def require_audio_extra() -> None:
    """Check that what reading a recording imports is installed.

    Raises
    ------
    SingError
        Naming what is missing and the command that installs it.
    """
    missing = [name for name in AUDIO_MODULES if find_spec(name) is None]
    if missing:
        raise SingError(
            f"a recording needs {' and '.join(missing)} to be heard",
            'install the extra: pip install "singcli[audio]"',
        )
