"""`singcli ssm`: the structure of a piece or a form, as a file, a picture and text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption

if TYPE_CHECKING:
    from singcli.analysis import Analysis
    from singcli.structure.bar_copies import BarCopy
    from singcli.structure.found_form import FoundPhrase, FoundSection

EXAMPLES = (
    ("The form of a song, as a picture and as a preset to edit", "singcli ssm song.mid --png "
     "--emit-preset song.toml"),
    ("Which bar of a form copies which", "singcli ssm \"A8 A8 B8 A'8\" --repeat-map"),
)  # fmt: skip


def ssm(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A MIDI file, a recording (.wav, .mp3, .flac, .ogg), a preset (its name, or a "
            '.toml file), a form such as "A8 A8 B8 A8", or an SSM file (.npz). A preset goes '
            "before a file of the same name without suffix; write ./NAME for the file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="SSM file to write (.npz).  [default: SOURCE's name, here]"
        ),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png", help="Draw the matrix: a .png beside the SSM file.")
    ] = False,
    repeat_map: Annotated[
        bool,
        typer.Option("--repeat-map", help="Print which bar copies which, and draw it with --png."),
    ] = False,
    emit_preset: Annotated[
        Path | None,
        typer.Option(
            "--emit-preset", help="Write sections and phrases as a preset (.toml) to edit."
        ),
    ] = None,
    beats: Annotated[
        Literal["file", "annotation", "estimate"],
        typer.Option(
            "--beats",
            help="Where the beats of a MIDI file come from: its tempo map and meter, beat_midi.txt "
            "beside it, or an estimate (for performances without a grid).",
        ),
    ] = "file",
    rules: Annotated[
        str,
        typer.Option(
            "--rules", help="Which tracks of a MIDI file are the tune: auto, pop909, ... or .toml."
        ),
    ] = "auto",
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find the sections, phrases and repeats of a piece or a form.

    Writes the self-similarity matrix, without notes, as an SSM file: a template for `generate`
    that can be shared where the music cannot. Prints the sections with their phrases, then the
    files written.
    """
    from singcli.analysis import analyse

    analysis = analyse(
        source,
        out=out,
        png=png,
        repeat_map=repeat_map,
        preset=emit_preset,
        overwrite=overwrite,
        beats=beats,
        rules=rules,
    )
    console = Console(quiet=quiet)
    if as_json:
        console.result_json(_json(analysis, repeat_map=repeat_map))
        return
    console.status(_summary(analysis))
    for section in analysis.sections:
        for line in _section_lines(section):
            console.result(line)
    for copy in analysis.copies if repeat_map else ():
        console.result(_line(copy))
    for path in analysis.written:
        console.result(str(path))


def _summary(analysis: Analysis) -> str:
    structure = analysis.structure
    key = "key unknown" if structure.key is None else str(structure.key)
    sections = structure.provenance.settings.get("sections", "given")
    return (
        f"{structure.provenance.name}: {structure.n_bars} bars of {structure.meter}, "
        f"{structure.tempo_bpm:.4g} beats a minute, {key}; sections {sections}"
    )


def _section_lines(section: FoundSection) -> Iterator[str]:
    """Tell a section and, indented, its phrases."""
    facts = _varies(section.variation)
    if section.transpose:
        facts.append(f"{section.transpose:+d} semitones")
    if not section.tune:
        facts.append("without the tune")
    yield _fact_line(f"{_bars(section.start_bar, section.n_bars):14}{section.label}", facts)
    for phrase in section.phrases:
        bars = f"  {_bars(phrase.start_bar, phrase.n_bars):14}"
        yield _fact_line(f"{bars}{phrase.label}", _varies(phrase.variation))


def _varies(variation: float | None) -> list[str]:
    return [] if variation is None else [f"variation {variation:.2f}"]


def _fact_line(line: str, facts: list[str]) -> str:
    return f"{line} ({', '.join(facts)})" if facts else line


def _bars(start_bar: int, n_bars: int) -> str:
    """Return bar numbers as musicians count."""
    stop = start_bar + n_bars
    return f"bar {stop}" if n_bars == 1 else f"bars {start_bar + 1}-{stop}"


def _line(copy: BarCopy) -> str:
    from singcli.structure.bar_copies import STRONG_GRADE

    bars = f"{_bars(copy.start_bar, copy.n_bars):14}"
    if copy.source_bar is None:
        return f"{bars}new"
    verb = "copies" if copy.n_bars == 1 else "copy"
    if copy.grade < STRONG_GRADE:
        verb = "resembles" if copy.n_bars == 1 else "resemble"
    source = _bars(copy.source_bar, copy.n_bars)
    if copy.source_beat:
        source += f", from beat {copy.source_beat + 1} on"
    return f"{bars}{verb} {source} (grade {copy.grade:.2f})"


def _json(analysis: Analysis, *, repeat_map: bool) -> dict[str, Any]:
    """Return the result as one object; bars count from 0, ends are exclusive."""
    structure = analysis.structure
    source = structure.provenance
    value: dict[str, Any] = {
        "source": {"kind": source.kind, "name": source.name, "sha256": source.sha256},
        "bars": structure.n_bars,
        "beats": structure.n_beats,
        "meter": structure.meter,
        "tempo_bpm": structure.tempo_bpm,
        "key": None if structure.key is None else str(structure.key),
        "sections": [
            {
                **_part_json(section),
                "transpose": section.transpose,
                "tune": section.tune,
                "phrases": [_part_json(phrase) for phrase in section.phrases],
            }
            for section in analysis.sections
        ],
    }
    if repeat_map:
        value["repeats"] = [
            {
                "start_bar": copy.start_bar,
                "end_bar": copy.start_bar + copy.n_bars,
                "source_bar": copy.source_bar,
                "source_beat": copy.source_beat,
                "grade": round(copy.grade, 4),
            }
            for copy in analysis.copies
        ]
    return {**value, "written": [str(path) for path in analysis.written]}


def _part_json(part: FoundSection | FoundPhrase) -> dict[str, Any]:
    return {
        "label": part.label,
        "start_bar": part.start_bar,
        "end_bar": part.start_bar + part.n_bars,
        "variation": None if part.variation is None else round(part.variation, 4),
    }
