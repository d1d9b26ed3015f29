"""The model file of SING opened for inference: numpy arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from singcli.errors import InputError
from singcli.model.runtime import OpenedFile, model_bytes, opened_file, validate_trial
from singcli.model.sing.contract import ARCHITECTURE, OUTPUTS, SingCard, architecture_of_card
from singcli.model.sing.roll_out import HIDDEN
from singcli.model.sing.sampling import Floats


@dataclass(frozen=True, slots=True)
class SingRuntime:
    """A model of SING ready to run on one thread; a `Cell` of `roll_out`.

    Parameters
    ----------
    card : SingCard
    sha256 : str
        Of the file.
    session : onnxruntime.InferenceSession
    """

    card: SingCard
    sha256: str
    session: Any

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a model file.

        Raises
        ------
        InputError
            If it is missing, damaged, or not a model of SING.
        """
        return cls.from_file(opened_file(model_bytes(path), source=str(path)), source=str(path))

    @classmethod
    def from_file(cls, file: OpenedFile, *, source: str) -> Self:
        """Take an opened file; `source` names it in errors.

        Nothing of it runs before it is known to be a model of SING, and whole.
        """
        found = architecture_of_card(file.card or "")
        if file.card is None or found != ARCHITECTURE:
            raise InputError(
                f"{source}: a model of the architecture {found!r}, {ARCHITECTURE!r} is needed",
                "give a file exported from a run of checkpoints/sing-paper.toml",
            )
        card = SingCard.from_json(file.card, source=source)
        shapes = {name: shape[1:] for name, shape in file.inputs.items()}
        wanted = {name: [HIDDEN] for name in card.inputs}
        if shapes != wanted or not file.outputs.issuperset(OUTPUTS):
            raise InputError(
                f"{source}: its graph takes {shapes}, "
                f"this singcli feeds {', '.join(card.inputs)} of [{HIDDEN}]",
                "export the model again with this version of singcli",
            )
        opened = cls(card=card, sha256=file.sha256, session=file.session)
        blank = np.zeros((2, HIDDEN), np.float32)
        validate_trial(
            lambda: dict(zip(OUTPUTS, opened(blank, blank, blank, blank), strict=True)),
            dict.fromkeys(OUTPUTS, blank.shape),
            source=source,
        )
        return opened

    def __call__(
        self, row: Floats, weighted: Floats, hidden: Floats, cell: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Run one step, arrays (n, 128) in and out."""
        inputs = {"row": row, "weighted": weighted, "hidden": hidden, "cell": cell}
        if not self.card.attention:
            del inputs["weighted"]
        logits, hidden, cell = self.session.run(OUTPUTS, inputs)
        return logits, hidden, cell
