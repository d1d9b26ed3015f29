"""What `generate` can follow beside one form: blended templates, random forms; and saving them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from singcli.cli import main
from singcli.music.midi_writing import midi_from_score
from singcli.music.score import Score, regular_bars
from singcli.preset_library import read_preset
from singcli.recipe import read_recipe

TINY = Path(__file__).parent / "data" / "tiny.onnx"


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def templates(work, aaba_score) -> tuple[str, str]:
    """Eight bars, and the first six of them."""
    (work / "a.mid").write_bytes(midi_from_score(aaba_score))
    (work / "b.mid").write_bytes(midi_from_score(aaba_score.bars(0, 6)))
    return "a.mid:0.6", "b.mid:0.4"


def run(*arguments: str | Path) -> int:
    return main(["generate", *map(str, arguments), "--model", str(TINY)])


def blend(templates) -> list[str]:
    return ["--template", templates[0], "--template", templates[1]]


def test_they_are_blended_and_the_blend_is_shown(work, templates, capsys):
    assert run(*blend(templates), "--seed", 1, "--png") == 0
    out, err = capsys.readouterr()
    assert out == "a-b-1.mid\n"
    shown = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert shown[0].startswith("blend of a.mid (0.6) and b.mid (0.4): 8 bars, sections ")
    assert "of the beats repeat" in shown[1]
    assert "similarity wanted" in shown[2]
    assert (work / "a-b-1.png").exists()
    recipe = read_recipe(work / "a-b-1.json")
    assert recipe.form is None
    assert [(file.name, file.weight) for file in recipe.templates] == [
        ("a.mid", 0.6),
        ("b.mid", 0.4),
    ]
    assert recipe.structure["score"] == recipe.structure["r_beats"]


def test_the_recipe_needs_all_of_them_as_they_were(work, templates, capsys):
    assert run(*blend(templates), "--seed", 1, "--out", "one.mid") == 0
    assert run("--recipe", "one.json", *blend(templates), "--out", "two.mid") == 0
    assert (work / "one.mid").read_bytes() == (work / "two.mid").read_bytes()
    capsys.readouterr()
    needed = "--template a.mid:0.6 --template b.mid:0.4"
    assert run("--recipe", "one.json", "--out", "three.mid") == 2
    assert f"the recipe follows a template; add {needed}" in capsys.readouterr().err
    other = blend(("a.mid:0.5", "b.mid:0.5"))
    assert run("--recipe", "one.json", *other, "--out", "three.mid") == 2
    assert "not what the recipe follows (other content, weights or another order); it " in (
        capsys.readouterr().err
    )


def test_a_template_by_another_name_makes_the_same_bytes(work, templates):
    assert run("--template", "a.mid", "--seed", 1, "--out", "one.mid") == 0
    (work / "a.mid").rename("renamed.mid")
    assert run("--recipe", "one.json", "--template", "renamed.mid", "--out", "two.mid") == 0
    assert (work / "one.mid").read_bytes() == (work / "two.mid").read_bytes()


def test_a_recipe_of_a_form_wants_none(work, templates, capsys):
    assert run("--form", "A2 A2", "--seed", 1) == 0
    capsys.readouterr()
    assert run("--recipe", "form-1.json", "--template", "a.mid", "--out", "x.mid") == 2
    assert "the recipe follows a form; leave --template out" in capsys.readouterr().err


def test_weights_are_checked(templates, capsys):
    assert run("--template", "a.mid:heavy") == 2
    assert "weight 'heavy'" in capsys.readouterr().err


def test_strictness_of_sections_needs_a_form(templates, capsys):
    assert run("--template", "a.mid", "--section-strictness", "A=1") == 2
    assert "needs a form, found a template; make a preset" in capsys.readouterr().err


def test_a_poor_template_is_warned_of_and_refused_if_strict(work, capsys):
    rng = np.random.default_rng(0)
    notes = [(step, 1, int(rng.integers(40, 80)), 1, 80) for step in range(0, 512, 2)]
    score = Score.from_notes(*np.array(notes).T, bar_beats=regular_bars(32, 4), tempo_bpm=100.0)
    (work / "noise.mid").write_bytes(midi_from_score(score))
    assert run("--template", "noise.mid", "--seed", 1, "--json") == 0
    out, err = capsys.readouterr()
    warnings = [line for line in err.splitlines() if line.startswith("warning: template noise: ")]
    assert len(warnings) == len(json.loads(out)["template"]["warnings"]) >= 1
    assert run("--template", "noise.mid", "--seed", 2, "--strict") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("error: template noise: ")
    assert sorted(path.name for path in work.iterdir()) == [
        "noise-1.json",
        "noise-1.mid",
        "noise.mid",
    ]


def test_a_good_template_passes_strict(work, capsys):
    assert main(["generate", "--preset", "verse-chorus", "--seed", "1", "--out", "good.mid"]) == 0
    capsys.readouterr()
    assert run("--template", "good.mid", "--seed", 1, "--strict", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["template"]["warnings"] == []
    assert err.startswith("template good: ")
    assert err.count("\n") == 1


def test_a_form_is_drawn_from_the_seed(work, capsys):
    assert run("--preset", "random", "--bars", 16, "--seed", 5) == 0
    assert capsys.readouterr().out == "random-16-5.mid\n"
    recipe = read_recipe(work / "random-16-5.json")
    assert recipe.structure["n_bars"] == 16
    assert recipe.form["name"] == "random-16"
    assert run("--recipe", "random-16-5.json", "--out", "again.mid") == 0
    assert (work / "again.mid").read_bytes() == (work / "random-16-5.mid").read_bytes()


def test_every_song_of_many_has_the_form_of_its_own_seed(work):
    assert run("--preset", "random", "--bars", 16, "--seed", 5, "--count", 3) == 0
    forms = [read_recipe(work / f"random-16-{seed}.json").form for seed in (5, 6, 7)]
    assert len({json.dumps(form["sections"]) for form in forms}) > 1
    arguments = ["--preset", "random", "--bars", 16, "--seed", 6, "--out", "alone.mid"]
    assert run(*arguments) == 0
    assert (work / "alone.mid").read_bytes() == (work / "random-16-6.mid").read_bytes()


def test_lengths_are_checked(work, capsys):
    assert run("--preset", "random", "--bars", 1) == 2
    assert "bars = 1, allowed" in capsys.readouterr().err


def test_a_random_form_can_be_used_again(work, capsys):
    arguments = ["--preset", "random", "--bars", 16, "--seed", 5, "--quiet"]
    assert run(*arguments, "--save-preset", "mine.toml") == 0
    form = read_preset("mine.toml")
    assert form.n_bars == 16
    assert form.name == "mine"
    assert run("--preset", "mine.toml", "--seed", 5, "--quiet") == 0
    song, again = (
        read_recipe(work / name).structure for name in ("random-16-5.json", "mine-5.json")
    )
    assert song == again


def test_the_form_of_a_blend(work, templates, capsys):
    assert run(*blend(templates), "--seed", 1, "--save-preset", "mine.toml") == 0
    assert "form written to mine.toml" in capsys.readouterr().err
    assert read_preset("mine.toml").n_bars == 8


def test_with_the_strictness_of_its_sections(work):
    arguments = ["--form", "A2 B2 A2", "--section-strictness", "A=0.9", "--seed", 1]
    assert run(*arguments, "--save-preset", "mine.toml") == 0
    assert [s.strictness for s in read_preset("mine.toml").sections] == [0.9, None, 0.9]


def test_one_file_holds_one_random_form(work, capsys):
    arguments = ["--preset", "random", "--count", 2, "--save-preset", "mine.toml"]
    assert run(*arguments) == 2
    assert "the songs have several forms; save them one by one" in capsys.readouterr().err


def test_a_file_in_the_way_is_found_first(work, capsys):
    (work / "mine.toml").write_text("")
    assert run("--form", "A2 A2", "--save-preset", "mine.toml") == 2
    assert "mine.toml: already exists; add --overwrite" in capsys.readouterr().err
    assert [path.name for path in work.iterdir()] == ["mine.toml"]
