"""Fit the weights of the segmentation on songs with known sections; print them as TOML.

POP909's human labels are phrases: the level `phrases` is fitted on its training songs as they are.
For the level `sections` short neighbours of one label are joined in pairs, and songs generated in
the practice forms (random, none of them a preset) have as much weight; for matrices without notes,
those drawn from these forms as well. Three fits follow one another: which stretches are sections
(maximum likelihood), which pairs of sections share a label (logistic regression), and which of the
candidate descriptions is best (highest expected F of boundaries and labels).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from _machine import machine_line, run
from _practice_forms import make_songs
from _semi_crf import LabelledSong, SemiCrf
from scipy.optimize import minimize

from singcli.dataset import Dataset, Song
from singcli.metrics.structure import boundary_scores, label_scores
from singcli.music.score import Score
from singcli.preparation.scores import score_from_midi
from singcli.preset_library import read_preset
from singcli.structure.bar_features import bar_features_from_score, bar_features_from_ssm
from singcli.structure.form import ssm_from_form
from singcli.structure.section import Span
from singcli.structure.section_labels import PairTables, StackedCuts
from singcli.structure.segmentation import describe_cuts
from singcli.structure.segmentation_weights import SegmentationWeights
from singcli.structure.ssm import ssm_from_score

Vector = npt.NDArray[np.float64]
Loss = Callable[[Vector], tuple[float, Vector]]

SHORT_BARS = 5  # two neighbours of one label, each at most so long, are phrases of one section
RIDGE = {"stretches": 0.005, "labels": 1e-4, "choice": 0.001}  # in units of features' spread
STEPS = 120


class Table(NamedTuple):
    """The features of one song's pairs of sections, or of its candidate descriptions."""

    features: Vector
    target: Vector
    weight: Vector


def human_sections(song: Song) -> list[Span]:
    """Return a song's labels without gaps; a section with the tune is not one without it."""
    spans, bar = [], 0
    for section in song.sections:
        if section.start_bar > bar:
            spans.append(Span(f"gap {bar}", bar, section.start_bar - bar))
        label = f"{section.label} {'with' if section.melodic else 'without'} tune"
        spans.append(Span(label, section.start_bar, section.n_bars))
        bar = section.start_bar + section.n_bars
    if bar < song.score.n_bars:
        spans.append(Span(f"gap {bar}", bar, song.score.n_bars - bar))
    return spans


def joined_pairs(spans: Sequence[Span]) -> list[Span]:
    """Join short neighbours of one label in pairs, from the first on: A4 A4 A4 B8 -> A8 A4 B8."""
    joined: list[Span] = []
    for index, span in enumerate(spans):
        last = joined[-1] if joined else None
        same = last is not None and last.label == span.label and last.n_bars <= SHORT_BARS
        if last is not None and same and span.n_bars <= SHORT_BARS and spans[index - 1] == last:
            joined[-1] = Span(span.label, last.start_bar, last.n_bars + span.n_bars)
        else:
            joined.append(span)
    return joined


def practice_songs(folder: Path) -> list[tuple[Score, list[Span]]]:
    """Read generated songs and the sections that they were made from."""
    songs = []
    for path in sorted(folder.rglob("*.mid")):
        recipe = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        rows = recipe["structure"]["sections"]
        spans = [Span(row["label"], row["start_bar"], row["n_bars"]) for row in rows]
        songs.append((score_from_midi(path, whole=True), spans))
    return songs


def drawn_forms(folder: Path) -> list[LabelledSong]:
    """Return the matrices that the practice forms ask for."""
    forms = [read_preset(str(path)) for path in sorted(folder.glob("*.toml"))]
    return [
        LabelledSong(bar_features_from_ssm(ssm_from_form(form), form.bar_beats), form.section_bars)
        for form in forms
    ]


def labelled(songs: Sequence[tuple[Score, list[Span]]], source: str) -> list[LabelledSong]:
    """Describe the bars of songs by their notes, or by their matrix alone."""
    if source == "notes":
        return [LabelledSong(bar_features_from_score(score), spans) for score, spans in songs]
    return [
        LabelledSong(bar_features_from_ssm(ssm_from_score(score), score.bar_beats), spans)
        for score, spans in songs
    ]


def fit(groups: Sequence[Sequence[LabelledSong]]) -> SegmentationWeights:
    """Fit all weights; every group of songs counts the same."""
    stretches = fit_stretches([SemiCrf(group) for group in groups])
    names, tables = pair_tables(groups)
    labels = minimised(
        lambda weights: summed([logistic_loss(table, weights) for table in tables]),
        names,
        RIDGE["labels"],
        np.ones(len(names)),
    )
    names, candidates = candidate_tables(groups, SegmentationWeights(stretches, labels, {}))
    spread = np.concatenate([t.features for group in candidates for t in group]).std(axis=0) + 1e-6
    choice = minimised(
        lambda weights: summed([expected_loss(group, weights) for group in candidates]),
        names,
        RIDGE["choice"],
        spread,
    )
    return SegmentationWeights(stretches, labels, choice)


def fit_stretches(fields: Sequence[SemiCrf]) -> dict[str, float]:
    """Fit what makes a stretch of bars a section."""
    return minimised(
        lambda weights: summed([field.loss(weights) for field in fields]),
        fields[0].names,
        RIDGE["stretches"],
        np.mean([field.spread() for field in fields], axis=0),
    )


def pair_tables(groups: Sequence[Sequence[LabelledSong]]) -> tuple[list[str], list[Table]]:
    """Return, for every group, its songs' pairs of sections, weighed by their bars."""
    tables = []
    for group in groups:
        parts = []
        for bars, sections in group:
            if len(sections) < 2:
                continue
            below = np.tril_indices(len(sections), -1)
            cut = [(span.start_bar, span.n_bars) for span in sections]
            cuts = StackedCuts.of([cut])
            pairs = PairTables(bars).pair_features(cuts)
            features = {name: cuts.matrices(value)[0] for name, value in pairs.items()}
            label = np.array([span.label for span in sections])
            length = np.array([span.n_bars for span in sections])
            size = np.outer(length, length)[below]
            values = [value[below] for value in features.values()] + [np.ones(len(size))]
            same = (label[:, None] == label)[below]
            parts.append(Table(np.stack(values, -1), same, size / size.sum() / len(group)))
        tables.append(Table(*(np.concatenate(column) for column in zip(*parts, strict=True))))
    return [*features, "bias"], tables


def candidate_tables(
    groups: Sequence[Sequence[LabelledSong]], weights: SegmentationWeights
) -> tuple[list[str], list[list[Table]]]:
    """Return, for every group and song, its candidate descriptions and how good they are."""
    result: list[list[Table]] = []
    names: list[str] = []
    for group in groups:
        result.append([])
        for bars, sections in group:
            described = describe_cuts(bars, weights)
            names = list(described[0][2])
            quality = [
                mean_f(sections, [Span(str(name), *s) for name, s in zip(labels, cut, strict=True)])
                for cut, labels, _ in described
            ]
            features = np.array([list(values.values()) for _, _, values in described])
            result[-1].append(Table(features, np.array(quality), np.ones(1) / len(group)))
    return names, result


def mean_f(reference: Sequence[Span], estimated: Sequence[Span]) -> float:
    """Return the mean F-measure of boundaries (within one bar, and exact) and labels."""
    starts = [[span.start_bar for span in spans[1:]] for spans in (reference, estimated)]
    labels = [[s.label for s in spans for _ in range(s.n_bars)] for spans in (reference, estimated)]
    return float(
        np.mean(
            [
                boundary_scores(*starts, window_bars=1).f_measure,
                boundary_scores(*starts, window_bars=0).f_measure,
                2 * label_scores(*labels).f_measure,
            ]
        )
    )


def logistic_loss(table: Table, weights: Vector) -> tuple[float, Vector]:
    """Return the weighed negative log likelihood of the targets, 0 or 1, and its gradient."""
    odds = table.features @ weights
    probability = 1.0 / (1.0 + np.exp(-odds))
    loss = np.logaddexp(0.0, odds) - table.target * odds
    return float(table.weight @ loss), (
        table.weight * (probability - table.target)
    ) @ table.features


def expected_loss(tables: Sequence[Table], weights: Vector) -> tuple[float, Vector]:
    """Return minus the expected quality, if candidates are drawn by a softmax of their scores."""
    loss, gradient = 0.0, np.zeros(len(weights))
    for features, quality, weight in tables:
        score = features @ weights
        probability = np.exp(score - score.max())
        probability /= probability.sum()
        expected = probability @ quality
        loss -= float(weight[0] * expected)
        gradient -= weight[0] * ((probability * (quality - expected)) @ features)
    return loss, gradient


def summed(parts: Sequence[tuple[float, Vector]]) -> tuple[float, Vector]:
    """Add losses and gradients."""
    return sum(part[0] for part in parts), np.sum([part[1] for part in parts], axis=0)


def minimised(loss: Loss, names: Sequence[str], ridge: float, spread: Vector) -> dict[str, float]:
    """Return the weights with the least loss, kept small in units of their features' spread."""
    scale = 1.0 / spread

    def penalised(values: Vector) -> tuple[float, Vector]:
        value, gradient = loss(values * scale)
        return value + ridge * float(values @ values) / 2, gradient * scale + ridge * values

    start = np.zeros(len(names))
    if "score" in names:
        start[list(names).index("score")] = 1.0
    found = minimize(penalised, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return {k: round(float(v), 4) for k, v in zip(names, found.x * scale, strict=True)}


def toml_from_weights(weights: Mapping[str, SegmentationWeights]) -> str:
    """Return the text of `segmentation_weights.toml`."""
    lines = ["# Written by benchmarks/fit_segmentation.py; see singcli/structure/segmentation.py."]
    for name, fitted in weights.items():
        for table in ("stretches", "labels", "choice"):
            lines += ["", f"[{name}.{table}]"]
            lines += [f'"{key}" = {value}' for key, value in getattr(fitted, table).items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments, fit, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python benchmarks/fit_segmentation.py --data DATA --songs practice "
        "--make 260 --out singcli/structure/segmentation_weights.toml",
    )
    parser.add_argument("--data", type=Path, required=True, help="POP909, as prepare wrote it")
    parser.add_argument("--songs", type=Path, required=True, help="folder of the practice songs")
    parser.add_argument("--make", type=int, default=0, help="make that many of them first (0)")
    parser.add_argument("--out", type=Path, help="file of the weights; printed unless given")
    arguments = parser.parse_args()

    make_songs(arguments.songs, arguments.make)
    human = [
        (song.score, human_sections(song))
        for song in Dataset.open(arguments.data).songs("train")
        if song.sections
    ]
    practice = practice_songs(arguments.songs)
    print(machine_line("numpy", "scipy"))
    print(f"{len(human)} songs with human labels, {len(practice)} generated ones", flush=True)
    weights = {}
    for source in ("notes", "ssm"):
        phrases, forms = labelled(human, source), labelled(practice, source)
        sections = [LabelledSong(song.bars, joined_pairs(song.sections)) for song in phrases]
        drawn = [drawn_forms(arguments.songs)] if source == "ssm" else []
        weights[f"{source}.sections"] = fit([sections, forms, *drawn])
        weights[f"{source}.phrases"] = fit([phrases])
    text = toml_from_weights(weights)
    if arguments.out is None:
        print(text)
    else:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
