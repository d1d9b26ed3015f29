"""Beats of performances without a grid, estimated by pretty_midi."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.music.notes import NoteTable


def estimate_beats(
    onset_s: npt.NDArray[np.float64],
    end_s: npt.NDArray[np.float64],
    notes: NoteTable,
    *,
    source: str,
) -> npt.NDArray[np.float64]:
    """Estimate one tempo for the whole piece and where its first beat lies.

    Returns
    -------
    np.ndarray, shape=(n_beats,), float64
        Evenly spaced, in seconds, from the first beat past the last note.

    Raises
    ------
    InputError
        If there are too few onsets to estimate a tempo.

    Notes
    -----
    Source: `PrettyMIDI.estimate_tempo` and `estimate_beat_start`. SING (Hager et al. 2024) takes
    the same tempo but counts from the start of the file.
    """
    import pretty_midi

    music = pretty_midi.PrettyMIDI()
    part = pretty_midi.Instrument(0)
    part.notes = [
        pretty_midi.Note(int(velocity), int(pitch), float(start), float(end))
        for velocity, pitch, start, end in zip(
            notes.velocity, notes.pitch, onset_s, end_s, strict=True
        )
    ]
    music.instruments.append(part)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tempo = float(music.estimate_tempo())
            start = float(music.estimate_beat_start())
    except (ValueError, IndexError) as error:
        raise InputError(f"{source}: no tempo can be estimated ({error})") from error
    if not np.isfinite(tempo) or tempo <= 0:
        raise InputError(f"{source}: no tempo can be estimated")
    n_beats = int(np.ceil((end_s.max() - start) * tempo / 60)) + 2
    return start + np.arange(max(n_beats, 2), dtype=np.float64) * 60.0 / tempo
