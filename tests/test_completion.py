"""`singcli completion`, its scripts in real shells, and the answers that they ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from singcli.cli import completing, main
from singcli.cli.app import build_app
from singcli.cli.completing import ARGUMENT_NAMES, OPTION_NAMES, WORD_VARIABLE, candidates
from singcli.cli.completion import SCRIPTS
from singcli.model.plan import SCALE_LOCKS
from singcli.resources import presets_dir

ROOT = Path(__file__).resolve().parents[1]
PRESETS = sorted(path.stem for path in presets_dir().glob("*.toml"))


@pytest.fixture
def environment(tmp_path):
    """An environment in which `singcli` is this checkout's."""
    program = tmp_path / "bin" / "singcli"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m singcli "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}


def shell(name: str, script: str, environment, *options: str) -> list[str]:
    """Run a script in a shell and return the lines that it prints."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [name, *options, "-c", script],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def values(before: str, word: str) -> list[str]:
    return [value for value, _ in candidates(before.split(), word)]


class TestCandidates:
    @pytest.mark.parametrize("before", ["generate --preset", "generate -p", "generate --preset ="])
    def test_presets_behind_their_option(self, before):
        assert values(before, "ab") == ["aba", "abac"]
        assert values(before, "") == [*PRESETS, "random"]

    def test_an_option_and_its_value_in_one_word(self):
        assert values("generate", "--preset=ab") == ["--preset=aba", "--preset=abac"]
        assert values("generate --preset", "=") == [*PRESETS, "random"]

    @pytest.mark.parametrize(
        "before", ["presets show", "presets path", "presets validate rag", "ssm", "ssm --png"]
    )
    def test_presets_as_arguments(self, before):
        assert values(before, "") == PRESETS

    def test_the_users_presets_too(self, tmp_path, monkeypatch):
        (tmp_path / "mine.toml").touch()
        (tmp_path / "notes.txt").touch()
        monkeypatch.setenv("SINGCLI_PRESETS", str(tmp_path))
        assert values("generate --preset", "m") == ["march", "mine", "minuet-trio"]

    def test_commands_subcommands_and_options_with_their_help(self):
        assert "generate" in values("", "")
        assert values("", "pre") == ["prepare", "presets"]
        assert values("--debug", "eval") == ["evaluate"]
        assert values("presets", "") == ["list", "show", "path", "validate", "new"]
        assert values("generate --preset aaba", "--no-e") == ["--no-ending"]
        assert values("presets new", "--he") == ["--help"]
        ((_, text),) = candidates(["generate"], "--lead-range")
        assert text.startswith("Of the lead")

    def test_choices_of_options_and_arguments(self):
        assert values("prepare --beats", "") == ["file", "annotation", "estimate"]
        assert values("generate --scale-lock", "") == list(SCALE_LOCKS)
        assert values("completion", "p") == ["powershell"]
        assert values("prepare --rules", "s") == ["solo-piano"]
        assert values("generate --model", "pop") == ["pop", "pop-float32"]

    @pytest.mark.parametrize("before", ["generate --recipe", "generate --seed", "evaluate"])
    def test_nothing_where_files_or_numbers_belong(self, before):
        assert values(before, "s") == []

    def test_names_belong_to_options_and_commands_that_exist(self):
        group = typer.main.get_command(build_app(colour=False))
        commands = {(name,): command for name, command in group.commands.items()}
        for (name,), command in list(commands.items()):
            for part, sub in getattr(command, "commands", {}).items():
                commands[name, part] = sub
        options = {o for command in commands.values() for p in command.params for o in p.opts}
        assert set(OPTION_NAMES) <= options
        assert set(ARGUMENT_NAMES) <= set(commands)


def test_names_of_presets_need_neither_typer_nor_numpy():
    script = (
        "import sys; from singcli.cli import main; code = main(['generate', '--preset']);"
        "heavy = {'numpy', 'onnxruntime', 'typer', 'pydantic', 'rich', 'tomllib'};"
        "print(sorted(heavy & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {WORD_VARIABLE: ":"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[] 0\n"
    assert done.stdout.splitlines() == [*PRESETS, "random"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_asks_as_the_answers_expect(name, capsys):
    assert main(["completion", name]) == 0
    out, err = capsys.readouterr()
    assert WORD_VARIABLE in out
    assert "@" + "VARIABLE" not in out
    assert err == ""


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "powershell" in capsys.readouterr().err


def test_shells_and_scripts_are_the_same():
    assert tuple(SCRIPTS) == completing.SHELLS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["generate", "--preset", "ab"], ["aba", "abac"]),
        (["generate", "--preset", "=", "ab"], ["aba", "abac"]),
        (["generate", "--preset", "my"], [r"my\ own"]),
        (["pre"], ["prepare", "presets"]),
        (["generate", "--recipe", ""], []),
    ],
)
def test_bash(tmp_path, environment, words, expected):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "my own.toml").touch()
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        f"source <(singcli completion bash); COMP_WORDS=(singcli {quoted});"
        f"COMP_CWORD={len(words)}; _singcli singcli '{words[-1]}' x;"
        "((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"; complete -p singcli"
    )
    lines = shell("bash", script, environment | {"SINGCLI_PRESETS": str(tmp_path / "presets")})
    assert lines == [*expected, "complete -o bashdefault -o default -F _singcli singcli"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("generate --preset ab", ["aba", "abac"]),
        ("generate --key 'D minor' --no-e", ["--no-ending  -- Close with a long tonic chord"]),
        ("generate --recipe ''", ["files"]),
    ],
)
def test_zsh(environment, words, expected):
    script = (
        "autoload -Uz compinit; compinit -u -D; source <(singcli completion zsh);"
        "compadd() { print -rl -- $shown }; _files() { print files };"
        f'words=(singcli {words}); CURRENT=$#words; PREFIX="$words[-1]"; _singcli'
    )
    lines = shell("zsh", script, environment, "-f")
    assert len(lines) == len(expected)
    assert all(line.startswith(words) for line, words in zip(lines, expected, strict=True))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("generate --preset ab", ["aba", "abac"]),
        ("generate --preset=ab", ["--preset=aba", "--preset=abac"]),
        ("generate --scale-l", ["--scale-lock\tNotes outside the key"]),
        ("generate --recipe so", ["song.json"]),
    ],
)
def test_fish(tmp_path, environment, line, expected):
    (tmp_path / "song.json").touch()
    script = f'singcli completion fish | source; complete -C "singcli {line}"'
    lines = shell("fish", script, environment, "--no-config")
    assert len(lines) == len(expected)
    assert all(line.startswith(words) for line, words in zip(lines, expected, strict=True))
