"""Where the value of an option comes from: flag, environment, file, preset, default."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from singcli.cli import main
from singcli.cli.app import build_app
from singcli.cli.settings import NO_SETTINGS, RIVALS, key_of, settings

TINY = Path(__file__).parent / "data" / "tiny.onnx"


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SINGCLI_PRESETS", raising=False)
    (tmp_path / "slow.toml").write_text('form = "A2 A2"\ntempo = 60\nkey = "D minor"\n')
    return tmp_path


@pytest.fixture
def generate():
    return typer.main.get_command(build_app(colour=False)).commands["generate"]


def config(text: str) -> str:
    Path("c.toml").write_text(text)
    return "c.toml"


def shown(capsys, *arguments: str) -> dict[str, tuple[object, str]]:
    """Return value and origin of every key."""
    assert main(["generate", *arguments, "--print-config", "--json"]) == 0
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {row["key"]: (row["value"], row["origin"]) for row in lines}


def error(capsys, *arguments: str) -> str:
    assert main(["generate", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_each_place_goes_before_the_next(capsys, monkeypatch):
    places = [("tempo", (60.0, "preset slow")), ("temperature", (None, ""))]
    given = ["-p", "slow.toml"]
    default = "lead=0.97,accompaniment=0.97,count=1.1,duration=0.97,velocity=0.97"
    found = shown(capsys, *given)
    assert found["tempo"] == places[0][1]
    assert found["key"] == ("D minor", "preset slow")
    assert found["temperature"] == (default, "default")
    assert found["preset"] == (["slow.toml"], "--preset")

    given += ["--config", config("tempo = 70\ntemperature = 0.7\nsteering = 0.25\n")]
    found = shown(capsys, *given)
    assert found["tempo"] == (70.0, "c.toml: tempo")
    assert found["temperature"] == ("0.7", "c.toml: temperature")

    monkeypatch.setenv("SINGCLI_TEMPO", "80")
    monkeypatch.setenv("SINGCLI_TEMPERATURE", "0.8")
    found = shown(capsys, *given)
    assert found["tempo"] == (80.0, "SINGCLI_TEMPO")
    assert found["temperature"] == ("0.8", "SINGCLI_TEMPERATURE")

    found = shown(capsys, *given, "--tempo", "90")
    assert found["tempo"] == (90.0, "--tempo")
    assert found["temperature"] == ("0.8", "SINGCLI_TEMPERATURE")
    assert found["steering"] == (0.25, "c.toml: steering")


def test_what_is_set_elsewhere_reaches_the_song(work, monkeypatch):
    path = config(f'model = "{TINY}"\ntempo = 70\nseeds = [3, "5-6"]\nfilename = "{{seed}}.mid"\n')
    monkeypatch.setenv("SINGCLI_CONFIG", path)
    monkeypatch.setenv("SINGCLI_PRESET", "slow.toml")
    monkeypatch.setenv("SINGCLI_OUT_DIR", "made")
    assert main(["generate", "-q"]) == 0
    assert {file.name for file in (work / "made").glob("*.mid")} == {"3.mid", "5.mid", "6.mid"}
    recipe = json.loads((work / "made" / "3.json").read_text())
    assert recipe["options"]["tempo"] == 70
    # Beside a recipe it counts as if it were given.
    monkeypatch.delenv("SINGCLI_PRESET")
    assert main(["generate", "--recipe", "made/3.json", "--out", "again.mid", "--seed", "3"]) == 0
    assert (work / "again.mid").read_bytes() == (work / "made" / "3.mid").read_bytes()


def test_all_spellings_of_a_file(capsys):
    path = config(
        'preset = ["slow.toml"]\n'
        "temperature = { lead = 0.9, duration = 0.8 }\n"
        "max_polyphony = { lead = 1 }\n"
        "section_strictness = { A = 0.5 }\n"
        'seeds = ["1-3", 9]\n'
        "ending = false\n"
        "png = true\n"
        "count = 1\n"
    )
    found = shown(capsys, "--config", path, "--seeds", "4")
    assert {key: found[key][0] for key in ("seeds", "ending", "png", "section_strictness")} == {
        "seeds": "4",
        "ending": False,
        "png": True,
        "section_strictness": ["A=0.5"],
    }
    assert found["temperature"][0] == "lead=0.9,duration=0.8"
    assert found["max_polyphony"][0] == "lead=1"


def test_lists_of_the_environment_have_commas(capsys, monkeypatch):
    monkeypatch.setenv("SINGCLI_PRESET", "slow.toml,aaba")
    found = shown(capsys)
    assert found["preset"] == (["slow.toml", "aaba"], "SINGCLI_PRESET")
    assert found["tempo"] == (None, "of each form")
    assert found["strictness"] == (0.85, "default")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--form", "A2 A2"], 'preset = "aaba"\n'),
        (["-p", "slow.toml", "--seeds", "1-2"], "seed = 3\ncount = 4\n"),
        (["-p", "slow.toml", "--seed", "1"], 'seeds = "1-9"\n'),
        (["-p", "slow.toml", "--seed", "1", "--skip-existing"], "overwrite = true\n"),
        (["-p", "slow.toml", "--out", "x.mid"], 'out_dir = "y"\n'),
    ],
)
def test_what_a_flag_rules_out_gives_way(capsys, flags, text):
    found = shown(capsys, *flags, "--config", config(text))
    assert not any(origin.startswith("c.toml") for _, origin in found.values())


def test_rivals_of_one_place_are_an_error(capsys):
    path = config('preset = "aaba"\nform = "A2 A2"\n')
    assert "found --preset and --form" in error(capsys, "--config", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tempoo = 3\n", "c.toml: unknown key 'tempoo'; did you mean tempo?"),
        ("out-dir = 'x'\n", "c.toml: unknown key 'out-dir'; did you mean out_dir?"),
        ("config = 'x'\n", "c.toml: unknown key 'config'"),
        ("tempo = 'fast'\n", "c.toml: tempo = 'fast': "),
        ("count = 2.5\n", "c.toml: count = '2.5': "),
        ("count = 0\n", "c.toml: count = '0': "),
        ("png = 'perhaps'\n", "c.toml: png = 'perhaps': "),
        ("best_of = true\n", "c.toml: best_of = 'true': "),
        ("tempo = 3000\n", "tempo = 3000, allowed: 20 to 300"),
        ("tempo = nan\n", "tempo = nan, allowed: 20 to 300"),
        ("tempo = \n", "c.toml, line 1"),
        ("[generate]\ntempo = 3\n", "c.toml: unknown key 'generate'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_key_and_value(capsys, text, message):
    assert message in error(capsys, "-p", "slow.toml", "--config", config(text))


def test_a_missing_file_is_told(capsys):
    assert "no.toml: cannot be read" in error(capsys, "-p", "slow.toml", "--config", "no.toml")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SINGCLI_TEMPOO", "3", "SINGCLI_TEMPOO in the environment: no option is called tempoo"),
        ("SINGCLI_OUTDIR", "x", "did you mean SINGCLI_OUT_DIR?"),
        ("SINGCLI_TEMPO", "fast", "SINGCLI_TEMPO = 'fast': "),
        ("SINGCLI_COUNT", "0", "SINGCLI_COUNT = '0': "),
        ("SINGCLI_PRESET", "aabba", "no preset is called 'aabba'; did you mean"),
    ],
)
def test_an_environment_that_cannot_be_used_is_told(capsys, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    given = [] if variable == "SINGCLI_PRESET" else ["-p", "slow.toml"]
    assert message in error(capsys, *given)


def test_what_is_printed_is_a_file_with_the_same_effect(capsys):
    path = config('preset = "slow.toml"\ntempo = 70\nseeds = "1-3"\nkey = "E minor"\n')
    given = ["--config", path, "--strictness", "0.5", "--section-strictness", "A=1"]
    before = shown(capsys, *given)
    assert main(["generate", *given, "--print-config"]) == 0
    text = capsys.readouterr().out
    assert 'key = "E minor"  # c.toml: key\n' in text
    assert "strictness = 0.5  # --strictness\n" in text
    assert "# best_of = 1  # default\n" in text
    assert "# bars =   # default\n" in text
    after = shown(capsys, "--config", config(text))
    assert {key: value for key, (value, _) in after.items()} == {
        key: value for key, (value, _) in before.items()
    }


def test_a_recipe_is_named_as_an_origin(capsys, work):
    arguments = ["--form", "A2 A2", "--seed", "1", "--tempo", "66", "--model", str(TINY)]
    assert main(["generate", *arguments, "-q"]) == 0
    capsys.readouterr()
    found = shown(capsys, "--recipe", "form-1.json", "--key", "F minor")
    assert found["tempo"] == (66.0, "recipe form-1.json")
    assert found["key"] == ("F minor", "--key")


def test_nothing_is_written(capsys, work):
    before = set(work.iterdir())
    shown(capsys, "-p", "slow.toml", "--seeds", "1-3", "--save-preset", "x.toml")
    assert set(work.iterdir()) == before


def test_every_rival_is_an_option_and_every_option_can_be_set(generate):
    known = settings(generate)
    assert {key for group in RIVALS for keys in group for key in keys} <= set(known)
    assert {key_of(parameter) for parameter in generate.params} <= {*known, *NO_SETTINGS}
    assert {"preset", "out_dir", "json", "quiet", "jobs"} <= set(known)


def test_a_variable_of_another_part_is_no_mistake(capsys, monkeypatch):
    monkeypatch.setenv("SINGCLI_DEBUG", "0")
    monkeypatch.setenv("SINGCLI_PRESETS", "elsewhere")
    assert shown(capsys, "-p", "slow.toml")["tempo"][0] == 60


def test_help_does_not_mind_a_broken_environment():
    script = "import sys; from singcli.cli import main; sys.exit(main(['generate', '--help']))"
    environment = {"SINGCLI_TEMPOO": "3", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0
