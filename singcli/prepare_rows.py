"""Make a row dataset of MIDI files as SING does it, and say what was left out."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli import __version__, row_dataset
from singcli.errors import InputError
from singcli.files import held
from singcli.preparation import output
from singcli.preparation.allowance import Allowance
from singcli.preparation.limits import Limits
from singcli.preparation.output import ROWS
from singcli.preparation.pool import ROWS_PRELOAD, default_jobs
from singcli.preparation.row_worker import make_piece, stored_piece
from singcli.preparation.run import OnProgress, Run
from singcli.preparation.settling import Recipe, salt_from
from singcli.preparation.sing import segments_of
from singcli.preparation.sources import Skipped, SourceReader, find_sources
from singcli.preparation.splits import chosen_splits, official_split
from singcli.preparation.validation import Validation, compiled
from singcli.row_dataset import SPLITS, Piece, Segment, Split

RECIPE = "sing"


@dataclass(frozen=True, slots=True)
class RowsReport:
    """What `prepare_rows` did.

    Parameters
    ----------
    data : Path
    pieces : tuple of Piece
        The index.
    n_reused : int
        Pieces that were there from an earlier run.
    skipped : tuple of Skipped
    seconds : float
    """

    data: Path
    pieces: tuple[Piece, ...]
    n_reused: int
    skipped: tuple[Skipped, ...]
    seconds: float

    def summary(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "data": str(self.data),
            "recipe": RECIPE,
            "pieces": len(self.pieces),
            **{split: row_dataset.counts_of(self.pieces, split) for split in SPLITS},
            "reused": self.n_reused,
            "skipped": len(self.skipped),
            "failed": sum(skip.failed for skip in self.skipped),
            "seconds": round(self.seconds, 2),
        }


def prepare_rows(
    inputs: Sequence[Path],
    out: Path,
    *,
    validation: Validation | None = None,
    test_ids: str | None = None,
    seed: int = 0,
    licence: str | None = None,
    limits: Limits | None = None,
    allowance: Allowance | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> RowsReport:
    """Make the row dataset `out` of all MIDI in `inputs`.

    Interrupted at any point, it can be run again and goes on where it stopped: a piece whose source
    and settings are unchanged is not made again.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders and zip archives.
    out : Path
        A folder, made if need be.
    validation : Validation, optional
        Ids to hold out, which go before the corpus's own split, or a share of the pieces that the
        corpus does not put anywhere; a tenth of them by default.
    test_ids : str, optional
        A regular expression searched for in the ids; goes before the corpus's own split too.
    seed : int
        For drawing the validation pieces.
    licence, limits, allowance, jobs, overwrite, on_progress
        As in `prepare`.

    Raises
    ------
    InputError
        If an input does not exist, nothing could be prepared, `out` cannot be written or holds
        something else, another process writes to it, or a setting is not allowed.
    SingError
        If there was no room for some pieces. All others are stored, but there is no index.
    """
    started = time.monotonic()
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs = {jobs}, allowed: 1 or more")
    compiled(test_ids or "", "test ids")
    validation, limits = validation or Validation(), limits or Limits()
    sources, skipped = find_sources(inputs)
    settings = {"recipe": RECIPE, "limits": dataclasses.asdict(limits)}
    recipe = Recipe(
        things=ROWS.things,
        make=functools.partial(
            make_piece, out=out, limits=limits, allowance=allowance or Allowance()
        ),
        stored=functools.partial(stored_piece, out=out),
        salt=salt_from([__version__, row_dataset.VERSION, settings]),
        side_files=False,
        max_bytes=limits.max_bytes,
        preload=ROWS_PRELOAD,
    )
    output.make_folder(out, layout=ROWS)
    with held(out):
        output.make_room(out, sources, overwrite=overwrite, layout=ROWS)
        with SourceReader(limits.max_bytes) as reader:
            run = Run(recipe, reader, skipped, reuse=not overwrite)
            run.finish(sources, jobs or default_jobs(), on_progress)
            made = [source for source in sources if source.id in run.entries]
            licences = {source.id: licence or reader.licence(source) for source in made}
            official = {source.id: official_split(reader, source) for source in made}
        run.validate(out)
        splits = chosen_splits(official, validation, test_ids, seed)
        pieces, texts = output.with_licences(
            [dataclasses.replace(run.entries[name], split=split) for name, split in splits.items()],
            licences,
        )
        record = settings | {
            "seed": seed,
            "validation": dataclasses.asdict(validation),
            "test_ids": test_ids,
            "pieces_with_an_official_split": sum(split is not None for split in official.values()),
        }
        output.tidy(out, splits, run.skipped, layout=ROWS)
        for split in SPLITS:
            segments = _segments(out, pieces, split)
            row_dataset.write_segments(row_dataset.segments_path(out, split), segments)
        row_dataset.write_index(out, pieces, licences=texts, settings=record)
    seconds = time.monotonic() - started
    return RowsReport(out, pieces, run.n_reused, tuple(run.skipped), seconds)


def _segments(out: Path, pieces: Sequence[Piece], split: Split) -> Iterator[Segment]:
    """Yield the segments of a split, piece by piece."""
    for piece in pieces:
        if piece.split == split:
            roll, _ = row_dataset.read_piece(row_dataset.piece_path(out, piece.id))
            yield from segments_of(roll, piece)
