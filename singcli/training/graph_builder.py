"""A part of an ONNX graph put together operator by operator, where no exporter would say it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]


class GraphBuilder:
    """Collects operators and what they need; values are told by their names."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Store a tensor and return its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def apply(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output and return the name of that."""
        (output,) = self.parts(operator, *inputs, n_outputs=1, **attributes)
        return output

    def parts(self, operator: str, *inputs: str, n_outputs: int, **attributes: Any) -> list[str]:
        """Add an operator with several outputs and return their names."""
        outputs = [f"{operator}_{len(self._nodes)}_{k}" for k in range(n_outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), outputs, **attributes))
        return outputs

    def concat(self, *inputs: str) -> str:
        """Put matrices side by side."""
        return self.apply("Concat", *inputs, axis=1)

    def split(self, matrix: str, *widths: int) -> list[str]:
        """Cut a matrix into columns of these widths."""
        return self.parts(
            "Split", matrix, self.constant(widths, np.int64), n_outputs=len(widths), axis=1
        )

    def reshape(self, value: str, *shape: int) -> str:
        """Read the same numbers in another shape."""
        return self.apply("Reshape", value, self.constant(shape, np.int64))

    def gather(self, table: str, rows: str) -> str:
        """Look up rows of a table."""
        return self.apply("Gather", table, rows, axis=0)

    def graph(
        self, name: str, inputs: Mapping[str, Array], outputs: Sequence[tuple[str, str, list[int]]]
    ) -> GraphProto:
        """Return the graph.

        Parameters
        ----------
        name : str
            Of the part.
        inputs : mapping of str to np.ndarray, shape=(1, ...)
            One row of each.
        outputs : sequence of (str, str, list of int)
            Name, the value that it is, and its shape without the rows.
        """
        rows = f"{name}_rows"
        takes = [
            helper.make_tensor_value_info(
                key, helper.np_dtype_to_tensor_dtype(value.dtype), [rows, *value.shape[1:]]
            )
            for key, value in inputs.items()
        ]
        gives = [
            helper.make_tensor_value_info(key, TensorProto.FLOAT, [rows, *shape])
            for key, _, shape in outputs
        ]
        names = {value: key for key, value, _ in outputs}
        for node in self._nodes:
            node.input[:] = [names.get(value, value) for value in node.input]
            node.output[:] = [names.get(value, value) for value in node.output]
        return helper.make_graph(self._nodes, name, takes, gives, self._constants)
