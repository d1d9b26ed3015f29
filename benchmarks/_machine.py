"""What every benchmark prints beside its figures: machine, versions, tables, summaries of runs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from singcli.errors import SingError

Cell = str | float | int | None
Row = list[Cell]


def machine_line(*packages: str) -> str:
    """Return one line: processor, usable cores, system, Python and package versions."""
    facts = [
        f"{processor_name()}, {usable_cores()} cores",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
        *(f"{name} {importlib.metadata.version(name)}" for name in packages),
    ]
    return "Machine: " + "; ".join(facts)


def processor_name() -> str:
    """Return the processor's name, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a Markdown table; numbers get three significant digits, None becomes a dash."""
    lines = [header, ["---"] * len(header), *([cell_text(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell_text(value: Cell) -> str:
    """Return a cell as text: three significant digits, but no digit before the point is lost."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of some runs."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "n": len(values),
    }


def verdict(what: str, value: float, limit: float, unit: str = "") -> str:
    """Return a line that says whether `value` is at most `limit`."""
    word = "reached" if value <= limit else "MISSED"
    return f"{word}: {what} {cell_text(value)}{unit}, allowed {cell_text(limit)}{unit}"


def floor_verdict(what: str, value: float, limit: float, unit: str = "") -> str:
    """Return a line that says whether `value` is at least `limit`."""
    word = "reached" if value >= limit else "MISSED"
    return f"{word}: {what} {cell_text(value)}{unit}, wanted at least {cell_text(limit)}{unit}"


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the figures of a run, where the user asked for a file."""
    if path is not None:
        path.write_text(json.dumps(content, indent=2) + "\n")


def split_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line at the first `--`: what follows is passed on to singcli."""
    at = list(words).index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1 :])


def run(main: Callable[[], None]) -> None:
    """Run a script; what a user can act on ends it with one line instead of a traceback."""
    try:
        main()
    except SingError as error:
        sys.exit(f"error: {error}" + (f"; {error.remedy}" if error.remedy else ""))
