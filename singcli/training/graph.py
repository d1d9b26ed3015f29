"""Both parts of the network in one ONNX graph; docs/onnx.md is its contract.

The file's graph is one `If` with two branches that share no weight: the *step* part runs once a
step, the *note* part once for every note and STOP inside it (input `note_part`, false or true).
Every input has a default of batch size 1, so that a caller feeds only the inputs of one part; the
outputs of the other part come out empty.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from onnx import (
    GraphProto,
    ModelProto,
    OperatorSetIdProto,
    TensorProto,
    helper,
    numpy_helper,
)
from torch import Tensor, nn

from singcli import __version__
from singcli.model.contract import (
    CARD_KEY,
    NOTE_OUTPUTS,
    PART_INPUT,
    STEP_OUTPUTS,
    STOP,
    ModelCard,
    note_inputs,
    step_inputs,
)
from singcli.model.graph_check import PRODUCT_DOMAIN
from singcli.training.networks import NoteNetwork, PointerNetwork, StepInputs, StepNetwork
from singcli.training.note_part import FusedNotePart
from singcli.training.quantised_parts import quantised_note, quantised_step

STEP_BRANCH, NOTE_BRANCH = "else_branch", "then_branch"  # of the If
OPSET = 20  # the first with Gelu
IR_VERSION = 10  # what onnxruntime 1.22, the oldest that we allow, still reads


class StepPart(nn.Module):
    """One step of the step network, its state as plain inputs and outputs."""

    def __init__(self, network: StepNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take the tensors of `step_inputs`, return those of `STEP_OUTPUTS`."""
        *seen, hidden, cell = tensors
        return self.network.tick(StepInputs(*seen), hidden, cell)


class NotePart(nn.Module):
    """One decision of the note network; adds the last token to the step's sum on the way."""

    def __init__(self, network: NoteNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        features: Tensor,
        token_bias: Tensor,
        chosen: Tensor,
        last_token: Tensor,
        draft_onsets: Tensor,
        lead: Tensor,
        bass: Tensor,
        draft_duration: Tensor,
        chord_duration: Tensor,
        draft_velocity: Tensor,
        voice_velocity: Tensor,
    ) -> tuple[Tensor, ...]:
        """Take the tensors of `note_inputs`, return those of `NOTE_OUTPUTS`."""
        is_note = (last_token < STOP).unsqueeze(-1)
        chosen = chosen + self.network.chosen(last_token) * is_note
        of_pitch, of_duration, of_velocity = features.split(self.network.parts, -1)
        logits, gate = self.network.pitch_logits(
            of_pitch, token_bias, chosen, last_token, draft_onsets, lead, bass
        )
        duration = self.network.duration_logits(
            of_duration, last_token, draft_duration, chord_duration
        )
        velocity = self.network.velocity_logits(
            of_velocity, last_token, draft_velocity, voice_velocity
        )
        return logits, gate, chosen, duration, velocity


def model_from_network(network: PointerNetwork, card: ModelCard) -> ModelProto:
    """Return the model in float32: both parts traced."""
    step, note = step_inputs(1, card.sizes), note_inputs(1, card.sizes)
    return _model(
        _traced(StepPart(network.step), step, STEP_OUTPUTS, batch="step_rows"),
        _traced(FusedNotePart(network.note), note, NOTE_OUTPUTS, batch="note_rows"),
        card,
    )


def quantised_model(network: PointerNetwork, card: ModelCard) -> ModelProto:
    """Return the model in 8 bits (`singcli.training.quantisation`)."""
    return _model(
        quantised_step(network.step, card.sizes),
        quantised_note(network.note, card.sizes),
        card,
        helper.make_opsetid(PRODUCT_DOMAIN, 1),
    )


def _model(
    step: GraphProto, note: GraphProto, card: ModelCard, *opsets: OperatorSetIdProto
) -> ModelProto:
    """Put each part in a branch of one `If` and attach the card."""
    inputs, outputs, branches = [], [], {}
    defaults = {PART_INPUT: np.zeros((), np.bool_)}
    defaults |= step_inputs(1, card.sizes) | note_inputs(1, card.sizes)
    for name, graph in (("step", step), ("note", note)):
        inputs += list(graph.input)
        outputs += list(graph.output)
        first_output = len(outputs) - len(graph.output)
        branches[name] = _branch(graph, name, first_output=first_output)
    choice = helper.make_node(
        "If",
        [PART_INPUT],
        [output.name for output in outputs],
        **{NOTE_BRANCH: branches["note"], STEP_BRANCH: branches["step"]},
    )
    which = helper.make_tensor_value_info(PART_INPUT, TensorProto.BOOL, [])
    initializers = [numpy_helper.from_array(value, name) for name, value in defaults.items()]
    model = helper.make_model(
        helper.make_graph([choice], card.name, [which, *inputs], outputs, initializers),
        opset_imports=[helper.make_opsetid("", OPSET), *opsets],
        ir_version=IR_VERSION,
        producer_name="singcli",
        producer_version=__version__,
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model)
    return model


def _branch(graph: GraphProto, name: str, *, first_output: int) -> GraphProto:
    """Return a part as a branch, with empty tensors for the outputs of the other part.

    Its names get a prefix, but for the inputs, which it takes from the outer graph.
    """
    graph = onnx.compose.add_prefix_graph(graph, f"{name}/", rename_inputs=False)
    del graph.input[:]
    empty = [
        numpy_helper.from_array(np.zeros(0, np.float32), f"{name}/empty_{k}")
        for k in range(len(STEP_OUTPUTS + NOTE_OUTPUTS) - len(graph.output))
    ]
    blanks = [helper.make_tensor_value_info(e.name, TensorProto.FLOAT, [0]) for e in empty]
    nodes = [helper.make_node("Constant", [], [e.name], value=e) for e in empty]
    ordered = [*blanks[:first_output], *graph.output, *blanks[first_output:]]
    return helper.make_graph([*graph.node, *nodes], name, [], ordered, list(graph.initializer))


def _traced(
    part: nn.Module, inputs: dict[str, Any], outputs: tuple[str, ...], *, batch: str
) -> GraphProto:
    """Export one part with a dynamic first axis called `batch`."""
    rows = torch.export.Dim(batch, min=1, max=65536)
    # Two rows, because the exporter would take a batch of one for a constant.
    example = tuple(torch.from_numpy(np.repeat(value, 2, axis=0)) for value in inputs.values())
    shapes = tuple({0: rows} for _ in example)
    with _quiet_exporter():
        program = torch.onnx.export(
            part.eval(),
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_shapes=(shapes,) if isinstance(part, StepPart) else shapes,  # *tensors is one
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return _without_traces(program.model_proto.graph)


def _without_traces(graph: GraphProto) -> GraphProto:
    """Drop what the exporter notes of our source lines: nobody's folders belong into a model."""
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    return graph


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's remarks on its own internals from the user."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
