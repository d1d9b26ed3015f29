"""What the network sees of a score and a self-similarity matrix, the same in training and sampling.

Conventions
-----------
Rolls are time first; their 176 columns are in token order (see `contract`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from singcli.model.contract import (
    BARS_AGO,
    BARS_PER_PHRASE,
    DURATIONS,
    ENDING_BARS,
    LEAD_AGE_STEPS,
    MAX_BEATS_PER_BAR,
    MODES,
    N_NOTE_TOKENS,
    N_VELOCITIES,
    NO_BASS,
    NO_DURATION,
    NO_LEAD,
    NO_VELOCITY,
    PLACE_SIZES,
    SECTION_BARS,
    SSM_KINDS,
    SsmKind,
    duration_classes,
    tokens_from_notes,
    velocity_classes,
)
from singcli.music.key import Mode
from singcli.music.score import LEAD, N_PITCHES, N_VOICES, STEPS_PER_BEAT, Score

ENDINGS_AT_FIRST = np.array([0.65, 0.25], np.float32)  # of the lead's notes in POP909, rounded
ENDINGS_PACE = 0.15  # of their running means: the last dozen notes count
_ENDED_AGO = np.array([0, 1])  # steps
LEAD_AGES = (np.log1p(np.arange(LEAD_AGE_STEPS + 1, dtype=np.float32)) / 4).astype(np.float32)
_LOUDNESS = np.append((np.arange(N_VELOCITIES) + 1) / N_VELOCITIES, 0.0).astype(np.float32)

Floats = npt.NDArray[np.float32]
Roll = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TokenScore:
    """A score as the network's decisions and the rolls that they make.

    Parameters
    ----------
    step, token, duration, velocity : np.ndarray, shape=(n_notes,), int64
        Notes in canonical order; duration and velocity as classes.
    onsets, sounding : np.ndarray, shape=(n_steps, 176), bool
        `sounding` includes the onsets.
    duration_map, velocity_map : np.ndarray, shape=(n_steps, 176), int8
        Classes where a note begins, `NO_DURATION` and `NO_VELOCITY` elsewhere.
    """

    step: npt.NDArray[np.int64]
    token: npt.NDArray[np.int64]
    duration: npt.NDArray[np.int64]
    velocity: npt.NDArray[np.int64]
    onsets: Roll
    sounding: Roll
    duration_map: npt.NDArray[np.int8]
    velocity_map: npt.NDArray[np.int8]

    @classmethod
    def from_score(cls, score: Score) -> TokenScore:
        """Quantise the durations to classes and lay out the rolls."""
        step = score.step.astype(np.int64)
        token = tokens_from_notes(score.voice, score.pitch)
        duration = duration_classes(score.duration)
        velocity = velocity_classes(score.velocity)
        onsets = np.zeros((score.n_steps, N_NOTE_TOKENS), np.bool_)
        onsets[step, token] = True
        duration_map = np.full(onsets.shape, NO_DURATION, np.int8)
        duration_map[step, token] = duration
        velocity_map = np.full(onsets.shape, NO_VELOCITY, np.int8)
        velocity_map[step, token] = velocity
        sounding = _sounding(step, token, DURATIONS[duration_map[step, token]], onsets.shape)
        return cls(step, token, duration, velocity, onsets, sounding, duration_map, velocity_map)


def _sounding(
    step: npt.NDArray[np.int64],
    token: npt.NDArray[np.int64],
    length: npt.NDArray[np.int32],
    shape: tuple[int, ...],
) -> Roll:
    """Lay out notes, each for its length or until its token is struck again."""
    order = np.lexsort((step, token))
    step, token, length = step[order], token[order], length[order]
    again = np.where(np.diff(token, append=-1) == 0, np.roll(step, -1), shape[0])
    end = np.minimum(np.minimum(step + length, again), shape[0])
    edges = np.zeros((shape[0] + 1, shape[1]), np.int8)  # +1 where a note begins, -1 where it ends
    np.add.at(edges, (step, token), 1)
    np.add.at(edges, (end, token), -1)
    sounding: Roll = np.cumsum(edges[:-1], axis=0, dtype=np.int8) > 0
    return sounding


class SectionPlace(NamedTuple):
    """A section for the network: where it is, and whether the tune takes part."""

    start_bar: int
    n_bars: int
    tune: bool


def place_features(
    bar_beats: npt.NDArray[np.int32],
    *,
    kind: SsmKind,
    mode: Mode,
    sections: Sequence[SectionPlace] = (),
    compound: npt.NDArray[np.bool_] | None = None,
    style: int | None = None,
    bars_after: int = 0,
) -> Floats:
    """Tell each step its place in beat, bar, phrase and section, the kind of SSM, mode and style.

    Parameters
    ----------
    bar_beats : np.ndarray, shape=(n_bars + 1,)
        As in `Score`.
    sections : sequence of SectionPlace
        Where they are known; they may reach over both ends.
    compound : np.ndarray, shape=(n_bars,), bool, optional
        Bars such as those of 6/8; none of them unless given.
    style : int, optional
        Place of the style among those of the model.
    bars_after : int >= 0
        Bars of the song behind these; with `ENDING_BARS` or more it does not come to its end.

    Returns
    -------
    np.ndarray, shape=(n_steps, N_PLACE), float32
        One-hot vectors side by side, in the order of `PLACE_SIZES`; zeros for what is not known.
    """
    lengths = np.diff(bar_beats)
    bar = np.repeat(np.arange(len(lengths)), lengths * STEPS_PER_BEAT)
    step = np.arange(len(bar))
    beat_in_bar = step // STEPS_PER_BEAT - bar_beats[bar]
    columns = (
        step % STEPS_PER_BEAT,
        np.minimum(beat_in_bar, MAX_BEATS_PER_BAR - 1),
        np.minimum(lengths[bar], MAX_BEATS_PER_BAR) - 1,
        bar % BARS_PER_PHRASE,
        np.full(len(bar), SSM_KINDS.index(kind)),
        np.full(len(bar), MODES.index(mode)),
        *_section_columns(sections, len(lengths))[:, bar],
        np.zeros(len(bar), np.int64) if compound is None else compound[bar].astype(np.int64),
        np.full(len(bar), -1 if style is None else style),
        np.minimum(len(lengths) - 1 - bar + bars_after, ENDING_BARS - 1),
    )
    return np.concatenate(
        [
            np.eye(size + 1, size, dtype=np.float32)[column]  # the last row, zeros, is -1
            for size, column in zip(PLACE_SIZES, columns, strict=True)
        ],
        axis=1,
    )


def _section_columns(sections: Sequence[SectionPlace], n_bars: int) -> npt.NDArray[np.int64]:
    """Return tune, bars since the start and bars before the last, shape=(3, n_bars), or -1."""
    columns = np.full((3, n_bars), -1, np.int64)
    for start, length, tune in sections:
        bars = np.arange(max(start, 0), min(start + length, n_bars))
        columns[0, bars] = int(tune)
        columns[1, bars] = np.minimum(bars - start, SECTION_BARS - 1)
        columns[2, bars] = np.minimum(start + length - 1 - bars, SECTION_BARS - 1)
    return columns


def steps_bars_ago(bar_beats: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the steps at the same place of each of `BARS_AGO`, or -1 where there is none.

    Returns
    -------
    np.ndarray, shape=(len(BARS_AGO), n_steps), int64
    """
    starts = bar_beats.astype(np.int64) * STEPS_PER_BEAT
    lengths = np.diff(starts)
    bar = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(bar)) - starts[bar]
    ago = np.array(BARS_AGO)[:, None]
    before = np.maximum(bar - ago, 0)
    known = (bar >= ago) & (place < lengths[before])
    return np.where(known, starts[before] + place, -1)


def source_steps(source_beat: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Spread a repeat map's sources over the steps; -1 where the beat is new.

    Returns
    -------
    np.ndarray, shape=(n_beats * STEPS_PER_BEAT,), int64
    """
    first = np.repeat(source_beat.astype(np.int64), STEPS_PER_BEAT) * STEPS_PER_BEAT
    place = np.tile(np.arange(STEPS_PER_BEAT), len(source_beat))
    return np.where(first >= 0, first + place, -1)


def roll_from_tokens(roll: Roll) -> Roll:
    """Bring columns in token order back into voices and pitches.

    Parameters
    ----------
    roll : np.ndarray, shape=(..., 176), bool

    Returns
    -------
    np.ndarray, shape=(..., N_VOICES, N_PITCHES), bool
    """
    voices = roll.reshape(*roll.shape[:-1], N_VOICES, N_PITCHES).copy()
    voices[..., LEAD, :] = voices[..., LEAD, ::-1]  # the lead's tokens fall in pitch
    return voices


def soft_context(weights: Floats, onsets: Roll, sounding: Roll) -> Floats:
    """Average the rolls of earlier beats by attention weights, step by step of the beat.

    Parameters
    ----------
    weights : np.ndarray, shape=(n_beats, n_beats)
        From `context_weights`.
    onsets, sounding : np.ndarray, shape=(n_steps, 176), bool

    Returns
    -------
    np.ndarray, shape=(n_steps, 352), float32
        Onsets, then sounding notes.

    Notes
    -----
    Source: SING, section 3.2 (the rolls of the past, weighted by the row of the SSM).
    """
    rolls = np.concatenate([onsets, sounding], axis=1)
    by_beat = rolls.reshape(len(weights), -1)
    heard = np.flatnonzero(by_beat.any(axis=0))  # most pitches are never played
    context = np.zeros(by_beat.shape, np.float32)
    context[:, heard] = weights @ by_beat[:, heard].astype(np.float32)
    return context.reshape(rolls.shape)


def last_loudness(onsets: Roll, velocity_map: npt.NDArray[np.int8]) -> Floats:
    """Return how loud each voice's latest notes before each step were.

    Parameters
    ----------
    onsets : np.ndarray, shape=(n_steps, 176), bool
    velocity_map : np.ndarray, shape=(n_steps, 176), int8

    Returns
    -------
    np.ndarray, shape=(n_steps, N_VOICES), float32
        From `loudness`, of the last note in token order at the latest onset; 0 before the first.
    """
    step = np.arange(len(onsets))
    columns = []
    for voice in range(N_VOICES):
        pitches = slice(voice * N_PITCHES, (voice + 1) * N_PITCHES)
        struck = onsets[:, pitches]
        last = N_PITCHES - 1 - struck[:, ::-1].argmax(axis=1)
        level = np.where(struck.any(axis=1), velocity_map[:, pitches][step, last], NO_VELOCITY)
        before = _latest_before(struck)
        columns.append(loudness(np.where(before >= 0, level[before], NO_VELOCITY)))
    return np.stack(columns, axis=1)


def loudness(velocity: npt.NDArray[np.integer]) -> Floats:
    """Scale velocity classes to 0.1 to 1; 0 for `NO_VELOCITY`."""
    level: Floats = _LOUDNESS[velocity]
    return level


def last_lead(onsets: Roll) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the lead's last pitch before each step and how long ago it began.

    Parameters
    ----------
    onsets : np.ndarray, shape=(n_steps, 176), bool

    Returns
    -------
    pitch : np.ndarray, shape=(n_steps,), int64
        0 to 87, the highest note of that onset; `NO_LEAD` before the first.
    age : np.ndarray, shape=(n_steps,), float32
        From `lead_age`.
    """
    lead = onsets[:, :N_PITCHES]
    step = np.arange(len(onsets))
    before = _latest_before(lead)
    highest = N_PITCHES - 1 - lead.argmax(axis=1)
    pitch = np.where(before >= 0, highest[before], NO_LEAD)
    return pitch, lead_age(np.where(before >= 0, step - before, LEAD_AGE_STEPS))


def articulation(onsets: Roll, carried: Roll) -> Floats:
    """Tell each step whether the lead is held and how its notes have ended so far.

    Parameters
    ----------
    onsets, carried : np.ndarray, shape=(n_steps, 176), bool
        `carried` are the notes held over into each step.

    Returns
    -------
    np.ndarray, shape=(n_steps, N_ARTICULATION), float32
        From `articulation_columns`.
    """
    struck: npt.NDArray[np.bool_] = np.any(onsets[:, :N_PITCHES], axis=1)
    held: npt.NDArray[np.bool_] = np.any(carried[:, :N_PITCHES], axis=1)
    before = _latest_before((struck | held)[:, None])
    silence = np.where(before >= 0, np.arange(len(onsets)) - 1 - before, LEAD_AGE_STEPS)
    ended = np.flatnonzero(struck & (before >= 0))
    means = [ENDINGS_AT_FIRST]
    for outcome in ending_outcomes(held[ended], silence[ended]):
        means.append(mean_endings(means[-1], outcome))
    so_far = np.searchsorted(ended, np.arange(len(onsets)))
    outcomes = ending_outcomes(held, silence)
    return articulation_columns(held, outcomes, np.array(means)[so_far])


def articulation_columns(held: npt.NDArray[np.bool_], ended: Floats, endings: Floats) -> Floats:
    """Lay out what the network is told of the lead's articulation.

    Parameters
    ----------
    held : np.ndarray, shape=(n,), bool
        Whether a note of the lead is held over into the step.
    ended : np.ndarray, shape=(n, 2), float32
        From `ending_outcomes`.
    endings : np.ndarray, shape=(n, 2), float32
        From `mean_endings`.

    Returns
    -------
    np.ndarray, shape=(n, N_ARTICULATION), float32
        Held; just ended; ended a step ago; then `endings`.
    """
    return np.concatenate([held[:, None], ended, endings], axis=1, dtype=np.float32)


def ending_outcomes(held: npt.NDArray[np.bool_], silence: npt.NDArray[np.int64]) -> Floats:
    """Return whether the note before an onset ended right at it, or a step before, (n, 2)."""
    ended: Roll = (silence[:, None] == _ENDED_AGO) & ~held[:, None]
    return ended.astype(np.float32)


def mean_endings(means: Floats, outcomes: Floats) -> Floats:
    """Move the running means of how the lead's notes end by one note, both (..., 2)."""
    return means + np.float32(ENDINGS_PACE) * (outcomes - means)


def last_bass(onsets: Roll) -> npt.NDArray[np.int64]:
    """Return the lowest note of the accompaniment's latest onset before each step.

    Parameters
    ----------
    onsets : np.ndarray, shape=(n_steps, 176), bool

    Returns
    -------
    np.ndarray, shape=(n_steps,), int64
        0 to 87; `NO_BASS` before the first.
    """
    accompaniment = onsets[:, N_PITCHES:]
    before = _latest_before(accompaniment)
    return np.where(before >= 0, accompaniment.argmax(axis=1)[before], NO_BASS)


def _latest_before(onsets: Roll) -> npt.NDArray[np.int64]:
    """Return the latest step before each in which a note begins, -1 where there is none."""
    step = np.where(onsets.any(axis=1), np.arange(len(onsets)), -1)
    return np.concatenate([[-1], np.maximum.accumulate(step)[:-1]])[: len(onsets)]


def lead_age(steps: npt.ArrayLike) -> Floats:
    """Squeeze the steps since the last lead onset into 0.17 to 1.05."""
    age: Floats = LEAD_AGES[np.minimum(np.asarray(steps), LEAD_AGE_STEPS)]
    return age


def take_steps(roll: Roll, step: npt.NDArray[np.int64]) -> Roll:
    """Return `roll[step]`, with empty rows where `step` is -1."""
    taken = roll[step]
    taken[step < 0] = False
    return taken


def reference_shift(score: Score) -> int:
    """Return the semitones that bring a score into C major or A minor (0 if its key is unknown)."""
    return 0 if score.key is None else score.key.shift_to_reference
