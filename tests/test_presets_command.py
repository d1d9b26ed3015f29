"""`singcli presets`, and the library of presets behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from singcli import preset_library, resources
from singcli.cli import main
from singcli.errors import InputError
from singcli.preset_library import (
    find_preset,
    find_presets,
    new_preset,
    preset_names,
    read_preset,
)
from singcli.resources import presets_dir, user_presets_dir
from singcli.structure.form import Form, Phrase, Section
from singcli.structure.form_chart import chart_from_form, outline_from_form, seconds_from_form
from singcli.structure.form_string import form_from_string

BUNDLED = sorted(path.stem for path in presets_dir().glob("*.toml"))
ROOT = Path(__file__).resolve().parents[1]
ONE = '[[sections]]\nlabel = "A"\nbars = 8\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, which does not exist yet; the test works in the folder above it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("SINGCLI_PRESETS", str(tmp_path / "yours"))
    return tmp_path / "yours"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        code = main(["presets", *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.fixture
def run_json(run):
    def run_json(*arguments: str) -> list[dict[str, Any]]:
        code, out, err = run(*arguments, "--json")
        assert (code, err) == (0, [])
        return [json.loads(line) for line in out]

    return run_json


def save(folder: Path, name: str, text: str = ONE) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


class TestList:
    def test_says_name_bars_meter_where_description_and_form(self, run):
        code, out, err = run("list")
        assert (code, err) == (0, [])
        assert [line.split()[0] for line in out[::2]] == BUNDLED
        first, second = out[BUNDLED.index("minuet-trio") * 2 :][:2]
        assert first.split()[:5] == ["minuet-trio", "80", "bars", "3/4", "bundled"]
        assert first.endswith("Minuet with repeats, trio, minuet da capo, in 3/4")
        assert second.split()[3:6] == ["minuet-b8", "trio-a8+5", "trio-a8+5"]

    def test_json_is_an_object_a_preset(self, run_json):
        rows = run_json("list")
        assert [row["name"] for row in rows] == BUNDLED
        assert rows[0] == {
            "name": "aaba",
            "path": str(presets_dir() / "aaba.toml"),
            "where": "bundled",
            "hides_bundled": False,
            "valid": True,
            "bars": 32,
            "meter": "4/4",
            "form": "A8 A8 B8 A8",
            "description": read_preset("aaba").description,
        }

    def test_has_the_users_own_among_them(self, run, run_json, folder):
        save(folder, "bop", 'meter = "3/4"\n' + ONE)
        (folder / "notes.txt").write_text("no preset")
        (folder / ".bop-1x.toml").write_text("half written")
        rows = {row["name"]: row for row in run_json("list")}
        assert set(rows) == {*BUNDLED, "bop"}
        assert (rows["bop"]["where"], rows["bop"]["meter"]) == ("yours", "3/4")
        assert any(
            line.split()[:5] == ["bop", "8", "bars", "3/4", "yours"] for line in run("list")[1]
        )

    def test_says_which_of_the_users_goes_before_a_bundled_one(self, run, run_json, folder):
        save(folder, "aaba")
        rows = {row["name"]: row for row in run_json("list")}
        assert (rows["aaba"]["where"], rows["aaba"]["hides_bundled"]) == ("yours", True)
        assert rows["aaba"]["bars"] == 8
        assert run("list")[1][1].split(maxsplit=1) == ["A8", "(yours, in place of the bundled one)"]

    def test_goes_on_past_damaged_files_and_tells_why(self, run, run_json, folder):
        save(folder, "broken", "tempo = fast")
        save(folder, "odd", ONE + "bras = 3\n")
        (folder / "folder.toml").mkdir()
        rows = {row["name"]: row for row in run_json("list")}
        assert set(rows) == {*BUNDLED, "broken", "odd", "folder"}
        assert "line 1, column 9, key tempo" in rows["broken"]["error"]
        assert "unknown key sections[0].bras" in rows["odd"]["error"]
        assert [name for name, row in rows.items() if not row["valid"]] == [
            "broken",
            "folder",
            "odd",
        ]
        code, out, _ = run("list")
        (line,) = [line for line in out if line.startswith("odd")]
        assert code == 0
        assert line.split()[1:3] == ["invalid", "yours"]
        assert "unknown key" in line


class TestShow:
    def test_shows_all_that_matters(self, run):
        code, out, err = run("show", "blues-12")
        assert (code, err) == (0, [])
        assert out[0].startswith("blues-12: bundled, ")
        assert out[2] == "36 bars of 4/4, 96 quarter notes a minute, F major, 1:30 minutes"
        assert "chorus  AaaaAaaaBbbb" in out[4]
        assert "bars 1-12   chorus  new, phrases line4 line4:0.3 answer4" in out
        assert "bars 25-36  chorus  variation 0.1" in out

    def test_shows_what_is_particular_about_a_section(self, run, folder):
        path = save(
            folder, "odd", 'form = "A8 A4.5-1:0.3@3/4@60%100 i4"\n' + "similarity.A.i = 0.7\n"
        )
        assert run("show", str(path))[0] == 2  # 4.5 bars of 3/4 end within a beat
        path = save(
            folder, "odd", 'form = "A8 A4.5-1:0.3@2/4@60%100 i4"\n' + "similarity.A.i = 0.7\n"
        )
        code, out, _ = run("show", str(path))
        assert code == 0
        facts = "variation 0.3, 4.5 bars long, -1 semitone, 2/4, 60 quarter notes a minute"
        assert f"bars 9-13   A  {facts}, strictness 1" in out
        assert out[-1] == "A and i resemble each other by 0.7"
        save(folder, "plain", 'form = "A8 A4.5-1:0.3"')
        assert run("show", "plain")[1][-1] == "in one line: A8 A'4.5-1"
        assert out[0] == f"odd: file, {path}"

    def test_json_is_one_object(self, run_json):
        (value,) = run_json("show", "minuet-trio")
        assert value["name"] == "minuet-trio"
        assert (value["bars"], value["beats"], value["seconds"]) == (80, 240, 114.286)
        assert form_from_string(value["form_string"], meter="3/4").sections[9].strictness == 1
        assert value["sections"][9] == {
            "label": "minuet-b",
            "start_bar": 72,
            "end_bar": 80,
            "variation": 0.0,
            "transpose": 0,
            "meter": "3/4",
            "tempo_bpm": 126.0,
            "strictness": 1.0,
            "last_bar": 1.0,
            "tune": True,
            "phrases": [],
        }
        (value,) = run_json("show", "verse-chorus")
        assert value["form_string"] is None
        assert value["similarity"] == [{"labels": ["intro", "outro"], "value": 0.9}]

    @pytest.mark.parametrize("name", BUNDLED)
    def test_every_bundled_preset_can_be_shown(self, run, name):
        code, out, err = run("show", name)
        assert (code, err) == (0, [])
        assert max(len(line) for line in out[3:] if not line.startswith("in one line")) <= 100

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("vers-chorus", "no preset is called 'vers-chorus'; did you mean verse-chorus"),
            ("none.toml", "none.toml: cannot be read"),
            ("", "no preset is called ''"),
        ],
    )
    def test_what_is_not_there_ends_in_one_line(self, run, name, message):
        code, out, err = run("show", name)
        assert (code, out, len(err)) == (2, [], 1)
        assert message in err[0]


class TestPath:
    def test_of_a_preset_and_of_the_users_folder(self, run, run_json, folder):
        assert run("path", "rondo")[1] == [str(presets_dir() / "rondo.toml")]
        assert run("path")[1] == [str(folder)]
        assert run_json("path") == [{"path": str(folder), "exists": False}]
        own = save(folder, "rondo")
        assert run("path", "rondo")[1] == [str(own)]
        assert run_json("path", "rondo") == [
            {
                "name": "rondo",
                "path": str(own),
                "where": "yours",
                "hides_bundled": True,
                "exists": True,
            }
        ]
        assert run_json("path")[0]["exists"]

    def test_of_an_unknown_name_suggests_the_nearest(self, run):
        code, out, err = run("path", "rando")
        assert (code, out) == (2, [])
        assert "did you mean rondo" in err[0]


class TestValidate:
    def test_a_line_a_file_and_every_error_named(self, run, folder):
        good = save(folder, "good")
        bad = save(folder, "bad", "tempo = 1000\n" + ONE + "variaton = 0.1\ntune = 3\n")
        code, out, err = run("validate", str(good), str(bad), "aaba")
        assert code == 2
        assert out == [
            f"{good}: valid",
            f"{bad}: 3 errors",
            f"{presets_dir() / 'aaba.toml'}: valid",
        ]
        assert len(err) == 4
        assert f"{bad}: unknown key sections[0].variaton, allowed: label, bars," in err[0]
        assert err[0].endswith("did you mean variation?")
        assert f"{bad}: tempo = 1000, allowed: a number from 20 to 300" in err[1]
        assert f"{bad}: sections[0].tune = 3, allowed: true or false" in err[2]
        assert err[3] == "error: 1 of 3 presets cannot be used"

    def test_valid_presets_exit_with_0(self, run):
        code, out, err = run("validate", *BUNDLED)
        assert (code, len(out), err) == (0, len(BUNDLED), [])

    def test_json_is_an_object_a_file_with_key_value_and_what_is_allowed(self, run, folder):
        bad = save(folder, "bad", ONE.replace("8", "0"))
        odd = save(folder, "odd", 'key = "H"\n' + ONE)
        code, out, err = run("validate", str(bad), str(odd), "nobody", "--json")
        assert (code, err) == (2, ["error: 3 of 3 presets cannot be used"])
        values = [json.loads(line) for line in out]
        assert [value["valid"] for value in values] == [False] * 3
        (error,) = values[0]["errors"]
        assert (error["key"], error["value"]) == ("sections[0].bars", "0")
        assert error["allowed"].startswith("a whole number from 1 to 128")
        assert error["message"] == f"{bad}: sections[0].bars = 0, allowed: {error['allowed']}"
        (error,) = values[1]["errors"]
        assert "key = 'H' is not a key" in error["message"]
        (error,) = values[2]["errors"]
        assert error["key"] is None
        assert error["message"] == "no preset is called 'nobody'"

    def test_what_does_not_fit_together_is_told_with_key_and_value(self, run, folder):
        bad = save(folder, "bad", 'meter = "7/8"\n' + ONE)
        (error,) = json.loads(run("validate", str(bad), "--json")[1][0])["errors"]
        assert (error["key"], error["value"]) == ("meter", "'7/8'")
        assert "quarter notes" in error["allowed"]

    def test_without_files_is_a_usage_error(self, run):
        assert run("validate")[0] == 2


class TestNew:
    def test_goes_into_the_users_folder_and_is_found_there(self, run, folder):
        code, out, err = run(
            "new", "mine", "--form", "i4 A8 B8 A'8", "--tempo", "84", "--key", "D minor"
        )
        assert (code, out, err) == (0, [str(folder / "mine.toml")], [])
        form = read_preset("mine")
        assert outline_from_form(form) == "i4 A8 B8 A8"
        assert (form.name, form.tempo_bpm, str(form.key)) == ("mine", 84, "D minor")
        assert form.sections[-1].variation == pytest.approx(0.3)
        assert main(["presets", "validate", "mine"]) == 0

    def test_begins_with_aaba_if_nothing_is_said(self, run):
        assert run("new", "mine")[0] == 0
        assert outline_from_form(read_preset("mine")) == preset_library.DEFAULT_NEW_FORM

    @pytest.mark.parametrize("name", BUNDLED)
    def test_a_copy_of_a_preset_is_equal_and_explains_itself(self, name):
        path = new_preset("copy", source=name).path
        copy, original = read_preset("copy"), read_preset(name)
        assert copy == Form(
            **{field: getattr(original, field) for field in FIELDS} | {"name": "copy"}
        )
        text = path.read_text()
        assert "# quarter notes a minute" in text
        assert "# The song, section by section" in text

    def test_changes_what_it_is_told_to(self, run):
        options = ["--tempo", "60", "--meter", "3/4", "--key", "Eb", "--description", "my own"]
        assert run("new", "slow", "--from", "rondo", *options)[0] == 0
        form = read_preset("slow")
        assert (form.tempo_bpm, form.meter, str(form.key)) == (60, "3/4", "Eb major")
        assert form.description == "my own"
        assert outline_from_form(form) == outline_from_form(read_preset("rondo"))

    def test_every_key_that_the_comments_mention_can_be_used(self):
        path = new_preset("mine", form="A8 B8").path
        lines = path.read_text().splitlines()
        (phrases,) = [line for line in lines if line.startswith("#   phrases")]
        at = lines.index("bars = 8") + 1
        extras = [
            "tune = false",
            "transpose = 2",
            'meter = "3/4"',
            "tempo = 72",
            "strictness = 1.0",
        ]
        text = " ".join(lines)
        assert all(extra in text for extra in extras)
        similarity = [line.removeprefix("#   ") for line in lines[-2:]]
        edited = [*lines[:at], phrases.removeprefix("#   "), *extras, *lines[at:], *similarity]
        path.write_text("\n".join(edited))
        form = read_preset("mine")
        section = form.sections[0]
        assert [phrase.label for phrase in section.phrases] == ["a", "a"]
        assert (section.tune, section.transpose, section.meter) == (False, 2, "3/4")
        assert (section.tempo_bpm, section.strictness) == (72, 1)
        assert form.similarity == {("A", "B"): 0.6}

    def test_says_when_it_goes_before_a_bundled_one(self, run):
        code, _, err = run("new", "aaba")
        assert code == 0
        assert err == ["goes before the bundled preset aaba"]
        assert read_preset("aaba").tempo_bpm == 100
        assert run("new", "bop", "--json")[1] == [
            json.dumps(
                {
                    "name": "bop",
                    "path": str(user_presets_dir() / "bop.toml"),
                    "where": "yours",
                    "hides_bundled": False,
                }
            )
        ]

    def test_never_overwrites_unasked(self, run, folder):
        path = save(folder, "mine")
        code, out, err = run("new", "mine", "--form", "B4")
        assert (code, out) == (2, [])
        assert "mine.toml: already exists; add --overwrite" in err[0]
        assert path.read_text() == ONE
        assert run("new", "mine", "--form", "B4", "--overwrite")[0] == 0
        assert outline_from_form(read_preset("mine")) == "B4"

    def test_writes_elsewhere_when_told(self, run, folder):
        assert run("new", "mine", "--out", "here.toml")[1] == ["here.toml"]
        assert not folder.exists()
        assert read_preset("here.toml").name == "here"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["x", "--form", "A8", "--from", "aaba"], "--form and --from: only one"),
            (["x", "--form", "A8 ?"], "character 4"),
            (["x", "--from", "abaa"], "no preset is called 'abaa'; did you mean a"),
            (["x", "--tempo", "1"], "tempo = 1, allowed 20 to 300"),
            (["x", "--meter", "7/8"], "meter = '7/8', allowed"),
            (["x", "--key", "H"], "'H' is not a key"),
            (["x", "--out", "x.txt"], "x.txt: a preset ends in .toml"),
            (["x", "--out", "none/x.toml"], "there is no folder none"),
            (["../x"], "name '../x', allowed: letters"),
            (["x.toml"], "without .toml; a path goes behind --out"),
            ([".x"], "name '.x', allowed"),
            (["random"], "name 'random' means a form that is drawn"),
        ],
    )
    def test_what_cannot_be_done_ends_in_one_line_and_writes_nothing(
        self, run, arguments, message, tmp_path
    ):
        code, out, err = run("new", *arguments)
        assert (code, out, len(err)) == (2, [], 1)
        assert message in err[0]
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_made_ends_in_one_line(self, run, folder):
        folder.write_text("a file")
        code, _, err = run("new", "mine")
        assert (code, len(err)) == (2, 1)
        assert "cannot be written" in err[0]


FIELDS = ("sections", "beats_per_bar", "tempo_bpm", "key", "similarity", "description", "meter")


class TestFolder:
    @pytest.fixture(autouse=True)
    def home(self, tmp_path, monkeypatch):
        monkeypatch.delenv("SINGCLI_PRESETS")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        for name in ("XDG_CONFIG_HOME", "APPDATA"):
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        ("platform", "parts"),
        [
            ("linux", ".config/singcli/presets"),
            ("darwin", "Library/Application Support/singcli/presets"),
            ("win32", "AppData/Roaming/singcli/presets"),
        ],
    )
    def test_is_where_the_platform_keeps_configurations(
        self, tmp_path, monkeypatch, platform, parts
    ):
        monkeypatch.setattr(resources.sys, "platform", platform)
        assert user_presets_dir() == tmp_path / parts

    def test_follows_the_environment(self, tmp_path, monkeypatch):
        monkeypatch.setattr(resources.sys, "platform", "linux")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "etc"))
        assert user_presets_dir() == tmp_path / "etc" / "singcli" / "presets"
        monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
        assert user_presets_dir() == tmp_path / ".config" / "singcli" / "presets"
        monkeypatch.setattr(resources.sys, "platform", "win32")
        monkeypatch.setenv("APPDATA", str(tmp_path / "data"))
        assert user_presets_dir() == tmp_path / "data" / "singcli" / "presets"
        monkeypatch.setenv("SINGCLI_PRESETS", "~/forms")
        assert user_presets_dir() == tmp_path / "forms"

    def test_need_not_exist_nor_be_readable(self, tmp_path, monkeypatch):
        assert preset_names() == BUNDLED
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv("SINGCLI_PRESETS", str(tmp_path / "file"))
        with pytest.raises(InputError, match="your presets cannot be read") as caught:
            find_presets()
        assert "SINGCLI_PRESETS" in (caught.value.remedy or "")


def test_generate_and_ssm_take_a_preset_of_the_users_by_name(folder, capsys):
    save(folder, "bop", 'form = "A2 B2"')
    assert main(["ssm", "bop"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["bars 1-2      A", "bars 3-4      B"]
    assert main(["generate", "--preset", "bop", "--seed", "1", "--quiet"]) == 0
    assert Path("bop-1.mid").is_file()


def test_a_path_is_never_taken_for_a_name(folder):
    save(folder, "bop")
    assert find_preset("bop").where == "yours"
    assert find_preset("./bop").where == find_preset("bop.toml").where == "file"


def test_runs_as_a_program_with_clean_streams(folder):
    save(folder, "bad", "tempo = fast")
    done = subprocess.run(
        [sys.executable, "-m", "singcli", "presets", "validate", "bad", "aaba", "--json"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert [json.loads(line)["valid"] for line in done.stdout.splitlines()] == [False, True]
    assert done.stderr == "error: 1 of 2 presets cannot be used\n"


class TestChart:
    def test_letters_are_bars_capitals_begin_phrases(self):
        verse = Section(
            "verse", 8, phrases=(Phrase("idea", 4), Phrase("idea", 2), Phrase("end", 2))
        )
        form = Form((Section("in", 4, tune=False), verse, Section("B", 4), Section("verse", 8)))
        assert chart_from_form(form) == [
            "in     ----",
            "verse      AaaaAaBb    AaaaAaBb",
            "B                  ====",
            "       |   |       |   |",
            "bar    1   5       13  17",
        ]

    def test_long_forms_fit_with_several_bars_a_column(self):
        form = Form((Section("A", 100), Section("B", 4), Section("C", 100)))
        lines = chart_from_form(form, columns=72)
        assert max(map(len, lines)) <= 72 + 5
        assert lines[0] == f"A    {'=' * 25}"
        assert lines[1] == f"B    {' ' * 25}="
        assert lines[-1] == f"bar  1{' ' * 24}101"

    def test_outline_tells_lengths_and_transpositions(self):
        form = Form((Section("A", 8), Section("A", 5, last_bar=0.5, transpose=-3)))
        assert outline_from_form(form) == "A8 A4.5-3"
        assert outline_from_form(Form((Section("verse-2", 8),))) == "[verse-2]8"

    def test_seconds_follow_tempos_and_meters(self):
        slow = Section("A", 4, tempo_bpm=60)
        assert seconds_from_form(Form((slow,))) == pytest.approx(16)
        fast = Section("B", 4, tempo_bpm=120, meter="2/4")
        assert seconds_from_form(Form((slow, fast))) == pytest.approx(20)
