"""Datasets, and archives of arrays: SSM files, novelty indexes, songs of datasets."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from singcli.errors import InputError
from singcli.files import UNPACKING_ERRORS
from singcli.info.report import (
    MAX_BYTES,
    NOT_STATED,
    Info,
    file_content,
    first_sentence,
    named_licences,
)
from singcli.info.songs import recipe_info
from singcli.recipe import recipe_from_fields


def json_info(path: Path) -> Info:
    """Describe a recipe or the index of a dataset.

    Raises
    ------
    InputError
        If it is neither.
    """
    try:
        value = json.loads(file_content(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if isinstance(value, dict) and "recipe_version" in value:
        recipe = recipe_from_fields(value, source=str(path), remedy=None)
        hint = f"singcli generate --recipe {path}"
        return recipe_info(path, "the recipe of a song", recipe, hint)
    if isinstance(value, dict) and value.get("format") == "singcli-dataset":
        return _dataset(path, value)
    raise InputError(
        f"{path}: JSON, but neither a recipe nor the index of a dataset",
        "a recipe is what singcli generate writes beside a song",
    )


def _dataset(path: Path, index: Mapping[str, Any]) -> Info:
    try:
        songs, licences = list(index["songs"]), dict(index["licences"])
        splits = Counter(str(song["split"]) for song in songs)
        facts = {"songs": len(songs), **splits}
        text = "\n\n".join(map(str, licences.values()))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged index of a dataset ({error})") from error
    return Info(
        path,
        "a dataset of singcli",
        facts,
        {"settings": index.get("settings")},
        {"data": named_licences(text) if text else NOT_STATED},
        text,
        f"singcli train --data {path.parent}",
    )


def archive_info(path: Path) -> Info:
    """Describe an archive of arrays (`.npz`).

    Raises
    ------
    InputError
        If it is none of singcli.
    """
    foreign = InputError(
        f"{path}: an archive, but no SSM file, novelty index or song of a dataset",
        "archives of MIDI files are for singcli prepare",
    )
    try:
        arrays = _small_arrays(path)
        if "entry" in arrays:
            entry = json.loads(arrays["entry"].tobytes().decode())
            return _song(path, entry)
        meta = json.loads(str(arrays["meta"]))
        if meta["format"] == "singcli-ssm":
            return _ssm(path, meta, int(arrays["bar_beats"][-1]))
        if meta["format"] == "singcli-novelty":
            return _novelty(path, meta)
    except (*UNPACKING_ERRORS, LookupError) as error:
        raise foreign from error
    raise foreign


def _small_arrays(path: Path) -> dict[str, Any]:
    """Read those arrays that say what an archive is; others are left packed."""
    import numpy as np

    found: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
    with np.load(path, allow_pickle=False) as stored:
        for name in ("meta", "entry", "bar_beats"):
            if 0 < sizes.get(f"{name}.npy", 0) <= MAX_BYTES:
                found[name] = stored[name]
    return found


def _ssm(path: Path, meta: Mapping[str, Any], n_beats: int) -> Info:
    source = dict(meta["provenance"])
    sections = " ".join(f"{label}{n_bars}" for label, _, n_bars in meta["sections"])
    return Info(
        path,
        "an SSM file: the structure of a piece, and no notes",
        {
            "sections": sections,
            "beats": n_beats,
            "meter": meta["meter"],
            "tempo": meta["tempo_bpm"],
            "key": meta["key"],
        },
        {
            "from": f"{source['name']} ({source['kind']})",
            "sha256": source["sha256"],
            "singcli": source["singcli_version"],
            "settings": source["settings"],
        },
        {"source": first_sentence(str(source["licence"]))},
        str(source["licence"]),
        f"singcli generate --template {path}",
    )


def _novelty(path: Path, meta: Mapping[str, Any]) -> Info:
    corpora = {row["name"]: row["songs"] for row in meta["corpora"]}
    return Info(
        path,
        "a novelty index: hashes of training songs, and no notes",
        {"songs": sum(corpora.values()), "corpora": corpora},
        {"singcli": meta["singcli_version"]},
        {"data": "that of the songs, which are not in the file"},
        hint=f"singcli novelty check SONG.mid --index {path}",
    )


def _song(path: Path, entry: Mapping[str, Any]) -> Info:
    names = ("id", "n_bars", "n_beats", "meter", "tempo_bpm", "key")
    return Info(
        path,
        "a song of a dataset",
        {name: entry[name] for name in names},
        {"source": entry["source"], "sha256": entry["sha256"]},
        {"data": entry.get("licence") or NOT_STATED},
        hint=f"the dataset: singcli info {path.parent.parent}",
    )
