"""A form as the text of a preset that invites to be edited: every key explained where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from singcli.structure.form import MAX_TEMPO_BPM, MIN_TEMPO_BPM, Form
from singcli.structure.preset import values_from_form
from singcli.structure.section import DEFAULT_VARIATION

_COMMENTS = {  # beside the first line with this key
    "tempo": f"quarter notes a minute, {MIN_TEMPO_BPM:g} to {MAX_TEMPO_BPM:g}",
    "meter": "also 3/4, 6/8, 2/4: a bar of 1 to 12 whole quarter notes",
    "key": 'or "D minor", "F#m", "Bb"',
    "label": "sections with the same label are the same music, bar by bar",
    "variation": "distance from the first section of its label: 0 a copy, 1 new music",
    "tune": "false: the accompaniment alone",
    "transpose": "semitones against the first section of its label",
    "strictness": "0 free, 1 note for note; without: that of the song",
}
_SECTIONS = """\
# The song, section by section. Parts of a section that repeat inside it are its phrases:
#   phrases = [{ label = "a", bars = 4 }, { label = "a", bars = 4, variation = 0.35 }]
# A section may also have: tune = false (the accompaniment alone), transpose = 2 (semitones),
# meter = "3/4", tempo = 72, strictness = 1.0 (note for note)."""
_SIMILARITY = """\
# Sections of different labels that resemble each other, bar by bar: 1 is a copy, 0.6 a likeness.
#   [similarity]
#   A.B = 0.6"""


def text_from_form(form: Form) -> str:
    """Return the text of a preset that means `form`, with comments.

    The name is left out: it is that of the file.
    """
    values = values_from_form(form)
    sections: list[dict[str, Any]] = values.pop("sections")
    similarity: dict[str, dict[str, float]] = values.pop("similarity", {})
    values.pop("name", None)
    title = f"# {form.name}: a form for singcli. Look at it with: singcli presets show NAME"
    lines = [title, "", *_lines(values), "", _SECTIONS]
    for section in _without_what_goes_without_saying(sections):
        lines += ["", "[[sections]]", *_lines(section)]
    lines += ["", _SIMILARITY]
    if similarity:
        lines += ["", "[similarity]"]
        lines += [f"{a}.{b} = {_value(v)}" for a, row in similarity.items() for b, v in row.items()]
    return "\n".join(_explained(lines)) + "\n"


def _without_what_goes_without_saying(
    sections: list[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Leave out defaults, the variation of themes and the phrases that a section inherits."""
    labels: set[str] = set()
    models: dict[str, Any] = {}
    for section in sections:
        label, kept = section["label"], dict(section)
        if label not in labels and section.get("variation") == DEFAULT_VARIATION:
            del kept["variation"]
        if phrases := kept.pop("phrases", None):
            if models.get(label) != phrases:
                kept["phrases"] = [_without_zero(phrase) for phrase in phrases]
            models.setdefault(label, phrases)
        labels.add(label)
        yield kept


def _without_zero(phrase: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in phrase.items() if key != "variation" or value}


def _lines(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in values.items()]


def _value(value: Any) -> str:
    """Return a value as TOML, tables in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "\n".join(["[", *(f"    {_value(item)}," for item in value), "]"])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return tomli_w.dumps({"value": value}).partition(" = ")[2].strip()


def _explained(lines: list[str]) -> Iterator[str]:
    explained: set[str] = set()
    for line in lines:
        key, is_value, _ = line.partition(" = ")
        if is_value and key in _COMMENTS and key not in explained:
            explained.add(key)
            line = f"{line}  # {_COMMENTS[key]}"
        yield line
