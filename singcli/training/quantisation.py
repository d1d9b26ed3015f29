"""Weights in 8 bits: matrices as integers with scales, and products that are made of integers.

What a matrix is multiplied with is rounded as well, to a *code* of 8 bits without sign. The scales
of codes are fixed, and that is what makes a song the same beside others: integers are added up
exactly in any order, and nothing is shared by the rows of a batch. No data are needed to fix them:

- rolls are 0 and 1 (the context is between), the state is a `tanh`, one-hots are 0 and 1;
- an embedding of rolls is bounded by `BOUND` times the norm of its row of weights. It goes straight
  from integers to codes;
- what comes out of a `Gelu` is rounded between its least value and `LARGEST_GELU`, beyond which it
  is cut off.

On processors of x86 without VNNI, onnxruntime adds two products of code and weight up in 16 bits,
which are cut off at 32,767. So one of both gets 7 bits: 255 * 64 * 2 = 32,640 of a code and a
weight, 127 * 127 * 2 = 32,258 where rolls are multiplied. The integers are the same on every
processor then.

References
----------
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference" (CVPR 2018), section 2; differs: weights symmetric, a scale for each output.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from singcli.model.graph_check import PRODUCT, PRODUCT_DOMAIN
from singcli.training.graph_builder import GraphBuilder

LARGEST = 127  # of a weight that is only stored in 8 bits, or multiplied with rolls
LARGEST_FACTOR = 64  # of a weight that is multiplied with codes of all 8 bits
BOUND = 2.0  # norms; 8 held-out songs each of POP909, NIFC and Lieder stay below 1.25
LARGEST_GELU = 4.0  # the largest of a row is 1 to 1.6 in these songs, below 3.6 in 99 of 100
LEAST_GELU = -0.17

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int8]


class Codes(NamedTuple):
    """How numbers are rounded: a number is `scale * (code - zero)`, codes are 0 to 255."""

    scale: float
    zero: int


ROLLS = Codes(1 / 127, 0)
STATE = Codes(1 / 121, 128)  # up to 1.05, because the lead's age is up to 1.04; 1 has a code
EMBEDDED = Codes(1 / 127, 128)  # of embeddings divided by their bounds
_GELU_ZERO = int(np.ceil(255 * -LEAST_GELU / (LARGEST_GELU - LEAST_GELU)))
GELU = Codes(LARGEST_GELU / (255 - _GELU_ZERO), _GELU_ZERO)


def quantised(weights: Floats, largest: int = LARGEST) -> tuple[Integers, Floats]:
    """Return integers and scales whose product is nearest to a matrix.

    Parameters
    ----------
    weights : np.ndarray, shape=(n, m)
    largest : int, 1 to 127
        Of the integers.

    Returns
    -------
    integers : np.ndarray, shape=(n, m), int8 in -largest..largest
    scale : np.ndarray, shape=(n,), float32 > 0
        Of each row.
    """
    highest = np.abs(weights).max(axis=1)
    scale = np.where(highest > 0, highest / largest, 1.0).astype(np.float32)
    integers = np.rint(weights / scale[:, None]).astype(np.int8)
    return integers, scale


def bounds(weights: Floats) -> Floats:
    """Return how large the products of a matrix with rolls become, shape=(n,), float32 > 0."""
    norm = np.linalg.norm(weights, axis=1)
    return np.where(norm > 0, BOUND * norm, 1.0).astype(np.float32)


def coded(values: Floats, codes: Codes) -> npt.NDArray[np.uint8]:
    """Return the codes of numbers."""
    rounded = np.rint(values / np.float32(codes.scale)) + codes.zero
    kept: npt.NDArray[np.uint8] = np.clip(rounded, 0, 255).astype(np.uint8)
    return kept


class QuantisedBuilder(GraphBuilder):
    """Puts graphs together whose products are made of integers."""

    def stored(self, table: Floats) -> str:
        """Store a matrix in 8 bits that is multiplied out when onnxruntime loads the file."""
        integers, scale = quantised(table)
        # Not DequantizeLinear, which onnxruntime leaves in place and runs at every step.
        return self.apply(
            "Mul",
            self.unpacked(integers, TensorProto.FLOAT),
            self.constant(scale[:, None]),
        )

    def unpacked(self, integers: npt.NDArray[np.integer], to: int) -> str:
        """Store integers in 8 bits, which become another type when onnxruntime loads the file."""
        kind = np.uint8 if integers.min() >= 0 else np.int8
        return self.apply("Cast", self.constant(integers, kind), to=to)

    def codes(self, values: str, codes: Codes) -> str:
        """Round numbers to codes."""
        return self.apply("QuantizeLinear", values, *self._codes(codes))

    def embedding(self, rolls: str, weights: Floats) -> str:
        """Multiply codes of rolls with weights, shape=(n, m); return `EMBEDDED` codes."""
        integers, scale = quantised(weights)
        return self.apply(
            "QLinearMatMul",
            rolls,
            *self._codes(ROLLS),
            self.constant(integers.T, np.int8),
            self.constant(scale / bounds(weights)),
            self.constant(np.zeros(len(scale)), np.int8),
            *self._codes(EMBEDDED),
        )

    def linear(self, inputs: str, codes: Codes, weights: Floats, bias: Floats) -> str:
        """Multiply codes with weights, shape=(n, m), and add a bias; return numbers."""
        integers, scale = quantised(weights, LARGEST_FACTOR)
        code_scale, zero = self._codes(codes)
        return self.apply(
            PRODUCT,
            inputs,
            self.constant(integers.T, np.int8),
            code_scale,
            self.constant(scale),
            zero,
            "",
            self.constant(bias),
            domain=PRODUCT_DOMAIN,
        )

    def _codes(self, codes: Codes) -> tuple[str, str]:
        return self.constant(codes.scale), self.constant(codes.zero, np.uint8)
