"""Where songs go: seeds, file names, and whether they can be written at all."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from singcli.errors import InputError
from singcli.files import validate_new_file

DEFAULT_FILENAME = "{preset}-{seed}.mid"
FILENAME_FIELDS = ("preset", "seed", "index")
MAX_SEED = 2**63 - 1
MAX_COUNT = 100_000
DRAWN_SEEDS = 10**6  # a drawn seed is short enough to be typed again


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
    name: str,
    *,
    seed: int | None,
    count: int,
    out: Path | None,
    out_dir: Path,
    filename: str = DEFAULT_FILENAME,
) -> list[tuple[int, Path]]:
    """Return seed and path of each song; without a seed one is drawn.

    The k-th of `count` songs has the seed `seed` + k, whatever else is made.

    Raises
    ------
    InputError
        If the numbers are out of range, `out` is given for several songs, or `filename` has an
        unknown field, makes equal names or leaves the folder.
    """
    if not 1 <= count <= MAX_COUNT:
        raise InputError(f"count = {count}, allowed: 1 to {MAX_COUNT}")
    first = secrets.randbelow(DRAWN_SEEDS) if seed is None else seed
    if not 0 <= first <= MAX_SEED - count:
        raise InputError(f"seed = {first}, allowed: 0 to {MAX_SEED - count}")
    seeds = range(first, first + count)
    if out is not None:
        if count > 1:
            raise InputError(f"--out names one file, --count asks for {count}", "use --out-dir")
        return [(first, _midi_path(out))]
    files = [_filled(filename, name, s, index) for index, s in enumerate(seeds, 1)]
    if len(set(files)) < len(files):
        raise InputError(f"--filename {filename!r}: the songs get equal names", "use {seed}")
    return [(s, out_dir / file) for s, file in zip(seeds, files, strict=True)]


def _filled(filename: str, preset: str, seed: int, index: int) -> str:
    allowed = ", ".join(f"{{{name}}}" for name in FILENAME_FIELDS)
    try:
        name = filename.format(preset=_plain(preset), seed=seed, index=index)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise InputError(
            f"--filename {filename!r}: cannot be filled in ({error})",
            f"fields are {allowed}, formats as in {{seed:06d}}",
        ) from error
    if Path(name).name != name or name in (".", ".."):
        raise InputError(
            f"--filename {filename!r}: must be a name without folders", "use --out-dir"
        )
    return _midi_path(Path(name)).name


def _plain(name: str) -> str:
    """Return a name for use in a file name: the text of a form may hold anything."""
    kept = "".join(c if c.isalnum() or c in "-_.'" else "_" for c in name)[:80]
    return kept.strip("._") or "song"


def _midi_path(path: Path) -> Path:
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
    """Check that the files can be written, before any work is done.

    Missing folders are made.

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
        If a file exists and may not be replaced, or a folder cannot be made or written.
    """
    below = [] if min_structure is None else [below_path(path, min_structure) for path in paths]
    for path in (*paths, *below):
        beside = [recipe_path(path), picture_path(path)] if pictures else [recipe_path(path)]
        for file in (path, *beside):
            validate_new_file(file, overwrite=overwrite)
    for folder in {path.parent for path in paths}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written ({error.strerror})", "choose another --out-dir"
            ) from error
