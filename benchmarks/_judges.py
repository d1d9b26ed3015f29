"""Judges: classifiers that tell two kinds of excerpts apart, cross-validated song by song."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from _intervals import Interval, grouped_interval

FOLDS = 5
TREES = 200
LEAST_PROBABILITY = 0.01  # of the truth, in the loss; a forest may say 0
SHUFFLES = 3
AT_ONCE = 40  # groups of columns shuffled in one call of the judge: trees like large batches

Matrix = npt.NDArray[Any]
Vector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Judge(Protocol):
    """What can be trained on excerpts and then say how likely each is of the kind labelled 1."""

    def fit(self, inputs: Matrix, labels: Labels) -> Any:
        """Learn."""

    def predict_proba(self, inputs: Matrix) -> Matrix:
        """Return the probability of both kinds, shape=(n, 2)."""


class Case(NamedTuple):
    """Excerpts of two kinds.

    Parameters
    ----------
    inputs : np.ndarray, shape=(n, ...)
    labels : np.ndarray, shape=(n,), 0 or 1
    songs : np.ndarray, shape=(n,), str
        All excerpts of a song are in the same fold.
    """

    inputs: Matrix
    labels: Labels
    songs: npt.NDArray[np.str_]


class Verdict(NamedTuple):
    """How well a judge tells the kinds apart on songs it has not seen; 0.5 is chance."""

    accuracy: Interval
    auc: float


def forest(seed: int = 0) -> Judge:
    """Return a random forest."""
    from sklearn.ensemble import RandomForestClassifier

    made: Judge = RandomForestClassifier(
        TREES, min_samples_leaf=2, max_features="sqrt", random_state=seed, n_jobs=1
    )
    return made


def boosting(seed: int = 0) -> Judge:
    """Return gradient-boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    made: Judge = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=8, l2_regularization=1.0,
        max_features=0.3, random_state=seed,
    )  # fmt: skip
    return made


def folds(case: Case) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Return pairs of training and held-out excerpts; no song is in both."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(case.labels)), case.labels, case.songs))


def held_out_probabilities(make: Callable[[], Judge], case: Case) -> Vector:
    """Return the probability of label 1 for each excerpt, by a judge that has not met its song."""
    probability = np.zeros(len(case.labels))
    for train, held_out in folds(case):
        judge = make()
        judge.fit(case.inputs[train], case.labels[train])
        probability[held_out] = judge.predict_proba(case.inputs[held_out])[:, 1]
    return probability


def verdict(probability: Vector, case: Case) -> Verdict:
    """Return the mean accuracy of the two kinds, with its interval over songs, and the AUC."""
    right = (probability > 0.5) == (case.labels == 1)
    groups = []
    for label in (0, 1):
        songs = np.unique(case.songs[case.labels == label])
        mine = case.labels == label
        groups.append([float(right[mine & (case.songs == song)].mean()) for song in songs])
    return Verdict(grouped_interval(groups), auc(probability, case.labels))


def auc(score: Vector, labels: Labels) -> float:
    """Return how often a 1 has a higher score than a 0; ties count half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, score))


class Named(NamedTuple):
    """A figure that a judge looks at: what it costs to take it away, and how the kinds differ."""

    name: str
    importance: float  # nats that the held-out loss rises when it is shuffled
    means: tuple[float, float]
    auc_alone: float  # of the figure by itself, 0.5 to 1


def importances(
    make: Callable[[], Judge], case: Case, groups: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    """Return by how many nats the held-out loss rises when columns are shuffled together.

    Parameters
    ----------
    groups : mapping of str to sequence of int
        Columns by name.

    Notes
    -----
    Source: Breiman, "Random Forests" (2001), section 10; differs: loss in nats instead of errors,
    on held-out songs. Columns that say the same stand in for one another, so that each alone looks
    less important than both together.
    """
    rng = np.random.default_rng(0)
    rises: dict[str, list[float]] = {name: [] for name in groups}
    for train, held_out in folds(case):
        judge = make()
        judge.fit(case.inputs[train], case.labels[train])
        inputs, labels = case.inputs[held_out], case.labels[held_out]
        base = losses(judge.predict_proba(inputs), labels).mean()
        for names in batches(list(groups), AT_ONCE):
            copies = np.tile(inputs, (len(names) * SHUFFLES, 1))
            for row, (name, _) in enumerate(itertools.product(names, range(SHUFFLES))):
                rows = slice(row * len(inputs), (row + 1) * len(inputs))
                order = rng.permutation(len(inputs))
                copies[rows, groups[name]] = inputs[order][:, groups[name]]
            found = losses(judge.predict_proba(copies), np.tile(labels, len(names) * SHUFFLES))
            for name, part in zip(names, found.reshape(len(names), -1), strict=True):
                rises[name].append(float(part.mean() - base))
    return {name: statistics.fmean(values) for name, values in rises.items()}


def batches(names: Sequence[str], size: int) -> list[Sequence[str]]:
    """Cut a list into parts of at most this size."""
    return [names[first : first + size] for first in range(0, len(names), size)]


def losses(probabilities: Matrix, labels: Labels) -> Vector:
    """Return the negative log probability of the truth of each excerpt, in nats."""
    right = probabilities[np.arange(len(labels)), labels]
    found: Vector = -np.log(np.maximum(right, LEAST_PROBABILITY))
    return found


def ranked(names: Sequence[str], case: Case, importance: Mapping[str, float]) -> list[Named]:
    """Return the figures from the most important to the least."""
    found = []
    for column, name in enumerate(names):
        values = case.inputs[:, column]
        alone = auc(values, case.labels)
        means = (
            float(values[case.labels == 0].mean()),
            float(values[case.labels == 1].mean()),
        )
        found.append(Named(name, importance[name], means, max(alone, 1 - alone)))
    return sorted(found, key=lambda figure: -figure.importance)
