"""The rules at work: how each row leans in a beat, from what it has played so far.

What forbids notes outright is worked out in every step, in `kernel/rules.c`.

Conventions
-----------
As in `singcli.model.rules`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.model.contract import DURATIONS, NO_LEAD
from singcli.model.kernel import Batch, Counts
from singcli.model.rules import SongRules
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT

Floats = npt.NDArray[np.float32]

SOFT_SHARE = 0.04  # of the notes outside the scale that the soft lock lets pass
SOFT_GAIN = 0.5  # logits a note too many
MOST_SOFT = 6.0
TUNE_PATIENCE_BEATS = 4  # 99 % of the tune's notes follow the one before within four beats
TUNE_GAIN = 1.0  # logits a beat beyond that
MOST_TUNE = 6.0
OCTAVE = 12
LEAP_ODDS = -2.5  # logits of a leap of the lead over an octave
REGISTER_WIDTH = 7.0  # semitones: standard deviation of the pull towards the tune's register
REGISTER_NOTES = 24  # over which the register of the tune follows its notes
DENSITY = (4.4, 6.2)  # notes a beat between which nothing is done
DENSITY_GAIN = 0.5  # logits of every note, a note a beat outside
POLYPHONY = (3.5, 4.2)  # pitches at once between which nothing is done
POLYPHONY_GAIN = 0.6  # logits of a doubled duration, a pitch outside
THICKNESS_BEATS = 16  # over which density and polyphony are averaged
RESTRIKE_ODDS = (-0.25, -1.0)  # logits of a note that has sounded up to now, of each voice

_PITCHES = np.arange(N_PITCHES)
_LEAD_PITCHES = _PITCHES[::-1]  # of its tokens
_LEAPS = np.zeros((N_PITCHES + 1, N_PITCHES), np.float32)  # last pitch (or `NO_LEAD`), lead token
_LEAPS[:NO_LEAD] = LEAP_ODDS * (np.abs(_LEAD_PITCHES - _PITCHES[:, None]) > OCTAVE)
_DOUBLINGS = np.log2(DURATIONS)
_BY_SONG = (
    *("allowed", "foreign", "final", "final_bass", "final_lead", "final_step", "final_stop"),
    *("polyphony", "tune_since", "longest"),
)


class RuleKeeper:
    """The rules of all rows of a batch, and what they depend on.

    Parameters
    ----------
    batch : Batch
        Is told the rules of its songs, and how its rows lean in every beat: `density_pull`, the
        odds of every note where the music has been thin or thick; `length_pull`, those of long
        notes likewise; `pitch_pull`, what speaks for one pitch rather than another of its voice,
        for those in the scale and near the register that the tune has kept so far. Whether a voice
        strikes at all is not touched by the last: a note that is put off leaves a gap behind it.
    songs : sequence of SongRules
    """

    def __init__(self, batch: Batch, songs: Sequence[SongRules]) -> None:
        self._batch = batch
        for name in _BY_SONG:
            getattr(batch, name)[:] = [getattr(song, name) for song in songs]
        batch.leaps[:] = _LEAPS
        batch.restrike[:] = np.repeat(RESTRIKE_ODDS, N_PITCHES)
        batch.durations_in_steps[:] = DURATIONS
        batch.tune_patience[:] = TUNE_PATIENCE_BEATS * STEPS_PER_BEAT, TUNE_GAIN, MOST_TUNE
        candidates = len(batch.density_pull) // len(songs)
        self._foreign = np.repeat(batch.foreign, candidates, axis=0).astype(np.float32)
        n_rows = len(self._foreign)
        self._foreign_surplus = np.zeros(n_rows)
        self._register = np.full(n_rows, np.nan)
        self._density = np.full(n_rows, np.mean(DENSITY))
        self._heard = np.full(n_rows, np.mean(POLYPHONY))
        self._lean_on_beat()

    def _lean_on_beat(self) -> None:
        """Work out how the rows lean in the next beat."""
        batch = self._batch
        batch.density_pull[:] = DENSITY_GAIN * (self._density.clip(*DENSITY) - self._density)
        missing = self._heard.clip(*POLYPHONY) - self._heard
        batch.length_pull[:] = POLYPHONY_GAIN * missing[:, None] * _DOUBLINGS
        soft = (SOFT_GAIN * self._foreign_surplus).clip(0.0, MOST_SOFT)
        np.multiply(self._foreign, -soft[:, None], out=batch.pitch_pull, casting="same_kind")
        distance = (_LEAD_PITCHES - self._register[:, None]) / REGISTER_WIDTH
        pull = 0.5 * distance * distance
        batch.pitch_pull[:, :N_PITCHES] -= np.where(np.isnan(pull), 0.0, pull)

    def count(self, counted: Counts) -> None:
        """Take in what has been counted of a finished beat, and follow the register."""
        self._foreign_surplus += counted.foreign - SOFT_SHARE * counted.struck
        self._density += (counted.struck - self._density) / THICKNESS_BEATS
        self._heard += (counted.sounding / STEPS_PER_BEAT - self._heard) / THICKNESS_BEATS
        mean = counted.lead_pitches / np.maximum(counted.lead, 1)
        before = np.where(np.isnan(self._register), mean, self._register)
        followed = before + np.minimum(counted.lead / REGISTER_NOTES, 1.0) * (mean - before)
        self._register = np.where(counted.lead > 0, followed, self._register)
        self._lean_on_beat()

    def spread(self, row: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row that `row` says."""
        self._foreign_surplus = self._foreign_surplus[row]
        self._register = self._register[row]
        self._density, self._heard = self._density[row], self._heard[row]
        self._lean_on_beat()
