"""What numpy does for arrays of any kind, in less time for the short ones of songs.

A function of numpy that is written in Python takes ten microseconds before it does anything; a song
of a thousand notes is put in order in as many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def median(values: npt.NDArray[np.integer[Any] | np.floating[Any]]) -> float:
    """Return what `np.median` does, of finite numbers, at least one; shape=(n,)."""
    ordered = np.sort(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return (float(ordered[middle - 1]) + float(ordered[middle])) / 2


def order_of(place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return what a stable `np.argsort` does; shape=(n,), none negative.

    Numbers that carry their index in their lowest bits are sorted in a third of the time.
    """
    bits = len(place).bit_length()
    if int(place.max(initial=0)) >= 1 << (63 - bits):
        return np.argsort(place, kind="stable")
    both = np.sort(place << bits | np.arange(len(place)))
    return both & ((1 << bits) - 1)


def numbers_from_words(words: list[str]) -> npt.NDArray[np.float64]:
    """Return words as numbers; where most come again, each is read once.

    Raises
    ------
    ValueError
        If a word is not a number.
    """
    different = set(words)
    if len(different) > len(words) // 4:
        return np.fromiter(map(float, words), np.float64, len(words))
    number_of_word = {word: float(word) for word in different}
    return np.fromiter(map(number_of_word.__getitem__, words), np.float64, len(words))
