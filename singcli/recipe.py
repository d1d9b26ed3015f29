"""The recipe of a song: all that is needed to make the same file again, and what came of it.

It lies beside the song as JSON (`write_recipe`) and, without the measurements, which are taken
from the finished file, inside it as a MIDI text event (`Recipe.embedded_text`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from singcli import __version__
from singcli.errors import InputError
from singcli.files import read_up_to, write_text
from singcli.music.midi_events import midi_texts
from singcli.music.midi_writing import TICKS_PER_BEAT
from singcli.records import fields_of

MAX_BYTES = 16 * 2**20  # the structure of 512 bars has less than one
RECIPE_VERSION = 4  # 1 knew one template and one attempt, 2 no limits and no ending, 3 no machine
READ_VERSIONS = (3, 4)
EMBEDDED_KEY = "singcli_recipe"


@dataclass(frozen=True, slots=True)
class UsedFile:
    """A file that had a part in the song.

    Parameters
    ----------
    name : str
        Without its folder, which means nothing on another machine.
    sha256 : str
        Of the content, in hexadecimal digits.
    """

    name: str
    sha256: str

    @classmethod
    def from_path(cls, path: Path) -> Self:
        """Name and hash the file."""
        with path.open("rb") as file:
            return cls(path.name, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class UsedTemplate(UsedFile):
    """A file whose structure was followed, and its share in the blend of several."""

    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class PlacedSection:
    """Where a section is in the song; ends are exclusive, bars count from 0."""

    label: str
    start_bar: int
    end_bar: int
    start_tick: int
    end_tick: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a song was made.

    Parameters
    ----------
    model : UsedFile
        The `.onnx` file.
    seed : int
    options : mapping of str to plain JSON values
        Every option that bears on the notes or on the file, defaults spelled out.
    form : mapping of str to plain JSON values, optional
        The form resolved in full, in the words of a preset file; None with a template.
    templates : tuple of UsedTemplate
        The files whose structure was followed, blended if there are several; empty with a form.
    primer : UsedFile, optional
        The MIDI file that gave notes.
    best_of : int >= 1
        Attempts of which the song is the best.
    attempt : int, 1 to `best_of`
        Which of them the song is; made again, it is the only one that is sampled.
    sections : tuple of PlacedSection
    structure : mapping of str to plain JSON values, optional
        What was measured on the finished file.
    versions : mapping of str to str
        Of the software that the notes depend on; see `used_versions`.
    machine : str, optional
        Class of machine, see `machine_class`; None in recipes that do not know it.
    recipe_version : int
        `RECIPE_VERSION` of the singcli that wrote it.
    """

    model: UsedFile
    seed: int
    options: Mapping[str, Any]
    form: Mapping[str, Any] | None = None
    templates: tuple[UsedTemplate, ...] = ()
    primer: UsedFile | None = None
    best_of: int = 1
    attempt: int = 1
    sections: tuple[PlacedSection, ...] = ()
    structure: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=lambda: used_versions())
    machine: str | None = dataclasses.field(default_factory=lambda: machine_class())
    recipe_version: int = RECIPE_VERSION

    def to_json(self) -> str:
        """Return the recipe as indented JSON, one line feed at the end."""
        return json.dumps(self._fields(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def embedded_text(self) -> str:
        """Return the recipe without measurements as one line of ASCII, for a MIDI text event."""
        fields = self._fields()
        del fields["structure"]
        return json.dumps({EMBEDDED_KEY: fields}, separators=(",", ":"), allow_nan=False)

    def _fields(self) -> dict[str, Any]:
        fields = fields_of(self) | {
            "model": fields_of(self.model),
            "templates": [fields_of(template) for template in self.templates],
            "primer": None if self.primer is None else fields_of(self.primer),
            "sections": [fields_of(section) for section in self.sections],
        }
        return {"recipe_version": fields.pop("recipe_version"), **fields}


def used_versions() -> dict[str, str]:
    """Return the versions of the software that the notes of a song depend on."""
    import onnxruntime

    return {
        "singcli": __version__,
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def machine_class() -> str:
    """Return what sums in floating point depend on: system, processor and its widest vectors.

    Such as "Linux x86_64 AVX512_ICL", the vectors as numpy calls them.
    """
    vectors = np.show_config(mode="dicts")["SIMD Extensions"]
    known = [*vectors.get("baseline", ()), *vectors.get("found", ())]
    return " ".join([platform.system(), platform.machine(), *known[-1:]])


def placed_sections(
    spans: Sequence[tuple[str, int, int]], bar_beats: npt.NDArray[np.int32]
) -> tuple[PlacedSection, ...]:
    """Return where sections, given as (label, start_bar, n_bars), begin and end in ticks.

    Parameters
    ----------
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
        As in `singcli.music.score.Score`.
    """
    ticks = (bar_beats.astype(np.int64) * TICKS_PER_BEAT).tolist()
    return tuple(
        PlacedSection(label, start, start + n_bars, ticks[start], ticks[start + n_bars])
        for label, start, n_bars in spans
    )


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write the recipe to `path` as JSON, whole or not at all."""
    write_text(path, recipe.to_json())


def read_recipe(path: Path) -> Recipe:
    """Read what `write_recipe` wrote.

    Raises
    ------
    InputError
        If the file cannot be read, is no recipe, or was written by a later version.
    """
    remedy = "give the .json file that singcli generate wrote beside a song"
    content = read_up_to(path, MAX_BYTES, remedy=remedy)
    try:
        fields = json.loads(content)
    except RecursionError as error:
        raise InputError(f"{path}: values nested too deeply", remedy) from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})", remedy) from error
    return recipe_from_fields(fields, source=str(path), remedy=remedy)


def recipe_from_midi(content: bytes, *, source: str) -> tuple[Recipe, str]:
    """Return the recipe that a MIDI file carries, and the text event that holds it.

    Raises
    ------
    InputError
        If it carries none, one that cannot be read, or is not a MIDI file.
    """
    found = embedded_fields(content, source=source)
    if found is None:
        raise InputError(
            f"{source}: carries no recipe of singcli",
            "another program wrote it, or saved it again without its texts; a .json of generate "
            "can be used instead: singcli generate --recipe",
        )
    fields, text = found
    return recipe_from_fields(fields, source=source, remedy=None), text


def embedded_fields(content: bytes, *, source: str) -> tuple[object, str] | None:
    """Return the values of the recipe that a MIDI file carries and its text, None without one.

    Raises
    ------
    InputError
        If it is not a MIDI file, or is damaged before the recipe.
    """
    for text in midi_texts(content, source=source):
        if EMBEDDED_KEY not in text[:40]:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and EMBEDDED_KEY in value:
            return value[EMBEDDED_KEY], text
    return None


def recipe_from_fields(fields: object, *, source: str, remedy: str | None) -> Recipe:
    """Return the recipe of these plain values.

    Raises
    ------
    InputError
        If they are not those of a recipe, or of a version that this singcli does not read.
    """
    import pydantic

    if not isinstance(fields, dict) or "recipe_version" not in fields:
        raise InputError(f"{source}: not a recipe (no recipe_version)", remedy)
    version = fields["recipe_version"]
    if version not in READ_VERSIONS:
        raise InputError(
            f"{source}: recipe_version = {version!r}, this singcli reads "
            f"{' and '.join(map(str, READ_VERSIONS))}",
            "use the version of singcli that its versions.singcli names",
        )
    known = [field.name for field in dataclasses.fields(Recipe)]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise InputError(f"{source}: unknown key {unknown[0]!r}, allowed: {', '.join(known)}")
    try:
        return pydantic.TypeAdapter(Recipe).validate_python({"machine": None, **fields})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{source}: {key}: {first['msg']}", remedy) from error
