from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_form import forms

from singcli.errors import InputError
from singcli.music.key import Key
from singcli.structure.form import Form, Phrase, Section
from singcli.structure.form_string import form_from_string, string_from_form
from singcli.structure.preset import form_from_toml


def parts(text: str) -> list[tuple[str, int, float]]:
    return [(s.label, s.n_bars, s.variation) for s in form_from_string(text).sections]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A8 A8 B8 A'8", [("A", 8, 0.15), ("A", 8, 0.15), ("B", 8, 0.15), ("A", 8, 0.3)]),
        ("A4:0.5 A4:0 A4:1", [("A", 4, 0.5), ("A", 4, 0.0), ("A", 4, 1.0)]),
        ("ABA", [("A", 8, 0.15), ("B", 8, 0.15), ("A", 8, 0.15)]),
        ("AA'BA''", [("A", 8, 0.15), ("A", 8, 0.3), ("B", 8, 0.15), ("A", 8, 0.45)]),
        ("A’8", [("A", 8, 0.3)]),  # noqa: RUF001
        ("i4A8B8x4", [("i", 4, 0.15), ("A", 8, 0.15), ("B", 8, 0.15), ("x", 4, 0.15)]),
        (" verse16, pre-chorus4|chorus8 ", [
            ("verse", 16, 0.15), ("pre-chorus", 4, 0.15), ("chorus", 8, 0.15),
        ]),
        ("verse16 chorus8 verse chorus'", [
            ("verse", 16, 0.15), ("chorus", 8, 0.15), ("verse", 16, 0.15), ("chorus", 8, 0.3),
        ]),
        ("A16 B A B12 AB", [
            ("A", 16, 0.15), ("B", 8, 0.15), ("A", 16, 0.15), ("B", 12, 0.15), ("A", 16, 0.15),
            ("B", 8, 0.15),
        ]),
        ("(A4 B2:0.3)x2", [("A", 4, 0.15), ("B", 2, 0.3)] * 2),
        ("((A1)x2, (B1 C1) x 2)x2 x3", [
            *[("A", 1, 0.15), ("A", 1, 0.15), *[("B", 1, 0.15), ("C", 1, 0.15)] * 2] * 2,
            ("x", 3, 0.15),
        ]),
        ("[B2]4 [B2]' [AB]2", [("B2", 4, 0.15), ("B2", 4, 0.3), ("AB", 2, 0.15)]),
        ("AAB:0.4 A8:0.3B4", [
            ("A", 8, 0.15), ("A", 8, 0.15), ("B", 8, 0.4), ("A", 8, 0.3), ("B", 4, 0.15),
        ]),
        ("A" * 40, [("A", 8, 0.15)] * 40),
    ],
)  # fmt: skip
def test_forms_in_one_line(text: str, expected: list[tuple[str, int, float]]) -> None:
    assert parts(text) == expected


def test_options_set_length_meter_tempo_and_key() -> None:
    form = form_from_string(
        "AB", default_bars=4, meter="6/8", tempo_bpm=84, key=Key.parse("D minor")
    )
    assert (form.n_bars, form.n_beats) == (8, 24)
    assert (form.meter, form.tempo_bpm, str(form.key)) == ("6/8", 84, "D minor")


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("A8+5", Section("A", 8, transpose=5)),
        ("AA-11", Section("A", 8, transpose=-11)),
        ("A4.5", Section("A", 5, last_bar=0.5)),
        ("A.25", Section("A", 1, last_bar=0.25)),
        ("A8@3/4", Section("A", 8, meter="3/4")),
        ("A8@72.5", Section("A", 8, tempo_bpm=72.5)),
        ("A8%80", Section("A", 8, strictness=0.8)),
        ("A8 A4.33:0-5%0@80@6/8", Section("A", 5, 0.0, (), True, -5, "6/8", 80, 0, 1 / 3)),
        (
            "A = a4 a'4 b c2:0.5; b8 A",  # b has no bars of its own
            None,
        ),
        (
            "A = a4 a'  c2:0.5\n; b8 A9@2/4",
            Section("A", 9, 0.15, (Phrase("a", 4), Phrase("a", 4, 0.15), Phrase("c", 1, 0.5)),
                    meter="2/4"),
        ),
        (
            "pre-chorus=[a1]4[a1]''3.5;pre-chorus",
            Section("pre-chorus", 8, 0.15, (Phrase("a1", 4), Phrase("a1", 4, 0.3)), last_bar=0.5),
        ),
    ],
)  # fmt: skip
def test_sections_say_how_they_are_played(text: str, section: Section | None) -> None:
    if section is None:
        with pytest.raises(InputError, match="'b' needs a number of bars, such as b4"):
            form_from_string(text)
    else:
        assert form_from_string(text).sections[-1] == section


def test_the_main_meter_and_tempo_are_those_of_most_bars_where_all_sections_have_some() -> None:
    form = form_from_string("A4@3/4@80 B8@6/8@90 A4@3/4@80")
    assert (form.meter, form.tempo_bpm) == ("3/4", 80)
    assert form.bar_meters == ["3/4"] * 4 + ["6/8"] * 8 + ["3/4"] * 4
    mixed = form_from_string("A4@3/4@80 B1")
    assert (mixed.meter, mixed.tempo_bpm) == ("4/4", 100)
    given = form_from_string("A4@3/4@80", meter="2/4", tempo_bpm=60)
    assert (given.meter, given.tempo_bpm) == ("2/4", 60)


@given(forms())
def test_the_text_of_a_form_means_the_form(form: Form) -> None:
    plain = [dataclasses.replace(section, tune=True) for section in form.sections]
    models = {section.label: section for section in reversed(plain)}
    alike = [  # one model for each label, or none
        dataclasses.replace(section, phrases=models[section.label].phrases,
                            n_bars=models[section.label].n_bars)
        if number % 2 else dataclasses.replace(section, phrases=())
        for number, section in enumerate(plain)
    ]  # fmt: skip
    for sections in (plain, alike):
        try:
            sayable = dataclasses.replace(form, sections=tuple(sections), similarity={})
        except InputError:  # longer than the phrases that it inherits
            continue
        text = string_from_form(sayable)
        if text is None:
            assert sections is plain
            assert any(one.phrases[: len(two.phrases)] != two.phrases
                       for one in plain for two in plain if one.label == two.label)  # fmt: skip
        else:
            read = form_from_string(text, meter=form.meter, tempo_bpm=form.tempo_bpm, key=form.key)
            assert read == sayable


def documented(pattern: str) -> list[str]:
    """What the page on formats has between its words on presets and those on SSM files."""
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    text = page[page.index("## Preset") : page.index("## SSM file")]
    return re.findall(pattern, text, re.M | re.S)


def test_the_two_presets_on_the_page_are_the_same() -> None:
    one, other = documented(r"^```toml\n(.*?)^```")
    forms_there = [form_from_toml(t.encode(), source="x", name="x") for t in (one, other)]
    assert forms_there[0] == forms_there[1]


def test_the_examples_on_the_page_mean_what_it_says() -> None:
    rows = documented(r"^\| (`[^|]*`) \| ([^|]*) \|$")
    table = rows[-next(i for i, row in enumerate(rows[::-1], 1) if row[0] == "`A8`") :]
    meant = {text: meaning for cell, meaning in table for text in re.findall("`([^`]+)`", cell)}
    assert len(meant) >= 17
    for text in meant:
        assert form_from_string(text).sections
    assert [s.label for s in form_from_string("(A8 B8)x2 C8").sections] == list("ABABC")
    assert form_from_string("A4.5").bar_meters[-1] == "2/4"
    (message,) = documented("`(form, character 4 [^`]*)`")
    assert form_or_error("A8 8B") == message


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("A = a4 a'4; AABA+5", "A = a4 a'4; A A B8 A+5"),
        ("(A8 B4.5)x2", "A8 B4.5 A8 B4.5"),
        ("A''8:", None),
        ("A8:0.3 A8:0.00001", "A'8 A8:0.00001"),
        ("[B2]8%12.5 [AB]4@6/8@90", "[B2]8%12.5 [AB]4@6/8@90"),
    ],
)
def test_forms_are_written_as_one_would(text: str, written: str | None) -> None:
    if written is not None:
        assert string_from_form(form_from_string(text)) == written


def test_some_forms_have_no_text() -> None:
    form = form_from_string("A4 B4")
    assert string_from_form(dataclasses.replace(form, similarity={("A", "B"): 0.5})) is None
    silent = (Section("i", 4, tune=False), *form.sections)
    assert string_from_form(dataclasses.replace(form, sections=silent)) is None
    other_end = (
        Section("A", 2, phrases=(Phrase("a", 2),)),
        Section("A", 1, 0.1, (Phrase("b", 1),)),
    )
    assert string_from_form(dataclasses.replace(form, sections=other_end)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A8 8B", r"character 4 \(A8 >>>8B\): a section starts with a letter"),
        ("aaba", r"character 5 .*'aaba' needs a number of bars, such as aaba8"),
        ("AABA8", r"write 'A8 A8 B8 A8' for 4 sections or 'aaba8' for one"),
        ("A0", r"character 2 .*0 bars, allowed 1 to 128"),
        ("A129", "129 bars, allowed 1 to 128"),
        ("A8:2", r"character 4 .*variation '2', allowed 0 to 1"),
        ("A8:nan", "variation 'nan'"),
        ("A8:-1", "variation '-1'"),
        ("A8:", r"\(A8:>>>end\): variation ''"),
        ("A'8:0.3", r"character 2 .*not both"),
        ("A''''''8", "6 primes are a variation above 1"),
        ("A8 B8 C8 D8 E8 ?", r"\(\.\.\."),
        ("A8\n?", r"\(A8 >>>\?\)"),
        ("A8'", r"character 3 .*primes stand before the number of bars: A'8"),
        ("A8 (B8 C8", r"character 4 .*this \( is never closed"),
        ("A8) B8", r"character 3 .*this \) closes no \("),
        ("(A8) B8", r"character 5 .*how many times is missing, such as \(A B\)x2"),
        ("(A8)x0", r"character 6 .*0 times 1 sections, allowed are 1 to 512 times"),
        ("(A B)x300", r"character 7 .*300 times 2 sections, allowed are 1 to 256 times"),
        ("( )x2", r"character 3 .*nothing to repeat"),
        ("(" * 20 + "A", r"character 17 .*allowed 16 deep"),
        ("A8+12", r"character 3 .*transposition '\+12', allowed -11 to \+11 semitones"),
        ("A8+", r"character 3 .*transposition '\+'"),
        ("A8-B8", r"character 3 .*transposition '-B8'"),
        ("A8+1+2", r"character 5 .*a second transposition"),
        ("A8@3/4@3/4", r"character 7 .*a second meter"),
        ("A8@80@90", r"character 6 .*a second tempo"),
        ("A8%1%2", r"character 5 .*a second strictness"),
        ("A8:0:0", r"character 5 .*a second variation"),
        ("A8@7/8", r"character 4 .*meter = '7/8', allowed: bars of 1 to 12 whole"),
        ("A8@10", r"character 4 .*tempo '10', allowed 20 to 300 .*or a meter: @3/4"),
        ("A8@", r"character 4 .*tempo ''"),
        ("A8%101", r"character 4 .*strictness '101', allowed 0 to 100 percent"),
        (
            "A4.4",
            r"character 2 .*4.4 bars: the last bar has 1.6 beats, allowed .*: 4.25, 4.5, 4.75",
        ),
        ("A4.5 A@3/4", r"character 6 .*4.5 bars: the last bar has 1.5 beats, allowed .* 4.33, "),
        ("A = a4", r"character 7 .*the sections are missing"),
        ("A = ; A", r"character 5 .*a definition needs phrases"),
        ("A = a; A", r"character 6 .*'a' needs a number of bars"),
        ("A = a4 8; A", r"character 8 .*a phrase starts with a letter"),
        ("A = a4+5; A", r"character 7 .*all else belongs to the section"),
        ("A = a4:0.3:0.4; A", r"character 11 .*one variation"),
        ("A = a4.5 b4; A", r"character 6 .*only the last phrase can end in a part of a bar"),
        ("A = a100 b100; A", r"character 1 .*add up to 200 bars, allowed 1 to 128"),
        ("A = a4'; A", r"character 7 .*a phrase starts with a letter"),
        ("A = a" + "'" * 7 + "1; A", r"character 6 .*7 primes are a variation above 1"),
        ("A = a4; A8", r"character 10 .*8 bars are more than the phrases of A cover \(4\)"),
        ("A = a4; A = b4; A", r"character 9 .*A has been defined before"),
        ("AB = a4; AB", r"character 1 .*AB is 2 sections; one of this name is \[AB\]"),
        ("chrus = a4; chorus8", r"character 1 .*no section is called chrus, allowed: chorus"),
        ("A8; B8", r"character 3 .*those come before all sections"),
        ("(A8; B8)x2", r"character 4 .*cannot stand between brackets"),
        ("A8 = b", r"character 4 .*a = belongs to a definition, before all sections"),
        ("[A b]8", r"character 2 .*label 'A b', allowed: a letter, then up to 31"),
        ("a" * 33 + "8", r"character 1 .*allowed: a letter, then up to 31"),
        ("A" + "9" * 5000, r"character 2 .*inf bars, allowed 1 to 128"),
        ("A8 \x1b[31m", r"character 4 \(A8 >>> \[31m\)"),
        ("A100 " * 6, r"character 26 .*add up to 600 bars, allowed 1 to 512"),
        ("", "empty"),
        (" , ", "empty"),
    ],
)
def test_errors_point_at_the_character_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        form_from_string(text)
    assert "\n" not in str(caught.value)


def test_too_many_bars_are_refused() -> None:
    with pytest.raises(InputError, match="640 bars"):
        form_from_string("A128" * 5)


PIECES = ["A", "B", "verse", "[b2]", "a", "8", "4.5", "0", "'", ":", "0.3", "+5", "-12", "@3/4"]
PIECES += [
    "@7/8",
    "@90",
    "%80",
    "(",
    ")",
    "x2",
    "x",
    "=",
    ";",
    " ",
    ",",
    "|",
    "-",
    ".",
    "\n",
    "é",
    "²",
]


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.text(max_size=20))
@settings(max_examples=4 * settings.default.max_examples)
@example("A²")
@example("A٣")
@example("A1e5")
@example("(((((((((((((((((")
def test_any_text_is_a_form_or_an_error_that_points_into_it(text: str) -> None:
    found = form_or_error(text)
    if isinstance(found, str):
        place = re.match(r"form, character (\d+) \((.*?)\): .", found)
        assert place is not None, found
        position = int(place[1]) - 1
        assert 0 <= position <= len(text)
        ahead = "".join(c if c.isprintable() else " " for c in text[position : position + 12])
        assert f">>>{ahead or 'end'}" in found
        assert found.isprintable()
    else:
        assert 1 <= found.n_bars <= 512
        again = string_from_form(found)
        assert again is not None
        read = form_from_string(again, meter=found.meter, tempo_bpm=found.tempo_bpm)
        assert read == found


def form_or_error(text: str) -> Form | str:
    try:
        return form_from_string(text)
    except InputError as error:
        return str(error)
