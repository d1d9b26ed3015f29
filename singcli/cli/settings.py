"""Where the value of an option comes from: a flag, the environment, a file, or its default.

Conventions: a *key* is the long name of an option with underscores: `out_dir` in a file,
`SINGCLI_OUT_DIR` in the environment, `--out-dir` as a flag. Later places give way to earlier ones.
Options that cannot stand beside each other (`RIVALS`) give way together: a form on the command line
is not at odds with a preset in a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer
from typer.core import TyperCommand

from singcli.errors import InputError, hint_from_names, nearest_names

PREFIX = "SINGCLI_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
OTHER_VARIABLES = (CONFIG_VARIABLE, f"{PREFIX}DEBUG", f"{PREFIX}PRESETS")
NO_SETTINGS = ("config", "print_config", "help")
RIVALS = (
    ({"preset"}, {"form"}, {"template"}, {"recipe"}),
    ({"seed", "count"}, {"seeds"}),
    ({"overwrite"}, {"skip_existing"}),
    ({"out"}, {"out_dir", "filename"}),
)
_META = "singcli.origins"

Place = Literal["flag", "environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: the place, and what it is called there."""

    place: Place
    name: str


class ConfiguredCommand(TyperCommand):
    """A command whose options can also be set in the environment and in a file."""

    def invoke(self, ctx: Any) -> Any:
        """Fill in what the command line leaves open, then run the command."""
        ctx.meta[_META] = _fill_in(self, ctx)
        return super().invoke(ctx)


def origins(context: Any) -> Mapping[str, Origin]:
    """Return where the value of every parameter of the running command comes from."""
    found: Mapping[str, Origin] = context.meta[_META]
    return found


def settings(command: Any) -> dict[str, Any]:
    """Return the options of a command that can be set elsewhere, by their keys."""
    keys = ((key_of(parameter), parameter) for parameter in command.params)
    return {key: parameter for key, parameter in keys if key not in NO_SETTINGS}


def key_of(parameter: Any) -> str:
    """Return the key of an option."""
    long = next(name for name in parameter.opts if name.startswith("--"))
    return str(long).removeprefix("--").replace("-", "_")


def _fill_in(command: Any, context: Any) -> Mapping[str, Origin]:
    known = settings(command)
    found = {}
    for key, parameter in known.items():
        source = context.get_parameter_source(parameter.name)
        if source is not None and source.name == "COMMANDLINE":
            found[key] = Origin("flag", f"--{key.replace('_', '-')}")
    for places in (_from_environment(known), _from_file(known, context.params.get("config"))):
        given = set(found)
        for key, origin, raw in places:
            if key in given or given & _rivals(key):
                continue
            context.params[known[key].name] = _converted(known[key], context, origin, raw)
            found[key] = origin
    return {
        parameter.name: found.get(key, Origin("default", "default"))
        for key, parameter in known.items()
    }


def _rivals(key: str) -> set[str]:
    """Return the keys that make this one give way when they are set in an earlier place."""
    rivals: set[str] = set()
    for group in RIVALS:
        if any(key in keys for keys in group):
            rivals |= {other for keys in group if key not in keys for other in keys}
    return rivals


def _from_environment(known: Mapping[str, Any]) -> Iterator[tuple[str, Origin, Any]]:
    for variable, text in os.environ.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        key = variable.removeprefix(PREFIX).lower()
        if key not in known:
            names = [PREFIX + name.upper() for name in known]
            near = nearest_names(variable, (*names, *OTHER_VARIABLES), limit=1)
            raise InputError(
                f"{variable} in the environment: no option is called {key}", hint_from_names(near)
            )
        yield key, Origin("environment", variable), text.split(",") if known[key].multiple else text


def _from_file(
    known: Mapping[str, Any], path: str | Path | None
) -> Iterator[tuple[str, Origin, Any]]:
    if path is None:
        return
    from singcli.toml_tables import read_toml, values_from_toml

    path = Path(path)
    for key, value in values_from_toml(read_toml(path), str(path)).items():
        if key not in known:
            near = nearest_names(key, known, limit=1)
            hint = hint_from_names(near, f"keys are {', '.join(known)}")
            raise InputError(f"{path}: unknown key {key!r}", hint)
        origin = Origin("file", f"{path}: {key}")
        yield key, origin, _raw(value, multiple=known[key].multiple)


def _raw(value: Any, *, multiple: bool) -> Any:
    """Return a value of TOML as the command line would spell it."""
    if isinstance(value, Mapping):
        parts = [f"{name}={_spelled(inner)}" for name, inner in value.items()]
    elif isinstance(value, list):
        parts = [_spelled(inner) for inner in value]
    else:
        parts = [_spelled(value)]
    return parts if multiple else ",".join(parts)


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _converted(parameter: Any, context: Any, origin: Origin, raw: Any) -> Any:
    try:
        return parameter.process_value(context, raw)
    except typer.BadParameter as error:
        shown = ",".join(raw) if isinstance(raw, list) else raw
        raise InputError(f"{origin.name} = {shown!r}: {error.message}") from error
