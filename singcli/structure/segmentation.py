"""Music -> sections and phrases: where they begin, and which are the same music.

Boundaries lie on bar lines. The piece is cut in many likely ways (`segment_candidates`), each cut
is labelled (`section_labels`), and the description that is best as a whole wins (`segment_choice`).
All three score by weights fitted on songs with known sections (`segmentation_weights`). With the
notes, rests of the tune, its coming and going, texture, notes in common and transposed repeats are
heard; of a matrix alone only how alike bars are.

Phrases are found in the same way inside the sections, by weights of their own: a section is what
comes back as a whole, phrases are what people hear as one line of a song.

What was measured on which songs is in docs/results.md. Time and memory grow with the square of the
number of bars.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from singcli.music.score import Score
from singcli.structure.bar_features import (
    BarFeatures,
    bar_features_from_score,
    bar_features_from_ssm,
)
from singcli.structure.section import Span
from singcli.structure.section_labels import PairTables, StackedCuts, grouped, pair_scores
from singcli.structure.segment_candidates import (
    CutTuple,
    candidate_cuts,
    inside_sections,
    stretch_scores,
)
from singcli.structure.segment_choice import CutJudge
from singcli.structure.segmentation_weights import Level, SegmentationWeights, bundled_weights

SCORE_UNIT = 5.0  # of log likelihood, as the choice weighs it
BLOCK_ENTRIES = 2**18  # of the bars' matrices that cuts are judged by at once: 1 MB


def sections_from_score(score: Score) -> list[Span]:
    """Find the sections of a piece whose notes are known.

    Returns
    -------
    list of Span
        In order, without gaps; labels A, B, ... in order of their first section. A section that
        returns in another key keeps its label.
    """
    return sections_from_features(bar_features_from_score(score))


def sections_from_ssm(ssm: npt.NDArray[np.float32], bar_beats: npt.NDArray[np.int32]) -> list[Span]:
    """Find the sections of a piece of which only the self-similarity matrix is known.

    Parameters
    ----------
    ssm : np.ndarray, shape=(n_beats, n_beats), float32 in [0, 1]
    bar_beats : np.ndarray, shape=(n_bars + 1,), int32
        Beat at which each bar starts; the last entry is n_beats.

    Returns
    -------
    list of Span
        As `sections_from_score`.
    """
    return sections_from_features(bar_features_from_ssm(ssm, bar_beats))


def sections_from_features(bars: BarFeatures) -> list[Span]:
    """Find the sections of a piece from what is known of its bars."""
    return [
        Span(label_name(number), *stretch)
        for number, stretch in _best_description(bars, "sections")
    ]


def phrases_in_sections(bars: BarFeatures, sections: Sequence[Span]) -> list[list[Span]]:
    """Find the phrases of every section.

    Parameters
    ----------
    bars : BarFeatures
    sections : sequence of Span
        In order, without gaps, from the first bar to the last.

    Returns
    -------
    list of list of Span
        Bars count from the start of the piece; labels a, b, ... in order of appearance in their
        section. One phrase where a section is not divided.
    """
    starts = [span.start_bar for span in sections]
    found = _best_description(bars, "phrases", starts)
    phrases = []
    for section in sections:
        numbers: dict[int, int] = {}
        inside = [p for p in found if 0 <= p[1][0] - section.start_bar < section.n_bars]
        phrases.append(
            [
                Span(label_name(numbers.setdefault(number, len(numbers))).lower(), *stretch)
                for number, stretch in inside
            ]
        )
    return phrases


def describe_cuts(
    bars: BarFeatures, weights: SegmentationWeights, *, starts: Sequence[int] = ()
) -> list[tuple[CutTuple, list[int], dict[str, float]]]:
    """Return likely cuts, the number of each section's label, and what speaks for the whole.

    Parameters
    ----------
    bars : BarFeatures
    weights : SegmentationWeights
        Those of the choice are not used.
    starts : sequence of int
        Bar lines at which every cut has a boundary.
    """
    tables, judge = PairTables(bars), CutJudge(bars)
    scores = inside_sections(stretch_scores(bars, weights.stretches), starts)
    candidates = candidate_cuts(scores)
    described = []
    at_once = max(1, BLOCK_ENTRIES // bars.n_bars**2)
    for low in range(0, len(candidates), at_once):
        part = candidates[low : low + at_once]
        cuts = StackedCuts.of([cut for cut, _ in part])
        pairs = tables.pair_features(cuts)
        odds = pair_scores(pairs, weights.labels)
        labels = [grouped(matrix) for matrix in cuts.matrices(odds)]
        of_cuts = judge.cut_features(cuts, labels, odds, pairs["alike"])
        for (cut, score), names, features in zip(part, labels, of_cuts, strict=True):
            features["score"] = (score - candidates[0][1]) / SCORE_UNIT
            described.append((cut, names, features))
    return described


def label_name(number: int) -> str:
    """Return A, B, ..., Z, A2, B2, ... for 0, 1, ..., 25, 26, 27, ..."""
    letter, turn = chr(ord("A") + number % 26), number // 26
    return letter if turn == 0 else f"{letter}{turn + 1}"


def _best_description(
    bars: BarFeatures, level: Level, starts: Sequence[int] = ()
) -> list[tuple[int, tuple[int, int]]]:
    """Return the number of the label, and (first bar, bars), of every section or phrase."""
    if bars.n_bars < 2:
        return [(0, (0, bars.n_bars))]
    weights = bundled_weights("ssm" if bars.overlap is None else "notes", level)
    described = describe_cuts(bars, weights, starts=starts)
    score = [
        sum(weights.choice[name] * value for name, value in features.items())
        for _, _, features in described
    ]
    cut, labels, _ = described[int(np.argmax(score))]
    return list(zip(labels, cut, strict=True))
