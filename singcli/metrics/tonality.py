"""How tonal music is: entropy of its pitch classes, its scale, its key.

Conventions
-----------
- Notes of both voices are counted together. Entropies and scales count notes, keys weigh them by
  their duration, as their sources do.
- What is not defined is None: without notes all of it, the clarity of a key also where all pitch
  classes sound equally long.

References
----------
Wu, Yang, "The Jazz Transformer on the front line" (ISMIR 2020), section 4.1: pitch class entropy.
Mogren, "C-RNN-GAN" (NIPS workshop on constructive machine learning 2016), section 4: scale
consistency.
Krumhansl, "Cognitive Foundations of Musical Pitch" (1990), chapter 4: correlation with key
profiles. Lartillot, Toiviainen, Eerola, "A Matlab toolbox for music information retrieval" (2008):
`mirkeyclarity`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.music.key import MAJOR_SCALE
from singcli.music.score import STEPS_PER_BEAT, Score

# Krumhansl and Kessler (1982), probe-tone ratings from the tonic on, major and minor.
KRUMHANSL_KESSLER = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)
_SCALES = np.array([[(pitch - tonic) % 12 in MAJOR_SCALE for pitch in range(12)]
                    for tonic in range(12)])  # fmt: skip


def pitch_class_entropy(score: Score, *, window_bars: int) -> float | None:
    """Return the entropy of the pitch classes in `window_bars` bars, averaged over the piece (H).

    Every bar begins a window that fits into the piece; windows without notes do not count. A piece
    shorter than a window is one window.

    Parameters
    ----------
    score : Score
    window_bars : int > 0

    Returns
    -------
    float in [0, log2(12)], in bits, or None without notes
        0 for a single pitch class, 3.58 for all twelve equally often.

    Raises
    ------
    ValueError
        If the window is not at least one bar.

    Notes
    -----
    Source: Wu and Yang (2020), section 4.1, H1 and H4 for windows of one and of four bars.
    """
    if window_bars < 1:
        raise ValueError(f"window_bars = {window_bars}, allowed: 1 or more")
    bar = np.searchsorted(score.bar_beats * STEPS_PER_BEAT, score.step, side="right") - 1
    counts = np.zeros((score.n_bars, 12))
    np.add.at(counts, (bar, score.pitch % 12), 1.0)
    width = min(window_bars, score.n_bars)
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(counts, axis=0)])
    windows = sums[width:] - sums[: len(sums) - width]
    windows = windows[windows.sum(axis=1) > 0]
    return float(np.mean([_entropy(window) for window in windows])) if len(windows) else None


def scale_consistency(score: Score) -> float | None:
    """Return the share of the notes in the diatonic scale that holds most of them.

    Returns
    -------
    float in (0, 1], or None without notes
        At least 7 / 12: some scale holds the average of all scales or more.

    Notes
    -----
    Source: Mogren (2016), section 4; `muspy.metrics.scale_consistency`. The natural minor scales
    are the major ones again, so there are twelve.
    """
    counts = np.bincount(score.pitch.astype(np.intp) % 12, minlength=12)
    return float((_SCALES @ counts).max() / counts.sum()) if counts.sum() else None


def key_clarity(score: Score) -> float | None:
    """Return how clear the key is: the correlation of the pitch classes with the best key profile.

    Returns
    -------
    float in [0, 1], or None
        None where all pitch classes sound equally long. Never below 0: the correlations of the
        twelve keys of a mode add up to 0.

    Notes
    -----
    Source: Krumhansl (1990), chapter 4, with the profiles of Krumhansl and Kessler (1982);
    `mirkeyclarity` of Lartillot et al. is the same figure of a sound recording.
    """
    pitch_class = score.pitch.astype(np.intp) % 12
    weights = np.bincount(pitch_class, score.duration, minlength=12).astype(np.float64)
    return None if np.ptp(weights) == 0 else float(_profile_correlations(weights).max())


def _profile_correlations(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the correlation of how long each pitch class sounds with every profile, (2, 12)."""
    centred = weights - weights.mean()
    rotations = (np.arange(12) - np.arange(12)[:, None]) % 12
    profiles = np.array(KRUMHANSL_KESSLER)[:, rotations]
    profiles -= profiles.mean(axis=-1, keepdims=True)
    lengths = np.linalg.norm(profiles, axis=-1) * np.linalg.norm(centred)
    correlations: npt.NDArray[np.float64] = profiles @ centred / lengths
    return correlations


def _entropy(counts: npt.NDArray[np.float64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum() + 0.0)  # + 0.0: no negative zero
