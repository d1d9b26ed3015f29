"""Voice rules as TOML: those that come with the tool, and the user's own."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from singcli.errors import InputError, nearest_names
from singcli.music.voices import VoiceRule, VoiceRules
from singcli.resources import voice_rules_dir, voice_rules_names
from singcli.toml_tables import read_toml, table_from_toml


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
    """Read rules that the tests have held against their schema; that takes 20 ms to build."""
    content = (voice_rules_dir() / f"{name}.toml").read_text(encoding="utf-8")
    return _rules_from_values(tomllib.loads(content), name)


def _rules_from_toml(content: bytes, source: str) -> VoiceRules:
    from singcli.music.voice_tables import ALLOWED, RulesTable

    table = table_from_toml(content, RulesTable, source=source, allowed=ALLOWED)
    return _rules_from_values(table.model_dump(exclude_none=True), source)


def _rules_from_values(values: Mapping[str, Any], source: str) -> VoiceRules:
    rules = tuple(
        VoiceRule(
            voice=row["voice"],
            name=re.compile(row["name"], re.IGNORECASE) if "name" in row else None,
            programs=tuple(sorted(row["programs"])) if "programs" in row else None,
            position=row.get("position"),
            n_tracks=row.get("n_tracks"),
            only_one=row.get("only_one", False),
        )
        for row in values.get("rule", ())
    )
    otherwise = values.get("otherwise", "accompaniment")
    return VoiceRules(source, rules, otherwise, values.get("without_lead", "none"))
