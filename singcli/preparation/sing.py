"""SING's recipe: how long a segment may be, and how a piece is cut into segments.

Conventions
-----------
- A *row* is one estimated beat. Spans are half-open row numbers of the trimmed piece.
- Segments have one of 16 lengths, so that many of them make one batch without padding.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3. How parts borrow from their neighbours was
read off the authors' published rolls: a part's window begins half of what it lacks, rounded down,
before the part, but the first part's at the piece's beginning, and the last part's ends at its end.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools

import numpy as np

from singcli.errors import InputError
from singcli.music.midi_reading import performance_from_bytes
from singcli.preparation.limits import Limits, validate_notes, validate_size
from singcli.preparation.row_roll import ended_by_first_release, row_roll, trimmed
from singcli.preparation.row_tempo import estimate_tempo, seconds_from_ticks
from singcli.row_dataset import Piece, Roll, Segment

# In equal ratios from the 10th-shortest of MAESTRO's 1,276 pieces to the longest segment.
SEGMENT_ROWS = (255, 272, 291, 312, 333, 357, 381, 408, 436, 467, 499, 534, 571, 611, 654, 700)
# Half a ratio before each; what is at least BIN_BOUNDS[i] long goes into a segment i long.
BIN_BOUNDS = (246, 263, 282, 301, 322, 345, 369, 394, 422, 451, 483, 517, 553, 591, 632, 676)
MIN_ROWS = BIN_BOUNDS[0]
MIN_ROWS_TO_SPLIT = 723  # half a ratio above the longest segment

Span = tuple[int, int]


def rows_from_midi(content: bytes, *, limits: Limits, source: str) -> tuple[float, Roll]:
    """Return the estimated tempo and the trimmed rows of a MIDI file.

    Parameters
    ----------
    content : bytes
    limits : Limits
    source : str
        What to call the file in messages.

    Returns
    -------
    float
        Rows a minute.
    np.ndarray, shape=(n_rows, 128), bool
        The first and the last row are not empty.

    Raises
    ------
    InputError
        If the bytes are not a usable MIDI file, the music is beyond the limits, no tempo can be
        estimated, or nothing lasts as long as a row.
    """
    music, pedals = performance_from_bytes(content, source=source)
    validate_size(music, limits=limits, source=source)
    validate_notes(music, limits=limits, source=source)
    pedal_s = float(music.tempo.seconds_from_ticks(pedals.tick.max(initial=0)))
    if pedal_s / 60 > limits.max_minutes:
        raise InputError(
            f"{source}: {pedal_s / 60:.0f} minutes, allowed are {limits.max_minutes:g}"
        )
    music = dataclasses.replace(music, notes=ended_by_first_release(music.notes))
    onset_s = seconds_from_ticks(music.tempo, music.notes.onset_tick)
    tempo_bpm = estimate_tempo(onset_s, source=source)
    roll = trimmed(row_roll(music, pedals, tempo_bpm))
    if len(roll) == 0:
        raise InputError(f"{source}: no note lasts from one row to the next")
    return tempo_bpm, roll


def segment_length(n_rows: int) -> int:
    """Return how long the segment of a stretch of `n_rows` is.

    Parameters
    ----------
    n_rows : int >= `MIN_ROWS`
    """
    return SEGMENT_ROWS[bisect.bisect_right(BIN_BOUNDS, n_rows) - 1]


def segment_spans(n_rows: int) -> tuple[Span, ...]:
    """Return where the segments of a piece lie.

    Parameters
    ----------
    n_rows : int >= 0
        Of the trimmed piece.

    Returns
    -------
    tuple of (start, stop)
        () for a piece of less than `MIN_ROWS`. A `stop` beyond `n_rows` means that the piece's
        beginning follows its end.
    """
    if n_rows < MIN_ROWS:
        return ()
    if n_rows < MIN_ROWS_TO_SPLIT:
        return ((0, segment_length(n_rows)),)
    n_parts = -(-n_rows // SEGMENT_ROWS[-1])
    size, n_longer = divmod(n_rows, n_parts)
    bounds = [part * size + min(part, n_longer) for part in range(n_parts + 1)]
    spans = []
    for start, stop in itertools.pairwise(bounds):
        length = segment_length(stop - start)
        before = max(length - (stop - start), 0) // 2
        first = min(max(start - before, 0), n_rows - length)
        spans.append((first, first + length))
    return tuple(spans)


def segments_of(roll: Roll, piece: Piece) -> list[Segment]:
    """Cut a piece into its segments.

    Parameters
    ----------
    roll : np.ndarray, shape=(n_rows, 128), bool
        As from `rows_from_midi`.
    piece : Piece
        Whose id the segments get.
    """
    return [
        Segment(f"{piece.id}#{number}", roll[np.arange(start, stop) % len(roll)])
        for number, (start, stop) in enumerate(segment_spans(len(roll)), start=1)
    ]
