"""What may stand in a file of voice rules; its own module, as the bundled ones need no check."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from singcli.music.voices import Fallback, VoiceName

ALLOWED = {
    "name": "a regular expression",
    "programs": "a list of General MIDI programs, 0 to 127",
    "position": "an integer: 0 is the first sounding track, -1 the last",
    "n_tracks": "an integer above 0",
}


class RuleTable(BaseModel):
    """One rule."""

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


class RulesTable(BaseModel):
    """A file of rules."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str
    otherwise: VoiceName = "accompaniment"
    without_lead: Fallback = "none"
    rule: list[RuleTable] = []
