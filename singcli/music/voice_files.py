"""Voice rules as TOML: those that come with the tool, and the user's own."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from singcli.errors import InputError, nearest_names
from singcli.music.voices import Fallback, VoiceName, VoiceRule, VoiceRules
from singcli.resources import voice_rules_dir, voice_rules_names
from singcli.toml_tables import read_toml, table_from_toml

_ALLOWED = {
    "name": "a regular expression",
    "programs": "a list of General MIDI programs, 0 to 127",
    "position": "an integer: 0 is the first sounding track, -1 the last",
    "n_tracks": "an integer above 0",
}


class _RuleTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    voice: VoiceName
    name: str | None = None
    programs: list[Annotated[int, Field(ge=0, le=127)]] | None = None
    position: int | None = None
    n_tracks: Annotated[int, Field(ge=1)] | None = None
    only_one: bool = False

    @field_validator("name")
    @classmethod
    def _is_pattern(cls, name: str | None) -> str | None:
        try:
            re.compile(name or "")
        except re.error as error:
            raise ValueError(str(error)) from error
        return name


class _RulesTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    description: str
    otherwise: VoiceName = "accompaniment"
    without_lead: Fallback = "none"
    rule: list[_RuleTable] = []


def read_voice_rules(name_or_path: str | Path) -> VoiceRules:
    """Read voice rules by the name of those that come with the tool, or from a TOML file.

    Raises
    ------
    InputError
        If there is no such file, or a key or value in it is not allowed.
    """
    source = str(name_or_path)
    if source in _bundled_names():
        return _bundled_rules(source)
    path = Path(name_or_path)
    if not path.is_file():
        near = nearest_names(source, _bundled_names()) or _bundled_names()
        raise InputError(
            f"no voice rules called {source!r} and no such file", f"did you mean {', '.join(near)}?"
        )
    return _rules_from_toml(read_toml(path), source)


@functools.cache
def _bundled_names() -> tuple[str, ...]:
    return voice_rules_names()


@functools.cache
def _bundled_rules(name: str) -> VoiceRules:
    return _rules_from_toml((voice_rules_dir() / f"{name}.toml").read_bytes(), name)


def _rules_from_toml(content: bytes, source: str) -> VoiceRules:
    table = table_from_toml(content, _RulesTable, source=source, allowed=_ALLOWED)
    rules = tuple(
        VoiceRule(
            voice=row.voice,
            name=None if row.name is None else re.compile(row.name, re.IGNORECASE),
            programs=None if row.programs is None else tuple(sorted(row.programs)),
            position=row.position,
            n_tracks=row.n_tracks,
            only_one=row.only_one,
        )
        for row in table.rule
    )
    return VoiceRules(source, rules, table.otherwise, table.without_lead)
