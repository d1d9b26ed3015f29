"""Row rolls and row datasets for tests: chords that are held, and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from singcli.row_dataset import SPLITS, Piece, Segment, segments_path, write_index, write_segments

CHORDS = ((48, 55, 64, 72), (53, 57, 65, 77), (55, 59, 67, 74), (45, 52, 60, 69))


def roll_of(*rows: tuple[int, ...]) -> np.ndarray:
    """A roll with these pitches in its rows."""
    roll = np.zeros((len(rows), 128), np.bool_)
    for row, pitches in zip(roll, rows, strict=True):
        row[list(pitches)] = True
    return roll


def song_roll(n_rows: int, seed: int) -> np.ndarray:
    """Phrases of eight rows that come back: held chords under a tune, and a rest at their ends."""
    rng = np.random.default_rng(seed)
    phrases = rng.integers(len(CHORDS), size=(3, 4))
    rows: list[tuple[int, ...]] = []
    while len(rows) < n_rows:
        for chord in phrases[rng.integers(3)]:
            rows += [CHORDS[chord], (*CHORDS[chord][:3], int(rng.integers(70, 80)))]
        rows.append(())
    return roll_of(*rows[:n_rows])


def write_rows(
    path: Path, *, train: int = 3, validation: int = 1, test: int = 3, n_rows: int = 40
) -> Path:
    """A row dataset of so many pieces; the first piece of each split has two segments."""
    path.mkdir(parents=True)
    pieces = []
    for split, count in zip(SPLITS, (train, validation, test), strict=True):
        segments = []
        for number in range(count):
            lengths = (n_rows, n_rows + 3) if number == 0 else (n_rows + 2 * number,)
            name = f"{split}-{number}"
            pieces.append(Piece(name, name, "", "", 200.0, sum(lengths), lengths, split))
            for place, length in enumerate(lengths, start=1):
                seed = len(pieces) * 10 + place
                segments.append(Segment(f"{name}#{place}", song_roll(length, seed)))
        write_segments(segments_path(path, split), segments)
    write_index(path, pieces, licences={"own": "Made for tests."}, settings={})
    return path
