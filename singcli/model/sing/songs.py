"""Plans in, scores out: songs by SING, a row for each beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from singcli.model.plan import Plan
from singcli.model.rows import RowTask
from singcli.model.sing.generator import SingGenerator
from singcli.model.sing.runtime import SingRuntime
from singcli.music.rows import score_from_rows
from singcli.music.score import Score
from singcli.structure.row_ssm import N_ROW_PITCHES


def sing_scores(
    runtime: SingRuntime,
    plans: Sequence[Plan],
    seeds: Sequence[int | np.random.SeedSequence],
    *,
    on_beat: Callable[[int, int], None] = lambda _beat, _beats: None,
) -> list[Score]:
    """Write one song for each plan and seed.

    Parameters
    ----------
    runtime : SingRuntime
    plans : sequence of Plan
        Of each the matrix, the bars and the tempo are read. The bars of the lead-in are what the
        seed rows are elsewhere: the network begins after an empty row and finds its own material.
    seeds : sequence of int or SeedSequence
    on_beat : callable
        Called with beats done and their number.

    Returns
    -------
    list of Score
        Of the songs without their lead-ins, in no known key.
    """
    nothing = np.zeros((0, N_ROW_PITCHES), np.bool_)
    n_beats = max((len(plan.ssm) for plan in plans), default=0)
    rolls = SingGenerator(runtime).generate([RowTask(plan.ssm, nothing) for plan in plans], seeds)
    on_beat(n_beats, n_beats)
    return [
        score_from_rows(
            roll[plan.bar_beats[plan.lead_in_bars] :],
            bar_beats=plan.song_bar_beats,
            tempo_bpm=plan.tempo_bpm,
        )
        for roll, plan in zip(rolls, plans, strict=True)
    ]
