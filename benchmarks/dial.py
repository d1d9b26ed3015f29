"""What the number of the dial gives: overlap of repeats at strictness 0 to 1, preset by preset.

Measured are the repeats that are to take the strictness in full (bars of later sections whose
similarity to the same bar of their label's first section is `FULL_FROM` or more, at any strictness
of a section's own): the share of their notes that both bars have, so that the number of the column
is the overlap that is wanted. Pairs of silent bars share no note and are left out, and so are bars
of different length. The scores are measured as they are sampled, before they become files; every
strictness has the same seeds. Last row: bars of different labels, which no dial is to move.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _intervals import mean_interval
from _machine import Row, machine_line, markdown_table, run, verdict, write_json
from _presets import chosen_presets, repeated_bars
from _sampling import sample_in_batches

from singcli.generate import model_path
from singcli.metrics.structure import bar_overlap_map, different_label_overlap
from singcli.model.runtime import Runtime
from singcli.music.score import Score
from singcli.structure.dial import FULL_FROM
from singcli.structure.form import Form, wanted_bar_map
from singcli.wish import Wish

STRICTNESS = tuple(tenth / 10 for tenth in range(11))
ALLOWED_DEVIATION = 0.08
IDENTICAL = 1 - 1e-6
ROUNDING = 1e-6  # float32 of 1 - variation

Overlaps = Mapping[str, list[list[float]]]  # preset -> strictness -> song


def without_own_strictness(form: Form) -> Form:
    """Return the form with all its sections under the dial of the song."""
    sections = tuple(dataclasses.replace(s, strictness=None) for s in form.sections)
    return dataclasses.replace(form, sections=sections)


def full_repeats(form: Form) -> npt.NDArray[np.intp]:
    """Return bar and source bar wherever a repeat takes the strictness in full, shape=(n, 2)."""
    pairs = repeated_bars(form)
    similarity = wanted_bar_map(form)[pairs[:, 0], pairs[:, 1]]
    length = np.diff(form.bar_beats)
    full: npt.NDArray[np.intp] = pairs[
        (similarity >= FULL_FROM - ROUNDING) & (length[pairs[:, 0]] == length[pairs[:, 1]])
    ]
    return full


def pair_overlaps(score: Score, pairs: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Return the overlap of each pair of bars in which anything begins."""
    overlap = bar_overlap_map(score)
    bar, source = pairs.T
    sounding = np.diagonal(overlap) > 0
    chosen: npt.NDArray[np.float32] = overlap[bar, source][sounding[bar] | sounding[source]]
    return chosen


def sample_forms(
    runtime: Runtime, forms: Sequence[Form], seeds: Sequence[int], strictness: float
) -> list[list[Score]]:
    """Sample songs of all forms, form by form, with the same seeds."""
    wishes = [Wish(form, strictness=strictness) for form in forms]
    plans = [wish.plan(runtime.card) for wish in wishes for _ in seeds]
    scores = sample_in_batches(runtime, plans, [*seeds] * len(forms), wishes[0].options())
    return [scores[at : at + len(seeds)] for at in range(0, len(scores), len(seeds))]


def deviations(overlaps: Overlaps, strictness: Sequence[float]) -> dict[str, list[float]]:
    """Return the mean over seeds minus the number of the dial, preset by preset."""
    return {
        name: [
            statistics.fmean(songs) - wanted for songs, wanted in zip(row, strictness, strict=True)
        ]
        for name, row in overlaps.items()
    }


def largest_fall(row: Sequence[Sequence[float]]) -> float:
    """Return by how much the mean falls from one strictness to the next at most; 0 if it rises."""
    means = [statistics.fmean(songs) for songs in row]
    return max([0.0, *(before - after for before, after in pairwise(means))])


def table(overlaps: Overlaps, floor: Sequence[float], strictness: Sequence[float]) -> list[Row]:
    """Return a row per preset, the mean of all, and the row of bars of different labels."""
    apart = deviations(overlaps, strictness)
    rows: list[Row] = [
        [
            name,
            *(statistics.fmean(songs) for songs in row),
            max(apart[name], key=abs),
            largest_fall(row),
        ]
        for name, row in overlaps.items()
    ]
    means = [
        [statistics.fmean(songs) for songs in column]
        for column in zip(*overlaps.values(), strict=True)
    ]
    of_all = [statistics.fmean(column) for column in means]
    most = max((m - s for m, s in zip(of_all, strictness, strict=True)), key=abs)
    rows.append(["all presets", *of_all, most, largest_fall([[m] for m in of_all])])
    rows.append(["different labels", *floor, None, None])
    return rows


def verdicts(overlaps: Overlaps, strictness: Sequence[float]) -> list[str]:
    """Return a line per target, and how sure the means are."""
    apart = deviations(overlaps, strictness)
    deviation, name, at = max(
        (abs(value), name, wanted)
        for name, row in apart.items()
        for value, wanted in zip(row, strictness, strict=True)
    )
    cells = [songs for row in overlaps.values() for songs in row]
    inside = sum(abs(value) <= ALLOWED_DEVIATION for row in apart.values() for value in row)
    falling = [name for name, row in overlaps.items() if largest_fall(row) > 0]
    widths = [(i.high - i.low) / 2 for i in map(mean_interval, cells)]
    lines = [
        verdict(f"largest deviation ({name} at {at:g})", deviation, ALLOWED_DEVIATION),
        f"{inside} of {len(cells)} cells within {ALLOWED_DEVIATION:g}; half of a 95 % interval "
        f"over seeds: median {statistics.median(widths):.3f}, at most {max(widths):.3f}",
        "reached: rises everywhere" if not falling else f"MISSED: falls in {', '.join(falling)}",
    ]
    if strictness[-1] == 1:
        exact = [overlap >= IDENTICAL for row in overlaps.values() for overlap in row[-1]]
        share = statistics.fmean(exact)
        lines.append(f"songs at strictness 1 whose full repeats are note-identical: {share:.0%}")
    return lines


def measure(
    runtime: Runtime, forms: Mapping[str, Form], seeds: Sequence[int], strictness: Sequence[float]
) -> tuple[dict[str, list[list[float]]], list[float]]:
    """Sample and measure songs of all forms at every strictness.

    Returns
    -------
    dict of str to list of list of float
        Mean overlap of the full repeats: form -> strictness -> song.
    list of float
        Mean overlap of bars of different labels at each strictness.
    """
    overlaps: dict[str, list[list[float]]] = {name: [] for name in forms}
    floor = []
    for value in strictness:
        between = []
        for (name, form), scores in zip(
            forms.items(), sample_forms(runtime, [*forms.values()], seeds, value), strict=True
        ):
            pairs = full_repeats(form)
            repeated = [pair_overlaps(score, pairs) for score in scores]
            overlaps[name].append([float(o.mean()) for o in repeated if len(o)] or [0.0])
            apart = (different_label_overlap(bar_overlap_map(score), form) for score in scores)
            between += [overlap for overlap in apart if overlap is not None]
        floor.append(statistics.fmean(between) if between else 0.0)
    return overlaps, floor


def main() -> None:
    """Read the arguments, sample, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/dial.py --seeds 8",
    )
    parser.add_argument("--model", default="pop", help="bundled model or .onnx (pop)")
    parser.add_argument("--seeds", type=int, default=8, help="songs per preset and strictness (8)")
    parser.add_argument("--first-seed", type=int, default=1, help="(1)")
    parser.add_argument("--presets", nargs="*", default=[], help="names or files (all bundled)")
    parser.add_argument(
        "--strictness", type=float, nargs="+", default=list(STRICTNESS), help="(0, 0.1 ... 1)"
    )
    parser.add_argument("--json", type=Path, help="also write every song's overlap to this file")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    strictness = sorted(arguments.strictness)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    runtime = Runtime.open(model_path(arguments.model))
    chosen = chosen_presets(arguments.presets)
    forms = {name: without_own_strictness(form) for name, (_, form) in chosen.items()}
    forms = {name: form for name, form in forms.items() if len(full_repeats(form))}
    if not forms:
        parser.error("none of these presets has a repeat that takes the strictness in full")
    overlaps, floor = measure(runtime, forms, seeds, strictness)
    lines = verdicts(overlaps, strictness)
    print(machine_line("numpy", "onnxruntime"))
    print(f"{len(forms)} presets, {len(seeds)} seeds from {seeds.start}")
    print(f"Without a full repeat: {', '.join(sorted(set(chosen) - set(forms))) or '-'}\n")
    header = ["preset", *(f"{s:g}" for s in strictness), "largest deviation", "largest fall"]
    print(markdown_table(header, table(overlaps, floor, strictness)))
    print("", *lines, sep="\n")
    write_json(
        arguments.json,
        {"seeds": list(seeds), "strictness": strictness, "overlaps": overlaps, "verdicts": lines},
    )


if __name__ == "__main__":
    run(main)
