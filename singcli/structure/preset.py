"""Presets: forms as TOML text.

The files in `presets/` are the reference and the examples of the format; their names are the
business of `singcli.preset_library`.
The sections are tables, or a form string under the key `form` (`singcli.structure.form_string`).
Values are checked twice: types and unknown keys by a schema here, ranges and how the parts fit
together by `singcli.structure.form`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from singcli.errors import InputError
from singcli.files import write_text
from singcli.music.key import Key
from singcli.music.meter import beats_from_meter
from singcli.structure.form import DEFAULT_METER, DEFAULT_TEMPO_BPM, Form
from singcli.structure.form_string import form_from_string
from singcli.structure.section import (
    DEFAULT_VARIATION,
    LABEL_PATTERN,
    MAX_SECTION_BARS,
    MAX_TEMPO_BPM,
    MAX_TRANSPOSE,
    MIN_TEMPO_BPM,
    Phrase,
    Section,
    split_bars,
)
from singcli.toml_tables import table_from_toml

_NAME_PATTERN = r'^[^./\\:*?"<>|\x00-\x1f][^/\\:*?"<>|\x00-\x1f]{0,63}$'  # it becomes a file name
_BARS_DIGITS = 6
_ALLOWED = {
    "name": "1 to 64 characters that a file name may have",
    "description": "text",
    "tempo": f"a number from {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g} (quarter notes a minute)",
    "meter": 'text, such as "4/4"',
    "key": 'text, such as "D minor"',
    "form": 'text, such as "A8 A8 B8 A8"',
    "sections": "tables with label and bars, at least one",
    "label": "a letter, then up to 31 letters, digits, - and _",
    "bars": f"a whole number from 1 to {MAX_SECTION_BARS}, or with a part of a bar, such as 4.5",
    "variation": "a number from 0 to 1",
    "phrases": "tables with label and bars",
    "tune": "true or false",
    "transpose": f"a whole number from -{MAX_TRANSPOSE} to {MAX_TRANSPOSE} (semitones)",
    "strictness": "a number from 0 to 1",
    "similarity": "labels and a number from 0 to 1, such as A.B = 0.3",
}

Label = Annotated[str, Field(pattern=f"^{LABEL_PATTERN}$")]
Bars = Annotated[float, Field(gt=0, le=MAX_SECTION_BARS)]
Tempo = Annotated[float, Field(ge=MIN_TEMPO_BPM, le=MAX_TEMPO_BPM)]
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
    transpose: Annotated[int, Field(ge=-MAX_TRANSPOSE, le=MAX_TRANSPOSE)] = 0
    meter: str = ""
    tempo: Tempo | None = None
    strictness: Unit | None = None


class _PresetTable(_Table):
    name: Annotated[str, Field(pattern=_NAME_PATTERN)] | None = None
    description: str = ""
    tempo: Tempo = DEFAULT_TEMPO_BPM
    meter: str = DEFAULT_METER
    key: str = "C major"
    form: str | None = None
    sections: Annotated[list[_SectionTable], Field(min_length=1)] = []
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
    import tomli_w

    write_text(path, tomli_w.dumps(values_from_form(form)))


def values_from_form(form: Form) -> dict[str, Any]:
    """Return the values of a preset file that means `form`."""
    table: dict[str, Any] = {"name": form.name}
    if form.description:
        table["description"] = form.description
    table |= {"tempo": form.tempo_bpm, "meter": form.meter, "key": str(form.key)}
    table["sections"] = [_section_values(section) for section in form.sections]
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
    import tomli_w

    return form_from_toml(tomli_w.dumps(values).encode(), source=source, name=source)


def _section_values(section: Section) -> dict[str, Any]:
    values = _part_values(section, last_bar=section.last_bar)
    for key, value, default in (
        ("tune", section.tune, True),
        ("transpose", section.transpose, 0),
        ("meter", section.meter, ""),
        ("tempo", section.tempo_bpm, None),
        ("strictness", section.strictness, None),
    ):
        if value != default:
            values[key] = value
    if section.phrases:
        *whole, last = section.phrases
        values["phrases"] = [
            *(_part_values(phrase) for phrase in whole),
            _part_values(last, last_bar=section.last_bar),
        ]
    return values


def _part_values(part: Section | Phrase, *, last_bar: float = 1.0) -> dict[str, Any]:
    whole = last_bar == 1
    n_bars = part.n_bars if whole else round(part.n_bars - 1 + last_bar, _BARS_DIGITS)
    return {"label": part.label, "bars": n_bars, "variation": part.variation}


def _form_from_table(table: _PresetTable, name: str) -> Form:
    form = _written_form(table)
    return dataclasses.replace(
        form,
        key=Key.parse(table.key),
        similarity=_similarity_from_table(table.similarity),
        name=table.name or name,
        description=table.description,
    )


def _written_form(table: _PresetTable) -> Form:
    """Return the form of the sections, wherever they are written, with tempo and meter."""
    if table.form is not None and table.sections:
        raise InputError("both form and sections, allowed: one of the two")
    if table.form is not None:
        given = table.model_fields_set  # else meter and tempo may be those of all sections
        return form_from_string(
            table.form,
            meter=table.meter if "meter" in given else None,
            tempo_bpm=table.tempo if "tempo" in given else None,
        )
    if not table.sections:
        raise InputError("sections is missing, allowed: sections or form")
    return Form(
        sections=tuple(
            _section_from_table(section, f"sections[{index}]")
            for index, section in enumerate(table.sections)
        ),
        beats_per_bar=beats_from_meter(table.meter),
        tempo_bpm=table.tempo,
        meter=table.meter,
    )


def _section_from_table(table: _SectionTable, where: str) -> Section:
    n_bars, last_bar = split_bars(table.bars)
    return Section(
        table.label,
        n_bars,
        table.variation,
        _phrases_from_tables(table.phrases, table, where),
        table.tune,
        transpose=table.transpose,
        meter=table.meter,
        tempo_bpm=table.tempo,
        strictness=table.strictness,
        last_bar=last_bar,
    )


def _phrases_from_tables(
    tables: Sequence[_PhraseTable], section: _SectionTable, where: str
) -> tuple[Phrase, ...]:
    """Return the phrases of a section; the last one may end in its short bar."""
    for number, table in enumerate(tables[:-1]):
        if not table.bars.is_integer():
            raise InputError(
                f"{where}.phrases[{number}].bars = {table.bars:g}, allowed: a whole number; "
                "only the last phrase can end in a part of a bar"
            )
    total = sum(table.bars for table in tables)
    if tables and not math.isclose(total, section.bars, abs_tol=10**-_BARS_DIGITS):
        raise InputError(
            f"{where}.phrases add up to {total:g} bars, section {section.label} has "
            f"{section.bars:g}"
        )
    return tuple(Phrase(p.label, split_bars(p.bars)[0], p.variation) for p in tables)


def _similarity_from_table(table: dict[str, dict[str, float]]) -> dict[tuple[str, str], float]:
    return {(one, other): value for one, row in table.items() for other, value in row.items()}
