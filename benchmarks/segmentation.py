"""Score the analyser on human labels, beside simple and published ways to cut a piece.

The songs of the validation split that have human labels (POP909: those whose number ends in 3).
These labels are phrases, mostly of four or eight bars; a section with the tune is not one without
it. All figures are those of mir_eval, in bars: boundaries without start and end of the labelled
part, within one bar and exact; pairwise F and V-measure of the labels.

Beside the analyser: cuts every eight and every four bars and all in one; as many boundaries as ours
at random; the checkerboard novelty of Foote (2000) and the spectral clustering of McFee and Ellis
(2014), both on the matrix that the analyser sees, with thresholds chosen on training songs. With
--second FOLDER the corpus's second annotation is scored against the first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import mir_eval
import numpy as np
import numpy.typing as npt
from _baselines import (
    all_one,
    every,
    foote_sections,
    random_sections,
    spectral_sections,
)
from _intervals import Interval, mean_interval
from _machine import Row, machine_line, markdown_table, run, write_json
from fit_segmentation import human_sections

from singcli.dataset import Dataset, Song
from singcli.errors import InputError
from singcli.preparation.pop909 import parse_labels
from singcli.structure.bar_features import bar_features_from_score
from singcli.structure.section import Span
from singcli.structure.segmentation import (
    phrases_in_sections,
    sections_from_score,
    sections_from_ssm,
)
from singcli.structure.ssm import ssm_from_score

Method = Callable[[Song], list[Span]]

MEASURES = ("boundary F, 1 bar", "boundary F, exact", "pairwise F", "V-measure")
SECTIONS, PHRASES = "sections (ours)", "phrases (ours)"
SECOND = "the second annotator"


class Reference(NamedTuple):
    """The labelled part of a song."""

    sections: list[Span]
    start_bar: int
    stop_bar: int


def reference_of(song: Song) -> Reference:
    """Return a song's human labels without what nobody labelled before and after them."""
    first, last = song.sections[0], song.sections[-1]
    start, stop = first.start_bar, last.start_bar + last.n_bars
    return Reference(inside(human_sections(song), start, stop), start, stop)


def inside(spans: Sequence[Span], start: int, stop: int) -> list[Span]:
    """Cut spans to the bars from `start` to `stop`."""
    cut = [(s.label, max(s.start_bar, start), min(s.start_bar + s.n_bars, stop)) for s in spans]
    return [Span(label, low, high - low) for label, low, high in cut if low < high]


def scores(reference: Reference, estimated: Sequence[Span]) -> dict[str, float]:
    """Return `MEASURES` of estimated sections."""
    known = _intervals(reference.sections)
    found = _intervals(inside(estimated, reference.start_bar, reference.stop_bar))
    hits = [_boundary_f(known[0], found[0], window) for window in (1.0, 0.5)]
    pairwise = mir_eval.segment.pairwise(*known, *found, frame_size=1.0)[2]
    v_measure = mir_eval.segment.vmeasure(*known, *found, frame_size=1.0)[2]
    return dict(zip(MEASURES, (*hits, pairwise, v_measure), strict=True))


def _boundary_f(
    known: npt.NDArray[np.float64], found: npt.NDArray[np.float64], window: float
) -> float:
    if len(known) == 1 or len(found) == 1:  # no boundary: mir_eval would warn
        return float(len(known) == len(found))
    return float(mir_eval.segment.detection(known, found, window=window, trim=True)[2])


def _intervals(spans: Sequence[Span]) -> tuple[npt.NDArray[np.float64], list[str]]:
    first = spans[0].start_bar
    edges = [(s.start_bar - first, s.start_bar - first + s.n_bars) for s in spans]
    return np.array(edges, float), [span.label for span in spans]


def phrases_of(song: Song) -> list[Span]:
    """Return the phrases of the sections found; names are shared by sections of one label."""
    bars = bar_features_from_score(song.score)
    sections = sections_from_score(song.score)
    return [
        Span(f"{section.label} {phrase.label}", phrase.start_bar, phrase.n_bars)
        for section, phrases in zip(sections, phrases_in_sections(bars, sections), strict=True)
        for phrase in phrases
    ]


def second_annotation(folder: Path, song: Song) -> list[Span]:
    """Return the second human labels of a POP909 song, from where the first ones begin.

    Raises
    ------
    InputError
        If the file is not there, or cannot be read.
    """
    path = folder / song.id / "human_label2.txt"
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    bar, spans = song.sections[0].start_bar, []
    for label in parse_labels(text, source=str(path)):
        tune = "with" if label.melodic else "without"
        spans.append(Span(f"{label.label} {tune} tune", bar, label.n_bars))
        bar += label.n_bars
    stop = song.sections[-1].start_bar + song.sections[-1].n_bars
    return [*spans, Span("beyond the labels", bar, stop - bar)] if bar < stop else spans


def methods(second: Path | None) -> dict[str, Method]:
    """Return all ways to cut and label a song."""
    table: dict[str, Method] = {
        SECTIONS: lambda song: sections_from_score(song.score),
        PHRASES: phrases_of,
        "sections, from the matrix alone": lambda song: sections_from_ssm(
            ssm_from_score(song.score), song.score.bar_beats
        ),
        "McFee and Ellis 2014": lambda song: spectral_sections(
            ssm_from_score(song.score), song.score.bar_beats
        ),
        "Foote 2000": lambda song: foote_sections(ssm_from_score(song.score), song.score.bar_beats),
        "every 8 bars": lambda song: every(8, song.score.n_bars),
        "every 4 bars": lambda song: every(4, song.score.n_bars),
        "random, as many as ours": lambda song: random_sections(
            len(sections_from_score(song.score)), song.score.n_bars
        ),
        "all one": lambda song: all_one(song.score.n_bars),
    }
    if second is not None:
        table[SECOND] = lambda song: second_annotation(second, song)
    return table


def table_of(results: dict[str, list[dict[str, float]]]) -> str:
    """Return means with 95 % intervals, one row a method."""
    rows: list[Row] = [
        [name, *(str(mean_interval([song[m] for song in songs])) for m in MEASURES)]
        for name, songs in results.items()
    ]
    return markdown_table(["method", *MEASURES], rows)


def gains(results: dict[str, list[dict[str, float]]]) -> dict[str, tuple[str, Interval]]:
    """Return the best baseline and the paired difference to it, for both our levels."""
    ours = (SECTIONS, PHRASES)
    found = {}
    for name in ours:
        for measure in MEASURES:
            means = {
                other: float(np.mean([song[measure] for song in songs]))
                for other, songs in results.items()
                if "ours" not in other and "matrix" not in other and other != SECOND
            }
            best = max(means, key=lambda other: means[other])
            pairs = zip(results[name], results[best], strict=True)
            difference = mean_interval([a[measure] - b[measure] for a, b in pairs])
            found[f"{name}, {measure}"] = (best, difference)
    return found


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Example: python benchmarks/segmentation.py --data DATA"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that prepare wrote")
    parser.add_argument("--songs", type=int, help="at most that many songs (all)")
    parser.add_argument(
        "--second", type=Path, metavar="FOLDER", help="POP909 itself, for its second annotation"
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()

    songs = [song for song in Dataset.open(arguments.data).songs("validation") if song.sections]
    songs = songs[: arguments.songs]
    if not songs:
        parser.error("needs at least one validation song with human labels")
    results = {
        name: [scores(reference_of(song), method(song)) for song in songs]
        for name, method in methods(arguments.second).items()
    }
    print(machine_line("numpy", "mir_eval"))
    print(f"{len(songs)} songs; means with 95 % intervals (bootstrap over songs)\n")
    print(table_of(results))
    print("\nPaired differences to the best baseline:\n")
    found = gains(results)
    rows: list[Row] = [[what, best, str(gain)] for what, (best, gain) in found.items()]
    print(markdown_table(["ours", "best baseline", "difference"], rows))
    write_json(
        arguments.json,
        {
            "n_songs": len(songs),
            "scores": results,
            "gains": {what: {"baseline": b, **gain._asdict()} for what, (b, gain) in found.items()},
        },
    )


if __name__ == "__main__":
    run(main)
