"""What the velocities of prepared corpora look like, and what eight classes of them lose.

Tables, a row for each corpus and voice: the spread over all notes and inside songs, the share of
songs with one velocity throughout, how far a note's deviation from its song's mean follows the
note before it in its voice, its place in the bar and its pitch; then the mean absolute error, in
MIDI velocities, of several sets of eight classes, each corpus weighted equally in the last column.
The bounds of the sets that depend on data come from the training songs, the errors are those of
the validation songs. Entropies are bits a note: of the class alone, and given the class of the
note before in the same voice.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _machine import Row, machine_line, markdown_table, run, write_json

from singcli.dataset import Dataset, Song
from singcli.music.score import N_VOICES, STEPS_PER_BEAT, VOICE_NAMES

N_VALUES = 128
SPREAD = ["corpus", "voice", "songs", "notes", "distinct", "mean", "sd", "5 %", "median", "95 %"]
SPREAD += ["sd in a song", "constant songs"]
TIES = ["corpus", "voice", "lag 1", "lag 4", "same onset", "bar place", "pitch", "song mean"]


@dataclass(frozen=True, slots=True)
class Classes:
    """Velocity classes.

    Parameters
    ----------
    lowest : np.ndarray, shape=(n_classes,), int64
        Least velocity of each class, rising; the first is 0.
    value : np.ndarray, shape=(n_classes,), int64
        The velocity that stands for the class.
    """

    lowest: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]

    def of(self, velocity: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the class of every velocity."""
        return np.searchsorted(self.lowest, velocity, side="right").astype(np.int64) - 1

    def __str__(self) -> str:
        return " ".join(f"{low}-({v})" for low, v in zip(self.lowest, self.value, strict=True))


def uniform_classes(n_classes: int) -> Classes:
    """Return classes of equal width, each with its middle as value."""
    width = N_VALUES // n_classes
    lowest = np.arange(n_classes) * width
    return Classes(lowest, lowest + width // 2)


def quantile_classes(share: npt.NDArray[np.float64], n_classes: int) -> Classes:
    """Return classes with as equal a share of the notes as whole velocities allow.

    Parameters
    ----------
    share : np.ndarray, shape=(128,)
        Of the notes that have each velocity.
    """
    below = np.r_[0, np.cumsum(share)[:-1]] / share.sum()
    wanted = np.arange(1, n_classes) / n_classes
    lowest = np.unique(np.r_[0, np.searchsorted(below, wanted)]).astype(np.int64)
    return Classes(lowest, _medians(share, lowest))


def best_classes(share: npt.NDArray[np.float64], n_classes: int) -> Classes:
    """Return the classes with the least mean absolute error, by dynamic programming.

    Notes
    -----
    Source: Fisher, "On Grouping for Maximum Homogeneity" (1958), with absolute deviations; the
    value of a class is the median of its notes.
    """
    values = np.arange(N_VALUES)
    cost = np.full((N_VALUES, N_VALUES + 1), np.inf)
    for low in range(N_VALUES):
        for end in range(low + 1, N_VALUES + 1):
            middle = _median(share[low:end]) + low
            cost[low, end] = (share[low:end] * np.abs(values[low:end] - middle)).sum()
    least = np.r_[0.0, np.full(N_VALUES, np.inf)]
    came_from = []
    for _ in range(n_classes):
        total = least[:-1, None] + cost
        came_from.append(np.argmin(total, axis=0))
        least = total.min(axis=0)
    end, lowest = N_VALUES, []
    for origin in reversed(came_from):
        end = int(origin[end])
        lowest.append(end)
    starts = np.array(lowest[::-1], np.int64)
    return Classes(starts, _medians(share, starts))


def _medians(
    share: npt.NDArray[np.float64], lowest: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    ends = np.r_[lowest[1:], N_VALUES]
    return np.array([_median(share[a:b]) + a for a, b in zip(lowest, ends, strict=True)], np.int64)


def _median(share: npt.NDArray[np.float64]) -> int:
    held = np.cumsum(share)
    middle = held[-1] / 2 if held[-1] > 0 else -1.0
    return int(np.searchsorted(held, middle)) if held[-1] > 0 else len(share) // 2


def mean_error(classes: Classes, songs: Sequence[Song]) -> float:
    """Return the mean absolute difference of a note's velocity and its class's value."""
    velocity = np.concatenate([song.score.velocity for song in songs])
    return float(np.abs(classes.value[classes.of(velocity)] - velocity).mean())


def entropies(classes: Classes, songs: Sequence[Song]) -> tuple[float, float]:
    """Return bits a note: of its class, and of its class given that of the note before it."""
    n = len(classes.value)
    follows = np.zeros((n, n))
    for song in songs:
        number = classes.of(song.score.velocity)
        for voice in range(N_VOICES):
            of_voice = number[song.score.voice == voice]
            np.add.at(follows, (of_voice[:-1], of_voice[1:]), 1)
    joint = follows / follows.sum()
    return _bits(joint.sum(axis=0)), _bits(joint.ravel()) - _bits(joint.sum(axis=1))


def _bits(chance: npt.NDArray[np.float64]) -> float:
    some = chance[chance > 0]
    return float(-(some * np.log2(some)).sum())


def histogram(songs: Sequence[Song]) -> npt.NDArray[np.float64]:
    """Return the share of the notes that have each velocity, shape=(128,)."""
    velocity = np.concatenate([song.score.velocity for song in songs])
    return np.bincount(velocity, minlength=N_VALUES) / len(velocity)


def spread_row(corpus: str, songs: Sequence[Song], voice: int) -> Row:
    """Return how the velocities of a voice are spread."""
    parts = [song.score.velocity[song.score.voice == voice] for song in songs]
    parts = [part for part in parts if len(part)]
    every = np.concatenate(parts)
    inside = [float(part.std()) for part in parts]
    return [
        *(corpus, VOICE_NAMES[voice], len(parts), len(every), len(np.unique(every))),
        *(float(every.mean()), float(every.std())),
        *(float(q) for q in np.quantile(every, (0.05, 0.5, 0.95))),
        *(float(np.median(inside)), f"{np.mean([sd == 0 for sd in inside]):.1%}"),
    ]


def ties_row(corpus: str, songs: Sequence[Song], voice: int) -> Row:
    """Return what a note's deviation from its song's mean goes with.

    Correlations of the pooled deviations; for the place in the bar and for the song's mean the
    share of the variance that they explain (eta squared), the former of deviations, the latter of
    the velocities.
    """
    deviations, pitches, places, means, steps = [], [], [], [], []
    for song in songs:
        score = song.score
        mine = score.voice == voice
        if mine.sum() < 2:
            continue
        velocity = score.velocity[mine].astype(np.float64)
        deviations.append(velocity - velocity.mean())
        means.append(np.full(len(velocity), velocity.mean()))
        pitches.append(score.pitch[mine] - score.pitch[mine].mean())
        bar_step = score.bar_beats * STEPS_PER_BEAT
        bar = np.searchsorted(bar_step, score.step[mine], side="right") - 1
        places.append(score.step[mine] - bar_step[bar])
        steps.append(score.step[mine])
    lagged = {lag: _lagged(deviations, lag) for lag in (1, 4)}
    chords = _chords(deviations, steps)
    every, mean = np.concatenate(deviations), np.concatenate(means)
    by_place = _explained(every, np.concatenate(places))
    of_song = float(mean.var() / (mean.var() + every.var()))
    pitch = _correlation(every, np.concatenate(pitches))
    return [corpus, VOICE_NAMES[voice], lagged[1], lagged[4], chords, by_place, pitch, of_song]


def _lagged(parts: Sequence[npt.NDArray[np.float64]], lag: int) -> float:
    long = [part for part in parts if len(part) > lag]
    return _correlation(
        np.concatenate([part[:-lag] for part in long]),
        np.concatenate([part[lag:] for part in long]),
    )


def _chords(
    parts: Sequence[npt.NDArray[np.float64]], steps: Sequence[npt.NDArray[np.int32]]
) -> float | None:
    """Correlate neighbours that begin together; None where none do."""
    one, other = [], []
    for part, step in zip(parts, steps, strict=True):
        together = np.diff(step) == 0
        one.append(part[:-1][together])
        other.append(part[1:][together])
    pairs = np.concatenate(one), np.concatenate(other)
    return _correlation(*pairs) if len(pairs[0]) > 1 else None


def _correlation(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _explained(value: npt.NDArray[np.float64], group: npt.NDArray[np.int64]) -> float:
    counts = np.bincount(group)
    sums = np.bincount(group, weights=value)
    means = np.divide(sums, counts, out=np.zeros(len(sums)), where=counts > 0)
    return float(means[group].var() / value.var())


Maker = Callable[[npt.NDArray[np.float64], int], Classes]


def class_sets(training: Mapping[str, Sequence[Song]], n_classes: int) -> dict[str, Classes]:
    """Return named sets of classes; those fitted to data weigh every corpus equally."""
    shares = {name: histogram(songs) for name, songs in training.items()}
    pooled = np.mean(list(shares.values()), axis=0)
    makers: dict[str, Maker] = {"quantiles": quantile_classes, "least error": best_classes}
    sets = {"uniform": uniform_classes(n_classes)}
    sets |= {f"{how}, all": make(pooled, n_classes) for how, make in makers.items()}
    sets |= {
        f"least error, {name}": best_classes(share, n_classes) for name, share in shares.items()
    }
    return sets


def class_rows(
    training: Mapping[str, Sequence[Song]], held_out: Mapping[str, Sequence[Song]], n_classes: int
) -> list[Row]:
    """Return a row for each set of classes: errors by corpus, entropies, bounds."""
    rows: list[Row] = []
    for name, classes in class_sets(training, n_classes).items():
        errors = [mean_error(classes, songs) for songs in held_out.values()]
        bits = np.mean([entropies(classes, songs) for songs in held_out.values()], axis=0)
        rows.append([name, *errors, float(np.mean(errors)), *map(float, bits), str(classes)])
    return rows


def main() -> None:
    """Read the datasets, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python benchmarks/velocities.py pop=DATA salon=DATA lied=DATA",
    )
    parser.add_argument("data", nargs="+", metavar="NAME=DATA", help="folders written by prepare")
    parser.add_argument("--classes", type=int, default=8, help="number of classes (8)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    folders = dict(word.partition("=")[::2] for word in arguments.data)
    if "" in folders.values():
        parser.error("write every dataset as NAME=DATA, such as pop=data/pop909")
    if not 2 <= arguments.classes <= N_VALUES:
        parser.error(f"--classes {arguments.classes}: allowed are 2 to {N_VALUES}")
    datasets = {name: Dataset.open(Path(folder)) for name, folder in folders.items()}
    training = {name: dataset.songs("train") for name, dataset in datasets.items()}
    held_out = {name: dataset.songs("validation") for name, dataset in datasets.items()}
    named = [(name, songs + held_out[name]) for name, songs in training.items()]
    spread = [spread_row(*part, voice) for part in named for voice in range(N_VOICES)]
    ties = [ties_row(*part, voice) for part in named for voice in range(N_VOICES)]
    sets = class_rows(training, held_out, arguments.classes)
    head = [f"{arguments.classes} classes", *folders, "mean", "bits", "bits given last"]
    print(machine_line("numpy"))
    print(f"\n{', '.join(f'{name} {len(songs)} songs' for name, songs in named)}\n")
    for header, rows in ((SPREAD, spread), (TIES, ties), ([*head, "bounds (value)"], sets)):
        print(markdown_table(header, rows), end="\n\n")
    write_json(arguments.json, {"spread": spread, "ties": ties, "classes": sets})


if __name__ == "__main__":
    run(main)
