"""Several attempts at a song: which is kept, under which name, and how it is made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from singcli.attempts import Attempts, seed_of_attempt
from singcli.cli import main
from singcli.errors import InputError, StructureError
from singcli.generate import generate_songs
from singcli.metrics.report import StructureReport
from singcli.recipe import read_recipe
from singcli.structure.form_string import form_from_string
from singcli.targets import below_path
from singcli.wish import Wish

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "tests" / "data" / "tiny.onnx"
FORM = "A2 B2 A2"


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str | Path) -> int:
    followed = [] if "--recipe" in arguments else ["--form", FORM]
    return main(["generate", *followed, *map(str, arguments), "--model", str(TINY)])


def songs(*seeds: int, folder: Path, attempts: Attempts):
    targets = [(seed, folder / f"{seed}.mid") for seed in seeds]
    wish = Wish(form_from_string(FORM))
    return generate_songs(wish, TINY, targets, attempts=attempts, overwrite=True)


def one(seed: int, folder: Path, **attempts):
    return next(songs(seed, folder=folder, attempts=Attempts(**attempts)))


def report(score: float) -> StructureReport:
    return StructureReport(2, 2, score, score, 0.0, None, None, 0.0, 0.0, ())


class TestAttempts:
    def test_without_a_requirement_the_best_is_kept_and_of_equals_the_first(self):
        attempts = Attempts(3)
        assert attempts.prefers(report(0.9), report(0.8))
        assert not attempts.prefers(report(0.8), report(0.8))

    def test_the_first_that_reaches_the_requirement_is_kept(self):
        attempts = Attempts(3, min_structure=0.8)
        assert attempts.prefers(report(0.7), report(0.6))
        assert not attempts.prefers(report(0.9), report(0.8))

    def test_rounds(self):
        assert Attempts().rounds == (range(1, 2),)
        assert Attempts(4).rounds == (range(1, 5),)
        assert Attempts(4, min_structure=0.5).rounds == (range(1, 2), range(2, 5))
        assert Attempts(4, min_structure=0.5, only=3).rounds == (range(3, 4),)
        assert Attempts(4, min_structure=0.5).most == 4

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ((0,), "best_of = 0, allowed: 1 to 256"),
            ((2, 1.5), r"min_structure = 1\.5, allowed: 0 to 1"),
            ((2, float("nan")), "min_structure = nan"),
            ((2, None, 3), "attempt = 3, allowed: 1 to 2"),
        ],
    )
    def test_ranges(self, values, message):
        with pytest.raises(InputError, match=message):
            Attempts(*values)

    def test_seeds_depend_on_song_and_number_alone(self):
        assert seed_of_attempt(7, 1) == 7
        draws = {
            float(np.random.Generator(np.random.PCG64(seed_of_attempt(seed, number))).random())
            for seed in (7, 8)
            for number in (1, 2, 3)
        }
        assert len(draws) == 6


class TestBestOf:
    def test_one_attempt_is_the_song_of_the_seed(self, tmp_path):
        plain = one(3, tmp_path)
        again = one(3, tmp_path, best_of=1)
        assert plain.report == again.report
        assert (plain.recipe.best_of, plain.recipe.attempt) == (1, 1)

    def test_the_best_attempt_is_kept_and_can_be_made_again_alone(self, tmp_path):
        alone = [one(3, tmp_path, best_of=5, only=number) for number in range(1, 6)]
        scores = [song.report.score for song in alone]
        best = one(3, tmp_path, best_of=5)
        assert best.report.score == max(scores)
        assert best.recipe.attempt == 1 + scores.index(max(scores))
        assert len(set(scores)) > 1
        kept = best.path.read_bytes()
        assert one(3, tmp_path, best_of=5, only=best.recipe.attempt).path.read_bytes() == kept

    @pytest.mark.parametrize("rows", [3, 8])
    def test_a_song_does_not_depend_on_what_else_is_made(self, tmp_path, monkeypatch, rows):
        expected = [one(seed, tmp_path, best_of=4).report for seed in range(3)]
        monkeypatch.setattr("singcli.attempts.ROWS_AT_ONCE", rows)
        made = songs(*range(3), folder=tmp_path, attempts=Attempts(4))
        assert [song.report for song in made] == expected

    def test_the_recipe_makes_the_same_bytes(self, work):
        seed = next(s for s in range(20) if one(s, work, best_of=4).recipe.attempt > 1)
        assert run("--seed", seed, "--best-of", 4, "--out", "one.mid") == 0
        recipe = read_recipe(work / "one.json")
        assert recipe.best_of == 4
        assert recipe.attempt > 1
        assert run("--recipe", "one.json", "--out", "two.mid") == 0
        assert (work / "two.mid").read_bytes() == (work / "one.mid").read_bytes()
        assert run("--recipe", "one.json", "--seed", seed, "--out", "three.mid") == 0
        assert (work / "three.mid").read_bytes() == (work / "one.mid").read_bytes()


class TestMinStructure:
    def test_the_first_good_attempt_is_kept(self, tmp_path):
        alone = [one(3, tmp_path, best_of=6, only=number) for number in range(1, 7)]
        scores = [song.report.score for song in alone]
        middle = sorted(scores)[3]
        song = one(3, tmp_path, best_of=6, min_structure=middle)
        assert song.reached
        assert song.recipe.attempt == 1 + next(i for i, s in enumerate(scores) if s >= middle)
        assert song.path == tmp_path / "3.mid"

    def test_the_error_comes_when_all_songs_are_made(self, tmp_path):
        made = songs(1, 2, 3, folder=tmp_path, attempts=Attempts(2, min_structure=1.0))
        for seed in (1, 2, 3):
            song = next(made)
            assert (song.seed, song.reached) == (seed, False)
            assert song.path == tmp_path / f"{seed}.below-1.00.mid"
            assert song.path.exists()
        with pytest.raises(StructureError, match=r"3 of 3 songs fall short, the furthest .*1\.00"):
            next(made)

    def test_what_falls_short_is_kept_under_a_name_that_says_so_with_exit_code_4(
        self, work, capsys
    ):
        assert run("--seed", 3, "--best-of", 3, "--min-structure", 1, "--png", "--json") == 4
        out, err = capsys.readouterr()
        row = json.loads(out)
        assert (row["reached"], row["best_of"]) == (False, 3)
        name = "form-3.below-1.00"
        assert {path.name for path in work.iterdir()} == {
            f"{name}.mid",
            f"{name}.json",
            f"{name}.png",
        }
        reached = row["structure"]["score"]
        assert err == (
            f"error: {name}.mid: structure {reached:.2f}, wanted 1 (best of 3); try a higher "
            "--strictness, a higher --best-of or fewer bars\n"
        )
        assert run("--recipe", f"{name}.json", "--out", "again.mid") == 0
        assert (work / "again.mid").read_bytes() == (work / f"{name}.mid").read_bytes()

    def test_good_songs_of_the_same_call_keep_their_names(self, work, capsys):
        alone = songs(1, 2, 3, 4, folder=work / "alone", attempts=Attempts())
        scores = {song.seed: song.report.score for song in alone}
        required = round(sorted(scores.values())[2], 3)
        below = f"below-{required:.3f}".rstrip("0")
        arguments = ["--seed", 1, "--count", 4, "--best-of", 1, "--min-structure", required]
        assert run(*arguments, "--out-dir", "many", "--filename", "{seed}.mid") == 4
        written = {path.name for path in (work / "many").glob("*.mid")}
        assert written == {
            f"{seed}.mid" if score >= required else f"{seed}.{below}.mid"
            for seed, score in scores.items()
        }
        assert "songs fall short, the furthest" in capsys.readouterr().err

    def test_four_attempts_are_made_unless_told_otherwise(self, work):
        assert run("--seed", 3, "--min-structure", 1, "--quiet") == 4
        assert read_recipe(work / "form-3.below-1.00.json").best_of == 4
        assert run("--seed", 3, "--min-structure", 0, "--quiet") == 0
        assert read_recipe(work / "form-3.json").attempt == 1

    def test_a_file_in_the_way_of_either_name_is_found_first(self, work, capsys):
        (work / "form-3.below-1.00.mid").write_text("")
        assert run("--seed", 3, "--min-structure", 1) == 2
        assert "form-3.below-1.00.mid: already exists" in capsys.readouterr().err

    def test_as_a_process(self, work):
        command = [sys.executable, "-m", "singcli", "generate", "--form", FORM, "--seed", "3"]
        command += ["--min-structure", "1", "--best-of", "2", "--model", str(TINY)]
        done = subprocess.run(
            command,
            cwd=work,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 4
        assert done.stdout == "form-3.below-1.00.mid\n"
        assert done.stderr.splitlines()[-1].startswith("error: form-3.below-1.00.mid: structure ")


@pytest.mark.parametrize(("wanted", "name"), [(0.8, "0.80"), (1, "1.00"), (0.875, "0.875")])
def test_the_name_holds_the_requirement(wanted, name):
    assert below_path(Path("a/x.mid"), wanted) == Path(f"a/x.below-{name}.mid")
