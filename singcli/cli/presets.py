"""`singcli presets`: a group of commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption

if TYPE_CHECKING:
    from singcli.preset_library import CheckedPreset, PresetFile
    from singcli.structure.form import Form
    from singcli.structure.section import Section

EXAMPLES = (
    ("every preset, with its form", "singcli presets list"),
    ("the same for a script, one object a line", "singcli presets list --json"),
    ("what a preset says, and how its sections lie", "singcli presets show verse-chorus"),
    ("the same of a file of yours", "singcli presets show ./mine.toml"),
    ("the file of a preset, to read or to copy", "singcli presets path rondo"),
    ("the folder of your own presets", "singcli presets path"),
    ("all that is wrong with a file", "singcli presets validate mine.toml"),
    ("check all of yours", "singcli presets validate presets/*.toml"),
    (
        "a form of your own, in a file to edit",
        "singcli presets new mine --form \"i4 A8 A8 B8 A'8\" --tempo 84 --key 'D minor'",
    ),
    ("a bundled preset as the beginning", "singcli presets new slow-rondo --from rondo --tempo 60"),
)

PresetArgument = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="A preset's name, or a .toml file.")
]


def presets() -> None:
    """List, show, check and begin presets: forms in TOML files."""


def list_presets(as_json: JsonOption = False) -> None:
    """List the presets, bundled and yours.

    A line says name, bars, meter, where and what for, the next line the form. One of yours goes
    before a bundled one of its name. A file that cannot be used is listed with the reason.
    """
    from singcli.preset_library import check_preset, find_presets

    console = Console()
    checked = [check_preset(preset) for preset in find_presets()]
    width = max(len(preset.file.name) for preset in checked)
    for preset in checked:
        if as_json:
            console.result_json(_listed(preset))
            continue
        for line in _list_lines(preset, width):
            console.result(line)


def show(preset: PresetArgument, as_json: JsonOption = False) -> None:
    """Show all that a preset says, and a chart of its sections.

    In the chart a letter is a bar, and a capital the first bar of a phrase; `=` is a bar in a
    section without phrases, `-` one in which the tune is silent.
    """
    from singcli.preset_library import find_preset
    from singcli.structure.form_chart import chart_from_form
    from singcli.structure.form_string import string_from_form

    file = find_preset(preset)
    form = file.read()
    console = Console()
    if as_json:
        console.result_json(_shown(file, form))
        return
    console.result(f"{form.name}: {_where(file)}, {file.path}")
    if form.description:
        console.result(form.description)
    console.result(_summary(form))
    for line in ["", *chart_from_form(form), "", *_section_lines(form)]:
        console.result(line)
    for (one, other), value in form.similarity.items():
        console.result(f"{one} and {other} resemble each other by {value:g}")
    if text := string_from_form(form):
        console.result(f"in one line: {text}")


def path(
    preset: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A preset's name.  [default: your folder]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the path of a preset, or of your folder of presets.

    Your folder is $SINGCLI_PRESETS, or else in the place where your system keeps configurations.
    It is made by `presets new`.
    """
    from singcli.preset_library import find_preset
    from singcli.resources import user_presets_dir

    console = Console()
    if preset is None:
        folder = user_presets_dir()
        value: dict[str, Any] = {"path": str(folder), "exists": folder.is_dir()}
    else:
        file = find_preset(preset)
        value = {"name": file.name, **_place(file), "exists": file.path.is_file()}
    if as_json:
        console.result_json(value)
    else:
        console.result(value["path"])


def validate(
    presets: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="TOML files, or names of presets.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Check presets: a line for each, and on stderr what is wrong. Exit code 2 if anything is."""
    from singcli.errors import InputError
    from singcli.preset_library import check_presets

    console = Console()
    checked = check_presets(presets)
    for preset in checked:
        if as_json:
            console.result_json(_verdict(preset))
            continue
        n_problems = len(preset.problems)
        wrong = f"{n_problems} {'error' if n_problems == 1 else 'errors'}"
        console.result(f"{preset.file.path}: {wrong if n_problems else 'valid'}")
        for problem in preset.problems:
            hint = f"; {problem.remedy}" if problem.remedy else ""
            console.error(f"{problem.message}{hint}")
    n_invalid = sum(preset.form is None for preset in checked)
    if n_invalid:
        raise InputError(f"{n_invalid} of {len(checked)} presets cannot be used")


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    form: Annotated[
        str | None,
        typer.Option(help='A form in one line.  [default: "A8 A8 B8 A8"]', metavar="FORM"),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="A preset to begin with.", metavar="NAME|FILE")
    ] = None,
    tempo: Annotated[float | None, typer.Option(help="Quarter notes a minute.")] = None,
    meter: Annotated[str | None, typer.Option(help='Such as "3/4".')] = None,
    key: Annotated[str | None, typer.Option(help='Such as "D minor".')] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.  [default: in your folder]")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a preset with comments, to be edited, and print its path.

    It goes into your own folder (`singcli presets path`), where `generate --preset NAME` finds it.
    """
    from singcli.preset_library import new_preset

    file = new_preset(
        name,
        form=form,
        source=source,
        tempo_bpm=tempo,
        meter=meter,
        key=key,
        description=description,
        out=out,
        overwrite=overwrite,
    )
    console = Console()
    if file.hides_bundled:
        console.status(f"goes before the bundled preset {file.name}")
    if as_json:
        console.result_json({"name": file.name, **_place(file)})
    else:
        console.result(str(file.path))


SUBCOMMANDS = {
    "list": list_presets,
    "show": show,
    "path": path,
    "validate": validate,
    "new": new,
}


def _list_lines(preset: CheckedPreset, width: int) -> list[str]:
    from singcli.structure.form_chart import outline_from_form

    file, form = preset.file, preset.form
    size = f"{form.n_bars:4} bars  {form.meter:5}" if form else f"{'invalid':>9}  {'':5}"
    about = form.description if form else preset.problems[0].message
    first = f"{file.name:{width}}{size}  {file.where:7}  {about}"
    place = f"({_where(file)})" if file.hides_bundled else ""
    second = f"{'':{width}}  {outline_from_form(form) if form else ''} {place}"
    return [line for line in (first.rstrip(), second.rstrip()) if line]


def _where(file: PresetFile) -> str:
    return "yours, in place of the bundled one" if file.hides_bundled else file.where


def _summary(form: Form) -> str:
    from singcli.structure.form_chart import seconds_from_form

    minutes, seconds = divmod(round(seconds_from_form(form)), 60)
    return (
        f"{form.n_bars} bars of {form.meter}, {form.tempo_bpm:g} quarter notes a minute, "
        f"{form.key}, {minutes}:{seconds:02} minutes"
    )


def _section_lines(form: Form) -> list[str]:
    themes: dict[str, Section] = {}
    rows = []
    for section, span in zip(form.sections, form.section_bars, strict=True):
        bars = f"bars {span.start_bar + 1}-{span.start_bar + span.n_bars}"
        theme = themes.setdefault(section.label, section)
        rows.append((bars, section.label, ", ".join(_facts(section, theme))))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{bars:{widths[0]}}  {label:{widths[1]}}  {facts}" for bars, label, facts in rows]


def _facts(section: Section, theme: Section) -> list[str]:
    """Say what there is to say about a section beside the first one of its label."""
    facts = ["new" if section is theme else f"variation {section.variation:g}"]
    if section.last_bar < 1:
        facts.append(f"{section.length:g} bars long")
    if section.transpose:
        semitones = "semitone" if abs(section.transpose) == 1 else "semitones"
        facts.append(f"{section.transpose:+d} {semitones}")
    if section.meter:
        facts.append(section.meter)
    if section.tempo_bpm:
        facts.append(f"{section.tempo_bpm:g} quarter notes a minute")
    if section.strictness is not None:
        facts.append(f"strictness {section.strictness:g}")
    if not section.tune:
        facts.append("without the tune")
    if section.phrases and (section is theme or section.phrases != theme.phrases):
        parts = (
            f"{p.label}{p.n_bars}" + (f":{p.variation:g}" if p.variation else "")
            for p in section.phrases
        )
        facts.append(f"phrases {' '.join(parts)}")
    return facts


def _place(file: PresetFile) -> dict[str, Any]:
    return {"path": str(file.path), "where": file.where, "hides_bundled": file.hides_bundled}


def _listed(preset: CheckedPreset) -> dict[str, Any]:
    from singcli.structure.form_chart import outline_from_form

    value = {"name": preset.file.name, **_place(preset.file), "valid": preset.form is not None}
    if preset.form is None:
        return {**value, "error": preset.problems[0].message}
    form = preset.form
    return {
        **value,
        "bars": form.n_bars,
        "meter": form.meter,
        "form": outline_from_form(form),
        "description": form.description,
    }


def _shown(file: PresetFile, form: Form) -> dict[str, Any]:
    """Return a preset as one object; bars count from 0, ends are exclusive."""
    from singcli.structure.form_chart import outline_from_form, seconds_from_form
    from singcli.structure.form_string import string_from_form

    return {
        "name": form.name,
        **_place(file),
        "description": form.description,
        "form": outline_from_form(form),
        "form_string": string_from_form(form),
        "bars": form.n_bars,
        "beats": form.n_beats,
        "seconds": round(seconds_from_form(form), 3),
        "tempo_bpm": form.tempo_bpm,
        "meter": form.meter,
        "key": str(form.key),
        "sections": [
            {
                "label": section.label,
                "start_bar": span.start_bar,
                "end_bar": span.start_bar + span.n_bars,
                "variation": section.variation,
                "transpose": section.transpose,
                "meter": section.meter or form.meter,
                "tempo_bpm": section.tempo_bpm or form.tempo_bpm,
                "strictness": section.strictness,
                "last_bar": section.last_bar,
                "tune": section.tune,
                "phrases": [
                    {"label": p.label, "bars": p.n_bars, "variation": p.variation}
                    for p in section.phrases
                ],
            }
            for section, span in zip(form.sections, form.section_bars, strict=True)
        ],
        "similarity": [
            {"labels": list(labels), "value": value} for labels, value in form.similarity.items()
        ],
    }


def _verdict(preset: CheckedPreset) -> dict[str, Any]:
    errors = [
        {
            "key": problem.key,
            "value": problem.value,
            "allowed": problem.allowed,
            "message": problem.message,
            "remedy": problem.remedy,
        }
        for problem in preset.problems
    ]
    file = preset.file
    return {"file": str(file.path), "valid": not errors, "errors": errors}
