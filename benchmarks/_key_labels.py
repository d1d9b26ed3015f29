"""Keys that are known: POP909's annotation, and piano pieces whose key is in their name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from singcli.dataset import Dataset
from singcli.music.key import Key
from singcli.music.score import Score
from singcli.preparation.pop909 import KEY_FILE, parse_keys

# Chopin's preludes and etudes, in the order of their numbers; capitals are major.
OPUS_KEYS = {
    "28": "C a G e D b A f# E c# B g# F# eb Db bb Ab f Eb c Bb g F d",
    "10": "C a E c# Gb eb C F f Ab Eb c",
    "25": "Ab f F a e g# c# Db Gb b a c",
}
GERMAN_TONICS = {
    **{"c": "C", "cis": "C#", "des": "Db", "d": "D", "es": "Eb", "e": "E", "f": "F", "fis": "F#"},
    **{"ges": "Gb", "g": "G", "gis": "G#", "as": "Ab", "a": "A", "b": "Bb", "h": "B"},
}
MODES = {"dur": "major", "moll": "minor"}
_OPUS = re.compile(r"chopin_0(10|25|28)-.*-0(\d\d)")
_NAMED = re.compile(rf"-({'|'.join(GERMAN_TONICS)})-(dur|moll)\b")
_LATER_MOVEMENT = re.compile(r"-(ii|iii)-")  # in another key than the work's name says


@dataclass(frozen=True, slots=True)
class LabelledScore:
    """A score and its keys in the order in which it takes them."""

    id: str
    score: Score
    keys: tuple[Key, ...]

    @property
    def shifts(self) -> list[int]:
        """Semitones up, 0 to 11, to C major or A minor; relatives that follow are one."""
        shifts = np.array([key.shift_to_reference % 12 for key in self.keys])
        return [int(s) for s in shifts[np.r_[True, np.diff(shifts) != 0]]]


def annotated_songs(dataset: Dataset, corpus: Path, split: str) -> list[LabelledScore]:
    """Return the songs of a split of POP909 with the keys of the files in `corpus/NNN/`."""
    songs = []
    for song in dataset.songs(split):
        path = corpus / song.id / KEY_FILE
        keys = parse_keys(path.read_text(encoding="utf-8")) if path.is_file() else ()
        if keys:
            songs.append(LabelledScore(song.id, song.score, keys))
    return songs


def named_pieces(dataset: Dataset) -> list[LabelledScore]:
    """Return the pieces whose key follows from their name, one edition of each opus."""
    songs = [song for split in ("train", "validation") for song in dataset.songs(split)]
    keys: Mapping[str, Key | None] = {song.id: key_from_name(song.id) for song in songs}
    return [
        LabelledScore(song.id, song.score, (key,))
        for song in songs
        if (key := keys[song.id]) is not None
    ]


def key_from_name(name: str) -> Key | None:
    """Return the key of "...-es-dur" or of a piece from an opus of Chopin; None if not named."""
    if match := _OPUS.fullmatch(name):
        opus, number = match.groups()
        keys = OPUS_KEYS[opus].split()
        return Key.parse(keys[int(number) - 1]) if int(number) <= len(keys) else None
    match = _NAMED.search(name)
    if match is None or _LATER_MOVEMENT.search(name):
        return None
    return Key.parse(f"{GERMAN_TONICS[match[1]]} {MODES[match[2]]}")
