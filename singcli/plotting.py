"""Pictures: self-similarity matrices, repeat maps and piano rolls, drawn with matplotlib.

matplotlib is imported when a picture is drawn, without its global state (no pyplot, no display).
Bars are numbered from 1, as musicians do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.files import replacing
from singcli.music.score import LEAD, STEPS_PER_BEAT, Score
from singcli.structure.alignment import NEW, RepeatMap
from singcli.structure.section import Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
SSM_COLOURS = "magma"
SECTION_COLOURS = "tab20"
LEAD_COLOUR, ACCOMPANIMENT_COLOUR = "#b3122e", "#35507a"
MAX_BAR_LINES = 96  # more lines than this hide the picture
MAX_TICKS = 24
SONG_WIDTH = 1600 / DPI  # inches
MANY_SECTIONS = 24  # beyond, lines are thin, and labels without room are left out


def write_ssm_png(
    path: Path,
    ssm: npt.NDArray[np.float32],
    bar_beats: npt.NDArray[np.int32],
    sections: Sequence[Span] = (),
    *,
    title: str = "",
    repeats: RepeatMap | None = None,
) -> None:
    """Draw a self-similarity matrix, with the repeat map below it if one is given.

    Parameters
    ----------
    path : Path
        Ends in .png; written whole or not at all.
    ssm : np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
    sections : sequence of Span
    title : str
    repeats : RepeatMap, optional
    """
    figure = new_figure(8.0, 7.4 if repeats is None else 10.8)
    if repeats is None:
        axes = figure.subplots()
    else:
        axes, below = figure.subplots(2, 1, height_ratios=[2.2, 1.0])
        draw_repeat_map(below, repeats, bar_beats, sections)
    image = draw_ssm(axes, ssm, bar_beats, sections)
    figure.colorbar(image, ax=axes, label="similarity", shrink=0.8)
    if title:
        figure.suptitle(title, fontsize="medium")
    write_figure(figure, path)


def write_repeat_map_png(
    path: Path,
    repeats: RepeatMap,
    bar_beats: npt.NDArray[np.int32],
    sections: Sequence[Span] = (),
    *,
    title: str = "",
) -> None:
    """Draw which earlier bar each beat copies; parameters as in `write_ssm_png`."""
    figure = new_figure(8.0, 4.2)
    axes = figure.subplots()
    draw_repeat_map(axes, repeats, bar_beats, sections)
    if title:
        figure.suptitle(title, fontsize="medium")
    write_figure(figure, path)


def write_score_png(
    path: Path, score: Score, sections: Sequence[Span] = (), *, title: str = ""
) -> None:
    """Draw a piano roll; parameters as in `write_ssm_png`."""
    figure = new_figure(min(max(6.0, 0.28 * score.n_bars), 30.0), 4.2)
    axes = figure.subplots()
    draw_score(axes, score, sections)
    if title:
        figure.suptitle(title, fontsize="medium")
    write_figure(figure, path)


def write_song_png(
    path: Path,
    score: Score,
    *,
    wanted: npt.NDArray[np.float32],
    measured: npt.NDArray[np.float32],
    sections: Sequence[Span] = (),
    title: str = "",
) -> None:
    """Draw a finished song beside what was asked for: both matrices, and the piano roll below.

    Parameters
    ----------
    path : Path
        Ends in .png; written whole or not at all. `SONG_WIDTH` inches wide.
    score : Score
    wanted, measured : np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
        Self-similarity matrices, of the song's own length.
    sections : sequence of Span
    title : str
    """
    figure = new_figure(SONG_WIDTH, 0.85 * SONG_WIDTH)
    axes = figure.subplot_mosaic([["wanted", "measured"], ["notes", "notes"]], height_ratios=[4, 3])
    for name, ssm in (("wanted", wanted), ("measured", measured)):
        image = draw_ssm(axes[name], ssm, score.bar_beats, sections)
        axes[name].set_ylabel("")
        axes[name].set_xlabel(f"{name}, bar by bar", fontsize="large")  # above stand the sections
    figure.colorbar(
        image, ax=[axes["wanted"], axes["measured"]], label="similarity", aspect=30, pad=0.01
    )
    draw_score(axes["notes"], score, sections)
    _explain_voices(axes["notes"])
    if title:
        figure.suptitle(title, fontsize="x-large", fontweight="bold")
    write_figure(figure, path)


def draw_ssm(
    axes: Axes,
    ssm: npt.NDArray[np.float32],
    bar_beats: npt.NDArray[np.int32],
    sections: Sequence[Span] = (),
) -> Any:
    """Draw a self-similarity matrix; time runs right and down. Returns the image."""
    n_beats = len(ssm)
    image = axes.imshow(
        ssm,
        cmap=SSM_COLOURS,
        vmin=0.0,
        vmax=1.0,
        extent=(0, n_beats, n_beats, 0),
        interpolation="nearest",
        aspect="equal",
    )
    if len(bar_beats) <= MAX_BAR_LINES:
        for beat in bar_beats[1:-1]:
            axes.axvline(beat, color="white", linewidth=0.3, alpha=0.25)
            axes.axhline(beat, color="white", linewidth=0.3, alpha=0.25)
    for span in sections[1:]:
        beat = int(bar_beats[span.start_bar])
        width = 1.0 if len(sections) <= MANY_SECTIONS else 0.4
        axes.axvline(beat, color="white", linewidth=width, alpha=0.9)
        axes.axhline(beat, color="white", linewidth=width, alpha=0.9)
    _number_bars(axes, bar_beats, vertical=True)
    _name_sections(axes, bar_beats, sections)
    return image


def draw_repeat_map(
    axes: Axes,
    repeats: RepeatMap,
    bar_beats: npt.NDArray[np.int32],
    sections: Sequence[Span] = (),
) -> None:
    """Draw source over beat, coloured by grade; new beats are marks on the lower edge."""
    beat = np.arange(len(repeats.source))
    copies = repeats.source != NEW
    _shade_sections(axes, bar_beats, sections)
    points = axes.scatter(
        beat[copies] + 0.5,
        repeats.source[copies] + 0.5,
        c=repeats.grade[copies],
        cmap="viridis",
        vmin=0.0,
        vmax=1.0,
        s=9,
        marker="s",
        linewidths=0,
    )
    axes.scatter(beat[~copies] + 0.5, np.zeros((~copies).sum()), color="crimson", s=12, marker="|")
    axes.set_xlim(0, bar_beats[-1])
    axes.set_ylim(-0.02 * bar_beats[-1], bar_beats[-1])
    _number_bars(axes, bar_beats, vertical=True)
    axes.set_xlabel("bar")
    axes.set_ylabel("copies bar (red: new)")
    _name_sections(axes, bar_beats, sections)
    axes.figure.colorbar(points, ax=axes, label="grade")


def draw_score(axes: Axes, score: Score, sections: Sequence[Span] = ()) -> None:
    """Draw a piano roll over the colours of its sections; the lead is dark red."""
    from matplotlib.collections import PolyCollection

    bar_beats = score.bar_beats
    _shade_sections(axes, bar_beats, sections)
    left = score.step / STEPS_PER_BEAT
    right = left + np.maximum(score.duration / STEPS_PER_BEAT - 0.05, 0.1)
    low, high = score.pitch - 0.42, score.pitch + 0.42
    corners = np.stack(
        [
            np.stack([left, right, right, left], axis=1),
            np.stack([low, low, high, high], axis=1),
        ],
        axis=2,
    )  # (n_notes, 4, 2)
    is_lead = score.voice == LEAD
    for voice, colour in ((~is_lead, ACCOMPANIMENT_COLOUR), (is_lead, LEAD_COLOUR)):
        axes.add_collection(PolyCollection(list(corners[voice]), facecolors=colour, linewidths=0))
    for beat in bar_beats[1:-1] if len(bar_beats) <= MAX_BAR_LINES else []:
        axes.axvline(beat, color="black", linewidth=0.4, alpha=0.25)
    for span in sections[1:]:
        axes.axvline(bar_beats[span.start_bar], color="black", linewidth=1.0, alpha=0.8)
    axes.set_xlim(0, bar_beats[-1])
    axes.set_ylim(score.pitch.min(initial=60) - 2, score.pitch.max(initial=72) + 2)
    _number_bars(axes, bar_beats, vertical=False)
    _label_octaves(axes)
    _name_sections(axes, bar_beats, sections)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "a picture needs matplotlib, which is not installed", "pip install matplotlib"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")


def _number_bars(axes: Axes, bar_beats: npt.NDArray[np.int32], *, vertical: bool) -> None:
    """Put bar numbers below, and beside if `vertical`; every bar, or every second, fourth, ..."""
    n_bars = len(bar_beats) - 1
    every = 1
    while n_bars / every > MAX_TICKS:
        every *= 2
    bars = np.arange(0, n_bars, every)
    names = [str(bar + 1) for bar in bars]
    axes.set_xticks(bar_beats[bars], names, fontsize="small")
    axes.set_xlabel("bar")
    if vertical:
        axes.set_yticks(bar_beats[bars], names, fontsize="small")
        axes.set_ylabel("bar")


def _name_sections(axes: Axes, bar_beats: npt.NDArray[np.int32], sections: Sequence[Span]) -> None:
    """Write the labels above the picture, each over the middle of its section."""
    many = len(sections) > MANY_SECTIONS
    for span in sections:
        start, stop = bar_beats[span.start_bar], bar_beats[span.start_bar + span.n_bars]
        has_room = len(span.label) <= 80 * (stop - start) / bar_beats[-1]
        if many and not has_room:
            continue
        axes.annotate(
            span.label,
            ((start + stop) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center" if has_room else "left",
            va="bottom",
            rotation=0 if has_room else 45,
            fontsize="x-small" if many else "medium",
            fontweight="bold",
            annotation_clip=False,
        )


def _shade_sections(axes: Axes, bar_beats: npt.NDArray[np.int32], sections: Sequence[Span]) -> None:
    """Give every label a background colour of its own."""
    from matplotlib import colormaps

    colours = colormaps[SECTION_COLOURS]
    number = {label: i for i, label in enumerate(dict.fromkeys(s.label for s in sections))}
    for span in sections:
        start, stop = bar_beats[span.start_bar], bar_beats[span.start_bar + span.n_bars]
        colour = colours((2 * number[span.label] + 1) % 20)  # the light one of each pair
        axes.axvspan(start, stop, color=colour, alpha=0.45, linewidth=0)


def _explain_voices(axes: Axes) -> None:
    """Say below a piano roll which colour is which voice."""
    from matplotlib.patches import Patch

    handles = [
        Patch(color=LEAD_COLOUR, label="lead"),
        Patch(color=ACCOMPANIMENT_COLOUR, label="accompaniment"),
    ]
    axes.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1.0, -0.06),
        ncols=2,
        frameon=False,
        borderaxespad=0.0,
    )


def _label_octaves(axes: Axes) -> None:
    low, high = axes.get_ylim()
    octaves = [pitch for pitch in range(24, 109, 12) if low <= pitch <= high]
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize="small")
    for pitch in octaves:
        axes.axhline(pitch, color="black", linewidth=0.3, alpha=0.3)
    axes.set_ylabel("pitch")
