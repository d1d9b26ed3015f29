"""Songs that change key: which bars are in which key, and the song in one key throughout.

Conventions
-----------
- A *collection* is what a key shares with its relative: C major and A minor are one. It is named
  by its *shift*, the semitones that move its music to C major or A minor.
- A song changes its collection at bar lines only, and stays for `MIN_SEGMENT_BARS` at least: a
  chord or two from elsewhere is no modulation.

References
----------
The path through the keys with a penalty for change is Temperley's ("What's Key for Key? The
Krumhansl-Schmuckler Key-Finding Algorithm Reconsidered", Music Perception 17, 1999), with a
likelihood in place of his scores and a shortest stay.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from singcli.music.key import Key, estimate_key, reference_key
from singcli.music.score import STEPS_PER_BEAT, Score

N_COLLECTIONS = 12
CHANGE_PENALTY = 10.0  # nats; these three were tuned on planted modulations, see docs/data.md
MIN_SEGMENT_BARS = 8
OWN_KEY_BONUS = 0.2  # nats a bar for the key that the score says it is in

# Share of each pitch class in music in C major or A minor, in thousandths: POP909's training songs
# that are annotated with one key, both modes equally.
_SHARES = (178, 2, 128, 2, 176, 74, 4, 163, 8, 187, 4, 74)
_FLOOR = 0.01  # so that a chromatic note is unlikely, not impossible


def reference_shifts(score: Score) -> npt.NDArray[np.int64]:
    """Return how far each bar has to move for the whole score to be in C major or A minor.

    The score's own key, where it is known, is the main one; where it is not, the one that holds for
    most bars is. Other segments move at most six semitones further up or down than the main one; of
    six up and six down they take what is nearer to the segment before.

    Returns
    -------
    np.ndarray, shape=(n_bars,), int64
        The main key's shift is in -5..6, the others in -11..12.
    """
    path = _collections(score)
    if score.key is not None:
        main = score.key.shift_to_reference
    else:
        main = (_longest(path) + 5) % N_COLLECTIONS - 5
    return main + _nearest_octave((path - main) % N_COLLECTIONS)


def main_key(score: Score) -> Key | None:
    """Estimate the key of most bars; None where all pitch classes sound equally long in them.

    The collection is that of most bars (a key that the score says it has counts as in
    `reference_shifts`), and what sounds in those bars chooses between the two relatives: a song
    that changes key is not judged by the mixture of its keys.
    """
    path = _collections(score)
    shift = _longest(path)
    inside = path[_bar_of_notes(score)] == shift
    weights = np.bincount(
        score.pitch[inside] % 12, weights=score.duration[inside], minlength=N_COLLECTIONS
    )
    return None if np.ptp(weights) == 0 else estimate_key(weights, shift=shift)


def in_reference_key(score: Score) -> Score:
    """Return the score with each bar moved to C major or A minor, by `reference_shifts`.

    A note moves with the bar in which it begins. The mode is that of the score's key, of its
    `main_key` where it has none, and major where that is not known either.
    """
    key = score.key or main_key(score)
    moved = score.transposed_bars(reference_shifts(score))
    return dataclasses.replace(moved, key=reference_key("major" if key is None else key.mode))


def _collections(score: Score) -> npt.NDArray[np.int64]:
    """Return the shift of every bar's collection, 0 to 11, shape=(n_bars,)."""
    fit = _fit_of_bars(score)
    if score.key is not None:
        fit[:, score.key.shift_to_reference % N_COLLECTIONS] += OWN_KEY_BONUS
    return best_path(fit, change_penalty=CHANGE_PENALTY, min_length=MIN_SEGMENT_BARS)


def _longest(path: npt.NDArray[np.int64]) -> int:
    return int(np.bincount(path, minlength=N_COLLECTIONS).argmax())


def _bar_of_notes(score: Score) -> npt.NDArray[np.intp]:
    return np.searchsorted(score.bar_beats * STEPS_PER_BEAT, score.step, side="right") - 1


def _fit_of_bars(score: Score) -> npt.NDArray[np.float64]:
    """Return the log likelihood of every bar in every collection, shape=(n_bars, 12)."""
    bars = np.add.reduceat(shares_of_beats(score), score.bar_beats[:-1], axis=0)
    moved = (np.arange(12) + np.arange(N_COLLECTIONS)[:, None]) % 12  # row: shift
    shares = np.array(_SHARES) / sum(_SHARES)
    log_share = np.log((1 - 12 * _FLOOR) * shares + _FLOOR)
    fit: npt.NDArray[np.float64] = bars @ log_share[moved].T
    return fit


def shares_of_beats(score: Score) -> npt.NDArray[np.float64]:
    """Return the share of each pitch class in what sounds in each beat.

    Every beat counts once, so that thick textures tell no more than thin ones.

    Returns
    -------
    np.ndarray, shape=(n_beats, 12), float64
        Rows sum to 1, to 0 where nothing sounds.
    """
    end = np.minimum(score.step + score.duration, score.n_steps)
    change = np.zeros((score.n_steps + 1) * 12)
    for step, sign in ((score.step, 1), (end, -1)):
        change += sign * np.bincount(step * 12 + score.pitch % 12, minlength=len(change))
    sounding = np.cumsum(change.reshape(-1, 12)[:-1], axis=0)
    beats: npt.NDArray[np.float64] = sounding.reshape(-1, STEPS_PER_BEAT, 12).sum(axis=1)
    beats /= np.maximum(beats.sum(axis=1, keepdims=True), 1.0)
    return beats


def best_path(
    fit: npt.NDArray[np.float64], *, change_penalty: float, min_length: int
) -> npt.NDArray[np.int64]:
    """Return the states that fit best, where a change costs and each stay has a shortest length.

    Parameters
    ----------
    fit : np.ndarray, shape=(n, n_states), n > 0, n_states > 1
        Gain of being in each state at each place.
    change_penalty : float >= 0
    min_length : int > 0
        Fewer places than that are in one state.

    Returns
    -------
    np.ndarray, shape=(n,), int64

    Notes
    -----
    Viterbi's algorithm; a new stay is entered with `min_length` places at once.
    """
    n, n_states = fit.shape
    block = min(min_length, n)
    total = np.vstack([np.zeros(n_states), np.cumsum(fit, axis=0)])
    best = np.full((n + 1, n_states), -np.inf)  # of paths that end before this place, by last state
    best[block] = total[block]
    entered_from = np.full((n + 1, n_states), -1)  # -1: the place before is in the same state
    for end in range(block + 1, n + 1):
        best[end] = best[end - 1] + fit[end - 1]
        start = end - block
        if start < block:
            continue
        second, first = np.argsort(best[start])[-2:]
        origin = np.where(np.arange(n_states) == first, second, first)
        entering = best[start, origin] - change_penalty + total[end] - total[start]
        entered = entering > best[end]
        best[end, entered] = entering[entered]
        entered_from[end, entered] = origin[entered]
    path = np.empty(n, np.int64)
    end, state = n, int(best[n].argmax())
    while end > block:
        origin_state = int(entered_from[end, state])
        length = 1 if origin_state < 0 else block
        path[end - length : end] = state
        end -= length
        state = state if origin_state < 0 else origin_state
    path[:end] = state
    return path


def _nearest_octave(up: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Turn semitones up, 0 to 11, into the smallest moves up or down, -6 to 6."""
    moves = np.where(up > N_COLLECTIONS // 2, up - N_COLLECTIONS, up)
    for bar in range(1, len(moves)):
        if up[bar] == N_COLLECTIONS // 2 and moves[bar - 1] < 0:
            moves[bar] = -N_COLLECTIONS // 2
    return moves
