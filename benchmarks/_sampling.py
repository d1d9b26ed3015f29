"""Songs sampled without the command line, many plans of any length in a few batches."""

from __future__ import annotations

from collections.abc import Sequence

from singcli.model.plan import Plan, SamplingOptions
from singcli.model.runtime import Runtime
from singcli.model.sampling import sample_scores
from singcli.music.score import Score

ROWS_AT_ONCE = 64  # songs times candidates


def sample_in_batches(
    runtime: Runtime, plans: Sequence[Plan], seeds: Sequence[int], options: SamplingOptions
) -> list[Score]:
    """Sample a song for each plan and seed, plans of about the same length together."""
    by_length = sorted(range(len(plans)), key=lambda index: len(plans[index].ssm))
    at_once = max(1, ROWS_AT_ONCE // options.candidates)
    scores: dict[int, Score] = {}
    for first in range(0, len(plans), at_once):
        batch = by_length[first : first + at_once]
        sampled = sample_scores(
            runtime, [plans[i] for i in batch], [seeds[i] for i in batch], options
        )
        scores.update(zip(batch, sampled, strict=True))
    return [scores[index] for index in range(len(plans))]
