"""How many songs have a defect: ten presets times some seeds, beside held-out real songs.

The songs are made by the command line and measured on the files read back from disk, in the key
that was asked for and with the transpositions of their sections undone. Defects: no lead; a section
that is to have the tune and begins a note of it in under a quarter of its bars; a section in which
hardly anything is struck; a bar at more than eight places that nothing asks to be alike; a density
under a third or over three times the mean of the training songs; notes outside the key; endings
(the lowest note that sounds with the last onset is the tonic; all that sounds is of its triad);
leaps of the lead over an octave, its range; notes of the lead that the accompaniment strikes too;
notes longer than four bars.

The real songs are the validation songs of --data in their annotated keys, with their human labels.
Every line of --options is a column of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _generation import generate
from _intervals import mean_interval
from _machine import Cell, Row, cell_text, machine_line, markdown_table, run, write_json
from _presets import chosen_presets

from singcli.dataset import Dataset, Song
from singcli.metrics.defects import (
    DefectReport,
    TuneBars,
    measure_defects,
    places_of_form,
    places_of_labels,
)
from singcli.metrics.guards import notes_per_step
from singcli.metrics.report import without_transpositions
from singcli.music.key import Key
from singcli.preparation.scores import score_from_midi
from singcli.recipe import read_recipe
from singcli.structure.form import Form

TEN_PRESETS = (
    "aaba", "ballad-lift", "blues-12", "lofi-loop", "pop-full", "rondo", "strophic", "ternary",
    "verse-chorus", "waltz",
)  # fmt: skip
MOST_REPEATS = 8
DENSITY_FACTOR = 3.0
UNREPEATED_LABELS = frozenset("iox")  # POP909: intro, outro and bridges are not the same music

Figure = Callable[[DefectReport], float]


def form_sections(form: Form) -> list[TuneBars]:
    """Return the sections of a form, and which are to have the tune."""
    pairs = zip(form.sections, form.section_bars, strict=True)
    return [TuneBars(span.start_bar, span.n_bars, section.tune) for section, span in pairs]


def generated_reports(
    presets: Sequence[str], seeds: range, options: Sequence[str]
) -> list[DefectReport]:
    """Let the command line write songs; measure what is read back."""
    reports = []
    for path, form in chosen_presets(presets).values():
        sections, places = form_sections(form), places_of_form(form)
        with tempfile.TemporaryDirectory() as folder:
            for file in generate(path, seeds, Path(folder), options):
                key = Key.parse(read_recipe(file.with_suffix(".json")).options["key"])
                score = without_transpositions(score_from_midi(file, whole=True), form)
                reports.append(measure_defects(score, key, sections, places))
    return reports


def real_report(song: Song) -> DefectReport:
    """Measure a real song by its annotated key and labels."""
    spans = [
        (f"{s.label}{s.melodic}", s.start_bar, s.n_bars)
        for s in song.sections
        if s.label not in UNREPEATED_LABELS
    ]
    sections = [TuneBars(s.start_bar, s.n_bars, s.melodic) for s in song.sections]
    places = places_of_labels(spans, song.score.n_bars)
    if song.score.key is None:
        raise ValueError(f"{song.id} has no key")
    return measure_defects(song.score, song.score.key, sections, places)


def figures(style_density: float) -> dict[str, Figure]:
    """Return what is averaged over songs, by its name in the table."""
    least, most = style_density / DENSITY_FACTOR, style_density * DENSITY_FACTOR
    return {
        "songs without a lead": lambda r: not r.has_lead,
        "songs with a tune section without the tune": lambda r: r.tuneless_sections > 0,
        "tune sections without the tune, a song": lambda r: r.tuneless_sections,
        "dead sections, a song": lambda r: r.dead_sections,
        "songs with a bar over 8 times unasked": lambda r: r.unasked_repeats > MOST_REPEATS,
        "places that share a bar unasked, most": lambda r: r.unasked_repeats,
        "songs with density out of bounds": lambda r: not least <= r.density <= most,
        "notes a step": lambda r: r.density,
        "notes outside the key": lambda r: r.out_of_key,
        "songs with over 8 % outside the key": lambda r: r.out_of_key > 0.08,
        "songs that end over the tonic": lambda r: r.bass_on_tonic,
        "songs that end in the tonic triad": lambda r: r.closes,
        "leaps of the lead over an octave": lambda r: r.lead_leaps,
        "lowest note of the lead": lambda r: r.lead_low,
        "highest note of the lead": lambda r: r.lead_high,
        "lead notes struck in both voices": lambda r: r.doubled,
        "notes over four bars": lambda r: r.long_notes,
    }


def column(reports: Sequence[DefectReport], figure: Figure) -> Cell:
    """Return the mean of a figure with its 95 % interval."""
    mean, low, high = mean_interval([float(figure(report)) for report in reports])
    if low == high:
        return cell_text(mean)
    return f"{cell_text(mean)} ({cell_text(low)} to {cell_text(high)})"


def table(columns: Sequence[Sequence[DefectReport]], style_density: float) -> list[Row]:
    """Return a row per figure, a cell per list of songs."""
    return [
        [name, *(column(reports, figure) for reports in columns)]
        for name, figure in figures(style_density).items()
    ]


def parsed() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/defects.py --data data/pop909 --options "
        "' --scale-lock off' --options ' --scale-lock hard'",
    )
    parser.add_argument("--data", type=Path, required=True, help="a dataset made by prepare")
    parser.add_argument("--seeds", type=int, default=10, help="songs per preset (10)")
    parser.add_argument("--first-seed", type=int, default=1, help="(1)")
    parser.add_argument("--presets", nargs="*", default=TEN_PRESETS, help="names or files (ten)")
    parser.add_argument(
        "--options",
        action="append",
        default=None,
        help="options of generate; may be repeated (its defaults)",
    )
    parser.add_argument("--json", type=Path, help="also write every song's figures to this file")
    return parser.parse_args()


def main() -> None:
    """Read the arguments, generate, measure, print."""
    arguments = parsed()
    data = Dataset.open(arguments.data)
    density = statistics.fmean(notes_per_step(song.score) for song in data.songs("train"))
    real = [real_report(s) for s in data.songs("validation") if s.score.key and s.sections]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    reports = {"real": real}
    for options in arguments.options or [""]:
        made = generated_reports(arguments.presets, seeds, options.split())
        reports[options.strip() or "defaults"] = made
    print(machine_line("numpy", "onnxruntime"))
    print(
        f"{len(arguments.presets)} presets, {len(seeds)} seeds from {seeds.start}; {len(real)} real"
        f" songs; mean density of the training songs {density:.3f}\n"
    )
    print(markdown_table(["figure", *reports], table(list(reports.values()), density)))
    content: dict[str, Any] = {
        name: [dataclasses.asdict(report) for report in each] for name, each in reports.items()
    }
    write_json(arguments.json, content)


if __name__ == "__main__":
    run(main)
