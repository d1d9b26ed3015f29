"""Attempts at a song: sampled, written as MIDI, read back, measured, and the best one chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from singcli.errors import InputError
from singcli.metrics.report import StructureReport, measure_structure, measure_template_structure
from singcli.model.plan import Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.midi_writing import TICKS_PER_BEAT, midi_from_score
from singcli.music.score import Score
from singcli.music.voice_files import read_voice_rules
from singcli.preparation.limits import Limits
from singcli.preparation.scores import DEFAULT_RULES, prepared_score
from singcli.recipe import Recipe, UsedFile, placed_sections
from singcli.structure.form import Form
from singcli.structure.preset import values_from_form
from singcli.wish import Wish

if TYPE_CHECKING:
    from singcli.model.sing.runtime import SingRuntime

ROWS_AT_ONCE = 128  # attempts times candidates in one batch
MAX_ATTEMPTS = 256
_NO_LIMITS = Limits(max_bytes=2**40, max_notes=2**40, max_tracks=2**40, max_minutes=1e9)


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often to try for a song, and which attempt to keep.

    The first that reaches `min_structure` is kept; else, and without `min_structure`, the one with
    the best `StructureReport.score`, of equal ones the first.

    Parameters
    ----------
    best_of : int, 1 to `MAX_ATTEMPTS`
    min_structure : float in [0, 1], optional
        Score that a song has to reach.
    only : int, 1 to `best_of`, optional
        Make this attempt alone, as a recipe wants it.

    Raises
    ------
    InputError
        If a value is outside its range.
    """

    best_of: int = 1
    min_structure: float | None = None
    only: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.best_of <= MAX_ATTEMPTS:
            raise InputError(f"best_of = {self.best_of}, allowed: 1 to {MAX_ATTEMPTS}")
        if self.min_structure is not None and not 0 <= self.min_structure <= 1:
            raise InputError(f"min_structure = {self.min_structure:g}, allowed: 0 to 1")
        if self.only is not None and not 1 <= self.only <= self.best_of:
            raise InputError(f"attempt = {self.only}, allowed: 1 to {self.best_of}, best_of")

    @property
    def rounds(self) -> tuple[range, ...]:
        """Numbers of the attempts that are made together; a song may do without the second round.

        Most songs reach what is required at once, and a batch costs less than one after another.
        """
        if self.only is not None:
            return (range(self.only, self.only + 1),)
        if self.min_structure is None or self.best_of == 1:
            return (range(1, self.best_of + 1),)
        return range(1, 2), range(2, self.best_of + 1)

    @property
    def most(self) -> int:
        """Number of attempts at a song that needs all of them."""
        return sum(map(len, self.rounds))

    def is_reached(self, report: StructureReport) -> bool:
        """Return whether a song is as good as required."""
        return self.min_structure is None or report.score >= self.min_structure

    def prefers(self, report: StructureReport, kept: StructureReport) -> bool:
        """Return whether a later attempt takes the place of the one kept so far."""
        settled = self.min_structure is not None and kept.score >= self.min_structure
        return not settled and report.score > kept.score


@dataclass(frozen=True, slots=True)
class Order:
    """One song to be made: what, from which seed, and for which file."""

    wish: Wish
    plan: Plan
    seed: int
    path: Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a song: the content of its file, and what was read back from it."""

    content: bytes
    finished: Score
    report: StructureReport
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all songs of a call share."""

    runtime: Runtime | SingRuntime
    model: UsedFile
    options: SamplingOptions
    attempts: Attempts

    @property
    def attempts_at_once(self) -> int:
        """How many attempts fit into one batch."""
        return max(1, ROWS_AT_ONCE // self.options.candidates)

    def best_attempts(
        self, orders: Sequence[Order], on_progress: Callable[[float], None]
    ) -> list[Attempt]:
        """Make attempts at all songs and return the one that each song keeps.

        Parameters
        ----------
        on_progress : callable
            Called with the share of the work that is done, 0 to 1.
        """
        kept: dict[int, Attempt] = {}
        done, total = 0, len(orders) * self.attempts.most
        for numbers in self.attempts.rounds:
            jobs = [
                (index, number)
                for index in range(len(orders))
                if index not in kept or not self.attempts.is_reached(kept[index].report)
                for number in numbers
            ]
            for first in range(0, len(jobs), self.attempts_at_once):
                chunk = jobs[first : first + self.attempts_at_once]

                def on_beat(beat: int, beats: int, done: int = done, n: int = len(chunk)) -> None:
                    on_progress((done + n * beat / beats) / total)

                scores = self._scores([(orders[index], number) for index, number in chunk], on_beat)
                for (index, number), score in zip(chunk, scores, strict=True):
                    attempt = self._attempt(orders[index], number, score)
                    if index not in kept or self.attempts.prefers(
                        attempt.report, kept[index].report
                    ):
                        kept[index] = attempt
                done += len(chunk)
        on_progress(1.0)
        return [kept[index] for index in range(len(orders))]

    def _scores(
        self, jobs: Sequence[tuple[Order, int]], on_beat: Callable[[int, int], None]
    ) -> list[Score]:
        """Sample attempts, given as song and number, as one batch."""
        plans = [order.plan for order, _ in jobs]
        seeds = [seed_of_attempt(order.seed, number) for order, number in jobs]
        if isinstance(self.runtime, Runtime):
            return sample_scores(self.runtime, plans, seeds, self.options, on_beat=on_beat)
        from singcli.model.sing.songs import sing_scores  # the other model does without

        return sing_scores(self.runtime, plans, seeds, on_beat=on_beat)

    def _in_key(self, score: Score, wish: Wish) -> Score:
        """Return a sampled song in its key, where the model knows of keys."""
        moved = score.transposed_bars(wish.bar_transpositions)
        if not isinstance(self.runtime, Runtime):
            return moved
        return dataclasses.replace(
            moved.transposed(-wish.song_key.shift_to_reference), key=wish.song_key
        )

    def recipe(self, order: Order, number: int) -> Recipe:
        """Return the recipe of an attempt, without what is measured on it."""
        wish = order.wish
        return Recipe(
            model=self.model,
            seed=order.seed,
            options=wish.recorded_options(self.runtime.card),
            form=values_from_form(wish.source) if isinstance(wish.source, Form) else None,
            templates=() if isinstance(wish.source, Form) else wish.source.files,
            best_of=self.attempts.best_of,
            attempt=number,
            sections=placed_sections(wish.sections, order.plan.song_bar_beats),
        )

    def _attempt(self, order: Order, number: int, score: Score) -> Attempt:
        """Write a sampled song in its key as MIDI, read that back and measure it."""
        wish, plan = order.wish, order.plan
        recipe = self.recipe(order, number)
        content = midi_from_score(
            self._in_key(score, wish),
            sections=wish.sections,
            bar_meters=wish.bar_meters,
            tempo_changes=wish.tempo_changes,
            title=f"{wish.name} {order.seed}",
            recipe_text=recipe.embedded_text(),
        )
        end_tick = score.n_beats * TICKS_PER_BEAT
        finished = score if score.n_notes == 0 else _read_back(content, order.path, end_tick)
        report = _measured(finished, wish, plan)
        return Attempt(
            content, finished, report, dataclasses.replace(recipe, structure=report.to_dict())
        )


def seed_of_attempt(seed: int, number: int) -> int | np.random.SeedSequence:
    """Return what an attempt draws from: the seed of the song, or a child of it.

    It depends on the song's seed and the number alone, so every attempt can be made again.
    """
    return seed if number == 1 else np.random.SeedSequence(seed, spawn_key=(number,))


def _read_back(content: bytes, path: Path, end_tick: int) -> Score:
    prepared = prepared_score(
        content,
        {},
        source=str(path),
        rules=read_voice_rules(DEFAULT_RULES),
        whole=True,
        end_tick=end_tick,
        limits=_NO_LIMITS,
    )
    return prepared.score


def _measured(finished: Score, wish: Wish, plan: Plan) -> StructureReport:
    if isinstance(wish.source, Form):
        return measure_structure(
            finished, wish.source, strictness=wish.options().strictness, wanted_ssm=plan.song_ssm
        )
    return measure_template_structure(
        finished, plan.song_ssm, bar_beats=plan.song_bar_beats, sections=wish.sections
    )
