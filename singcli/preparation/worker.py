"""The part of `prepare` that runs in processes of its own: one source -> one stored song."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from singcli import dataset
from singcli.dataset import Entry, SectionSpan
from singcli.music.score import LEAD, STEPS_PER_BEAT, VOICE_NAMES, Score
from singcli.music.voices import VoiceRules
from singcli.preparation.allowance import Allowance
from singcli.preparation.limits import Limits
from singcli.preparation.scores import Beats, prepared_score
from singcli.preparation.sources import Skipped
from singcli.preparation.task import Task, Unwritten, made_and_stored

MELODIC_SHARE = 0.5  # of a found section's bars with a note of the lead


@dataclass(frozen=True, slots=True)
class Settings:
    """What the content of a song's file depends on, beside its source; see `prepared_score`.

    `find_sections` says whether songs without labels get those of the analyser.
    """

    rules: VoiceRules
    beats: Beats
    pickups: bool
    sections: bool
    find_sections: bool
    limits: Limits

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        table = dataclasses.asdict(self)
        for rule in table["rules"]["rules"]:
            rule["name"] = rule["name"] and rule["name"].pattern
        return table


def make_song(
    task: Task, *, out: Path, settings: Settings, allowance: Allowance, own_process: bool
) -> Entry | Skipped | Unwritten:
    """Make and store one song of the dataset in folder `out`; see `made_and_stored`."""
    return made_and_stored(
        task,
        functools.partial(_made_song, task, settings),
        dataset.write_song,
        dataset.song_path(out, task.id),
        allowance=allowance,
        own_process=own_process,
    )


def stored_song(song_id: str, *, out: Path) -> Entry:
    """Return what the dataset in folder `out` holds of a song; InputError if that is nothing."""
    return dataset.read_entry(dataset.song_path(out, song_id))


def _made_song(task: Task, settings: Settings) -> tuple[Score, Entry]:
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
    sections = made.sections
    if settings.find_sections and not sections:
        sections = found_sections(score)
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
        sections=sections,
        alignment=made.alignment,
    )
    return score, entry


def found_sections(score: Score) -> tuple[SectionSpan, ...]:
    """Return the sections that the analyser hears; melodic where half of their bars have a lead."""
    from singcli.structure.segmentation import sections_from_score  # which few prepare with

    lead_bars = np.searchsorted(
        score.bar_beats, score.step[score.voice == LEAD] // STEPS_PER_BEAT, side="right"
    )
    has_lead = np.bincount(lead_bars - 1, minlength=score.n_bars) > 0
    return tuple(
        SectionSpan(
            span.label,
            span.start_bar,
            span.n_bars,
            bool(has_lead[span.start_bar : span.start_bar + span.n_bars].mean() >= MELODIC_SHARE),
        )
        for span in sections_from_score(score)
    )
