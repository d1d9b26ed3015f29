"""A command in a process group of its own: how much memory all its processes take, and its end.

Needs a POSIX system (`ps`). Pages that processes share count for each of them.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

POLL_S = 0.05
MAX_END_S = 60.0  # for the processes of a call that was killed


class Sample(NamedTuple):
    """Resident memory of a call in megabytes (10^6 bytes) when it had come so far."""

    progress: int
    megabytes: float


@dataclass(slots=True)
class Call:
    """How a call went: its end, the time of its first progress, stderr, its memory now and then."""

    seconds: float = 0.0
    first_s: float = math.inf
    code: int = 0
    errors: str = ""
    samples: list[Sample] = field(default_factory=list)


def call(
    command: Sequence[str],
    *,
    interval_s: float = math.inf,
    kill_after_s: float = math.inf,
    progress: Callable[[], int] = lambda: 0,
) -> Call:
    """Run a command to its end, or to its violent one, in a process group of its own.

    Parameters
    ----------
    interval_s : float > 0
        Seconds between two samples of its memory.
    kill_after_s : float >= 0
        When its first process gets a SIGKILL; the others are waited for.
    progress : callable
        Tells how far it has come.
    """
    made, begun = Call(), time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        sampled = begun
        while process.poll() is None:
            now = time.perf_counter()
            if now - begun >= kill_after_s:
                process.kill()
                process.wait()
                _wait_for_the_others(process.pid)
                break
            if math.isinf(made.first_s) and progress():
                made.first_s = now - begun
            if now - sampled >= interval_s:
                sampled = now
                megabytes = sum(resident_kb(process.pid)) * 1024 / 1e6
                made.samples.append(Sample(progress(), megabytes))
            time.sleep(POLL_S)
        made.seconds, made.code = time.perf_counter() - begun, process.returncode
        errors.seek(0)
        made.errors = errors.read().decode(errors="replace")
    return made


def resident_kb(group: int) -> list[int]:
    """Return the resident memory of every living process of a group, in units of 1024 bytes."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pgid=", "-o", "stat=", "-o", "rss="],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return [int(rss) for pgid, state, rss in rows if int(pgid) == group and "Z" not in state]


def _wait_for_the_others(group: int) -> None:
    """Wait until no process of a call is left whose first one was killed."""
    for _ in range(round(MAX_END_S / POLL_S)):
        if not resident_kb(group):
            return
        time.sleep(POLL_S)
    sys.exit(f"processes of a killed call still run after {MAX_END_S:g} s")
