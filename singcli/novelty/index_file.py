"""Index files: the hashes of the songs that a model was trained on, and no notes.

An index file (`NAME.novelty.npz`) lies beside `NAME.onnx`. It holds

- `lead`, `all`: uint16, the gram hashes of the songs in their order; behind each song a gap;
- `lead_notes`, `all_notes`: (n_bars,) uint16, how many notes of the line begin in each bar;
- `lead_bars`, `all_bars`: (n_bars,) uint32, the hash of every bar's content;
- `song_bars`: (n_songs,) int32, the length of each song;
- `yardstick`: (n_held_out, n_figures) float32, the figures of real songs that were held out;
- `excerpts`: (n_excerpts, n_figures) float32, those of excerpts from them, `EXCERPT_BARS` long;
- `meta`: JSON text: format, version, how grams and bars were counted, corpora, names of the songs.

It is read without pickle. What is wrong with a foreign or damaged file ends in one line.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singcli import __version__, files
from singcli.errors import InputError
from singcli.novelty import hashing
from singcli.novelty.hashing import PARTS
from singcli.novelty.index import EXCERPT_BARS, FIGURES, Corpus, NoveltyIndex, StoredLine

FORMAT, VERSION = "singcli-novelty", 1
SUFFIX = ".novelty.npz"
REMEDY = "make one: singcli novelty index"
MAX_BYTES = 2**30  # unpacked; hundreds of times what the bundled one has
COUNTING = {  # an index counted otherwise cannot be compared with
    "gram_notes": hashing.GRAM_NOTES,
    "passage_notes": hashing.PASSAGE_NOTES,
    "min_bar_notes": dict(hashing.MIN_BAR_NOTES),
    "excerpt_bars": EXCERPT_BARS,
}
_TABLES = ("yardstick", "excerpts")
_TYPES: Mapping[str, type[np.generic]] = {
    "lead": np.uint16,
    "all": np.uint16,
    "lead_notes": np.uint16,
    "all_notes": np.uint16,
    "lead_bars": np.uint32,
    "all_bars": np.uint32,
    "song_bars": np.int32,
    "yardstick": np.float32,
    "excerpts": np.float32,
}


def write_index(index: NoveltyIndex, path: Path) -> None:
    """Write an index file, whole or not at all; the same index gives the same bytes."""
    meta = {
        "format": FORMAT,
        "version": VERSION,
        **COUNTING,
        "figures": FIGURES,
        "corpora": [dataclasses.asdict(corpus) for corpus in index.corpora],
        "songs": [name.partition("/")[2] for name in index.songs],
        "singcli_version": __version__,
    }
    arrays: dict[str, npt.NDArray[Any]] = {}
    for part, line in index.lines.items():
        arrays[part] = line.grams
        arrays[f"{part}_notes"] = line.notes_of_bar
        arrays[f"{part}_bars"] = line.bar_hashes
        arrays["song_bars"] = line.song_bars
    for name in _TABLES:
        arrays[name] = getattr(index, name)
    arrays["meta"] = np.array(json.dumps(meta, ensure_ascii=False))
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def read_index(path: Path) -> NoveltyIndex:
    """Read an index file.

    Raises
    ------
    InputError
        If the file is missing, damaged, not an index, of another version, or inconsistent.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise InputError(f"{path}: more than {MAX_BYTES} bytes unpacked, not an index")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _TYPES if name in stored.files}
            meta = json.loads(str(stored["meta"]))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})", REMEDY) from error
    except files.UNPACKING_ERRORS as error:
        raise InputError(f"{path}: damaged, or not a novelty index", REMEDY) from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise InputError(f"{path}: not a novelty index", REMEDY)
    if meta.get("version") != VERSION:
        raise InputError(
            f"{path}: version {meta.get('version')!r}, this singcli reads {VERSION}", REMEDY
        )
    for key, value in COUNTING.items():
        if meta.get(key) != value:
            raise InputError(
                f"{path}: {key} = {meta.get(key)!r}, this singcli counts with {value}", REMEDY
            )
    try:
        index = _index_from_parts(arrays, meta)
        _validate_index(index)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged novelty index ({error})", REMEDY) from error
    return index


def _index_from_parts(arrays: Mapping[str, npt.NDArray[Any]], meta: Any) -> NoveltyIndex:
    for name, kind in _TYPES.items():
        if arrays[name].dtype != kind or arrays[name].ndim != 1 + (name in _TABLES):
            raise ValueError(f"{name} has the type {arrays[name].dtype}{list(arrays[name].shape)}")
    if tuple(meta["figures"]) != FIGURES:
        raise ValueError(f"figures are {meta['figures']}")
    corpora = tuple(Corpus(**row) for row in meta["corpora"])
    corpus_of_song = [corpus.name for corpus in corpora for _ in range(corpus.songs)]
    names = zip(corpus_of_song, meta["songs"], strict=True)
    return NoveltyIndex(
        songs=tuple(f"{corpus}/{song}" for corpus, song in names),
        corpora=corpora,
        lines={
            part: StoredLine(
                arrays[part],
                arrays[f"{part}_notes"],
                arrays[f"{part}_bars"],
                arrays["song_bars"],
            )
            for part in PARTS
        },
        **{name: arrays[name] for name in _TABLES},
    )


def _validate_index(index: NoveltyIndex) -> None:
    """Check that songs, bars, notes and hashes agree.

    Raises
    ------
    ValueError
        Says what does not.
    """
    for part, line in index.lines.items():
        if len(index.songs) != len(line.song_bars) or not len(index.songs):
            raise ValueError(f"{len(index.songs)} names for {len(line.song_bars)} songs")
        n_bars = int(line.song_bars.sum())
        if line.song_bars.min() < 1 or len(line.notes_of_bar) != n_bars:
            raise ValueError(f"songs have {n_bars} bars, {part}_notes {len(line.notes_of_bar)}")
        if len(line.bar_hashes) != n_bars:
            raise ValueError(f"songs have {n_bars} bars, {part}_bars {len(line.bar_hashes)}")
        if line.starts[-1] != len(line.grams):
            raise ValueError(f"{part} has {len(line.grams)} hashes, its notes {line.starts[-1]}")
    for name, count in zip(_TABLES, ("held_out", "excerpts"), strict=True):
        table = getattr(index, name)
        n_rows = sum(getattr(corpus, count) for corpus in index.corpora)
        if table.shape != (n_rows, len(FIGURES)) or not np.isfinite(table).all():
            raise ValueError(f"{name} is not {n_rows} rows of {len(FIGURES)} figures")
