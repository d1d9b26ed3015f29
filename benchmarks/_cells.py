"""What may stand in place of the step part's LSTM: a run over T steps, and one step spelled out.

Conventions
-----------
N songs, T steps, I input values, W values out. A *state* is a tuple of tensors, (N, ...); None
stands for the beginning of all songs. `tick` is `forward` of one step without the axis T, of
operations that every exporter knows, and takes a state that is there (`blank`).

References
----------
Cho et al., "Learning phrase representations using RNN encoder-decoder" (EMNLP 2014): GRU.
De et al., "Griffin: mixing gated linear recurrences with local attention" (arXiv 2402.19427, 2024).
Ba, Kiros, Hinton, "Layer normalization" (arXiv 1607.06450, 2016).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, ...]

WINDOW_STEPS = 32  # two bars of 4/4
HEADS = 4
MASKED = -1e9
CONVOLVED_STEPS = 4  # as in Griffin
DECAY_SHARPNESS = 8.0  # as in Griffin
SLOWEST, FASTEST = 0.999, 0.9  # decay of a step at the open gate, as in Griffin


class Cell(nn.Module, ABC):
    """Steps in, steps out, and a state that goes on."""

    @abstractmethod
    def blank(self, n: int) -> State:
        """Return the state at the beginning of `n` songs."""

    @abstractmethod
    def forward(self, seen: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over (N, T, I), return (N, T, W)."""

    @abstractmethod
    def tick(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step over (N, I), return (N, W)."""


class Lstm(Cell):
    """One or several layers of LSTM."""

    def __init__(self, width_in: int, width: int, layers: int = 1) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width_in, width, layers, batch_first=True)

    def blank(self, n: int) -> State:
        """Return hidden and cell, (n, layers, W) each."""
        return (torch.zeros(n, self.lstm.num_layers, self.lstm.hidden_size),) * 2

    def forward(self, seen: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over the steps."""
        layers_first = None if state is None else _swapped(state)
        hidden, after = self.lstm(seen, layers_first)
        return hidden, _swapped(after)

    def tick(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step, layer by layer."""
        hiddens, cells = [], []
        for layer, weights in enumerate(self.lstm.all_weights):
            from_seen, from_hidden, bias, more_bias = weights
            gates = functional.linear(
                torch.cat([seen, state[0][:, layer]], -1),
                torch.cat([from_seen, from_hidden], 1),
                bias + more_bias,
            )
            admit, forget, candidate, reveal = gates.chunk(4, -1)
            cells.append(forget.sigmoid() * state[1][:, layer] + admit.sigmoid() * candidate.tanh())
            hiddens.append(reveal.sigmoid() * cells[-1].tanh())
            seen = hiddens[-1]
        return seen, (torch.stack(hiddens, 1), torch.stack(cells, 1))


def _swapped(state: State) -> State:
    """Exchange songs and layers: torch wants the layers first."""
    return tuple(part.transpose(0, 1).contiguous() for part in state)


class Gru(Cell):
    """One layer of GRU."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width_in, width, batch_first=True)

    def blank(self, n: int) -> State:
        """Return hidden, (n, 1, W)."""
        return (torch.zeros(n, 1, self.gru.hidden_size),)

    def forward(self, seen: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over the steps."""
        hidden, last = self.gru(seen, None if state is None else _swapped(state)[0])
        return hidden, _swapped((last,))

    def tick(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step."""
        ((from_seen, from_hidden, bias, hidden_bias),) = self.gru.all_weights
        before = state[0][:, 0]
        reset, update, candidate = functional.linear(seen, from_seen, bias).chunk(3, -1)
        reset_too, update_too, candidate_too = functional.linear(
            before, from_hidden, hidden_bias
        ).chunk(3, -1)
        reset, update = (reset + reset_too).sigmoid(), (update + update_too).sigmoid()
        hidden = torch.lerp((candidate + reset * candidate_too).tanh(), before, update)
        return hidden, (hidden.unsqueeze(1),)


class LinearRecurrence(Cell):
    """The recurrent block of Griffin: a gated branch beside a convolution and a linear recurrence.

    The recurrence itself has no matrix: h = a * h + sqrt(1 - a^2) * i * x, value by value, where
    decay a and input gate i depend on the step's input alone. So all matrix products of a chunk
    are made at once, and only that line runs step by step.
    """

    def __init__(self, width_in: int, width: int, inner: int = 512) -> None:
        super().__init__()
        self.branches = nn.Linear(width_in, 2 * inner)
        self.convolved = nn.Parameter(torch.randn(CONVOLVED_STEPS, inner) / CONVOLVED_STEPS)
        self.gates = nn.Linear(inner, 2 * inner)
        self.out = nn.Linear(inner, width)
        decay = torch.empty(inner).uniform_(FASTEST, SLOWEST)
        # softplus(rate) * sharpness is -log of the decay at the open gate
        self.rate = nn.Parameter((-decay.log() / DECAY_SHARPNESS).expm1().log())

    def blank(self, n: int) -> State:
        """Return hidden (n, inner) and the inputs before, (n, convolved - 1, inner)."""
        inner = self.out.in_features
        return torch.zeros(n, inner), torch.zeros(n, CONVOLVED_STEPS - 1, inner)

    def forward(self, seen: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over the steps."""
        hidden, before = self.blank(len(seen)) if state is None else state
        gate, values = self.branches(seen).chunk(2, -1)
        values = torch.cat([before, values], 1)
        n_steps = seen.shape[1]
        smooth = torch.stack([values[:, k : k + n_steps] for k in range(CONVOLVED_STEPS)], -2)
        decay, admitted = self._gated((smooth * self.convolved).sum(-2))
        steps = []
        for kept, new in zip(decay.unbind(1), admitted.unbind(1), strict=True):
            hidden = torch.addcmul(new, kept, hidden)
            steps.append(hidden)
        out: Tensor = self.out(torch.stack(steps, 1) * functional.gelu(gate))
        return out, (hidden, values[:, n_steps:])

    def tick(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step."""
        hidden, before = state
        gate, value = self.branches(seen).chunk(2, -1)
        values = torch.cat([before, value.unsqueeze(1)], 1)
        decay, admitted = self._gated((values * self.convolved).sum(1))
        hidden = decay * hidden + admitted
        out: Tensor = self.out(hidden * functional.gelu(gate))
        return out, (hidden, values[:, 1:])

    def _gated(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return decay and what is admitted, of the shape of `values`."""
        recall, admit = self.gates(values).sigmoid().chunk(2, -1)
        log_decay = -DECAY_SHARPNESS * functional.softplus(self.rate) * recall
        scale = torch.sqrt(1 - torch.exp(2 * log_decay) + 1e-6)
        return log_decay.exp(), scale * admit * values


class Attention(nn.Module):
    """Attention of each step to itself and the steps before it, `WINDOW_STEPS` in all.

    With a learned bias for each distance. What lies before the song counts as steps of zeros.
    """

    distance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(HEADS, WINDOW_STEPS))

    def blank(self, n: int) -> Tensor:
        """Return keys and values before the song, (n, window - 1, 2 * W)."""
        return torch.zeros(n, WINDOW_STEPS - 1, self.key_value.out_features)

    def forward(self, values: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is attended to, added to (N, T, W), and the new past."""
        n_steps = values.shape[1]
        normed = self.norm(values)
        both = torch.cat([past, self.key_value(normed)], 1)
        distance = torch.arange(n_steps).unsqueeze(1) - torch.arange(both.shape[1])
        distance = distance + WINDOW_STEPS - 1
        bias = self.bias[:, distance.clamp(0, WINDOW_STEPS - 1)]
        outside = (distance < 0) | (distance >= WINDOW_STEPS)
        attended = self._attended(normed, both, bias.masked_fill(outside, MASKED))
        return values + attended, both[:, n_steps:]

    def tick(self, values: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Do the same for one step, (N, W)."""
        normed = self.norm(values).unsqueeze(1)
        both = torch.cat([past, self.key_value(normed)], 1)
        attended = self._attended(normed, both, self.bias.flip(1).unsqueeze(1))
        return values + attended.squeeze(1), both[:, 1:]

    def _attended(self, normed: Tensor, both: Tensor, bias: Tensor) -> Tensor:
        query, key, value = (
            rows.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for rows in (self.query(normed), *both.chunk(2, -1))
        )
        logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias
        mixed = (logits.softmax(-1) @ value).transpose(1, 2).flatten(2)
        out: Tensor = self.out(mixed)
        return out


class WindowBlock(Cell):
    """A transformer block over the last steps in place of a recurrence."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(width_in, width)
        self.attention = Attention(width)
        self.further = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)

    def blank(self, n: int) -> State:
        """Return the past of the attention."""
        return (self.attention.blank(n),)

    def forward(self, seen: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over the steps."""
        (past,) = self.blank(len(seen)) if state is None else state
        values, past = self.attention(self.into(seen), past)
        return self.norm(values + self.further(values)), (past,)

    def tick(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step."""
        values, past = self.attention.tick(self.into(seen), state[0])
        return self.norm(values + self.further(values)), (past,)


class LstmAndWindow(Cell):
    """An LSTM, and attention to what it returned in the last steps."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.lstm = Lstm(width_in, width)
        self.attention = Attention(width)

    def blank(self, n: int) -> State:
        """Return the state of the LSTM and the past of the attention."""
        return *self.lstm.blank(n), self.attention.blank(n)

    def forward(self, seen: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over the steps."""
        *memory, past = self.blank(len(seen)) if state is None else state
        hidden, memory_after = self.lstm(seen, tuple(memory))
        hidden, past = self.attention(hidden, past)
        return hidden, (*memory_after, past)

    def tick(self, seen: Tensor, state: State) -> tuple[Tensor, State]:
        """Run one step."""
        *memory, past = state
        hidden, memory_after = self.lstm.tick(seen, tuple(memory))
        hidden, past = self.attention.tick(hidden, past)
        return hidden, (*memory_after, past)
