"""Make a dataset of MIDI files: find, read, put on the grid, store, and say what was left out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli import __version__, dataset
from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.music.score import VOICE_NAMES
from singcli.music.voice_files import read_voice_rules
from singcli.preparation import output
from singcli.preparation.limits import Limits
from singcli.preparation.pool import default_jobs, outcomes_in_processes
from singcli.preparation.scores import BEATS, DEFAULT_RULES, Beats
from singcli.preparation.sources import Skipped, Source, SourceReader, find_sources
from singcli.preparation.validation import Validation
from singcli.preparation.worker import Settings, Task, make_song, reason

MIN_SONGS_FOR_PROCESSES = 64  # starting them takes as long as this many songs

STYLE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")

OnProgress = Callable[[int, int, str], None]


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
        something else, or a setting is not allowed.
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
    output.make_room(out, sources, overwrite=overwrite)
    with SourceReader(settings.limits.max_bytes) as reader:
        run = _Run(out, settings, reader, skipped, reuse=not overwrite)
        for done, name in enumerate(run.finished(sources, jobs or default_jobs()), start=1):
            if on_progress is not None:
                on_progress(done, len(sources), name)
        licences = {s.id: licence or reader.licence(s) for s in sources if s.id in run.entries}
    run.skipped.sort(key=lambda skip: skip.source)
    if not run.entries:
        output.write_report(out, run.skipped)
        first = run.skipped[0]
        raise InputError(
            f"none of {len(run.skipped)} files could be prepared ({first.source}: {first.reason})"
        )
    held_out = validation.chosen(sorted(run.entries), seed)
    entries, texts = output.index_of(run.entries, held_out, licences)
    record = settings.to_json() | {
        "seed": seed,
        "style": style,
        "validation": dataclasses.asdict(validation),
    }
    output.finish(out, entries, run.skipped, licences=texts, settings=record)
    seconds = time.monotonic() - started
    return PrepareReport(out, entries, run.n_reused, tuple(run.skipped), seconds)


class _Run:
    """The songs of one run, made or reused, and what was left out."""

    def __init__(
        self,
        out: Path,
        settings: Settings,
        reader: SourceReader,
        skipped: list[Skipped],
        *,
        reuse: bool,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.skipped = skipped
        self.n_reused = 0
        self._out = out
        self._settings = settings
        self._reader = reader
        self._reuse = reuse
        self._name_of_fingerprint: dict[str, str] = {}
        self._settled: list[str] = []

    def finished(self, sources: Sequence[Source], jobs: int) -> Iterator[str]:
        """Handle all sources; yield the name of each when it is done with, one way or another."""
        jobs = jobs if len(sources) >= MIN_SONGS_FOR_PROCESSES else 1
        work = functools.partial(make_song, out=self._out, settings=self._settings)
        for task, outcome in outcomes_in_processes(work, self._tasks(sources), jobs=jobs):
            self._settle(task.id, outcome or Skipped(task.source, "reading it crashed the process"))
            yield from self._take_settled()
        yield from self._take_settled()

    def _tasks(self, sources: Sequence[Source]) -> Iterator[Task]:
        """Read the sources; yield what needs work and settle the others."""
        salt = [__version__, dataset.VERSION, self._settings.to_json()]
        for source in sources:
            try:
                content = self._reader.read(source)
            except InputError as error:
                self._settle(source.id, Skipped(source.name, reason(error, source.name)))
                continue
            side_files = self._reader.side_files(source)
            sha256 = hashlib.sha256(content).hexdigest()
            fingerprint = _fingerprint([sha256, dict(side_files), *salt])
            twin = self._name_of_fingerprint.setdefault(fingerprint, source.name)
            if twin != source.name:
                same = Skipped(source.name, f"the same file as {twin}", failed=False)
                self._settle(source.id, same)
            elif self._reuse and (entry := self._stored(source.id, fingerprint)) is not None:
                self.n_reused += 1
                self._settle(source.id, dataclasses.replace(entry, source=source.name))
            else:
                yield Task(source.id, source.name, content, side_files, sha256, fingerprint)

    def _settle(self, song_id: str, outcome: Entry | Skipped) -> None:
        if isinstance(outcome, Entry):
            self.entries[song_id] = outcome
        else:
            self.skipped.append(outcome)
        self._settled.append(outcome.source)

    def _take_settled(self) -> list[str]:
        settled, self._settled = self._settled, []
        return settled

    def _stored(self, song_id: str, fingerprint: str) -> Entry | None:
        """Return what an earlier run stored of the very same source and settings."""
        try:
            entry = dataset.read_entry(dataset.song_path(self._out, song_id))
        except InputError:
            return None
        return entry if entry.fingerprint == fingerprint else None


def _fingerprint(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
