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

_PATTERN = re.compile(
    r"^\s*([A-Ga-g])\s*([#b♯♭]?)\s*[: -]?\s*(major|maj|minor|min|moll|dur|m|M|)\s*$"
)
_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

# Krumhansl & Kessler (1982), probe-tone ratings, tonic first.
_PROFILES: dict[Mode, tuple[float, ...]] = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
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


def estimate_key(weights: npt.ArrayLike) -> Key:
    """Return the key whose profile correlates best with how long each pitch class sounds.

    Parameters
    ----------
    weights : array_like, shape=(12,)
        Total duration of each pitch class; must not be all equal.

    Notes
    -----
    Source: Krumhansl, "Cognitive Foundations of Musical Pitch" (1990), chapter 4. Of keys that
    correlate equally well the minor one is taken, then the lowest tonic.
    """
    best = int(np.argmax(np.round(key_correlations(weights), 12)))
    return Key(best % 12, "minor" if best < 12 else "major")


def key_correlations(weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the correlation of how long each pitch class sounds with the profile of every key.

    Parameters
    ----------
    weights : array_like, shape=(12,)
        As in `estimate_key`.

    Returns
    -------
    np.ndarray, shape=(24,), in [-1, 1]
        The minor keys from C on, then the major ones.
    """
    counts = np.asarray(weights, np.float64)
    centred = counts - counts.mean()
    correlations: npt.NDArray[np.float64] = _ROTATED_PROFILES @ (centred / np.linalg.norm(centred))
    return correlations


def _rotated_profiles() -> npt.NDArray[np.float64]:
    """Return the profiles of all keys, minor first, centred and of length 1, shape=(24, 12)."""
    rotations = (np.arange(12) - np.arange(12)[:, None]) % 12
    profiles = np.array([_PROFILES["minor"], _PROFILES["major"]])[:, rotations].reshape(24, 12)
    profiles -= profiles.mean(axis=1, keepdims=True)
    unit: npt.NDArray[np.float64] = profiles / np.linalg.norm(profiles, axis=1, keepdims=True)
    return unit


_ROTATED_PROFILES = _rotated_profiles()
