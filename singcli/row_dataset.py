"""A corpus prepared as SING does it: segments of rows, one row per estimated beat.

Layout
------
::

    DATA/rows.json         what is there: format, version, recipe, settings, licences, pieces
    DATA/report.jsonl      what is not: one line for every file that was left out, with the reason
    DATA/train.npz         the segments of a split; also validation.npz and test.npz
    DATA/pieces/ID.npz     the rows of one piece before they are cut into segments

Conventions
-----------
- A row is 128 bits: the pitches that sound in one estimated beat, about 0.3 s.
- Rows are stored as `np.packbits` along the pitches: 16 bytes a row, pitch 0 the highest bit.
- The index is written last: a folder without it is not (yet) a row dataset.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from singcli import files
from singcli.errors import InputError

FORMAT, VERSION = "singcli-rows", 1
INDEX_NAME, REPORT_NAME, PIECES_NAME = "rows.json", "report.jsonl", "pieces"
N_ROW_PITCHES = 128
_ROW_BYTES = N_ROW_PITCHES // 8
MAX_ROWS_BYTES = 2**30  # of a file, unpacked: 67 million rows

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Roll = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one piece, of a length that many others have.

    Parameters
    ----------
    id : str
        The piece's id, "#", and the number of the segment in the piece from 1.
    roll : np.ndarray, shape=(n_rows, 128), bool
        Which pitches sound in each row; column = MIDI pitch.
    """

    id: str
    roll: Roll


@dataclass(frozen=True, slots=True)
class Piece:
    """What the index says about one piece.

    Parameters
    ----------
    id : str
        Unique in the dataset, and the name of the piece's file.
    source : str
        Where it came from, relative to the inputs.
    sha256 : str
        Of the source's bytes.
    fingerprint : str
        Of everything that the piece's file depends on: source and settings.
    tempo_bpm : float
        Rows a minute.
    n_rows : int
        Before the piece was cut into segments.
    lengths : tuple of int
        Rows of each of its segments.
    split : {"train", "validation", "test"}
    licence : str, optional
        Key of the text in `RowDataset.licences`.
    """

    id: str
    source: str
    sha256: str
    fingerprint: str
    tempo_bpm: float
    n_rows: int
    lengths: tuple[int, ...]
    split: Split = "train"
    licence: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the piece as a JSON object."""
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return row | {"lengths": list(self.lengths)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Build a piece from a decoded JSON object."""
        return cls(**{**row, "lengths": tuple(row["lengths"])})


@dataclass(frozen=True, slots=True)
class RowDataset:
    """An opened row dataset.

    Parameters
    ----------
    path : Path
    pieces : tuple of Piece
        Ordered by id.
    licences : mapping of str to str
        Licence texts by short name.
    settings : mapping
        With what the dataset was prepared; for the record.
    """

    path: Path
    pieces: tuple[Piece, ...]
    licences: Mapping[str, str]
    settings: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the row dataset in folder `path`.

        Raises
        ------
        InputError
            If the folder is not a row dataset, or one of another version.
        """
        index = path / INDEX_NAME
        remedy = "make one: prepare --recipe sing"
        try:
            table = json.loads(index.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            unfinished = (path / PIECES_NAME).is_dir()
            raise InputError(
                f"{path}: {'an unfinished' if unfinished else 'not a'} row dataset"
                f" (no {INDEX_NAME})",
                "run the same prepare again to finish it" if unfinished else remedy,
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{index}: cannot be read ({error})", remedy) from error
        if not isinstance(table, dict) or table.get("format") != FORMAT:
            raise InputError(f"{index}: not the index of a row dataset", remedy)
        if table.get("version") != VERSION:
            raise InputError(
                f"{index}: version {table.get('version')!r}, this singcli reads {VERSION}",
                "prepare the corpus again",
            )
        try:
            pieces = tuple(Piece.from_json(row) for row in table["pieces"])
            for piece in pieces:
                if Path(piece.id).name != piece.id:
                    raise ValueError(f"id = {piece.id!r} is not a file name")
            return cls(path, pieces, table["licences"], table["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{index}: damaged ({error})", "prepare the corpus again") from error

    def segments(self, split: str) -> tuple[Segment, ...]:
        """Read all segments of a split, in the order of the pieces' ids; () if it has none.

        Raises
        ------
        InputError
            If there is no such split, or its file is missing or damaged.
        """
        if split not in SPLITS:
            raise InputError(f"split = {split!r}, allowed: {', '.join(SPLITS)}")
        return read_segments(segments_path(self.path, split))


def segments_path(data: Path, split: str) -> Path:
    """Return where the row dataset in folder `data` keeps the segments of a split."""
    return data / f"{split}.npz"


def piece_path(data: Path, piece_id: str) -> Path:
    """Return where the row dataset in folder `data` keeps the rows of a piece."""
    return data / PIECES_NAME / f"{piece_id}.npz"


def write_segments(path: Path, segments: Iterable[Segment]) -> None:
    """Write the segments of a split, whole or not at all; of a corpus never hold all unpacked."""
    ids, packed = [], [np.zeros((0, _ROW_BYTES), np.uint8)]
    for segment in segments:
        ids.append(segment.id)
        packed.append(_packed(segment.roll))
    arrays: dict[str, npt.NDArray[Any]] = {
        "rows": np.concatenate(packed),
        "lengths": np.array([len(rows) for rows in packed[1:]], np.int64),
        "ids": np.array(ids, np.str_),
    }
    _write_arrays(path, arrays)


def read_segments(path: Path) -> tuple[Segment, ...]:
    """Read the segments of a split.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    with _stored(path) as stored:
        ids, lengths, rows = stored["ids"].tolist(), stored["lengths"], stored["rows"]
        if len(ids) != len(lengths) or (lengths < 0).any() or lengths.sum() != len(rows):
            raise ValueError("the lengths do not add up to the rows")
        rolls = np.split(_unpacked(rows), np.cumsum(lengths)[:-1]) if ids else []
    return tuple(Segment(name, roll) for name, roll in zip(ids, rolls, strict=True))


def write_piece(path: Path, roll: Roll, piece: Piece) -> None:
    """Write a piece's file, whole or not at all."""
    row = json.dumps(piece.to_json()).encode()
    _write_arrays(path, {"rows": _packed(roll), "piece": np.frombuffer(row, np.uint8)})


def read_piece(path: Path) -> tuple[Roll, Piece]:
    """Read the rows of a piece and its row of the index, with the split left open.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    with _stored(path) as stored:
        piece = Piece.from_json(json.loads(stored["piece"].tobytes()))
        roll = _unpacked(stored["rows"])
        if len(roll) != piece.n_rows:
            raise ValueError(f"{len(roll)} rows, {piece.n_rows} were written")
    return roll, piece


def write_index(
    data: Path,
    pieces: Sequence[Piece],
    *,
    licences: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Write the index of the row dataset in folder `data`, whole or not at all."""
    table = {
        "format": FORMAT,
        "version": VERSION,
        "settings": dict(settings),
        "counts": {split: counts_of(pieces, split) for split in SPLITS},
        "licences": dict(licences),
    }
    head = json.dumps(table, indent=1, ensure_ascii=False).removesuffix("\n}")
    rows = ",\n  ".join(json.dumps(piece.to_json(), ensure_ascii=False) for piece in pieces)
    files.write_text(data / INDEX_NAME, f'{head},\n "pieces": [\n  {rows}\n ]\n}}\n', durable=True)


def counts_of(pieces: Sequence[Piece], split: Split) -> dict[str, int]:
    """Count the pieces, segments and rows of a split."""
    lengths = [piece.lengths for piece in pieces if piece.split == split]
    return {
        "pieces": len(lengths),
        "segments": sum(map(len, lengths)),
        "rows": sum(map(sum, lengths)),
    }


def _packed(roll: Roll) -> npt.NDArray[np.uint8]:
    return np.packbits(roll, axis=1)


def _unpacked(rows: npt.NDArray[Any]) -> Roll:
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _ROW_BYTES:
        raise ValueError(f"rows of {rows.dtype} {rows.shape}, allowed: uint8 (n, {_ROW_BYTES})")
    return np.unpackbits(rows, axis=1).view(np.bool_)


def _write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    content = io.BytesIO()  # what np.savez_compressed writes, three times as fast
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # its fixed date: the same rows, the same file
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    files.write_bytes(path, content.getvalue())


@contextlib.contextmanager
def _stored(path: Path) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if sum(member.file_size for member in stored.zip.infolist()) > MAX_ROWS_BYTES:
                raise ValueError(f"more than {MAX_ROWS_BYTES} bytes unpacked")
            yield stored
    except (*files.UNPACKING_ERRORS, AttributeError) as error:
        raise InputError(f"{path}: not readable rows ({error})", "prepare again") from error
