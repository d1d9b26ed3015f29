"""Segments of rows -> examples for the pointer network, a step a row.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024): the rows and the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from singcli.dataset import SectionSpan
from singcli.model.contract import (
    N_ARTICULATION,
    N_NOTE_TOKENS,
    NO_LEAD,
)
from singcli.model.features import last_bass, take_steps
from singcli.model.row_features import ROWS_A_BAR, RowPlan, row_tokens, rows_ago
from singcli.music.score import MIN_PITCH, N_PITCHES, N_VOICES
from singcli.row_dataset import Segment
from singcli.structure.row_ssm import Roll, row_ssm
from singcli.structure.ssm import Matrix, Repeat
from singcli.training.examples import Draw, Example, ExampleSettings, decisions_of_steps


def transposed(roll: Roll, semitones: int) -> Roll:
    """Shift a row roll; pitches that would leave the piano are lost."""
    shifted = np.zeros_like(roll)
    top = MIN_PITCH + N_PITCHES
    low, high = max(MIN_PITCH, MIN_PITCH - semitones), min(top, top - semitones)
    shifted[:, low + semitones : high + semitones] = roll[:, low:high]
    return shifted


def row_example(segment: Segment, draw: Draw, settings: ExampleSettings) -> Example:
    """Lay out a segment in another key under its own matrix, or under none."""
    end = None if draw.end_bar is None else draw.end_bar * ROWS_A_BAR
    roll = transposed(segment.roll[draw.first_bar * ROWS_A_BAR : end], draw.semitones)
    notes = row_tokens(roll)
    plan = RowPlan.from_ssm(
        row_ssm(roll),
        kind=draw.kind,
        temperature=settings.context_temperature,
        continuation_bonus=settings.continuation_bonus,
    )
    planes = np.concatenate([notes.onsets, notes.sounding], axis=1)
    source = plan.repeat_map.source.astype(np.int64)
    draft = take_steps(planes, source)
    n = len(roll)
    has_onset = draft[:, :N_NOTE_TOKENS].any(axis=1)
    heard = np.flatnonzero(planes.any(axis=0))
    context = np.zeros(planes.shape, np.float32)
    context[:, heard] = plan.weights @ planes[:, heard].astype(np.float32)
    return Example(
        previous=np.concatenate([np.zeros_like(notes.onsets[:1]), notes.onsets[:-1]]),
        carried=notes.sounding & ~notes.onsets,
        draft=draft,
        bars_ago=np.concatenate([take_steps(notes.onsets, ago) for ago in rows_ago(n)], axis=1),
        context=context,
        place=plan.place,
        grade=np.stack([plan.repeat_map.grade, has_onset], axis=1).astype(np.float32),
        loudness=np.zeros((n, N_VOICES), np.float32),
        articulation=np.zeros((n, N_ARTICULATION), np.float32),
        lead=np.full(n, NO_LEAD, np.int64),
        lead_age=np.zeros((n, 1), np.float32),
        bass=last_bass(notes.onsets),
        decisions=decisions_of_steps(notes, slice(0, n), draft[:, :N_NOTE_TOKENS], source),
    )


@dataclass(frozen=True, slots=True)
class RowSong:
    """A segment as the training loop sees it; see `Trainable`. `ROWS_A_BAR` rows are a bar."""

    segment: Segment
    style: str | None = None
    sections: tuple[SectionSpan, ...] = ()
    repeats: tuple[Repeat, ...] = ()

    @property
    def id(self) -> str:
        """Of the segment."""
        return self.segment.id

    @property
    def ssm(self) -> Matrix:
        """The matrix of the rows."""
        return row_ssm(self.segment.roll)

    @property
    def n_bars(self) -> int:
        """Length in bars, the last of them perhaps short."""
        return -(-len(self.segment.roll) // ROWS_A_BAR)

    def n_steps(self, draw: Draw) -> int:
        """Return the length of an example."""
        end = self.n_bars if draw.end_bar is None else draw.end_bar
        rows = min(end * ROWS_A_BAR, len(self.segment.roll))
        return rows - draw.first_bar * ROWS_A_BAR

    def example(self, draw: Draw, settings: ExampleSettings) -> Example:
        """Lay out the rows of a draw."""
        return row_example(self.segment, draw, settings)
