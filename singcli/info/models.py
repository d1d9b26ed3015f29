"""Model files: what their cards say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from singcli.errors import InputError
from singcli.info.report import (
    CODE_LICENCE,
    OUTPUT_LICENCE,
    Info,
    first_sentence,
    named_licences,
    sha256_of,
)
from singcli.resources import checkpoints_dir

CARD_KEY = "singcli"  # as in model.contract, which imports numpy
ROW_SCORER = "row-scorer"  # as in model.row_scorer

_AMOUNTS = ("training_songs", "validation_songs", "training_segments", "validation_segments")


def model_info(path: Path, metadata: Mapping[str, str]) -> Info:
    """Describe a model.

    Parameters
    ----------
    metadata : mapping of str to str
        From `model_metadata`.

    Raises
    ------
    InputError
        If they are not those of a model of singcli.
    """
    foreign = InputError(
        f"{path}: an ONNX file of another program", "singcli export-onnx writes models for singcli"
    )
    try:
        card = json.loads(metadata[CARD_KEY])
        licence, training = str(card["licence"]), card["training"]
        facts = {
            "name": card.get("name", path.stem),
            "architecture": card.get("architecture", "pointer"),
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "contract": card["version"],
            **({"styles": card["styles"]} if "styles" in card else {}),
        }
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise foreign from error
    return Info(
        path,
        "a model of singcli",
        facts,
        _training(training),
        {
            "code": CODE_LICENCE,
            "weights": first_sentence(licence),
            "data": named_licences(licence),
            "outputs": OUTPUT_LICENCE,
        },
        licence,
        _next(path, facts["architecture"]),
    )


def _training(training: Any) -> dict[str, Any]:
    if not isinstance(training, dict):
        return {}
    data = training.get("data")
    songs = data if isinstance(data, dict) else {}
    found = {
        "singcli": training.get("singcli"),
        **{name: songs.get(name) for name in _AMOUNTS},
        "epochs": training.get("epochs"),
        "hours": training.get("hours"),
        "validation_nats_a_step": _figures(training.get("validation"), "nats_per_step"),
        "validation_r": _figures(training.get("validation"), "r"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _figures(validation: Any, figure: str) -> dict[str, Any] | None:
    """Return a figure of each kind of matrix, or style, from the figures in a card."""
    if not isinstance(validation, dict):
        return None
    rows = {name: row for name, row in validation.items() if isinstance(row, dict)}
    return {name: row[figure] for name, row in rows.items() if figure in row} or None


def _next(path: Path, architecture: str) -> str:
    """Return the command that a model is for."""
    if architecture == ROW_SCORER:
        return f"singcli evaluate --protocol sing --rows DATA --scorer {path}"
    bundled = path.parent == checkpoints_dir()
    return f"singcli generate --preset aaba --model {path.stem if bundled else path}"
