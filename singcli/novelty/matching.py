"""The longest run that two sequences share, and where: exact, by naming.

Windows of the query get numbers ("names"), equal windows the same one; a window of twice the length
is named by the pair of names of its halves, and any length between by two windows that overlap. The
stored sequence is looked up name by name, so only places that still match are ever looked at, and
what occurs a thousand times costs no more than a thousand places: pairs of occurrences are never
listed.

Conventions
-----------
The stored sequence is many songs one after the other; the last entry of each is a gap, which
matches nothing, so no window reaches from one song into the next.

References
----------
Karp, Miller, Rosenberg, "Rapid identification of repeated patterns in strings, trees and arrays"
(STOC 1972).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

N_HASHES = 2**16
Places = npt.NDArray[np.int64]


class Windows(NamedTuple):
    """The windows of one length in the query, and where they occur in the stored sequence.

    Parameters
    ----------
    query_names : np.ndarray, shape=(n_query_windows,), int64
        Name of the window that begins at each place of the query; from 0, without gaps.
    places : np.ndarray, shape=(n_found,), int64
        Where windows of the query begin in the stored sequence, increasing.
    names : np.ndarray, shape=(n_found,), int64
        Which those are.
    """

    query_names: Places
    places: Places
    names: Places


class Match(NamedTuple):
    """A longest shared run.

    Parameters
    ----------
    length : int
        In entries of the sequences.
    query_place : int
        Where it first begins in the query.
    places : np.ndarray, shape=(n_places >= 1,), int64
        All places of the stored sequence where this very run begins, increasing.
    """

    length: int
    query_place: int
    places: Places


def single_windows(
    query: npt.NDArray[np.uint16], stored: npt.NDArray[np.uint16], gaps: Places
) -> Windows:
    """Return the windows of length 1.

    Parameters
    ----------
    query : np.ndarray, shape=(n_query,), uint16
    stored : np.ndarray, shape=(n_stored,), uint16
    gaps : np.ndarray, shape=(n_songs,), int64
        Places of `stored` that match nothing.
    """
    values, query_names = np.unique(query, return_inverse=True)
    name_of_hash = np.full(N_HASHES, -1, np.int32)
    name_of_hash[values] = np.arange(len(values))
    names = name_of_hash[stored]
    names[gaps] = -1
    places = np.flatnonzero(names >= 0)
    return Windows(query_names.astype(np.int64), places, names[places].astype(np.int64))


def joined_windows(windows: Windows, distance: int) -> Windows:
    """Return the windows that begin with one of `windows` and end with the one `distance` later.

    Parameters
    ----------
    distance : int >= 0
        At most the length of `windows`, so that nothing in between is left out.
    """
    n_names = int(windows.query_names.max(initial=-1)) + 1
    n_query = max(len(windows.query_names) - distance, 0)
    pairs = windows.query_names[:n_query] * n_names + windows.query_names[distance:]
    values, query_names = np.unique(pairs, return_inverse=True)

    places = windows.places
    partner = np.searchsorted(places, places + distance)
    partner[partner == len(places)] = 0  # no such place, so not the one that is looked for
    follows = places[partner] == places + distance if len(places) else np.zeros(0, bool)
    places = places[follows]
    pairs = windows.names[follows] * n_names + windows.names[partner[follows]]
    if len(values) == 0:
        return Windows(query_names.astype(np.int64), places[:0], pairs[:0])
    names = np.minimum(np.searchsorted(values, pairs), len(values) - 1)
    found = values[names] == pairs
    return Windows(query_names.astype(np.int64), places[found], names[found])


def windows_of_length(windows: Windows, length: int) -> Windows:
    """Return the windows of `length` entries, from those of one."""
    half = 1
    while 2 * half <= length:
        windows = joined_windows(windows, half)
        half *= 2
    return joined_windows(windows, length - half) if length > half else windows


def longest_match(windows: Windows, length: int) -> Match | None:
    """Return the longest run that query and stored sequence share.

    Parameters
    ----------
    windows : Windows
        Of `length` entries; shorter runs do not count.
    length : int >= 1

    Returns
    -------
    Match, or None
        Of several longest ones the first of the query.
    """
    if len(windows.places) == 0:
        return None
    doubled = joined_windows(windows, length)
    while len(doubled.places):
        windows, length = doubled, 2 * length
        doubled = joined_windows(windows, length)
    low, high = 0, length  # how many more entries are found, and are not
    while high - low > 1:
        middle = (low + high) // 2
        if len(joined_windows(windows, middle).places):
            low = middle
        else:
            high = middle
    best = joined_windows(windows, low)
    first = np.full(int(best.query_names.max()) + 1, len(best.query_names))
    np.minimum.at(first, best.query_names, np.arange(len(best.query_names)))
    found = np.unique(best.names)
    name = found[np.argmin(first[found])]
    return Match(length + low, int(first[name]), best.places[best.names == name])
