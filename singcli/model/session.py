"""ONNX files opened with onnxruntime, whatever their architecture.

The only module that touches onnxruntime.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from singcli.errors import InputError
from singcli.model.contract import CARD_KEY

MAX_MODEL_BYTES = 500_000_000
POINTER = "pointer"  # the architecture of a card that names none
_ONNX_START = (0x08, 0x0A)  # field 1 (ir_version) or 2 of a ModelProto opens every ONNX file
_REMEDY = "use a file written by singcli export-onnx"


def read_model(path: Path) -> bytes:
    """Read a model file.

    Raises
    ------
    InputError
        If it is missing or too large to be a model.
    """
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise InputError(f"{path}: larger than {MAX_MODEL_BYTES // 10**6} MB, not a model")
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: the model cannot be read ({error.strerror})",
            "give --model the path of an .onnx file written by singcli export-onnx",
        ) from error


def session_from_bytes(content: bytes, *, source: str) -> Any:
    """Open a model on one thread, and return the `onnxruntime.InferenceSession`.

    Raises
    ------
    InputError
        If it is damaged or not an ONNX file; names `source`.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a file that cannot be loaded is told by the error alone
    failures = (
        ort_errors.Fail,
        ort_errors.InvalidArgument,
        ort_errors.InvalidGraph,
        ort_errors.InvalidProtobuf,
        ort_errors.NotImplemented,
        ort_errors.RuntimeException,
    )
    if not content or content[0] not in _ONNX_START:
        raise foreign_model(source)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise InputError(f"{source}: damaged or not an ONNX file", _REMEDY) from error


def card_text(session: Any) -> str | None:
    """Return the card of an open model, a line of JSON; None if the file has none."""
    text: str | None = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    return text


def architecture(card: str | None, *, source: str) -> str:
    """Return which architecture a card names, "pointer" if none.

    Raises
    ------
    InputError
        If there is no card, or it cannot be read.
    """
    try:
        fields = None if card is None else json.loads(card)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise foreign_model(source)
    return str(fields.get("architecture", POINTER))


def foreign_model(source: str) -> InputError:
    """Return the error for a file that is no model of singcli."""
    return InputError(f"{source}: not a model of singcli", _REMEDY)
