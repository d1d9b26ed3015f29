"""Variable batching: segments of one length together, and what a batch of them is shown.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from singcli.model.sing.attention import Attention, attention_from_ssm
from singcli.model.sing.roll_out import HIDDEN, Piece, Teacher, Trace, piece_from_seed, roll_out
from singcli.model.sing.sampling import RowSampling
from singcli.row_dataset import Segment
from singcli.structure.row_ssm import Roll, row_ssm
from singcli.training.sing.config import SingTrainingConfig
from singcli.training.sing.network import FrozenCell, SingNetwork

_TEACHER = 1  # spawn keys: what else is drawn for a segment besides its own rows


def batches_of_segments(segments: Sequence[Segment], most: int) -> list[list[int]]:
    """Return which segments are shown together: those of one length, `most` at a time."""
    by_length: dict[int, list[int]] = {}
    for index, segment in enumerate(segments):
        by_length.setdefault(len(segment.roll), []).append(index)
    return [
        group[first : first + most]
        for _, group in sorted(by_length.items())
        for first in range(0, len(group), most)
    ]


def batch_order(n_batches: int, *, seed: int, epoch: int) -> list[int]:
    """Return the order of the batches in an epoch."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,)))
    return [int(index) for index in rng.permutation(n_batches)]


class SegmentStore:
    """The segments of a split; their attention is computed once, when it is asked for."""

    def __init__(self, segments: Sequence[Segment], *, attention: bool) -> None:
        self.segments = segments
        self.pays_attention = attention
        self._attention: dict[int, Attention] = {}

    def attention(self, index: int) -> Attention:
        """Return the attention weights of a segment under its own matrix."""
        if index not in self._attention:
            roll = self.segments[index].roll
            self._attention[index] = (
                attention_from_ssm(row_ssm(roll))
                if self.pays_attention
                else Attention.nothing(len(roll))
            )
        return self._attention[index]

    def piece(
        self, index: int, n_seed_rows: int, sampling: RowSampling, *, seed: int, epoch: int
    ) -> Piece:
        """Return a segment to be written anew; its random numbers are its own in each epoch."""
        return piece_from_seed(
            self.segments[index].roll[:n_seed_rows],
            self.attention(index),
            np.random.SeedSequence(seed, spawn_key=(epoch, index)),
            sampling,
        )

    def teacher(
        self, batch: Sequence[int], training: SingTrainingConfig, *, seed: int, epoch: int
    ) -> Teacher:
        """Return the real rows that are fed in place of the network's own."""
        rolls = np.stack([self.segments[index].roll for index in batch])
        k, n_rows = training.seed_rows, rolls.shape[1]
        here = np.zeros(rolls.shape[:2], np.bool_)
        for row, index in enumerate(batch):
            key = np.random.SeedSequence(seed, spawn_key=(epoch, index, _TEACHER))
            here[row] = np.random.default_rng(key).random(n_rows) < training.teacher_forcing
        here[:, : k + 1] = False  # the row before row k is a seed row anyway
        back = 1 if training.teacher_row == "previous" else k - 1
        rows = np.zeros_like(rolls)
        rows[:, back:] = rolls[:, : n_rows - back]
        return Teacher(here, rows)


class RolledOut(NamedTuple):
    """Written rows of a batch, and what the network says on the way.

    `logits` and `wanted` are of the rows behind the seed, (n_rows - n_seed_rows, n, 128); `rolls`
    are whole.
    """

    rolls: list[Roll]
    logits: Tensor
    wanted: Tensor


def rolled_out(
    network: SingNetwork,
    segments: Sequence[Segment],
    pieces: Sequence[Piece],
    sampling: RowSampling,
    teacher: Teacher | None,
    device: torch.device,
) -> RolledOut:
    """Write the pieces, then let the network read what it was fed, now with gradients.

    Own rows are drawn and so carry no gradient: reading them in one go gives that of the roll-out
    itself, at the speed of whole sequences.
    """
    k, n_rows, n = len(pieces[0].seed_rows), pieces[0].n_rows, len(pieces)
    trace = Trace.blank(n_rows, n)
    rolls = roll_out(FrozenCell(network, device), pieces, sampling, teacher=teacher, trace=trace)
    row, weighted = (torch.from_numpy(a[1:]).to(device) for a in (trace.row, trace.weighted))
    state = torch.from_numpy(np.stack([piece.state for piece in pieces], axis=1)).to(device)
    assert state.shape == (2, n, HIDDEN)
    logits = network(row, weighted, (state[0], state[1]))[k - 1 :]
    wanted = np.stack([segment.roll[k:] for segment in segments], axis=1)
    return RolledOut(rolls, logits, torch.from_numpy(wanted).to(device, torch.float32))
