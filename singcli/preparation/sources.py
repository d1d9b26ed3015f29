"""Find MIDI in files, folders and zip archives, with a unique id and the licence of each.

Conventions
-----------
- Folders are searched to any depth; links are followed, but no folder is entered twice. Archives
  in them are opened too. Archives inside archives are not, and hidden files (`.NAME`) are left
  alone: they are other programs' business, or what a killed one left.
- Only files are opened: reading a pipe or a device might never end.
- Of the members of an archive that share a name the last one counts, as when it is unpacked.
- An id is the file's name without its suffix; files of the same name get their folders in front.
- The licence of a file is the text of the LICENSE files in the nearest folder that has any,
  looking from the file's own folder upwards to the one above the input.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from singcli.errors import InputError
from singcli.files import UNPACKING_ERRORS
from singcli.preparation.pop909 import MAX_TEXT_BYTES, SIDE_FILES

MIDI_SUFFIXES = frozenset({".mid", ".midi", ".kar"})
ZIP_SUFFIX = ".zip"
ENCRYPTED = 0x1  # bit of a member's flags
_WANTED = (*MIDI_SUFFIXES, ZIP_SUFFIX)
_LICENCE_NAME = re.compile(r"(licen[cs]e|copying)([._-].*)?", re.IGNORECASE)
_MAX_ID = 120
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)
MAX_RATIO = 200  # of unpacked to packed size; music shrinks to a tenth, zeros to a thousandth


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that did not become a song.

    Parameters
    ----------
    source : str
        As `Entry.source`.
    reason : str
        One line.
    failed : bool
        False for what is left out on purpose: a second copy of a file that is already in.
    """

    source: str
    reason: str
    failed: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """A MIDI file on disk, or a member of an archive on disk.

    Parameters
    ----------
    id : str
    name : str
        Relative to the input, which it begins with.
    path : Path
        The file, or the archive.
    member : str, optional
        Name in the archive.
    top : Path
        The input by which it was found.
    """

    id: str
    name: str
    path: Path
    member: str | None
    top: Path


def find_sources(inputs: Sequence[Path]) -> tuple[list[Source], list[Skipped]]:
    """List all MIDI files of the inputs, ordered by name.

    Returns
    -------
    list of Source
        Without the files that appear twice.
    list of Skipped
        Archives and members that cannot be read.

    Raises
    ------
    InputError
        If an input does not exist, or there is no MIDI file at all.
    """
    found: list[Source] = []
    skipped: list[Skipped] = []
    for given in inputs:
        if not given.exists():
            raise InputError(f"{given}: no such file or folder")
        if not given.is_dir() and not given.is_file():
            raise InputError(f"{given}: is a device or a pipe, allowed are files and folders")
        top = given.resolve() if given.is_dir() else given.parent.resolve() / given.name
        above = os.path.join(top.parent, "")
        for path in _files_below(top, skipped):
            name = _readable(path.removeprefix(above).replace(os.sep, "/"))
            stem, suffix = os.path.splitext(os.path.basename(path))
            is_midi = suffix.lower() in MIDI_SUFFIXES
            if suffix.lower() == ZIP_SUFFIX or (not is_midi and zipfile.is_zipfile(path)):
                members, bad = _members(Path(path), name, top)
                found += members
                skipped += bad
            else:
                found.append(Source(stem, name, Path(path), None, top))
    known: dict[str, str] = {}
    unique = {(_real(str(s.path), known), s.member): s for s in reversed(found)}
    if not unique and not skipped:
        raise InputError(
            f"no MIDI files in {', '.join(map(str, inputs))}",
            f"looked for {', '.join(sorted(MIDI_SUFFIXES))} and {ZIP_SUFFIX}",
        )
    return _with_unique_ids(sorted(unique.values(), key=lambda s: (s.name, str(s.path)))), skipped


def _files_below(top: Path, skipped: list[Skipped]) -> Iterator[str]:
    if not top.is_dir():
        yield str(top)
        return

    def skip_folder(error: OSError) -> None:
        skipped.append(
            Skipped(_readable(str(error.filename)), f"cannot be read ({error.strerror})")
        )

    entered: set[str] = set()
    known: dict[str, str] = {}
    for folder, folders, names in os.walk(top, onerror=skip_folder, followlinks=True):
        real = _real(folder, known)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(_WANTED) and not name.startswith("."):
                yield os.path.join(folder, name)


def _real(path: str, known: dict[str, str]) -> str:
    """Return `os.path.realpath` of an absolute path without dots; `known` folders grow."""
    folder, name = os.path.split(path)
    if not name or os.path.islink(path):
        return os.path.realpath(path)
    if folder not in known:
        known[folder] = _real(folder, known)
    return os.path.join(known[folder], name)


def _readable(name: str) -> str:
    """Return a name that can be printed and stored, even if the file system's is not Unicode."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _members(archive: Path, name: str, top: Path) -> tuple[list[Source], list[Skipped]]:
    found: list[Source] = []
    skipped: list[Skipped] = []
    try:
        members = _directory(archive)
    except UNPACKING_ERRORS as error:
        return [], [Skipped(name, f"not a readable zip archive ({error})")]
    number_of_name = {member.filename: i for i, member in enumerate(members)}
    for i, member in enumerate(members):
        path = PurePosixPath(member.filename)
        suffix = path.suffix.lower()
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        if member.is_dir() or hidden or suffix not in (*MIDI_SUFFIXES, ZIP_SUFFIX):
            continue
        member_name = f"{name}/{_readable(member.filename)}"
        if why := _objection(member, path, is_last=number_of_name[member.filename] == i):
            skipped.append(Skipped(member_name, why))
        else:
            found.append(Source(path.stem, member_name, archive, member.filename, top))
    return found, skipped


def _directory(archive: Path) -> list[zipfile.ZipInfo]:
    """Return what an archive says it holds.

    Raises
    ------
    OSError, BadZipFile
        If it is no file, or not an archive, or cannot hold all that.
    """
    if not archive.is_file():
        raise OSError("not a file that can be read")
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
    if sum(member.compress_size for member in members) > archive.stat().st_size:
        raise zipfile.BadZipFile("its members overlap: it unpacks to more than it holds")
    return members


def _objection(member: zipfile.ZipInfo, path: PurePosixPath, *, is_last: bool) -> str | None:
    """Say why a member is left out, if it is."""
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        return "its path leads out of the archive"
    if path.suffix.lower() == ZIP_SUFFIX:
        return "an archive inside an archive, unpack it first"
    if member.flag_bits & ENCRYPTED:
        return "encrypted"
    if not is_last:
        return "the archive holds a later file of the same name"
    if member.file_size > MAX_RATIO * max(member.compress_size, 1) and member.file_size > 2**20:
        return f"it unpacks to {member.file_size // max(member.compress_size, 1)} times its size"
    return None


def _with_unique_ids(sources: Sequence[Source]) -> list[Source]:
    """Give every source an id that is a file name on any system and differs from all others."""
    ids = [_file_name(source.id) for source in sources]
    stems = Counter(map(str.casefold, ids))
    taken: Counter[str] = Counter()
    named = []
    for source, song_id in zip(sources, ids, strict=True):
        if stems[song_id.casefold()] > 1:
            long_id = source.name.replace("/", "__").rsplit(".", 1)[0]
            song_id = _file_name(long_id)
        taken[song_id.casefold()] += 1
        if (count := taken[song_id.casefold()]) > 1:
            song_id = f"{song_id}~{count}"
        named.append(Source(song_id, source.name, source.path, source.member, source.top))
    return named


def _file_name(text: str) -> str:
    """Return `text` as a file name without surprises, at most 120 characters long."""
    name = re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", text)).lstrip(".-") or "song"
    if len(name) > _MAX_ID:
        name = f"{name[: _MAX_ID - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


class SourceReader:
    """Reads sources; keeps archives open in between.

    Parameters
    ----------
    max_bytes : int
        Larger files are refused; no more than this is ever unpacked.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._archives: dict[Path, _Archive] = {}
        self._highest: dict[Path, str] = {}  # folder in which to look for texts, by input

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for archive in self._archives.values():
            archive.file.close()

    def read(self, source: Source) -> bytes:
        """Return the bytes of a MIDI file.

        Raises
        ------
        InputError
            If it cannot be read, or is too large.
        """
        try:
            if source.member is None:
                content = _read_up_to(str(source.path), self._max_bytes)
            elif source.path.is_file():
                content = self._archive(source.path).read(source.member, self._max_bytes)
            else:
                raise InputError(f"{source.name}: not a file that can be read")
        except _NoFileError as error:
            raise InputError(f"{source.name}: {error}") from error
        except PermissionError as error:
            raise InputError(f"{source.name}: cannot be read ({error.strerror})") from error
        except UNPACKING_ERRORS as error:
            raise InputError(f"{source.name}: cannot be read ({error})") from error
        if content is None:
            raise InputError(f"{source.name}: larger than the allowed {self._max_bytes} bytes")
        return content

    def side_files(self, source: Source) -> Mapping[str, str]:
        """Return the annotations beside a source, those that exist, by file name."""
        texts = {}
        folder = os.path.dirname(source.path)
        for name in SIDE_FILES:
            with contextlib.suppress(*UNPACKING_ERRORS):
                if source.member is not None:
                    beside = str(PurePosixPath(source.member).with_name(name))
                    content = self._archive(source.path).read(beside, MAX_TEXT_BYTES)
                else:
                    content = _read_up_to(os.path.join(folder, name), MAX_TEXT_BYTES)
                if content is not None:
                    texts[name] = content.decode(errors="replace")
        return texts

    def licence(self, source: Source) -> str | None:
        """Return the licence text that holds for a source, None where there is none."""
        _, texts = self.nearest_texts(source, _LICENCE_NAME)
        return "\n\n".join(text.strip() for text in texts) or None

    def nearest_texts(self, source: Source, name: re.Pattern[str]) -> tuple[str, Sequence[str]]:
        """Find text files in the nearest folder that has any, up to the one above the input.

        Parameters
        ----------
        source : Source
        name : re.Pattern
            Of the whole name of the files.

        Returns
        -------
        str
            Where the source is, seen from that folder; a member that has none in its archive keeps
            its name there.
        sequence of str
            Ordered by the names of the files; () where there is no such folder.
        """
        if source.member is not None:
            member, texts = PurePosixPath(source.member), self._archive(source.path).texts(name)
            for inside in member.parents:
                if str(inside) in texts:
                    return member.relative_to(inside).as_posix(), texts[str(inside)]
        if source.top not in self._highest:
            top = source.top
            self._highest[top] = str(top.parent if top.is_dir() else top.parent.parent)
        highest = self._highest[source.top]
        folder, found = _nearest_texts(os.path.dirname(source.path), highest, name)
        if not found:
            return source.name, ()
        return source.member or source.path.relative_to(folder).as_posix(), found

    def _archive(self, path: Path) -> _Archive:
        if path not in self._archives:
            self._archives[path] = _Archive(path)
        return self._archives[path]


class _Archive:
    """An open zip archive."""

    def __init__(self, path: Path) -> None:
        self.file = zipfile.ZipFile(path)
        self._texts: dict[re.Pattern[str], Mapping[str, Sequence[str]]] = {}

    def read(self, member: str, limit: int) -> bytes | None:
        """Return the content of a member, None where it is larger than `limit` bytes."""
        if self.file.getinfo(member).file_size > limit:
            return None
        with self.file.open(member) as opened:
            content = opened.read(limit + 1)
        return content if len(content) <= limit else None

    def texts(self, name: re.Pattern[str]) -> Mapping[str, Sequence[str]]:
        """Return the text files of this name by the folder in which they are."""
        if name not in self._texts:
            found: dict[str, list[str]] = {}
            for member in sorted(self.file.namelist()):
                path = PurePosixPath(member)
                if name.fullmatch(path.name):
                    with contextlib.suppress(*UNPACKING_ERRORS):
                        content = self.read(member, MAX_TEXT_BYTES) or b""
                        text = content.decode(errors="replace")
                        found.setdefault(str(path.parent), []).append(text)
            self._texts[name] = found
        return self._texts[name]


class _NoFileError(OSError):
    """There is nothing that could be read to an end."""


def _read_up_to(path: str, limit: int) -> bytes | None:
    """Return the content of a file, None where it is larger than `limit` bytes."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _NOTHING_THERE:
            raise
        raise _NoFileError("not a file that can be read") from error
    if not stat.S_ISREG(facts.st_mode):
        raise _NoFileError("not a file that can be read")
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        content = os.read(handle, min(facts.st_size, limit) + 1)
        while len(content) <= limit and (more := os.read(handle, limit + 1 - len(content))):
            content += more
    finally:
        os.close(handle)
    return content if len(content) <= limit else None


@functools.lru_cache(maxsize=1024)
def _nearest_texts(folder: str, highest: str, name: re.Pattern[str]) -> tuple[str, Sequence[str]]:
    """Return the nearest folder upwards that has such files, and their texts."""
    found = _texts_in_folder(folder, name)
    above = os.path.dirname(folder)
    if found or above in (folder, "") or folder == highest:
        return folder, found
    return _nearest_texts(above, highest, name)


def _texts_in_folder(folder: str, name: re.Pattern[str]) -> Sequence[str]:
    texts = []
    with contextlib.suppress(OSError):
        for file_name in sorted(filter(name.fullmatch, os.listdir(folder))):
            path = os.path.join(folder, file_name)
            if os.path.isfile(path):
                content = _read_up_to(path, MAX_TEXT_BYTES) or b""
                texts.append(content.decode(errors="replace"))
    return texts
