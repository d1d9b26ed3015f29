"""TOML files checked against a schema; what is wrong is told with file, key, value and remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from singcli.errors import InputError, hint_from_names, nearest_names
from singcli.files import read_up_to

MAX_BYTES = 1_000_000
MAX_KEY_PARTS = 32  # of a dotted key; tomllib's time grows with the square of their number
MAX_BITS = 63  # of a whole number and its sign, says TOML

Table = TypeVar("Table", bound=BaseModel)

_LINE = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){{{MAX_KEY_PARTS}}}""")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


class Problem(NamedTuple):
    """One thing that is wrong in a TOML file.

    Parameters
    ----------
    message : str
        One line: file, key, value found, what is allowed.
    remedy : str, optional
    key, value, allowed : str, optional
        The parts of the message; None where it is not about the value of a key.
    """

    message: str
    remedy: str | None = None
    key: str | None = None
    value: str | None = None
    allowed: str | None = None


class TableError(InputError):
    """A TOML file does not fit its schema: tells the first of its problems and holds them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].message, problems[0].remedy)
        self.problems = tuple(problems)


def read_toml(path: Path) -> bytes:
    """Return the bytes of a TOML file.

    Raises
    ------
    InputError
        If the file cannot be read or is larger than a megabyte.
    """
    return read_up_to(path, MAX_BYTES)


def table_from_toml(
    content: bytes,
    schema: type[Table],
    *,
    source: str,
    allowed: Mapping[str, str] | None = None,
) -> Table:
    """Read the text of a TOML file into a schema.

    Parameters
    ----------
    content : bytes
        UTF-8.
    schema : type of BaseModel
    source : str
        What to call the file in messages.
    allowed : mapping of str to str, optional
        What may stand under a key, by the key's last name, where the schema's own words are not
        good enough.

    Raises
    ------
    InputError
        Names file and line if it is not TOML.
    TableError
        Names file, key, value and what is allowed if it does not fit the schema.
    """
    values = values_from_toml(content, source)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        # A misspelt key is also a missing one: the misspelling is the better thing to tell.
        unknown_first = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise TableError([_problem(e, source, schema, allowed or {}) for e in unknown_first]) from (
            error
        )


def value_from_toml(content: bytes, key: str, *, source: str) -> Any:
    """Return what stands under one key of the outermost table, None where it is not there.

    Raises
    ------
    InputError
        Names file and line if the text is not TOML.
    """
    return values_from_toml(content, source).get(key)


def values_from_toml(content: bytes, source: str) -> dict[str, Any]:
    """Read the text of a TOML file as it stands.

    Raises
    ------
    InputError
        Names file and line if it is not TOML.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{source}, line {line}: not UTF-8 text") from error
    if long_key := _LONG_KEY.search(text):
        line = text.count("\n", 0, long_key.start()) + 1
        raise InputError(f"{source}, line {line}: a key of more than {MAX_KEY_PARTS} parts")
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{source}: values nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(_toml_complaint(str(error), text, source)) from error
    except ValueError as error:  # int() refuses numbers of thousands of digits
        raise InputError(f"{source}: a number has too many digits") from error
    _validate_numbers(values, source, "")
    return values


def _validate_numbers(value: Any, source: str, where: str) -> None:
    """Raise InputError at a whole number that cannot even be printed."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _validate_numbers(inner, source, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _validate_numbers(inner, source, f"{where}[{i}]")
    elif isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise InputError(f"{source}: {where} is a whole number of more than 64 bits")


def _toml_complaint(message: str, text: str, source: str) -> str:
    """Say file, line, key and what is wrong, from tomllib's message."""
    lines = text.splitlines() or [""]
    match = _LINE.search(message)
    number = int(match[1]) if match and match[1] else len(lines)
    reason = _LINE.sub("", message).strip()
    key = _KEY.match(lines[min(number, len(lines)) - 1])
    column = f", column {match[2]}" if match and match[2] else ""
    at_key = f", key {key[1]}" if key else ""
    return f"{source}, line {number}{column}{at_key}: broken TOML ({reason})"


def _problem(
    details: ErrorDetails, source: str, schema: type[BaseModel], allowed: Mapping[str, str]
) -> Problem:
    """Say file, key path, value found and what is allowed."""
    location = [part for part in details["loc"] if part != "[key]"]
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")
    if details["type"] == "extra_forbidden":
        known = _known_keys(location, schema)
        near = nearest_names(str(location[-1]), known, limit=1)
        words = ", ".join(known)
        message = f"{source}: unknown key {where}, allowed: {words}"
        return Problem(message, hint_from_names(near), where, None, words)
    if details["type"] == "missing":
        return Problem(f"{source}: {where} is missing", None, where)
    shown = repr(details["input"])
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    keys = [part for part in location if isinstance(part, str)]
    found = next((allowed[key] for key in reversed(keys) if key in allowed), None)
    words = details["msg"].removeprefix("Input should be ") if found is None else found
    return Problem(f"{source}: {where} = {shown}, allowed: {words}", None, where, shown, words)


def _known_keys(location: list[int | str], schema: type[BaseModel]) -> list[str]:
    """Return the keys of the table in which the last key of `location` stands."""
    table = schema
    for part in location[:-1]:
        if isinstance(part, str) and part in table.model_fields:
            inner = _inner_schema(table.model_fields[part].annotation)
            table = inner or table
    return list(table.model_fields)


def _inner_schema(annotation: Any) -> type[BaseModel] | None:
    """Return the schema inside an annotation such as list[Schema] or Schema | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        inner = _inner_schema(argument)
        if inner is not None:
            return inner
    return None
