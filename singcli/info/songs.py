"""MIDI files with and without a recipe, and recipes beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from singcli.info.models import model_info
from singcli.info.report import CODE_LICENCE, OUTPUT_LICENCE, Info, file_content, sha256_of
from singcli.model.model_file import model_metadata
from singcli.music.midi_events import (
    MARKER,
    META,
    METER,
    TEMPO,
    TRACK_NAME,
    midi_events,
    midi_header,
)
from singcli.recipe import Recipe, embedded_fields, recipe_from_fields
from singcli.resources import MODEL_SUFFIX, bundled_model_names, checkpoints_dir


def midi_info(path: Path) -> Info:
    """Describe a MIDI file.

    Raises
    ------
    InputError
        If it is damaged, or carries a recipe that cannot be read.
    """
    content = file_content(path)
    source = str(path)
    found = embedded_fields(content, source=source)
    if found is not None:
        recipe = recipe_from_fields(found[0], source=source, remedy=None)
        templates = "".join(f" --template {file.name}" for file in recipe.templates)
        hint = f"singcli replay {path}{templates}"
        return recipe_info(path, "a song of singcli", recipe, hint)
    header = midi_header(content, source=source)
    metas: dict[int, list[bytes]] = {}
    notes = 0
    for event in midi_events(content, source=source):
        if event.status == META:
            metas.setdefault(event.kind, []).append(event.data)
        elif event.status & 0xF0 == 0x90 and event.data[1]:
            notes += 1
    tempos = [60e6 / int.from_bytes(t, "big") for t in metas.get(TEMPO, ()) if any(t)]
    meters = [f"{m[0]}/{2 ** m[1]}" for m in metas.get(METER, ()) if len(m) > 1 and m[1] < 8]
    return Info(
        path,
        "a MIDI file without a recipe of singcli",
        _known(
            {
                "format": header.format,
                "tracks": header.n_tracks,
                "names": _texts(metas.get(TRACK_NAME, ())),
                "notes": notes,
                "tempo": round(tempos[0], 2) if tempos else None,
                "meter": meters[0] if meters else None,
                "markers": _texts(metas.get(MARKER, ())),
            }
        ),
        licences={"file": "that of whoever made it"},
        hint=f"singcli ssm {path}, or singcli generate --template {path}",
    )


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], "")}


def _texts(found: Sequence[bytes]) -> list[str]:
    """Return texts of a file fit to be shown."""
    texts = ("".join(c for c in t.decode("utf-8", "replace") if c.isprintable()) for t in found)
    return [text.strip()[:80] for text in texts if text.strip()][:64]


def recipe_info(path: Path, kind: str, recipe: Recipe, hint: str) -> Info:
    """Describe a song by its recipe."""
    options = recipe.options
    n_bars = max((section.end_bar for section in recipe.sections), default=0)
    facts = {
        "name": options.get("name"),
        "form": " ".join(f"{s.label}{s.end_bar - s.start_bar}" for s in recipe.sections),
        "bars": n_bars,
        "key": options.get("key"),
        "tempo": options.get("tempo"),
        "structure": None if recipe.structure is None else recipe.structure.get("score"),
    }
    made = {
        "seed": recipe.seed,
        "model": recipe.model.name,
        "model_sha256": recipe.model.sha256,
        "style": options.get("style"),
        "templates": [file.name for file in recipe.templates],
        "attempt": f"{recipe.attempt} of {recipe.best_of}",
        "versions": dict(recipe.versions),
        "machine": recipe.machine,
    }
    weights, data = _licences_of_model(recipe)
    return Info(
        path,
        kind,
        _known(facts),
        _known(made),
        {"code": CODE_LICENCE, "weights": weights, "data": data, "outputs": OUTPUT_LICENCE},
        hint=hint,
    )


def _licences_of_model(recipe: Recipe) -> tuple[str, str]:
    """Return the licences of weights and data, if the model is still among the bundled ones."""
    for name in bundled_model_names():
        path = checkpoints_dir() / f"{name}{MODEL_SUFFIX}"
        if sha256_of(path) == recipe.model.sha256:
            metadata = model_metadata(path) or {}
            info = model_info(path, metadata)
            data = info.licences["data"].replace("see --licence", f"see info {name} --licence")
            return info.licences["weights"], data
    ask = f"singcli info {recipe.model.name}"
    return (f"that of {recipe.model.name}, which is not bundled: {ask}", f"see {ask}")
