"""Beats of the compiled sampler: what rows are shown of the history, what becomes part of it."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_rows import NO_RULES, batch_of

from singcli.model.contract import (
    BARS_AGO,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_PLACE,
    N_VELOCITIES,
    NO_DURATION,
    NO_VELOCITY,
)
from singcli.model.features import soft_context, take_steps
from singcli.model.history import History
from singcli.model.layout import Layout
from singcli.model.plan import Plan
from singcli.music.score import STEPS_PER_BEAT, regular_bars

N_BEATS, BEAT = 6, 5
N_STEPS, FIRST = N_BEATS * STEPS_PER_BEAT, BEAT * STEPS_PER_BEAT
CANDIDATES = 2


def random_layout(rng: np.random.Generator, *, has_matrix: bool) -> Layout:
    """A plan of six beats whose sources are anywhere before."""
    steps = np.arange(N_STEPS + 1)
    weights = np.tril(rng.random((N_BEATS, N_BEATS)) * (rng.random((N_BEATS, N_BEATS)) < 0.6), -1)
    weights = weights.astype(np.float32)
    plan = Plan(np.ones((N_BEATS, N_BEATS), np.float32), regular_bars(3, 2), "form")
    return Layout(
        plan,
        source=rng.integers(-1, np.maximum(steps - STEPS_PER_BEAT, 0)),
        bars_ago=rng.integers(-1, np.maximum(steps - STEPS_PER_BEAT, 0)[:, None] + [0, 0, 0]),
        place=rng.random((N_STEPS, N_PLACE)).astype(np.float32),
        grade=rng.random(N_BEATS).astype(np.float32),
        overlap=rng.random(N_BEATS).astype(np.float32),
        context_rows=(lambda first: weights[first:]) if has_matrix else None,
        rules=NO_RULES._replace(
            tune_since=np.full(N_STEPS, -1), longest=np.full(N_STEPS, N_DURATIONS - 1)
        ),
        given=None,
    )


class Songs:
    """Two songs of two candidates each, and the notes that they have played so far."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.layouts = [random_layout(rng, has_matrix=has) for has in (True, False)]
        self.batch = batch_of([layout.rules for layout in self.layouts], CANDIDATES)
        self.history = History(self.batch, self.layouts)
        shape = (2, N_STEPS, N_NOTE_TOKENS)
        self.onsets = rng.random(shape) < 0.05
        self.sounding = self.onsets | (rng.random(shape) < 0.05)
        self.durations = rng.integers(0, N_DURATIONS, shape)
        self.velocities = rng.integers(0, N_VELOCITIES, shape)

    def play(self) -> None:
        """Play all beats before `BEAT`; the second candidate of each song is kept."""
        batch, kept = self.batch, np.array([1, 3])
        for beat in range(BEAT):
            self.history.look_back(beat)
            batch.begin_beat(beat)
            steps = slice(beat * STEPS_PER_BEAT, (beat + 1) * STEPS_PER_BEAT)
            batch.planes[:, kept, :N_NOTE_TOKENS] = self.onsets[:, steps].swapaxes(0, 1)
            batch.planes[:, kept, N_NOTE_TOKENS:] = self.sounding[:, steps].swapaxes(0, 1)
            batch.durations[:, kept] = self.durations[:, steps].swapaxes(0, 1)
            batch.velocities[:, kept] = self.velocities[:, steps].swapaxes(0, 1)
            batch.kept[:] = kept
            batch.keep(beat)
        self.history.look_back(BEAT)
        batch.begin_beat(BEAT)

    def before(self, song: int) -> tuple[np.ndarray, np.ndarray]:
        """Onsets and sounding notes of a song, nothing from `BEAT` on."""
        onsets, sounding = self.onsets[song].copy(), self.sounding[song].copy()
        onsets[FIRST:] = sounding[FIRST:] = False
        return onsets, sounding


@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_shown_what_its_song_has_played(seed):
    songs = Songs(seed)
    songs.play()
    batch, here = songs.batch, slice(FIRST, FIRST + STEPS_PER_BEAT)
    for row in range(2 * CANDIDATES):
        song = row // CANDIDATES
        layout, (onsets, sounding) = songs.layouts[song], songs.before(song)
        planes = np.concatenate([onsets, sounding], axis=1)
        source = layout.source[FIRST : FIRST + STEPS_PER_BEAT + 1]
        np.testing.assert_array_equal(batch.draft[:, row], take_steps(planes, source))
        for shown, played, none in (
            (batch.draft_durations, songs.durations[song], NO_DURATION),
            (batch.draft_velocities, songs.velocities[song], NO_VELOCITY),
        ):
            wanted = np.where((source >= 0)[:, None], played[source], none)
            np.testing.assert_array_equal(shown[:, row], wanted[:-1])
        ago = layout.bars_ago[FIRST : FIRST + STEPS_PER_BEAT + 1]
        bars = take_steps(onsets, ago.reshape(-1)).reshape(len(ago), -1)
        np.testing.assert_array_equal(
            batch.bars_ago[:, row], np.concatenate([bars[:-1], bars[1:]], axis=1)
        )
        assert bars.shape[1] == len(BARS_AGO) * N_NOTE_TOKENS
        np.testing.assert_array_equal(batch.place[:, row], layout.place[here])
        context = np.zeros((N_STEPS, 2 * N_NOTE_TOKENS), np.float32)
        if layout.context_rows is not None:
            context = soft_context(layout.context_rows(0), onsets, sounding)
        np.testing.assert_allclose(batch.context[:, row], context[here], rtol=1e-5, atol=1e-7)
        assert batch.source_grade[row] == layout.grade[BEAT]
        assert songs.history.overlap[row] == layout.overlap[BEAT]
    assert not batch.planes.any()
    assert (batch.durations == NO_DURATION).all()
    assert (batch.velocities == NO_VELOCITY).all()


def test_beats_are_heard_that_sound():
    songs = Songs(0)
    songs.sounding[0, 4:8] = songs.onsets[0, 4:8] = False
    songs.play()
    assert songs.batch.heard[0].tolist() == [True, False, True, True, True, False]


def test_rows_may_look_elsewhere():
    songs = Songs(1)
    songs.play()
    beats = np.array([2])
    grade, overlap = np.array([0.4], np.float32), np.array([np.nan], np.float32)
    songs.history.look_elsewhere(slice(1, 2), beats, grade, overlap)
    songs.batch.begin_beat(BEAT)
    onsets, sounding = songs.before(0)
    wanted = np.concatenate([onsets, sounding], axis=1)[8:13]
    np.testing.assert_array_equal(songs.batch.draft[:, 1], wanted)
    assert songs.batch.source_grade[1] == np.float32(0.4)
    assert np.isnan(songs.history.overlap).tolist() == [False, True, False, False]
