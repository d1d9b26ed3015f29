"""Velocities for notes that have none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.music.score import LEAD, STEPS_PER_BEAT

LEAD_VELOCITY, ACCOMPANIMENT_VELOCITY = 92, 68
DOWNBEAT_ACCENT, BEAT_ACCENT = 8, 4


def metrical_velocities(
    step: npt.NDArray[np.integer], voice: npt.NDArray[np.integer], bar_beats: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Let the lead stand out and stress the beats, the first of each bar most.

    Returns
    -------
    np.ndarray, shape=(n_notes,), int64 in 1..127
    """
    on_beat = step % STEPS_PER_BEAT == 0
    on_downbeat = on_beat & np.isin(step // STEPS_PER_BEAT, bar_beats)
    base = np.where(voice == LEAD, LEAD_VELOCITY, ACCOMPANIMENT_VELOCITY)
    return base + np.where(on_downbeat, DOWNBEAT_ACCENT, np.where(on_beat, BEAT_ACCENT, 0))
