from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from singcli.errors import InputError
from singcli.music.key import Key
from singcli.structure.form_string import form_from_string


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


@given(st.text(alphabet="AaB'8:.0 ,|x-", max_size=20))
def test_any_text_is_a_form_or_an_input_error(text: str) -> None:
    try:
        form = form_from_string(text)
    except InputError:
        return
    assert form.n_bars >= 1
