"""The model file opened for inference: numpy arrays in and out, the state in the caller's hands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.model.contract import (
    NOTE_OUTPUTS,
    PART_INPUT,
    STEP_OUTPUTS,
    ModelCard,
    note_inputs,
    step_inputs,
)
from singcli.model.session import card_text, foreign_model, read_model, session_from_bytes

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
        return cls.from_bytes(read_model(path), source=str(path))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str) -> Self:
        """Open a model from the bytes of its file; `source` names it in errors."""
        session = session_from_bytes(content, source=source)
        card = card_text(session)
        names = {output.name for output in session.get_outputs()}
        if card is None or not names.issuperset((*STEP_OUTPUTS, *NOTE_OUTPUTS)):
            raise foreign_model(source)
        read = ModelCard.from_json(card, source=source)
        _validate_inputs(session, read, source)
        return cls(
            card=read,
            sha256=hashlib.sha256(content).hexdigest(),
            session=session,
        )

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
