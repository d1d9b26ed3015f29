"""The folder that `prepare` writes: made ready, and finished."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from singcli import dataset, files, row_dataset
from singcli.dataset import REPORT_NAME, Dataset, Entry
from singcli.errors import InputError
from singcli.preparation.sources import Skipped, Source
from singcli.row_dataset import Piece, RowDataset

Made = TypeVar("Made", Entry, Piece)


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of dataset as a folder.

    Parameters
    ----------
    kind, things : str
        What it and what it holds are called.
    index, folder : str
        Names of the index and of the folder with a file for each of the things.
    ids : callable
        Returns the ids in the index of such a folder.
    """

    kind: str
    things: str
    index: str
    folder: str
    ids: Callable[[Path], list[str]]


SONGS = Layout(
    "dataset",
    "songs",
    dataset.INDEX_NAME,
    dataset.SONGS_NAME,
    lambda out: [entry.id for entry in Dataset.open(out).entries],
)
ROWS = Layout(
    "row dataset",
    "pieces",
    row_dataset.INDEX_NAME,
    row_dataset.PIECES_NAME,
    lambda out: [piece.id for piece in RowDataset.open(out).pieces],
)


def make_folder(out: Path, *, layout: Layout = SONGS) -> None:
    """Make the folder `out`, unless it is there.

    Raises
    ------
    InputError
        If it holds something that is not such a dataset, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder")
    if out.is_dir() and not _is_ours(out, layout):
        raise InputError(
            f"{out}: holds something that is not a {layout.kind}", "choose another folder"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error


def make_room(
    out: Path, sources: Sequence[Source], *, overwrite: bool, layout: Layout = SONGS
) -> None:
    """Make sure that the folder of `make_folder` can be written.

    What a killed run left half written is taken away, and the index: until it is written again,
    the folder counts as unfinished.

    Parameters
    ----------
    sources : sequence of Source
        What the dataset is going to be made of.
    overwrite : bool
        Whether songs that are not made of these may be lost.
    layout : Layout

    Raises
    ------
    InputError
        If the folder holds songs that would be lost.
    WriteError
        If it cannot be written.
    """
    index = out / layout.index
    if index.is_file() and not overwrite:
        wanted = {source.id for source in sources}
        strangers = [name for name in layout.ids(out) if name not in wanted]
        if strangers:
            raise InputError(
                f"{out}: holds {len(strangers)} {layout.things} that are not among the inputs"
                f" ({', '.join(strangers[:3])})",
                f"name all inputs of the {layout.kind}, or let --overwrite take those"
                f" {layout.things} out",
            )
    try:
        files.write_text(out / REPORT_NAME, "")
        (out / layout.folder).mkdir(exist_ok=True)
        for folder in (out, out / layout.folder):
            files.remove_temporaries(folder)
        index.unlink(missing_ok=True)
    except OSError as error:
        raise files.WriteError(out, error) from error


def _is_ours(out: Path, layout: Layout) -> bool:
    """Tell whether a folder is a dataset of this kind, finished or not, or is to be one."""
    others = [other for other in (SONGS, ROWS) if other is not layout]
    if any((out / other.index).is_file() or (out / other.folder).is_dir() for other in others):
        return False
    begun = (out / layout.index).is_file() or (out / REPORT_NAME).is_file()
    return begun or all(map(files.is_temporary, out.iterdir()))


def with_licences(
    entries: Iterable[Made], licences: Mapping[str, str | None]
) -> tuple[tuple[Made, ...], dict[str, str]]:
    """Give every entry a short name for its licence.

    Parameters
    ----------
    entries : iterable of Entry or Piece
    licences : mapping of str to str
        Licence text by id, None where there is none.

    Returns
    -------
    tuple of Entry or Piece
        Ordered by id.
    dict of str to str
        Licence texts by short name.
    """
    texts: dict[str, str] = {}
    rows = []
    for entry in sorted(entries, key=lambda entry: entry.id):
        text, name = licences[entry.id], None
        if text is not None:
            name = hashlib.sha256(text.encode()).hexdigest()[:12]
            texts[name] = text
        rows.append(dataclasses.replace(entry, licence=name))
    return tuple(rows), texts


def tidy(
    out: Path, ids: Iterable[str], skipped: Sequence[Skipped], *, layout: Layout = SONGS
) -> None:
    """Take away what does not belong to the dataset, and write the report; the index comes last."""
    wanted = {f"{name}.npz" for name in ids}
    for path in (out / layout.folder).glob("*.npz"):
        if path.name not in wanted:
            path.unlink()
    write_report(out, skipped)


def write_report(out: Path, skipped: Sequence[Skipped]) -> None:
    """Write what was left out: one JSON object a line."""
    lines = [json.dumps(dataclasses.asdict(skip), ensure_ascii=False) for skip in skipped]
    files.write_text(out / REPORT_NAME, "".join(f"{line}\n" for line in lines))
