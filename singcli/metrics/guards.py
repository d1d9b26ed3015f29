"""Guards: simple statistics that a piece must share with real music of the same length.

A structure measure alone can be won by a drone or by scattered rows, so it counts only beside
these figures for real music.

Conventions
-----------
- Shares are fractions in [0, 1]; a share of nothing (no steps, no notes, no intervals) is 0.
- Both voices are counted, silent steps included, unless the name says otherwise.
- `distinct_pitches`, `unique_beats` and `unique_bars` depend on length: compare excerpts of equal
  length only. The songs of POP909 whose number ends in 3 have 37.7 distinct pitches and 0.70 unique
  beats as a whole, 33.3 and 0.89 in 32 bars; and 1.34 against 1.42 notes a step, 0.025 against
  0.015 empty steps, because their quiet ends are cut.

References
----------
Dong, Hsiao, Yang, Yang, "MuseGAN" (AAAI 2018), section 5.2: empty bars, used pitch classes, notes
in the scale. Yang, Lerch, "On the evaluation of generative models in music" (2020): pitch count,
note count, pitch intervals. SING (Hager, Hablutzel, Kinnaird 2024): unique rows, notes per row.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.music.key import Key
from singcli.music.roll import onset_roll, sounding_roll
from singcli.music.score import LEAD, STEPS_PER_BEAT, Score

OCTAVE = 12
WHOLE_TONE = 2


@dataclass(frozen=True, slots=True)
class GuardReport:
    """The guards of one piece; every field is the function of the same name.

    `out_of_key` is None where the key is not known.
    """

    n_bars: int
    notes_per_step: float
    mean_polyphony: float
    empty_steps: float
    distinct_pitches: int
    unique_beats: float
    unique_bars: float
    out_of_key: float | None
    lead_leaps: float
    lead_seconds: float
    lead_spread: float


GUARDS = tuple(f.name for f in dataclasses.fields(GuardReport) if f.name != "n_bars")


def measure_guards(score: Score) -> GuardReport:
    """Measure all guards; `out_of_key` against the score's own key."""
    return GuardReport(
        n_bars=score.n_bars,
        notes_per_step=notes_per_step(score),
        mean_polyphony=mean_polyphony(score),
        empty_steps=empty_steps(score),
        distinct_pitches=distinct_pitches(score),
        unique_beats=unique_beats(score),
        unique_bars=unique_bars(score),
        out_of_key=None if score.key is None else out_of_key(score, score.key),
        lead_leaps=lead_leaps(score),
        lead_seconds=lead_seconds(score),
        lead_spread=lead_spread(score),
    )


def mean_guards(reports: Iterable[GuardReport]) -> dict[str, float | None]:
    """Average each guard over pieces.

    Returns
    -------
    dict of str to float
        A key per name in `GUARDS`; None where no piece has the figure.
    """
    pieces = list(reports)
    means: dict[str, float | None] = {}
    for name in GUARDS:
        known = [value for piece in pieces if (value := getattr(piece, name)) is not None]
        means[name] = float(np.mean(known)) if known else None
    return means


def notes_per_step(score: Score) -> float:
    """Return the mean number of onsets in a step."""
    return _share(score.n_notes, score.n_steps)


def mean_polyphony(score: Score) -> float:
    """Return the mean number of pitches that sound in a step; a unison of both voices is one."""
    return _share(int(sounding_roll(score).any(axis=1).sum()), score.n_steps)


def empty_steps(score: Score) -> float:
    """Return the share of the steps in which nothing sounds, held notes included."""
    silent = ~sounding_roll(score).any(axis=(1, 2))
    return _share(int(silent.sum()), score.n_steps)


def distinct_pitches(score: Score) -> int:
    """Return how many different pitches are struck, both voices together."""
    return len(np.unique(score.pitch))


def unique_beats(score: Score) -> float:
    """Return the number of different beats divided by the number of beats, in (0, 1].

    Two beats are the same if the same voices strike and hold the same pitches in the same steps.
    Silent beats are all the same.
    """
    return _unique_share(score, np.arange(score.n_beats + 1))


def unique_bars(score: Score) -> float:
    """Return the number of different bars divided by the number of bars; see `unique_beats`."""
    return _unique_share(score, score.bar_beats)


def out_of_key(score: Score, key: Key) -> float:
    """Return the share of the notes whose pitch class is not in the scale of `key`.

    In minor both sevenths belong to the scale (`Key.scale`). Notes are counted, not weighed by
    their duration.
    """
    outside = ~key.scale[score.pitch.astype(np.intp) % 12]
    return _share(int(outside.sum()), score.n_notes)


def lead_leaps(score: Score) -> float:
    """Return the share of the tune's intervals that are larger than an octave."""
    intervals = lead_intervals(score)
    return _share(int((np.abs(intervals) > OCTAVE).sum()), len(intervals))


def lead_seconds(score: Score) -> float:
    """Return the share of the tune's intervals that are a semitone or a whole tone."""
    size = np.abs(lead_intervals(score))
    return _share(int(((size > 0) & (size <= WHOLE_TONE)).sum()), len(size))


def lead_spread(score: Score) -> float:
    """Return the standard deviation of the tune's pitches in semitones; 0 without a tune."""
    tune = _tune(score)
    return float(tune.std()) if len(tune) else 0.0


def lead_intervals(score: Score) -> npt.NDArray[np.int64]:
    """Return the signed intervals of the tune in semitones: the highest lead note of each step.

    Rests do not break the tune.

    Returns
    -------
    np.ndarray, shape=(max(n_tune_notes - 1, 0),), int64
    """
    return np.diff(_tune(score))


def random_excerpt(score: Score, *, n_bars: int, rng: np.random.Generator) -> Score | None:
    """Draw `n_bars` bars of a score; None as in `random_excerpt_start`."""
    start = random_excerpt_start(score, n_bars=n_bars, rng=rng)
    return None if start is None else score.bars(start, start + n_bars)


def random_excerpt_start(score: Score, *, n_bars: int, rng: np.random.Generator) -> int | None:
    """Draw the bar where an excerpt of `n_bars` bars begins.

    It begins at or after the bar of the first note and ends at or before the last bar in which
    something sounds, so that the silence around a piece is not taken for part of it.

    Returns
    -------
    int, or None if the music is shorter than that
    """
    if score.n_notes == 0:
        return None
    bar_steps = score.bar_beats * STEPS_PER_BEAT
    first = int(np.searchsorted(bar_steps, score.step[0], side="right")) - 1
    last = int(np.searchsorted(bar_steps, (score.step + score.duration).max()))
    return int(rng.integers(first, last - n_bars + 1)) if last - first >= n_bars else None


def _tune(score: Score) -> npt.NDArray[np.int64]:
    """Return the pitches of the tune."""
    lead = score.voice == LEAD
    _, first = np.unique(score.step[lead], return_index=True)  # in canonical order the highest
    tune: npt.NDArray[np.int64] = score.pitch[lead][first].astype(np.int64)
    return tune


def _unique_share(score: Score, edges_beats: npt.NDArray[np.integer]) -> float:
    """Return the share of different stretches between the given beats."""
    state = sounding_roll(score).astype(np.uint8) + onset_roll(score)  # 0 silent, 1 held, 2 struck
    edges = edges_beats * STEPS_PER_BEAT
    stretches = {state[a:b].tobytes() for a, b in itertools.pairwise(edges)}
    return _share(len(stretches), len(edges) - 1)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
