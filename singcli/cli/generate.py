"""`singcli generate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from singcli.cli.console import Console
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption

if TYPE_CHECKING:
    from singcli.generate import Song
    from singcli.wish import Wish

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
)


def generate(
    *,
    preset: Annotated[
        str | None,
        typer.Option("--preset", "-p", help="A bundled form, or a TOML file of yours."),
    ] = None,
    form: Annotated[
        str | None, typer.Option(help='A form such as "A8 A8 B8 A\'8" (label, bars).')
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="A MIDI file or an .npz of `ssm`, to repeat as it does.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Make the song of this .json again.")] = None,
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
        float, typer.Option(help="Lower for the likelier notes, higher for the bolder ones.")
    ] = 0.97,
    top_p: Annotated[float, typer.Option(help="Share of the probability to draw from.")] = 1.0,
    strictness: Annotated[
        float, typer.Option(help="Repeats from 0 (free) to 1 (note for note).")
    ] = 0.5,
    candidates: Annotated[
        int | None, typer.Option(help="Drafts of every beat to choose from [default: by source].")
    ] = None,
    steering: Annotated[
        float | None, typer.Option(help="How strongly the choice heeds the form.")
    ] = None,
    model: Annotated[str, typer.Option(help="A bundled model, or an .onnx file.")] = "pop",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of the song.")] = None,
    out_dir: Annotated[Path, typer.Option(help="Folder of the songs, made if missing.")] = Path(),
    filename: Annotated[
        str, typer.Option(help="Name pattern with {preset}, {seed}, {index}; {seed:06d} works.")
    ] = "{preset}-{seed}.mid",
    overwrite: OverwriteOption = False,
    json_output: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write MIDI files whose sections repeat as the form says, and measure them.

    Give one of --preset, --form, --template and --recipe. Beside each song lies its recipe, a
    JSON from which the same file can be made again.
    """
    # Before numpy is imported: its matrices are so small here that threads only cost time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from singcli.generate import generate_songs, model_path
    from singcli.targets import song_targets

    console = Console(quiet)
    wish, seed = _wish(
        preset,
        form,
        template,
        recipe,
        seed,
        tempo_bpm=tempo,
        key=key,
        temperature=temperature,
        top_p=top_p,
        strictness=strictness,
        candidates=candidates,
        steering=steering,
    )
    targets = song_targets(
        wish.name, seed=seed, count=count, out=out, out_dir=out_dir, filename=filename
    )
    with console.progress("sampling") as progress:
        songs = generate_songs(
            wish,
            model_path(model),
            targets,
            overwrite=overwrite,
            on_progress=lambda done, total: progress(done, total, "beats"),
        )
        for song in songs:
            if seed is None and song.seed == targets[0][0]:
                console.status(f"seed {song.seed} drawn")
            _show(console, song, json_output=json_output)


def _wish(
    preset: str | None,
    form: str | None,
    template: Path | None,
    recipe: Path | None,
    seed: int | None,
    *,
    key: str | None,
    **options: Any,
) -> tuple[Wish, int | None]:
    """Put the options together; a recipe brings its own and its seed."""
    from singcli.errors import InputError
    from singcli.music.key import Key
    from singcli.wish import Wish, template_from_file, wish_from_recipe

    given = [
        name
        for name, value in (("--preset", preset), ("--form", form), ("--template", template))
        if value is not None
    ]
    if recipe is not None:
        from singcli.recipe import read_recipe

        if preset is not None or form is not None:
            raise InputError(f"--recipe stands alone, found {given[0]} beside it")
        read = read_recipe(recipe)
        followed = None if template is None else template_from_file(template)
        return wish_from_recipe(read, followed), read.seed if seed is None else seed
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise InputError(
            f"one of --preset, --form, --template and --recipe is needed, found {found}",
            "for a start: singcli generate --preset aaba",
        )
    source: Any
    if preset is not None:
        from singcli.preset_library import read_preset

        source = read_preset(preset)
    elif form is not None:
        from singcli.structure.form_string import form_from_string

        source = form_from_string(form)
    elif template is not None:
        source = template_from_file(template)
    return Wish(source, key=None if key is None else Key.parse(key), **options), seed


def _show(console: Console, song: Song, *, json_output: bool) -> None:
    report = song.report
    if json_output:
        console.result_json(
            {
                "path": str(song.path),
                "recipe": str(song.recipe_path),
                "seed": song.seed,
                "structure": report.to_dict(),
            }
        )
        return
    console.result(str(song.path))
    for row in report.sections:
        if row.measured is not None:
            wanted = "" if row.wanted is None else f" (similarity wanted {row.wanted:.2f})"
            console.status(
                f"  {row.label} at bar {row.start_bar + 1} shares {row.measured:.0%} of its notes "
                f"with {row.label} at bar {(row.source_bar or 0) + 1}{wanted}"
            )
    parts = [f"{report.n_bars} of {report.n_bars_wanted} bars"]
    if report.same_label is not None:
        parts.append(f"same-label overlap {report.same_label:.2f}")
    if report.different_label is not None:
        parts.append(f"different-label {report.different_label:.2f}")
    r = report.r_beats if report.r_bars is None else report.r_bars
    parts.append(f"r {r:.2f} between the form wanted and measured")
    console.status("  " + ", ".join(parts))
