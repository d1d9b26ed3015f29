"""README.md says what is true: its commands run, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
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


FIRST = [block for block in RUNNABLE if "singcli prepare" in block or block == RUNNABLE[0]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which `singcli` is this checkout's."""
    programs = tmp_path_factory.mktemp("bin")
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


@pytest.fixture(scope="module")
def first_work(tmp_path_factory, environment):
    """A folder in which the blocks have run whose files the others use."""
    work = tmp_path_factory.mktemp("work")
    for block in FIRST:
        run_block(block, work, environment)
    return work


def run_block(block, work, environment):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_the_first_commands_make_what_they_say(first_work):
    made = {path.name for path in first_work.iterdir()}
    assert {"verse-chorus-7.mid", "verse-chorus-7.json", "songs", "data"} <= made
    assert len(list((first_work / "songs").glob("*.mid"))) == 3
    again, song = (first_work / name for name in ("again.mid", "verse-chorus-7.mid"))
    assert again.read_bytes() == song.read_bytes()


@pytest.mark.parametrize("block", [block for block in RUNNABLE if block not in FIRST])
def test_every_other_command_runs_as_it_is_spelled(block, first_work, tmp_path, environment):
    work = tmp_path / "work"
    shutil.copytree(first_work, work)
    run_block(block, work, environment)


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
