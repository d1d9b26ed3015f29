"""What is known of a file, in the same words for all kinds of files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from singcli.errors import InputError

MAX_BYTES = 64 * 2**20  # of a MIDI or JSON file, and of what is read of an archive

CODE_LICENCE = "MIT"
OUTPUT_LICENCE = "yours; singcli claims no rights in what it makes"
NOT_STATED = "not stated"
_LICENCE_NAME = re.compile(r"CC0(?: \d\.\d)?|CC BY(?:-[A-Z]{2})*(?: \d\.\d)?|MIT|Apache|GPL")


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of a file.

    Parameters
    ----------
    path : Path
    kind : str
        What it is.
    facts : mapping of str to plain JSON values
        What is in it.
    made : mapping of str to plain JSON values
        How it was made; empty where that is not known.
    licences : mapping of str to str
        Of `code`, `weights`, `data` and `outputs`, as far as they bear on it.
    licence_text : str
        The whole text where the file has one.
    hint : str
        What to do with it.
    """

    path: Path
    kind: str
    facts: Mapping[str, Any]
    made: Mapping[str, Any] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    licence_text: str = ""
    hint: str = ""


def file_content(path: Path) -> bytes:
    """Return the bytes of a file that is not to be absurdly large.

    Raises
    ------
    InputError
        If it is.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MB")
    return path.read_bytes()


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_sentence(text: str) -> str:
    """Return how a licence text begins."""
    line = " ".join(text.strip().partition("\n\n")[0].split())
    return line.partition(". ")[0].rstrip(".") or NOT_STATED


def named_licences(text: str) -> str:
    """Return the licences that a text names, in its order."""
    names = list(dict.fromkeys(_LICENCE_NAME.findall(text)))
    return f"{', '.join(names)}, see --licence" if names else f"{NOT_STATED}, see --licence"
