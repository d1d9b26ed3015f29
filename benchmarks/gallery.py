"""Draw generated songs beside real ones, and the matrices that were wanted and measured.

Left the generated songs, right excerpts of real validation songs of the same number of bars, all
on the same scale: lead and accompaniment in two colours, bar lines, sections with their labels.
The second picture (NAME-ssm.png) shows the matrix that the form wants, those of the generated
songs, and those of the real excerpts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from _machine import split_arguments

from singcli.dataset import Dataset, Song
from singcli.metrics.guards import random_excerpt_start
from singcli.metrics.structure import structure_correlation
from singcli.music.score import LEAD, MAX_PITCH, MIN_PITCH, STEPS_PER_BEAT, Score
from singcli.preparation.scores import score_from_midi
from singcli.structure.form import Form, ssm_from_form
from singcli.structure.preset import read_preset
from singcli.structure.section import Span
from singcli.structure.ssm import ssm_from_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAD_COLOUR, ACCOMPANIMENT_COLOUR = "#c0392b", "#2c6fbb"
ROW_INCHES, COLUMN_INCHES, DPI = 1.9, 13.0, 80
SSM_INCHES = 2.6
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
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "singcli", "generate", "--preset", preset]
        command += ["--seed", str(seeds.start), "--count", str(len(seeds)), "--out-dir", folder]
        process = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        paths = sorted(Path(folder).glob("*.mid"))
        if process.returncode != 0 or len(paths) != len(seeds):
            sys.exit(f"{' '.join(command)} wrote {len(paths)} songs:\n{process.stderr}")
        return [Picture(path.stem, score_from_midi(path), form.section_bars) for path in paths]


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


def draw_roll(axes: Axes, picture: Picture, n_steps: int) -> None:
    """Draw one piece: notes as bars, `n_steps` wide."""
    from matplotlib.collections import PolyCollection

    score = picture.score
    left, bottom = score.step.astype(float), score.pitch - 0.5
    right, top = left + score.duration - 0.15, bottom + 0.95
    corners = np.array([[left, bottom], [right, bottom], [right, top], [left, top]])
    colours = np.where(score.voice == LEAD, LEAD_COLOUR, ACCOMPANIMENT_COLOUR)
    back_first = np.argsort(score.voice == LEAD, kind="stable")
    axes.add_collection(
        PolyCollection(
            list(corners.transpose(2, 0, 1)[back_first]),
            facecolors=list(colours[back_first]),
            linewidths=0,
        )
    )
    bar_steps = score.bar_beats * STEPS_PER_BEAT
    for step in bar_steps:
        axes.axvline(step, color="0.85", linewidth=0.6, zorder=0)
    for label, start, _ in picture.spans:
        axes.axvline(bar_steps[start], color="0.3", linewidth=1.2, zorder=0)
        axes.text(bar_steps[start] + 2, MAX_PITCH - 3, label, fontsize=11, va="top", weight="bold")
    axes.set(xlim=(0, n_steps), ylim=(MIN_PITCH + 6, MAX_PITCH - 2), xticks=[])
    axes.set_yticks(range(36, MAX_PITCH, 12), [f"C{octave}" for octave in range(2, 8)], fontsize=7)
    axes.set_title(picture.title, fontsize=8, loc="left", pad=2)


def draw_gallery(left: Sequence[Picture], right: Sequence[Picture], out: Path) -> None:
    """Write the picture of the rolls."""
    from matplotlib.figure import Figure

    n_rows = max(len(left), len(right))
    n_steps = max(picture.score.n_steps for picture in (*left, *right))
    figure = Figure(figsize=(2 * COLUMN_INCHES, n_rows * ROW_INCHES), layout="constrained")
    grid = figure.subplots(n_rows, 2, squeeze=False)
    for column, pictures in enumerate((left, right)):
        for row in range(n_rows):
            if row < len(pictures):
                draw_roll(grid[row, column], pictures[row], n_steps)
            else:
                grid[row, column].set_axis_off()
    figure.savefig(out, dpi=DPI)


def draw_matrices(
    form: Form, generated: Sequence[Picture], real: Sequence[Picture], out: Path
) -> None:
    """Write the picture of the matrices; r is measured against the wanted one."""
    from matplotlib.figure import Figure

    wanted = ssm_from_form(form)
    panels = [("wanted", wanted)]
    for picture in generated:
        ssm = ssm_from_score(picture.score)
        n = min(len(ssm), len(wanted))
        r = structure_correlation(wanted[:n, :n], ssm[:n, :n])
        panels.append((f"{picture.title}, r {r:.2f}", ssm))
    panels += [(picture.title, ssm_from_score(picture.score)) for picture in real]
    n_rows = -(-len(panels) // SSM_COLUMNS)
    figure = Figure(figsize=(SSM_COLUMNS * SSM_INCHES, n_rows * SSM_INCHES), layout="constrained")
    grid = figure.subplots(n_rows, SSM_COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (title, ssm) in zip(grid.flat, panels, strict=False):
        axes.imshow(ssm, vmin=0, vmax=1, cmap="magma", interpolation="nearest")
        axes.set_title(title, fontsize=8)
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
    main()
