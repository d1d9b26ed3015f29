"""Draw generated songs beside real ones, and the matrices that were wanted and measured.

Left the generated songs, right excerpts of real validation songs of the same number of bars, all
on the same scale: lead and accompaniment in two colours, bar lines, sections with their labels.
The second picture (NAME-ssm.png) shows the matrix of the form (over the default texture, not the
model's), those of the generated songs with r against it, and those of the real excerpts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _generation import generate
from _machine import run, split_arguments

from singcli.dataset import Dataset, Song
from singcli.metrics.guards import random_excerpt_start
from singcli.metrics.structure import structure_correlation
from singcli.music.score import Score
from singcli.plotting import draw_score, draw_ssm
from singcli.preparation.scores import score_from_midi
from singcli.preset_library import read_preset
from singcli.structure.form import Form, ssm_from_form
from singcli.structure.section import Span
from singcli.structure.ssm import ssm_from_score

ROW_INCHES, COLUMN_INCHES, DPI = 2.3, 13.0, 80
SSM_INCHES = 3.0
SSM_COLUMNS = 5


class Picture(NamedTuple):
    """A piece to draw."""

    title: str
    score: Score
    spans: Sequence[Span]


def generated_pictures(
    preset: str, form: Form, seeds: range, options: Sequence[str]
) -> list[Picture]:
    """Let the command line write one song per seed and read them back."""
    with tempfile.TemporaryDirectory() as name:
        paths = generate(preset, seeds, Path(name), options)
        return [
            Picture(path.stem, score_from_midi(path, whole=True), form.section_bars)
            for path in paths
        ]


def real_pictures(songs: Sequence[Song], n_bars: int, count: int, seed: int) -> list[Picture]:
    """Draw `count` songs, and of each an excerpt with its human labels."""
    rng = np.random.default_rng(seed)
    pictures: list[Picture] = []
    for index in rng.permutation(len(songs)):
        song = songs[index]
        start = random_excerpt_start(song.score, n_bars=n_bars, rng=rng)
        if start is None or len(pictures) == count:
            continue
        title = f"real {song.id}, bars {start + 1} to {start + n_bars}"
        excerpt = song.score.bars(start, start + n_bars)
        pictures.append(Picture(title, excerpt, spans_within(song, start, n_bars)))
    return pictures


def spans_within(song: Song, start: int, n_bars: int) -> list[Span]:
    """Cut a song's sections to an excerpt; capitals are labels of sections with a tune."""
    spans = []
    for section in song.sections:
        first = max(section.start_bar, start)
        stop = min(section.start_bar + section.n_bars, start + n_bars)
        if first < stop:
            label = section.label.upper() if section.melodic else section.label
            spans.append(Span(label, first - start, stop - first))
    return spans


def draw_gallery(left: Sequence[Picture], right: Sequence[Picture], out: Path) -> None:
    """Write the picture of the rolls."""
    from matplotlib.figure import Figure

    n_rows = max(len(left), len(right))
    scores = [picture.score for picture in (*left, *right)]
    n_beats = max(score.n_beats for score in scores)
    low = min(score.pitch.min(initial=60) for score in scores) - 2
    high = max(score.pitch.max(initial=72) for score in scores) + 2
    figure = Figure(figsize=(2 * COLUMN_INCHES, n_rows * ROW_INCHES), layout="constrained")
    grid = figure.subplots(n_rows, 2, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for column, pictures in zip(grid.T, (left, right), strict=True):
        for axes, picture in zip(column, pictures, strict=False):
            axes.set_axis_on()
            draw_score(axes, picture.score, picture.spans)
            axes.set(xlim=(0, n_beats), ylim=(low, high), xlabel=picture.title, ylabel="")
    figure.savefig(out, dpi=DPI)


def draw_matrices(
    form: Form, generated: Sequence[Picture], real: Sequence[Picture], out: Path
) -> None:
    """Write the picture of the matrices; r is measured against the form's."""
    from matplotlib.figure import Figure

    wanted = ssm_from_form(form)
    plans = [("the form", wanted, form.bar_beats, form.section_bars)]
    for picture in (*generated, *real):
        ssm = ssm_from_score(picture.score)
        title = picture.title
        if len(plans) <= len(generated):
            n = min(len(ssm), len(wanted))
            title += f", r {structure_correlation(wanted[:n, :n], ssm[:n, :n]):.2f}"
        plans.append((title, ssm, picture.score.bar_beats, list(picture.spans)))
    n_rows = -(-len(plans) // SSM_COLUMNS)
    figure = Figure(figsize=(SSM_COLUMNS * SSM_INCHES, n_rows * SSM_INCHES), layout="constrained")
    grid = figure.subplots(n_rows, SSM_COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (title, ssm, bar_beats, spans) in zip(grid.flat, plans, strict=False):
        draw_ssm(axes, ssm, bar_beats, spans)
        axes.set_title(title, fontsize="small", pad=18)
    figure.savefig(out, dpi=DPI)


def main() -> None:
    """Read the arguments, generate, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What follows -- is passed to generate.\n"
        "Example: python benchmarks/gallery.py --data data/pop909 --out gallery.png",
    )
    parser.add_argument("--data", type=Path, required=True, help="a dataset made by prepare")
    parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
    parser.add_argument("--count", type=int, default=10, help="songs of each kind (10)")
    parser.add_argument("--preset", default="aaba", help="name or file (aaba)")
    parser.add_argument("--first-seed", type=int, default=1, help="of the generated songs (1)")
    parser.add_argument("--real-seed", type=int, default=0, help="draws the real songs (0)")
    own, options = split_arguments(sys.argv[1:])
    arguments = parser.parse_args(own)
    if arguments.count < 1:
        parser.error("--count must be at least 1")

    form = read_preset(arguments.preset)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.count)
    songs = Dataset.open(arguments.data).songs("validation")
    real = real_pictures(songs, form.n_bars, arguments.count, arguments.real_seed)
    generated = generated_pictures(arguments.preset, form, seeds, options)
    matrices = arguments.out.with_name(f"{arguments.out.stem}-ssm{arguments.out.suffix}")
    draw_gallery(generated, real, arguments.out)
    draw_matrices(form, generated, real, matrices)
    print(arguments.out, matrices, sep="\n")


if __name__ == "__main__":
    run(main)
