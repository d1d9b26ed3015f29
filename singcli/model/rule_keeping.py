"""The rules at work: what every row may do in this step, from what it has done so far.

Conventions
-----------
As in `singcli.model.rules`; `rows` are the rows that still choose notes of the step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.model.contract import DURATIONS, N_NOTE_TOKENS, N_TOKENS, NO_LEAD, START, STOP
from singcli.model.rules import IS_LEAD, NEVER, SongRules
from singcli.music.score import ACCOMPANIMENT, N_PITCHES, N_VOICES, STEPS_PER_BEAT

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Tokens = npt.NDArray[np.int64]

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
_RESTRIKE = np.repeat(np.array(RESTRIKE_ODDS, np.float32), N_PITCHES)
_LEAPS = np.zeros((N_PITCHES + 1, N_PITCHES), np.float32)  # last pitch (or `NO_LEAD`), lead token
_LEAPS[:NO_LEAD] = LEAP_ODDS * (np.abs(_LEAD_PITCHES - _PITCHES[:, None]) > OCTAVE)

_DOUBLINGS = np.log2(DURATIONS)
_ENDLESS = np.iinfo(np.int64).max


class RuleKeeper:
    """The rules of all rows, and what they depend on.

    Parameters
    ----------
    songs : sequence of SongRules
    song_of_row : np.ndarray, shape=(R,)
    """

    def __init__(self, songs: Sequence[SongRules], song_of_row: npt.NDArray[np.int64]) -> None:
        def by_row(name: str) -> npt.NDArray[np.generic]:
            return np.stack([np.asarray(getattr(song, name)) for song in songs])[song_of_row]

        self.allowed = by_row("allowed").astype(np.bool_)  # (R, N_TOKENS)
        self._foreign = by_row("foreign").astype(np.bool_)
        self._polyphony = by_row("polyphony").astype(np.int64)
        self._tune_since = by_row("tune_since").astype(np.int64)
        self._longest = by_row("longest").astype(np.int64)
        self._final = by_row("final").astype(np.bool_)
        self._final_bass = by_row("final_bass").astype(np.bool_)
        self._final_lead = by_row("final_lead").astype(np.bool_)
        self._final_step = by_row("final_step").astype(np.int64)
        self._final_stop = by_row("final_stop").astype(np.int64)
        self._final_steps = {song.final_step for song in songs} - {NEVER}
        self._last_step = np.where(self._final_step == NEVER, _ENDLESS, self._final_step)
        self._foreign_surplus = np.zeros(len(song_of_row))
        self._register = np.full(len(song_of_row), np.nan)
        self._density = np.full(len(song_of_row), np.mean(DENSITY))
        self._heard = np.full(len(song_of_row), np.mean(POLYPHONY))
        self._lean_on_beat()

    def _lean_on_beat(self) -> None:
        """Work out what holds for a whole beat: pulls of register, scale, density and length."""
        distance = (_LEAD_PITCHES - self._register[:, None]) / REGISTER_WIDTH
        self._register_pull = np.nan_to_num(0.5 * distance * distance)
        pull = np.clip(SOFT_GAIN * self._foreign_surplus, 0.0, MOST_SOFT).astype(np.float32)
        self._foreign_pull = self._foreign * pull[:, None]
        missing = np.clip(self._density, *DENSITY) - self._density
        self._density_pull = (DENSITY_GAIN * missing).astype(np.float32)
        missing = np.clip(self._heard, *POLYPHONY) - self._heard
        lean = POLYPHONY_GAIN * missing[:, None] * _DOUBLINGS
        self._length_pull: Floats = lean.astype(np.float32)

    def is_final(self, step: int) -> Bools:
        """Return whether the step is the one of each row's final chord, shape=(R,)."""
        final: Bools = self._final_step == step
        return final

    def is_over(self, step: int) -> Bools:
        """Return whether each row's final chord has been struck already, shape=(R,)."""
        over: Bools = step > self._last_step
        return over

    def odds(self, step: int, lead_step: Tokens) -> Floats:
        """Return what is added to the logits of the rows' own notes, shape=(R, 176).

        All notes gain odds where the music has been thin and lose some where it has been thick; the
        lead gains some where it has kept silent too long.

        Parameters
        ----------
        lead_step : np.ndarray, shape=(R,)
            Of the last note of the lead.
        """
        odds = np.repeat(self._density_pull[:, None], N_NOTE_TOKENS, axis=1)
        since = self._tune_since[:, step]
        silent_steps = step - np.maximum(since, lead_step)
        asleep = (since != NEVER) & (silent_steps > TUNE_PATIENCE_BEATS * STEPS_PER_BEAT)
        if asleep.any():
            silent_beats = silent_steps / STEPS_PER_BEAT
            wake = np.clip(TUNE_GAIN * (silent_beats - TUNE_PATIENCE_BEATS), 0.0, MOST_TUNE)
            odds[:, :N_PITCHES] += (wake * asleep).astype(np.float32)[:, None]
        return odds

    def taste(self, lead: Tokens, sounded: Bools) -> Floats:
        """Return what speaks for one pitch rather than another of its voice, shape=(R, 176).

        Notes outside the scale lose while there are too many of them; leaps of the lead over an
        octave lose, so do notes far from the register that it has kept so far, and notes that have
        sounded up to now. Whether a voice strikes at all is not touched by it: a note that is put
        off leaves a gap behind the last.

        Parameters
        ----------
        lead : np.ndarray, shape=(R,)
            Last pitch of the lead, 0 to 87, `NO_LEAD` for none.
        sounded : np.ndarray, shape=(R, 176), bool
            Notes that sounded in the step before.
        """
        bias: Floats = sounded * _RESTRIKE
        bias[:, :N_PITCHES] += _LEAPS[lead]
        bias -= self._foreign_pull
        bias[:, :N_PITCHES] -= self._register_pull
        return bias

    def allow(
        self, probs: Floats, step: int, rows: Rows | slice, last: Tokens, n_struck: Tokens
    ) -> Floats:
        """Leave the allowed tokens; rows no longer sum to 1.

        Parameters
        ----------
        probs : np.ndarray, shape=(n, N_TOKENS)
        rows : np.ndarray, shape=(n,), or slice
        last : np.ndarray, shape=(n,)
            Last token, `START` before the first.
        n_struck : np.ndarray, shape=(n, N_VOICES)
            How many notes of this step there are so far.

        Returns
        -------
        np.ndarray, shape=(n, N_TOKENS)
            A row with nothing left stops.
        """
        allowed = self.allowed[rows]
        if step in self._final_steps:
            final = self._of_final_chord(rows, last, n_struck)
            allowed = np.where((self._final_step[rows] == step)[:, None], final, allowed)
        full = n_struck >= self._polyphony[rows]
        if full.any():
            allowed = allowed.copy()
            allowed[:, :STOP] &= ~np.repeat(full, N_PITCHES, axis=1)
        kept: Floats = probs * allowed
        lost = kept.sum(axis=1) <= 0
        if lost.any():
            kept[lost] = self._last_resort(allowed[lost])
        return kept

    def _of_final_chord(self, rows: Rows | slice, last: Tokens, n_struck: Tokens) -> Bools:
        """Return the tokens of a final chord: a note of the lead first, the tonic in the bass."""
        allowed = self._final[rows].copy()
        allowed[:, STOP] = True
        wants_lead = self._final_lead[rows] & (last == START) & allowed[:, :N_PITCHES].any(axis=1)
        allowed[wants_lead] &= IS_LEAD
        wants_bass = (n_struck[:, ACCOMPANIMENT] == 0) & ~wants_lead
        allowed[wants_bass] &= (self._final_bass[rows] | IS_LEAD)[wants_bass]
        after = np.where(last == START, NEVER, last)
        in_order: Bools = allowed & (np.arange(N_TOKENS) > after[:, None])
        return in_order

    @staticmethod
    def _last_resort(allowed: Bools) -> Floats:
        """Stop where that is allowed, else play what is allowed, one as likely as the other."""
        weights = allowed.astype(np.float32)
        stops = allowed[:, STOP] | ~allowed.any(axis=1)
        weights[stops] = 0.0
        weights[stops, STOP] = 1.0
        return weights

    def length_bias(self, rows: Rows | slice) -> Floats:
        """Return what is added to the logits of the durations, shape=(n, n_classes).

        Long ones gain odds where the music has been thin, and lose odds where it has been thick.
        """
        return self._length_pull[rows]

    def limit_durations(self, duration: Tokens, step: int, rows: Rows | slice) -> Tokens:
        """Shorten duration classes to what is allowed; a final chord lasts to the end of its bar.

        Parameters
        ----------
        duration : np.ndarray, shape=(n,)
        """
        limited: Tokens = np.minimum(duration, self._longest[rows, step])
        if step in self._final_steps:
            final = self._final_step[rows] == step
            length = (self._final_stop - self._final_step)[rows]
            whole = np.searchsorted(DURATIONS, length, side="left")
            limited = np.where(final, np.minimum(whole, len(DURATIONS) - 1), limited)
        return limited

    def release(self, remaining: npt.NDArray[np.int32], struck: Bools) -> None:
        """End held notes, those that would end soonest first, where a voice has too many.

        Parameters
        ----------
        remaining : np.ndarray, shape=(R, 176)
            Steps that every note goes on to sound; changed in place.
        struck : np.ndarray, shape=(R, 176), bool
            Notes of this step, which stay.
        """
        sounding = (remaining > 0).reshape(-1, N_VOICES, N_PITCHES).sum(axis=2)
        surplus = sounding - self._polyphony
        if (surplus <= 0).all():
            return
        for row, voice in np.argwhere(surplus > 0):
            tokens = slice(voice * N_PITCHES, (voice + 1) * N_PITCHES)
            held = np.flatnonzero((remaining[row, tokens] > 0) & ~struck[row, tokens])
            order = held[np.argsort(remaining[row, tokens][held], kind="stable")]
            remaining[row, tokens.start + order[: surplus[row, voice]]] = 0

    def count(self, onsets: Bools, sounding: Bools) -> None:
        """Count the notes of a finished beat that are outside the scale; follow the register.

        Parameters
        ----------
        onsets, sounding : np.ndarray, shape=(R, n_steps, 176), bool
        """
        struck = onsets.sum(axis=1)
        self._foreign_surplus += (struck * self._foreign).sum(axis=1)
        self._foreign_surplus -= SOFT_SHARE * struck.sum(axis=1)
        self._density += (struck.sum(axis=1) - self._density) / THICKNESS_BEATS
        heard = sounding.sum(axis=2).mean(axis=1)
        self._heard += (heard - self._heard) / THICKNESS_BEATS
        lead = struck[:, :N_PITCHES]
        n_notes = lead.sum(axis=1)
        mean = (lead @ _LEAD_PITCHES) / np.maximum(n_notes, 1)
        before = np.where(np.isnan(self._register), mean, self._register)
        followed = before + np.minimum(n_notes / REGISTER_NOTES, 1.0) * (mean - before)
        self._register = np.where(n_notes > 0, followed, self._register)
        self._lean_on_beat()

    def spread(self, row: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row that `row` says."""
        self._foreign_surplus = self._foreign_surplus[row]
        self._register = self._register[row]
        self._density, self._heard = self._density[row], self._heard[row]
        self._lean_on_beat()
