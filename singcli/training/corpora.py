"""What a run learns from: prepared datasets of songs, or of rows, opened and described alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from singcli.dataset import Dataset
from singcli.errors import InputError
from singcli.model.contract import Material
from singcli.row_dataset import INDEX_NAME as ROWS_INDEX
from singcli.row_dataset import RowDataset
from singcli.structure.texture import DEFAULT_TEXTURE, Texture, fit_texture
from singcli.training.examples import Trainable, TrainingSong
from singcli.training.row_examples import RowSong

Corpora = Sequence[Dataset] | Sequence[RowDataset]

TEXTURE_LAGS = 65  # beats: 16 bars of 4/4, where the grain is strong


def open_corpora(paths: Sequence[Path]) -> Corpora:
    """Open prepared datasets, all of songs or all of rows.

    Raises
    ------
    InputError
        If one of them is not a dataset, or the kinds are mixed.
    """
    of_rows = [(path / ROWS_INDEX).exists() for path in paths]
    if all(of_rows):
        return open_rows(paths)
    if any(of_rows):
        raise InputError(
            f"{paths[of_rows.index(True)]}: a dataset of rows among datasets of songs",
            "train on one kind at a time",
        )
    return [Dataset.open(path) for path in paths]


def open_rows(paths: Sequence[Path]) -> list[RowDataset]:
    """Open datasets of rows."""
    return [RowDataset.open(path) for path in paths]


def material_of(corpora: Corpora) -> Material:
    """Return what the datasets are made of."""
    return "rows" if isinstance(corpora[0], RowDataset) else "songs"


def songs_of(corpora: Corpora, split: str) -> list[Trainable]:
    """Read the songs or segments of a split."""
    songs: list[Trainable] = []
    for data in corpora:
        if isinstance(data, RowDataset):
            songs += [RowSong(segment) for segment in data.segments(split)]
        else:
            songs += [TrainingSong.from_song(song) for song in data.songs(split)]
    return songs


def styles_of(corpora: Corpora) -> tuple[str, ...]:
    """Return the styles of datasets of songs, the first one's first."""
    styles = [data.style for data in corpora if isinstance(data, Dataset)]
    return tuple(dict.fromkeys(style for style in styles if style is not None))


def facts_of(corpora: Corpora) -> dict[str, Any]:
    """Return what tells a run's data from other data, and their licences."""
    rows = [
        (entry.id, entry.fingerprint, entry.split)
        for data in corpora
        for entry in (data.pieces if isinstance(data, RowDataset) else data.entries)
    ]
    return {
        "fingerprint": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        "licences": {key: text for data in corpora for key, text in data.licences.items()},
    }


def fitted_textures(songs: Sequence[Trainable], styles: Sequence[str]) -> tuple[Texture, ...]:
    """Fit a texture to the songs of each style, or to all songs without styles.

    Rows have none: their matrices are those of pieces.
    """
    if not styles:
        return (_common_texture(songs),)
    return tuple(_common_texture([s for s in songs if s.style == style]) for style in styles)


def _common_texture(songs: Sequence[Trainable]) -> Texture:
    """Fit the texture to the songs in the commonest meter (all bars of one length)."""
    by_meter: dict[int, list[TrainingSong]] = {}
    for song in songs:
        if not isinstance(song, TrainingSong):
            continue
        lengths = set((song.score.bar_beats[1:] - song.score.bar_beats[:-1]).tolist())
        if len(lengths) == 1:
            by_meter.setdefault(lengths.pop(), []).append(song)
    if not by_meter:
        return DEFAULT_TEXTURE
    beats_per_bar, group = max(by_meter.items(), key=lambda item: len(item[1]))
    return fit_texture([song.ssm for song in group], beats_per_bar, TEXTURE_LAGS)
