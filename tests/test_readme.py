"""README.md says what is true: its commands run, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from singcli.cli.app import COMMANDS, build_app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:bash|console)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SET_UP = [block for block in BLOCKS if "pip install" in block]
TRAINING = [block for block in BLOCKS if "singcli train" in block]
RUNNABLE = [block for block in BLOCKS if block not in SET_UP + TRAINING]


@pytest.fixture
def environment(tmp_path):
    """An environment in which `singcli` is this checkout's."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "singcli"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m singcli "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def test_there_are_exactly_two_commands_to_set_up():
    assert [block.count("\n") for block in SET_UP] == [1, 1]
    use, develop = SET_UP
    assert use == "pip install . && singcli generate --preset aaba\n"
    assert develop == 'pip install -e ".[train,dev]" && pytest\n'


def test_every_other_command_runs_as_it_is_spelled(tmp_path, environment):
    work = tmp_path / "work"
    work.mkdir()
    for block in RUNNABLE:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
    made = {path.name for path in work.iterdir()}
    assert {"verse-chorus-7.mid", "verse-chorus-7.json", "songs", "data"} <= made
    assert len(list((work / "songs").glob("*.mid"))) == 3
    assert (work / "again.mid").read_bytes() == (work / "verse-chorus-7.mid").read_bytes()


def test_training_commands_are_accepted_by_the_parser():
    group = typer.main.get_command(build_app(colour=False))
    for line in "".join(TRAINING).splitlines():
        program, name, *arguments = shlex.split(line)
        assert program == "singcli"
        group.commands[name].make_context(name, arguments, resilient_parsing=True).close()


def test_links_within_the_repository_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_command_and_every_preset_is_mentioned():
    for name in COMMANDS:
        assert f"`{name.replace('_', '-')}`" in README
    for path in (ROOT / "presets").glob("*.toml"):
        assert f"`{path.stem}`" in README
