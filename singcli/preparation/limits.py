"""What is still a piece of music."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.music.notes import MidiMusic
from singcli.music.score import MAX_PITCH, MIN_PITCH, Score
from singcli.music.voices import DROPPED

MIN_BARS = 2
MAX_BEATS_PER_MINUTE = 1000  # on average; a tempo map beyond it is broken


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted.

    Parameters
    ----------
    max_bytes : int > 0
        Size of a MIDI file.
    max_notes : int > 0
        All tracks together.
    max_tracks : int > 0
        Tracks of notes; a channel of a track counts as one.
    max_minutes : float > 0
        Playing time at the file's own tempo.

    Raises
    ------
    InputError
        If a limit is not positive.
    """

    max_bytes: int = 8 * 2**20
    max_notes: int = 100_000
    max_tracks: int = 1_000
    max_minutes: float = 120.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                raise InputError(f"{field.name} = {getattr(self, field.name)}, allowed: above 0")


def validate_size(music: MidiMusic, *, limits: Limits, source: str) -> None:
    """Raise InputError if there are more notes or tracks than the limits allow."""
    if len(music.notes) > limits.max_notes:
        raise InputError(f"{source}: {len(music.notes)} notes, allowed are {limits.max_notes}")
    if len(music.tracks) > limits.max_tracks:
        raise InputError(f"{source}: {len(music.tracks)} tracks, allowed are {limits.max_tracks}")


def usable_music(
    music: MidiMusic, voices: npt.NDArray[np.int64], *, limits: Limits, source: str
) -> MidiMusic:
    """Return the music with only those notes that enter a voice.

    Parameters
    ----------
    voices : np.ndarray, shape=(n_tracks,)
        As from `assign_voices`.

    Raises
    ------
    InputError
        If no notes remain, or the music is beyond the limits.
    """
    validate_notes(music, limits=limits, source=source)
    notes = music.notes
    chosen = voices[notes.track] != DROPPED
    if chosen.all():
        return music
    kept = notes.where(chosen)
    if len(kept) == 0:
        raise InputError(f"{source}: the voice rules drop all notes")
    return dataclasses.replace(music, notes=kept)


def validate_notes(music: MidiMusic, *, limits: Limits, source: str) -> None:
    """Raise InputError if there are no notes, only drums, or it lasts longer than allowed."""
    notes = music.notes
    if len(notes) == 0:
        raise InputError(f"{source}: no notes")
    drums = [track.is_drum for track in music.tracks]
    if any(drums) and all(drums[i] for i in np.flatnonzero(np.bincount(notes.track))):
        raise InputError(f"{source}: drums only")
    minutes = music.duration_s / 60
    if minutes > limits.max_minutes:
        raise InputError(f"{source}: {minutes:.0f} minutes, allowed are {limits.max_minutes:g}")
    quarters = music.end_tick / music.ticks_per_quarter
    if quarters > max(minutes, 1 / 60) * MAX_BEATS_PER_MINUTE:
        raise InputError(
            f"{source}: an absurd tempo ({quarters:.0f} quarters in {minutes * 60:.2g} seconds)"
        )


def validate_score(score: Score, *, source: str) -> None:
    """Raise InputError if a score is empty or shorter than two bars."""
    if score.n_notes == 0:
        raise InputError(f"{source}: no notes between pitch {MIN_PITCH} and {MAX_PITCH}")
    if score.n_bars < MIN_BARS:
        raise InputError(f"{source}: {score.n_bars} bar long, at least {MIN_BARS} are needed")
