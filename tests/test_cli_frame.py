"""The frame of the command line: streams, exit codes, errors, help."""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import singcli
from singcli.cli import main
from singcli.cli.app import COMMANDS, build_app, needed_commands, run_app
from singcli.cli.console import Console, use_colour
from singcli.cli.quick_start import collection_paused
from singcli.errors import InputError, PartialFailureError, SingError

ROOT = Path(__file__).resolve().parents[1]
COMMAND_NAMES = [name.replace("_", "-") for name in COMMANDS]
SUBCOMMANDS = [
    [name, part]
    for name in COMMANDS
    for part in getattr(importlib.import_module(f"singcli.cli.{name}"), "SUBCOMMANDS", ())
]
PLAIN_ENVIRONMENT = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "SINGCLI_DEBUG", "TERM"):
        monkeypatch.delenv(name, raising=False)


def run(error: BaseException | None, *options: str) -> int:
    """Run a command that raises `error`."""
    app = build_app(colour=False)

    @app.command("fail")
    def fail() -> None:
        if error is not None:
            raise error

    return run_app(app, [*options, "fail"])


def singcli_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "singcli", *arguments],
        cwd=ROOT,
        env=os.environ | PLAIN_ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SingError("the disk is full"), 1, "error: the disk is full\n"),
        (InputError("a.toml: x = 3", "write 2"), 2, "error: a.toml: x = 3; write 2\n"),
        (PartialFailureError("2 of 3 files failed"), 3, "error: 2 of 3 files failed\n"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "error: /x/y: Permission denied\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (None, 0, ""),
    ],
)
def test_what_a_user_can_act_on_is_one_line_and_an_exit_code(capsys, error, code, line):
    assert run(error) == code
    assert capsys.readouterr() == ("", line)


def test_debug_shows_the_traceback_before_the_same_line(capsys):
    assert run(InputError("no such thing"), "--debug") == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("\nerror: no such thing\n")


def test_debug_can_be_set_in_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("SINGCLI_DEBUG", "1")
    assert run(InputError("no such thing")) == 2
    assert capsys.readouterr().err.startswith("Traceback")


@pytest.mark.parametrize("bug", [ValueError("oops"), FileNotFoundError(2, "No such file", "x")])
def test_a_bug_is_not_dressed_up_as_a_message(bug):
    with pytest.raises(type(bug)):
        run(bug)


def test_a_reader_that_stops_reading_ends_the_command_silently():
    script = (
        "import sys; from singcli.cli.app import build_app, run_app;"
        "from singcli.cli.console import Console; app = build_app(colour=False);"
        "app.command('talk')(lambda: [Console().result('x' * 99) for _ in range(9999)]);"
        "sys.exit(run_app(app, ['talk']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_usage_errors_exit_with_2(capsys):
    assert main(["--bogus"]) == 2
    assert main(["nosuchcommand"]) == 2
    assert "No such option: --bogus" in capsys.readouterr().err


def test_version_is_the_packages_own(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"singcli {singcli.__version__}\n"


def test_without_arguments_the_help_is_shown_and_the_exit_code_is_2(capsys):
    assert main([]) == 2
    shown = capsys.readouterr()
    assert all(name in shown.out + shown.err for name in COMMAND_NAMES)


@pytest.mark.parametrize("name", COMMAND_NAMES)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_command_ends_with_two_examples_or_more(capsys, name, flag):
    assert main([name, flag]) == 0
    _, examples = capsys.readouterr().out.split("Examples:\n")
    commands = [line for line in examples.splitlines() if line.startswith("    singcli ")]
    assert len(commands) >= 2
    assert len(commands) * 2 == len(examples.splitlines())


@pytest.mark.parametrize("words", SUBCOMMANDS, ids=" ".join)
def test_help_of_a_subcommand_shows_the_examples_that_call_it(capsys, words):
    assert main([*words, "--help"]) == 0
    _, examples = capsys.readouterr().out.split("Examples:\n")
    commands = [line for line in examples.splitlines() if line.startswith("    singcli ")]
    assert len(commands) >= 2
    assert all(line.split()[1:3] == words for line in commands)


@pytest.mark.parametrize("group", sorted({name for name, _ in SUBCOMMANDS}))
def test_a_group_without_a_subcommand_shows_its_help(capsys, group):
    assert main([group]) == 2
    shown = capsys.readouterr()
    assert all(part in shown.out + shown.err for name, part in SUBCOMMANDS if name == group)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_is_a_command_that_the_parser_accepts(name):
    module = sys.modules[f"singcli.cli.{name}"]
    group = typer.main.get_command(build_app(colour=False))
    for _, line in module.EXAMPLES:
        for part in line.split(" && "):
            program, command_name, *arguments = shlex.split(part)
            assert program == "singcli"
            command = group.commands[command_name]
            if hasattr(command, "commands"):  # a group of commands
                command_name, *arguments = arguments
                command = command.commands[command_name]
            command.make_context(command_name, arguments, resilient_parsing=True).close()


HELPED = [[], *([name] for name in COMMAND_NAMES), *SUBCOMMANDS]


@pytest.mark.parametrize("words", HELPED, ids=" ".join)
def test_help_imports_nothing_heavy(words):
    script = (
        "import sys; from singcli.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'numpy', 'onnxruntime', 'torch', 'mido', 'symusic', 'rich'};"
        "print(sorted(heavy & set(sys.modules)), code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--help"],
        cwd=ROOT,
        env=os.environ | PLAIN_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[] 0\n"
    assert done.stdout.startswith("Usage: singcli")


def test_help_has_colours_only_where_they_are_wanted():
    assert "\x1b[" not in singcli_process("ssm", "--help", NO_COLOR="", TERM="xterm").stdout
    assert "\x1b[" not in singcli_process("ssm", "--help", FORCE_COLOR="1").stdout
    coloured = singcli_process("ssm", "--help", NO_COLOR="", TERM="xterm", FORCE_COLOR="1").stdout
    assert "\x1b[1msingcli ssm " in coloured


@pytest.mark.parametrize(
    ("environment", "stream", "expected"),
    [
        ({}, Terminal(), True),
        ({}, io.StringIO(), False),
        ({"NO_COLOR": "1"}, Terminal(), False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, Terminal(), False),
        ({"NO_COLOR": ""}, Terminal(), True),
        ({"FORCE_COLOR": "1"}, io.StringIO(), True),
        ({"TERM": "dumb"}, Terminal(), False),
    ],
)
def test_colour_follows_the_environment_and_the_terminal(
    monkeypatch, environment, stream, expected
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert use_colour(stream) is expected


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys):
    console = Console()
    console.result("song.mid")
    console.result_json({"été": 1})
    console.status("working")
    console.warning("odd")
    out, err = capsys.readouterr()
    assert out.splitlines() == ["song.mid", '{"été": 1}']
    assert err.splitlines() == ["working", "warning: odd"]
    assert json.loads(out.splitlines()[1]) == {"été": 1}


def test_quiet_keeps_results_and_warnings(capsys):
    console = Console(quiet=True)
    console.status("working")
    console.warning("odd")
    console.result("song.mid")
    assert capsys.readouterr() == ("song.mid\n", "warning: odd\n")


@pytest.mark.parametrize(
    ("quiet", "stream", "drawn"),
    [(False, Terminal, True), (True, Terminal, False), (False, io.StringIO, False)],
)
def test_progress_is_drawn_on_a_terminal_only(monkeypatch, quiet, stream, drawn):
    shown = stream()
    monkeypatch.setattr(sys, "stderr", shown)
    with Console(quiet=quiet).progress("Reading") as report:
        report(1, 3)
        report(3, 3, "last.mid")
    assert ("Reading" in shown.getvalue()) is drawn


def test_labels_are_coloured_on_a_terminal(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    Console().error("no")
    assert shown.getvalue() == "\x1b[31m\x1b[1merror\x1b[0m: no\n"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], COMMANDS),
        (["--help"], COMMANDS),
        (["generat"], COMMANDS),
        (["export_onnx"], COMMANDS),  # no such command: it is written with a hyphen
        (["generate", "--help"], ("generate",)),
        (["--debug", "export-onnx", "model.pt"], ("export_onnx",)),
    ],
)
def test_only_the_command_that_is_called_is_put_together(words, names):
    assert needed_commands(words) == names


def test_a_song_imports_nothing_that_it_does_without(tmp_path):
    script = (
        "import sys; from singcli.cli import main; main(sys.argv[1:]);"
        "heavy = {'asyncio', 'matplotlib', 'mido', 'rich', 'scipy', 'torch', 'singcli.batch',"
        "'singcli.dataset', 'singcli.model.sing.runtime', 'singcli.music.voice_tables'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "generate", "-qp", "aba", "--out-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | PLAIN_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
    assert len(list(tmp_path.glob("*.mid"))) == 1


def test_garbage_is_collected_again_after_the_imports():
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
