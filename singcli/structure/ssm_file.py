"""Structure files: the self-similarity of one piece, and no notes.

An SSM file (`.npz`) can be shared where the music cannot. It holds

- `ssm`: (n_beats, n_beats) float32, the matrix;
- `bar_beats`: (n_bars + 1,) int32, the beat at which each bar starts, then the number of beats;
- `beat_s`: (n_beats,) float64, when each beat begins, in seconds;
- `meta`: JSON text: format, version, sections, tempo, meter, key and provenance.

It is read without pickle. What is wrong with a foreign or damaged file ends in one line.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from singcli import __version__, files
from singcli.errors import InputError
from singcli.music.key import Key
from singcli.structure.section import Span

FORMAT, VERSION = "singcli-ssm", 1
SUFFIX = ".npz"
MAX_BEATS = 6144  # the longest form: 512 bars of 12 quarters; the matrix has 150 MB

SourceKind = Literal["midi", "preset", "form", "blend", "audio"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a matrix comes from.

    Parameters
    ----------
    kind : {"midi", "preset", "form", "blend", "audio"}
    name : str
        File name without folder, or the form's text.
    sha256 : str
        Of the source's bytes, or of the form's text.
    licence : str
        Copyright and licence text found with the source; empty if there is none.
    settings : mapping
        How the matrix was made: features, window, texture, layout, beats.
    singcli_version : str
    """

    kind: SourceKind
    name: str
    sha256: str
    licence: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    singcli_version: str = __version__


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """The structure of one piece: what an SSM file holds.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
        Symmetric.
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
        Beat at which each bar starts, from 0; the last entry is n_beats.
    beat_s : np.ndarray, shape=(n_beats,), float64
        When each beat begins, in seconds; strictly increasing from 0 or later.
    sections : tuple of Span
        In order, without gaps, from the first bar to the last.
    tempo_bpm : float > 0
        Quarter notes a minute.
    meter : str
        Of most bars.
    key : Key or None
        None where it is not known.
    provenance : Provenance
    """

    ssm: npt.NDArray[np.float32]
    bar_beats: npt.NDArray[np.int32]
    beat_s: npt.NDArray[np.float64]
    sections: tuple[Span, ...]
    tempo_bpm: float
    meter: str
    key: Key | None
    provenance: Provenance

    @property
    def n_beats(self) -> int:
        """Number of beats."""
        return len(self.ssm)

    @property
    def n_bars(self) -> int:
        """Number of bars."""
        return len(self.bar_beats) - 1


def write_ssm(structure: Structure, path: Path) -> None:
    """Write an SSM file, whole or not at all; the same structure gives the same bytes."""
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "sections": [list(span) for span in structure.sections],
        "tempo_bpm": structure.tempo_bpm,
        "meter": structure.meter,
        "key": None if structure.key is None else str(structure.key),
        "provenance": asdict(structure.provenance),
    }
    with files.replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            ssm=structure.ssm.astype(np.float32),
            bar_beats=structure.bar_beats.astype(np.int32),
            beat_s=structure.beat_s.astype(np.float64),
            meta=np.array(json.dumps(meta, ensure_ascii=False)),
        )


def read_ssm(path: Path) -> Structure:
    """Read an SSM file.

    Raises
    ------
    InputError
        If the file is missing, damaged, not an SSM file, of a newer version, or inconsistent.
    """
    try:
        _validate_size(path)
        with np.load(path, allow_pickle=False) as stored:
            ssm, bar_beats, beat_s = (stored[key] for key in ("ssm", "bar_beats", "beat_s"))
            meta = json.loads(str(stored["meta"]))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except files.UNPACKING_ERRORS as error:
        raise InputError(f"{path}: damaged, or not an SSM file", "make one: singcli ssm") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise InputError(f"{path}: not an SSM file", "make one: singcli ssm")
    if meta.get("version") != VERSION:
        raise InputError(f"{path}: version {meta.get('version')!r}, this singcli reads {VERSION}")
    try:
        structure = _structure_from_parts(ssm, bar_beats, beat_s, meta)
    except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
        raise InputError(f"{path}: damaged SSM file ({error})") from error
    return structure


def _structure_from_parts(
    ssm: npt.NDArray[Any], bar_beats: npt.NDArray[Any], beat_s: npt.NDArray[Any], meta: Any
) -> Structure:
    structure = Structure(
        ssm=ssm,
        bar_beats=bar_beats,
        beat_s=beat_s,
        sections=tuple(Span(str(a), int(b), int(c)) for a, b, c in meta["sections"]),
        tempo_bpm=float(meta["tempo_bpm"]),
        meter=str(meta["meter"]),
        key=None if meta["key"] is None else Key.parse(meta["key"]),
        provenance=Provenance(**meta["provenance"]),
    )
    validate_structure(structure)
    return structure


def validate_structure(structure: Structure) -> None:
    """Check that matrix, beats, bars and sections agree.

    Raises
    ------
    ValueError
        Says what does not.
    """
    ssm, bars, seconds = structure.ssm, structure.bar_beats, structure.beat_s
    if ssm.dtype != np.float32 or bars.dtype != np.int32 or seconds.dtype != np.float64:
        raise ValueError("an array has the wrong type")
    if ssm.ndim != 2 or ssm.shape[0] != ssm.shape[1] or len(ssm) == 0:
        raise ValueError(f"the matrix has the shape {ssm.shape}")
    if not (np.isfinite(ssm).all() and ssm.min() >= 0 and ssm.max() <= 1):
        raise ValueError("the matrix has values outside 0 to 1")
    if not np.allclose(ssm, ssm.T, atol=1e-5):  # float32 sums in another order
        raise ValueError("the matrix is not symmetric")
    if bars.ndim != 1 or len(bars) < 2 or bars[0] != 0 or bars[-1] != len(ssm):
        raise ValueError("bar lines do not span the matrix")
    if (np.diff(bars) < 1).any():
        raise ValueError("bar lines do not increase")
    if seconds.shape != (len(ssm),) or not np.isfinite(seconds).all() or seconds[0] < 0:
        raise ValueError("beat times do not fit the matrix")
    if (np.diff(seconds) <= 0).any():
        raise ValueError("beat times do not increase")
    if not (np.isfinite(structure.tempo_bpm) and structure.tempo_bpm > 0):
        raise ValueError(f"tempo_bpm is {structure.tempo_bpm}")
    bar = 0
    for span in structure.sections:
        if span.start_bar != bar or span.n_bars < 1:
            raise ValueError("sections have gaps")
        bar += span.n_bars
    if bar != structure.n_bars:
        raise ValueError(f"sections have {bar} bars, the piece {structure.n_bars}")


def _validate_size(path: Path) -> None:
    """Refuse what would unpack to more than a matrix of `MAX_BEATS` beats."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > 5 * MAX_BEATS**2:
            raise InputError(f"{path}: more than {MAX_BEATS} beats, or not an SSM file")
