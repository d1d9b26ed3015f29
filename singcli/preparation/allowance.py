"""How much time and memory one file may take, enforced by the system from outside.

Conventions
-----------
- Time is the processor's, so that a busy machine or a laptop that sleeps harms no file.
- Memory is what a file takes beyond what the process has anyway (address space, Linux only).
- What is over its allowance in Python code is interrupted; in native code it ends with its process,
  which is another one than the user's, except with one job.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from singcli.errors import InputError

MEGABYTE = 2**20
GRACE_SECONDS = 2  # of native code, before its process is ended


class AllowanceError(InputError):
    """A file took more time or memory than it may."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one file may take.

    Parameters
    ----------
    max_seconds : float > 0
        Of processor time.
    max_memory_mb : float > 0
        Beyond what the process has when it begins.

    Raises
    ------
    InputError
        If a limit is not positive.
    """

    max_seconds: float = 60.0
    max_memory_mb: float = 1024.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                raise InputError(f"{field.name} = {getattr(self, field.name)}, allowed: above 0")


@contextlib.contextmanager
def within(allowance: Allowance, *, source: str, own_process: bool) -> Iterator[None]:
    """Run the block within the allowance.

    Parameters
    ----------
    source : str
        What to call the file in messages.
    own_process : bool
        Whether this process may be ended over the file.

    Raises
    ------
    AllowanceError
        If the block takes more.
    """
    try:
        with (
            _seconds(allowance.max_seconds, own_process=own_process),
            _memory(int(allowance.max_memory_mb * MEGABYTE)),
        ):
            yield
    except _OutOfTimeError:
        raise AllowanceError(
            f"{source}: takes more than {allowance.max_seconds:g} seconds"
        ) from None
    except MemoryError:
        raise AllowanceError(
            f"{source}: takes more than {allowance.max_memory_mb:g} MB of memory"
        ) from None


class _OutOfTimeError(BaseException):
    """Raised by the timer; no `except Exception` on the way may swallow it."""


def _raise_out_of_time(_number: int, _frame: object) -> None:
    raise _OutOfTimeError


@contextlib.contextmanager
def _seconds(limit: float, *, own_process: bool) -> Iterator[None]:
    """Raise `_OutOfTimeError` after so much processor time; end a process that does not hear it."""
    resource = _resource()
    in_main_thread = threading.current_thread() is threading.main_thread()
    if resource is None or not in_main_thread:  # signals reach the main thread alone
        yield
        return
    before = signal.signal(signal.SIGPROF, _raise_out_of_time)
    limits = resource.getrlimit(resource.RLIMIT_CPU)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    try:
        if own_process:
            last = math.ceil(used + limit + GRACE_SECONDS)
            _set_limit(resource, resource.RLIMIT_CPU, last, limits)
        signal.setitimer(signal.ITIMER_PROF, limit)
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if own_process:
            resource.setrlimit(resource.RLIMIT_CPU, limits)


@contextlib.contextmanager
def _memory(limit: int) -> Iterator[None]:
    """Let allocations beyond so many bytes fail."""
    resource, taken = _resource(), _address_space()
    if resource is None or taken is None:
        yield
        return
    limits = resource.getrlimit(resource.RLIMIT_AS)
    _set_limit(resource, resource.RLIMIT_AS, taken + limit, limits)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _set_limit(resource: ModuleType, kind: int, wanted: int, limits: tuple[int, int]) -> None:
    """Lower the soft limit, never above the one in force."""
    soft, hard = limits
    in_force = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([wanted, *in_force]), hard))


def _resource() -> ModuleType | None:
    """Return the module that sets limits, None where the system has no such thing."""
    try:
        import resource
    except ImportError:
        return None
    return resource


def _address_space() -> int | None:
    """Return the size of this process, None where it cannot be known."""
    try:
        handle = os.open("/proc/self/statm", os.O_RDONLY)
        try:
            pages = int(os.read(handle, 100).split()[0])
        finally:
            os.close(handle)
    except (OSError, ValueError, IndexError):
        return None
    resource = _resource()
    return None if resource is None else pages * int(resource.getpagesize())
