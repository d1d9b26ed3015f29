"""The fitted weights of the segmentation.

`benchmarks/fit_segmentation.py` fits them on the human labels of POP909's training songs and on
songs generated in forms of all kinds, none of them a bundled preset.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FILE_NAME = "segmentation_weights.toml"

Source = Literal["notes", "ssm"]
Level = Literal["sections", "phrases"]


@dataclass(frozen=True, slots=True)
class SegmentationWeights:
    """Weights of named features.

    Parameters
    ----------
    stretches : mapping of str to float
        Of `stretch_features`, `line_features` and `length_features`.
    labels : mapping of str to float
        Of `PairTables.pair_features`, and "bias".
    choice : mapping of str to float
        Of `CutJudge.cut_features`, and "score": of the sum over the stretches.
    """

    stretches: Mapping[str, float]
    labels: Mapping[str, float]
    choice: Mapping[str, float]


def bundled_weights(source: Source, level: Level) -> SegmentationWeights:
    """Return the weights for a piece whose notes, or only whose matrix, are known."""
    return SegmentationWeights(**_bundled_table()[source][level])


@functools.cache
def _bundled_table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(FILE_NAME).read_text(encoding="utf-8"))
