"""The part of `prepare_rows` that runs in processes of its own: one source -> one stored piece."""

from __future__ import annotations

from pathlib import Path

from singcli import row_dataset
from singcli.errors import InputError
from singcli.preparation.limits import Limits
from singcli.preparation.sing import MIN_ROWS, rows_from_midi, segment_spans
from singcli.preparation.sources import Skipped
from singcli.preparation.worker import Task, reason
from singcli.row_dataset import Piece


def make_piece(task: Task, *, out: Path, limits: Limits) -> Piece | Skipped:
    """Make and store the rows of one piece of the row dataset in folder `out`.

    Returns
    -------
    Piece or Skipped
        Why the piece was left out, whatever happened: a file must not end the run.
    """
    try:
        tempo_bpm, roll = rows_from_midi(task.content, limits=limits, source=task.source)
    except InputError as error:
        return Skipped(task.source, reason(error, task.source))
    except Exception as error:  # noqa: BLE001 - a bug of ours or a library's, met in this file
        return Skipped(task.source, f"unexpected {type(error).__name__}: {error}")
    if len(roll) < MIN_ROWS:
        short = f"{len(roll)} rows, the shortest segment is made of {MIN_ROWS}"
        return Skipped(task.source, short, failed=False)
    piece = Piece(
        id=task.id,
        source=task.source,
        sha256=task.sha256,
        fingerprint=task.fingerprint,
        tempo_bpm=tempo_bpm,
        n_rows=len(roll),
        lengths=tuple(stop - start for start, stop in segment_spans(len(roll))),
    )
    row_dataset.write_piece(row_dataset.piece_path(out, task.id), roll, piece)
    return piece
