"""MIDI files compared with an index: the worker behind `novelty check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.music.voice_files import read_voice_rules
from singcli.novelty.index import NoveltyIndex
from singcli.novelty.index_file import REMEDY, SUFFIX
from singcli.novelty.report import NoveltyReport, measure_novelty
from singcli.preparation.limits import Limits
from singcli.preparation.scores import DEFAULT_RULES, Beats, prepared_score
from singcli.preparation.sources import Source, SourceReader, find_sources
from singcli.resources import checkpoints_dir


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, and what it shares; or why it cannot be read.

    Parameters
    ----------
    name : str
        Of the file, with the folder or archive by which it was found.
    report : NoveltyReport, optional
        None where `error` says why.
    error : str
    """

    name: str
    report: NoveltyReport | None
    error: str = ""


FLOAT32 = "-float32"  # of a model's name, where its weights are not in 8 bits


def index_path(name_or_path: str) -> Path:
    """Return the index that belongs to a model: of a bundled one's name, or beside an .onnx file.

    Raises
    ------
    InputError
        If there is none.
    """
    if name_or_path.endswith(".onnx") or Path(name_or_path).name != name_or_path:
        path = Path(name_or_path).with_suffix(SUFFIX)
        if not path.is_file():
            raise InputError(
                f"{name_or_path}: no novelty index beside it ({path.name})",
                f"{REMEDY} DATA --out {path}",
            )
        return path
    name = name_or_path.removesuffix(FLOAT32)
    names = sorted(path.name.removesuffix(SUFFIX) for path in checkpoints_dir().glob(f"*{SUFFIX}"))
    if name in names:
        return checkpoints_dir() / f"{name}{SUFFIX}"
    near = nearest_names(name_or_path, names)
    hint = hint_from_names(near, f"there are: {', '.join(names)}")
    raise InputError(
        f"no model called {name_or_path!r} has a novelty index", f"{hint} (or give --index FILE)"
    )


def check_files(
    inputs: Sequence[Path],
    index: NoveltyIndex,
    *,
    beats: Beats = "file",
    rules: str = DEFAULT_RULES,
) -> Iterator[Checked]:
    """Compare MIDI files, and those in folders and archives, with an index.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders and zip archives.
    beats, rules
        How to read them, see `preparation.scores.score_from_midi`.

    Yields
    ------
    Checked
        In the order of the names; what cannot be read among them.

    Raises
    ------
    InputError
        If an input does not exist, there is no MIDI file at all, or the rules cannot be used.
    """
    voice_rules = read_voice_rules(rules)
    sources, skipped = find_sources(inputs)
    for skip in skipped:
        yield Checked(skip.source, None, skip.reason)
    limits = Limits()
    with SourceReader(limits.max_bytes) as reader:

        def report_of(source: Source) -> NoveltyReport:
            prepared = prepared_score(
                reader.read(source),
                reader.side_files(source) if beats == "annotation" else {},
                source=source.name,
                rules=voice_rules,
                beats=beats,
                sections=False,
                whole=True,  # bars have the numbers that they have in the file
                limits=limits,
            )
            return measure_novelty(prepared.score, index)

        for source in sources:
            try:
                yield Checked(source.name, report_of(source))
            except InputError as error:
                yield Checked(source.name, None, str(error))
