"""Every bundled preset times some seeds: what was asked for beside what the finished files have.

The songs are made by the command line and measured on the files read back from disk, in the notes
alone (the figures that `generate` writes into the recipe): r of the wanted and the measured bar
map, overlap of the bars of equal and of different labels, boundaries within one bar and labels of
bar pairs as the analyser finds them, and how far repeated sections miss the overlap that the dial
of strictness asks for (measured - wanted; `singcli.structure.dial`).

Beside them: the same analyser on the forms' own matrices (as if the music were perfect), a cut
every 8 bars with one label throughout, and the songs of the next preset taken for this one's
(chance). With --data also real validation songs with their human labels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from _generation import generate
from _intervals import Interval, grouped_interval
from _machine import (
    Cell,
    Row,
    floor_verdict,
    machine_line,
    markdown_table,
    run,
    split_arguments,
    write_json,
)
from _presets import asks_for_repeats, chosen_presets

from singcli.dataset import Dataset, Song
from singcli.metrics.report import SpanBars, StructureReport, measure_structure
from singcli.metrics.structure import boundary_scores, label_scores
from singcli.music.score import Score
from singcli.preparation.scores import score_from_midi
from singcli.recipe import read_recipe
from singcli.structure.form import Form, ssm_from_form
from singcli.structure.section import Span
from singcli.structure.segmentation import sections_from_score, sections_from_ssm

FIGURES = ("r_bars", "same_label", "different_label", "boundary_f", "label_f")
HEADER = ["songs", "n", "r", "same label", "different label", "boundary F", "label F", "dial error"]
EVERY_BARS = 8

Figures = Mapping[str, Sequence[float]]

MEAN_R, WORST_R = 0.85, 0.75
MEAN_F = 0.90


class Made(NamedTuple):
    """The songs of a preset: a report each, and the first of them as it was read back."""

    reports: list[StructureReport]
    first: Score


def make_songs(preset: str, seeds: range, options: Sequence[str]) -> Made:
    """Let the command line write songs; read the figures beside them."""
    with tempfile.TemporaryDirectory() as folder:
        paths = generate(preset, seeds, Path(folder), options)
        recipes = [read_recipe(path.with_suffix(".json")) for path in paths]
        reports = [StructureReport.from_dict(recipe.structure or {}) for recipe in recipes]
        return Made(reports, score_from_midi(paths[0], whole=True))


def dial_errors(report: StructureReport) -> list[float]:
    """Return measured - wanted overlap of every repeated section."""
    return [
        section.measured - section.wanted
        for section in report.sections
        if section.measured is not None and section.wanted is not None
    ]


def figures(form: Form, reports: Sequence[StructureReport]) -> Figures:
    """Return the figures of a preset's songs, and "dial"; what is not defined is left out."""
    by_name = {
        name: [value for report in reports if (value := getattr(report, name)) is not None]
        for name in FIGURES
    }
    if not asks_for_repeats(form):
        by_name["r_bars"] = []
    errors = [dial_errors(report) for report in reports]
    by_name["dial"] = [statistics.fmean(of_song) for of_song in errors if of_song]
    return by_name


def analyser_scores(found: Sequence[Span], reference: Sequence[Span], n_bars: int) -> list[float]:
    """Return F of boundaries within one bar and F of the labels of bar pairs."""
    starts = [[s.start_bar for s in spans if s.start_bar > 0] for spans in (reference, found)]
    labels = [SpanBars.from_spans(spans, n_bars).bar_labels for spans in (reference, found)]
    return [boundary_scores(*starts).f_measure, label_scores(*labels).f_measure]


def scores_of_plan(form: Form) -> list[float]:
    """Return what the analyser finds in the matrix of the form itself."""
    found = sections_from_ssm(ssm_from_form(form), form.bar_beats)
    return analyser_scores(found, form.section_bars, form.n_bars)


def scores_of_regular_cut(form: Form) -> list[float]:
    """Return what a cut every `EVERY_BARS` bars reaches, all of one label."""
    starts = range(0, form.n_bars, EVERY_BARS)
    cut = [Span("A", start, min(EVERY_BARS, form.n_bars - start)) for start in starts]
    return analyser_scores(cut, form.section_bars, form.n_bars)


def scores_of_song(song: Song) -> list[float]:
    """Return what the analyser finds in a real song, beside its human labels."""
    human = [Span(s.label, s.start_bar, s.n_bars) for s in song.sections]
    found = sections_from_score(song.score)
    return analyser_scores(found, human, song.score.n_bars)


def chance_row(forms: Mapping[str, Form], songs: Mapping[str, Made]) -> Row:
    """Measure, by each form, the first song of the next preset."""
    names = list(forms)
    reports = [
        measure_structure(songs[other].first, forms[name])
        for name, other in zip(names, [*names[1:], names[0]], strict=True)
        if other != name and asks_for_repeats(forms[name])
    ]
    means = [mean(getattr(report, name) for report in reports) for name in FIGURES]
    return ["the next preset's, as if of this form", len(reports), *means, None]


def mean(values: Iterable[float | None]) -> float | None:
    """Average what is defined; None if nothing is."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def analyser_row(name: str, scores: Sequence[Sequence[float]]) -> Row:
    """Return a row of boundaries and labels alone."""
    means = [mean(column) for column in zip(*scores, strict=True)] or [None, None]
    return [name, len(scores), None, None, None, *means, None]


def verdicts(by_preset: Mapping[str, Figures]) -> list[str]:
    """Return a line per target: the mean over presets with its interval, and the worst preset."""

    def interval(name: str) -> Interval:
        return grouped_interval([f[name] for f in by_preset.values() if f[name]])

    means = {name: statistics.fmean(f["r_bars"]) for name, f in by_preset.items() if f["r_bars"]}
    lines = []
    if means:
        r = interval("r_bars")
        worst = min(means, key=lambda name: means[name])
        lines = [
            floor_verdict(f"mean r over {len(means)} presets", r.mean, MEAN_R) + f" ({r})",
            floor_verdict(f"r of the worst preset, {worst},", means[worst], WORST_R),
        ]
    for name, words in (("label_f", "labels"), ("boundary_f", "boundaries")):
        f = interval(name)
        lines.append(floor_verdict(f"mean F of {words}", f.mean, MEAN_F) + f" ({f})")
    left_out = [name for name in by_preset if name not in means]
    if left_out:
        lines.append(f"r is not defined where a form asks for no repeat: {', '.join(left_out)}")
    return lines


def worst_of(column: str, means: Sequence[float]) -> float | None:
    """Return the mean of the preset that is furthest from what is wanted."""
    if not means:
        return None
    if column == "dial":
        return max(means, key=abs)
    return max(means) if column == "different_label" else min(means)


def table(by_preset: Mapping[str, Figures], n_seeds: int) -> list[Row]:
    """Return a row per preset, their mean, and the worst value of each column."""
    columns = [*FIGURES, "dial"]
    rows: list[Row] = [
        [name, n_seeds, *(mean(f[c]) for c in columns)] for name, f in by_preset.items()
    ]
    means: list[Cell] = [mean(mean(f[c]) for f in by_preset.values()) for c in columns]
    worst: list[Cell] = [
        worst_of(c, [value for f in by_preset.values() if (value := mean(f[c])) is not None])
        for c in columns
    ]
    return [*rows, ["mean", n_seeds * len(rows), *means], ["worst preset", n_seeds, *worst]]


def parsed() -> tuple[argparse.Namespace, list[str]]:
    """Read the arguments; return them and what is passed on to generate."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What follows -- is passed to generate.\n"
        "Example: python benchmarks/presets.py --seeds 20 --data data/pop909",
    )
    parser.add_argument("--seeds", type=int, default=20, help="songs per preset (20)")
    parser.add_argument("--first-seed", type=int, default=1, help="(1)")
    parser.add_argument("--presets", nargs="*", default=[], help="names or files (all bundled)")
    parser.add_argument("--strictness", type=float, help="of the songs (generate's default)")
    parser.add_argument("--data", type=Path, help="a dataset made by prepare, to compare with")
    parser.add_argument("--json", type=Path, help="also write every song's figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    if arguments.strictness is not None:
        options = [*options, "--strictness", str(arguments.strictness)]
    return arguments, options


def real_songs(data: Path | None) -> list[Song]:
    """Return the validation songs that have human labels."""
    songs = Dataset.open(data).songs("validation") if data else []
    return [song for song in songs if song.sections]


def main() -> None:
    """Read the arguments, generate, measure, print."""
    arguments, options = parsed()
    presets = chosen_presets(arguments.presets)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    forms = {name: form for name, (_, form) in presets.items()}
    songs = {name: make_songs(path, seeds, options) for name, (path, _) in presets.items()}
    by_preset = {name: figures(forms[name], songs[name].reports) for name in forms}
    beside = [
        analyser_row("the forms' own matrices", [scores_of_plan(f) for f in forms.values()]),
        analyser_row(
            f"a cut every {EVERY_BARS} bars", [scores_of_regular_cut(f) for f in forms.values()]
        ),
        chance_row(forms, songs),
    ]
    real = real_songs(arguments.data)
    if real:
        beside.append(analyser_row("real, human labels", [scores_of_song(s) for s in real]))
    rows = [*table(by_preset, len(seeds)), *beside]
    lines = verdicts(by_preset)
    print(machine_line("numpy", "onnxruntime"))
    print(f"{len(forms)} presets, {len(seeds)} seeds from {seeds.start}")
    print(f"Options of generate: {' '.join(options) or '-'}\n")
    print(markdown_table(HEADER, rows))
    print("", *lines, sep="\n")
    content: dict[str, Any] = {"figures": by_preset, "rows": rows, "verdicts": lines}
    write_json(arguments.json, {"seeds": list(seeds), "options": options, **content})


if __name__ == "__main__":
    run(main)
