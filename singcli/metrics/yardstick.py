"""Real music as a yardstick: excerpts of one length, the band of a figure, and noise to compare.

Conventions
-----------
- Pieces of different length are compared by excerpts of the same number of bars: a figure of a long
  piece is often another than that of its parts.
- Rows of a table are excerpts, columns figures; NaN is a figure that is not defined.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from singcli.music.score import MIN_PITCH, N_PITCHES, N_VOICES, Score

Table = npt.NDArray[np.float64]

BAND = (10.0, 90.0)  # percentiles: the middle 80 %
ROUNDING = 1e-9
MAX_NOISE_STEPS = 16  # the longest note of noise: a bar of 4/4


def excerpts(score: Score, n_bars: int) -> list[Score]:
    """Take stretches of `n_bars` bars out of a piece, as many as its length divided by theirs.

    That number is rounded. Several are spread evenly from the first bar to the last, and overlap
    where it was rounded up; a single one begins with the piece. A piece of less than `n_bars` bars
    but at least half of them is taken as a whole; of a shorter one there are none.
    """
    if 2 * score.n_bars < n_bars or score.n_notes == 0:
        return []
    count = max((2 * score.n_bars + n_bars) // (2 * n_bars), 1)
    starts = np.linspace(0, max(score.n_bars - n_bars, 0), count).round().astype(int)
    return [score.bars(int(a), min(int(a) + n_bars, score.n_bars)) for a in starts]


def noise_like(score: Score, rng: np.random.Generator) -> Score:
    """Return random notes: as many of each voice as in `score`, and nothing else of it.

    Steps are drawn evenly, pitches evenly between the lowest and the highest of the score, and
    durations evenly from one step to `MAX_NOISE_STEPS`; no two notes share step, voice and pitch.
    So the mean number of notes a step is that of the score.
    """
    counts = np.bincount(score.voice, minlength=N_VOICES)
    low = int(score.pitch.min(initial=MIN_PITCH + N_PITCHES - 1))
    n_pitches = int(score.pitch.max(initial=low)) - low + 1
    places = [rng.choice(score.n_steps * n_pitches, count, replace=False) for count in counts]
    place = np.concatenate(places)
    return dataclasses.replace(
        Score.from_notes(
            place // n_pitches,
            np.repeat(np.arange(N_VOICES), counts),
            place % n_pitches + low,
            rng.integers(1, MAX_NOISE_STEPS + 1, len(place)),
            np.full(len(place), 80),
            bar_beats=score.bar_beats,
            tempo_bpm=score.tempo_bpm,
        ),
        key=score.key,
    )


def bands(reference: Table) -> Table:
    """Return between which values the middle 80 % of the reference lie, of every figure.

    Parameters
    ----------
    reference : np.ndarray, shape=(n_excerpts, n_figures)

    Returns
    -------
    np.ndarray, shape=(2, n_figures)
        The 10th and the 90th percentile (linear between values); NaN where no excerpt has the
        figure.
    """
    result = np.full((2, reference.shape[1]), np.nan)
    for index, column in enumerate(reference.T):
        known = column[~np.isnan(column)]
        if len(known):
            result[:, index] = np.percentile(known, BAND)
    return result


def inside(table: Table, band: Table) -> npt.NDArray[np.bool_]:
    """Return which figures lie in their bands, the ends included; one not defined does not.

    Parameters
    ----------
    table : np.ndarray, shape=(n_excerpts, n_figures)
    band : np.ndarray, shape=(2, n_figures)
    """
    result: npt.NDArray[np.bool_] = (table >= band[0] - ROUNDING) & (table <= band[1] + ROUNDING)
    return result


def piece_means(table: Table, piece: npt.NDArray[np.integer]) -> Table:
    """Average the excerpts of each piece, so that long pieces do not weigh more than short ones.

    Parameters
    ----------
    table : np.ndarray, shape=(n_excerpts, n_figures)
    piece : np.ndarray, shape=(n_excerpts,)
        Number of the piece of each excerpt.

    Returns
    -------
    np.ndarray, shape=(n_pieces, n_figures)
        In the order of the numbers; NaN where no excerpt of the piece has the figure.
    """
    numbers = np.unique(piece)
    known = ~np.isnan(table)
    belongs = numbers[:, None] == piece  # (n_pieces, n_excerpts)
    total = belongs @ np.where(known, table, 0.0)
    count = belongs @ known.astype(np.float64)
    means = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def held_out_inside(table: Table, piece: npt.NDArray[np.integer]) -> Table | None:
    """Return how much of each piece lies in the band of all other pieces.

    Parameters are those of `piece_means`.

    Returns
    -------
    np.ndarray, shape=(n_pieces, n_figures), in [0, 1], or None of less than two pieces
        Shares of the piece's excerpts.
    """
    numbers = np.unique(piece)
    if len(numbers) < 2:
        return None
    shares = [
        inside(table[piece == number], bands(table[piece != number])).mean(axis=0)
        for number in numbers
    ]
    return np.array(shares)
