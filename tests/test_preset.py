from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from test_form import forms

from singcli.errors import InputError
from singcli.preset_library import preset_names, read_preset
from singcli.structure.form import Form, repeats_of_form
from singcli.structure.preset import form_from_toml, write_preset

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
@settings(max_examples=40, deadline=None)
def test_written_presets_read_back_equal(
    form: Form, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("presets") / "x.toml"
    write_preset(form, path)
    assert read_preset(str(path)) == form


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
        (ONE.replace("8", "8.0"), r"sections\[0\].bars = 8.0"),
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
