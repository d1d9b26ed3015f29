"""Whether the figures of a template say how it will turn out, and of which ones there are warnings.

`--out` measures the training songs and writes what `singcli.structure.quality` compares with.

The first table counts the templates of each kind with a warning: real songs, whole and in part, on
the one side, and on the other degenerate matrices made of them, music without repeats (8 bars of
one song after 8 of another, all in one key) and, with `--midi`, other files. The second one gives
the rank correlation of each figure with r between the wanted matrix and that of the song that
`generate` would make of it, over real excerpts, and over these and degenerate ones together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _machine import Row, machine_line, markdown_table, run
from _template_songs import matrices_of_songs, structure_from_score, with_matrix

from singcli.analysis import structure_from_midi
from singcli.dataset import Dataset, Song
from singcli.errors import SingError
from singcli.files import write_text
from singcli.metrics.structure import structure_correlation
from singcli.model.features import reference_shift
from singcli.music.score import STEPS_PER_BEAT, Score
from singcli.structure.quality import TemplateQuality, measure_quality
from singcli.structure.ssm import Matrix, ssm_from_score
from singcli.structure.ssm_file import Structure
from singcli.structure.template_reference import TemplateReference

FIGURES = (
    "repeating",
    "new_bars",
    "coherence",
    "contrast",
    "silence",
    "value_percentile",
    "lag_percentile",
)
R_HEADER = ["figure", "rank correlation with r, real excerpts", "and degenerate ones"]
PIECE_BARS = 8
BROKEN_SONGS = 3  # degenerate templates of each kind that songs are made of
NOTE_ARRAYS = ("voice", "pitch", "duration", "velocity")

Structures = list[Structure]


def shuffled_beats(ssm: Matrix, rng: np.random.Generator) -> Matrix:
    """Put the beats into another order."""
    order = rng.permutation(len(ssm))
    return ssm[np.ix_(order, order)]


def shuffled_bars(score: Score, rng: np.random.Generator) -> Matrix:
    """Put the bars of a piece's matrix into another order."""
    bars = np.split(np.arange(score.n_beats), score.bar_beats[1:-1])
    order = np.concatenate([bars[bar] for bar in rng.permutation(len(bars))])
    moved: Matrix = ssm_from_score(score)[np.ix_(order, order)]
    return moved


def random_matrix(n_beats: int, rng: np.random.Generator) -> Matrix:
    """Draw every similarity on its own."""
    return symmetric(rng.random((n_beats, n_beats)))


def flat_matrix(n_beats: int, rng: np.random.Generator) -> Matrix:
    """Return one similarity for all, up to a hundredth."""
    return symmetric(rng.uniform(0.3, 0.9) + rng.uniform(0, 0.01, (n_beats, n_beats)))


def symmetric(values: npt.NDArray[np.float64]) -> Matrix:
    """Return the lower half, mirrored, with 1 on the diagonal."""
    below = np.tril(values, -1).astype(np.float32)
    np.fill_diagonal(below, 0.5)
    mirrored: Matrix = below + below.T
    return mirrored


def joined(pieces: Sequence[Score]) -> Score:
    """Put pieces one after the other."""
    starts = np.cumsum([0, *(piece.n_steps for piece in pieces)])
    bars = [np.zeros(1, np.int64)]
    bars += [
        start // STEPS_PER_BEAT + p.bar_beats[1:]
        for start, p in zip(starts[:-1], pieces, strict=True)
    ]
    columns = [np.concatenate([getattr(p, name) for p in pieces]) for name in NOTE_ARRAYS]
    start_of_note = np.repeat(starts[:-1], [piece.n_notes for piece in pieces])
    return Score.from_notes(
        start_of_note + np.concatenate([piece.step for piece in pieces]),
        *columns,
        bar_beats=np.concatenate(bars),
        tempo_bpm=100.0,
    )


def without_repeats(songs: Sequence[Song], n_bars: int, rng: np.random.Generator) -> Score:
    """Take 8 bars of one song after 8 bars of another, in one key."""
    chosen = rng.choice(len(songs), n_bars // PIECE_BARS, replace=False)
    pieces = []
    for index in chosen:
        score = songs[index].score
        start = int(rng.integers(0, score.n_bars - PIECE_BARS))
        pieces.append(score.transposed(reference_shift(score)).bars(start, start + PIECE_BARS))
    return joined(pieces)


def degenerate(
    songs: Sequence[Song], n_bars: int, rng: np.random.Generator
) -> dict[str, Structures]:
    """Make a degenerate template of each kind from the first bars of each song."""
    makers: Mapping[str, Callable[[Score], Matrix]] = {
        "beats shuffled": lambda score: shuffled_beats(ssm_from_score(score), rng),
        "bars shuffled": lambda score: shuffled_bars(score, rng),
        "random matrix": lambda score: random_matrix(score.n_beats, rng),
        "flat matrix": lambda score: flat_matrix(score.n_beats, rng),
        "silence": lambda score: np.zeros((score.n_beats, score.n_beats), np.float32),
    }
    excerpts = [song.score.bars(0, n_bars) for song in songs]
    kinds = {
        kind: [with_matrix(excerpt, make(excerpt), kind) for excerpt in excerpts]
        for kind, make in makers.items()
    }
    bars = [score.bars(bar := score.n_bars // 2, bar + 1) for score in excerpts]
    kinds["one bar repeated"] = [
        structure_from_score(joined([bar] * n_bars), "one bar repeated") for bar in bars
    ]
    kinds["8 bars of different songs"] = [
        structure_from_score(without_repeats(songs, n_bars, rng), "different songs") for _ in songs
    ]
    return kinds


def warning_row(kind: str, qualities: Sequence[TemplateQuality]) -> Row:
    """Return how many templates there is a warning of, and the medians of some figures."""
    warned = [quality for quality in qualities if quality.warnings]
    medians = (np.median([getattr(quality, name) for quality in qualities]) for name in FIGURES)
    share = f"{len(warned) / len(qualities):.1%}"
    return [kind, len(qualities), share, *(round(float(value), 3) for value in medians)]


def r_of_songs(structures: Structures, model: str) -> list[float]:
    """Make a song of each template and return r between the wanted and the measured matrix."""
    songs = matrices_of_songs(structures, model)
    return [
        structure_correlation(structure.ssm, ssm)
        for structure, ssm in zip(structures, songs, strict=True)
    ]


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Spearman's correlation; None where one side is constant."""
    ranks = [mean_ranks(np.array(values)) for values in (one, other)]
    if min(rank.std() for rank in ranks) == 0:
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def mean_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranks: npt.NDArray[np.float64] = middle[place]
    return ranks


def group_rows(structures: Structures, r: Sequence[float]) -> list[Row]:
    """Return the mean r of the templates with and without a warning."""
    warned = np.array([bool(measure_quality(structure).warnings) for structure in structures])
    values = np.array(r)
    groups = (("without a warning", ~warned), ("with a warning", warned))
    return [
        [name, int(of.sum()), float(values[of].mean()) if of.any() else None] for name, of in groups
    ]


def correlation_rows(structures: Structures, r: Sequence[float], n_real: int) -> list[Row]:
    """Return the rank correlation of each figure with r, for the first `n_real` and for all."""
    qualities = [measure_quality(structure) for structure in structures]
    rows: list[Row] = []
    for name in FIGURES:
        values = [float(getattr(quality, name)) for quality in qualities]
        rows.append([name, *(rank_correlation(values[:n], r[:n]) for n in (n_real, len(r)))])
    return rows


def files_rows(paths: Sequence[Path]) -> list[Row]:
    """Return a row for every MIDI file that can be read, those that repeat least first."""
    rows: list[Row] = []
    for path in paths:
        try:
            quality = measure_quality(structure_from_midi(path))
        except SingError as error:
            print(f"left out: {error}")
            continue
        what = "; ".join(warning.what for warning in quality.warnings)
        rows.append([path.name, quality.repeating, quality.contrast, what or "-"])
    return sorted(rows, key=lambda row: float(row[1] or 0))


def parsed() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/template_quality.py --data DATA "
        "--out singcli/structure/template_reference.toml",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--out", type=Path, help="write what templates are compared with here")
    parser.add_argument("--model", default="pop", help="bundled model or .onnx (pop)")
    parser.add_argument("--songs", type=int, default=30, help="real templates that are made (30)")
    parser.add_argument("--bars", type=int, default=64, help="length of excerpts (64)")
    parser.add_argument("--midi", type=Path, nargs="*", default=[], help="other MIDI files")
    return parser.parse_args()


def main() -> None:
    """Measure, write, count, make songs, correlate."""
    arguments = parsed()
    dataset, rng = Dataset.open(arguments.data), np.random.default_rng(0)
    training, held_out = dataset.songs("train"), dataset.songs("validation")
    whole = {
        "training songs": [structure_from_score(song.score, song.id) for song in training],
        "validation songs": [structure_from_score(song.score, song.id) for song in held_out],
    }
    if arguments.out:
        source = f"POP909, {len(training)} training songs (MIT, (c) 2020 Music X Lab)"
        reference = TemplateReference.from_structures(whole["training songs"], source)
        write_text(arguments.out, reference.to_toml())
    long_enough = [song for song in held_out if song.score.n_bars >= arguments.bars]
    excerpts = {
        f"validation, first {n} bars": [
            structure_from_score(song.score.bars(0, n), song.id) for song in long_enough
        ]
        for n in (arguments.bars // 2, arguments.bars)
    }
    real = excerpts[f"validation, first {arguments.bars} bars"]
    broken = degenerate(long_enough, arguments.bars, rng)
    print(machine_line("numpy", "onnxruntime") + "\n")
    qualities = {
        kind: [measure_quality(structure) for structure in structures]
        for kind, structures in {**whole, **excerpts, **broken}.items()
    }
    rows = [warning_row(kind, of_kind) for kind, of_kind in qualities.items()]
    print(markdown_table(["templates", "number", "with a warning", *FIGURES], rows))
    if arguments.midi:
        header = ["file", "repeating", "contrast", "warnings"]
        print("\n" + markdown_table(header, files_rows(arguments.midi)))
    chosen = [real[: arguments.songs], *(of_kind[:BROKEN_SONGS] for of_kind in broken.values())]
    made = list(chain.from_iterable(chosen))
    r = r_of_songs(made, arguments.model)
    print("\n" + markdown_table(["templates", "songs", "mean r"], group_rows(made, r)))
    print("\n" + markdown_table(R_HEADER, correlation_rows(made, r, len(chosen[0]))))


if __name__ == "__main__":
    run(main)
