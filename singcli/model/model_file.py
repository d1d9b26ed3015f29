"""What an ONNX file says of itself, without loading its graph: a few reads, and no onnxruntime.

References
----------
onnx.proto, `ModelProto`; https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from singcli.errors import InputError

MAX_METADATA_BYTES = 2**24
_IR_VERSION, _PRODUCER, _METADATA = 1, 2, 14  # fields of a ModelProto
_KEY, _VALUE = 1, 2  # of a StringStringEntryProto
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    value: int  # of a number, else the count of its bytes
    wire: int


def model_metadata(path: Path) -> dict[str, str] | None:
    """Return the metadata of an ONNX file, None if the bytes are not of such a file.

    Raises
    ------
    InputError
        If the file cannot be read, or its metadata are absurdly long.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _metadata(file, size, str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (EOFError, UnicodeDecodeError):
        return None


def _metadata(file: IO[bytes], size: int, source: str) -> dict[str, str] | None:
    found: dict[str, str] = {}
    seen = set()
    for field in _fields(file, size):
        seen.add(field.number)
        if field.number != _METADATA or field.wire != _BYTES:
            continue
        if field.value > MAX_METADATA_BYTES:
            raise InputError(f"{source}: its metadata are longer than {MAX_METADATA_BYTES} bytes")
        end = file.tell() + field.value
        entry = {_KEY: "", _VALUE: ""}
        for part in _fields(file, end):
            if part.number in entry and part.wire == _BYTES:
                entry[part.number] = file.read(part.value).decode()
        found[entry[_KEY]] = entry[_VALUE]
    return found if _IR_VERSION in seen else None


def _fields(file: IO[bytes], end: int) -> Iterator[_Field]:
    """Yield the fields up to `end`, the file at the content of each; what is not read is skipped.

    Raises
    ------
    EOFError
        If the bytes are no protobuf message.
    """
    while (place := file.tell()) < end:
        tag, wire = divmod(_number(file), 8)
        value = 0
        if wire in (_VARINT, _BYTES):
            value = _number(file)
        elif wire in (_FIXED_64, _FIXED_32):
            value = 8 if wire == _FIXED_64 else 4
        else:
            raise EOFError(place)
        after = file.tell() + (0 if wire == _VARINT else value)
        if tag == 0 or after > end:
            raise EOFError(place)
        yield _Field(tag, value, wire)
        file.seek(after)


def _number(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise EOFError
