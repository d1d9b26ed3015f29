"""The command line put together: one module per command, one place where errors become messages.

A command module `singcli.cli.NAME` holds a function of the same name, whose signature Typer reads,
and `EXAMPLES`, (what it does, the command) pairs that its `--help` shows; `COMMAND_CLASS` if the
command is more than Typer's own. A module of a group of
commands also holds `SUBCOMMANDS`, functions by their names: the function of its own name is then
there for its docstring, and each subcommand shows those examples that call it. Functions import
their workers when they run, so that `--help` pays for Typer alone.
"""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from singcli import __version__
from singcli.cli.console import Console, use_colour
from singcli.cli.quick_start import collection_paused
from singcli.errors import SingError

COMMANDS = (
    "generate",
    "presets",
    "ssm",
    "novelty",
    "prepare",
    "train",
    "export_onnx",
    "evaluate",
    "info",
    "replay",
    "doctor",
    "completion",
)  # in the order of `--help`
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


class ErrorEdge(TyperGroup):
    """The group of all commands, and the one place where errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what a user can act on becomes one line on stderr."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Console().status("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:  # whoever reads our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        except (SingError, OSError, MemoryError) as error:
            line = _line_from_error(error)
            if line is None:
                raise
            if ctx.params["debug"]:
                traceback.print_exc()
            Console().error(line)
            raise typer.Exit(error.exit_code if isinstance(error, SingError) else 1) from None


def _line_from_error(error: SingError | OSError | MemoryError) -> str | None:
    """Return the message for the user, None where only a traceback helps."""
    if isinstance(error, SingError):
        return str(error) if error.remedy is None else f"{error}; {error.remedy}"
    if isinstance(error, MemoryError):
        return "out of memory"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and error.filename is None:
        return f"a file cannot be written ({error.strerror})"
    if error.filename is None or error.errno in (None, errno.ENOENT):
        return None  # a file that is not there is an InputError of the command, or our bug
    return f"{error.filename}: {error.strerror}"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"singcli {__version__}")
        raise typer.Exit


def _global_options(
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="SINGCLI_DEBUG", help="Show tracebacks of all errors."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Structured symbolic music: MIDI whose sections repeat the way you say."""
    del debug, version  # read by ErrorEdge and by the callback


def build_app(names: Sequence[str] = COMMANDS, *, colour: bool) -> typer.Typer:
    """Return the application with its commands.

    Parameters
    ----------
    names : sequence of str
        Of the modules of its commands; all of them by default.
    colour : bool
        Let help use bold and dim letters. It is plain text otherwise: drawing it with rich takes
        half as long again.
    """
    app = typer.Typer(
        cls=ErrorEdge,
        add_completion=False,  # `singcli completion` takes its place
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"], "color": colour},
    )
    app.callback()(_global_options)
    for name in names:
        _add_command(app, name, colour=colour)
    return app


def _add_command(app: typer.Typer, name: str, *, colour: bool) -> None:
    module = importlib.import_module(f"singcli.cli.{name}")
    function, called = getattr(module, name), name.replace("_", "-")
    subcommands: dict[str, Any] | None = getattr(module, "SUBCOMMANDS", None)
    if subcommands is None:
        cls = getattr(module, "COMMAND_CLASS", None)
        app.command(called, cls=cls, epilog=_epilog(module.EXAMPLES, colour=colour))(function)
        return
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback()(function)
    first_examples = []
    for part, command in subcommands.items():
        examples = [e for e in module.EXAMPLES if e[1].split()[1:3] == [called, part]]
        group.command(part, epilog=_epilog(examples, colour=colour))(command)
        first_examples.append(examples[0])
    app.add_typer(group, name=called, epilog=_epilog(first_examples, colour=colour))


def _epilog(examples: Iterable[tuple[str, str]], *, colour: bool) -> str:
    """Return the examples as the closing words of a command's help."""
    lines = ["\b", "Examples:"]  # \b keeps the lines as they are
    for purpose, command in examples:
        comment = f"# {purpose}"
        lines += [
            f"  {typer.style(comment, dim=True) if colour else comment}",
            f"  {typer.style(command, bold=True) if colour else command}",
        ]
    return "\n".join(lines)


def needed_commands(arguments: Sequence[str]) -> Sequence[str]:
    """Return the modules of the commands that a command line speaks of.

    The one that it calls: to describe the options of all takes ten times as long. All of them where
    that is none, for help and for the message about an unknown one.
    """
    called = next((word for word in arguments if not word.startswith("-")), "")
    name = called.replace("-", "_")
    return (name,) if name in COMMANDS and "_" not in called else COMMANDS


def run_app(app: typer.Typer, arguments: Sequence[str] | None) -> int:
    """Run an application of `build_app` and return the exit code; a bug of ours propagates."""
    return run_command(typer.main.get_command(app), arguments)


def run_command(command: Any, arguments: Sequence[str] | None) -> int:
    """Run what Typer made of an application; otherwise as `run_app`."""
    try:
        command(args=arguments, prog_name="singcli")
    except SystemExit as finished:
        return finished.code if isinstance(finished.code, int) else 0
    return 0


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the name of the program; those of the process by default.
    """
    atexit.register(gc.freeze)  # or Python goes through all there is once more when it ends
    given = list(sys.argv[1:] if arguments is None else arguments)
    with collection_paused():
        names = needed_commands(given)
        command = typer.main.get_command(build_app(names, colour=use_colour(sys.stdout)))
    return run_command(command, given)
