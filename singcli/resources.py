"""Where the files that come with singcli are.

In a wheel `presets` and `checkpoints` lie inside the package; in a checkout they lie beside it, at
the top of the repository.
"""

from __future__ import annotations

from pathlib import Path

from singcli.errors import SingError

_PACKAGE = Path(__file__).resolve().parent


def presets_dir() -> Path:
    """Return the folder of the bundled presets (`NAME.toml`)."""
    return bundled_dir("presets")


def checkpoints_dir() -> Path:
    """Return the folder of the bundled models (`NAME.onnx` with `NAME.toml`)."""
    return bundled_dir("checkpoints")


def bundled_dir(name: str, *, package: Path = _PACKAGE) -> Path:
    """Return the bundled folder `name`, inside the package or beside it in a checkout.

    Parameters
    ----------
    name : str
    package : Path
        Folder of the installed package.

    Raises
    ------
    SingError
        If the installation lacks it.
    """
    installed, checkout = package / name, package.parent / name
    if installed.is_dir():
        return installed
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout  # never a stranger's folder of that name in site-packages
    raise SingError(f"{installed}: missing, the installation is incomplete", "install it again")
