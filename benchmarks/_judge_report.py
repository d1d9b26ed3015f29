"""What the judges say, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from _judges import Named, Verdict
from _machine import Row, markdown_table, verdict

MOST_ACCURACY = 0.75  # asked for by issue 4
TOP = 15
HEADER = ["compared", "judge", "excerpts", "songs", "accuracy", "AUC"]
TOP_HEADER = ["figure", "real", "generated", "generated has", "alone", "importance"]
FAMILY_HEADER = ["family", "figures", "importance"]
HEADLINE = "generated, real"


class Result(NamedTuple):
    """What a judge says of a comparison."""

    name: str
    judge: str
    n_excerpts: int
    n_songs: int
    verdict: Verdict


class Looked(NamedTuple):
    """What the forest looks at: all figures, and families as (name, size, importance), ranked."""

    figures: list[Named]
    families: list[tuple[str, int, float]]


def table_rows(results: Sequence[Result]) -> list[Row]:
    """Return a row for each judge of each comparison."""
    return [
        [r.name, r.judge, r.n_excerpts, r.n_songs, str(r.verdict.accuracy), f"{r.verdict.auc:.3f}"]
        for r in results
    ]


def figure_rows(figures: Sequence[Named]) -> list[Row]:
    """Return a row for each figure."""
    return [
        [
            f.name,
            *f.means,
            "more" if f.means[1] > f.means[0] else "less",
            f"{f.auc_alone:.2f}",
            f"{f.importance:.4f}",
        ]
        for f in figures
    ]


def headline(results: Sequence[Result]) -> Result:
    """Return the judge that does best at the headline's comparison."""
    asked = [result for result in results if result.name == HEADLINE]
    return max(asked, key=lambda result: result.verdict.accuracy.mean)


def report(results: Sequence[Result], looked: Mapping[str, Looked]) -> str:
    """Return the tables, and the headline beside what was asked for."""
    best = headline(results)
    words = f"accuracy of the best judge, the {best.judge}, {best.verdict.accuracy}:"
    parts = [
        markdown_table(HEADER, table_rows(results)),
        verdict(words, best.verdict.accuracy.mean, MOST_ACCURACY),
    ]
    for name, found in looked.items():
        parts += [
            f"What the forest looks at ({name}):",
            markdown_table(TOP_HEADER, figure_rows(found.figures[:TOP])),
            markdown_table(FAMILY_HEADER, [[f, n, f"{i:.4f}"] for f, n, i in found.families[:TOP]]),
        ]
    return "\n\n".join(parts)
