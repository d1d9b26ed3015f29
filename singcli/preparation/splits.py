"""Which pieces are trained on, validated and tested on, where a corpus may say so itself.

Conventions
-----------
- MAESTRO says so: a table with the columns `split` and `midi_filename`, CSV or JSON, lies above
  its pieces, and file names count from the table's folder.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from singcli.errors import InputError
from singcli.preparation.sources import Source, SourceReader
from singcli.preparation.validation import Validation, compiled
from singcli.row_dataset import SPLITS, Split

_TABLE_NAME = re.compile(r"maestro-v[\w.-]+\.(csv|json)", re.IGNORECASE)


def official_split(reader: SourceReader, source: Source) -> Split | None:
    """Return the split that the corpus itself puts a source in, None if it does not say.

    Raises
    ------
    InputError
        If its table names a split that is none.
    """
    name, texts = reader.nearest_texts(source, _TABLE_NAME)
    splits = [_split_table(text).get(name) for text in texts]
    split = next(filter(None, splits), None)
    if split not in (None, *SPLITS):
        raise InputError(
            f"{source.name}: split = {split!r} in the corpus's table, allowed: {', '.join(SPLITS)}"
        )
    return split


def chosen_splits(
    official: Mapping[str, Split | None], validation: Validation, test_ids: str | None, seed: int
) -> dict[str, Split]:
    """Return the split of every piece.

    Parameters
    ----------
    official : mapping of str to str
        What the corpus says, by id. Patterns of ids, where given, go before it.
    validation : Validation
        Its share is drawn from the pieces that no table and no pattern has put anywhere.
    test_ids : str, optional
        A regular expression searched for in the ids.
    seed : int
        For drawing the validation pieces.

    Raises
    ------
    InputError
        If a pattern is none, or both match the same id.
    """
    by_pattern = validation.ids is not None or test_ids is not None
    chosen: dict[str, Split] = {}
    if not by_pattern:
        chosen = {name: split for name, split in official.items() if split is not None}
    tested = set()
    if test_ids is not None:
        pattern = compiled(test_ids, "test ids")
        tested = {name for name in official if pattern.search(name)}
    if validation.ids is not None and (both := validation.chosen(sorted(tested), seed)):
        raise InputError(
            f"{min(both)}: both the validation ids {validation.ids!r} and the test ids"
            f" {test_ids!r} match it",
            "choose patterns that exclude each other",
        )
    held_out = validation.chosen(sorted(official.keys() - chosen.keys() - tested), seed)
    for name in official:
        if name not in chosen:
            drawn: Split = "validation" if name in held_out else "train"
            chosen[name] = "test" if name in tested else drawn
    return chosen


@functools.lru_cache(maxsize=8)
def _split_table(text: str) -> Mapping[str, str]:
    """Return the split by file name, {} if the text is no such table."""
    is_json = text.lstrip()[:1] in ("{", "[")
    rows = _json_rows(text) if is_json else _csv_rows(text)
    return {
        row["midi_filename"]: str(row["split"])
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("midi_filename"), str) and row.get("split")
    }


def _csv_rows(text: str) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error:
        return []


def _json_rows(text: str) -> list[Any]:
    """Return the rows of a JSON table, whether it is a list of rows or an object of columns."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if isinstance(table, list):
        return table
    names, splits = table.get("midi_filename"), table.get("split")
    if not isinstance(names, dict) or not isinstance(splits, dict):
        return []
    return [{"midi_filename": names[key], "split": splits.get(key)} for key in names]
