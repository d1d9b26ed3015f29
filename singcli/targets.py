"""Where songs go: file names, and whether they can be written at all."""

from __future__ import annotations

import os
import re
import string
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.files import validate_new_file

DEFAULT_FILENAME = "{preset}-{seed}.mid"
FILENAME_FIELDS = ("preset", "seed", "index", "model")
NUMBER_FIELDS = ("seed", "index")
MAX_NAME_BYTES = 200  # file systems take 255; temporary names and `below_path` are longer

_NUMBER_FORMAT = re.compile(r"(0?[1-9]\d?)?d?")


@dataclass(frozen=True, slots=True)
class Target:
    """A song to be made.

    Parameters
    ----------
    source : int
        Which of the wishes of a call it follows.
    seed : int
    path : Path
    """

    source: int
    seed: int
    path: Path


def recipe_path(path: Path) -> Path:
    """Return where the recipe of the song at `path` lies."""
    return path.with_suffix(".json")


def picture_path(path: Path) -> Path:
    """Return where the picture of the song at `path` lies."""
    return path.with_suffix(".png")


def below_path(path: Path, min_structure: float) -> Path:
    """Return where a song is kept that does not reach `min_structure`: `x.below-0.80.mid`."""
    figure = f"{min_structure:.2f}"
    if float(figure) != min_structure:
        figure = f"{min_structure:g}"
    return path.with_name(f"{path.stem}.below-{figure}{path.suffix}")


def song_targets(
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    out: Path | None,
    out_dir: Path,
    filename: str = DEFAULT_FILENAME,
    model: str = "model",
) -> list[Target]:
    """Return the songs to be made: all seeds of the first wish, then all of the second.

    Parameters
    ----------
    names : sequence of str
        What the songs of each wish are called after.
    seeds : sequence of int
    out : Path, optional
        File of the only song.
    out_dir : Path
    filename : str
        Pattern with `FILENAME_FIELDS`.
    model : str
        Name or path of the model, for its field.

    Raises
    ------
    InputError
        If `out` is given for several songs, or `filename` has an unknown field, makes equal names
        or leaves the folder.
    """
    pairs = [(source, seed) for source in range(len(names)) for seed in seeds]
    if out is not None:
        if len(pairs) > 1:
            raise InputError(f"--out names one file, {len(pairs)} are asked for", "use --out-dir")
        return [Target(*pairs[0], midi_path(out))]
    _validate_pattern(filename)
    plain = [_plain(name) for name in names]
    model = _plain(Path(model).stem)
    targets, taken = [], set()
    for index, (source, seed) in enumerate(pairs, 1):
        name = filename.format(preset=plain[source], seed=seed, index=index, model=model)
        _validate_name(name, filename)
        if name.casefold() in taken:
            raise InputError(
                f"--filename {filename!r}: the songs get equal names ({name})",
                "use {seed}" if "{seed" not in filename else "use {preset} or {index}",
            )
        taken.add(name.casefold())
        targets.append(Target(source, seed, out_dir / name))
    return targets


def _validate_pattern(filename: str) -> None:
    """Check the fields of a pattern: known ones, with a width at most."""
    allowed = ", ".join(f"{{{name}}}" for name in FILENAME_FIELDS)
    remedy = f"fields are {allowed}, formats as in {{seed:06d}}"
    try:
        parts = list(string.Formatter().parse(filename))
    except ValueError as error:
        raise InputError(f"--filename {filename!r}: cannot be read ({error})", remedy) from error
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if field not in FILENAME_FIELDS:
            near = hint_from_names(nearest_names(field, FILENAME_FIELDS, limit=1))
            remedies = remedy if near is None else f"{near} {remedy}"
            raise InputError(f"--filename {filename!r}: unknown field {field!r}", remedies)
        is_width = field in NUMBER_FIELDS and _NUMBER_FORMAT.fullmatch(form or "")
        if conversion or (form and not is_width):
            raise InputError(f"--filename {filename!r}: {{{field}}} has an unknown format", remedy)


def _validate_name(name: str, filename: str) -> None:
    """Check that a file name is one, of this folder, on any system."""
    if Path(name).name != name or name in ("", ".", "..") or "\\" in name:
        raise InputError(
            f"--filename {filename!r}: must be a name without folders", "use --out-dir"
        )
    if not name.isprintable():
        raise InputError(f"--filename {filename!r}: holds a character that cannot be printed")
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise InputError(f"--filename {filename!r}: longer than {MAX_NAME_BYTES} bytes")
    midi_path(Path(name))


def _plain(name: str) -> str:
    """Return a name for use in a file name: the text of a form may hold anything."""
    kept = "".join(c if c.isalnum() or c in "-_.'" else "_" for c in name)[:80]
    return kept.strip("._") or "song"


def midi_path(path: Path) -> Path:
    """Return the path of a song.

    Raises
    ------
    InputError
        If it does not end as MIDI files do.
    """
    if path.suffix.lower() not in (".mid", ".midi"):
        raise InputError(f"{path}: a song's file must end in .mid")
    return path


def validate_targets(
    paths: Sequence[Path],
    *,
    overwrite: bool,
    pictures: bool = False,
    min_structure: float | None = None,
) -> None:
    """Check that no file stands in the way of those to be written, before any work is done.

    Parameters
    ----------
    paths : sequence of Path
        Of the songs.
    pictures : bool
        Whether a picture is to lie beside every song.
    min_structure : float, optional
        With it a song may be kept under the name `below_path`.

    Raises
    ------
    InputError
        If a file exists and may not be replaced.
    """
    below = [] if min_structure is None else [below_path(path, min_structure) for path in paths]
    for path in (*paths, *below):
        beside = [recipe_path(path), picture_path(path)] if pictures else [recipe_path(path)]
        for file in (path, *beside):
            validate_new_file(file, overwrite=overwrite)


def validate_folders(paths: Sequence[Path]) -> None:
    """Check that files can be written where they are to be; missing folders are made.

    Raises
    ------
    InputError
        If a folder cannot be made or written.
    """
    for folder in {path.parent for path in paths}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written ({error.strerror})", "choose another --out-dir"
            ) from error
