"""Draw the bundled presets and write the gallery, README.md beside this file.

Usage: python docs/presets/draw.py [NAME ...]. Without names all presets are drawn, and pictures of
presets that are gone are removed. Every picture says, in its PNG text `Source`, from which values
it was drawn, so that a test can tell when it is out of date.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from singcli.files import replacing, write_text
from singcli.preset_library import SUFFIX, PresetFile
from singcli.resources import presets_dir
from singcli.structure.form import Form, wanted_bar_map
from singcli.structure.form_chart import outline_from_form, seconds_from_form
from singcli.structure.preset import values_from_form

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).resolve().parent
WIDTH, HEIGHT, DPI = 3.6, 4.3, 110  # inches, dots an inch
STRIP_POINTS = (225.0, 36.0)  # about the size of the strip; 72 points are an inch
LETTER, LEGIBLE = 0.68, 5.5  # width of a letter over its size; the least size, in points
COLOURS = "tab10"
NEUTRAL = (0.35, 0.35, 0.35)  # of similarity between different labels
MAX_NUMBERS = 13  # bar numbers on an axis

README = """\
# The bundled presets

What `singcli presets list` and `singcli presets show NAME` say, with a picture of each. A picture
compares every bar with every bar: a coloured line says that these bars are to be the same music,
the fuller the colour, the closer; the strip above names the sections, thin lines part their
phrases, and a hatched section is transposed. The files, from which the format is best learned, are
in [presets](../../presets); the format itself is in [formats.md](../formats.md#preset).

Drawn and written by `python docs/presets/draw.py`.

| preset | what it is | form | |
|---|---|---|---|
"""


def bundled_forms() -> dict[str, Form]:
    """Return the forms of the bundled presets by name, sorted."""
    paths = sorted(presets_dir().glob(f"*{SUFFIX}"), key=lambda path: path.stem)
    return {path.stem: PresetFile(path.stem, path, "bundled").read() for path in paths}


def source_of_form(form: Form) -> str:
    """Return a fingerprint of all that a picture of the form depends on."""
    values = json.dumps(values_from_form(form), sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()[:16]


def gallery(forms: dict[str, Form]) -> str:
    """Return the text of README.md."""
    return README + "".join(f"{row}\n" for row in map(gallery_row, forms.values()))


def gallery_row(form: Form) -> str:
    """Return the line of a preset in the table."""
    minutes, seconds = divmod(round(seconds_from_form(form)), 60)
    facts = (
        f"{form.n_bars} bars of {form.meter}, tempo {form.tempo_bpm:g}, {form.key}, "
        f"{minutes}:{seconds:02}"
    )
    name = f"[`{form.name}`](../../presets/{form.name}{SUFFIX})"
    picture = f'<img src="{form.name}.png" width="260" alt="{form.name}">'
    return f"| {name} | {form.description}. {facts} | `{outline_from_form(form)}` | {picture} |"


def draw_form(form: Form, path: Path) -> None:
    """Draw a form: a strip of its sections over the bars that it wants to be alike."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    strip, matrix = figure.subplots(2, 1, height_ratios=[1.5, 9.0], sharex=True)
    colours = label_colours(form)
    draw_strip(strip, form, colours)
    image = bar_map_image(form, colours)
    corners = (0, form.n_bars, form.n_bars, 0)
    matrix.imshow(image, extent=corners, interpolation="nearest", aspect="auto")
    for span in form.section_bars[1:]:
        matrix.axvline(span.start_bar, color="0.8", linewidth=0.5)
        matrix.axhline(span.start_bar, color="0.8", linewidth=0.5)
    number_bars(matrix, form.n_bars)
    strip.set_title(form.name, fontsize="small", fontweight="bold", loc="left", pad=3)
    with replacing(path) as temporary:
        text = {"Software": None, "Title": form.name, "Source": source_of_form(form)}
        figure.savefig(temporary, dpi=DPI, format="png", metadata=text)


def label_colours(form: Form) -> dict[str, tuple[float, float, float]]:
    """Return a colour for every label, in the order of their first sections."""
    from matplotlib import colormaps

    labels = dict.fromkeys(section.label for section in form.sections)
    palette = colormaps[COLOURS]
    return {label: palette(index % palette.N)[:3] for index, label in enumerate(labels)}


def draw_strip(axes: Axes, form: Form, colours: dict[str, tuple[float, float, float]]) -> None:
    """Draw the sections as coloured boxes with their names; phrases are parted by thin lines."""
    for section, (label, start, n_bars) in zip(form.sections, form.section_bars, strict=True):
        axes.barh(
            0,
            n_bars,
            left=start,
            height=1,
            color=colours[label],
            alpha=0.75 if section.tune else 0.35,
            edgecolor="white",
            linewidth=1.2,
            hatch="////" if section.transpose else None,
        )
        ends = np.cumsum([phrase.n_bars for phrase in section.phrases])[:-1]
        axes.vlines(start + ends, -0.5, 0.5, color="white", linewidth=0.6)
        width = STRIP_POINTS[0] * n_bars / form.n_bars
        across = width >= LETTER * LEGIBLE * len(label)
        room = width if across else STRIP_POINTS[1]
        axes.text(
            start + n_bars / 2,
            0,
            label,
            size=min(8.0, room / (LETTER * len(label))),
            rotation=0 if across else 90,
            ha="center",
            va="center",
        )
    axes.set_xlim(0, form.n_bars)
    axes.set_ylim(-0.5, 0.5)
    axes.set_axis_off()


def bar_map_image(
    form: Form, colours: dict[str, tuple[float, float, float]]
) -> npt.NDArray[np.float64]:
    """Return the wanted bar map in the colours of the labels over white, shape=(n, n, 3)."""
    wanted = wanted_bar_map(form).astype(np.float64)[..., None]
    labels = np.array(form.bar_labels)
    of_bar = np.array([colours[label] for label in labels])
    same = np.equal.outer(labels, labels)[..., None]
    colour = np.where(same, of_bar[:, None, :], np.array(NEUTRAL))
    strength = np.where(wanted > 0, wanted**2, 0.0)  # so that 0.9 and 0.7 can be told apart
    return 1.0 - strength * (1.0 - colour)


def number_bars(axes: Any, n_bars: int) -> None:
    """Put numbers of bars, from 1, at every fourth bar, or every eighth, ..."""
    every = 4
    while n_bars / every > MAX_NUMBERS:
        every *= 2
    bars = np.arange(0, n_bars, every)
    axes.set_xticks(bars, [str(bar + 1) for bar in bars], fontsize="x-small")
    axes.set_yticks(bars, [str(bar + 1) for bar in bars], fontsize="x-small")
    axes.tick_params(length=2, width=0.5)


def main() -> None:
    """Draw what is asked for; print the files that are written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="presets to draw (all)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder (that of this script)")
    arguments = parser.parse_args()
    forms = bundled_forms()
    unknown = set(arguments.names) - set(forms)
    if unknown:
        parser.error(f"no such preset: {', '.join(sorted(unknown))}")
    for name in arguments.names or forms:
        path = arguments.out / f"{name}.png"
        draw_form(forms[name], path)
        sys.stdout.write(f"{path.name}\n")
    if not arguments.names:
        for path in arguments.out.glob("*.png"):
            if path.stem not in forms:
                path.unlink()
    write_text(arguments.out / "README.md", gallery(forms))


if __name__ == "__main__":
    main()
