"""One output of one entrant, measured: a line of the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from singcli.metrics.row_structure import PAPER, VARIANTS, row_correlation
from singcli.metrics.rows import OFFSET, Counts, held_share, note_lengths, row_guards, top_intervals
from singcli.protocol.tasks import N_SEED_ROWS, Way
from singcli.structure.row_ssm import Roll, row_ssm
from singcli.structure.ssm import Matrix

Key = tuple[str, str, str, str, int]
"""Run, entrant, way, segment, sample."""
Pairs = list[list[int]]
"""(number, how often) of a histogram, those that occur."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured of one output.

    Guards and continuity are those of the rows after the seed, and of the step from the seed to
    them; of music made in another way than "wanted" only the correlation is measured.

    Parameters
    ----------
    run : str
        Of what the output depends on, beside the following five.
    entrant : str
    way : {"wanted", "none", "shuffled", "another"}
    segment : str
    sample : int >= 0
    n_rows : int
        Of the segment.
    seconds : float
        To generate it: its share, by rows, of what was generated at once.
    r : dict of str to float in [-1, 1]
        Correlation with the wanted matrix, by the names of `VARIANTS`.
    guards : dict of str to float
        The fields of `Guards`.
    held : float in [0, 1], optional
    lengths, intervals : list of pairs
        Histograms of note lengths in rows and of the top line's intervals in semitones.
    nats : float, optional
        Per row, under the scorer.
    """

    run: str
    entrant: str
    way: Way
    segment: str
    sample: int
    n_rows: int
    seconds: float
    r: dict[str, float]
    guards: dict[str, float] = dataclasses.field(default_factory=dict)
    held: float | None = None
    lengths: Pairs = dataclasses.field(default_factory=list)
    intervals: Pairs = dataclasses.field(default_factory=list)
    nats: float | None = None

    @property
    def key(self) -> Key:
        """By which a line is found again."""
        return (self.run, self.entrant, self.way, self.segment, self.sample)

    def to_json(self) -> dict[str, Any]:
        """Return the line as a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Build a line from a decoded JSON object."""
        return cls(**fields)


def control_figures(wanted: Matrix, roll: Roll) -> dict[str, Any]:
    """Return the fields of a `Line` for music that was made in another way than "wanted"."""
    return {"r": {PAPER.name: row_correlation(wanted, row_ssm(roll), PAPER)}}


def all_figures(wanted: Matrix, roll: Roll) -> dict[str, Any]:
    """Return the fields of a `Line` that come from the music alone."""
    measured = row_ssm(roll)
    after, with_step = roll[N_SEED_ROWS:], roll[N_SEED_ROWS - 1 :]
    return {
        "r": {
            variant.name: row_correlation(wanted, measured, variant, n_seed=N_SEED_ROWS)
            for variant in VARIANTS
        },
        "guards": row_guards(after)._asdict(),
        "held": held_share(with_step),
        "lengths": _pairs(note_lengths(after), 0),
        "intervals": _pairs(top_intervals(with_step), OFFSET),
    }


def _pairs(counts: Counts, zero: int) -> Pairs:
    """Return the classes that occur; class 0 of the result has the index `zero`."""
    index = np.flatnonzero(counts)
    return np.stack([index - zero, counts[index]], axis=1).tolist()  # type: ignore[no-any-return]


def counts_from_pairs(pairs: Sequence[Sequence[int]], n_classes: int, zero: int) -> Counts:
    """Return a histogram from its pairs, the inverse of what a `Line` holds.

    Parameters
    ----------
    pairs : sequence of (number, how often)
    n_classes : int
    zero : int
        Index of the number 0.
    """
    counts = np.zeros(n_classes, np.int64)
    for number, count in pairs:
        counts[number + zero] = count
    return counts
