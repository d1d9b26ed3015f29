"""How often the estimated key is right, and whether changes of key are found.

Keys: songs of POP909 that are annotated with one key, and piano pieces whose key is in their name.
*shift* counts the relative as right, because it is moved to C major or A minor by as much; *MIREX*
is mir_eval's weighted score (a fifth 0.5, the relative 0.3, the parallel 0.2). The weights of the
estimator were fitted to the training songs; "fitted anew" is the same with each fifth of the
training songs estimated from the other four.

Changes: songs annotated with several keys (relatives counted as one), whose sequence has to be
found; songs with one key, with a transposition planted at the middle or after two thirds, and
without: every change found in the latter is a false alarm. Songs start with their annotated key
known, as `prepare` gives it, except where the table says so. Last, how often other corpora change,
and what their notes outside the scale are before and after the bars are moved.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _key_estimators import (
    MODES,
    PROFILES,
    Arrays,
    Estimator,
    by_correlation,
    fitted_weights,
    pitch_class_shares,
    reference_shares,
)
from _key_labels import LabelledScore, annotated_songs, named_pieces
from _machine import Row, machine_line, markdown_table, run, write_json

from singcli.dataset import Dataset, Song
from singcli.music.key import Key, estimate_key, reference_key
from singcli.music.modulation import main_key, reference_shifts
from singcli.music.score import STEPS_PER_BEAT, Score

N_FOLDS = 5
PLANTED = (1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5)
KEY_HEADER = ["estimator", "songs", "n", "exact", "fifth", "relative", "parallel", "other"]
KEY_HEADER += ["MIREX", "shift"]
CHANGE_HEADER = ["songs", "n", "change found", "keys in order", "bars right"]
CORPUS_HEADER = ["corpus", "songs", "change", "changes in 100 bars", "bars away from the key"]
CORPUS_HEADER += ["outside the scale", "after moving bars"]


def estimates_in_turn(shares: Arrays, keys: Sequence[Key]) -> list[Key]:
    """Estimate each fifth of the songs with weights that are fitted to the others."""
    fold = np.random.default_rng(0).permutation(len(keys)) % N_FOLDS
    estimates: list[Key] = list(keys)
    for k in range(N_FOLDS):
        weights = fitted_weights(
            shares[fold != k], [keys[int(i)] for i in np.flatnonzero(fold != k)]
        )
        for i in np.flatnonzero(fold == k):
            moved = [[np.roll(row, tonic) @ shares[i] for tonic in range(12)] for row in weights]
            mode, tonic = np.unravel_index(int(np.argmax(moved)), (2, 12))
            estimates[i] = Key(int(tonic), MODES[int(mode)])
    return estimates


def key_row(name: str, group: str, estimates: Sequence[Key], keys: Sequence[Key]) -> Row:
    """Return the shares of right and wrong estimates."""
    import mir_eval

    pairs = list(zip(keys, estimates, strict=True))
    scores = np.array([mir_eval.key.weighted_score(str(key), str(e)) for key, e in pairs])
    shares = [float((np.abs(scores - value) < 1e-9).mean()) for value in (1, 0.5, 0.3, 0.2, 0)]
    shift = np.mean([key.shift_to_reference == e.shift_to_reference for key, e in pairs])
    return [name, group, len(keys), *shares, float(scores.mean()), float(shift)]


def key_rows(groups: dict[str, list[LabelledScore]]) -> list[Row]:
    """Return a row for every estimator and group of songs."""
    estimators: dict[str, Estimator] = {"always C major": lambda _: Key(0, "major")}
    estimators |= {name: by_correlation(profiles) for name, profiles in PROFILES.items()}
    estimators["singcli"] = estimate_key
    rows: list[Row] = []
    for group, songs in groups.items():
        shares = np.array([pitch_class_shares(song.score) for song in songs])
        keys = [song.keys[0] for song in songs]
        rows += [
            key_row(name, group, [estimator(row) for row in shares], keys)
            for name, estimator in estimators.items()
        ]
        unknown = [dataclasses.replace(song.score, key=None) for song in songs]
        by_bars = [main_key(score) or Key(0, "major") for score in unknown]
        rows.append(key_row("singcli, key of most bars", group, by_bars, keys))
        if "training" in group:
            fresh = estimates_in_turn(shares, keys)
            rows.append(key_row("singcli, fitted anew", group, fresh, keys))
    return rows


def planted(song: LabelledScore, rng: np.random.Generator) -> tuple[Score, npt.NDArray[np.int64]]:
    """Transpose the second half or the last third; return the song and its shifts, 0 to 11."""
    score, n_bars = song.score, song.score.n_bars
    start = n_bars // 2 if rng.random() < 0.5 else 2 * n_bars // 3
    moves = np.where(np.arange(n_bars) < start, 0, int(rng.choice(PLANTED)))
    return score.transposed_bars(moves), (song.shifts[0] - moves) % 12


def known_key(song: LabelledScore, score: Score) -> Score:
    """Give a score the first annotated key."""
    return dataclasses.replace(score, key=song.keys[0])


def change_rows(name: str, songs: list[LabelledScore]) -> list[Row]:
    """Return rows for planted changes, for songs without and for songs with annotated ones."""
    one, several = ([s for s in songs if (len(s.shifts) > 1) == many] for many in (False, True))
    one = [song for song in one if len(song.keys) == 1]
    rng = np.random.default_rng(0)
    cases = {f"{name}, planted": [(s, *planted(s, rng)) for s in one]}
    cases[f"{name}, one key"] = [(s, s.score, np.full(s.score.n_bars, s.shifts[0])) for s in one]
    rows: list[Row] = []
    for case, triples in cases.items():
        for known in (True, False):
            kind = case if known else f"{case}, key unknown"
            rows.append(_planted_row(kind, triples, known=known))
    found = [_sequence(reference_shifts(known_key(s, s.score))) for s in several]
    changed = [len(sequence) > 1 for sequence in found]
    same = [a == s.shifts for a, s in zip(found, several, strict=True)]
    share = [float(np.mean(values)) if values else None for values in (changed, same)]
    rows.append([f"{name}, several keys", len(several), *share, None])
    return rows


def _planted_row(
    name: str,
    triples: Sequence[tuple[LabelledScore, Score, npt.NDArray[np.int64]]],
    *,
    known: bool,
) -> Row:
    changed, same, right = [], [], []
    for song, score, truth in triples:
        keyed = known_key(song, score) if known else dataclasses.replace(score, key=None)
        shifts = reference_shifts(keyed) % 12
        changed.append(len(_sequence(shifts)) > 1)
        same.append(_sequence(shifts) == _sequence(truth))
        right.append(float((shifts == truth).mean()))
    return [name, len(triples), *(float(np.mean(v)) for v in (changed, same, right))]


def _sequence(shifts: npt.NDArray[np.int64]) -> list[int]:
    """Return the shifts, 0 to 11, of the segments in order."""
    return [int(s) % 12 for s in shifts[np.r_[True, np.diff(shifts) % 12 != 0]]]


def corpus_row(name: str, songs: Sequence[Song]) -> Row:
    """Return how often a corpus changes key, and what moving its bars does to foreign notes."""
    shifts = [reference_shifts(song.score) for song in songs]
    n_changes = np.array([len(_sequence(of_song)) - 1 for of_song in shifts])
    n_bars = np.array([song.score.n_bars for song in songs])
    own = [0 if s.score.key is None else s.score.key.shift_to_reference for s in songs]
    away = sum(int((a != b).sum()) for a, b in zip(shifts, own, strict=True)) / n_bars.sum()
    change = f"{(n_changes > 0).mean():.1%}"
    foreign = [
        f"{np.concatenate(list(map(foreign_notes, songs, moves))).mean():.2%}"
        for moves in ([np.full(n, k) for n, k in zip(n_bars, own, strict=True)], shifts)
    ]
    frequency = float(100 * n_changes.sum() / n_bars.sum())
    return [name, len(songs), change, frequency, f"{away:.1%}", *foreign]


def foreign_notes(song: Song, shifts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which notes, after moving the bars, are outside C major or A minor (both sevenths)."""
    score = song.score
    bar = np.searchsorted(score.bar_beats * STEPS_PER_BEAT, score.step, side="right") - 1
    scale = reference_key("major" if score.key is None else score.key.mode).scale
    outside: npt.NDArray[np.bool_] = ~scale[(score.pitch + shifts[bar]) % 12]
    return outside


def print_fitted(songs: Sequence[LabelledScore]) -> None:
    """Print the constants of `singcli.music.key` and `singcli.music.modulation`."""
    shares = np.array([pitch_class_shares(song.score) for song in songs])
    weights = fitted_weights(shares, [song.keys[0] for song in songs])
    for mode, row in zip(MODES, weights, strict=True):
        print(f"weights, {mode}: {row.round().astype(int).tolist()}")
    scores = [dataclasses.replace(song.score, key=song.keys[0]) for song in songs]
    print(f"shares: {(1000 * reference_shares(scores)).round().astype(int).tolist()}")


def main() -> None:
    """Read the datasets, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/keys.py --data DATA --corpus POP909 --named NIFC "
        "salon=NIFC lied=LIEDER",
    )
    parser.add_argument("--data", type=Path, required=True, help="POP909 as prepare wrote it")
    parser.add_argument("--corpus", type=Path, required=True, help="POP909's folder of NNN/")
    parser.add_argument("--named", type=Path, help="a dataset whose ids may name the key")
    parser.add_argument("others", nargs="*", metavar="NAME=DATA", help="more prepared corpora")
    parser.add_argument("--fit", action="store_true", help="print the estimator's weights anew")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.data)
    splits = {
        name: annotated_songs(dataset, arguments.corpus, split)
        for name, split in (("training", "train"), ("validation", "validation"))
    }
    groups = {
        f"POP909 {name}": [song for song in songs if len(song.keys) == 1]
        for name, songs in splits.items()
    }
    if arguments.fit:
        print_fitted(groups["POP909 training"])
        return
    if arguments.named:
        groups["named piano pieces"] = named_pieces(Dataset.open(arguments.named))
    several = [s for songs in splits.values() for s in songs if len(s.keys) > 1]
    tables = {
        "keys": (KEY_HEADER, key_rows(groups | {"POP909 several keys, the first": several})),
        "changes": (CHANGE_HEADER, [r for n, s in splits.items() for r in change_rows(n, s)]),
        "corpora": (CORPUS_HEADER, corpus_rows(dataset, arguments.others)),
    }
    print(machine_line("numpy", "mir_eval"), end="\n\n")
    for header, rows in tables.values():
        print(markdown_table(header, rows), end="\n\n")
    write_json(arguments.json, {name: rows for name, (_, rows) in tables.items()})


def corpus_rows(pop: Dataset, others: Sequence[str]) -> list[Row]:
    """Return a row for POP909 and each NAME=DATA."""
    datasets = {"POP909": pop}
    datasets |= {
        name: Dataset.open(Path(path)) for name, _, path in (o.partition("=") for o in others)
    }
    return [
        corpus_row(name, d.songs("train") + d.songs("validation")) for name, d in datasets.items()
    ]


if __name__ == "__main__":
    run(main)
