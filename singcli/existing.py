"""Songs that are there already: which of a batch need not be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli.errors import InputError
from singcli.files import validate_new_file
from singcli.manifest import ManifestRow, append_row, read_rows
from singcli.recipe import Recipe, read_recipe
from singcli.studio import Studio
from singcli.targets import Target, below_path, picture_path, recipe_path

COMPARED = ("model", "seed", "options", "form", "templates", "best_of")  # keys of recipes


@dataclass(frozen=True, slots=True)
class Existing:
    """A song from before; fields as in `Song`."""

    path: Path
    recipe: Recipe
    reached: bool


def split_existing(
    studio: Studio, targets: Sequence[Target]
) -> tuple[list[Target], list[Existing]]:
    """Return what is to be made, and the songs that are there.

    A song without its picture, where pictures are wanted, is made again; so is one of which only
    the recipe was written.

    Raises
    ------
    InputError
        If something that is not the song has its name: another one, or no recipe is beside it.
    """
    missing, existing = [], []
    for target in targets:
        found = _existing(studio, target)
        if found is None:
            missing.append(target)
        else:
            existing.append(found)
    return missing, existing


def complete_manifest(manifest: Path, existing: Sequence[Existing]) -> None:
    """Append rows for songs that an interruption has kept out of the manifest."""
    rows = read_rows(manifest)
    for song in existing:
        if rows.get(song.path.name, {}).get("status") in (None, "failed"):
            content = song.path.read_bytes()
            append_row(
                manifest,
                ManifestRow.of_song(song.path, song.recipe, content, reached=song.reached),
            )


def _existing(studio: Studio, target: Target) -> Existing | None:
    required = studio.settings.attempts.min_structure
    places = [(target.path, True)]
    if required is not None:
        places.append((below_path(target.path, required), False))
    for path, reached in places:
        if not path.exists():
            _validate_rest(path)
            continue
        validate_new_file(path, overwrite=True)  # no folder
        recipe = _recipe_beside(path)
        _validate_same(studio, target, path, recipe)
        score = (recipe.structure or {}).get("score")
        if required is not None and (score is None or (score >= required) != reached):
            raise InputError(
                f"{path}: already exists with a structure of {score}, --min-structure is "
                f"{required:g}",
                "choose another --out-dir, or add --overwrite to make all songs again",
            )
        if studio.settings.pictures and not picture_path(path).exists():
            return None
        return Existing(path, recipe, reached)
    return None


def _validate_rest(path: Path) -> None:
    """Check that what an interrupted run left of a song is that, and nothing of the user's."""
    recipe = recipe_path(path)
    validate_new_file(path, overwrite=True)
    if recipe.exists():
        _recipe_beside(path)


def _recipe_beside(path: Path) -> Recipe:
    try:
        return read_recipe(recipe_path(path))
    except InputError as error:
        raise InputError(
            f"{path}: already exists, and no recipe says which song it is ({error})",
            "choose another --out-dir, or add --overwrite to make all songs again",
        ) from error


def _validate_same(studio: Studio, target: Target, path: Path, recipe: Recipe) -> None:
    """Check that a song was made as it would be made now."""
    wanted = _compared(studio.expected_recipe(target))
    for key, found in _compared(recipe).items():
        if found != wanted[key]:
            where, was, now = _first_difference(key, found, wanted[key])
            raise InputError(
                f"{path}: already exists and is another song: {where} was {was}, is now {now}",
                "choose another --out-dir, or add --overwrite to make all songs again",
            )


def _compared(recipe: Recipe) -> Mapping[str, Any]:
    fields = json.loads(recipe.to_json())
    return {key: fields[key] for key in COMPARED}


def _first_difference(key: str, found: Any, wanted: Any) -> tuple[str, str, str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for inner in {**wanted, **found}:
            if found.get(inner) != wanted.get(inner):
                return _first_difference(f"{key}.{inner}", found.get(inner), wanted.get(inner))
    return key, _short(found), _short(wanted)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
