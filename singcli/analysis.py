"""The structure of music, a preset, a form string or an SSM file: the worker behind `ssm`.

What a source is, in this order:

1. by its suffix: `.mid`, `.midi`, `.kar` a MIDI file, `.wav`, `.mp3`, `.flac`, `.ogg` a recording,
   `.toml` a preset, `.npz` an SSM file;
2. the name of a bundled preset (a file of that name is meant by `./name`);
3. any other existing file: a MIDI file if it begins like one;
4. a form string.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.audio import AUDIO_SUFFIXES, structure_from_audio
from singcli.dataset import SectionSpan
from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.files import validate_new_file, write_text
from singcli.music.score import Score
from singcli.music.voice_files import read_voice_rules
from singcli.preparation.limits import Limits
from singcli.preparation.scores import DEFAULT_RULES, Beats, prepared_score
from singcli.preparation.sources import MIDI_SUFFIXES, Source, SourceReader
from singcli.preset_library import is_preset_path, preset_names, preset_path
from singcli.structure.alignment import RepeatMap, repeat_map_from_ssm
from singcli.structure.bar_copies import BarCopy, bar_copies
from singcli.structure.bar_features import BarFeatures, bar_features_from_score
from singcli.structure.form import Form, ssm_from_form
from singcli.structure.form_string import form_from_string
from singcli.structure.found_form import FoundSection
from singcli.structure.outline import (
    Outline,
    form_from_outline,
    outline_from_score,
    outline_from_ssm,
    sections_of_form,
)
from singcli.structure.preset import form_from_toml
from singcli.structure.preset_text import text_from_form
from singcli.structure.section import Span
from singcli.structure.segmentation import sections_from_features
from singcli.structure.ssm import WINDOW_BEATS, ssm_from_score
from singcli.structure.ssm_file import MAX_BEATS, Provenance, Structure, read_ssm, write_ssm
from singcli.structure.texture import DEFAULT_TEXTURE
from singcli.toml_tables import read_toml


class Piece(NamedTuple):
    """What is known of a source: its form if it is one, its notes and bars if it has notes."""

    structure: Structure
    form: Form | None = None
    score: Score | None = None
    bars: BarFeatures | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What `analyse` found and wrote."""

    structure: Structure
    sections: tuple[FoundSection, ...]
    copies: tuple[BarCopy, ...]
    written: tuple[Path, ...]


def analyse(
    source: str,
    *,
    out: Path | None = None,
    png: bool = False,
    repeat_map: bool = False,
    preset: Path | None = None,
    overwrite: bool = False,
    beats: Beats = "file",
    rules: str = DEFAULT_RULES,
) -> Analysis:
    """Find the structure of a source and write it.

    Parameters
    ----------
    source : str
        See the header of the module.
    out : Path, optional
        The SSM file; by default named after the source, in the current folder. A source that is
        an SSM file itself is not written again unless this is given.
    png : bool
        Draw the matrix, beside `out`.
    repeat_map : bool
        Draw the repeat map into the picture as well.
    preset : Path, optional
        Write the sections as a preset here.
    overwrite : bool
        Replace existing files.
    beats, rules
        How to read a MIDI file, see `score_from_midi`.

    Raises
    ------
    InputError
        If the source cannot be used, or an output not be written. Nothing has been written then.
    """
    is_ssm_file = source.lower().endswith(".npz")
    npz = out or Path(f"{_stem(source)}.npz")
    picture = [npz.with_suffix(".png")] if png else []
    outputs = [
        *([] if is_ssm_file and out is None else [npz]),
        *picture,
        *([preset] if preset else []),
    ]
    if npz.suffix != ".npz":
        raise InputError(f"{npz}: an SSM file ends in .npz")
    if preset is not None and preset.suffix != ".toml":
        raise InputError(f"{preset}: a preset ends in .toml")
    _validate_outputs(outputs, source, overwrite=overwrite)

    piece = structure_from_source(source, beats=beats, rules=rules)
    structure, form = piece.structure, piece.form
    repeats = repeat_map_from_ssm(structure.ssm)
    if form is None:
        outline = _outline(piece)
        sections = outline.sections
        if preset is not None:
            form = form_from_outline(outline, structure, name=preset.stem)
    else:
        sections = sections_of_form(form)
    if npz in outputs:
        write_ssm(structure, npz)
    if png:
        _write_picture(picture[0], structure, repeats if repeat_map else None)
    if preset is not None and form is not None:
        write_text(preset, text_from_form(form))
    copies = bar_copies(repeats, structure.bar_beats)
    return Analysis(structure, sections, tuple(copies), tuple(outputs))


def structure_from_source(
    source: str, *, beats: Beats = "file", rules: str = DEFAULT_RULES
) -> Piece:
    """Return the structure of a source, its form if it is a preset or a form string, its notes.

    Raises
    ------
    InputError
        If the source is none of the things in the header of the module, or cannot be used.
    """
    suffix = Path(source).suffix.lower()
    if suffix in MIDI_SUFFIXES:
        return _piece_from_midi(Path(source), beats=beats, rules=rules)
    if suffix in AUDIO_SUFFIXES:
        return Piece(structure_from_audio(Path(source)))
    if suffix == ".npz":
        return Piece(read_ssm(Path(source)))
    if suffix == ".toml" or source in preset_names():
        path = preset_path(source)
        content = read_toml(path)
        form = form_from_toml(content, source=str(path), name=path.stem)
        return Piece(structure_from_form(form, "preset", name=path.name, content=content), form)
    if os.path.lexists(source):
        if _begins_like_midi(Path(source)):
            return _piece_from_midi(Path(source), beats=beats, rules=rules)
        raise InputError(
            f"{source}: not a MIDI file, a recording ({', '.join(sorted(AUDIO_SUFFIXES))}), "
            "a preset (.toml) or an SSM file (.npz)"
        )
    form = _form_from_text(source)
    return Piece(structure_from_form(form, "form", name=source, content=source.encode()), form)


def structure_from_form(form: Form, kind: Any, *, name: str, content: bytes) -> Structure:
    """Return the structure that a form asks for, drawn as stripes over the default texture.

    Parameters
    ----------
    form : Form
    kind : {"preset", "form"}
    name : str
        Name of the source.
    content : bytes
        The source, for its hash.
    """
    settings = {"layout": "stripes", "texture": dataclasses.asdict(DEFAULT_TEXTURE)}
    return Structure(
        ssm=ssm_from_form(form),
        bar_beats=form.bar_beats,
        beat_s=form.beat_s,
        sections=tuple(form.section_bars),
        tempo_bpm=form.tempo_bpm,
        meter=form.meter,
        key=form.key,
        provenance=Provenance(kind, name, _sha256(content), settings=settings),
    )


def structure_from_midi(
    path: Path, *, beats: Beats = "file", rules: str = DEFAULT_RULES
) -> Structure:
    """Return the structure of a MIDI file, without its notes.

    Sections are those of the annotation beside the file where `beats` is "annotation" and there
    are some; else they are found (`sections_from_score`).

    Raises
    ------
    InputError
        As `score_from_midi`, and if the piece has more than `MAX_BEATS` beats.
    """
    return _piece_from_midi(path, beats=beats, rules=rules).structure


def _piece_from_midi(path: Path, *, beats: Beats, rules: str) -> Piece:
    limits = Limits()
    voice_rules = read_voice_rules(rules)
    source = Source(path.stem, str(path), path.absolute(), None, path.absolute())
    with SourceReader(limits.max_bytes) as reader:
        content = reader.read(source)
        side_files = reader.side_files(source) if beats == "annotation" else {}
        licence = reader.licence(source)
    prepared = prepared_score(
        content, side_files, source=str(path), rules=voice_rules, beats=beats, limits=limits
    )
    score = prepared.score
    if score.n_beats > MAX_BEATS:
        raise InputError(f"{path}: {score.n_beats} beats, allowed {MAX_BEATS}")
    given = _without_gaps(prepared.sections, score.n_bars)
    bars = bar_features_from_score(score)
    settings = {
        "features": "chroma of both voices, lead onsets, rhythm",
        "window_beats": WINDOW_BEATS,
        "beats": beats,
        "rules": rules if not is_preset_path(rules) else Path(rules).name,
        "sections": "annotated" if given else "found",
    }
    structure = Structure(
        ssm=ssm_from_score(score),
        bar_beats=score.bar_beats,
        beat_s=_beat_times(score.n_beats, score.tempo_bpm),
        sections=tuple(given or sections_from_features(bars)),
        tempo_bpm=score.tempo_bpm,
        meter=prepared.meter,
        key=score.key,
        provenance=Provenance("midi", path.name, _sha256(content), licence or "", settings),
    )
    return Piece(structure, score=score, bars=bars)


def _begins_like_midi(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"MThd"


def _form_from_text(text: str) -> Form:
    """Read a form string; a text that cannot have been meant as one is a name that nobody has."""
    try:
        return form_from_string(text)
    except InputError as error:
        if is_preset_path(text):
            raise InputError(f"{text}: no such file") from error
        if re.search(r"[\d\s:]", text) or text.isupper():
            raise
        names = preset_names()
        near = nearest_names(text.lower(), names)
        hint = hint_from_names(near, f"presets: {', '.join(names)}")
        raise InputError(
            f"{text!r} is not a file, a preset or a form", f'{hint} (a form: "A8 A8 B8 A8")'
        ) from error


def _outline(piece: Piece) -> Outline:
    structure = piece.structure
    if piece.score is None:
        return outline_from_ssm(structure.ssm, structure.bar_beats, structure.sections)
    return outline_from_score(piece.score, structure.sections, bars=piece.bars)


def _without_gaps(sections: tuple[SectionSpan, ...], n_bars: int) -> list[Span]:
    """Return annotated sections with the bars between and around them as sections of their own.

    Upper case is with the tune, as POP909 writes it: "b" (a bridge) is not the music of "B".
    """
    if not sections:
        return []
    spans: list[Span] = []
    bar, gaps = 0, 0
    for section in (*sections, SectionSpan("", n_bars, 0, melodic=False)):
        if section.start_bar > bar:
            gaps += 1  # what nobody labelled is not the same music: every gap is of its own kind
            spans.append(Span(f"unlabelled-{gaps}", bar, section.start_bar - bar))
        if section.n_bars:
            label = section.label.upper() if section.melodic else section.label
            spans.append(Span(label, section.start_bar, section.n_bars))
        bar = section.start_bar + section.n_bars
    return spans


def _validate_outputs(outputs: list[Path], source: str, *, overwrite: bool) -> None:
    for path in outputs:
        if not path.parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK):
            raise InputError(f"{path}: the folder {path.parent} cannot be written")
        if path.exists() and os.path.lexists(source) and path.samefile(source):
            raise InputError(f"{path}: is the source itself", "choose another name")
        validate_new_file(path, overwrite=overwrite)


def _write_picture(path: Path, structure: Structure, repeats: RepeatMap | None) -> None:
    from singcli.plotting import write_ssm_png

    write_ssm_png(
        path,
        structure.ssm,
        structure.bar_beats,
        structure.sections,
        title=structure.provenance.name,
        repeats=repeats,
    )


def _stem(source: str) -> str:
    """Return a file name without suffix for what is found in a source."""
    if Path(source).suffix.lower() in {".toml", ".npz", *MIDI_SUFFIXES, *AUDIO_SUFFIXES}:
        return Path(source).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", source.replace("'", "_")).strip("-.")[:64] or "form"


def _beat_times(n_beats: int, tempo_bpm: float) -> npt.NDArray[np.float64]:
    """Return when beats begin at an even tempo, in seconds."""
    return np.arange(n_beats, dtype=np.float64) * (60.0 / tempo_bpm)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
