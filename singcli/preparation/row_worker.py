"""The part of `prepare_rows` that runs in processes of its own: one source -> one stored piece."""

from __future__ import annotations

import functools
from pathlib import Path

from singcli import row_dataset
from singcli.preparation.allowance import Allowance
from singcli.preparation.limits import Limits
from singcli.preparation.sing import MIN_ROWS, rows_from_midi, segment_spans
from singcli.preparation.sources import Skipped
from singcli.preparation.task import Task, Unwritten, made_and_stored
from singcli.row_dataset import Piece, Roll


def make_piece(
    task: Task, *, out: Path, limits: Limits, allowance: Allowance, own_process: bool
) -> Piece | Skipped | Unwritten:
    """Make and store one piece of the row dataset in folder `out`; see `made_and_stored`."""
    return made_and_stored(
        task,
        functools.partial(_made_piece, task, limits),
        row_dataset.write_piece,
        row_dataset.piece_path(out, task.id),
        allowance=allowance,
        own_process=own_process,
    )


def stored_piece(name: str, *, out: Path) -> Piece:
    """Return what the dataset in folder `out` holds of a piece; InputError if that is nothing."""
    return row_dataset.read_piece(row_dataset.piece_path(out, name))[1]


def _made_piece(task: Task, limits: Limits) -> tuple[Roll, Piece] | Skipped:
    tempo_bpm, roll = rows_from_midi(task.content, limits=limits, source=task.source)
    if len(roll) < MIN_ROWS:
        short = f"{len(roll)} rows, the shortest segment is made of {MIN_ROWS}"
        return Skipped(task.source, short, failed=False)
    return roll, Piece(
        id=task.id,
        source=task.source,
        sha256=task.sha256,
        fingerprint=task.fingerprint,
        tempo_bpm=tempo_bpm,
        n_rows=len(roll),
        lengths=tuple(stop - start for start, stop in segment_spans(len(roll))),
    )
