"""How full music is, and how alike the rhythms of its bars are.

Conventions
-----------
- Both voices are counted together; a unison of both is one pitch.
- A mean over nothing is None: a piece without notes has no polyphony, one bar no groove.

References
----------
Dong, Chen, McAuley, Berg-Kirkpatrick, "MusPy" (ISMIR 2020), section 4.3 and `muspy.metrics`.
Yang, Lerch, "On the evaluation of generative models in music" (Neural Computing and Applications
2020), section 4.1: note count.
Dong, Hsiao, Yang, Yang, "MuseGAN" (AAAI 2018), section 5.2: empty bars.
Wu, Yang, "The Jazz Transformer on the front line" (ISMIR 2020), section 4.2: grooving patterns.
"""

from __future__ import annotations

import numpy as np

from singcli.metrics.guards import notes_per_step
from singcli.music.roll import sounding_roll
from singcli.music.score import STEPS_PER_BEAT, Score


def notes_per_beat(score: Score) -> float:
    """Return the mean number of notes that begin in a beat, in [0, inf); 0 without notes.

    Notes
    -----
    Source: note count, Yang and Lerch (2020), section 4.1; differs: a beat is counted, not a bar,
    so that meters can be compared.
    """
    return notes_per_step(score) * STEPS_PER_BEAT


def polyphony(score: Score) -> float | None:
    """Return the mean number of pitches that sound together, over the steps that are not silent.

    Returns
    -------
    float in [1, 88], or None if no step sounds

    Notes
    -----
    Source: `muspy.metrics.polyphony`. `guards.mean_polyphony` counts silent steps as well.
    """
    pitches = sounding_roll(score).any(axis=1).sum(axis=1)
    sounding = pitches[pitches > 0]
    return float(sounding.mean()) if len(sounding) else None


def empty_beats(score: Score) -> float:
    """Return the share of the beats in which nothing sounds, held notes included, in [0, 1].

    A score of no beats has 0.

    Notes
    -----
    Source: ratio of empty bars (EB), Dong et al. (2018), section 5.2; differs: beats, both voices
    together.
    """
    by_step = sounding_roll(score).any(axis=(1, 2))
    sounding = by_step.reshape(-1, STEPS_PER_BEAT).any(axis=1)
    return float(1.0 - sounding.mean()) if score.n_beats else 0.0


def groove_similarity(score: Score) -> float | None:
    """Return how alike the rhythms of two bars are, on average over all pairs of bars (GS).

    A bar's grooving pattern tells for each of its steps whether a note begins there; the similarity
    of two bars is the share of the steps in which their patterns agree. Empty bars are like others:
    two of them agree everywhere. Bars of different length make no pair.

    Returns
    -------
    float in [0, 1], or None without two bars of the same length

    Notes
    -----
    Source: Wu and Yang (2020), section 4.2, and their program MusDr; differs: 4 steps a beat, where
    they have 16 (64 a bar), so single notes weigh more; and all pairs, where MusDr draws 1,000.
    """
    onset = np.zeros(score.n_steps, np.float64)
    onset[score.step] = 1.0
    lengths = np.diff(score.bar_beats)
    agreement, n_pairs = 0.0, 0
    for n_beats in np.unique(lengths):
        n_steps = int(n_beats) * STEPS_PER_BEAT
        first = score.bar_beats[:-1][lengths == n_beats] * STEPS_PER_BEAT
        patterns = onset[first[:, None] + np.arange(n_steps)]  # (n_bars, n_steps)
        agreeing = patterns @ patterns.T + (1.0 - patterns) @ (1.0 - patterns).T
        pairs = np.tril_indices(len(first), -1)
        agreement += float(agreeing[pairs].sum()) / n_steps
        n_pairs += len(pairs[0])
    return agreement / n_pairs if n_pairs else None
