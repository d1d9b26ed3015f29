"""What is shown of a finished song: columns that can be read, and one line."""

from __future__ import annotations

from singcli.cli.tables import aligned, bar_numbers, section_table, summary
from singcli.metrics.report import SectionReport, StructureReport

SECTIONS = (
    SectionReport("intro", 0, 4, None, None, None, None),
    SectionReport("A", 4, 8, None, None, None, True),
    SectionReport("A", 12, 8, 4, 0.8, 0.7321, False),
    SectionReport("end", 20, 1, None, None, None, True),
)


def report(*, r_bars: float | None = 0.91, different_label: float | None = 0.05) -> StructureReport:
    score = 0.5 if r_bars is None else r_bars
    return StructureReport(21, 21, score, r_bars, 0.4, 0.73, different_label, 1.0, 1.0, SECTIONS)


def test_the_table_has_a_line_for_each_section():
    assert section_table(report(), similarity=False) == [
        "section  bars   source  overlap wanted  measured  boundary",
        "intro    1-4    -                    -         -  -",
        "A        5-12   -                    -         -  found",
        "A        13-20  5-12              0.80      0.73  missed",
        "end      21     -                    -         -  found",
    ]


def test_the_head_says_what_a_template_asks_for():
    assert "similarity wanted" in section_table(report(), similarity=True)[0]


def test_the_summary_says_which_figure_the_structure_is():
    assert summary(report(), similarity=False) == (
        "structure 0.91 (r of the bars), 21 of 21 bars, same-label overlap 0.73, "
        "different-label 0.05"
    )
    assert "0.50 (labels found again)" in summary(report(r_bars=None), similarity=False)
    assert "0.50 (r of the beats)" in summary(report(r_bars=None), similarity=True)
    assert "different" not in summary(report(different_label=None), similarity=False)


def test_bars_are_counted_as_musicians_do():
    assert [bar_numbers(0, 8), bar_numbers(8, 1)] == ["1-8", "9"]


def test_columns_end_together_where_they_hold_figures():
    assert aligned([["a", "12.5"], ["bcd", "3"]], right=(1,)) == ["a    12.5", "bcd     3"]
