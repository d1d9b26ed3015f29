"""Songs that follow two real songs at once, and whether each counts as much as it weighs.

Pairs of validation songs, their first bars as templates, blended with shares from one to the other.
Measured is r between the matrix of the song made and that of each template, and that of the blend
itself; and, before anything is made, r between the blend and the templates. The sharper template of
a pair (the one whose similarities vary more) comes first: it must not win by that.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _intervals import mean_interval
from _machine import Row, machine_line, markdown_table, run
from _template_songs import matrices_of_songs, structure_from_score

from singcli.dataset import Dataset, Song
from singcli.errors import InputError
from singcli.metrics.structure import structure_correlation
from singcli.music.score import Score
from singcli.structure.blend import blend_structures
from singcli.structure.quality import measure_quality
from singcli.structure.ssm import Matrix
from singcli.structure.ssm_file import Structure

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
HEADER = [
    "share of the sharper",
    "blend and sharper",
    "blend and duller",
    "song and sharper",
    "song and duller",
    "song and blend",
    "blends with a warning",
]
Pair = tuple[Structure, Structure]


def pairs_of_songs(songs: Sequence[Song], n_bars: int, n_pairs: int) -> list[Pair]:
    """Pair the first bars of songs in 4/4, in order, the sharper one of each pair first.

    Raises
    ------
    InputError
        If there are not enough songs of that length.
    """
    long_enough = [song for song in songs if is_regular(song.score, n_bars)]
    if len(long_enough) < 2 * n_pairs:
        raise InputError(
            f"{len(long_enough)} songs begin with {n_bars} bars of 4/4, needed: {2 * n_pairs}"
        )
    structures = [
        structure_from_score(song.score.bars(0, n_bars), song.id)
        for song in long_enough[: 2 * n_pairs]
    ]
    return [
        (one, other) if sharpness(one) >= sharpness(other) else (other, one)
        for one, other in zip(structures[::2], structures[1::2], strict=True)
    ]


def is_regular(score: Score, n_bars: int) -> bool:
    """Tell whether a piece has so many bars of 4/4 at its beginning."""
    return score.n_bars >= n_bars and bool((np.diff(score.bar_beats[: n_bars + 1]) == 4).all())


def sharpness(structure: Structure) -> float:
    """Return the standard deviation of the similarities."""
    return float(structure.ssm[np.tril_indices(structure.n_beats, -1)].std())


def blend_of_pair(pair: Pair, share: float) -> Structure:
    """Blend a pair; with all or nothing for the first one, return one of them."""
    weighted = [(part, weight) for part, weight in zip(pair, (share, 1 - share), strict=True)]
    return blend_structures([(part, weight) for part, weight in weighted if weight], name="pair")


def share_row(pairs: Sequence[Pair], share: float, model: str) -> Row:
    """Return the mean correlations of the blends of one share and of their songs."""
    blends = [blend_of_pair(pair, share) for pair in pairs]
    songs = matrices_of_songs(blends, model)
    cells: Row = []
    for matrices in ([blend.ssm for blend in blends], songs):
        for place in range(2):
            r = [common_r(m, pair[place].ssm) for m, pair in zip(matrices, pairs, strict=True)]
            cells.append(str(mean_interval(r)))
    own = [common_r(blend.ssm, song) for blend, song in zip(blends, songs, strict=True)]
    warned = sum(bool(measure_quality(blend).warnings) for blend in blends)
    return [share, *cells, str(mean_interval(own)), f"{warned} of {len(blends)}"]


def common_r(one: Matrix, other: Matrix) -> float:
    """Return the correlation of two matrices as far as both reach."""
    n_beats = min(len(one), len(other))
    return structure_correlation(one[:n_beats, :n_beats], other[:n_beats, :n_beats])


def main() -> None:
    """Blend, make songs, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/blends.py --data DATA",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--model", default="pop", help="bundled model or .onnx (pop)")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of templates (12)")
    parser.add_argument("--bars", type=int, default=64, help="their length (64)")
    arguments = parser.parse_args()
    held_out = Dataset.open(arguments.data).songs("validation")
    pairs = pairs_of_songs(held_out, arguments.bars, arguments.pairs)
    sharper, duller = (
        np.mean([sharpness(part) for part in side]) for side in zip(*pairs, strict=True)
    )
    print(machine_line("numpy", "onnxruntime"))
    print(
        f"\n{len(pairs)} pairs, {arguments.bars} bars; standard deviation of the similarities "
        f"{sharper:.3f} and {duller:.3f}\n"
    )
    print(markdown_table(HEADER, [share_row(pairs, share, arguments.model) for share in SHARES]))


if __name__ == "__main__":
    run(main)
