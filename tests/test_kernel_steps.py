"""Steps of the compiled sampler: which rows decide, what sounds on, what the network is told."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kernel_rows import (
    NEVER_COPIES,
    NO_RULES,
    batch_of,
    look_bars_ago,
)

from singcli.model.contract import (
    DURATIONS,
    MAX_NOTES_PER_STEP,
    N_DURATIONS,
    N_NOTE_TOKENS,
    N_VELOCITIES,
    NO_DURATION,
    NO_VELOCITY,
    START,
    STOP,
)
from singcli.model.features import articulation, last_bass, last_lead, last_loudness
from singcli.model.kernel import SILENT
from singcli.model.rules import NEVER
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT

seeds = st.integers(0, 2**32 - 1)


def test_silent_beats_and_those_behind_the_final_chord_have_no_decisions():
    rules = NO_RULES._replace(final_step=4, final_stop=8)
    batch = batch_of([NO_RULES, rules, NO_RULES], 2)
    batch.sound[4:] = SILENT
    assert batch.begin_notes(4, 0) == 4
    assert batch.begin_notes(5, 1) == 2
    assert batch.alive[:2].tolist() == [0, 1]


def test_what_sounds_ends_where_a_beat_is_silent_or_the_final_chord_is_struck():
    rules = NO_RULES._replace(final_step=4, final_stop=8)
    batch = batch_of([NO_RULES, rules, NO_RULES])
    batch.remaining[:, 30] = 5
    batch.sound[2] = SILENT
    batch.begin_step(4, 0)
    assert batch.remaining[:, 30].tolist() == [4, 0, 0]
    assert batch.carried[:, 30].tolist() == [1, 0, 0]


def test_the_step_after_a_beat_looks_back_at_the_beats_own_first_step():
    batch = batch_of([NO_RULES], 3)
    batch.planes[0, :, [7, N_NOTE_TOKENS + 9]] = 1.0
    batch.draft[4, :, 11] = batch.bars_ago[3, :, 11] = 1.0
    batch.source[1, 4] = 0
    steps = np.full((1, 9, 3), -1)
    steps[0, 4, 1] = 0  # two bars before step 4
    look_bars_ago(batch, steps)
    batch.begin_step(3, 3)
    assert [np.flatnonzero(row).tolist() for row in batch.draft[4]] == [[11], [7, 185], [11]]
    own = (3 + 1) * N_NOTE_TOKENS + 7  # bars ago of the step, then of the step after
    assert [np.flatnonzero(row).tolist() for row in batch.bars_ago[3]] == [[11, own]] * 3


_SEEN = ("previous", "carried", "articulation", "lead", "lead_age", "bass", "loudness", "grade")
_TOLD = (  # of every note
    *("last_lead", "last_bass", "draft_duration", "draft_velocity", "chord_duration"),
    "latest_velocity",
)


FOREIGN = np.arange(N_NOTE_TOKENS) % 3 == 0


class Player:
    """Three rows that play random songs, with chords of every size, by certain decisions."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        shape = (3, 24, N_NOTE_TOKENS)
        self.onsets = rng.random(shape) < rng.choice([0.0, 0.005, 0.05], (3, 24, 1))
        self.onsets &= self.onsets.cumsum(axis=2) <= MAX_NOTES_PER_STEP
        self.durations = rng.integers(0, N_DURATIONS, shape) // rng.choice([1, 6], shape)
        self.velocities = rng.integers(0, N_VELOCITIES, shape)
        self.draft = rng.random(shape) < rng.choice([0.0, 0.05], (3, 24, 1))
        self.draft_durations = rng.integers(0, NO_DURATION + 1, shape)
        self.draft_velocities = rng.integers(0, NO_VELOCITY + 1, shape)
        rules = NO_RULES._replace(
            foreign=FOREIGN, tune_since=np.full(24, NEVER), longest=np.full(24, N_DURATIONS - 1)
        )
        self.batch = batch_of([rules] * 3, width=2)
        self.batch.uniforms[:] = 0.5
        for name in ("step_features", "step_token_bias"):
            getattr(self.batch, name)[:] = np.arange(3)[:, None]
        self.seen: list[dict[str, np.ndarray]] = []
        self.notes: list[tuple[int, ...]] = []  # row, step, token, what the network is told of it

    def play(self) -> None:
        batch = self.batch
        for step in range(24):
            place = step % STEPS_PER_BEAT
            if place == 0:
                self._show(step)
            batch.begin_step(step, place)
            self.seen.append({name: getattr(batch, name).copy() for name in _SEEN})
            going, index = batch.begin_notes(step, place), 0
            while going:
                self._fill_outputs(step, going)
                going = batch.decide(step, place, index, going)
                index += 1
            batch.end_step(step, place)

    def _show(self, step: int) -> None:
        """Begin a beat, and show its drafts."""
        batch, steps = self.batch, slice(step, step + STEPS_PER_BEAT)
        self._compare_counts(step)
        batch.planes[:] = batch.counts[:] = 0.0
        batch.draft[:STEPS_PER_BEAT, :, :N_NOTE_TOKENS] = self.draft[:, steps].swapaxes(0, 1)
        batch.source_grade[:] = step + np.arange(3)
        for name in ("draft_durations", "draft_velocities"):
            getattr(batch, name)[:] = getattr(self, name)[:, steps].swapaxes(0, 1)

    def _compare_counts(self, step: int) -> None:
        """Compare what was counted of the beat before this step."""
        before = slice(max(step - STEPS_PER_BEAT, 0), step)
        onsets, draft = self.onsets[:, before], self.draft[:, before]
        lead, counted = onsets[..., :N_PITCHES], self.batch.counted
        for found, wanted in (
            (counted.struck, onsets),
            (counted.sounding, self.batch.planes[..., N_NOTE_TOKENS:].swapaxes(0, 1)),
            (counted.lead, lead),
            (counted.lead_pitches, lead * np.arange(N_PITCHES)[::-1]),
            (counted.foreign, onsets & FOREIGN),
            (counted.common, onsets & draft),
            (counted.either, onsets | draft),
        ):
            np.testing.assert_array_equal(found, wanted.sum(axis=(1, 2)))

    def _fill_outputs(self, step: int, n: int) -> None:
        """Make certain what is next; `next_chosen` tells rows and tokens."""
        batch = self.batch
        batch.gate[:n] = NEVER_COPIES
        for name in ("logits", "duration_logits", "velocity_logits"):
            getattr(batch, name)[:n] = -np.inf
        for i, row in enumerate(batch.alive[:n]):
            last = int(batch.last_token[i])
            assert (batch.features[i] == row).all()
            assert (batch.token_bias[i] == row).all()
            np.testing.assert_array_equal(batch.draft_onsets[i], self.draft[row, step])
            if last != START:
                batch.duration_logits[i, self.durations[row, step, last]] = 0.0
                batch.velocity_logits[i, self.velocities[row, step, last]] = 0.0
                assert batch.chosen[i].tolist() == [row, last]
                told = [int(getattr(batch, name)[i]) for name in _TOLD]
                self.notes.append((int(row), step, last, *told))
            struck = np.append(np.flatnonzero(self.onsets[row, step]), STOP)
            token = struck[0 if last == START else np.searchsorted(struck, last) + 1]
            batch.logits[i, token] = 0.0
            batch.next_chosen[i] = row, token


@given(seeds)
def test_what_a_song_is_told_step_by_step_is_what_features_see_at_once(seed):
    player = Player(seed)
    player.play()
    for row in range(3):
        onsets, velocities = player.onsets[row], player.velocities[row]
        sounding, left = np.zeros_like(onsets), np.zeros(N_NOTE_TOKENS, np.int64)
        for step, struck in enumerate(onsets):
            left = np.where(struck, DURATIONS[player.durations[row, step]], np.maximum(left - 1, 0))
            sounding[step] = left > 0
        level = np.where(onsets, velocities, NO_VELOCITY)
        seen = {name: np.stack([one[name][row] for one in player.seen]) for name in _SEEN}
        carried = seen["carried"] > 0
        np.testing.assert_array_equal(carried & ~onsets, sounding & ~onsets)
        np.testing.assert_array_equal(seen["previous"][1:] > 0, onsets[:-1])
        (pitch, age), bass = last_lead(onsets), last_bass(onsets)
        np.testing.assert_allclose(seen["articulation"], articulation(onsets, carried), rtol=1e-6)
        np.testing.assert_array_equal(seen["lead"], pitch)
        np.testing.assert_array_equal(seen["lead_age"][:, 0], age)
        np.testing.assert_array_equal(seen["bass"], bass)
        np.testing.assert_array_equal(seen["loudness"], last_loudness(onsets, level))
        grade = (
            np.arange(24) // STEPS_PER_BEAT * STEPS_PER_BEAT + row,
            player.draft[row].any(axis=1),
        )
        np.testing.assert_array_equal(seen["grade"], np.stack(grade, axis=1))


@given(seeds)
def test_the_network_is_told_of_every_note_what_was_struck_before_it(seed):
    player = Player(seed)
    player.play()
    notes, at = sorted(player.notes), np.nonzero(player.onsets)
    assert [note[:3] for note in notes] == [tuple(place) for place in np.transpose(at).tolist()]
    leads = np.stack([last_lead(onsets)[0] for onsets in player.onsets])
    basses = np.stack([last_bass(onsets) for onsets in player.onsets])
    voice_velocity, chord_duration = {}, {}  # of the latest note of a row's voice; of a row's step
    for row, step, token, *told in notes:
        voice, place = token // N_PITCHES, (row, step, token)
        assert told == [
            *(leads[row, step], basses[row, step]),
            *(player.draft_durations[place], player.draft_velocities[place]),
            chord_duration.get((row, step), NO_DURATION),
            voice_velocity.get((row, voice), NO_VELOCITY),
        ]
        chord_duration[row, step] = player.durations[place]
        voice_velocity[row, voice] = player.velocities[place]
