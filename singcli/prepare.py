"""Make a dataset of MIDI files: find, read, put on the grid, store, and say what was left out."""

from __future__ import annotations

import dataclasses
import functools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli import __version__, dataset
from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.files import held
from singcli.music.score import VOICE_NAMES
from singcli.music.voice_files import read_voice_rules
from singcli.preparation import output
from singcli.preparation.allowance import Allowance
from singcli.preparation.limits import Limits
from singcli.preparation.output import SONGS
from singcli.preparation.pool import SCORES_PRELOAD, default_jobs
from singcli.preparation.run import OnProgress, Run
from singcli.preparation.scores import BEATS, DEFAULT_RULES, Beats
from singcli.preparation.settling import Recipe, salt_from
from singcli.preparation.sources import Skipped, SourceReader, find_sources
from singcli.preparation.validation import Validation
from singcli.preparation.worker import Settings, make_song, stored_song

STYLE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """What `prepare` did.

    Parameters
    ----------
    data : Path
    entries : tuple of Entry
        The index.
    n_reused : int
        Songs that were there from an earlier run.
    skipped : tuple of Skipped
    seconds : float
    """

    data: Path
    entries: tuple[Entry, ...]
    n_reused: int
    skipped: tuple[Skipped, ...]
    seconds: float

    @property
    def n_failed(self) -> int:
        """Number of files left out because something is wrong with them."""
        return sum(skip.failed for skip in self.skipped)

    def summary(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {
            "data": str(self.data),
            "songs": len(self.entries),
            "train": sum(entry.split == "train" for entry in self.entries),
            "validation": sum(entry.split == "validation" for entry in self.entries),
            "with_sections": sum(bool(entry.sections) for entry in self.entries),
            "notes": {v: sum(e.voices[v] for e in self.entries) for v in VOICE_NAMES},
            "reused": self.n_reused,
            "skipped": len(self.skipped),
            "failed": self.n_failed,
            "seconds": round(self.seconds, 2),
        }


def prepare(
    inputs: Sequence[Path],
    out: Path,
    *,
    beats: Beats = "file",
    pickups: bool = False,
    rules: str | Path = DEFAULT_RULES,
    sections: bool = True,
    find_sections: bool = False,
    validation: Validation | None = None,
    seed: int = 0,
    licence: str | None = None,
    style: str | None = None,
    limits: Limits | None = None,
    allowance: Allowance | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> PrepareReport:
    """Make the dataset `out` of all MIDI in `inputs`.

    Interrupted at any point, it can be run again and goes on where it stopped: a song whose source
    and settings are unchanged is not made again.

    Parameters
    ----------
    inputs : sequence of Path
        Files, folders and zip archives.
    out : Path
        A folder, made if need be.
    beats, pickups, sections
        How a file is read, see `prepared_score`.
    find_sections : bool
        Whether songs without section labels get those that the analyser hears.
    rules : str or Path
        Voice rules that come with the tool, by name, or a TOML file.
    validation : Validation, optional
        A tenth of the songs by default.
    seed : int
        For drawing the validation songs.
    licence : str, optional
        Licence text of all songs, instead of the LICENSE files found beside or above them.
    style : str, optional
        What the kind of music is called, for models that know several.
    limits : Limits, optional
        Of a file's content.
    allowance : Allowance, optional
        Time and memory for one file.
    jobs : int > 0, optional
        Processes; as many as there are processors by default.
    overwrite : bool
        Make every song again, and take songs out that are not among the inputs.
    on_progress : callable, optional
        Called as (files done, of so many, name of the file).

    Raises
    ------
    InputError
        If an input does not exist, nothing could be prepared, `out` cannot be written or holds
        something else, another process writes to it, or a setting is not allowed.
    SingError
        If there was no room for some songs. All others are stored, but there is no index.
    """
    started = time.monotonic()
    if beats not in BEATS:
        raise InputError(f"beats = {beats!r}, allowed: {', '.join(BEATS)}")
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs = {jobs}, allowed: 1 or more")
    if style is not None and not STYLE_NAME.fullmatch(style):
        raise InputError(
            f"style = {style!r}, allowed: a word of up to 32 small letters, digits and hyphens"
        )
    validation = validation or Validation()
    settings = Settings(
        read_voice_rules(rules), beats, pickups, sections, find_sections, limits or Limits()
    )
    sources, skipped = find_sources(inputs)
    recipe = Recipe(
        things=SONGS.things,
        make=functools.partial(
            make_song, out=out, settings=settings, allowance=allowance or Allowance()
        ),
        stored=functools.partial(stored_song, out=out),
        salt=salt_from([__version__, dataset.VERSION, settings.to_json()]),
        side_files=True,
        max_bytes=settings.limits.max_bytes,
        preload=SCORES_PRELOAD,
    )
    output.make_folder(out)
    with held(out):
        output.make_room(out, sources, overwrite=overwrite)
        with SourceReader(settings.limits.max_bytes) as reader:
            run = Run(recipe, reader, skipped, reuse=not overwrite)
            run.finish(sources, jobs or default_jobs(), on_progress)
            licences = {s.id: licence or reader.licence(s) for s in sources if s.id in run.entries}
        run.validate(out)
        held_out = validation.chosen(sorted(run.entries), seed)
        songs = [
            dataclasses.replace(entry, split="validation" if name in held_out else "train")
            for name, entry in run.entries.items()
        ]
        entries, texts = output.with_licences(songs, licences)
        record = settings.to_json() | {
            "seed": seed,
            "style": style,
            "validation": dataclasses.asdict(validation),
        }
        output.tidy(out, run.entries, run.skipped)
        dataset.write_index(out, entries, licences=texts, settings=record)
    seconds = time.monotonic() - started
    return PrepareReport(out, entries, run.n_reused, tuple(run.skipped), seconds)
