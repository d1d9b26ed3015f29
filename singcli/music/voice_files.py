"""Voice rules as TOML: those that come with the tool, and the user's own."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from pathlib import Path
from typing import Annotated

import pydantic

from singcli.errors import InputError, nearest_names
from singcli.music.voices import Fallback, VoiceName, VoiceRule, VoiceRules

_Program = Annotated[int, pydantic.Field(ge=0, le=127)]


class _RuleTable(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    voice: VoiceName
    name: str | None = None
    programs: list[_Program] | None = None
    position: int | None = None
    n_tracks: Annotated[int, pydantic.Field(ge=1)] | None = None
    only_one: bool = False

    @pydantic.field_validator("name")
    @classmethod
    def _is_pattern(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"not a regular expression ({error})") from error
        return name


class _RulesTable(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    description: str
    otherwise: VoiceName = "accompaniment"
    without_lead: Fallback = "none"
    rule: list[_RuleTable] = []


def voice_rules_names() -> tuple[str, ...]:
    """Return the names of the rules that come with the tool."""
    folder = importlib.resources.files("singcli") / "voice_rules"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def read_voice_rules(name_or_path: str | Path) -> VoiceRules:
    """Read voice rules by the name of those that come with the tool, or from a TOML file.

    Raises
    ------
    InputError
        If there is no such file, or a key or value in it is not allowed.
    """
    name = str(name_or_path)
    if name in voice_rules_names():
        resource = importlib.resources.files("singcli") / "voice_rules" / f"{name}.toml"
        return _rules_from_toml(resource.read_text(encoding="utf-8"), name)
    path = Path(name_or_path)
    if not path.is_file():
        near = nearest_names(name, voice_rules_names()) or list(voice_rules_names())
        raise InputError(
            f"no voice rules called {name!r} and no such file", f"did you mean {', '.join(near)}?"
        )
    try:
        return _rules_from_toml(path.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({error})") from error


def _rules_from_toml(text: str, source: str) -> VoiceRules:
    try:
        table = _RulesTable.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: not valid TOML: {error}") from error
    except pydantic.ValidationError as error:
        raise InputError(f"{source}: {_first_problem(error)}") from error
    return VoiceRules(
        name=source,
        rules=tuple(_rule(row) for row in table.rule),
        otherwise=table.otherwise,
        fallback=table.without_lead,
    )


def _rule(row: _RuleTable) -> VoiceRule:
    return VoiceRule(
        voice=row.voice,
        name=None if row.name is None else re.compile(row.name, re.IGNORECASE),
        programs=None if row.programs is None else tuple(sorted(row.programs)),
        position=row.position,
        n_tracks=row.n_tracks,
        only_one=row.only_one,
    )


def _first_problem(error: pydantic.ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _RuleTable if problem["loc"][0] == "rule" else _RulesTable
        return f"{place} is not a known key; allowed: {', '.join(known.model_fields)}"
    if problem["type"] == "missing":
        return f"{place} is missing"
    return f"{place} = {problem['input']!r}: {problem['msg']}"
