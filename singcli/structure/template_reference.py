"""What the matrices of the training songs look like: the yardstick of `quality`.

The bundled table was measured by `benchmarks/template_quality.py` on POP909's training songs.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from singcli.structure.ssm_file import Structure

Vector = npt.NDArray[np.float64]

SHARES = tuple(float(share) for share in np.linspace(0, 1, 21))  # of the quantiles of the values
LAGS_BARS = (0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
PERCENTILES = (*range(0, 100, 5), 99, 99.5, 100)
FILE_NAME = "template_reference.toml"


@dataclass(frozen=True, slots=True)
class TemplateReference:
    """Means of the training songs, and how far songs are from them.

    Parameters
    ----------
    source : str
        What was measured, and its licence.
    n_bars : tuple of int
        Least and most bars of a song.
    beats_per_bar : tuple of int
        Quarter notes in the bars of the songs.
    values : tuple of float in [0, 1]
        Mean quantiles of the similarity of different beats, at `SHARES`.
    lags : tuple of float in [0, 1]
        Mean similarity at distances of `LAGS_BARS` bars.
    value_distances, lag_distances : tuple of float
        `PERCENTILES` of the songs' distances from those means.
    """

    source: str
    n_bars: tuple[int, int]
    beats_per_bar: tuple[int, ...]
    values: tuple[float, ...]
    lags: tuple[float, ...]
    value_distances: tuple[float, ...]
    lag_distances: tuple[float, ...]

    @classmethod
    def from_structures(cls, structures: Sequence[Structure], source: str) -> Self:
        """Measure training songs."""
        values = np.array([value_quantiles(structure) for structure in structures])
        lags = np.array([lag_profile(structure) for structure in structures])
        n_bars = [structure.n_bars for structure in structures]
        unmeasured = cls(
            source=source,
            n_bars=(min(n_bars), max(n_bars)),
            beats_per_bar=tuple(sorted({beats_per_bar(structure) for structure in structures})),
            values=_rounded(values.mean(axis=0)),
            lags=_rounded(np.nanmean(lags, axis=0)),
            value_distances=(),
            lag_distances=(),
        )
        distances = np.array([unmeasured.distances(structure) for structure in structures])
        of_values, of_lags = np.percentile(distances, PERCENTILES, axis=0).T
        return dataclasses.replace(
            unmeasured, value_distances=_rounded(of_values), lag_distances=_rounded(of_lags)
        )

    @classmethod
    def from_toml(cls, content: bytes) -> Self:
        """Read what `to_toml` writes."""
        table = tomllib.loads(content.decode())
        source = table.pop("source")
        return cls(source, **{key: tuple(row) for key, row in table.items()})

    def to_toml(self) -> str:
        """Return the text of the data file."""
        fields = dataclasses.asdict(self)
        source = fields.pop("source")
        lines = [f'source = "{source}"', *(f"{key} = {list(row)}" for key, row in fields.items())]
        return "\n".join(lines) + "\n"

    def distances(self, structure: Structure) -> tuple[float, float]:
        """Return how far a matrix is from the mean song.

        Returns
        -------
        of_values : float >= 0
            Mean difference of the quantiles (the Wasserstein distance of the distributions).
        of_lags : float >= 0
            Root mean square difference of the similarity at `LAGS_BARS`, as far as the piece goes.
        """
        of_values = np.abs(value_quantiles(structure) - self.values).mean()
        differences = lag_profile(structure) - self.lags
        known = ~np.isnan(differences)
        of_lags = np.sqrt(np.mean(differences[known] ** 2)) if known.any() else 0.0
        return float(of_values), float(of_lags)

    def percentiles(self, structure: Structure) -> tuple[float, float]:
        """Return which share of the songs is as near to the mean by either distance, 0 to 100."""
        of_values, of_lags = self.distances(structure)
        return (
            float(np.interp(of_values, self.value_distances, PERCENTILES)),
            float(np.interp(of_lags, self.lag_distances, PERCENTILES)),
        )


@functools.cache
def bundled_reference() -> TemplateReference:
    """Return the reference that comes with the tool."""
    resource = importlib.resources.files("singcli.structure") / FILE_NAME
    return TemplateReference.from_toml(resource.read_bytes())


def beats_per_bar(structure: Structure) -> int:
    """Return the most frequent length of a bar, in quarter notes."""
    return int(np.bincount(np.diff(structure.bar_beats)).argmax())


def similarities(structure: Structure, *, least_lag: int = 1) -> Vector:
    """Return the similarities of all pairs of sounding beats at least so far apart."""
    values: Vector = structure.ssm[sounding_pairs(structure, least_lag)].astype(np.float64)
    return values


def sounding_pairs(structure: Structure, least_lag: int) -> npt.NDArray[np.bool_]:
    """Return which pairs of beats both sound and are so far apart, below the diagonal."""
    sounding = np.diagonal(structure.ssm) > 0
    return np.tril(np.logical_and.outer(sounding, sounding), -least_lag)


def value_quantiles(structure: Structure) -> Vector:
    """Return the quantiles at `SHARES` of the similarities; zeros where there are none."""
    values = similarities(structure)
    return np.quantile(values, SHARES) if len(values) else np.zeros(len(SHARES))


def lag_profile(structure: Structure) -> Vector:
    """Return the mean similarity at `LAGS_BARS`; NaN beyond the end."""
    bar = beats_per_bar(structure)
    beats = [max(1, round(lag * bar)) for lag in LAGS_BARS]
    return np.array(
        [np.diagonal(structure.ssm, -n).mean() if n < structure.n_beats else np.nan for n in beats]
    )


def _rounded(values: Vector) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
