"""Presets by their names: the bundled ones, those in the user's own folder, and files.

A preset of the user's folder (`user_presets_dir`, which need not exist) goes before a bundled one
of the same name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.files import WriteError, validate_new_file, write_text
from singcli.music.key import Key
from singcli.resources import (
    PRESET_SUFFIX,
    PRESETS_VARIABLE,
    preset_files,
    presets_dir,
    user_presets_dir,
)
from singcli.structure.form import DEFAULT_METER, DEFAULT_TEMPO_BPM, Form
from singcli.structure.form_string import form_from_string
from singcli.structure.preset import form_from_toml
from singcli.structure.preset_text import text_from_form
from singcli.toml_tables import Problem, TableError, read_toml

SUFFIX = PRESET_SUFFIX
DEFAULT_NEW_FORM = "A8 A8 B8 A8"
RESERVED_NAME = "random"  # `generate --preset random` draws a form

Where = Literal["bundled", "yours", "file"]

_NAME = re.compile(r"\w[\w .'-]{0,63}")
_KEY_AND_VALUE = re.compile(r"(?:^|: )([A-Za-z][\w.\[\]-]*) = (.*?)(?:, allowed:? (.*))?$")


@dataclass(frozen=True, slots=True)
class PresetFile:
    """Where a preset is.

    Parameters
    ----------
    name : str
    path : Path
    where : {"bundled", "yours", "file"}
        With singcli, in the user's folder, or at a path of its own.
    hides_bundled : bool
        Whether it is one of the user's that goes before a bundled one of its name.
    """

    name: str
    path: Path
    where: Where
    hides_bundled: bool = False

    def read(self) -> Form:
        """Read the form.

        Raises
        ------
        InputError
            As `read_preset`.
        """
        return form_from_toml(read_toml(self.path), source=str(self.path), name=self.name)


@dataclass(frozen=True, slots=True)
class CheckedPreset:
    """A preset with its form, or with what is wrong with it."""

    file: PresetFile
    form: Form | None
    problems: tuple[Problem, ...] = ()


def find_presets() -> list[PresetFile]:
    """Return the presets that have a name, bundled and the user's, in the order of their names.

    Raises
    ------
    InputError
        If the user's folder is there and cannot be read.
    """
    found = {name: PresetFile(name, path, "bundled") for name, path in preset_files(presets_dir())}
    folder = user_presets_dir()
    try:
        own = preset_files(folder) if folder.exists() else []
    except OSError as error:
        raise InputError(
            f"{folder}: your presets cannot be read ({error.strerror})",
            f"the folder can be chosen by the environment variable {PRESETS_VARIABLE}",
        ) from error
    for name, path in own:
        found[name] = PresetFile(name, path, "yours", hides_bundled=name in found)
    return [found[name] for name in sorted(found)]


def preset_names() -> list[str]:
    """Return the names of all presets that have one, sorted."""
    return [preset.name for preset in find_presets()]


def is_preset_path(name_or_path: str) -> bool:
    """Return whether the text means a file, and not the name of a preset."""
    return name_or_path.endswith(SUFFIX) or Path(name_or_path).name != name_or_path


def find_preset(name_or_path: str) -> PresetFile:
    """Return the preset of a name, or the file at a path, which need not exist.

    Raises
    ------
    InputError
        If no preset has this name.
    """
    if is_preset_path(name_or_path):
        path = Path(name_or_path)
        return PresetFile(path.stem, path, "file")
    presets = {preset.name: preset for preset in find_presets()}
    if name_or_path in presets:
        return presets[name_or_path]
    near = nearest_names(name_or_path.lower(), presets)
    hint = hint_from_names(near, f"there are {', '.join(presets)}")
    raise InputError(
        f"no preset is called {name_or_path!r}", f"{hint} (a file of yours ends in {SUFFIX})"
    )


def preset_path(name_or_path: str) -> Path:
    """Return the file of a preset's name, or the path itself where it is one.

    Raises
    ------
    InputError
        If no preset has this name.
    """
    return find_preset(name_or_path).path


def read_preset(name_or_path: str) -> Form:
    """Read a preset by its name, or from a path that ends in .toml.

    Raises
    ------
    InputError
        If there is no such preset; names file and line if it is not TOML, file and key if it is
        not a preset.
    """
    return find_preset(name_or_path).read()


def check_preset(file: PresetFile) -> CheckedPreset:
    """Read a preset and collect what is wrong with it instead of failing.

    All unknown, missing and impossible keys are told; if there are none, the first way in which
    the parts of the form do not fit together.
    """
    try:
        return CheckedPreset(file, file.read())
    except TableError as error:
        return CheckedPreset(file, None, error.problems)
    except InputError as error:
        return CheckedPreset(file, None, (_problem_from_error(error),))


def _problem_from_error(error: InputError) -> Problem:
    match = _KEY_AND_VALUE.search(str(error))
    key, value, allowed = match.groups() if match else (None, None, None)
    return Problem(str(error), error.remedy, key, value, allowed)


def check_presets(names_or_paths: Sequence[str]) -> list[CheckedPreset]:
    """Check presets by name or path; a name that nobody has is a problem as well."""
    checked = []
    for text in names_or_paths:
        try:
            file = find_preset(text)
        except InputError as error:
            problem = Problem(str(error), error.remedy)
            file = PresetFile(text, Path(text), "file")
            checked.append(CheckedPreset(file, None, (problem,)))
        else:
            checked.append(check_preset(file))
    return checked


def new_preset(
    name: str,
    *,
    form: str | None = None,
    source: str | None = None,
    tempo_bpm: float | None = None,
    meter: str | None = None,
    key: str | None = None,
    description: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> PresetFile:
    """Write a preset to be edited, with comments, into the user's folder or to `out`.

    Parameters
    ----------
    name : str
    form : str, optional
        A form string; `DEFAULT_NEW_FORM` if neither this nor `source` is given.
    source : str, optional
        Name or path of a preset to begin with.
    tempo_bpm, meter, key, description : optional
        In place of those of the form or the source.
    out : Path, optional
        Ends in .toml. Its folder must exist; that of the user is made if missing.
    overwrite : bool

    Raises
    ------
    InputError
        If a value cannot be used or the file cannot be written.
    """
    _validate_name(name)
    path = user_presets_dir() / f"{name}{SUFFIX}" if out is None else out
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: a preset ends in {SUFFIX}")
    validate_new_file(path, overwrite=overwrite)
    new = _started_form(form, source, tempo_bpm=tempo_bpm, meter=meter, key=key)
    new = dataclasses.replace(
        new, name=name, description=new.description if description is None else description
    )
    _write(path, text_from_form(new), make_folder=out is None)
    is_bundled = name in (bundled for bundled, _ in preset_files(presets_dir()))
    return PresetFile(name, path, "yours" if out is None else "file", out is None and is_bundled)


def _validate_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith(SUFFIX):
        raise InputError(
            f"name {name!r}, allowed: letters, digits, spaces, - _ . and ', at most 64, "
            f"without {SUFFIX}",
            "a path goes behind --out",
        )
    if name == RESERVED_NAME:
        raise InputError(f"name {name!r} means a form that is drawn", "choose another one")


def _started_form(
    form: str | None,
    source: str | None,
    *,
    tempo_bpm: float | None,
    meter: str | None,
    key: str | None,
) -> Form:
    if form is not None and source is not None:
        raise InputError(
            "--form and --from: only one of them", "a preset to begin with, or a form of its own"
        )
    parsed_key = None if key is None else Key.parse(key)
    if source is None:
        return form_from_string(
            DEFAULT_NEW_FORM if form is None else form,
            meter=meter or DEFAULT_METER,
            tempo_bpm=DEFAULT_TEMPO_BPM if tempo_bpm is None else tempo_bpm,
            key=parsed_key,
        )
    begun = read_preset(source)
    if meter is not None:
        begun = begun.with_meter(meter)
    return dataclasses.replace(
        begun,
        tempo_bpm=begun.tempo_bpm if tempo_bpm is None else tempo_bpm,
        key=parsed_key or begun.key,
    )


def _write(path: Path, text: str, *, make_folder: bool) -> None:
    folder = path.parent
    try:
        if make_folder:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            raise InputError(f"{path}: there is no folder {folder}")
        write_text(path, text)
    except (OSError, WriteError) as error:
        why = error.strerror if isinstance(error, OSError) else error.why
        raise InputError(
            f"{path}: cannot be written ({why})", "choose another file with --out"
        ) from error
