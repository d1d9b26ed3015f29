"""Records (dataclasses) as plain values."""

from __future__ import annotations

import dataclasses
from typing import Any


def fields_of(record: Any) -> dict[str, Any]:
    """Return the fields of a record by name; `dataclasses.asdict` copies every value deeply."""
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
