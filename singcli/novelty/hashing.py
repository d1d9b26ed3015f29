"""Notes -> hashes that tell equal passages and equal bars, whatever their key.

Conventions
-----------
- A *line* is a sequence of notes: that of `"lead"` is the highest lead note of every step, that of
  `"all"` every note of both voices, by step and in a step from low to high; a unison is one note.
- A line is compared by its *moves*: from each note to the next, the interval in semitones and the
  steps between the onsets. Passages with the same moves are the same music at another place, in
  another key. Durations, velocities and, in `"all"`, voices do not count.
- A *gram* is `GRAM_NOTES` notes in a row; its hash has 16 bits. A *passage* is `PASSAGE_NOTES`
  notes in a row, which is `PASSAGE_GRAMS` grams in a row, so 48 bits.
- The content of a bar is the set of its notes in a line: step in the bar, and pitch above the
  first of them. Bars of fewer notes than `MIN_BAR_NOTES` are trivial, and are not compared.
- Two different grams have the same hash with a probability of 2^-16. So passages that have nothing
  in common are taken for the same with 2^-48, which makes 7e-6 for a song of 1,600 notes against
  1.2 million; those that differ in the first or the last move only with 2^-16; and a longest run
  is too long by a note with 2^-15 for every place where it occurs.

References
----------
Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014): the mixing of
64 bits (in the constants of SplitMix64). Shingles of text: Broder, "On the resemblance and
containment of documents" (1997).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from singcli.music.score import LEAD, STEPS_PER_BEAT, Score

Part = Literal["lead", "all"]
PARTS: tuple[Part, ...] = get_args(Part)
Words = npt.NDArray[np.uint64]

GRAM_NOTES = 4
PASSAGE_GRAMS = 3
PASSAGE_NOTES = GRAM_NOTES + PASSAGE_GRAMS - 1
MIN_BAR_NOTES: Mapping[Part, int] = {"lead": 4, "all": 6}
TRIVIAL_BAR = 0  # in place of a hash

_PITCHES = 256  # more than there are; intervals are -128 to 127
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Line:
    """A sequence of notes, see the conventions of the module.

    Parameters
    ----------
    part : {"lead", "all"}
    step, pitch : np.ndarray, shape=(n_notes,), int64
    bar : np.ndarray, shape=(n_notes,), int64
        In which each note begins.
    bar_steps : np.ndarray, shape=(n_bars + 1,), int64
        Step at which each bar starts; the last entry is the number of steps.
    """

    part: Part
    step: npt.NDArray[np.int64]
    pitch: npt.NDArray[np.int64]
    bar: npt.NDArray[np.int64]
    bar_steps: npt.NDArray[np.int64]

    @classmethod
    def from_score(cls, score: Score, part: Part) -> Self:
        """Return the line of a part of the music."""
        step, pitch = score.step.astype(np.int64), score.pitch.astype(np.int64)
        if part == "lead":
            is_lead = score.voice == LEAD
            step, first = np.unique(step[is_lead], return_index=True)  # in canonical order the
            pitch = pitch[is_lead][first]  # highest
        else:
            step, pitch = np.divmod(np.unique(step * _PITCHES + pitch), _PITCHES)
        bar_steps = score.bar_beats.astype(np.int64) * STEPS_PER_BEAT
        bar = np.searchsorted(bar_steps, step, side="right") - 1
        return cls(part, step, pitch, bar, bar_steps)

    @property
    def notes_of_bar(self) -> npt.NDArray[np.int64]:
        """Number of notes that begin in each bar."""
        return np.bincount(self.bar, minlength=len(self.bar_steps) - 1)

    def gram_hashes(self) -> npt.NDArray[np.uint16]:
        """Return the hash of the gram that begins with each note.

        Returns
        -------
        np.ndarray, shape=(n_grams(n_notes),), uint16
        """
        moves = _codes(np.diff(self.step), np.diff(self.pitch))
        windows = n_grams(len(self.step))
        state = np.zeros(windows, np.uint64)
        for place in range(GRAM_NOTES - 1):
            state = _mixed(state + moves[place : place + windows])
        return (state >> np.uint64(48)).astype(np.uint16)

    def bar_hashes(self) -> npt.NDArray[np.uint32]:
        """Return a hash of the content of every bar.

        Returns
        -------
        np.ndarray, shape=(n_bars,), uint32
            `TRIVIAL_BAR` for trivial bars, never for others.
        """
        counts = self.notes_of_bar
        first = (np.cumsum(counts) - counts)[self.bar]
        notes = _codes(self.step - self.bar_steps[self.bar], self.pitch - self.pitch[first])
        total = np.zeros(len(counts), np.uint64)
        np.add.at(total, self.bar, _mixed(notes))
        hashes = np.maximum(_mixed(total) >> np.uint64(32), 1).astype(np.uint32)
        return np.where(counts < MIN_BAR_NOTES[self.part], np.uint32(TRIVIAL_BAR), hashes)


def n_grams(n_notes: int) -> int:
    """Return how many grams a line of `n_notes` notes has."""
    return max(n_notes - GRAM_NOTES + 1, 0)


def _codes(steps: npt.NDArray[np.int64], semitones: npt.NDArray[np.int64]) -> Words:
    """Return a word for each pair, not zero, and different ones for different pairs."""
    words: Words = (steps * _PITCHES + semitones + _PITCHES // 2).astype(np.uint64) + _GOLDEN
    return words


def _mixed(words: Words) -> Words:
    """Spread every bit over all 64; no two words become one."""
    words = words ^ (words >> np.uint64(30))
    words = words * _MIX_1
    words = words ^ (words >> np.uint64(27))
    words = words * _MIX_2
    mixed: Words = words ^ (words >> np.uint64(31))
    return mixed
