"""Which voice a note belongs to: rules over tracks, and the skyline where no track is the tune.

Conventions
-----------
Drums never enter. Tracks without notes do not count: positions are those of the *sounding tracks*,
the tracks with notes that are not drums, in the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from singcli.music.notes import NoteTable, Track
from singcli.music.score import ACCOMPANIMENT, LEAD, Score

VoiceName = Literal["lead", "accompaniment", "drop"]
Fallback = Literal["none", "skyline", "track"]

DROPPED = -1
_VOICES: dict[VoiceName, int] = {"lead": LEAD, "accompaniment": ACCOMPANIMENT, "drop": DROPPED}

MIN_MONOPHONY = 0.9  # share of a tune's notes that do not begin together with another of its track


@dataclass(frozen=True, slots=True)
class VoiceRule:
    """Tracks that answer to every given condition go to `voice`.

    Parameters
    ----------
    voice : {"lead", "accompaniment", "drop"}
    name : re.Pattern, optional
        Searched for in the track's name.
    programs : tuple of int, optional
        General MIDI programs, 0 to 127.
    position : int, optional
        Among the sounding tracks, from 0; -1 is the last.
    n_tracks : int, optional
        The rule holds only in files with so many sounding tracks.
    only_one : bool
        Of the tracks that answer take the first with at least half as many notes as the largest
        (so neither an ossia of ten notes nor the bass of a choir), and leave the others to the
        rules that follow.
    """

    voice: VoiceName
    name: re.Pattern[str] | None = None
    programs: tuple[int, ...] | None = None
    position: int | None = None
    n_tracks: int | None = None
    only_one: bool = False

    def answers(self, track: Track, position: int, n_tracks: int) -> bool:
        """Return whether the rule holds for a sounding track."""
        return (
            (self.name is None or self.name.search(track.name) is not None)
            and (self.programs is None or track.program in self.programs)
            and (self.position is None or self.position in (position, position - n_tracks))
            and (self.n_tracks is None or self.n_tracks == n_tracks)
        )


@dataclass(frozen=True, slots=True)
class VoiceRules:
    """The first rule that holds decides; then what to do without any lead.

    Parameters
    ----------
    name : str
        How the rules are called in settings and messages.
    rules : tuple of VoiceRule
    otherwise : {"lead", "accompaniment", "drop"}
        Voice of the tracks for which no rule holds.
    fallback : {"none", "skyline", "track"}
        If no track has become lead, although a track was left to `otherwise`: "none" leaves the
        lead empty, "skyline" takes the upper line (`with_skyline_lead`), "track" takes the highest
        track that plays one note at a time, or the skyline where there is none.
    """

    name: str
    rules: tuple[VoiceRule, ...]
    otherwise: VoiceName
    fallback: Fallback


@dataclass(frozen=True, slots=True)
class VoiceAssignment:
    """What the rules say about one file.

    Parameters
    ----------
    voice_of_track : np.ndarray, shape=(n_tracks,), int64
        `LEAD`, `ACCOMPANIMENT` or `DROPPED`.
    wants_skyline : bool
        Whether the upper line is to become the lead.
    """

    voice_of_track: npt.NDArray[np.int64]
    wants_skyline: bool


def assign_voices(tracks: Sequence[Track], notes: NoteTable, rules: VoiceRules) -> VoiceAssignment:
    """Give every track to a voice."""
    counts = np.bincount(notes.track, minlength=len(tracks))
    sounding = [i for i, track in enumerate(tracks) if counts[i] and not track.is_drum]
    voices = np.full(len(tracks), DROPPED, np.int64)
    undecided = list(sounding)
    for rule in rules.rules:
        answering = [
            i for i in undecided if rule.answers(tracks[i], sounding.index(i), len(sounding))
        ]
        if rule.only_one and answering:
            half = max(counts[i] for i in answering) / 2
            answering = [next(i for i in answering if counts[i] >= half)]
        voices[answering] = _VOICES[rule.voice]
        undecided = [i for i in undecided if i not in answering]
    voices[undecided] = _VOICES[rules.otherwise]
    if rules.fallback == "none" or not undecided or LEAD in voices:
        return VoiceAssignment(voices, wants_skyline=False)
    tune = _tune_track(voices, notes) if rules.fallback == "track" else None
    if tune is not None:
        voices[tune] = LEAD
    return VoiceAssignment(voices, wants_skyline=tune is None)


def _tune_track(voices: npt.NDArray[np.int64], notes: NoteTable) -> int | None:
    """Return the highest track that plays one note at a time and is not alone, None without one."""
    candidates = np.flatnonzero(voices == ACCOMPANIMENT)
    best, best_pitch = None, -1.0
    for i in candidates if len(candidates) > 1 else ():
        own = notes.where(notes.track == i)
        monophony = len(np.unique(own.onset_tick)) / len(own)
        pitch = float(np.mean(own.pitch))
        if monophony >= MIN_MONOPHONY and pitch > best_pitch:
            best, best_pitch = int(i), pitch
    return best


def with_skyline_lead(score: Score) -> Score:
    """Give the upper line of a score without lead to the lead.

    At every step the highest note that begins becomes lead, unless a higher lead note still sounds
    or it lies below the median pitch of the piece (then the tune rests).

    Notes
    -----
    Source: the skyline algorithm of Uitdenbogerd and Zobel, "Manipulation of Music for Melody
    Matching" (ACM Multimedia 1998); differs: tune notes keep their length, and notes under a held
    tune note or below the median stay accompaniment.
    """
    voice = score.voice.copy()
    floor = float(np.median(score.pitch)) if score.n_notes else 0.0
    order = np.lexsort((-score.pitch.astype(np.int64), score.step))
    steps = score.step[order]
    highest = order[np.r_[True, steps[1:] != steps[:-1]][: len(order)]]
    held_pitch, held_until = -1, -1
    for note in highest:
        step, pitch = int(score.step[note]), int(score.pitch[note])
        if pitch < floor or (step < held_until and pitch < held_pitch):
            continue
        voice[note] = LEAD
        held_pitch, held_until = pitch, step + int(score.duration[note])
    return Score.from_notes(
        score.step,
        voice,
        score.pitch,
        score.duration,
        score.velocity,
        bar_beats=score.bar_beats,
        tempo_bpm=score.tempo_bpm,
        key=score.key,
    )
