"""The model file opened for inference: numpy arrays in and out, the state in the caller's hands.

The only module that touches onnxruntime.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.model.contract import (
    CARD_KEY,
    NOTE_OUTPUTS,
    PART_INPUT,
    STEP_OUTPUTS,
    ModelCard,
    note_inputs,
    step_inputs,
)

MAX_MODEL_BYTES = 500_000_000
_ONNX_START = (0x08, 0x0A)  # field 1 (ir_version) or 2 of a ModelProto opens every ONNX file

_STEP_PART, _NOTE_PART = np.zeros((), np.bool_), np.ones((), np.bool_)

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A model file of any architecture, opened.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        On one thread.
    card : str, optional
        What the file says of itself, not yet read; None where it says nothing.
    sha256 : str
        Of the file.
    """

    session: Any
    card: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """A model ready to run on one thread (parallelism is over songs).

    Parameters
    ----------
    card : ModelCard
    sha256 : str
        Of the file.
    session : onnxruntime.InferenceSession
    """

    card: ModelCard
    sha256: str
    session: Any

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a model file.

        Raises
        ------
        InputError
            If it is missing, damaged, not an ONNX file or not one of singcli.
        """
        return cls.from_bytes(model_bytes(path), source=str(path))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str) -> Self:
        """Open a model from the bytes of its file; `source` names it in errors."""
        return cls.from_file(opened_file(content, source=source), source=source)

    @classmethod
    def from_file(cls, file: OpenedFile, *, source: str) -> Self:
        """Take an opened file; `source` names it in errors."""
        names = {output.name for output in file.session.get_outputs()}
        if file.card is None or not names.issuperset((*STEP_OUTPUTS, *NOTE_OUTPUTS)):
            raise _foreign(source)
        card = ModelCard.from_json(file.card, source=source)
        _validate_inputs(file.session, card, source)
        return cls(card=card, sha256=file.sha256, session=file.session)

    def step(self, inputs: Arrays) -> Arrays:
        """Run the step part on the tensors of `contract.step_inputs`.

        A row does not depend on the rows beside it, to the last bit (`benchmarks/batch_bits.py`).
        """
        values = self.session.run(STEP_OUTPUTS, inputs | {PART_INPUT: _STEP_PART})
        return dict(zip(STEP_OUTPUTS, values, strict=True))

    def note(self, inputs: Arrays) -> Arrays:
        """Run the note part on the tensors of `contract.note_inputs`."""
        values = self.session.run(NOTE_OUTPUTS, inputs | {PART_INPUT: _NOTE_PART})
        return dict(zip(NOTE_OUTPUTS, values, strict=True))


def model_bytes(path: Path) -> bytes:
    """Return the content of a model file.

    Raises
    ------
    InputError
        If it cannot be read or is too large for a model.
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


def opened_file(content: bytes, *, source: str) -> OpenedFile:
    """Open a model file of any architecture from its bytes; `source` names it in errors.

    Raises
    ------
    InputError
        If it is damaged or not an ONNX file.
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
        raise _foreign(source)
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise InputError(
            f"{source}: damaged or not an ONNX file",
            "use a file written by singcli export-onnx",
        ) from error
    card = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    return OpenedFile(session, card, hashlib.sha256(content).hexdigest())


def _foreign(source: str) -> InputError:
    return InputError(
        f"{source}: not a model of singcli", "use a file written by singcli export-onnx"
    )


def _validate_inputs(session: Any, card: ModelCard, source: str) -> None:
    """Check that the graph takes what the contract says, before anything runs."""
    given = (*session.get_inputs(), *session.get_overridable_initializers())
    found = {value.name: list(value.shape[1:]) for value in given}
    wanted = step_inputs(1, card.sizes) | note_inputs(1, card.sizes)
    for name, blank in wanted.items():
        if found.get(name) != list(blank.shape[1:]):
            raise InputError(
                f"{source}: input {name} has the shape {found.get(name)}, "
                f"this singcli needs {list(blank.shape[1:])}",
                "export the model again with this version of singcli",
            )
