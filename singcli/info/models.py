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
            "name": card["name"],
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "contract": card["version"],
            "styles": card["styles"],
        }
    except (KeyError, TypeError, ValueError, RecursionError) as error:
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
        f"singcli generate --preset aaba --model {_model_argument(path)}",
    )


def _training(training: Any) -> dict[str, Any]:
    if not isinstance(training, dict):
        return {}
    data = training.get("data")
    songs = data if isinstance(data, dict) else {}
    found = {
        "singcli": training.get("singcli"),
        "training_songs": songs.get("training_songs"),
        "validation_songs": songs.get("validation_songs"),
        "epochs": training.get("epochs"),
        "hours": training.get("hours"),
        "validation_nats_a_step": _nats_per_step(training.get("validation")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _nats_per_step(validation: Any) -> dict[str, Any] | None:
    """Return one figure of each kind of matrix, or style, from the figures in a card."""
    if not isinstance(validation, dict):
        return None
    rows = {name: row for name, row in validation.items() if isinstance(row, dict)}
    return {name: row.get("nats_per_step") for name, row in rows.items()}


def _model_argument(path: Path) -> str:
    bundled = path.parent == checkpoints_dir()
    return path.stem if bundled else str(path)
