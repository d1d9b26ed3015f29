"""Music without a model: beats of real songs, drawn at random and steered like sampled ones.

A structure measure alone can be won by such a bag of beats, so it stands beside every figure of
steering: what a model adds shows in the guards, not in r.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.model.plan import Plan, SamplingOptions
from singcli.model.steering import choose_candidate, row_errors, steering_weight, wanted_row
from singcli.music.roll import onset_roll, sounding_roll
from singcli.music.score import STEPS_PER_BEAT, Score
from singcli.structure.ssm import WINDOW_BEATS, beat_features

_COLUMNS = ("step", "voice", "pitch", "duration", "velocity")


class BeatBag:
    """The beats of some songs in the reference key, each with the notes that begin in it.

    Notes end with their beat: what sounds on from another song would be in no bag.

    Parameters
    ----------
    songs : sequence of Score
        Beats in which nothing begins are left out.
    """

    def __init__(self, songs: Sequence[Score]) -> None:
        cut = [_cut_at_beats(song) for song in songs]
        self._notes: list[npt.NDArray[np.int64]] = []
        features, song_of_beat = [], []
        for index, song in enumerate(cut):
            rows = beat_features(onset_roll(song), sounding_roll(song))
            columns = np.stack([getattr(song, name).astype(np.int64) for name in _COLUMNS])
            edges = np.searchsorted(song.step, np.arange(song.n_beats + 1) * STEPS_PER_BEAT)
            for beat in np.flatnonzero(np.diff(edges)):
                notes = columns[:, edges[beat] : edges[beat + 1]].copy()
                notes[0] %= STEPS_PER_BEAT
                self._notes.append(notes)
                features.append(rows[beat])
                song_of_beat.append(index)
        self._features = np.array(features)
        self._song_of_beat = np.array(song_of_beat)

    def sample(
        self, plans: Sequence[Plan], seeds: Sequence[int], options: SamplingOptions
    ) -> list[Score]:
        """Make a song of each plan and seed from the beats of all songs but that of its number."""
        return [
            self._song(plan, np.flatnonzero(self._song_of_beat != index), seed, options)
            for index, (plan, seed) in enumerate(zip(plans, seeds, strict=True))
        ]

    def _song(
        self, plan: Plan, allowed: npt.NDArray[np.intp], seed: int, options: SamplingOptions
    ) -> Score:
        rng = np.random.default_rng(seed)
        weight = steering_weight(options.steering)
        past = np.zeros((len(plan.ssm), self._features.shape[1]), np.float32)
        played = np.zeros((len(plan.ssm), len(plan.ssm)), np.float32)
        notes = []
        for beat in range(len(plan.ssm)):
            drawn = rng.choice(allowed, options.candidates)
            if plan.kind == "music" and plan.ssm[beat, beat] == 0:
                continue  # silent in the template, and so in songs that a model makes of it
            errors = np.zeros(len(drawn))
            if beat > 0:
                row = wanted_row(plan.ssm, played, beat, window_beats=WINDOW_BEATS)
                errors = row_errors(self._features[drawn] @ past[:beat].T, row)
            kept = drawn[choose_candidate(errors, weight, rng.random())]
            past[beat] = self._features[kept]
            played[beat, :beat] = past[:beat] @ past[beat]
            moved = self._notes[kept].copy()
            moved[0] += beat * STEPS_PER_BEAT
            notes.append(moved)
        columns = np.concatenate(notes, axis=1)
        return Score.from_notes(*columns, bar_beats=plan.bar_beats, tempo_bpm=plan.tempo_bpm)


def _cut_at_beats(score: Score) -> Score:
    """Return the score in its reference key, every note ending with the beat it begins in."""
    moved = score.transposed(score.key.shift_to_reference) if score.key else score
    columns = [getattr(moved, name) for name in _COLUMNS]
    columns[3] = np.minimum(columns[3], STEPS_PER_BEAT - columns[0] % STEPS_PER_BEAT)
    return Score.from_notes(*columns, bar_beats=moved.bar_beats, tempo_bpm=moved.tempo_bpm)
