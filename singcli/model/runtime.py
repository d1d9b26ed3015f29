"""The model file opened for inference: numpy arrays in and out, the state in the caller's hands.

The only module that touches onnxruntime.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
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
REMEDY = "use a file written by singcli export-onnx"
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
    inputs : mapping of str to list
        Shapes of what the graph takes, with names or None for what varies.
    outputs : frozenset of str
        Names of what it gives.
    """

    session: Any
    card: str | None
    sha256: str
    inputs: Mapping[str, list[Any]]
    outputs: frozenset[str]


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
        """Take an opened file; `source` names it in errors.

        Nothing of it runs before it is known to be a model of singcli, and whole.
        """
        if file.card is None or not file.outputs.issuperset((*STEP_OUTPUTS, *NOTE_OUTPUTS)):
            raise _foreign(source)
        card = ModelCard.from_json(file.card, source=source)
        _validate_inputs(file, card, source)
        opened = cls(card=card, sha256=file.sha256, session=file.session)
        _validate_outputs(opened, source)
        return opened

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

    def bound_step(self, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """Return what runs the step part on these very arrays, C-contiguous; see `step`."""
        return self._bound(inputs | {PART_INPUT: _STEP_PART}, outputs)

    def bound_note(self, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """Return what runs the note part on these very arrays, C-contiguous; see `note`."""
        return self._bound(inputs | {PART_INPUT: _NOTE_PART}, outputs)

    def _bound(self, inputs: Arrays, outputs: Arrays) -> Callable[[], None]:
        """Bind arrays once: handing them over anew is a third of a run for one song."""
        import onnxruntime as ort

        binding = self.session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
        return functools.partial(self.session.run_with_iobinding, binding)


def model_bytes(path: Path) -> bytes:
    """Return the content of a model file.

    Raises
    ------
    InputError
        If it cannot be read or is too large for a model.
    """
    return read_up_to(
        path,
        MAX_MODEL_BYTES,
        remedy="give --model the path of an .onnx file written by singcli export-onnx",
    )


def opened_file(content: bytes, *, source: str) -> OpenedFile:
    """Open a model file of any architecture from its bytes; `source` names it in errors.

    Nothing of it runs: that is for `validate_trial`, when the architecture is known.

    Raises
    ------
    InputError
        If it is damaged, not an ONNX file, or holds what no model of singcli does.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a file that cannot be loaded is told by the error alone
    if not content or content[0] not in _ONNX_START:
        raise _foreign(source)
    validate_graph(content, source=source)
    try:
        session = ort.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=False,  # would print on stdout and try the same again
        )
        given = (*session.get_inputs(), *session.get_overridable_initializers())
        file = OpenedFile(
            session,
            session.get_modelmeta().custom_metadata_map.get(CARD_KEY),
            hashlib.sha256(content).hexdigest(),
            {value.name: list(value.shape) for value in given},
            frozenset(output.name for output in session.get_outputs()),
        )
    except _failures() as error:
        raise InputError(
            f"{source}: damaged or not an ONNX file",
            REMEDY,
        ) from error
    return file


def validate_trial(
    trial: Callable[[], Mapping[str, Any]], wanted: Mapping[str, tuple[int, ...]], *, source: str
) -> None:
    """Run a model once: a graph may give other shapes than it says, or no numbers.

    Parameters
    ----------
    trial : callable
        Runs it on blank inputs and returns its outputs by name.
    wanted : mapping of str to tuple of int
        Shapes of the outputs.

    Raises
    ------
    InputError
        If it cannot be run, or gives something else.
    """
    try:
        found = trial()
    except _failures() as error:
        raise InputError(f"{source}: the model cannot be run", REMEDY) from error
    for name, shape in wanted.items():
        value = np.asarray(found[name])
        if value.shape != shape or value.dtype != np.float32:
            raise InputError(
                f"{source}: output {name} is {value.dtype} and has the shape {list(value.shape)}, "
                f"this singcli needs float32 and {list(shape)}",
                REMEDY,
            )
        if np.isnan(value).any():
            raise InputError(
                f"{source}: output {name} is not a number: its weights are broken", REMEDY
            )


def _failures() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises over a file."""
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

    return (
        ort_errors.Fail,
        ort_errors.InvalidArgument,
        ort_errors.InvalidGraph,
        ort_errors.InvalidProtobuf,
        ort_errors.NotImplemented,
        ort_errors.RuntimeException,
        ValueError,  # an input is missing; or a message that is not Unicode
    )


def _foreign(source: str) -> InputError:
    return InputError(f"{source}: not a model of singcli", REMEDY)


def _validate_inputs(file: OpenedFile, card: ModelCard, source: str) -> None:
    """Check that the graph takes what the contract says, before anything runs."""
    found = {name: shape[1:] for name, shape in file.inputs.items()}
    wanted = step_inputs(1, card.sizes) | note_inputs(1, card.sizes)
    for name, blank in wanted.items():
        if found.get(name) != list(blank.shape[1:]):
            raise InputError(
                f"{source}: input {name} has the shape {found.get(name)}, "
                f"this singcli needs {list(blank.shape[1:])}",
                "export the model again with this version of singcli",
            )


def _validate_outputs(runtime: Runtime, source: str) -> None:
    """Run both parts once."""
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
    validate_trial(lambda: runtime.step(step) | runtime.note(note), wanted, source=source)
