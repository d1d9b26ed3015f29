"""The network as an int8 file computes it, in torch: weights and what they are multiplied with."""

from __future__ import annotations

import copy

import torch  # noqa: TID253
from torch import Tensor, nn  # noqa: TID253
from torch.nn import functional  # noqa: TID253

from singcli.training.networks import NoteNetwork, PointerNetwork, StepNetwork
from singcli.training.quantisation import (
    EMBEDDED,
    GELU,
    LARGEST,
    LARGEST_FACTOR,
    STATE,
    Codes,
    bounds,
)

State = tuple[Tensor, Tensor]
EMBEDDINGS = ("roll", "draft", "bar", "context")  # in the order in which the LSTM takes them


def rounded(network: PointerNetwork) -> PointerNetwork:
    """Return a copy that computes as the graph of `quantised_model`."""
    result = copy.deepcopy(network)
    with torch.no_grad():
        _round_step(result.step, network.step)
        _round_note(result.note)
    return result


def _round_step(step: StepNetwork, original: StepNetwork) -> None:
    size = step.lstm.hidden_size
    embeddings = [RoundedEmbedding(getattr(step, name)) for name in EMBEDDINGS]
    tables = [table.weight.abs().amax(0) for table in (step.lead, step.bass)]
    for table, bound in zip((step.lead, step.bass), tables, strict=True):
        table.weight.copy_(decoded(table.weight / bound, EMBEDDED) * bound)
    state = STATE.scale / EMBEDDED.scale
    embedded = torch.cat([*(layer.bound for layer in embeddings), *tables])
    width = original.lstm.input_size + size
    seen = torch.cat([embedded, embedded.new_full((width - len(embedded),), state)])
    sources = torch.cat([layer.bound for layer in embeddings[1:]])
    mixed = torch.cat([sources.new_full((size,), state), sources])
    step.lstm = RoundedLstm(original.lstm, seen)  # type: ignore[assignment]
    step.mix = RoundedLinear(step.mix.weight, step.mix.bias, mixed, EMBEDDED)  # type: ignore[assignment]
    for name in ("features", "hints"):
        _round_after_gelu(step, name)
    for name, layer in zip(EMBEDDINGS, embeddings, strict=True):
        setattr(step, name, layer)


def _round_note(note: NoteNetwork) -> None:
    for name, layer in list(note.named_children()):
        if isinstance(layer, nn.Embedding):
            layer.weight.copy_(nearest(layer.weight, LARGEST))
        elif name == "duration":
            note.duration.weight.copy_(nearest(note.duration.weight, LARGEST))
        elif isinstance(layer, nn.Linear) and name != "counts":
            _round_after_gelu(note, name)


def _round_after_gelu(part: nn.Module, name: str) -> None:
    layer = getattr(part, name)
    setattr(part, name, RoundedLinear(layer.weight, layer.bias, torch.ones(1), GELU))


class RoundedLinear(nn.Module):
    """A linear layer with weights in 7 bits, whose inputs, divided by `scale`, become codes."""

    def __init__(self, weight: Tensor, bias: Tensor, scale: Tensor, codes: Codes) -> None:
        super().__init__()
        self.weight = nearest(weight.detach() * scale, LARGEST_FACTOR)
        self.bias, self.scale, self.codes = bias, scale, codes

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer."""
        return functional.linear(decoded(inputs / self.scale, self.codes), self.weight, self.bias)


class RoundedEmbedding(nn.Module):
    """An embedding of rolls that is rounded to codes and cut off at its bound."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.bound = torch.from_numpy(bounds(layer.weight.detach().numpy()))
        self.weight = nearest(layer.weight.detach(), LARGEST)

    def forward(self, rolls: Tensor) -> Tensor:
        """Apply the layer."""
        embedded = functional.linear(rolls, self.weight)
        return decoded(embedded / self.bound, EMBEDDED) * self.bound


class RoundedLstm(nn.Module):
    """An LSTM whose product is a `RoundedLinear`, step by step."""

    def __init__(self, lstm: nn.LSTM, scale: Tensor) -> None:
        super().__init__()
        ((from_seen, from_hidden, bias, more_bias),) = lstm.all_weights
        weight = torch.cat([from_seen, from_hidden], 1)
        self.product = RoundedLinear(weight, bias + more_bias, scale, EMBEDDED)
        self.size = lstm.hidden_size

    def forward(self, seen: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over T steps, as `nn.LSTM` with the batch first."""
        blank = seen.new_zeros(len(seen), self.size)
        hidden, cell = (blank, blank) if state is None else (part[0] for part in state)
        outputs = []
        for step in range(seen.shape[1]):
            gates = self.product(torch.cat([seen[:, step], hidden], -1))
            admit, forget, candidate, reveal = gates.chunk(4, -1)
            cell = forget.sigmoid() * cell + admit.sigmoid() * candidate.tanh()
            hidden = reveal.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs, 1), (hidden[None], cell[None])


def nearest(weights: Tensor, largest: int) -> Tensor:
    """Round a matrix to integers up to `largest`, with a scale for each row."""
    scale = weights.abs().amax(-1, keepdim=True) / largest
    scale = torch.where(scale > 0, scale, 1.0)
    return torch.round(weights / scale) * scale


def decoded(values: Tensor, codes: Codes) -> Tensor:
    """Round numbers to codes, and back."""
    shifted = torch.round(values / codes.scale) + codes.zero
    return (shifted.clamp(0, 255) - codes.zero) * codes.scale
