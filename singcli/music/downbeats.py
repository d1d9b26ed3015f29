"""Where bars begin, heard from the notes: for files whose bar lines cannot be trusted.

References
----------
The three kinds of evidence (long notes, low notes, change of harmony) are the classic ones:
Temperley, "The Cognition of Basic Musical Structures" (2001), chapter 2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LONG_NOTES, LOW_NOTES, HARMONY = 1 / 6, 1 / 6, 4 / 6  # weights of the kinds of evidence
PICKUP_MARGIN = 1.3  # the evidence for a pickup must beat that for none by so much


def downbeat_evidence(
    onset_step: npt.NDArray[np.int64],
    end_step: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.integer],
    *,
    bar_steps: int,
) -> npt.NDArray[np.float64]:
    """Return how much speaks for bars that begin at each place modulo the length of a bar.

    Parameters
    ----------
    onset_step, end_step, pitch : np.ndarray, shape=(n_notes,), n_notes > 0
        Steps may be negative.
    bar_steps : int > 0
        Length of a bar.

    Returns
    -------
    np.ndarray, shape=(bar_steps,), float64
        Sums to 1; place 0 stands for bars that begin at step 0.
    """
    origin = int(onset_step.min()) // bar_steps * bar_steps
    onset, end = onset_step - origin, np.maximum(end_step, onset_step + 1) - origin
    length = np.minimum(end - onset, bar_steps)
    low = _lowest_of_each_step(onset, pitch)
    low = low[pitch[low] <= np.median(pitch)]
    novelty = _harmonic_novelty(onset, end, pitch, reach=max(bar_steps // 2, 1))
    return (
        LONG_NOTES * _folded(onset, length, bar_steps)
        + LOW_NOTES * _folded(onset[low], length[low], bar_steps)
        + HARMONY * _folded(np.arange(len(novelty)), novelty, bar_steps)
    )


def pickup_steps(
    onset_step: npt.NDArray[np.int64],
    end_step: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.integer],
    *,
    bar_steps: int,
) -> int:
    """Estimate how many steps of upbeat come before the first full bar; 0 unless clearly heard.

    MIDI files made from scores mostly count their bars from the first note, even where that is an
    upbeat, and then all bar lines are off. Measured on files whose upbeat follows from the number
    of bars in the score: of 779 songs (OpenScore Lieder) without upbeat 99 % are left alone, of 177
    with one 82 % get exactly that one; of 489 and 107 piano pieces (NIFC) 98 % and 65 %.

    Parameters
    ----------
    onset_step, end_step, pitch, bar_steps
        As for `downbeat_evidence`; step 0 is where the file's first bar begins.
    """
    evidence = downbeat_evidence(onset_step, end_step, pitch, bar_steps=bar_steps)
    best = int(np.argmax(evidence))
    is_upbeat = onset_step.min() < best and evidence[best] >= PICKUP_MARGIN * evidence[0]
    return best if is_upbeat else 0


def _folded(
    step: npt.NDArray[np.int64], weight: npt.NDArray[np.floating | np.integer], bar_steps: int
) -> npt.NDArray[np.float64]:
    sums = np.bincount(step % bar_steps, weights=weight, minlength=bar_steps)
    total = sums.sum()
    return sums / total if total > 0 else np.full(bar_steps, 1 / bar_steps)


def _lowest_of_each_step(
    onset: npt.NDArray[np.int64], pitch: npt.NDArray[np.integer]
) -> npt.NDArray[np.intp]:
    order = np.lexsort((pitch, onset))
    return order[np.r_[True, np.diff(onset[order]) > 0]]


def _harmonic_novelty(
    onset: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    pitch: npt.NDArray[np.integer],
    *,
    reach: int,
) -> npt.NDArray[np.float64]:
    """Return 1 - cosine of the chroma of the `reach` steps before and from each step."""
    n_steps = int(end.max()) + 1
    tone = pitch.astype(np.int64) % 12
    begun, ended = (np.bincount(at * 12 + tone, minlength=12 * n_steps) for at in (onset, end))
    change = (begun - ended).astype(np.float64).reshape(n_steps, 12)
    heard = np.vstack([np.zeros(12), np.cumsum(np.cumsum(change, axis=0), axis=0)])
    step = np.arange(n_steps)
    before = heard[step] - heard[np.maximum(step - reach, 0)]
    after = heard[np.minimum(step + reach, n_steps)] - heard[step]
    norm = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = np.divide((before * after).sum(axis=1), norm, out=np.ones(n_steps), where=norm > 0)
    novelty: npt.NDArray[np.float64] = 1 - cosine
    return novelty
