"""The options of `generate`: how they are spelled and what their help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from singcli.cli.settings import CONFIG_VARIABLE

PresetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--preset",
        "-p",
        metavar="NAME|FILE",
        help="A form by its name, see `presets list`, or a TOML file of yours; `random` draws "
        "a new one for every seed. Several: songs of each.",
    ),
]
BarsOption = Annotated[int | None, typer.Option(help="Length of a random form [default: 64].")]
FormOption = Annotated[
    str | None, typer.Option(help='A form such as "A8 A8 B8 A\'8" (label, bars).')
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:WEIGHT]",
        help="A MIDI file or an .npz of `ssm`, to repeat as it does. Several are blended, bar "
        "by bar from their beginnings: a.mid:0.6 and b.mid:0.4.",
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        help="Make the song of this .json again; other options given beside it change it."
    ),
]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="Same seed, same song [default: drawn].")
]
CountOption = Annotated[
    int, typer.Option("--count", "-n", min=1, help="Songs, with seeds counting up.")
]
SeedsOption = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="Seeds of the songs, such as 1-1000 or 1-10,42,77-80."),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER/OF",
        help="Make one machine's share of the songs, such as 3/16: every 16th of them, from the "
        "third on.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        max=256,
        help="Processes [default: one for every 32 songs, at most the cores]. The songs are the "
        "same with any number.",
    ),
]
TempoOption = Annotated[
    float | None, typer.Option(help="Quarter notes a minute [default: the form's].")
]
KeyOption = Annotated[str | None, typer.Option(help='Such as "D minor" [default: the form\'s].')]
TemperatureOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|KIND=NUMBER,...",
        help="Lower for the likelier notes, higher for the bolder ones. Kinds of decision: "
        "lead and accompaniment (which pitch), count (how many notes), duration, velocity; as "
        "in lead=0.9,duration=0.8 [default: count=1.1 and 0.97 for the others].",
    ),
]
TopPOption = Annotated[
    str,
    typer.Option(
        metavar="NUMBER|KIND=NUMBER,...",
        help="Share of the probability to draw from, in the same way.",
    ),
]
ScaleLockOption = Annotated[
    str,
    typer.Option(
        metavar="off|soft|hard",
        help="Notes outside the key: as the network has them, less likely the more there are, "
        "or none.",
    ),
]
LeadRangeOption = Annotated[
    str | None,
    typer.Option(
        metavar="LOW-HIGH",
        help="Of the lead, such as C4-A5 or 60-81 [default: as in the data].",
    ),
]
AccompanimentRangeOption = Annotated[
    str | None,
    typer.Option(metavar="LOW-HIGH", help="Of the accompaniment [default: as in the data]."),
]
MaxPolyphonyOption = Annotated[
    str,
    typer.Option(
        metavar="VOICE=NUMBER,...",
        help="Most notes of a voice at once; lead=1 for a tune in single notes.",
    ),
]
EndingOption = Annotated[
    bool | None,
    typer.Option(
        "--ending/--no-ending",
        help="Close with a long tonic chord in the last bar, unless that is to be another bar "
        "note for note [default: yes for forms, no for templates].",
    ),
]
StrictnessOption = Annotated[
    float | None,
    typer.Option(
        help="Share of its notes that a repeat has in common with its source: from 0 (new "
        "notes) to 1 (note for note) [default: 0.85 for forms, 0.5 for templates]."
    ),
]
SectionStrictnessOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL=NUMBER",
        help="Strictness of the sections of one label, such as chorus=0.9; may be repeated.",
    ),
]
CandidatesOption = Annotated[
    int | None,
    typer.Option(
        help="Drafts of every beat to choose from; 3 cost about twice as much as 1 [default: 1 "
        "for forms, 3 for templates]."
    ),
]
SteeringOption = Annotated[
    float,
    typer.Option(
        help="How strongly several candidates and their notes heed the matrix: from 0 (not at "
        "all) to 1 (as far as they can)."
    ),
]
StyleOption = Annotated[
    str | None,
    typer.Option(
        help="Kind of music, one of those that the model knows: pop, salon (solo piano of the "
        "19th century) or lied for the bundled one [default: its first]."
    ),
]
BestOfOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Attempts at every song, of which the one nearest to the form is kept "
        "[default: 1; 4 with --min-structure].",
    ),
]
MinStructureOption = Annotated[
    float | None,
    typer.Option(
        help="Structure that a song must reach, 0 to 1. The first attempt that does is kept; "
        "if none does, the best one as NAME.below-0.80.mid, and the exit code is 4.",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse a template that there are warnings about.")
]
ModelOption = Annotated[str, typer.Option(help="A bundled model, or an .onnx file.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE|-", help="File of the song; - is standard output."),
]
OutDirOption = Annotated[Path, typer.Option(help="Folder of the songs, made if missing.")]
FilenameOption = Annotated[
    str,
    typer.Option(
        help="Name pattern with {preset}, {seed}, {index} (from 1) and {model}; {seed:06d} works."
    ),
]
PngOption = Annotated[
    bool,
    typer.Option(
        "--png", help="Draw wanted and measured SSM and the notes: a .png beside every song."
    ),
]
SavePresetOption = Annotated[
    Path | None,
    typer.Option(help="Write the form that is followed as a preset (.toml) to edit."),
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show the table of sections for every song of many."),
]
SkipExistingOption = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave out the songs that are there already, to go on after an interruption.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, name the files, make none.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        envvar=CONFIG_VARIABLE,
        metavar="FILE",
        help="A TOML file with values for these options, such as tempo = 84.",
    ),
]
PrintConfigOption = Annotated[
    bool,
    typer.Option(
        "--print-config",
        help="Show the value of every option and where it comes from, and make nothing.",
    ),
]
