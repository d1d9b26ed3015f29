"""Likelihood of the notes of a chunk, in nats."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from singcli.model.contract import N_NOTE_TOKENS, STOP
from singcli.training.batches import Chunk, DecisionTensors
from singcli.training.networks import PointerNetwork, copy_log_probs

State = tuple[Tensor, Tensor]


class ChunkLoss(NamedTuple):
    """Sums over a chunk: nats of the pitches and STOPs, of the durations and of the velocities."""

    pitch: Tensor
    duration: Tensor
    velocity: Tensor


def chunk_loss(
    network: PointerNetwork, chunk: Chunk, state: State | None
) -> tuple[ChunkLoss, State]:
    """Run a chunk from `state` on.

    Returns
    -------
    loss : ChunkLoss
    state : pair of Tensor, shape = (1, N, lstm)
        After the chunk, still attached to its graph.
    """
    features, token_bias, state = network.step(chunk.inputs, state)
    where = chunk.decisions
    at = where.row * features.shape[1] + where.step
    of_pitch, *of_notes = features.split(network.note.parts, -1)
    logits, gate = network.note.pitch_logits(
        _rows(of_pitch, at),
        _rows(token_bias, at),
        notes_so_far(network, where),
        where.last,
        _rows(chunk.inputs.draft[..., :N_NOTE_TOKENS], at),
        chunk.inputs.lead.flatten()[at],
        chunk.inputs.bass.flatten()[at],
    )
    pitch = -copy_log_probs(logits.float(), gate.float(), where.copied, where.token).sum()
    notes = torch.nonzero(where.token != STOP).squeeze(-1)
    of_duration, of_velocity = (_rows(part, at[notes]) for part in of_notes)
    duration_logits = network.note.duration_logits(
        of_duration,
        where.token[notes],
        where.draft_duration[notes],
        where.chord_duration[notes],
    )
    duration = functional.cross_entropy(
        duration_logits.float(), where.duration[notes], reduction="sum"
    )
    velocity_logits = network.note.velocity_logits(
        of_velocity,
        where.token[notes],
        where.draft_velocity[notes],
        where.voice_velocity[notes],
    )
    velocity = functional.cross_entropy(
        velocity_logits.float(), where.velocity[notes], reduction="sum"
    )
    return ChunkLoss(pitch, duration, velocity), state


def notes_so_far(network: PointerNetwork, where: DecisionTensors) -> Tensor:
    """Sum the embeddings of the notes chosen before each decision of the same step.

    Returns
    -------
    Tensor, shape = (M, hidden)
    """
    n_before = where.position
    begin = torch.cumsum(n_before, 0) - n_before
    first_of_step = torch.arange(len(n_before), device=n_before.device) - n_before
    every = torch.arange(int(n_before.sum()), device=n_before.device)
    before = every + torch.repeat_interleave(first_of_step - begin, n_before)
    return functional.embedding_bag(
        where.token[before], network.note.chosen.weight, begin, mode="sum"
    )


def _rows(values: Tensor, at: Tensor) -> Tensor:
    """Gather rows of (..., n) as an embedding does: its backward pass is the fastest in torch."""
    return functional.embedding(at, values.reshape(-1, values.shape[-1]))
