"""Presets by their names: the bundled ones, and files of the user."""

from __future__ import annotations

from pathlib import Path

from singcli.errors import InputError, nearest_names
from singcli.resources import presets_dir
from singcli.structure.form import Form
from singcli.structure.preset import form_from_toml
from singcli.toml_tables import read_toml

SUFFIX = ".toml"


def preset_names() -> list[str]:
    """Return the names of the bundled presets, sorted."""
    return sorted(path.stem for path in presets_dir().glob(f"*{SUFFIX}"))


def is_preset_path(name_or_path: str) -> bool:
    """Return whether the text means a file, and not a bundled preset."""
    return name_or_path.endswith(SUFFIX) or Path(name_or_path).name != name_or_path


def preset_path(name_or_path: str) -> Path:
    """Return the file of a bundled preset's name, or the path itself where it is one.

    Raises
    ------
    InputError
        If no bundled preset has this name.
    """
    if is_preset_path(name_or_path):
        return Path(name_or_path)
    names = preset_names()
    if name_or_path in names:
        return presets_dir() / f"{name_or_path}{SUFFIX}"
    near = nearest_names(name_or_path.lower(), names)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    raise InputError(
        f"no preset is called {name_or_path!r}", f"{hint} (a file of yours ends in {SUFFIX})"
    )


def read_preset(name_or_path: str) -> Form:
    """Read a preset, bundled (by its name) or of the user (a path that ends in .toml).

    Raises
    ------
    InputError
        If there is no such preset; names file and line if it is not TOML, file and key if it is
        not a preset.
    """
    path = preset_path(name_or_path)
    return form_from_toml(read_toml(path), source=str(path), name=path.stem)
