"""Keys: names, parsing, transposition to the reference key, estimation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError

Mode = Literal["major", "minor"]

TONIC_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10, 11)  # natural and harmonic minor together
TRIADS: dict[Mode, tuple[int, int, int]] = {"major": (0, 4, 7), "minor": (0, 3, 7)}

_PATTERN = re.compile(
    r"^\s*([A-Ga-g])\s*([#b♯♭]?)\s*[: -]?\s*(major|maj|minor|min|moll|dur|m|M|)\s*$"
)
_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

# Weights of the pitch classes, tonic first: a linear model over shares of the sounding time, fitted
# by `benchmarks/keys.py --fit` to the training songs of POP909 whose annotation has one key.
_WEIGHTS: dict[Mode, tuple[int, ...]] = {
    "major": (31, 1, 0, -13, 21, -1, -21, 31, -4, -5, -29, -11),
    "minor": (38, -18, 4, 14, -16, -3, -3, 21, 0, -29, -7, -2),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A tonic (pitch class, 0 = C) and a mode."""

    tonic: int
    mode: Mode

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "D minor", "F#m", "Bb", "Gb:maj" and the like.

        Raises
        ------
        InputError
            If the text is not a key.
        """
        match = _PATTERN.match(text)
        if match is None:
            raise InputError(
                f"key = {text!r} is not a key",
                'write a tonic and a mode, such as "D minor" or "Bb"',
            )
        letter, accidental, mode = match.groups()
        tonic = _NATURAL[letter.upper()] + {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}[accidental]
        minor = mode in ("minor", "min", "moll", "m") or (mode == "" and letter.islower())
        return cls(tonic % 12, "minor" if minor else "major")

    def __str__(self) -> str:
        return f"{TONIC_NAMES[self.tonic]} {self.mode}"

    def transposed(self, semitones: int) -> Key:
        """Return the key `semitones` higher."""
        return Key((self.tonic + semitones) % 12, self.mode)

    @property
    def shift_to_reference(self) -> int:
        """Semitones, -5 to 6, that move music in this key to C major or A minor."""
        return (reference_key(self.mode).tonic - self.tonic + 5) % 12 - 5

    @property
    def scale(self) -> npt.NDArray[np.bool_]:
        """Pitch classes of the scale, shape=(12,); in minor both sevenths belong to it."""
        degrees = MAJOR_SCALE if self.mode == "major" else MINOR_SCALE
        inside = np.zeros(12, np.bool_)
        inside[(np.array(degrees) + self.tonic) % 12] = True
        return inside


def reference_key(mode: Mode) -> Key:
    """Return the key in which models hear and play music of a mode: C major or A minor."""
    return Key(0 if mode == "major" else 9, mode)


def estimate_key(weights: npt.ArrayLike, *, shift: int | None = None) -> Key:
    """Return the key that fits best how long each pitch class sounds.

    Parameters
    ----------
    weights : array_like, shape=(12,)
        Total duration of each pitch class; must not be all equal.
    shift : int, optional
        Choose only between the two keys that so many semitones (modulo 12) move to C major and
        A minor.

    Notes
    -----
    A key's score is the sum of the pitch classes' times, each with its weight seen from the tonic;
    the weights are those of a softmax regression over the 24 keys, which share them by rotation.
    Unlike the correlation with a profile (Krumhansl, "Cognitive Foundations of Musical Pitch",
    1990, chapter 4) it can hold against a key what should not sound in it. How much better that
    is than the published profiles: `docs/data.md`. Of keys that fit equally well the minor one is
    taken, then the lowest tonic.
    """
    counts = np.asarray(weights, np.float64)
    centred = counts - counts.mean()
    score = _ROTATED_WEIGHTS @ (centred / np.linalg.norm(centred))
    if shift is not None:
        score[(_SHIFTS - shift) % 12 != 0] = -np.inf
    best = int(np.argmax(np.round(score, 9)))
    return Key(best % 12, "minor" if best < 12 else "major")


def _rotated_weights() -> npt.NDArray[np.float64]:
    """Return the weights of all keys, minor first, of mean 0 each, shape=(24, 12)."""
    rotations = (np.arange(12) - np.arange(12)[:, None]) % 12
    both = np.array([_WEIGHTS["minor"], _WEIGHTS["major"]], np.float64)
    weights: npt.NDArray[np.float64] = both[:, rotations].reshape(24, 12)
    weights -= weights.mean(axis=1, keepdims=True)
    return weights


_ROTATED_WEIGHTS = _rotated_weights()
_SHIFTS = np.r_[9 - np.arange(12), -np.arange(12)]  # to the reference key, minor first
