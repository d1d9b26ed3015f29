"""Presets: forms as TOML text.

The files in `presets/` are the reference and the examples of the format; their names are the
business of `singcli.preset_library`.
Values are checked twice: types and unknown keys by a schema here, ranges and how the parts fit
together by `singcli.structure.form`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from singcli.errors import InputError
from singcli.files import write_text
from singcli.music.key import Key
from singcli.structure.form import (
    DEFAULT_METER,
    DEFAULT_TEMPO_BPM,
    MAX_TEMPO_BPM,
    MIN_TEMPO_BPM,
    Form,
    beats_from_meter,
)
from singcli.structure.section import (
    DEFAULT_VARIATION,
    LABEL_PATTERN,
    MAX_SECTION_BARS,
    Phrase,
    Section,
)
from singcli.toml_tables import table_from_toml

_NAME_PATTERN = r'^[^./\\:*?"<>|\x00-\x1f][^/\\:*?"<>|\x00-\x1f]{0,63}$'  # it becomes a file name
_ALLOWED = {
    "name": "1 to 64 characters that a file name may have",
    "description": "text",
    "tempo": f"a number from {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} (quarter notes a minute)",
    "meter": 'text, such as "4/4"',
    "key": 'text, such as "D minor"',
    "sections": "tables with label and bars, at least one",
    "label": "a letter, then up to 31 letters, digits, - and _",
    "bars": f"a whole number from 1 to {MAX_SECTION_BARS}",
    "variation": "a number from 0 to 1",
    "phrases": "tables with label and bars",
    "tune": "true or false",
    "similarity": "labels and a number from 0 to 1, such as A.B = 0.3",
}

Label = Annotated[str, Field(pattern=f"^{LABEL_PATTERN}$")]
Bars = Annotated[int, Field(ge=1, le=MAX_SECTION_BARS)]
Unit = Annotated[float, Field(ge=0, le=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _PhraseTable(_Table):
    label: Label
    bars: Bars
    variation: Unit = 0.0


class _SectionTable(_Table):
    label: Label
    bars: Bars
    variation: Unit = DEFAULT_VARIATION
    phrases: list[_PhraseTable] = []
    tune: bool = True


class _PresetTable(_Table):
    name: Annotated[str, Field(pattern=_NAME_PATTERN)] | None = None
    description: str = ""
    tempo: Annotated[float, Field(ge=MIN_TEMPO_BPM, le=MAX_TEMPO_BPM)] = DEFAULT_TEMPO_BPM
    meter: str = DEFAULT_METER
    key: str = "C major"
    sections: Annotated[list[_SectionTable], Field(min_length=1)]
    similarity: dict[Label, dict[Label, Unit]] = {}


def form_from_toml(content: bytes, *, source: str, name: str) -> Form:
    """Read the text of a preset.

    Parameters
    ----------
    content : bytes
        UTF-8.
    source : str
        What to call the file in messages.
    name : str
        Name of the form where the text gives none.

    Raises
    ------
    InputError
        As `read_preset`.
    """
    table = table_from_toml(content, _PresetTable, source=source, allowed=_ALLOWED)
    try:
        return _form_from_table(table, name)
    except InputError as error:
        raise InputError(f"{source}: {error}", error.remedy) from error


def write_preset(form: Form, path: Path) -> None:
    """Write a form as a preset; `read_preset` returns an equal one."""
    write_text(path, tomli_w.dumps(values_from_form(form)))


def values_from_form(form: Form) -> dict[str, Any]:
    """Return the values of a preset file that means `form`."""
    table: dict[str, Any] = {"name": form.name}
    if form.description:
        table["description"] = form.description
    table |= {"tempo": form.tempo_bpm, "meter": form.meter, "key": str(form.key)}
    table["sections"] = [_part_values(section) for section in form.sections]
    for (one, other), value in form.similarity.items():
        table.setdefault("similarity", {}).setdefault(one, {})[other] = value
    return table


def form_from_values(values: Mapping[str, Any], *, source: str) -> Form:
    """Return the form that the values of a preset file mean.

    Raises
    ------
    InputError
        As `read_preset`; `source` says where the values stand.
    """
    return form_from_toml(tomli_w.dumps(values).encode(), source=source, name=source)


def _part_values(part: Section | Phrase) -> dict[str, Any]:
    values: dict[str, Any] = {
        "label": part.label,
        "bars": part.n_bars,
        "variation": part.variation,
    }
    if isinstance(part, Section) and not part.tune:
        values["tune"] = False
    if isinstance(part, Section) and part.phrases:
        values["phrases"] = [_part_values(phrase) for phrase in part.phrases]
    return values


def _form_from_table(table: _PresetTable, name: str) -> Form:
    return Form(
        sections=tuple(
            Section(
                section.label,
                section.bars,
                section.variation,
                tuple(Phrase(p.label, p.bars, p.variation) for p in section.phrases),
                section.tune,
            )
            for section in table.sections
        ),
        beats_per_bar=beats_from_meter(table.meter),
        tempo_bpm=table.tempo,
        key=Key.parse(table.key),
        similarity=_similarity_from_table(table.similarity),
        name=table.name or name,
        description=table.description,
        meter=table.meter,
    )


def _similarity_from_table(table: dict[str, dict[str, float]]) -> dict[tuple[str, str], float]:
    return {(one, other): value for one, row in table.items() for other, value in row.items()}
