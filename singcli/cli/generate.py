"""`singcli generate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from singcli.cli.console import Console
from singcli.cli.generate_options import (
    AccompanimentRangeOption,
    BarsOption,
    BestOfOption,
    CandidatesOption,
    ConfigOption,
    CountOption,
    DryRunOption,
    EndingOption,
    FilenameOption,
    FormOption,
    JobsOption,
    KeyOption,
    LeadRangeOption,
    MaxPolyphonyOption,
    MinStructureOption,
    ModelOption,
    OutDirOption,
    OutOption,
    PngOption,
    PresetOption,
    PrintConfigOption,
    RecipeOption,
    SavePresetOption,
    ScaleLockOption,
    SectionStrictnessOption,
    SeedOption,
    SeedsOption,
    ShardOption,
    SkipExistingOption,
    SteeringOption,
    StrictnessOption,
    StrictOption,
    StyleOption,
    TemperatureOption,
    TemplateOption,
    TempoOption,
    TopPOption,
    VerboseOption,
)
from singcli.cli.options import JsonOption, OverwriteOption, QuietOption
from singcli.cli.quick_start import collection_paused
from singcli.cli.settings import ConfiguredCommand, origins

if TYPE_CHECKING:
    from singcli.structure.quality import TemplateQuality
    from singcli.wish import Template, Wish

COMMAND_CLASS = ConfiguredCommand
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
    (
        "a thousand songs in two forms; the same command with --skip-existing goes on",
        "singcli generate -p aaba -p rondo --seeds 1-500 --out-dir songs",
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
    preset: PresetOption = None,
    bars: BarsOption = None,
    form: FormOption = None,
    template: TemplateOption = None,
    recipe: RecipeOption = None,
    seed: SeedOption = None,
    count: CountOption = 1,
    seeds: SeedsOption = None,
    shard: ShardOption = None,
    jobs: JobsOption = None,
    tempo: TempoOption = None,
    key: KeyOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = "1",
    scale_lock: ScaleLockOption = "soft",
    lead_range: LeadRangeOption = None,
    accompaniment_range: AccompanimentRangeOption = None,
    max_polyphony: MaxPolyphonyOption = "lead=2,accompaniment=8",
    ending: EndingOption = None,
    strictness: StrictnessOption = None,
    section_strictness: SectionStrictnessOption = None,
    candidates: CandidatesOption = None,
    steering: SteeringOption = 0.5,
    style: StyleOption = None,
    best_of: BestOfOption = None,
    min_structure: MinStructureOption = None,
    strict: StrictOption = False,
    model: ModelOption = "pop",
    out: OutOption = None,
    out_dir: OutDirOption = Path(),
    filename: FilenameOption = "{preset}-{seed}.mid",
    png: PngOption = False,
    save_preset: SavePresetOption = None,
    skip_existing: SkipExistingOption = False,
    overwrite: OverwriteOption = False,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
    json_output: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write MIDI files whose sections repeat as the form says, and measure them.

    Give --preset (one or several), --form, --template or --recipe. Beside each song lies its
    recipe, a JSON from which the same file can be made again; several songs have a manifest.jsonl.

    Every file is read back and measured. The table shows for each repeat which share of it is as in
    the first section of its label, wanted and measured, and whether the beginning of the section
    is found in the notes alone. Several songs have a line each.

    Every option can also be set by an environment variable, such as SINGCLI_OUT_DIR, or in the file
    of --config. Flags go before the environment, that before the file, and that before what a
    preset says.
    """
    # Before numpy is imported: its matrices are so small here that threads only cost time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with collection_paused():
        from singcli.attempts import Attempts
        from singcli.cli.generate_run import Run
        from singcli.cli.wanted import Wanted
        from singcli.cli.wishes import (
            BEST_OF_WITH_MIN_STRUCTURE,
            Sources,
            asked_from_options,
            sampling_fields,
        )
        from singcli.generate import model_path
        from singcli.music.key import Key
        from singcli.seeds import Shard

    del config  # read by ConfiguredCommand
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
        Sources(preset or (), bars, form, template or (), recipe),
        again=seed is None and seeds is None and count == 1,
        best_of=best_of,
        section_strictness=section_strictness or (),
        options=options,
        changed={OPTION_FIELDS[name]: options[OPTION_FIELDS[name]] for name in _given(context)},
    )
    wanted = Wanted(
        asked,
        model=model_path(model),
        attempts=Attempts(asked.best_of, min_structure, asked.attempt),
        seed=seed,
        seeds=seeds,
        count=count,
        counted=origins(context)["count"].place != "default",
        shard=None if shard is None else Shard.parse(shard),
        out=out,
        out_dir=out_dir,
        filename=filename,
        pictures=png,
        sampler_options=_sampler_options(context),
        jobs=jobs,
        skip_existing=skip_existing,
        overwrite=overwrite,
    )
    if print_config:
        from singcli.cli.print_config import show_config

        show_config(console, context, asked, as_json=json_output)
        return
    if save_preset is not None:
        _validate_preset_file(save_preset, preset or (), wanted.n_songs, overwrite=overwrite)
    quality = None
    if asked.template is not None:
        quality = _judged_template(console, asked.template, strict=strict)
    run = Run(console, wanted, quality, as_json=json_output, verbose=verbose)
    run.prepare(rehearsal=dry_run)
    if dry_run:
        run.rehearse()
        return
    if wanted.is_drawn:
        console.status(f"seed {wanted.seeds_of_songs[0]} drawn")
    if save_preset is not None:
        _write_preset(console, wanted.first_wish, save_preset)
    run.make()


def _given(context: typer.Context) -> list[str]:
    """Return the parameters that bear on the wish and that the user set, here or elsewhere."""
    found = origins(context)
    return [name for name in OPTION_FIELDS if found[name].place != "default"]


def _sampler_options(context: typer.Context) -> list[str]:
    """Return the options, as typed, that not every architecture heeds."""
    given = [name for name in _given(context) if name != "tempo"]
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


def _validate_preset_file(
    path: Path, presets: Sequence[str], n_songs: int, *, overwrite: bool
) -> None:
    from singcli.cli.wishes import RANDOM
    from singcli.errors import InputError
    from singcli.files import validate_new_file

    if path.suffix != ".toml":
        raise InputError(f"{path}: a preset ends in .toml")
    if n_songs > 1 and (RANDOM in presets or len(presets) > 1):
        raise InputError(
            "--save-preset names one file, the songs have several forms",
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
