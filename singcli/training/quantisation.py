"""Weights in 8 bits: matrices of a graph as integers with a scale for every output.

The arithmetic stays in float32: onnxruntime turns the integers back when it loads the file. So the
file is a quarter of the size at the same speed, and what is sampled for one song does not depend on
the songs beside it, as it would if the activations of a batch shared a scale.

References
----------
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference" (CVPR 2018), section 2; differs: symmetric, of weights alone, a scale a channel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

SMALLEST = 1024  # weights; smaller tensors stay as they are
LARGEST = 127

Floats = npt.NDArray[np.float32]


def quantised(weights: Floats, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return integers and scales whose product is nearest to a matrix.

    Parameters
    ----------
    weights : np.ndarray, shape=(n, m)
    axis : {0, 1}
        Which has a scale for each of its places.

    Returns
    -------
    integers : np.ndarray, shape=(n, m), int8 in -127..127
    scale : np.ndarray, shape=(n,) or (m,), float32 > 0
    """
    largest = np.abs(weights).max(axis=1 - axis)
    scale = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    integers = np.rint(weights / np.expand_dims(scale, 1 - axis)).astype(np.int8)
    return integers, scale


def quantise_model(model: ModelProto) -> None:
    """Store the matrices of both parts of a model as int8."""
    (choice,) = model.graph.node
    for branch in choice.attribute:
        _quantise_branch(branch.g)


def _quantise_branch(branch: GraphProto) -> None:
    """Store matrices as int8, with a scale for every output of products and every row of tables."""
    axes = {name: axis for node in branch.node for name, axis in _output_axis(node)}
    kept, nodes = [], []
    for tensor in branch.initializer:
        matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
        if not matrix or np.prod(tensor.dims) < SMALLEST:
            kept.append(tensor)
            continue
        axis = axes.get(tensor.name, 0)
        integers, scale = quantised(numpy_helper.to_array(tensor), axis)
        names = [f"{tensor.name}/{part}" for part in ("int8", "float", "scale")]
        kept.append(numpy_helper.from_array(integers, names[0]))
        kept.append(numpy_helper.from_array(np.expand_dims(scale, 1 - axis), names[2]))
        # Not DequantizeLinear, which onnxruntime leaves in place and runs at every step.
        nodes.append(helper.make_node("Cast", names[:1], names[1:2], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", names[1:], [tensor.name]))
    nodes += branch.node
    del branch.initializer[:]
    del branch.node[:]
    branch.initializer.extend(kept)
    branch.node.extend(nodes)


def _output_axis(node: NodeProto) -> list[tuple[str, int]]:
    """Return the matrix of a product and the axis of its outputs."""
    if node.op_type == "MatMul":
        return [(node.input[1], 1)]
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return [(node.input[1], 0 if transposed else 1)]
    return []
