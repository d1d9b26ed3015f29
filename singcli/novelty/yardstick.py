"""How much real songs, held out from training, share with the training songs.

Pieces share more the longer they are, and common patterns are shared by all music of a style, so a
figure of a piece says little by itself. Beside it stand the same figures of whole held-out songs
and of excerpts of `index.EXCERPT_BARS` bars from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from singcli.novelty.index import FIGURES, NoveltyIndex

HIGH_PERCENTILE = 95


@dataclass(frozen=True, slots=True)
class Reference:
    """Figures of many pieces.

    Parameters
    ----------
    pieces : int
    median, high : mapping of str to float
        By the names in `FIGURES`; `high` is the 95th percentile, with linear interpolation. Both
        are empty without pieces.
    """

    pieces: int
    median: Mapping[str, float]
    high: Mapping[str, float]

    @classmethod
    def from_figures(cls, figures: npt.NDArray[np.floating]) -> Self:
        """Sum up the figures of pieces.

        Parameters
        ----------
        figures : np.ndarray, shape=(n_pieces, len(FIGURES))
        """
        if len(figures) == 0:
            return cls(0, {}, {})
        median, high = np.percentile(figures.astype(np.float64), [50, HIGH_PERCENTILE], axis=0)
        return cls(
            len(figures),
            dict(zip(FIGURES, median.tolist(), strict=True)),
            dict(zip(FIGURES, high.tolist(), strict=True)),
        )

    def beyond(self, figures: Mapping[str, float]) -> tuple[str, ...]:
        """Return the names of the figures that are above the 95th percentile."""
        return tuple(name for name, high in self.high.items() if figures[name] > high)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What held-out songs share with the training songs, whole and in excerpts."""

    songs: Reference
    excerpts: Reference


def yardstick_of(index: NoveltyIndex, corpus: str | None = None) -> Yardstick:
    """Return the yardstick of an index, of one corpus or of all.

    Raises
    ------
    InputError
        If there is no such corpus.
    """
    songs, excerpts = index.held_out_rows(corpus)
    return Yardstick(
        Reference.from_figures(index.yardstick[songs]),
        Reference.from_figures(index.excerpts[excerpts]),
    )
