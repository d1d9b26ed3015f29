"""`singcli generate`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption

if TYPE_CHECKING:
    from singcli.generate import Song
    from singcli.structure.quality import TemplateQuality
    from singcli.wish import Template, Wish

EXAMPLES = (
    ("a song in the form AABA, in the current folder", "singcli generate --preset aaba"),
    (
        "ten songs in D minor in a form of your own",
        "singcli generate --form \"A8 A8 B8 A'8\" --key 'D minor' --tempo 84 --count 10 "
        "--out-dir songs",
    ),
    (
        "a new song with the repeats of another one",
        "singcli generate --template reference.mid --seed 7 --out new.mid",
    ),
    (
        "the best of eight, with a picture; exit code 4 if none is good enough",
        "singcli generate --preset rondo --best-of 8 --min-structure 0.9 --png",
    ),
    (
        "between the forms of two songs",
        "singcli generate --template a.mid:0.6 --template b.mid:0.4",
    ),
    (
        "a form that nobody has thought of, to be used again",
        "singcli generate --preset random --bars 64 --save-preset new.toml",
    ),
)
OPTION_FIELDS = {  # fields of a wish by the parameters of `generate`
    "tempo": "tempo_bpm",
    "key": "key",
    "temperature": "temperature",
    "top_p": "top_p",
    "strictness": "strictness",
    "candidates": "candidates",
    "steering": "steering",
    "style": "style",
    "scale_lock": "scale_lock",
    "ending": "ending",
    "lead_range": "lead_range",
    "accompaniment_range": "accompaniment_range",
    "max_polyphony": "max_polyphony",
}


def generate(
    context: typer.Context,
    *,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-p",
            help="A form by its name, see `presets list`, or a TOML file of yours; `random` draws "
            "a new one for every seed.",
        ),
    ] = None,
    bars: Annotated[int | None, typer.Option(help="Length of a random form [default: 64].")] = None,
    form: Annotated[
        str | None, typer.Option(help='A form such as "A8 A8 B8 A\'8" (label, bars).')
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:WEIGHT]",
            help="A MIDI file or an .npz of `ssm`, to repeat as it does. Several are blended, bar "
            "by bar from their beginnings: a.mid:0.6 and b.mid:0.4.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Make the song of this .json again; other options given beside it change it."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Same seed, same song [default: drawn].")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="Songs, with seeds counting up.")
    ] = 1,
    tempo: Annotated[
        float | None, typer.Option(help="Quarter notes a minute [default: the form's].")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help='Such as "D minor" [default: the form\'s].')
    ] = None,
    temperature: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|KIND=NUMBER,...",
            help="Lower for the likelier notes, higher for the bolder ones. Kinds of decision: "
            "lead and accompaniment (which pitch), count (how many notes), duration, velocity; as "
            "in lead=0.9,duration=0.8 [default: count=1.1 and 0.97 for the others].",
        ),
    ] = None,
    top_p: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|KIND=NUMBER,...",
            help="Share of the probability to draw from, in the same way.",
        ),
    ] = "1",
    scale_lock: Annotated[
        str,
        typer.Option(
            metavar="off|soft|hard",
            help="Notes outside the key: as the network has them, less likely the more there are, "
            "or none.",
        ),
    ] = "soft",
    lead_range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH",
            help="Of the lead, such as C4-A5 or 60-81 [default: as in the data].",
        ),
    ] = None,
    accompaniment_range: Annotated[
        str | None,
        typer.Option(metavar="LOW-HIGH", help="Of the accompaniment [default: as in the data]."),
    ] = None,
    max_polyphony: Annotated[
        str,
        typer.Option(
            metavar="VOICE=NUMBER,...",
            help="Most notes of a voice at once; lead=1 for a tune in single notes.",
        ),
    ] = "lead=2,accompaniment=8",
    ending: Annotated[
        bool | None,
        typer.Option(
            "--ending/--no-ending",
            help="Close with a long tonic chord in the last bar, unless that is to be another bar "
            "note for note [default: yes for forms, no for templates].",
        ),
    ] = None,
    strictness: Annotated[
        float | None,
        typer.Option(
            help="Share of its notes that a repeat has in common with its source: from 0 (new "
            "notes) to 1 (note for note) [default: 0.85 for forms, 0.5 for templates]."
        ),
    ] = None,
    section_strictness: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=NUMBER",
            help="Strictness of the sections of one label, such as chorus=0.9; may be repeated.",
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            help="Drafts of every beat to choose from; 3 cost about twice as much as 1 [default: 1 "
            "for forms, 3 for templates]."
        ),
    ] = None,
    steering: Annotated[
        float,
        typer.Option(
            help="How strongly several candidates and their notes heed the matrix: from 0 (not at "
            "all) to 1 (as far as they can)."
        ),
    ] = 0.5,
    style: Annotated[
        str | None,
        typer.Option(
            help="Kind of music, one of those that the model knows: pop, salon (solo piano of the "
            "19th century) or lied for the bundled one [default: its first]."
        ),
    ] = None,
    best_of: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Attempts at every song, of which the one nearest to the form is kept "
            "[default: 1; 4 with --min-structure].",
        ),
    ] = None,
    min_structure: Annotated[
        float | None,
        typer.Option(
            help="Structure that a song must reach, 0 to 1. The first attempt that does is kept; "
            "if none does, the best one as NAME.below-0.80.mid, and the exit code is 4.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a template that there are warnings about.")
    ] = False,
    model: Annotated[str, typer.Option(help="A bundled model, or an .onnx file.")] = "pop",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of the song.")] = None,
    out_dir: Annotated[Path, typer.Option(help="Folder of the songs, made if missing.")] = Path(),
    filename: Annotated[
        str, typer.Option(help="Name pattern with {preset}, {seed}, {index}; {seed:06d} works.")
    ] = "{preset}-{seed}.mid",
    png: Annotated[
        bool,
        typer.Option(
            "--png", help="Draw wanted and measured SSM and the notes: a .png beside every song."
        ),
    ] = False,
    save_preset: Annotated[
        Path | None,
        typer.Option(help="Write the form that is followed as a preset (.toml) to edit."),
    ] = None,
    overwrite: OverwriteOption = False,
    json_output: JsonOption = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show the table of sections for every song of many."),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Write MIDI files whose sections repeat as the form says, and measure them.

    Give one of --preset, --form, --template and --recipe. Beside each song lies its recipe, a
    JSON from which the same file can be made again.

    Every file is read back and measured. The table shows for each repeat which share of it is as in
    the first section of its label, wanted and measured, and whether the beginning of the section
    is found in the notes alone. Several songs have a line each.
    """
    # Before numpy is imported: its matrices are so small here that threads only cost time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from singcli.attempts import Attempts
    from singcli.cli.wishes import (
        BEST_OF_WITH_MIN_STRUCTURE,
        Sources,
        asked_from_options,
        sampling_fields,
    )
    from singcli.generate import generate_songs, model_path
    from singcli.music.key import Key
    from singcli.targets import song_targets

    console = Console(quiet)
    options = {
        "tempo_bpm": tempo,
        "key": None if key is None else Key.parse(key),
        "strictness": strictness,
        "candidates": candidates,
        "steering": steering,
        "style": style,
        "ending": ending,
        **sampling_fields(
            temperature=temperature,
            top_p=top_p,
            scale_lock=scale_lock,
            lead_range=lead_range,
            accompaniment_range=accompaniment_range,
            max_polyphony=max_polyphony,
        ),
    }
    if best_of is None and min_structure is not None and recipe is None:
        best_of = BEST_OF_WITH_MIN_STRUCTURE
    asked = asked_from_options(
        Sources(preset, bars, form, template or (), recipe),
        seed=seed,
        count=count,
        best_of=best_of,
        section_strictness=section_strictness or (),
        options=options,
        changed={OPTION_FIELDS[name]: options[OPTION_FIELDS[name]] for name in _typed(context)},
    )
    attempts = Attempts(asked.best_of, min_structure, asked.attempt)
    targets = song_targets(
        asked.name, seed=asked.seed, count=count, out=out, out_dir=out_dir, filename=filename
    )
    if save_preset is not None:
        _validate_preset_file(save_preset, preset, count, overwrite=overwrite)
    quality = None
    if asked.template is not None:
        quality = _judged_template(console, asked.template, strict=strict)
    with console.progress("sampling") as progress:
        songs = generate_songs(
            asked.wish,
            model_path(model),
            targets,
            attempts=attempts,
            asked=_sampler_options(context),
            pictures=png,
            overwrite=overwrite,
            on_progress=lambda done, total: progress(done, total, "beats"),
        )
        for index, song in enumerate(songs):
            if index == 0 and asked.seed is None:
                console.status(f"seed {song.seed} drawn")
            if index == 0 and save_preset is not None:
                _write_preset(console, asked.wish(song.seed), save_preset)
            if json_output:
                console.result_json(_json(song, quality))
            else:
                _show(console, song, table=verbose or count == 1)


def _typed(context: typer.Context) -> list[str]:
    """Return the parameters that bear on the wish and that the user gave."""
    given = (context.get_parameter_source(name) for name in OPTION_FIELDS)
    return [
        name
        for name, source in zip(OPTION_FIELDS, given, strict=True)
        if source is not None and source.name != "DEFAULT"
    ]


def _sampler_options(context: typer.Context) -> list[str]:
    """Return the options, as typed, that not every architecture heeds."""
    given = [name for name in _typed(context) if name != "tempo"]
    if context.params["section_strictness"]:
        given.append("section_strictness")
    return [f"--{name.replace('_', '-')}" for name in given]


def _judged_template(console: Console, template: Template, *, strict: bool) -> TemplateQuality:
    """Say what is followed and what may not work well; with `strict` refuse the latter."""
    from singcli.cli.tables import quality_line
    from singcli.structure.quality import measure_quality, validate_quality

    structure = template.structure
    if len(template.files) > 1:
        files = " and ".join(f"{file.name} ({file.weight:g})" for file in template.files)
        sections = " ".join(f"{span.label}{span.n_bars}" for span in structure.sections)
        console.status(f"blend of {files}: {structure.n_bars} bars, sections {sections}")
    quality = measure_quality(structure)
    console.status(f"template {template.name}: {quality_line(quality)}")
    if strict:
        validate_quality(quality, template.name)
    for warning in quality.warnings:
        console.warning(f"template {template.name}: {warning.what}; {warning.remedy}")
    return quality


def _validate_preset_file(path: Path, preset: str | None, count: int, *, overwrite: bool) -> None:
    from singcli.cli.wishes import RANDOM
    from singcli.errors import InputError
    from singcli.files import validate_new_file

    if path.suffix != ".toml":
        raise InputError(f"{path}: a preset ends in .toml")
    if preset == RANDOM and count > 1:
        raise InputError(
            f"--save-preset names one file, --count asks for {count} random forms",
            "save them one by one, with --seed",
        )
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder")
    validate_new_file(path, overwrite=overwrite)


def _write_preset(console: Console, wish: Wish, path: Path) -> None:
    from singcli.cli.wishes import form_to_save
    from singcli.structure.preset import write_preset

    write_preset(form_to_save(wish, path.stem), path)
    console.status(f"form written to {path}")


def _show(console: Console, song: Song, *, table: bool) -> None:
    """Print where the song is, and on stderr how well it keeps to its form."""
    from singcli.cli.tables import section_table, summary

    report, recipe = song.report, song.recipe
    similarity = recipe.form is None
    console.result(str(song.path))
    for line in section_table(report, similarity=similarity) if table else ():
        console.status(f"  {line}")
    attempt = f", attempt {recipe.attempt} of {recipe.best_of}" if recipe.best_of > 1 else ""
    console.status(f"  seed {song.seed}: {summary(report, similarity=similarity)}{attempt}")


def _json(song: Song, quality: TemplateQuality | None) -> dict[str, Any]:
    """Return the result as one object; bars count from 0."""
    return {
        "path": str(song.path),
        "recipe": str(song.recipe_path),
        "picture": None if song.picture_path is None else str(song.picture_path),
        "seed": song.seed,
        "best_of": song.recipe.best_of,
        "attempt": song.recipe.attempt,
        "reached": song.reached,
        "structure": song.report.to_dict(),
        "template": None if quality is None else dataclasses.asdict(quality),
    }
