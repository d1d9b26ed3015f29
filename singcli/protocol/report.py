"""What the lines of a run say: one row an entrant, the decisive test, and who beats whom.

Conventions
-----------
- A segment weighs 1: its samples are averaged first. Intervals are those of `PieceBootstrap`.
- Distances to real music: of a mean, its difference from that of the real pieces; of a histogram,
  the 1-Wasserstein distance of all notes of all segments together.
- NaN is a figure that is not defined; in JSON it is null.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from singcli.metrics.row_structure import PAPER, VARIANTS
from singcli.metrics.rows import N_INTERVALS, OFFSET, Guards, wasserstein
from singcli.protocol.bootstrap import Interval, PieceBootstrap, Vector, interval
from singcli.protocol.entrants import BLANKED, REAL
from singcli.protocol.measure import Line, counts_from_pairs
from singcli.protocol.tasks import WANTED, WAYS, Way

SCALARS = ("nats", "held")
HISTOGRAMS = ("lengths", "intervals")
CONTINUITY = (*SCALARS, *HISTOGRAMS)


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over segments, its 95 % interval, and the standard deviation of single outputs."""

    mean: Interval
    deviation: float


@dataclass(frozen=True, slots=True)
class EntrantRow:
    """One entrant.

    Parameters
    ----------
    name : str
    n_segments, n_outputs : int
    mse : dict of str to Spread
        Error of the z-scored matrices, by the names of `VARIANTS`; r = 1 - mse / 2.
    guards : dict of str to Spread
        By the fields of `Guards`.
    continuity : dict of str to Interval
        The means of `SCALARS`.
    distance : dict of str to Interval
        To real music, by the names of `CONTINUITY`.
    rows_per_second : float
    """

    name: str
    n_segments: int
    n_outputs: int
    mse: dict[str, Spread]
    guards: dict[str, Spread]
    continuity: dict[str, Interval]
    distance: dict[str, Interval]
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class ControlRow:
    """The decisive test of one entrant.

    Parameters
    ----------
    name : str
    n_segments, n_samples : int
        Of the latter so many of each segment.
    r : dict of str to Interval
        Correlation with the wanted matrix of music made in each of `WAYS`.
    gain : dict of str to Interval
        Paired differences between "wanted" and each other way.
    """

    name: str
    n_segments: int
    n_samples: int
    r: dict[str, Interval]
    gain: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class PairRow:
    """A model beside a baseline.

    Parameters
    ----------
    model, baseline : str
    mse : Interval
        Paired difference, below 0 where the model keeps to the matrix better.
    distance : dict of str to Interval
        The model's distance to real music over the baseline's, by the names of `CONTINUITY`.
    """

    model: str
    baseline: str
    mse: Interval
    distance: dict[str, Interval]


class Results:
    """The lines of a run, and the figures that they give.

    Parameters
    ----------
    lines : iterable of Line
        Of one run, those of the real pieces among them.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        grouped: dict[tuple[str, Way], dict[str, list[Line]]] = defaultdict(dict)
        for line in sorted(lines, key=lambda line: line.sample):
            grouped[line.entrant, line.way].setdefault(line.segment, []).append(line)
        self._lines = grouped
        self.segments = sorted(grouped[REAL, WANTED])
        longest = max((n for lines in grouped.values() for part in lines.values() for line in part
                       for n, _ in line.lengths), default=0)  # fmt: skip
        self._classes = {"lengths": (longest + 1, 0), "intervals": (N_INTERVALS, OFFSET)}
        self._pieces = PieceBootstrap([name.rpartition("#")[0] for name in self.segments])

    def entrant(self, name: str) -> EntrantRow:
        """Return the row of one entrant."""
        lines = self._wanted(name)
        seconds = sum(line.seconds for line in lines)
        return EntrantRow(
            name=name,
            n_segments=len(self._lines[name, WANTED]),
            n_outputs=len(lines),
            mse={variant.name: self._spread(name, _mse_of(variant.name)) for variant in VARIANTS},
            guards={field: self._spread(name, _guard_of(field)) for field in Guards._fields},
            continuity={s: self._pieces.mean(self._values(name, _scalar_of(s))) for s in SCALARS},
            distance={measure: interval(self._distances(name, measure)) for measure in CONTINUITY},
            rows_per_second=sum(line.n_rows for line in lines) / seconds if seconds else np.nan,
        )

    def control(self, name: str) -> ControlRow:
        """Return the decisive test of one entrant, over the samples that were made in all ways."""
        n_samples = min(
            max((len(lines) for lines in self._lines[name, way].values()), default=0)
            for way in WAYS
        )
        r = {way: self._values(name, _r_of_paper, way=way, max_samples=n_samples) for way in WAYS}
        return ControlRow(
            name=name,
            n_segments=int((~np.isnan(r[WANTED])).sum()),
            n_samples=n_samples,
            r={way: self._pieces.mean(values) for way, values in r.items()},
            gain={way: self._pieces.mean(r[WANTED] - r[way]) for way in WAYS if way != WANTED},
        )

    def pair(self, model: str, baseline: str) -> PairRow:
        """Return a model beside a baseline."""
        mse = [self._values(name, _mse_of(PAPER.name)) for name in (model, baseline)]
        ratios = {}
        for measure in CONTINUITY:
            ours, theirs = (self._distances(name, measure) for name in (model, baseline))
            ratio = np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0)
            ratios[measure] = interval(ratio)
        return PairRow(model, baseline, self._pieces.mean(mse[0] - mse[1]), ratios)

    def _wanted(self, name: str) -> list[Line]:
        return [line for lines in self._lines[name, WANTED].values() for line in lines]

    def _spread(self, name: str, figure: Callable[[Line], float]) -> Spread:
        single = [figure(line) for line in self._wanted(name)]
        deviation = float(np.std(single, ddof=1)) if len(single) > 1 else np.nan
        return Spread(self._pieces.mean(self._values(name, figure)), deviation)

    def _values(
        self,
        name: str,
        figure: Callable[[Line], float],
        *,
        way: Way = WANTED,
        max_samples: int | None = None,
    ) -> Vector:
        """Return a figure of each segment, the mean of its samples; NaN where there is none."""
        values = np.full(len(self.segments), np.nan)
        for index, segment in enumerate(self.segments):
            lines = self._lines[name, way].get(segment, [])[:max_samples]
            known = [v for v in map(figure, lines) if not np.isnan(v)]
            if known:
                values[index] = np.mean(known)
        return values

    @functools.cache  # noqa: B019  # results live as long as the report is made
    def _distances(self, name: str, measure: str) -> Vector:
        """Return the distance to real music of all segments, then of every draw."""
        if measure in SCALARS:
            mine, real = (
                self._pieces.means(self._values(who, _scalar_of(measure))) for who in (name, REAL)
            )
            return np.abs(mine - real)
        return wasserstein(self._real_sums(measure), self._sums(name, measure))

    @functools.cache  # noqa: B019
    def _real_sums(self, measure: str) -> Vector:
        return self._sums(REAL, measure)

    def _sums(self, name: str, measure: str) -> Vector:
        """Return a histogram of all segments, then of every draw; samples count as their mean."""
        n_classes, zero = self._classes[measure]
        counts = np.zeros((len(self.segments), n_classes))
        for index, segment in enumerate(self.segments):
            lines = self._lines[name, WANTED].get(segment, [])
            for line in lines:
                counts[index] += counts_from_pairs(getattr(line, measure), n_classes, zero)
            counts[index] /= max(len(lines), 1)
        return self._pieces.sums(counts)


def _mse_of(variant: str) -> Callable[[Line], float]:
    return lambda line: 2.0 * (1.0 - line.r[variant])


def _guard_of(field: str) -> Callable[[Line], float]:
    return lambda line: line.guards[field]


def _scalar_of(measure: str) -> Callable[[Line], float]:
    def figure(line: Line) -> float:
        value: float | None = getattr(line, measure)
        return np.nan if value is None else value

    return figure


def _r_of_paper(line: Line) -> float:
    return line.r[PAPER.name]


@dataclass(frozen=True, slots=True)
class ProtocolReport:
    """Everything that is shown of a run; entrants in the order of the lines, real music last."""

    rows: tuple[EntrantRow, ...]
    controls: tuple[ControlRow, ...]
    pairs: tuple[PairRow, ...]

    @classmethod
    def from_lines(cls, lines: Sequence[Line], models: Sequence[str]) -> Self:
        """Compute the report.

        Parameters
        ----------
        lines : sequence of Line
            Of one run.
        models : sequence of str
            Names of the entrants that are models.
        """
        results = Results(lines)
        present = {line.entrant for line in lines}
        rest = sorted(present - set(models) - {REAL}, key=[line.entrant for line in lines].index)
        names = [*(name for name in models if name in present), *rest, REAL]
        controls = (results.control(n) for n in names if n != REAL and not n.endswith(BLANKED))
        return cls(
            rows=tuple(results.entrant(name) for name in names),
            controls=tuple(control for control in controls if control.n_samples),
            pairs=tuple(
                results.pair(model, other)
                for model in models
                for other in names
                if other not in (model, REAL)
            ),
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Return one JSON object for every row of every table."""
        tables: dict[str, Sequence[EntrantRow | ControlRow | PairRow]]
        tables = {"entrant": self.rows, "control": self.controls, "pair": self.pairs}
        return [
            {"table": table, **_json(dataclasses.asdict(row))}
            for table, rows in tables.items()
            for row in rows
        ]


def _json(value: Any) -> Any:
    """Return intervals as objects and NaN as None."""
    if isinstance(value, Interval):
        return {key: _json(part) for key, part in value._asdict().items()}
    if isinstance(value, dict):
        return {key: _json(part) for key, part in value.items()}
    if isinstance(value, float) and np.isnan(value):
        return None
    return value
