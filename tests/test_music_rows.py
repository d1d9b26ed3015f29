from __future__ import annotations

import numpy as np

from singcli.music.rows import score_from_rows
from singcli.music.score import ACCOMPANIMENT, regular_bars


def score_of(*rows, n_bars=1):
    roll = np.zeros((4 * n_bars, 128), np.bool_)
    for row, pitches in enumerate(rows):
        roll[row, list(pitches)] = True
    return score_from_rows(roll, bar_beats=regular_bars(n_bars, 4), tempo_bpm=90.0)


def test_runs_of_a_pitch_are_held():
    score = score_of({60, 64}, {60}, {60, 64}, {67})
    notes = zip(score.step.tolist(), score.pitch.tolist(), score.duration.tolist(), strict=True)
    assert list(notes) == [(0, 60, 12), (0, 64, 4), (8, 64, 4), (12, 67, 4)]
    assert (score.voice == ACCOMPANIMENT).all()
    assert (score.tempo_bpm, score.key) == (90.0, None)


def test_a_note_ends_with_the_piece_and_empty_rows_are_rests():
    score = score_of(set(), set(), {72}, {72})
    assert (score.step.tolist(), score.duration.tolist()) == ([8], [8])
    assert score_of().n_notes == 0


def test_what_no_piano_has_is_dropped():
    assert score_of({5, 60, 120}).pitch.tolist() == [60]
