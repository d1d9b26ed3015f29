"""Files are read up to a limit, and written whole or not at all: to a temporary name, then renamed.

A temporary file lies beside its target and begins with `TEMPORARY_PREFIX`. Only a process that is
killed leaves one behind; nothing ever reads it, and `remove_temporaries` takes it away.
"""

from __future__ import annotations

import contextlib
import errno
import lzma
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from singcli.errors import InputError, SingError

TEMPORARY_PREFIX = ".singcli-"
ABANDONED_S = 3600.0  # nothing takes so long to write
UNPACKING_ERRORS = (  # what damaged archives, and the arrays and texts in them, raise
    OSError,
    EOFError,
    KeyError,  # no such member
    MemoryError,  # an array says that it is larger than the machine
    RecursionError,
    RuntimeError,  # encrypted, or packed in a way that Python cannot unpack
    TypeError,
    ValueError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)


class WriteError(SingError):
    """A file cannot be written: the disk is full, the folder is read-only or gone (exit code 1)."""

    def __init__(self, path: Path, error: Exception) -> None:
        told = error.strerror if isinstance(error, OSError) else None
        self.why = told or str(error)
        super().__init__(
            f"{path}: cannot be written ({self.why})",
            "nothing of it is left; make room or choose another folder, and run it again",
        )


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : Path
        The file to write. Its folder must exist.
    durable : bool
        Whether the content is to be on the disk, and not only on its way, before the name is: for
        what would be dear to lose when the power fails. Costs milliseconds.

    Yields
    ------
    Path
        A temporary file in the same folder and with the same suffix, removed if the block raises
        (`KeyboardInterrupt` included).

    Raises
    ------
    WriteError
        If the block, or what comes before and after it, raises `OSError`.
    """
    with _renamed(path) as name:
        temporary = Path(name)
        os.close(_new_file(name))
        yield temporary
        if durable:
            _flush(temporary)


@contextlib.contextmanager
def _renamed(path: Path) -> Iterator[str]:
    """Yield a temporary name beside `path`; rename that file when the block succeeds."""
    folder, name = os.path.split(path)
    suffix = os.path.splitext(name)[1]
    temporary = os.path.join(folder, f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{suffix}")
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise WriteError(path, error) from error


def _new_file(name: str) -> int:
    """Open a file that was not there, with the permissions of an ordinary one."""
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def is_temporary(path: Path) -> bool:
    """Return whether a file is a temporary one of this module."""
    return path.name.startswith(TEMPORARY_PREFIX)


def remove_temporaries(folder: Path, *, min_age_s: float = 0.0) -> None:
    """Take away what killed processes left in a folder.

    Parameters
    ----------
    folder : Path
        One that is held, see `held`; or any, with an age.
    min_age_s : float >= 0
        Seconds since the file was last written; `ABANDONED_S` spares those of other processes.
    """
    latest = time.time() - min_age_s
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if min_age_s == 0 or path.stat().st_mtime < latest:
                path.unlink()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder that one alone may write to.

    The lock is the system's, on the folder itself: it ends with the process, however that ends.
    Where folders cannot be locked (Windows, some network drives) nothing is held.

    Raises
    ------
    InputError
        If another process holds the folder.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(
            f"{folder}: another singcli is writing to this folder",
            "wait until it is done, or choose another folder",
        ) from None
    except OSError:  # not on this file system
        pass
    try:
        yield
    finally:
        os.close(handle)


def validate_new_file(path: Path, *, overwrite: bool) -> None:
    """Check that nothing stands in the way of a file that is going to be written.

    Raises
    ------
    InputError
        If `path` is a folder, or a file that may not be replaced.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: already exists", "add --overwrite to replace it")


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write `content` to `path` whole or not at all, see `replacing`."""
    with _renamed(path) as temporary:
        handle = _new_file(temporary)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, content: str, *, durable: bool = False) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all, see `replacing`."""
    write_bytes(path, content.encode(), durable=durable)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, which is made if it is not there.

    One call of the system writes it. Where the line before has no end, because the power failed
    or the disk was full, it is ended first; so that a line which another process is just writing
    does not look like that, one after the other writes where files can be locked.

    Raises
    ------
    WriteError
        If the file cannot be written.
    """
    try:
        with path.open("ab+", buffering=0) as file:
            _wait_for(file.fileno())
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = f"\n{line}"
            content = f"{line}\n".encode()
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise WriteError(path, error) from error


def _wait_for(handle: int) -> None:
    """Lock an open file until it is closed, when others have; do nothing where that cannot be."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def read_up_to(path: Path, limit: int, *, remedy: str | None = None) -> bytes:
    """Return the bytes of a file or a pipe, and never more than `limit`.

    Raises
    ------
    InputError
        If it is missing, a folder or a device, cannot be read, or is larger.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device"
            raise InputError(f"{path}: cannot be read (is {kind})", remedy)
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})", remedy) from error
    if len(content) > limit:
        raise InputError(f"{path}: larger than the allowed {limit} bytes", remedy)
    return content
