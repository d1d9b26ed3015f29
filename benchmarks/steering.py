"""What steering brings and costs: candidates a beat, for a form and for real templates.

The form is measured with `r_bars` (wanted and measured bar map), templates (the first bars of real
validation songs, the matrix of their music) with `r_beats` (wanted and measured matrix). Beside
each: a shuffled matrix with the same seeds, which a controller must beat; the guards; the time of
a song when songs are sampled in one batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _machine import Row, machine_line, markdown_table, run

from singcli.dataset import Dataset, Song
from singcli.generate import model_path
from singcli.metrics.guards import mean_guards, measure_guards
from singcli.metrics.structure import bar_overlap_map, structure_correlation
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.score import Score
from singcli.preset_library import read_preset
from singcli.structure.form import Form, wanted_bar_map
from singcli.structure.ssm import Matrix, ssm_from_score
from singcli.wish import DEFAULT_TEMPERATURE, Wish

SETTINGS = ((1, 0.0), (4, 100.0), (8, 150.0), (16, 300.0))
GUARDS = ("notes_per_step", "distinct_pitches", "empty_steps", "unique_beats")
HEADER = ["candidates, strength", "songs", "r wanted", "r shuffled", *GUARDS, "seconds a song"]


def sampled(
    runtime: Runtime, plans: Sequence[Plan], candidates: int, strength: float
) -> tuple[list[Score], float]:
    """Sample one song per plan; return them and the seconds a song took."""
    options = SamplingOptions(
        temperature=DEFAULT_TEMPERATURE, candidates=candidates, steering=strength
    )
    started = time.perf_counter()
    scores = sample_scores(runtime, plans, range(len(plans)), options)
    return scores, (time.perf_counter() - started) / len(plans)


def shuffled(matrix: Matrix, seed: int) -> Matrix:
    """Put the beats of a matrix in another order."""
    order = np.random.default_rng(seed).permutation(len(matrix))
    return matrix[np.ix_(order, order)]


def guards(scores: Sequence[Score]) -> list[float | None]:
    """Return the means of `GUARDS`."""
    means = mean_guards([measure_guards(score) for score in scores])
    return [means[name] for name in GUARDS]


def form_rows(runtime: Runtime, form: Form, count: int) -> list[Row]:
    """Measure songs of a form."""
    plan = Wish(form).plan(runtime.card)
    wanted = wanted_bar_map(form)
    rows: list[Row] = []
    for candidates, strength in SETTINGS:
        scores, seconds = sampled(runtime, [plan] * count, candidates, strength)
        r = statistics.fmean(structure_correlation(wanted, bar_overlap_map(s)) for s in scores)
        name = f"{candidates}, {strength:g}"
        rows.append([name, count, r, None, *guards(scores), seconds])
    return rows


def template_plans(songs: Sequence[Song], n_bars: int, *, shuffle: bool) -> list[Plan]:
    """Plan songs that follow the first bars of real ones, or the same in disorder."""
    plans = []
    for index, song in enumerate(songs):
        score = song.score.bars(0, n_bars)
        ssm = ssm_from_score(score)
        plans.append(
            Plan(
                ssm=shuffled(ssm, index) if shuffle else ssm,
                bar_beats=score.bar_beats,
                kind="music",
                mode="major" if song.score.key is None else song.score.key.mode,
            )
        )
    return plans


def template_rows(runtime: Runtime, songs: Sequence[Song], n_bars: int) -> list[Row]:
    """Measure songs with the matrices of real ones, and the real ones themselves."""
    excerpts = [song.score.bars(0, n_bars) for song in songs]
    wanted = [ssm_from_score(excerpt) for excerpt in excerpts]

    def mean_r(scores: Sequence[Score]) -> float:
        pairs = zip(wanted, scores, strict=True)
        return statistics.fmean(structure_correlation(w, ssm_from_score(s)) for w, s in pairs)

    rows: list[Row] = []
    for candidates, strength in SETTINGS:
        plans = template_plans(songs, n_bars, shuffle=False)
        scores, seconds = sampled(runtime, plans, candidates, strength)
        others, _ = sampled(
            runtime, template_plans(songs, n_bars, shuffle=True), candidates, strength
        )
        name = f"{candidates}, {strength:g}"
        rows.append([name, len(songs), mean_r(scores), mean_r(others), *guards(scores), seconds])
    rows.append(["the real songs", len(songs), 1.0, None, *guards(excerpts), None])
    return rows


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/steering.py --data DATA --songs 16",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--model", default="pop", help="bundled model or .onnx (pop)")
    parser.add_argument("--preset", default="aaba", help="the form (aaba)")
    parser.add_argument("--songs", type=int, default=16, help="songs of each kind (16)")
    parser.add_argument("--bars", type=int, default=48, help="length of the templates (48)")
    arguments = parser.parse_args()
    runtime = Runtime.open(model_path(arguments.model))
    held_out = Dataset.open(arguments.data).songs("validation")
    long_enough = [song for song in held_out if song.score.n_bars >= arguments.bars]
    form = read_preset(arguments.preset)
    print(machine_line("numpy", "onnxruntime"))
    print(f"\nForm {form.name}, {form.n_bars} bars\n")
    print(markdown_table(HEADER, form_rows(runtime, form, arguments.songs)))
    print(f"\nTemplates: the first {arguments.bars} bars of validation songs\n")
    rows = template_rows(runtime, long_enough[: arguments.songs], arguments.bars)
    print(markdown_table(HEADER, rows))


if __name__ == "__main__":
    run(main)
