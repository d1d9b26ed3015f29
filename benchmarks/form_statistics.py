"""How POP909's songs are built, and whether random forms are built like them.

Measures the human labels of the training songs: which part follows which, how long parts are, how
much returns vary (the overlap of their notes) and how themes repeat inside. `--out` writes the
table from which `random_form` draws, which the forms below then come from.

A form is drawn for every labelled training song, of its length, and compared with those songs; the
validation songs beside them show how far human forms are from other human forms. KS is the
Kolmogorov-Smirnov distance from the training songs, with the distance that chance alone exceeds
once in twenty.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from _machine import Row, machine_line, markdown_table, run

from singcli.dataset import Dataset, SectionSpan, Song
from singcli.files import write_text
from singcli.metrics.structure import bar_overlap_map
from singcli.structure.form_statistics import (
    BRIDGE,
    END,
    INTRO,
    LINK,
    LONGEST,
    ONCE,
    ORDER,
    OUTRO,
    SHORTEST,
    START,
    THEMES,
    Context,
    FormStatistics,
)
from singcli.structure.part_chain import Part
from singcli.structure.random_form import (
    MIN_FORM_BARS,
    labelled_parts,
    random_form,
    share_of_returns,
)
from singcli.structure.section import MAX_BARS

KINDS = {"i": INTRO, "o": OUTRO, "b": BRIDGE, "x": LINK, "X": ONCE}
FOREIGN = 0.6  # similarity of two bars without a common note, as in training
SAME_ABOVE = 0.3  # overlap from which two quarters are one phrase: halfway to human returns
QUANTILES = np.linspace(0, 1, 11)
PHRASED_BARS = (4, 8, 12, 16)
HEADER = ["figure", "training", "random", "validation", "KS random", "KS validation"]

GroupKey = TypeVar("GroupKey", str, int, tuple[str, ...])
CountedKey = TypeVar("CountedKey", str, int)
Labelled = list[tuple[str, int]]  # label and bars of every section
Variations = list[list[float]]  # of the returns of each label


def parts_of_song(sections: Sequence[SectionSpan]) -> list[tuple[str, SectionSpan]]:
    """Return the kind of every section; themes are named in order of appearance.

    A section of one bar is left to the one before it, which `lengths_of_parts` makes longer.
    """
    themes: dict[str, str] = {}
    parts: list[tuple[str, SectionSpan]] = []
    for section in sections:
        name = section.label.upper() if section.melodic else section.label
        if name not in KINDS:
            themes.setdefault(name, THEMES[min(len(themes), len(THEMES) - 1)])
        if section.n_bars >= SHORTEST or not parts:
            parts.append((KINDS.get(name) or themes[name], section))
    return parts


def lengths_of_parts(sections: Sequence[SectionSpan]) -> list[Part]:
    """Return kinds and bars, from `SHORTEST` to `LONGEST`; a single bar joins the part before."""
    parts = parts_of_song(sections)
    starts = [span.start_bar for _, span in parts]
    ends = [*starts[1:], sections[-1].start_bar + sections[-1].n_bars]
    bars = [end - start for start, end in zip(starts, ends, strict=True)]
    return [
        (kind, min(max(n, SHORTEST), LONGEST)) for (kind, _), n in zip(parts, bars, strict=True)
    ]


def counts_of_followers(songs: Sequence[Sequence[Part]]) -> dict[Context, Counter[str]]:
    """Count what comes after the last `ORDER` parts."""
    following: defaultdict[Context, Counter[str]] = defaultdict(Counter)
    for parts in songs:
        kinds = [START] * ORDER + [kind for kind, _ in parts] + [END]
        for place in range(ORDER, len(kinds)):
            following[tuple(kinds[place - ORDER : place])][kinds[place]] += 1
    return following


def counts_of_lengths(
    songs: Sequence[Sequence[Part]],
) -> tuple[dict[str, Counter[int]], dict[int, Counter[int]], dict[int, Counter[int]]]:
    """Count bars: of the first part of each kind, of new themes, and of returns."""
    lengths: defaultdict[str, Counter[int]] = defaultdict(Counter)
    theme_lengths: defaultdict[int, Counter[int]] = defaultdict(Counter)
    repeat_lengths: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for parts in songs:
        first: dict[str, int] = {}
        newest_theme = ""
        for kind, bars in parts:
            if kind in first and kind in (*THEMES, BRIDGE):
                repeat_lengths[first[kind]][bars] += 1
            elif kind in THEMES and newest_theme:
                theme_lengths[first[newest_theme]][bars] += 1
            else:
                lengths[kind][bars] += 1
            newest_theme = kind if kind in THEMES and kind not in first else newest_theme
            first.setdefault(kind, bars)
    return lengths, theme_lengths, repeat_lengths


def variations_of_returns(songs: Sequence[Song]) -> dict[str, Variations]:
    """Measure how far the returns of themes and bridges are from their first part.

    A bar with half of the other's notes has the similarity 0.8, as in training.
    """
    variations: dict[str, Variations] = {"theme": [], BRIDGE: []}
    for song in songs:
        overlap = bar_overlap_map(song.score)
        by_kind: defaultdict[str, list[SectionSpan]] = defaultdict(list)
        for kind, span in parts_of_song(song.sections):
            by_kind[kind].append(span)
        for kind in sorted(by_kind.keys() & {*THEMES, BRIDGE}):
            first, *returns = by_kind[kind]
            found = []
            for span in returns:
                bar = np.arange(min(span.n_bars, first.n_bars))
                shared = overlap[span.start_bar + bar, first.start_bar + bar]
                found.append(variation(float(shared.mean())))
            variations[BRIDGE if kind == BRIDGE else "theme"].append(found)
    return variations


def variation(overlap: float) -> float:
    """Return the variation that a preset would give for bars of this overlap."""
    return (1.0 - FOREIGN) * (1.0 - overlap)


def phrases_of_themes(songs: Sequence[Song]) -> tuple[dict[int, Counter[str]], list[float]]:
    """Count how the quarters of themes repeat one another, and measure how much they vary."""
    phrases: defaultdict[int, Counter[str]] = defaultdict(Counter)
    variations: list[float] = []
    for song in songs:
        overlap = bar_overlap_map(song.score)
        for kind, span in parts_of_song(song.sections):
            if kind in THEMES and span.n_bars in PHRASED_BARS:
                pattern, found = repeats_of_quarters(span, overlap)
                phrases[span.n_bars][pattern] += 1
                variations += found
    return phrases, variations


def repeats_of_quarters(
    span: SectionSpan, overlap: npt.NDArray[np.float32]
) -> tuple[str, list[float]]:
    """Name a section's quarters, such as "abac", and measure the variation of those that repeat."""
    quarter = span.n_bars // 4
    bar = span.start_bar + np.arange(quarter)
    pattern, variations = "", []
    for place in range(4):
        shared = [
            float(overlap[bar + place * quarter, bar + n * quarter].mean()) for n in range(place)
        ]
        best = int(np.argmax(shared)) if shared else 0
        if shared and shared[best] > SAME_ABOVE:
            pattern += pattern[best]
            variations.append(variation(shared[best]))
        else:
            pattern += "abcd"[len(set(pattern))]
    return pattern, variations


def intraclass_correlation(groups: Variations) -> float:
    """Return how far the values of one group agree, from the one-way analysis of variance."""
    rows = [np.array(group) for group in groups if group]
    values, sizes = np.concatenate(rows), np.array([len(row) for row in rows])
    means = np.array([row.mean() for row in rows])
    within = sum(((row - row.mean()) ** 2).sum() for row in rows) / (len(values) - len(rows))
    between = (sizes * (means - values.mean()) ** 2).sum() / (len(rows) - 1)
    size = (len(values) - (sizes**2).sum() / len(values)) / (len(rows) - 1)
    return float((between - within) / (between + (size - 1) * within))


def statistics_of_songs(songs: Sequence[Song], source: str) -> FormStatistics:
    """Measure labelled songs."""
    parts = [lengths_of_parts(song.sections) for song in songs]
    lengths, theme_lengths, repeat_lengths = counts_of_lengths(parts)
    phrases, phrase_variations = phrases_of_themes(songs)
    variations = variations_of_returns(songs)
    return FormStatistics(
        source=source,
        following=sorted_rows(counts_of_followers(parts)),
        lengths=sorted_rows(lengths),
        theme_lengths=sorted_rows(theme_lengths),
        repeat_lengths=sorted_rows(repeat_lengths),
        variations={kind: quantiles(list(chain(*rows))) for kind, rows in variations.items()},
        kept_variation=round(intraclass_correlation(variations["theme"]), 2),
        return_shares=quantiles([share_of_returns(labelled_parts(song)) for song in parts]),
        mean_bars=quantiles([sum(n for _, n in song) / len(song) for song in parts]),
        phrases=sorted_rows(phrases),
        phrase_variations=quantiles(phrase_variations),
    )


def sorted_rows(
    table: Mapping[GroupKey, Mapping[CountedKey, int]],
) -> dict[GroupKey, dict[CountedKey, int]]:
    """Put keys in order, so that the same songs give the same file."""
    return {key: dict(sorted(table[key].items())) for key in sorted(table)}


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """Return quantiles at equal distances from 0 to 1."""
    return tuple(round(float(value), 3) for value in np.quantile(values, QUANTILES))


FIGURES: Mapping[str, Callable[[Labelled], list[float]]] = {
    "sections": lambda form: [len(form)],
    "distinct labels": lambda form: [len({label for label, _ in form})],
    "bars of a section": lambda form: [n for _, n in form],
    "share of sections of 4, 8, 12 or 16 bars": lambda form: [
        sum(n % 4 == 0 for _, n in form) / len(form)
    ],
    "share of bars that return": lambda form: [share_of_returns(form)],
    "share of sections that repeat the one before": lambda form: [
        sum(a == b for (a, _), (b, _) in pairwise(form)) / len(form)
    ],
}


def comparison(
    training: list[Labelled], drawn: list[Labelled], held_out: list[Labelled]
) -> list[Row]:
    """Return a row for each figure: mean and 5th to 95th percentile, and distances."""
    rows: list[Row] = []
    for name, figure in FIGURES.items():
        groups = [
            np.array([value for form in forms for value in figure(form)])
            for forms in (training, drawn, held_out)
        ]
        cells = [
            f"{g.mean():.2f} ({np.quantile(g, 0.05):.2g} to {np.quantile(g, 0.95):.2g})"
            for g in groups
        ]
        distances = [
            f"{ks_distance(groups[0], group):.3f} ({ks_of_chance(len(training), len(forms)):.3f})"
            for group, forms in ((groups[1], drawn), (groups[2], held_out))
        ]
        rows.append([name, *cells, *distances])
    return rows


def ks_distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the largest difference of the two cumulative shares."""
    at = np.union1d(one, other)
    shares = [np.searchsorted(np.sort(of), at, side="right") / len(of) for of in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def ks_of_chance(n_one: int, n_other: int) -> float:
    """Return the distance that two samples of one population exceed once in twenty."""
    return float(np.sqrt(-0.5 * np.log(0.025)) * np.sqrt(1 / n_one + 1 / n_other))


def main() -> None:
    """Measure, write, draw, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/form_statistics.py --data DATA "
        "--out singcli/structure/form_statistics.toml",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--out", type=Path, help="write the table here")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    songs = [song for song in dataset.songs("train") if song.sections]
    if arguments.out:
        source = f"POP909, {len(songs)} labelled training songs (MIT, (c) 2020 Shuqi Dai)"
        write_text(arguments.out, statistics_of_songs(songs, source).to_toml())
    training, held_out = (
        [lengths_of_parts(song.sections) for song in dataset.songs(split) if song.sections]
        for split in ("train", "validation")
    )
    bars = [sum(n for _, n in parts) for parts in training]
    drawn = [
        [(section.label, section.n_bars) for section in random_form(n_bars, seed).sections]
        for seed, n_bars in enumerate(bars)
        if MIN_FORM_BARS <= n_bars <= MAX_BARS
    ]
    print(machine_line("numpy"))
    print(f"\n{len(training)} training songs, {len(drawn)} random forms, ", end="")
    print(f"{len(held_out)} validation songs\n")
    print(
        markdown_table(
            HEADER,
            comparison(
                [labelled_parts(parts) for parts in training],
                drawn,
                [labelled_parts(parts) for parts in held_out],
            ),
        )
    )


if __name__ == "__main__":
    run(main)
