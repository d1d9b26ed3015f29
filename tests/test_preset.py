from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from test_form import forms

from singcli.errors import InputError
from singcli.preset_library import preset_names, read_preset
from singcli.structure.form import Form, Phrase, Section, repeats_of_form
from singcli.structure.preset import form_from_toml, values_from_form, write_preset

REQUIRED = {"aaba", "verse-chorus", "verse-chorus-bridge", "aba", "rondo", "blues-12"}
ONE = '[[sections]]\nlabel = "A"\nbars = 8\n'


def read(text: str) -> Form:
    return form_from_toml(text.encode(), source="x.toml", name="x")


@pytest.mark.parametrize("name", preset_names())
def test_bundled_presets_are_documented_and_repeat_something(name: str) -> None:
    form = read_preset(name)
    assert form.name == name
    assert form.description
    assert repeats_of_form(form)


def test_the_forms_everybody_asks_for_are_bundled() -> None:
    assert set(preset_names()) >= REQUIRED
    meters = {read_preset(name).meter for name in preset_names()}
    assert meters >= {"4/4", "3/4", "6/8", "2/4"}


def test_aaba_is_32_bars_of_four_in_eights() -> None:
    form = read_preset("aaba")
    assert (form.n_bars, form.meter) == (32, "4/4")
    assert [(s.label, s.n_bars) for s in form.sections] == [(c, 8) for c in "AABA"]


def test_defaults_and_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(ONE)
    form = read_preset(str(path))
    assert (form.name, form.tempo_bpm, form.meter, str(form.key)) == ("mine", 100, "4/4", "C major")


@given(form=forms())
def test_written_presets_read_back_equal(
    form: Form, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("presets") / "x.toml"
    write_preset(form, path)
    assert read_preset(str(path)) == form


def test_sections_may_be_written_as_a_form_string() -> None:
    text = 'meter = "3/4"\ntempo = 90\nform = "A = a4 a\'4.33;\\n A A8.25+5@4/4@60%80 B2"\n'
    form = read(text + "[similarity]\nA.B = 0.5\n")
    assert (form.name, form.meter, form.tempo_bpm, form.n_bars) == ("x", "3/4", 90, 20)
    assert form.similarity == {("A", "B"): 0.5}
    parts = (Phrase("a", 4), Phrase("a", 5, 0.15))
    assert form.sections == (
        Section("A", 9, phrases=parts, last_bar=1 / 3),
        Section(
            "A", 9, phrases=parts, transpose=5, meter="4/4", tempo_bpm=60, strictness=0.8,
            last_bar=0.25,
        ),
        Section("B", 2),
    )  # fmt: skip


def test_sections_have_their_own_meter_tempo_pitch_and_strictness() -> None:
    form = read(
        ONE.replace("8", "8.5")
        + 'transpose = -5\nmeter = "2/4"\ntempo = 60\nstrictness = 1\n'
        + 'phrases = [{ label = "a", bars = 4 }, { label = "a", bars = 4.5 }]\n'
    )
    parts = (Phrase("a", 4), Phrase("a", 5))
    (section,) = form.sections
    assert section == Section(
        "A", 9, phrases=parts, transpose=-5, meter="2/4", tempo_bpm=60, strictness=1, last_bar=0.5
    )
    assert form.meter == "4/4"


def test_what_goes_without_saying_is_not_written() -> None:
    form = Form((Section("A", 8), Section("A", 5, last_bar=0.5)))
    assert values_from_form(form)["sections"] == [
        {"label": "A", "bars": 8, "variation": 0.15},
        {"label": "A", "bars": 4.5, "variation": 0.15},
    ]


@pytest.mark.parametrize("name", preset_names())
def test_bundled_presets_survive_writing(name: str, tmp_path: Path) -> None:
    write_preset(read_preset(name), tmp_path / "x.toml")
    assert read_preset(str(tmp_path / "x.toml")) == read_preset(name)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InputError, match="no preset is called 'vers-chorus'") as caught:
        read_preset("vers-chorus")
    assert "did you mean verse-chorus" in (caught.value.remedy or "")
    with pytest.raises(InputError) as caught:
        read_preset("xyzzy")
    assert "there are aaba, " in (caught.value.remedy or "")


def test_missing_file_and_folder_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        read_preset(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=r"folder\.toml: cannot be read"):
        read_preset(str(tmp_path / "folder.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tempo = fast", r"x.toml, line 1, column 9, key tempo: broken TOML"),
        (ONE + "bars = 9", "line 4.*key bars"),
        ("sections = [", "line 1"),
        ("", "sections is missing"),
        (ONE.replace("bars = 8", ""), r"sections\[0\].bars is missing"),
        (ONE.replace("8", "0"), r"sections\[0\].bars = 0, allowed: a whole number from 1 to 128"),
        (ONE.replace("8", "8.1"), r"sections\[0\].bars = 8.1: the last bar has 0.4 beats, allowed"),
        (ONE.replace("8", "true"), r"sections\[0\].bars = True"),
        (ONE + "variation = nan", r"sections\[0\].variation = nan, allowed: .* 0 to 1"),
        (ONE + "variation = -0.1", r"sections\[0\].variation = -0.1"),
        (ONE.replace('"A"', '"A b"'), r"sections\[0\].label = 'A b', allowed: a letter"),
        ("tempo = inf\n" + ONE, "tempo = inf, allowed: a number from 20 to 300"),
        ("tempo = 0\n" + ONE, "tempo = 0, allowed: a number from 20 to 300"),
        ('tempo = "100"\n' + ONE, "tempo = '100'"),
        ('meter = "7/8"\n' + ONE, "x.toml: meter = '7/8', allowed"),
        ('key = "H"\n' + ONE, "x.toml: key = 'H' is not a key"),
        ('name = "../x"\n' + ONE, "name = '../x'"),
        ("sections = []", r"sections = \[\], allowed"),
        (ONE + 'phrases = [{ label = "a", bars = 3 }]', r"phrases add up to 3 bars"),
        (
            ONE + 'phrases = [{ label = "a", bars = 7.5 }, { label = "a", bars = 0.5 }]',
            r"sections\[0\].phrases\[0\].bars = 7.5, allowed: a whole number; only the last",
        ),
        (ONE + 'phrases = [{ label = "a", bars = 8.5 }]', r"phrases add up to 8.5 bars, .* has 8"),
        (ONE + "transpose = 12", r"sections\[0\].transpose = 12, allowed: a whole .* -11 to 11"),
        (ONE + "transpose = 1.5", r"sections\[0\].transpose = 1.5, allowed: a whole number"),
        (ONE + 'meter = "7/8"', r"x.toml: sections\[0\].meter = '7/8', allowed: bars of 1 to 12"),
        (ONE + "tempo = 10", r"sections\[0\].tempo = 10, allowed: a number from 20 to 300"),
        (ONE + "strictness = 80", r"sections\[0\].strictness = 80, allowed: a number from 0 to 1"),
        ('form = "A8 8"', r"x.toml: form, character 4 \(A8 >>>8\): a section starts with a letter"),
        ("form = 8", "x.toml: form = 8, allowed: text, such as"),
        ('form = "A8"\n' + ONE, "x.toml: both form and sections, allowed: one of the two"),
        ("tempo = 80", "x.toml: sections is missing, allowed: sections or form"),
        (ONE + "[similarity]\nA.B = 0.5", "similarity.A.B: no section is called 'B'"),
        (ONE + "[similarity]\nA.B = 2", "similarity.A.B = 2, allowed: labels and a number"),
    ],
)
def test_errors_name_file_key_value_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(text)
    assert str(caught.value).startswith("x.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        (ONE + "variaton = 0.1", r"sections\[0\].variaton", "variation"),
        ("tmpo = 90\n" + ONE, "tmpo", "tempo"),
        (ONE.replace("bars", "bar"), r"sections\[0\].bar", "bars"),
        (ONE + 'phrases = [{ lable = "a", bars = 8 }]', "lable", "label"),
    ],
)
def test_unknown_keys_suggest_the_nearest(text: str, key: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"unknown key .*{key}, allowed: ") as caught:
        read(text)
    assert caught.value.remedy == f"did you mean {nearest}?"


def test_text_that_is_not_utf8_names_the_line() -> None:
    with pytest.raises(InputError, match=r"x\.toml, line 4: not UTF-8"):
        form_from_toml(ONE.encode() + b"\xff", source="x.toml", name="x")
