"""What a model file may hold, read from its bytes before onnxruntime sees them.

A model of singcli is arithmetic on tensors that are all in the file. Anything else is refused:
other files, operators of others, loops, and operators that make large tensors of small ones, which
onnxruntime may already run when it loads the graph.

The bytes are those of a protocol buffer, `onnx.proto`; the few fields needed are read here, so that
generating needs no `onnx`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from singcli.errors import InputError

OPERATORS = frozenset(  # a word each
    re.findall(
        r"\w+",
        "Abs Add And Cast Clip Concat Constant DequantizeLinear Div Equal Erf Exp Flatten Gather "
        "GatherElements Gelu Gemm Greater GreaterOrEqual Identity If LSTM LayerNormalization Less "
        "LessOrEqual Log LogSoftmax MatMul Max Min Mul Neg Not Or Pow QLinearMatMul QuantizeLinear "
        "Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Shape Sigmoid Slice Softmax "
        "Softplus Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where",
    )
)
STANDARD_DOMAINS = (b"", b"ai.onnx")
# onnxruntime's own, of `--weights int8`
PRODUCT, PRODUCT_DOMAIN = "MatMulIntegerToFloat", "com.microsoft"
PRODUCTS = (PRODUCT, "MatMulNBits")  # the second in files of earlier versions
DOMAINS = (*STANDARD_DOMAINS, PRODUCT_DOMAIN.encode())
MAX_DEPTH = 4  # of graphs inside graphs; ours have one, the branches of an If
MAX_NODES = 20_000

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5

# numbers of fields in onnx.proto
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 8, 20, 25
_OPSET_DOMAIN = 1
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


class _Field(NamedTuple):
    """A field of a message: its number, and its number or bytes."""

    number: int
    value: int | memoryview


def validate_graph(content: bytes, *, source: str) -> None:
    """Check that a model file refers to nothing else and holds known operators only.

    Raises
    ------
    InputError
        Says what it holds that a model of singcli does not.
    """
    try:
        _Check(source).model(memoryview(content))
    except (IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"{source}: damaged or not an ONNX file", "use a file written by singcli export-onnx"
        ) from error


class _Check:
    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = 0

    def model(self, message: memoryview) -> None:
        for field in _fields(message):
            if field.number == _MODEL_GRAPH:
                self._graph(_content(field), 0)
            elif field.number == _MODEL_OPSET:
                for part in _fields(_content(field)):
                    if part.number == _OPSET_DOMAIN and bytes(_content(part)) not in DOMAINS:
                        raise self._refused(f"operators of {_text(part)}")
            elif field.number == _MODEL_TRAINING:
                raise self._refused("training steps")
            elif field.number == _MODEL_FUNCTION:
                raise self._refused("functions of its own")

    def _graph(self, message: memoryview, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._refused(f"graphs nested more than {MAX_DEPTH} deep")
        for field in _fields(message):
            if field.number == _GRAPH_NODE:
                self._node(_content(field), depth)
            elif field.number == _GRAPH_INITIALIZER:
                self._tensor(_content(field))
            elif field.number == _GRAPH_SPARSE:
                raise self._refused("sparse tensors")

    def _node(self, message: memoryview, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refused(f"more than {MAX_NODES} operators")
        operator = domain = ""
        for field in _fields(message):
            if field.number == _NODE_OPERATOR:
                operator = _text(field)
            elif field.number == _NODE_DOMAIN:
                domain = _text(field)
            elif field.number == _NODE_ATTRIBUTE:
                self._attribute(_content(field), depth)
        if operator in PRODUCTS and domain == PRODUCT_DOMAIN:
            return
        if domain.encode() not in STANDARD_DOMAINS:
            raise self._refused(f"an operator of {domain}: {operator[:40]!r}")
        if operator not in OPERATORS:
            raise self._refused(f"the operator {operator[:40]!r}")

    def _attribute(self, message: memoryview, depth: int) -> None:
        for field in _fields(message):
            if field.number in _ATTRIBUTE_GRAPHS:
                self._graph(_content(field), depth + 1)
            elif field.number in _ATTRIBUTE_TENSORS:
                self._tensor(_content(field))
            elif field.number in _ATTRIBUTE_SPARSE:
                raise self._refused("sparse tensors")

    def _tensor(self, message: memoryview) -> None:
        for field in _fields(message):
            if field.number == _TENSOR_EXTERNAL or (field.number == _TENSOR_LOCATION and field[1]):
                raise self._refused("tensors that lie in other files")

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"{self._source}: holds {what}, which a model of singcli does not",
            "use a file written by singcli export-onnx",
        )


def _fields(message: memoryview) -> Iterator[_Field]:
    """Yield the fields of a message.

    Raises
    ------
    IndexError, ValueError
        Where the bytes break off, or are no message.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield _Field(number, value)
            continue
        if kind == _BYTES:
            length, place = _varint(message, place)
        elif kind in (_FIXED_64, _FIXED_32):
            length = 8 if kind == _FIXED_64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        end = place + length
        if end > len(message):
            raise IndexError(end)
        yield _Field(number, message[place:end])
        place = end


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Read a number of variable length; return it and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than ten bytes")


def _content(field: _Field) -> memoryview:
    """Return the bytes of a field that is not a number."""
    if isinstance(field.value, int):
        raise TypeError(f"field {field.number} is a number")
    return field.value


def _text(field: _Field) -> str:
    return bytes(_content(field)).decode(errors="replace")
