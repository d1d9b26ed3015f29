"""One step of SING as an ONNX graph, written node by node; docs/sing.md is its contract."""

from __future__ import annotations

import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from singcli import __version__
from singcli.model.contract import CARD_KEY
from singcli.model.sing.contract import OUTPUTS, SingCard
from singcli.model.sing.roll_out import HIDDEN
from singcli.training.graph import IR_VERSION, OPSET
from singcli.training.sing.network import SingNetwork

_GATES = ("enter", "forget", "content", "leave")  # in torch's order


def model_from_sing(network: SingNetwork, card: SingCard) -> ModelProto:
    """Return the graph of a network with its weights and its card."""
    weights = dict(zip(("of_row", "of_hidden", "offset"), network.gates, strict=True))
    node = helper.make_node
    nodes = [
        node("Gemm", ["row", "of_row", "offset"], ["from_row"]),
        node("Gemm", ["hidden", "of_hidden", "from_row"], ["gates"]),
        node("Split", ["gates"], list(_GATES), axis=-1, num_outputs=len(_GATES)),
        node("Sigmoid", ["enter"], ["entering"]),
        node("Sigmoid", ["forget"], ["keeping"]),
        node("Tanh", ["content"], ["new"]),
        node("Sigmoid", ["leave"], ["leaving"]),
        node("Mul", ["keeping", "cell"], ["kept"]),
        node("Mul", ["entering", "new"], ["entered"]),
        node("Add", ["kept", "entered"], ["next_cell"]),
        node("Tanh", ["next_cell"], ["squashed"]),
        node("Mul", ["leaving", "squashed"], ["next_hidden"]),
    ]
    if network.mix is None:
        nodes.append(node("Identity", ["next_hidden"], ["logits"]))
    else:
        u, v = network.mix.weight[0]
        weights |= {"u": u, "v": v, "b": network.mix.bias}
        nodes += [
            node("Mul", ["u", "weighted"], ["from_attention"]),
            node("Mul", ["v", "next_hidden"], ["from_state"]),
            node("Add", ["from_attention", "from_state"], ["mixed"]),
            node("Add", ["mixed", "b"], ["logits"]),
        ]

    def values(names: tuple[str, ...]) -> list[onnx.ValueInfoProto]:
        shape: list[str | int | None] = ["n", HIDDEN]
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]

    initializers = [
        numpy_helper.from_array(value.detach().cpu().contiguous().numpy(), name)
        for name, value in weights.items()
    ]
    model = helper.make_model(
        helper.make_graph(nodes, card.name, values(card.inputs), values(OUTPUTS), initializers),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="singcli",
        producer_version=__version__,
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model)
    return model
