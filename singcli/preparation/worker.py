"""The part of `prepare` that runs in processes of its own: one source -> one stored song."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from singcli import dataset
from singcli.dataset import Entry
from singcli.errors import InputError
from singcli.files import WriteError
from singcli.music.score import VOICE_NAMES, Score
from singcli.music.voices import VoiceRules
from singcli.preparation.allowance import Allowance, within
from singcli.preparation.limits import Limits
from singcli.preparation.scores import Beats, prepared_score
from singcli.preparation.sources import Skipped


@dataclass(frozen=True, slots=True)
class Settings:
    """What the content of a song's file depends on, beside its source; see `prepared_score`."""

    rules: VoiceRules
    beats: Beats
    pickups: bool
    sections: bool
    limits: Limits

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        table = dataclasses.asdict(self)
        for rule in table["rules"]["rules"]:
            rule["name"] = rule["name"] and rule["name"].pattern
        return table


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A song for which there was no room; fields as in `Skipped`.

    Nothing is wrong with its source, so the dataset is not complete without it.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """A source that has been read; fields as in `Entry` and `prepared_score`."""

    id: str
    source: str
    content: bytes
    side_files: Mapping[str, str]
    sha256: str
    fingerprint: str


def make_song(
    task: Task,
    *,
    out: Path,
    settings: Settings,
    allowance: Allowance,
    own_process: bool = False,
) -> Entry | Skipped | Unwritten:
    """Make and store one song of the dataset in folder `out`.

    Parameters
    ----------
    own_process : bool
        Whether this process may be ended over a file that takes too long.

    Returns
    -------
    Entry, Skipped or Unwritten
        Why the song was left out, whatever happened: a file must not end the run.
    """
    try:
        with within(allowance, source=task.source, own_process=own_process):
            entry, score = _made_song(task, settings)
    except InputError as error:
        return Skipped(task.source, reason(error, task.source))
    except Exception as error:  # noqa: BLE001 - a bug of ours or a library's, met in this file
        return Skipped(task.source, _one_line(f"unexpected {type(error).__name__}: {error}"))
    try:
        dataset.write_song(dataset.song_path(out, task.id), score, entry)
    except WriteError as error:
        return Unwritten(task.source, str(error))
    return entry


def _made_song(task: Task, settings: Settings) -> tuple[Entry, Score]:
    made = prepared_score(
        task.content,
        task.side_files,
        source=task.source,
        rules=settings.rules,
        beats=settings.beats,
        pickups=settings.pickups,
        sections=settings.sections,
        limits=settings.limits,
    )
    score = made.score
    entry = Entry(
        id=task.id,
        source=task.source,
        sha256=task.sha256,
        fingerprint=task.fingerprint,
        beats=settings.beats,
        meter=made.meter,
        n_beats=score.n_beats,
        n_bars=score.n_bars,
        tempo_bpm=round(score.tempo_bpm, 3),
        key=None if score.key is None else str(score.key),
        key_source=made.key_source,
        voices={name: int((score.voice == v).sum()) for v, name in enumerate(VOICE_NAMES)},
        sections=made.sections,
        alignment=made.alignment,
    )
    return entry, score


def _one_line(text: str) -> str:
    """Return the text without line breaks, at most 200 characters of it."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def reason(error: InputError, source: str) -> str:
    """Return the message of an error without the name of the file that it begins with."""
    return str(error).removeprefix(f"{source}: ")
