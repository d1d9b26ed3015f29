"""Make a dataset of MIDI files: find, read, put on the grid, store, and say what was left out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli import dataset, files
from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.music.score import VOICE_NAMES
from singcli.music.voice_files import read_voice_rules
from singcli.preparation.pool import default_jobs, outcomes_in_processes
from singcli.preparation.scores import BEATS, DEFAULT_RULES, Beats, Limits
from singcli.preparation.sources import Skipped, Source, SourceReader, find_sources
from singcli.preparation.worker import Settings, Task, make_song, reason

MIN_SONGS_FOR_PROCESSES = 64  # starting them takes as long as this many songs

OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Validation:
    """Which songs are held out.

    Parameters
    ----------
    fraction : float in [0, 1)
        Share of the songs, drawn by id and seed: a song's place in the draw does not depend on
        which other songs there are.
    ids : str, optional
        A regular expression searched for in the ids, instead of drawing.
    """

    fraction: float = 0.1
    ids: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1:
            raise InputError(f"validation fraction = {self.fraction}, allowed 0 to below 1")
        try:
            re.compile(self.ids or "")
        except re.error as error:
            raise InputError(f"validation ids = {self.ids!r} is no regular expression") from error

    def chosen(self, ids: Sequence[str], seed: int) -> set[str]:
        """Return the ids of the songs to hold out; one at least if a share of two or more."""
        if self.ids is not None:
            return {song_id for song_id in ids if re.search(self.ids, song_id)}
        count = round(self.fraction * len(ids))
        if self.fraction > 0 and len(ids) > 1:
            count = max(count, 1)
        draw = sorted(ids, key=lambda i: hashlib.sha256(f"{seed}:{i}".encode()).digest())
        return set(draw[:count])


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
    rules: str | Path = DEFAULT_RULES,
    validation: Validation | None = None,
    seed: int = 0,
    licence: str | None = None,
    limits: Limits | None = None,
    sections: bool = True,
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
    beats : {"file", "annotation", "estimate"}
        Beats and bars from the file's own ticks and meters; from POP909's `beat_midi.txt` beside
        it; or estimated from the onsets.
    rules : str or Path
        Voice rules that come with the tool, by name, or a TOML file.
    validation : Validation, optional
        A tenth of the songs by default.
    seed : int
        For drawing the validation songs.
    licence : str, optional
        Licence text of all songs, instead of the LICENSE files found beside or above them.
    limits : Limits, optional
    sections : bool
        Whether to align and store human section labels where there are some.
    jobs : int > 0, optional
        Processes; as many as there are processors by default.
    overwrite : bool
        Make every song again, and take songs out that are not among the inputs.
    on_progress : callable, optional
        Called as (done, total, name of the song).

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
    validation = validation or Validation()
    limits = limits or Limits()
    settings = Settings(beats, read_voice_rules(rules), limits, sections)
    sources, skipped = find_sources(inputs)
    _make_room(out, sources, overwrite=overwrite)
    with SourceReader(limits.max_bytes) as reader:
        run = _Run(out, settings, reader, reuse=not overwrite, skipped=skipped)
        for done, name in enumerate(run.song_names(sources, jobs or default_jobs()), start=1):
            if on_progress is not None:
                on_progress(done, len(sources), name)
        licences = {s.id: licence or reader.licence(s) for s in sources if s.id in run.entries}
    if not run.entries:
        first = run.skipped[0]
        raise InputError(f"no file could be prepared, {len(run.skipped)} skipped; {first.reason}")
    entries, texts = _index(run.entries, licences, validation, seed)
    record = settings.to_json() | {"seed": seed, "validation": dataclasses.asdict(validation)}
    _finish(out, entries, run.skipped, texts, record)
    return PrepareReport(
        out, entries, run.n_reused, tuple(run.skipped), time.monotonic() - started
    )


class _Run:
    """The songs of one run: made or reused, with what was left out."""

    def __init__(
        self,
        out: Path,
        settings: Settings,
        reader: SourceReader,
        *,
        reuse: bool,
        skipped: list[Skipped],
    ) -> None:
        self.out = out
        self.settings = settings
        self.entries: dict[str, Entry] = {}
        self.skipped = skipped
        self.n_reused = 0
        self._reader = reader
        self._reuse = reuse
        self._seen: dict[str, str] = {}
        self._finished: list[str] = []

    def song_names(self, sources: Sequence[Source], jobs: int) -> Iterator[str]:
        """Handle all sources; yield the name of each when it is done with, one way or another."""
        jobs = jobs if len(sources) >= MIN_SONGS_FOR_PROCESSES else 1
        work = functools.partial(make_song, out=self.out, settings=self.settings)
        for task, outcome in outcomes_in_processes(work, self._tasks(sources), jobs=jobs):
            if isinstance(outcome, Entry):
                self.entries[task.id] = outcome
            else:
                self.skipped.append(outcome or Skipped(task.source, "the reading process crashed"))
            self._finished.append(task.source)
            yield from self._drain()
        yield from self._drain()

    def _drain(self) -> Iterator[str]:
        while self._finished:
            yield self._finished.pop(0)

    def _tasks(self, sources: Sequence[Source]) -> Iterator[Task]:
        """Read the sources; what needs no work is settled here."""
        salt = json.dumps([dataset.VERSION, self.settings.to_json()], sort_keys=True).encode()
        for source in sources:
            try:
                content = self._reader.read(source)
            except InputError as error:
                self._settle(source, Skipped(source.name, reason(error, source.name)))
                continue
            side_files = self._reader.side_files(source)
            sha256 = hashlib.sha256(content).hexdigest()
            sides = json.dumps(side_files, sort_keys=True).encode()
            fingerprint = hashlib.sha256(sha256.encode() + sides + salt).hexdigest()
            if fingerprint in self._seen:
                same = f"the same file as {self._seen[fingerprint]}"
                self._settle(source, Skipped(source.name, same, failed=False))
                continue
            self._seen[fingerprint] = source.name
            if self._reuse and (entry := self._stored(source.id, fingerprint)) is not None:
                self.n_reused += 1
                self._settle(source, dataclasses.replace(entry, source=source.name))
                continue
            yield Task(source.id, source.name, content, side_files, sha256, fingerprint)

    def _settle(self, source: Source, outcome: Entry | Skipped) -> None:
        if isinstance(outcome, Entry):
            self.entries[source.id] = outcome
        else:
            self.skipped.append(outcome)
        self._finished.append(source.name)

    def _stored(self, song_id: str, fingerprint: str) -> Entry | None:
        try:
            entry = dataset.read_entry(dataset.song_path(self.out, song_id))
        except InputError:
            return None
        return entry if entry.fingerprint == fingerprint else None


def _make_room(out: Path, sources: Sequence[Source], *, overwrite: bool) -> None:
    """Make the folder, and make sure that it is ours and can be written."""
    songs = out / dataset.SONGS_NAME
    index = out / dataset.INDEX_NAME
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder")
    if out.is_dir() and not songs.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: holds something that is not a dataset", "choose another folder")
    if index.exists() and not overwrite:
        names = {source.id for source in sources}
        strangers = [e.id for e in dataset.Dataset.open(out).entries if e.id not in names]
        if strangers:
            raise InputError(
                f"{out}: holds {len(strangers)} songs that are not among the inputs"
                f" ({', '.join(strangers[:3])})",
                "name all inputs of the dataset, or let --overwrite take those songs out",
            )
    try:
        songs.mkdir(parents=True, exist_ok=True)
        files.write_text(out / dataset.REPORT_NAME, "")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    index.unlink(missing_ok=True)  # until it is written again, the folder is unfinished


def _index(
    entries: Mapping[str, Entry],
    licences: Mapping[str, str | None],
    validation: Validation,
    seed: int,
) -> tuple[tuple[Entry, ...], dict[str, str]]:
    """Split the songs and give every licence text a short name."""
    held_out = validation.chosen(sorted(entries), seed)
    texts: dict[str, str] = {}
    rows = []
    for song_id in sorted(entries):
        text = licences[song_id]
        name = None if text is None else hashlib.sha256(text.encode()).hexdigest()[:12]
        if text is not None and name is not None:
            texts[name] = text
        split = "validation" if song_id in held_out else "train"
        rows.append(dataclasses.replace(entries[song_id], split=split, licence=name))
    return tuple(rows), texts


def _finish(
    out: Path,
    entries: tuple[Entry, ...],
    skipped: Sequence[Skipped],
    licences: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Take away what does not belong to the dataset, write the report, and last the index."""
    wanted = {dataset.song_path(out, entry.id).name for entry in entries}
    for path in (out / dataset.SONGS_NAME).iterdir():
        if path.name not in wanted:
            path.unlink()
    lines = (json.dumps(dataclasses.asdict(skip), ensure_ascii=False) for skip in skipped)
    files.write_text(out / dataset.REPORT_NAME, "".join(f"{line}\n" for line in lines))
    dataset.write_index(out, entries, licences=licences, settings=settings)


