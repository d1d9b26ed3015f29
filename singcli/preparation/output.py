"""The folder that `prepare` writes: made ready, and finished."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from singcli import dataset, files
from singcli.dataset import INDEX_NAME, REPORT_NAME, SONGS_NAME, Dataset, Entry, Split
from singcli.errors import InputError
from singcli.preparation.sources import Skipped, Source


def make_folder(out: Path) -> None:
    """Make the folder `out`, unless it is there.

    Raises
    ------
    InputError
        If it holds something that is not a dataset, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder")
    is_ours = (out / INDEX_NAME).is_file() or (out / REPORT_NAME).is_file()
    if out.is_dir() and not is_ours and not all(map(files.is_temporary, out.iterdir())):
        raise InputError(f"{out}: holds something that is not a dataset", "choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error


def make_room(out: Path, sources: Sequence[Source], *, overwrite: bool) -> None:
    """Make sure that the folder of `make_folder` can be written.

    What a killed run left half written is taken away, and the index: until it is written again,
    the folder counts as unfinished.

    Parameters
    ----------
    sources : sequence of Source
        What the dataset is going to be made of.
    overwrite : bool
        Whether songs that are not made of these may be lost.

    Raises
    ------
    InputError
        If the folder holds songs that would be lost.
    WriteError
        If it cannot be written.
    """
    index = out / INDEX_NAME
    if index.is_file() and not overwrite:
        wanted = {source.id for source in sources}
        strangers = [e.id for e in Dataset.open(out).entries if e.id not in wanted]
        if strangers:
            raise InputError(
                f"{out}: holds {len(strangers)} songs that are not among the inputs"
                f" ({', '.join(strangers[:3])})",
                "name all inputs of the dataset, or let --overwrite take those songs out",
            )
    try:
        files.write_text(out / REPORT_NAME, "")
        (out / SONGS_NAME).mkdir(exist_ok=True)
        for folder in (out, out / SONGS_NAME):
            files.remove_temporaries(folder)
        index.unlink(missing_ok=True)
    except OSError as error:
        raise files.WriteError(out, error) from error


def index_of(
    entries: Mapping[str, Entry], held_out: set[str], licences: Mapping[str, str | None]
) -> tuple[tuple[Entry, ...], dict[str, str]]:
    """Give every entry its split and a short name for its licence.

    Parameters
    ----------
    entries : mapping of str to Entry
        By id.
    held_out : set of str
        Ids of the validation songs.
    licences : mapping of str to str
        Licence text by id, None where there is none.

    Returns
    -------
    tuple of Entry
        Ordered by id.
    dict of str to str
        Licence texts by short name.
    """
    texts: dict[str, str] = {}
    rows = []
    for song_id in sorted(entries):
        split: Split = "validation" if song_id in held_out else "train"
        text, name = licences[song_id], None
        if text is not None:
            name = hashlib.sha256(text.encode()).hexdigest()[:12]
            texts[name] = text
        rows.append(dataclasses.replace(entries[song_id], split=split, licence=name))
    return tuple(rows), texts


def finish(
    out: Path,
    entries: tuple[Entry, ...],
    skipped: Sequence[Skipped],
    *,
    licences: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Take away the songs that do not belong to the dataset, write the report, last the index."""
    wanted = {dataset.song_path(out, entry.id).name for entry in entries}
    for path in (out / SONGS_NAME).glob("*.npz"):
        if path.name not in wanted:
            path.unlink()
    write_report(out, skipped)
    dataset.write_index(out, entries, licences=licences, settings=settings)


def write_report(out: Path, skipped: Sequence[Skipped]) -> None:
    """Write what was left out: one JSON object a line."""
    lines = [json.dumps(dataclasses.asdict(skip), ensure_ascii=False) for skip in skipped]
    files.write_text(out / REPORT_NAME, "".join(f"{line}\n" for line in lines))
