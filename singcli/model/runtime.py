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
from singcli.files import read_up_to
from singcli.model.contract import (
    CARD_KEY,
    N_DURATIONS,
    N_TOKENS,
    N_VELOCITIES,
    NOTE_OUTPUTS,
    PART_INPUT,
    STEP_OUTPUTS,
    ModelCard,
    note_inputs,
    step_inputs,
)
from singcli.model.graph_check import validate_graph

MAX_MODEL_BYTES = 500_000_000
_ONNX_START = (0x08, 0x0A)  # field 1 (ir_version) or 2 of a ModelProto opens every ONNX file

_STEP_PART, _NOTE_PART = np.zeros((), np.bool_), np.ones((), np.bool_)

Arrays = dict[str, npt.NDArray[Any]]


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
        content = read_up_to(
            path,
            MAX_MODEL_BYTES,
            remedy="give --model the path of an .onnx file written by singcli export-onnx",
        )
        return cls.from_bytes(content, source=str(path))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str) -> Self:
        """Open a model from the bytes of its file; `source` names it in errors.

        Nothing of it runs before it is known to be a model of singcli, and whole.
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
            ValueError,  # an input is missing; or a message that is not Unicode
        )
        foreign = InputError(
            f"{source}: not a model of singcli",
            "use a file written by singcli export-onnx",
        )
        if not content or content[0] not in _ONNX_START:
            raise foreign
        validate_graph(content, source=source)
        try:
            session = ort.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=False,  # would print on stdout and try the same again
            )
            card = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
            names = {output.name for output in session.get_outputs()}
        except failures as error:
            raise InputError(
                f"{source}: damaged or not an ONNX file",
                "use a file written by singcli export-onnx",
            ) from error
        if card is None or not names.issuperset((*STEP_OUTPUTS, *NOTE_OUTPUTS)):
            raise foreign
        read = ModelCard.from_json(card, source=source)
        _validate_inputs(session, read, source)
        opened = cls(
            card=read,
            sha256=hashlib.sha256(content).hexdigest(),
            session=session,
        )
        _validate_outputs(opened, failures, source)
        return opened

    def step(self, inputs: Arrays) -> Arrays:
        """Run the step part on the tensors of `contract.step_inputs`."""
        values = self.session.run(STEP_OUTPUTS, inputs | {PART_INPUT: _STEP_PART})
        return dict(zip(STEP_OUTPUTS, values, strict=True))

    def note(self, inputs: Arrays) -> Arrays:
        """Run the note part on the tensors of `contract.note_inputs`."""
        values = self.session.run(NOTE_OUTPUTS, inputs | {PART_INPUT: _NOTE_PART})
        return dict(zip(NOTE_OUTPUTS, values, strict=True))


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


def _validate_outputs(runtime: Runtime, failures: tuple[type[Exception], ...], source: str) -> None:
    """Run both parts once: a graph may give other shapes than it says, or no numbers."""
    n, sizes = 2, runtime.card.sizes
    step, note = step_inputs(n, sizes), note_inputs(n, sizes)
    wanted = {
        "step_features": note["features"].shape,
        "step_token_bias": note["token_bias"].shape,
        "next_hidden": step["hidden"].shape,
        "next_cell": step["cell"].shape,
        "logits": (n, N_TOKENS),
        "gate": (n,),
        "next_chosen": note["chosen"].shape,
        "duration_logits": (n, N_DURATIONS),
        "velocity_logits": (n, N_VELOCITIES),
    }
    remedy = "use a file written by singcli export-onnx"
    try:
        found = runtime.step(step) | runtime.note(note)
    except failures as error:
        raise InputError(f"{source}: the model cannot be run", remedy) from error
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise InputError(
                f"{source}: output {name} has the shape {list(found[name].shape)}, "
                f"this singcli needs {list(shape)}",
                remedy,
            )
        if np.isnan(found[name]).any():
            raise InputError(
                f"{source}: output {name} is not a number: its weights are broken", remedy
            )
