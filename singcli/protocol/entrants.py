"""Who takes part: model files, opened by the architecture that their card names, and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from singcli.errors import InputError
from singcli.model.row_pointer import RowPointer
from singcli.model.rows import RowGenerator
from singcli.model.runtime import OpenedFile, Runtime, model_bytes, opened_file
from singcli.model.sing.contract import architecture_of_card
from singcli.model.sing.generator import SingGenerator
from singcli.model.sing.runtime import SingRuntime
from singcli.protocol.baselines import CopiedRows, RandomNotes
from singcli.protocol.row_bag import RowBag, RowPool

REAL = "real piece"
BLANKED = ", rests blanked"  # behind the name of a model
CANDIDATES = (16, 64, 256)

Opener = Callable[[OpenedFile, str, Sequence[int]], Mapping[str, RowGenerator]]
"""(file, its path for errors, numbers of candidates) -> entrants by what is added to their name.

A model that is steered takes part once for each number of candidates, with ", 16" and so on added,
another once, with "".
"""


def _sing(file: OpenedFile, source: str, _candidates: Sequence[int]) -> Mapping[str, RowGenerator]:
    return {"": SingGenerator(SingRuntime.from_file(file, source=source))}


def _pointer(
    file: OpenedFile, source: str, candidates: Sequence[int]
) -> Mapping[str, RowGenerator]:
    runtime = Runtime.from_file(file, source=source)
    if runtime.card.material != "rows":
        raise InputError(
            f"{source}: a model of {runtime.card.material}",
            "give --model a pointer network that was trained on rows (checkpoints/rows.toml)",
        )
    return {f", {number}": RowPointer(runtime, candidates=number) for number in candidates}


ARCHITECTURES: dict[str, Opener] = {"sing": _sing, "pointer": _pointer}


def open_model(path: Path, name: str, candidates: Sequence[int]) -> dict[str, RowGenerator]:
    """Open a model file as one or several entrants.

    Parameters
    ----------
    path : Path
    name : str
        What the entrant is called, or how the names of several begin.
    candidates : sequence of int
        For a model that is steered.

    Raises
    ------
    InputError
        If the file is no model, or its architecture cannot write rows.
    """
    file = opened_file(model_bytes(path), source=str(path))
    kind = architecture_of_card(file.card or "")
    if kind not in ARCHITECTURES:
        raise InputError(
            f"{path}: architecture = {kind!r}, allowed in this protocol: "
            f"{', '.join(sorted(ARCHITECTURES))}",
            "give --model a file whose network writes rows",
        )
    entrants = ARCHITECTURES[kind](file, str(path), candidates)
    return {name + addition: entrant for addition, entrant in entrants.items()}


def baselines(pool: RowPool, candidates: Sequence[int]) -> list[RowGenerator]:
    """Return what has learnt nothing: random notes, copied rows, and a bag for each number."""
    return [RandomNotes(), CopiedRows(), *(RowBag(pool, number) for number in candidates)]
