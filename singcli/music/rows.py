"""Row roll -> score: what sounds in one row after the other becomes one held note."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.music.score import ACCOMPANIMENT, STEPS_PER_BEAT, Score

VELOCITY = 76  # rows do not say how loud


def score_from_rows(
    roll: npt.NDArray[np.bool_], *, bar_beats: npt.NDArray[np.int32], tempo_bpm: float
) -> Score:
    """Return rows as a score, a beat for each row.

    Parameters
    ----------
    roll : np.ndarray, shape=(n_beats, 128), bool
        Which pitches sound; column = MIDI pitch.
    bar_beats, tempo_bpm
        As in `Score`.

    Returns
    -------
    Score
        In one voice, the accompaniment: rows do not tell a tune from what goes with it. A pitch in
        several rows in turn is one note. Pitches outside the piano are dropped.
    """
    edges = np.diff(np.pad(roll, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    pitch, start = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return Score.from_notes(
        step=start * STEPS_PER_BEAT,
        voice=np.full(len(pitch), ACCOMPANIMENT),
        pitch=pitch,
        duration=(end - start) * STEPS_PER_BEAT,
        velocity=np.full(len(pitch), VELOCITY),
        bar_beats=bar_beats,
        tempo_bpm=tempo_bpm,
    )
