"""How the songs of a corpus are built: the figures from which `random_form` draws.

Conventions
-----------
- A song is a row of parts, each with a *kind*: `INTRO`, `OUTRO`, `BRIDGE` (instrumental, may come
  back), `LINK` (instrumental, once), `ONCE` (sung, once), or one of `THEMES`, A to E in order of
  appearance (sung, comes back).
- A part of one bar belongs to the part before it; lengths are `SHORTEST` to `LONGEST` bars.
- Variations stand on the scale of `singcli.structure.form`: 0 is an exact repeat, and human repeats
  are near 0.2. They are kept as quantiles, at equal distances from 0 to 1.

The bundled table was measured by `benchmarks/form_statistics.py` on the human labels of POP909's
training songs.

References
----------
Dai, Zhang and Dannenberg, "Automatic Analysis and Influence of Hierarchical Structure on Melody,
Rhythm and Harmony in Popular Music" (MuMe 2020): the labels.
"""

from __future__ import annotations

import functools
import importlib.resources
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

INTRO, OUTRO, BRIDGE, LINK, ONCE = "intro", "outro", "bridge", "link", "once"
THEMES = ("A", "B", "C", "D", "E")
START, END = "^", "$"  # before the first part, after the last
ORDER = 3  # parts looked back on: 1.56 bits a part on held-out songs; 1.59 with 2, 1.58 with 4
SHORTEST, LONGEST = 2, 16  # bars of a part
FILE_NAME = "form_statistics.toml"

Context = tuple[str, ...]
Counts = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class FormStatistics:
    """Counts and quantiles of a corpus.

    Parameters
    ----------
    source : str
        What was measured, and its licence.
    following : mapping of context to mapping of kind to int
        How often each kind (or `END`) came after the `ORDER` parts before it (`START` where there
        are none).
    lengths : mapping of kind to mapping of int to int
        Bars of the first part of each kind; of the themes, of A.
    theme_lengths : mapping of int to mapping of int to int
        Bars of a new theme, where the theme before it (A for B) has so many bars.
    repeat_lengths : mapping of int to mapping of int to int
        Bars of the returns of a theme or bridge of so many bars.
    variations : mapping of str to tuple of float in [0, 1]
        Quantiles of the variation of a return, of a "theme" and of a "bridge".
    kept_variation : float in [0, 1]
        How far the returns of one theme agree in it (intraclass correlation).
    return_shares : tuple of float in [0, 1]
        Quantiles of the share of a song's bars that belong to returns.
    mean_bars : tuple of float
        Quantiles of the mean length of a song's parts.
    phrases : mapping of int to mapping of str to int
        How the four quarters of a theme of so many bars repeat one another, such as "abac".
    phrase_variations : tuple of float in [0, 1]
        Quantiles of the variation of a quarter that repeats another.
    """

    source: str
    following: Mapping[Context, Mapping[str, int]]
    lengths: Mapping[str, Counts]
    theme_lengths: Mapping[int, Counts]
    repeat_lengths: Mapping[int, Counts]
    variations: Mapping[str, tuple[float, ...]]
    kept_variation: float
    return_shares: tuple[float, ...]
    mean_bars: tuple[float, ...]
    phrases: Mapping[int, Mapping[str, int]]
    phrase_variations: tuple[float, ...]

    @classmethod
    def from_toml(cls, content: bytes) -> Self:
        """Read what `to_toml` writes."""
        table = tomllib.loads(content.decode())
        return cls(
            source=table["source"],
            following={tuple(text.split()): row for text, row in table["following"].items()},
            lengths={kind: _with_numbers(row) for kind, row in table["lengths"].items()},
            theme_lengths=_by_bars(table["theme_lengths"]),
            repeat_lengths=_by_bars(table["repeat_lengths"]),
            variations={kind: tuple(row) for kind, row in table["variations"].items()},
            kept_variation=table["kept_variation"],
            return_shares=tuple(table["return_shares"]),
            mean_bars=tuple(table["mean_bars"]),
            phrases=_with_numbers(table["phrases"]),
            phrase_variations=tuple(table["phrase_variations"]),
        )

    def to_toml(self) -> str:
        """Return the text of the data file: the counts of one row on one line."""
        tables: dict[str, Mapping[Any, Mapping[Any, int]]] = {
            "lengths": self.lengths,
            "theme_lengths": self.theme_lengths,
            "repeat_lengths": self.repeat_lengths,
            "phrases": self.phrases,
            "following": {" ".join(context): row for context, row in self.following.items()},
        }
        lines = [
            f'source = "{self.source}"',
            f"kept_variation = {self.kept_variation}",
            f"return_shares = {list(self.return_shares)}",
            f"mean_bars = {list(self.mean_bars)}",
            f"phrase_variations = {list(self.phrase_variations)}",
            "\n[variations]",
            *(f"{kind} = {list(row)}" for kind, row in self.variations.items()),
        ]
        for name, table in tables.items():
            lines.append(f"\n[{name}]")
            for key, row in table.items():
                counts = ", ".join(f'"{of}" = {count}' for of, count in row.items())
                lines.append(f'"{key}" = {{ {counts} }}')
        return "\n".join(lines) + "\n"


@functools.cache
def bundled_statistics() -> FormStatistics:
    """Return the statistics that come with the tool."""
    resource = importlib.resources.files("singcli.structure") / FILE_NAME
    return FormStatistics.from_toml(resource.read_bytes())


def _with_numbers(table: Mapping[str, Any]) -> dict[int, Any]:
    return {int(key): value for key, value in table.items()}


def _by_bars(table: Mapping[str, Mapping[str, int]]) -> dict[int, dict[int, int]]:
    return {int(bars): _with_numbers(row) for bars, row in table.items()}
