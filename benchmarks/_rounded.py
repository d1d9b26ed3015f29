"""The network as an int8 file computes it, in torch: weights and the step part's inputs rounded."""

from __future__ import annotations

import copy

import torch  # noqa: TID253
from torch import Tensor, nn  # noqa: TID253
from torch.nn import functional  # noqa: TID253

from singcli.training.networks import PointerNetwork
from singcli.training.quantisation import BLOCK, LARGEST, SMALLEST

State = tuple[Tensor, Tensor]


def rounded(network: PointerNetwork) -> PointerNetwork:
    """Return a copy that computes as `quantise_model` makes a graph compute."""
    result = copy.deepcopy(network)
    with torch.no_grad():
        for name, layer in result.step.named_children():
            if isinstance(layer, nn.Linear) and layer.weight.numel() >= SMALLEST:
                setattr(result.step, name, RoundedLinear(layer.weight, layer.bias))
        result.step.lstm = RoundedLstm(network.step.lstm)  # type: ignore[assignment]
        tables = (*result.step.lead.parameters(), *result.step.bass.parameters())
        for weights in (*tables, *result.note.parameters()):
            if weights.ndim == 2 and weights.numel() >= SMALLEST:
                weights.copy_(_nearest(weights))
    return result


class RoundedLinear(nn.Module):
    """A linear layer whose weights and inputs are rounded block by block."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = _nearest_in_blocks(weight.detach()), bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer."""
        return functional.linear(_nearest_in_blocks(inputs), self.weight, self.bias)


class RoundedLstm(nn.Module):
    """An LSTM whose product is a `RoundedLinear`, step by step."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        ((from_seen, from_hidden, bias, more_bias),) = lstm.all_weights
        self.product = RoundedLinear(torch.cat([from_seen, from_hidden], 1), bias + more_bias)
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


def _nearest(values: Tensor) -> Tensor:
    """Round to 8 bits with a scale for each place but the last axis."""
    scale = values.abs().amax(-1, keepdim=True) / LARGEST
    scale = torch.where(scale > 0, scale, 1.0)
    return torch.round(values / scale) * scale


def _nearest_in_blocks(values: Tensor) -> Tensor:
    width = values.shape[-1]
    padded = functional.pad(values, (0, -width % BLOCK))
    return _nearest(padded.unflatten(-1, (-1, BLOCK))).flatten(-2)[..., :width]
