"""Where the files that come with singcli are, and the user's own presets.

In a wheel `presets` and `checkpoints` lie inside the package; in a checkout they lie beside it, at
the top of the repository. Nothing here reads a file: the names that a shell completes come from
the folders alone, within a few milliseconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from singcli.errors import SingError

PRESET_SUFFIX = ".toml"
MODEL_SUFFIX = ".onnx"
PRESETS_VARIABLE = "SINGCLI_PRESETS"

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


def user_presets_dir() -> Path:
    """Return the folder of the user's own presets, whether or not it exists.

    It is `$SINGCLI_PRESETS`, else `singcli/presets` in the platform's folder for configuration.
    """
    if given := os.environ.get(PRESETS_VARIABLE):
        return _at_home(given)
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or "~/AppData/Roaming"
    elif sys.platform == "darwin":
        base = "~/Library/Application Support"
    else:
        base = os.environ.get("XDG_CONFIG_HOME", "")
        base = base if base.startswith("/") else "~/.config"  # the standard: others are ignored
    return _at_home(base) / "singcli" / "presets"


def _at_home(path: str) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own fails where there is no home


def preset_files(folder: Path) -> list[tuple[str, Path]]:
    """Return name and path of each preset in a folder, in no order."""
    return [
        (path.stem, path)
        for path in folder.iterdir()
        if path.suffix == PRESET_SUFFIX and not path.name.startswith(".")
    ]


def bundled_model_names() -> list[str]:
    """Return the names of the bundled models, sorted."""
    return sorted(path.stem for path in checkpoints_dir().glob(f"*{MODEL_SUFFIX}"))


def voice_rules_dir() -> Path:
    """Return the folder of the voice rules that come with singcli (`NAME.toml`)."""
    return _PACKAGE / "voice_rules"


def voice_rules_names() -> tuple[str, ...]:
    """Return the names of these rules, sorted."""
    return tuple(sorted(path.stem for path in voice_rules_dir().glob("*.toml")))
