"""Weights in 8 bits: matrices of a graph as integers with scales.

The step part computes its products with the integers (`MatMulNBits`): each row of their input is
rounded to 8 bits as well, block by block with a scale of its own, so that what is sampled for one
song does not depend on the songs beside it, as it would if the activations of a batch shared a
scale. A song alone is bound by reading the weights, of which there is a quarter then. The note
part is so small that rounding costs a batch more than it saves: its matrices, and all tables, are
multiplied out once, when onnxruntime loads the file.

References
----------
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference" (CVPR 2018), section 2; differs: symmetric, scales a block of `BLOCK` weights.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from singcli.model.graph_check import PRODUCT, PRODUCT_DOMAIN
from singcli.training.graph import STEP_BRANCH

SMALLEST = 1024  # weights; smaller tensors stay as they are
LARGEST = 127
ZERO = 128  # how `MatMulNBits` stores 0
BLOCK = 64  # with larger ones onnxruntime adds up a row alone in another order than in a batch
ROUNDED_INPUTS = 4  # `accuracy_level` of a product whose inputs are rounded to 8 bits

Floats = npt.NDArray[np.float32]


def quantised(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return integers and scales whose product is nearest to a matrix.

    Parameters
    ----------
    weights : np.ndarray, shape=(n, m)

    Returns
    -------
    integers : np.ndarray, shape=(n, m), int8 in -127..127
    scale : np.ndarray, shape=(n,), float32 > 0
        Of each row.
    """
    largest = np.abs(weights).max(axis=1)
    scale = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    integers = np.rint(weights / scale[:, None]).astype(np.int8)
    return integers, scale


def in_blocks(weights: Floats) -> Floats:
    """Cut the rows of a matrix into blocks, filled up with zeros, shape=(n, n_blocks, BLOCK)."""
    n_blocks = -(-weights.shape[1] // BLOCK)
    padded = np.pad(weights, ((0, 0), (0, n_blocks * BLOCK - weights.shape[1])))
    return padded.reshape(len(weights), n_blocks, BLOCK)


def quantise_model(model: ModelProto) -> None:
    """Store the matrices of both parts of a model in 8 bits."""
    (choice,) = model.graph.node
    for branch in choice.attribute:
        _quantise_branch(branch.g, products=branch.name == STEP_BRANCH)
    model.opset_import.append(helper.make_opsetid(PRODUCT_DOMAIN, 1))


def _quantise_branch(branch: GraphProto, *, products: bool) -> None:
    """Store matrices as integers; where `products`, linear layers compute with them."""
    stored = {t.name: numpy_helper.to_array(t) for t in branch.initializer}
    joined = {node.output[0]: _joined(node, stored) for node in branch.node}
    matrices = stored | {name: matrix for name, matrix in joined.items() if matrix is not None}
    nodes, tensors = [], []
    for node in branch.node:
        matrix = _matrix_of_product(node, matrices) if products else None
        if matrix is None:
            nodes.append(node)
        else:
            product, *its = _product(node, matrix)
            nodes.append(product)
            tensors += its
    used = {name for node in nodes for name in node.input}
    nodes = [node for node in nodes if joined[node.output[0]] is None or node.output[0] in used]
    used = {name for node in nodes for name in node.input}
    unpacked = []
    for tensor in branch.initializer:
        if tensor.name not in used:
            continue
        if tensor.data_type != TensorProto.FLOAT or not _is_large(stored[tensor.name]):
            tensors.append(tensor)
            continue
        name = tensor.name
        integers, scale = quantised(stored[name])
        tensors.append(numpy_helper.from_array(integers, f"{name}/int8"))
        tensors.append(numpy_helper.from_array(scale[:, None], f"{name}/scale"))
        # Not DequantizeLinear, which onnxruntime leaves in place and runs at every step.
        floats = f"{name}/float"
        unpacked.append(helper.make_node("Cast", [f"{name}/int8"], [floats], to=TensorProto.FLOAT))
        unpacked.append(helper.make_node("Mul", [floats, f"{name}/scale"], [name]))
    del branch.initializer[:]
    del branch.node[:]
    branch.initializer.extend(tensors)
    branch.node.extend([*unpacked, *nodes])


def _joined(node: NodeProto, stored: dict[str, npt.NDArray[np.generic]]) -> Floats | None:
    """Return the matrix that a node puts together from stored ones, None for other nodes."""
    if node.op_type != "Concat" or not all(name in stored for name in node.input):
        return None
    return np.concatenate([stored[name] for name in node.input], axis=node.attribute[0].i)


def _is_large(matrix: npt.NDArray[np.generic]) -> bool:
    return matrix.ndim == 2 and matrix.size >= SMALLEST


def _matrix_of_product(
    node: NodeProto, matrices: dict[str, npt.NDArray[np.generic]]
) -> Floats | None:
    """Return the weights of a linear layer that is large enough, shape=(n_outputs, n_inputs)."""
    if node.op_type != "Gemm" or node.input[1] not in matrices:
        return None
    matrix = matrices[node.input[1]]
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    if not _is_large(matrix) or not transposed:
        return None
    return matrix.astype(np.float32)


def _product(node: NodeProto, weights: Floats) -> tuple[NodeProto, TensorProto, TensorProto]:
    """Return a linear layer with weights in 8 bits, and its integers and scales."""
    n_outputs, n_inputs = weights.shape
    blocks = in_blocks(weights)
    integers, scale = quantised(blocks.reshape(-1, BLOCK))
    names = [f"{node.output[0]}/{part}" for part in ("int8", "scale")]
    bias = ["", "", node.input[2]] if len(node.input) > 2 else []
    product = helper.make_node(
        PRODUCT,
        [node.input[0], *names, *bias],
        list(node.output),
        domain=PRODUCT_DOMAIN,
        K=n_inputs,
        N=n_outputs,
        bits=8,
        block_size=BLOCK,
        accuracy_level=ROUNDED_INPUTS,
    )
    stored = (integers.astype(np.int16) + ZERO).astype(np.uint8).reshape(blocks.shape)
    return (
        product,
        numpy_helper.from_array(stored, names[0]),
        numpy_helper.from_array(scale, names[1]),
    )
