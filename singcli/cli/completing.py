"""What a shell asks while a command is typed: how a word may go on.

The scripts of `singcli completion` call singcli with the words before the cursor as arguments and
the word at the cursor in the environment variable `WORD_VARIABLE`, behind a colon (an empty
variable is an unset one to some systems). The answer is a candidate a line, with a tab and its
help where there is some; no line means that files are to be completed.

Names of presets, models and the like come from folders alone, before Typer is imported. Only for
commands, options and choices the command line is built.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from singcli.resources import (
    bundled_model_names,
    preset_files,
    presets_dir,
    user_presets_dir,
    voice_rules_names,
)

WORD_VARIABLE = "_SINGCLI_COMPLETE_WORD"
SHELLS = ("bash", "zsh", "fish", "powershell")
SCALE_LOCKS = ("off", "soft", "hard")  # of singcli.model.plan, which imports numpy
RANDOM = "random"
HELP_WIDTH = 72


class Candidate(NamedTuple):
    """A word that may stand at the cursor."""

    value: str
    help: str = ""


def preset_names() -> list[str]:
    """Return the names of the presets, bundled and the user's, without reading them."""
    found: set[str] = set()
    for folder in (presets_dir(), user_presets_dir()):
        try:
            found.update(name for name, _ in preset_files(folder))
        except OSError:  # not there, or not to be read: `presets list` says so
            continue
    return sorted(found)


Names = Callable[[], Iterable[str]]

OPTION_NAMES: Mapping[str, Names] = {
    "--preset": lambda: [*preset_names(), RANDOM],
    "-p": lambda: [*preset_names(), RANDOM],
    "--from": preset_names,
    "--model": bundled_model_names,
    "--rules": voice_rules_names,
    "--scale-lock": lambda: SCALE_LOCKS,
}
ARGUMENT_NAMES: Mapping[tuple[str, ...], Names] = {
    ("presets", "show"): preset_names,
    ("presets", "path"): preset_names,
    ("presets", "validate"): preset_names,
    ("ssm",): preset_names,
    ("info",): bundled_model_names,
    ("completion",): lambda: SHELLS,
}


def print_candidates(before: Sequence[str], word: str) -> None:
    """Print how `word` may go on, in the words of the module's header."""
    lines = [
        f"{value}\t{text}" if text else value for value, text in candidates(list(before), word)
    ]
    if lines:
        print("\n".join(lines))  # noqa: T201


def candidates(before: list[str], word: str) -> list[Candidate]:
    """Return what may stand at the cursor.

    Parameters
    ----------
    before : list of str
        The words between the program's name and the cursor.
    word : str
        What is typed of the next one.
    """
    if word == "=":  # bash takes --preset=a for three words
        word = ""
    elif before and before[-1] == "=":
        before = before[:-1]
    if word.startswith("--") and "=" in word:
        option, _, begun = word.partition("=")
        found = candidates([*before, option], begun)
        return [Candidate(f"{option}={value}", text) for value, text in found]
    names = _names(before, word)
    found = list(_from_command_line(before, word) if names is None else map(Candidate, names))
    return [candidate for candidate in found if candidate.value.startswith(word)]


def _names(before: Sequence[str], word: str) -> Iterable[str] | None:
    """Return the names that can stand here, None where the command line has to be asked."""
    if before and before[-1] in OPTION_NAMES:
        return OPTION_NAMES[before[-1]]()
    if before and not word.startswith("-") and not before[-1].startswith("-"):
        for words, names in ARGUMENT_NAMES.items():
            if tuple(before[: len(words)]) == words:
                return names()
    return None


def _from_command_line(before: Sequence[str], word: str) -> Iterator[Candidate]:
    """Ask the commands and options themselves."""
    command, path, last = _command_at(before)
    if last is not None:
        yield from map(Candidate, _choices(last))
    elif word.startswith("-"):
        yield from _options(command)
    elif hasattr(command, "commands"):
        for name, part in command.commands.items():
            yield Candidate(name, part.get_short_help_str(HELP_WIDTH))
    else:
        yield from map(Candidate, ARGUMENT_NAMES.get(path, list)())
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                yield from map(Candidate, _choices(parameter))


def _command_at(before: Sequence[str]) -> tuple[Any, tuple[str, ...], Any]:
    """Return the command that the words name, their path, and the option that wants a value."""
    import typer

    from singcli.cli.app import COMMANDS, build_app

    named = [name for name in COMMANDS if name.replace("_", "-") in before]
    command: Any = typer.main.get_command(build_app(named or COMMANDS, colour=False))
    path: tuple[str, ...] = ()
    last: Any = None
    for word in before:
        if last is not None:
            last = None
        elif word.startswith("-"):
            last = _option_with_value(command, word)
        elif word in getattr(command, "commands", ()):
            command, path = command.commands[word], (*path, word)
    return command, path, last


def _option_with_value(command: Any, word: str) -> Any:
    for parameter in command.params:
        if parameter.param_type_name == "option" and word in parameter.opts:
            return None if parameter.is_flag or parameter.count else parameter
    return None


def _choices(parameter: Any) -> list[str]:
    return [str(choice) for choice in parameter.type_descriptor.choices or ()]


def _options(command: Any) -> Iterator[Candidate]:
    from textwrap import shorten

    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            for name in (*parameter.opts, *parameter.secondary_opts):
                yield Candidate(name, shorten(parameter.help or "", HELP_WIDTH, placeholder=" ..."))
    yield Candidate("--help", "Show this message and exit.")


def asked_word() -> str | None:
    """Return the word at the cursor if a shell asks, else None."""
    asked = os.environ.get(WORD_VARIABLE, "")
    return asked[1:] if asked.startswith(":") else None
