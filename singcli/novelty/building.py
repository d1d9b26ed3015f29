"""An index from datasets: the training songs hashed, the held-out songs measured against them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from singcli.dataset import Dataset
from singcli.errors import InputError
from singcli.music.score import Score
from singcli.novelty.hashing import PARTS, Line, Part
from singcli.novelty.index import EXCERPT_BARS, FIGURES, Corpus, NoveltyIndex, StoredLine
from singcli.novelty.report import measure_novelty


def build_index(
    folders: Sequence[Path],
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> NoveltyIndex:
    """Hash the training songs of datasets, and measure their validation songs.

    Parameters
    ----------
    folders : sequence of Path
        Written by `prepare`. The name of a folder is that of its corpus.
    on_progress : callable
        Called with pieces of the yardstick measured and their number.

    Raises
    ------
    InputError
        If a folder is not a dataset or has no training songs, or two have one name.
    """
    names = [folder.resolve().name for folder in folders]
    songs: list[str] = []
    corpora: list[Corpus] = []
    train: list[Score] = []
    held_out: list[Score] = []
    excerpts: list[Score] = []
    for folder, name in zip(folders, names, strict=True):
        if names.count(name) > 1:
            raise InputError(f"{folder}: another dataset is called {name}", "rename one of them")
        dataset = Dataset.open(folder)
        ours, theirs = ([*dataset.songs(split)] for split in ("train", "validation"))
        if not ours:
            raise InputError(f"{folder}: no songs to train on", "prepare with fewer held out")
        parts = [part for song in theirs for part in excerpts_of(song.score)]
        corpora.append(Corpus(name, len(ours), len(theirs), len(parts)))
        songs += [f"{name}/{song.id}" for song in ours]
        train += [song.score for song in ours]
        held_out += [song.score for song in theirs]
        excerpts += parts
    index = index_of_scores(songs, corpora, train)
    measured = np.zeros((len(held_out) + len(excerpts), len(FIGURES)), np.float32)
    for row, score in enumerate([*held_out, *excerpts]):
        measured[row] = list(measure_novelty(score, index).figures().values())
        on_progress(row + 1, len(measured))
    return dataclasses.replace(
        index, yardstick=measured[: len(held_out)], excerpts=measured[len(held_out) :]
    )


def excerpts_of(score: Score) -> list[Score]:
    """Cut a piece into excerpts of `EXCERPT_BARS` bars; what is left over at the end is dropped."""
    starts = range(0, score.n_bars - EXCERPT_BARS + 1, EXCERPT_BARS)
    return [score.bars(start, start + EXCERPT_BARS) for start in starts]


def index_of_scores(
    songs: Sequence[str], corpora: Sequence[Corpus], scores: Sequence[Score]
) -> NoveltyIndex:
    """Return an index of songs that are at hand, without a yardstick.

    Parameters
    ----------
    songs : sequence of str
        Names of the songs, "corpus/id".
    corpora : sequence of Corpus
    scores : sequence of Score
        As many as songs.
    """
    nothing = np.zeros((0, len(FIGURES)), np.float32)
    lines = {part: _stored_line(scores, part) for part in PARTS}
    return NoveltyIndex(tuple(songs), tuple(corpora), lines, nothing, nothing)


def _stored_line(scores: Sequence[Score], part: Part) -> StoredLine:
    lines = [Line.from_score(score, part) for score in scores]
    gap: npt.NDArray[np.uint16] = np.zeros(1, np.uint16)
    return StoredLine(
        grams=np.concatenate([grams for line in lines for grams in (line.gram_hashes(), gap)]),
        notes_of_bar=np.concatenate([line.notes_of_bar for line in lines]).astype(np.uint16),
        bar_hashes=np.concatenate([line.bar_hashes() for line in lines]),
        song_bars=np.array([score.n_bars for score in scores], np.int32),
    )
