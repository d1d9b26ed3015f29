"""Forms for the eye: in one line, as a small chart of letters, and how long they last."""

from __future__ import annotations

import string
from collections.abc import Iterator

from singcli.structure.form import Form
from singcli.structure.form_grammar import is_plain_label
from singcli.structure.section import Phrase, Section, distinct_labels

CHART_COLUMNS = 72
_PLAIN, _WITHOUT_TUNE = "=", "-"  # a bar of a section without phrases, and without the lead


def outline_from_form(form: Form) -> str:
    """Return labels, bars and transpositions in one line, such as "A8 A8 B8 A8+5".

    Less than `string_from_form` says, but there is one for every form, and it is short.
    """
    return " ".join(
        f"{section.label if is_plain_label(section.label) else f'[{section.label}]'}"
        f"{section.length:g}{f'{section.transpose:+d}' if section.transpose else ''}"
        for section in form.sections
    )


def seconds_from_form(form: Form) -> float:
    """Return how long a form lasts at its tempos, in seconds."""
    return sum(
        float(form.bar_beats[span.start_bar + span.n_bars] - form.bar_beats[span.start_bar])
        * 60.0
        / (section.tempo_bpm or form.tempo_bpm)
        for section, span in zip(form.sections, form.section_bars, strict=True)
    )


def chart_from_form(form: Form, *, columns: int = CHART_COLUMNS) -> list[str]:
    """Draw a form with letters: time runs to the right, every label has a line of its own.

    Parameters
    ----------
    form : Form
    columns : int > 0
        Width for the bars. A column is one bar, or two, four, ... where they do not fit.

    Returns
    -------
    list of str
        A line for each label, on which a letter stands for a bar: that of its phrase (its label,
        or a, b, ... if labels are words), a capital where a phrase begins; `=` without phrases,
        `-` where the tune is silent. Below, a mark where each section begins, and the number of
        its first bar, from 1, where there is room.
    """
    every = 1
    while form.n_bars > columns * every:
        every *= 2
    labels = distinct_labels(form.sections)
    margin = max(len(label) for label in [*labels, "bar"]) + 2
    rows = {label: [" "] * form.n_bars for label in labels}
    for section, span in zip(form.sections, form.section_bars, strict=True):
        stop = span.start_bar + span.n_bars
        rows[section.label][span.start_bar : stop] = _letters(section)
    lines = [f"{label:{margin}}{''.join(row[::every])}".rstrip() for label, row in rows.items()]
    starts = [span.start_bar for span in form.section_bars]
    ruler = "".join(
        "|" if any(start // every == column for start in starts) else " "
        for column in range(-(-form.n_bars // every))
    )
    return [*lines, " " * margin + ruler.rstrip(), f"{'bar':{margin}}{_numbers(starts, every)}"]


def _numbers(starts: list[int], every: int) -> str:
    line = ""
    for start in starts:
        column = start // every
        if not line or len(line) < column:  # a space before every number but the first
            line = f"{line:{column}}{start + 1}"
    return line


def _letters(section: Section) -> list[str]:
    if not section.tune:
        return [_WITHOUT_TUNE] * section.n_bars
    if not section.phrases:
        return [_PLAIN] * section.n_bars
    return list(_phrase_letters(section.phrases))


def _phrase_letters(phrases: tuple[Phrase, ...]) -> Iterator[str]:
    names = list(dict.fromkeys(phrase.label for phrase in phrases))
    own = all(len(name) == 1 for name in names) and len({*map(str.lower, names)}) == len(names)
    for phrase in phrases:
        index = names.index(phrase.label) % len(string.ascii_lowercase)
        letter = (phrase.label if own else string.ascii_lowercase[index]).lower()
        yield letter.upper()
        yield from letter * (phrase.n_bars - 1)
