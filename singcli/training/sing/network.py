"""The network of the paper: an LSTM, and three scalars that add its state and the attention.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from singcli.model.sing.roll_out import HIDDEN
from singcli.model.sing.sampling import Floats
from singcli.structure.row_ssm import N_ROW_PITCHES

State = tuple[Tensor, Tensor]


class SingNetwork(nn.Module):
    """An LSTM of 128 whose state is the logits of the 128 pitches.

    With attention, logit[p] = u * weighted[p] + v * hidden[p] + b, the same u, v and b for every
    pitch: 132,099 parameters. Without, logits are the state alone: 132,096.
    """

    def __init__(self, *, attention: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(N_ROW_PITCHES, HIDDEN)
        self.mix = nn.Linear(2, 1) if attention else None

    def forward(self, row: Tensor, weighted: Tensor, state: State) -> Tensor:
        """Return the logits of many rows, given what was fed for each.

        Parameters
        ----------
        row, weighted : Tensor, shape=(n_rows, n, 128)
        state : pair of Tensor, shape=(n, HIDDEN)
            Before the first row.

        Returns
        -------
        Tensor, shape=(n_rows, n, 128)
        """
        hidden: Tensor
        hidden, _ = self.lstm(row, (state[0].unsqueeze(0), state[1].unsqueeze(0)))
        return self.mixed(weighted, hidden)

    def mixed(self, weighted: Tensor, hidden: Tensor) -> Tensor:
        """Return the logits from attention and state."""
        if self.mix is None:
            return hidden
        u, v = self.mix.weight[0]
        logits: Tensor = u * weighted + v * hidden + self.mix.bias
        return logits

    @property
    def gates(self) -> tuple[Tensor, Tensor, Tensor]:
        """What makes the gates from row and state: (128, 512), (128, 512) and an offset (512,)."""
        of_row, of_hidden, offset, offset_of_hidden = self.lstm.all_weights[0]
        return of_row.T, of_hidden.T, offset + offset_of_hidden

    def tick(self, row: Tensor, weighted: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the logits of one row, (n, 128), and the next state: one step, unrolled."""
        (hidden, cell), (of_row, of_hidden, offset) = state, self.gates
        gates = torch.addmm(torch.addmm(offset, row, of_row), hidden, of_hidden)
        enter, forget, content, leave = gates.chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * content.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        return self.mixed(weighted, hidden), (hidden, cell)


class FrozenCell:
    """The network as a `Cell` of `roll_out`: one step after the other, without gradients."""

    def __init__(self, network: SingNetwork, device: torch.device) -> None:
        self.network, self.device = network, device

    @torch.no_grad()
    def __call__(
        self, row: Floats, weighted: Floats, hidden: Floats, cell: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Run one step, arrays (n, 128) in and out."""
        seen = [torch.from_numpy(a).to(self.device) for a in (row, weighted, hidden, cell)]
        logits, state = self.network.tick(seen[0], seen[1], (seen[2], seen[3]))
        found = [tensor.cpu().numpy() for tensor in (logits, *state)]
        return found[0], found[1], found[2]
