"""A plan laid out step by step: what stays the same while its song is sampled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from singcli.model.choice import next_token_table
from singcli.model.contract import ENDING_BARS, NO_DURATION, NO_VELOCITY, ModelCard
from singcli.model.features import TokenScore, place_features, source_steps, steps_bars_ago
from singcli.model.plan import Given, Plan, SamplingOptions
from singcli.model.rules import SongRules
from singcli.music.score import N_PITCHES, STEPS_PER_BEAT
from singcli.structure.alignment import context_rows
from singcli.structure.dial import FREE_BELOW, wanted_overlap

Floats = npt.NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


class Layout(NamedTuple):
    """A plan as long as the longest one of its batch, n_steps.

    Parameters
    ----------
    plan : Plan
    source : np.ndarray, shape=(n_steps + 1,), int64
        The step that each step looks back at, or -1.
    bars_ago : np.ndarray, shape=(n_steps + 1, len(BARS_AGO)), int64
        The steps `BARS_AGO` before, or -1.
    place : np.ndarray, shape=(n_steps, N_PLACE), float32
        As `place_features`.
    grade, overlap : np.ndarray, shape=(n_beats,), float32
        Similarity to the source; share of the notes wanted in common with it, NaN where it is left
        to the network.
    context_rows : callable, optional
        Weights of the soft context, for the next `BLOCK_ROWS` beats from one on, as
        `alignment.context_rows`; None for a plan without a matrix.
    rules : SongRules
    given : GivenTokens, optional
    """

    plan: Plan
    source: npt.NDArray[np.int64]
    bars_ago: npt.NDArray[np.int64]
    place: Floats
    grade: Floats
    overlap: Floats
    context_rows: Callable[[int], Floats] | None
    rules: SongRules
    given: GivenTokens | None

    @classmethod
    def from_plan(cls, plan: Plan, card: ModelCard, n_beats: int, options: SamplingOptions) -> Self:
        """Lay out a plan over this many beats, at least its own."""
        n_steps = n_beats * STEPS_PER_BEAT
        repeat_map = plan.repeat_map(card.continuation_bonus)
        overlap = (
            overlap_from_grade(repeat_map.grade, options.strictness)
            if plan.known is None
            else plan.known.overlap
        )
        place = place_features(
            plan.bar_beats,
            kind=plan.kind,
            mode=plan.mode,
            sections=plan.sections,
            compound=plan.compound,
            style=plan.style,
            bars_after=0 if plan.ending or plan.kind == "music" else ENDING_BARS,
        )
        rows = functools.partial(context_rows, plan.ssm, temperature=card.context_temperature)
        return cls(
            plan,
            source=extended(source_steps(repeat_map.source), n_steps + 1, -1),
            bars_ago=extended(steps_bars_ago(plan.bar_beats).T, n_steps + 1, -1),
            place=extended(place, n_steps, 0),
            grade=extended(repeat_map.grade, n_beats, 0),
            overlap=extended(overlap, n_beats, np.nan),
            context_rows=None if plan.kind == "none" else rows,
            rules=SongRules.from_plan(plan, n_steps, options.scale_lock, overlap),
            given=None if plan.given is None else GivenTokens(plan.given, n_steps),
        )


class GivenTokens:
    """Given notes step by step, as the decisions need them."""

    def __init__(self, given: Given, n_steps: int) -> None:
        mask = extended(given.mask, n_steps, 0).astype(np.bool_)
        tokens = TokenScore.from_score(given.score)
        by_token = np.repeat(mask, N_PITCHES, axis=1)
        onsets = extended(tokens.onsets, n_steps, 0).astype(np.bool_) & by_token
        self.free = np.concatenate([~by_token, np.ones((n_steps, 1), np.bool_)], axis=1)
        self.following = next_token_table(onsets)
        self.durations = extended(tokens.duration_map, n_steps, NO_DURATION)
        self.velocities = extended(tokens.velocity_map, n_steps, NO_VELOCITY)


def overlap_from_grade(grade: Floats, strictness: float) -> Floats:
    """Return what strictness wants of sources found in a matrix; NaN where it is texture."""
    overlap = wanted_overlap(grade, strictness)
    return np.where(grade > FREE_BELOW, overlap, np.float32(np.nan))


def extended(array: npt.NDArray[Value], length: int, fill: float) -> npt.NDArray[Value]:
    """Return the array with rows of `fill` behind it, up to `length` rows."""
    extended = np.full((length, *array.shape[1:]), fill, array.dtype)
    extended[: len(array)] = array
    return extended
