"""Sampling: plans and seeds in, scores in the reference key out, many songs at once.

Conventions
-----------
S songs, M candidates a song, R = S * M rows (song by song). A beat is sampled for all rows, then
one candidate of each song is kept and becomes its history. Every song draws from its own generator.
What happens in a step is compiled (`kernel`); here is what happens once a beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from singcli.model.contract import N_NOTE_TOKENS, NO_BASS, NO_LEAD, NO_VELOCITY, NOTE_OUTPUTS
from singcli.model.copying import CopyControl, open_shift
from singcli.model.features import ENDINGS_AT_FIRST, ENDINGS_PACE, LEAD_AGES, roll_from_tokens
from singcli.model.history import History
from singcli.model.kernel import DRAWS_PER_STEP, Batch
from singcli.model.layout import Layout
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.rule_keeping import RuleKeeper
from singcli.model.runtime import Runtime
from singcli.model.steered_song import SteeredSong
from singcli.model.steering import SHIFT_SPREAD
from singcli.music.score import STEPS_PER_BEAT, Score
from singcli.structure.ssm import beat_features

Floats = npt.NDArray[np.float32]

LONG_AGO = -(10**6)
_CARRIED = (  # what a row carries from beat to beat, beside the state of the network
    *("remaining", "sounded", "voice_velocity", "previous", "lead", "bass", "lead_step"),
    *("heard_step", "endings"),
)

# Inputs of the network that the batch has under their names: of each step of the beat; of the step.
_SHOWN = ("bars_ago", "context", "place")
_TOLD = (*("previous", "carried", "grade", "loudness", "articulation", "lead", "lead_age", "bass"),)
_NOTE_INPUTS = (
    *("features", "token_bias", "chosen", "last_token", "draft_onsets", "last_lead", "last_bass"),
    *("draft_duration", "chord_duration", "draft_velocity"),
)


def sample_scores(
    runtime: Runtime,
    plans: Sequence[Plan],
    seeds: Sequence[int | np.random.SeedSequence],
    options: SamplingOptions,
    *,
    on_beat: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Score]:
    """Sample one song for each plan and seed.

    Parameters
    ----------
    on_beat : callable
        Called with the beats done and their number.

    Returns
    -------
    list of Score
        In C major or A minor, as long as their plans.
    """
    if not plans:
        return []
    sampler = _Sampler(runtime, plans, seeds, options)
    n_beats = max(len(plan.ssm) for plan in plans)
    for beat in range(n_beats):
        sampler.sample_beat(beat)
        on_beat(beat + 1, n_beats)
    return sampler.history.scores()


class _Sampler:
    """The state of all rows, beat after beat."""

    def __init__(
        self,
        runtime: Runtime,
        plans: Sequence[Plan],
        seeds: Sequence[int | np.random.SeedSequence],
        options: SamplingOptions,
    ) -> None:
        self.runtime, self.options, self.m = runtime, options, options.candidates
        n_beats = max(len(plan.ssm) for plan in plans)
        laid_out = {  # songs of a batch often share a plan
            key: Layout.from_plan(plan, runtime.card, n_beats, options)
            for key, plan in {id(plan): plan for plan in plans}.items()
        }
        self.layouts = [laid_out[id(plan)] for plan in plans]
        self.rngs = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
        self.is_known = np.repeat([plan.known is not None for plan in plans], self.m)
        sizes = runtime.card.sizes
        self.batch = Batch(
            len(plans),
            self.m,
            n_beats * STEPS_PER_BEAT,
            chosen_width=sizes.hidden,
            features_width=sizes.features,
        )
        self.history = History(self.batch, self.layouts)
        n_rows = len(self.is_known)
        self.control = CopyControl(n_rows)
        self.rules = RuleKeeper(self.batch, [layout.rules for layout in self.layouts])
        self.steered = [SteeredSong(layout, options) for layout in self.layouts if self.m > 1]
        # The network's state, before and after a step by turns.
        self.states = np.zeros((2, 2, n_rows, sizes.lstm), np.float32)
        self._fill_batch()
        self.step_parts = [self._step_part(place) for place in range(STEPS_PER_BEAT)]
        self.note_parts: dict[int, Callable[[], None]] = {}  # by the number of rows

    def _fill_batch(self) -> None:
        """Write what rows begin with, and what stays the same."""
        batch = self.batch
        batch.temperature[:] = self.options.temperatures.values
        batch.top_p[:] = self.options.top_ps.values
        batch.lead_ages[:] = LEAD_AGES
        batch.endings_pace[:] = ENDINGS_PACE
        batch.voice_velocity[:] = NO_VELOCITY
        batch.lead[:], batch.bass[:] = NO_LEAD, NO_BASS
        batch.lead_step[:] = batch.heard_step[:] = LONG_AGO
        batch.endings[:] = ENDINGS_AT_FIRST
        batch.kept[:] = np.arange(len(self.layouts)) * self.m

    def _step_part(self, place: int) -> Callable[[], None]:
        """Return what runs the step part at a place of the beat."""
        batch = self.batch
        before, after = self.states[place % 2], self.states[1 - place % 2]
        inputs = {
            "draft": batch.draft[place],
            "next_draft": batch.draft[place + 1],
            **{name: getattr(batch, name)[place] for name in _SHOWN},
            **{name: getattr(batch, name) for name in _TOLD},
            "hidden": before[0],
            "cell": before[1],
        }
        outputs = {
            "step_features": batch.step_features,
            "step_token_bias": batch.step_token_bias,
            "next_hidden": after[0],
            "next_cell": after[1],
        }
        return self.runtime.bound_step(inputs, outputs)

    def _note_part(self, n_rows: int) -> Callable[[], None]:
        """Return what runs the note part for the first rows of its inputs."""
        batch = self.batch
        inputs = {name: getattr(batch, name)[:n_rows] for name in _NOTE_INPUTS}
        inputs["voice_velocity"] = batch.latest_velocity[:n_rows]
        outputs = {name: getattr(batch, name)[:n_rows] for name in NOTE_OUTPUTS}
        return self.runtime.bound_note(inputs, outputs)

    def sample_beat(self, beat: int) -> None:
        """Sample a beat for all rows, keep one candidate of each song."""
        batch, history = self.batch, self.history
        lead_before = batch.lead.copy()
        history.look_back(beat)
        for index, song in enumerate(self.steered):
            last = (index + 1) * self.m
            batch.attraction[:, last - self.m : last] = song.begin_beat(beat)[:, None]
            others = song.other_sources()
            if len(others[0]):
                history.look_elsewhere(slice(last - len(others[0]), last), *others)
        batch.begin_beat(beat)
        batch.shift[:] = self._shift(history.overlap)
        shape = (self.m, STEPS_PER_BEAT, DRAWS_PER_STEP)
        for index, rng in enumerate(self.rngs):
            batch.uniforms[index * self.m : (index + 1) * self.m] = rng.random(shape)
        for place in range(STEPS_PER_BEAT):
            self._sample_step(beat * STEPS_PER_BEAT + place, place)
        counted = batch.counted
        self.control.count(counted.common, counted.either, history.overlap)
        self.rules.count(counted)
        if self.m > 1:
            self._choose(beat, lead_before)
        batch.keep(beat)
        if self.m > 1:
            self._spread(np.repeat(batch.kept, self.m))

    def _shift(self, overlap: Floats) -> Floats:
        """Return how far strictness moves each row's log odds of copying, shape=(R,).

        Where the repeats of a plan are known the overlap is controlled; where they are found in a
        matrix, every candidate of a song takes the strictness in its own way.
        """
        shift = self.control.shift(overlap)
        if self.m > 1:
            spread = np.linspace(*SHIFT_SPREAD, self.m, dtype=np.float32)
            open_shifts = open_shift(overlap) + np.tile(spread, len(self.layouts))
            shift = np.where(self.is_known, shift, open_shifts)
        return shift

    def _sample_step(self, step: int, place: int) -> None:
        """Draw notes for every row that may sound until it stops."""
        batch = self.batch
        batch.begin_step(step, place)
        self.step_parts[place]()
        going, index = batch.begin_notes(step, place), 0
        while going:
            if going not in self.note_parts:
                self.note_parts[going] = self._note_part(going)
            self.note_parts[going]()
            going = batch.decide(step, place, index, going)
            index += 1
        batch.end_step(step, place)

    def _choose(self, beat: int, lead_before: npt.NDArray[np.int64]) -> None:
        """Choose the candidate of each song that is kept.

        Parameters
        ----------
        lead_before : np.ndarray, shape=(R,)
            Last pitch of the lead before the beat.
        """
        played = self.batch.planes.swapaxes(0, 1) > 0
        rolls = roll_from_tokens(played.reshape(*played.shape[:2], 2, N_NOTE_TOKENS))
        features = beat_features(rolls[:, :, 0], rolls[:, :, 1])[:, 0]
        for index, song in enumerate(self.steered):
            rows = slice(index * self.m, (index + 1) * self.m)
            uniform = self.rngs[index].random()
            chosen = song.choose(features[rows], rolls[rows, :, 0], lead_before[rows], uniform)
            self.batch.kept[index] = index * self.m + chosen
            song.keep(beat, features[rows][chosen])

    def _spread(self, source: npt.NDArray[np.int64]) -> None:
        """Let every row go on from the row `source` says."""
        for name in _CARRIED:
            array = getattr(self.batch, name)
            array[:] = array[source]
        self.states[0] = self.states[0][:, source]
        self.control.spread(source)
        self.rules.spread(source)
