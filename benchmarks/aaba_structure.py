"""Generate songs of one form and measure the finished files, beside real validation songs.

Structure: overlap of the bars of equal and of different labels, correlation with the form, and
the sections found again in the music alone, at the default strictness and at others. Beside it
real songs: with their own human labels, and (chance) as if they had this form.

Guards: simple statistics of the default songs beside excerpts of the same length, four of every
real song that is long enough. `out_of_key` is measured against the key that was asked for, and
against the annotated key of the real songs.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _generation import generate
from _machine import Row, machine_line, markdown_table, run, split_arguments, write_json

from singcli.dataset import Dataset, Song
from singcli.metrics.guards import (
    GUARDS,
    GuardReport,
    mean_guards,
    measure_guards,
    random_excerpt,
)
from singcli.metrics.report import SpanBars, StructureReport, measure_structure
from singcli.metrics.structure import (
    bar_overlap_map,
    different_label_overlap,
    same_label_overlap,
)
from singcli.music.key import Key
from singcli.music.score import Score
from singcli.preparation.scores import score_from_midi
from singcli.preset_library import read_preset
from singcli.recipe import read_recipe
from singcli.structure.section import Span
from singcli.wish import FORM_STRICTNESS

STRICTNESS = (0.0, 0.25, 0.5, 0.75, 1.0)
FIGURES = ("same_label", "different_label", "r_bars", "r_beats", "boundary_f", "label_f")
EXCERPTS_EACH = 4  # one alone leaves the rarer figures, such as empty steps, to chance
UNREPEATED_LABELS = frozenset("iox")  # POP909: intro, outro and bridges are not the same music

DIAL_TOLERANCE = 0.08
DIFFERENT_LABEL_LIMIT = 0.10
CORRELATION_LIMIT = 0.75
IDENTICAL_LIMIT = 0.97
GUARD_TOLERANCE = 0.30
GUARDS_OF_THE_TARGET = ("notes_per_step", "distinct_pitches", "empty_steps", "out_of_key")


class Measured(NamedTuple):
    """One finished song."""

    structure: StructureReport
    guards: GuardReport


def read_generated(path: Path) -> Score:
    """Read a finished file; its key is the one that was asked for, not one that is estimated."""
    key = Key.parse(read_recipe(path.with_suffix(".json")).options["key"])
    return dataclasses.replace(score_from_midi(path, whole=True), key=key)


def measure_songs(preset: str, seeds: range, options: Sequence[str]) -> list[Measured]:
    """Generate, read back and measure."""
    form = read_preset(preset)
    with tempfile.TemporaryDirectory() as name:
        paths = generate(preset, seeds, Path(name), options)
        scores = [read_generated(path) for path in paths]
    return [Measured(measure_structure(s, form), measure_guards(s)) for s in scores]


def human_overlaps(songs: Iterable[Song]) -> list[tuple[float, float]]:
    """Return same- and different-label overlap of the songs whose human labels repeat."""
    overlaps = []
    for song in songs:
        spans = [
            Span(s.label, s.start_bar, s.n_bars)
            for s in song.sections
            if s.label not in UNREPEATED_LABELS
        ]
        bars = SpanBars.from_spans(spans, song.score.n_bars)
        bar_map = bar_overlap_map(song.score)
        same, different = same_label_overlap(bar_map, bars), different_label_overlap(bar_map, bars)
        if same is not None and different is not None:
            overlaps.append((same, different))
    return overlaps


def real_excerpts(
    songs: Iterable[Song], n_bars: int, seed: int, *, n_each: int = EXCERPTS_EACH
) -> list[Score]:
    """Draw `n_each` excerpts of every song that is long enough; they may overlap."""
    rng = np.random.default_rng(seed)
    drawn = (
        random_excerpt(song.score, n_bars=n_bars, rng=rng) for song in songs for _ in range(n_each)
    )
    return [excerpt for excerpt in drawn if excerpt is not None]


def mean(values: Iterable[float | None]) -> float | None:
    """Average what could be measured; None if nothing could."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def structure_row(name: str, reports: Sequence[StructureReport]) -> Row:
    """Return one row of the table of structure."""
    return [name, len(reports), *(mean(getattr(r, f) for r in reports) for f in FIGURES)]


def guard_rows(generated: Sequence[GuardReport], real: Sequence[GuardReport]) -> list[Row]:
    """Return a row per guard: generated, real, their ratio, and whether a target holds."""
    rows: list[Row] = []
    our_means, their_means = mean_guards(generated), mean_guards(real)
    for name in GUARDS:
        ours, theirs = our_means[name], their_means[name]
        if ours is None or theirs is None:
            continue
        ratio = ours / theirs if theirs else None
        near = abs(ours - theirs) <= GUARD_TOLERANCE * theirs
        target = ("reached" if near else "MISSED") if name in GUARDS_OF_THE_TARGET else ""
        rows.append([name, ours, theirs, ratio, target])
    return rows


def verdicts(default: Sequence[Measured], ladder: dict[float, list[Measured]]) -> list[str]:
    """Return a line per target of the structure: reached or missed."""
    same = mean(m.structure.same_label for m in default) or 0.0
    different = mean(m.structure.different_label for m in default) or 0.0
    r = mean(m.structure.r_bars for m in default) or 0.0
    by_strictness = [mean(m.structure.same_label for m in ladder[s]) or 0.0 for s in sorted(ladder)]
    checks = [
        (
            f"same-label overlap {same:.3f} within {DIAL_TOLERANCE} of {FORM_STRICTNESS}",
            abs(same - FORM_STRICTNESS) <= DIAL_TOLERANCE,
        ),
        (
            f"different-label overlap {different:.3f} below {DIFFERENT_LABEL_LIMIT}",
            different < DIFFERENT_LABEL_LIMIT,
        ),
        (f"r of the bar maps {r:.3f} above {CORRELATION_LIMIT}", r > CORRELATION_LIMIT),
        (
            "same-label overlap rises with strictness: "
            + ", ".join(f"{value:.3f}" for value in by_strictness),
            by_strictness == sorted(by_strictness),
        ),
    ]
    if 1.0 in ladder:
        exact = mean(m.structure.same_label for m in ladder[1.0]) or 0.0
        checks.append(
            (
                f"overlap at strictness 1: {exact:.3f} above {IDENTICAL_LIMIT}",
                exact > IDENTICAL_LIMIT,
            )
        )
    return [f"{'reached' if holds else 'MISSED'}: {text}" for text, holds in checks]


def parsed() -> tuple[argparse.Namespace, list[str]]:
    """Read the arguments; return them and what is passed on to generate."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What follows -- is passed to generate.\n"
        "Example: python benchmarks/aaba_structure.py --data data/pop909 -- --temperature 0.9",
    )
    parser.add_argument("--data", type=Path, required=True, help="a dataset made by prepare")
    parser.add_argument("--seeds", type=int, default=20, help="songs per strictness (20)")
    parser.add_argument("--first-seed", type=int, default=1, help="(1)")
    parser.add_argument("--preset", default="aaba", help="name or file (aaba)")
    parser.add_argument(
        "--strictness", type=float, nargs="*", default=list(STRICTNESS), help="beside the default"
    )
    parser.add_argument("--excerpt-seed", type=int, default=0, help="draws the excerpts (0)")
    parser.add_argument("--json", type=Path, help="also write every song's figures to this file")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    return arguments, options


def main() -> None:
    """Read the arguments, generate, measure, print."""
    arguments, options = parsed()
    songs = Dataset.open(arguments.data).songs("validation")
    form = read_preset(arguments.preset)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    default = measure_songs(arguments.preset, seeds, options)
    ladder = {
        s: measure_songs(arguments.preset, seeds, [*options, "--strictness", str(s)])
        for s in arguments.strictness
    }
    excerpts = real_excerpts(songs, form.n_bars, arguments.excerpt_seed)
    human = human_overlaps(songs)
    chance = [measure_structure(excerpt, form) for excerpt in excerpts]

    print(machine_line("numpy", "onnxruntime"))
    print(
        f"{form.name}: {len(seeds)} seeds from {seeds.start}; options: {' '.join(options) or '-'}"
    )
    print(f"Real: {len(songs)} validation songs, {len(excerpts)} excerpts of {form.n_bars} bars\n")
    overlaps = [mean(same for same, _ in human), mean(different for _, different in human)]
    rows: list[Row] = [
        structure_row("default", [m.structure for m in default]),
        *(structure_row(f"strictness {s:g}", [m.structure for m in ladder[s]]) for s in ladder),
        ["real, human labels", len(human), *overlaps, None, None, None, None],
        structure_row("real, as if of this form", chance),
    ]
    print(markdown_table(["songs", "n", *FIGURES], rows))
    guards = guard_rows([m.guards for m in default], [measure_guards(e) for e in excerpts])
    print()
    print(markdown_table(["guard", "default", "real", "ratio", "within 30 %"], guards))
    lines = verdicts(default, ladder)
    print("", *lines, sep="\n")
    write_json(
        arguments.json,
        {
            "seeds": list(seeds),
            "default": [_plain(m) for m in default],
            "strictness": {f"{s:g}": [_plain(m) for m in ladder[s]] for s in ladder},
            "human": human,
            "guards": guards,
            "verdicts": lines,
        },
    )


def _plain(measured: Measured) -> dict[str, object]:
    return {
        "structure": measured.structure.to_dict(),
        "guards": dataclasses.asdict(measured.guards),
    }


if __name__ == "__main__":
    run(main)
