"""Who takes part: model files, opened by the architecture that their card names, and baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from singcli.errors import InputError
from singcli.model.rows import RowGenerator
from singcli.model.session import architecture, card_text, read_model, session_from_bytes
from singcli.protocol.baselines import CopiedRows, RandomNotes
from singcli.protocol.row_bag import RowBag, RowPool

REAL = "real piece"
BLANKED = ", rests blanked"  # behind the name of a model
CANDIDATES = (16, 64, 256)

Opener = Callable[[bytes, str, str, Sequence[int]], Sequence[RowGenerator]]
"""(content of the file, its path for errors, name in the table, candidates) -> entrants.

A model that is steered enters once for each number of candidates, another once.
"""


ARCHITECTURES: dict[str, Opener] = {}


def open_model(path: Path, name: str, candidates: Sequence[int]) -> Sequence[RowGenerator]:
    """Open a model file as one or several entrants.

    Raises
    ------
    InputError
        If the file is no model, or its architecture cannot write rows.
    """
    content = read_model(path)
    kind = architecture(card_text(session_from_bytes(content, source=str(path))), source=str(path))
    if kind not in ARCHITECTURES:
        raise InputError(
            f"{path}: architecture = {kind!r}, allowed in this protocol: "
            f"{', '.join(sorted(ARCHITECTURES))}",
            "give --model a file whose network writes rows",
        )
    return ARCHITECTURES[kind](content, str(path), name, candidates)


def baselines(pool: RowPool, candidates: Sequence[int]) -> list[RowGenerator]:
    """Return what has learnt nothing: random notes, copied rows, and a bag for each number."""
    return [RandomNotes(), CopiedRows(), *(RowBag(pool, number) for number in candidates)]
