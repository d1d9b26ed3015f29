"""The manifest of a batch: one line of JSON for every song, in the order in which they were done.

Conventions: `manifest.jsonl` lies in the folder of the songs. A row is appended by a single write
to a file opened for appending, so that neither other processes nor an interruption tear it apart;
a torn last line, left by a full disk, is not continued. Of several rows of one path the last one
counts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from singcli.files import append_line
from singcli.recipe import Recipe
from singcli.seeds import Shard

MANIFEST = "manifest.jsonl"

Status = Literal["made", "below", "failed"]


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """What came of one song.

    Parameters
    ----------
    path : str
        Name of the file; of the one that was to be, if the song failed.
    status : {"made", "below", "failed"}
        "below" is a song that does not reach the structure that was required.
    name : str
        Of the preset, form or template.
    seed : int
    sha256 : str, optional
        Of the file.
    structure : float, optional
        Its score, see `StructureReport`.
    error : str, optional
        Why the song failed.
    """

    path: str
    status: Status
    name: str
    seed: int
    sha256: str | None = None
    structure: float | None = None
    error: str | None = None

    @classmethod
    def of_song(cls, path: Path, recipe: Recipe, content: bytes, *, reached: bool) -> ManifestRow:
        """Return the row of a finished song."""
        return cls(
            path.name,
            "made" if reached else "below",
            str(recipe.options["name"]),
            recipe.seed,
            hashlib.sha256(content).hexdigest(),
            None if recipe.structure is None else recipe.structure["score"],
        )


def manifest_path(folder: Path, shard: Shard | None = None) -> Path:
    """Return where the manifest of a folder lies; every shard has its own.

    Network file systems do not promise what appending on one machine does.
    """
    if shard is None:
        return folder / MANIFEST
    return folder / f"manifest-{shard.number}-of-{shard.of}.jsonl"


def append_row(path: Path, row: ManifestRow) -> None:
    """Append a row whole, on a line of its own; see `append_line`."""
    append_line(path, json.dumps(dataclasses.asdict(row), ensure_ascii=False, allow_nan=False))


def read_rows(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the last row of every path; empty without a manifest. Torn lines are left out."""
    rows: dict[str, Mapping[str, Any]] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return rows
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("path"), str):
            rows[row["path"]] = row
    return rows
