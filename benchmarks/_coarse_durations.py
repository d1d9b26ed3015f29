"""Likelihood of durations in the 16 classes of the first model, from a network with finer ones.

A network of 24 classes has more to say, so its nats are not those of one with 16. The chance that
it gives a coarse class is the sum over the fine ones in it, which needs no other training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch  # noqa: TID253
from _trained import whole_songs
from torch.nn import functional  # noqa: TID253

from singcli.model.contract import DURATIONS, STOP
from singcli.training.batches import Chunk
from singcli.training.examples import ExampleSettings, TrainingSong
from singcli.training.loss import State
from singcli.training.networks import PointerNetwork

COARSE = np.array([1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64])  # steps
COARSE_OF_FINE = torch.from_numpy(np.abs(COARSE - DURATIONS[:, None]).argmin(axis=1))
CHUNK_STEPS = 512


@torch.no_grad()
def coarse_duration_nats(
    network: PointerNetwork, songs: Sequence[TrainingSong], settings: ExampleSettings
) -> float:
    """Return the nats a step of the durations in coarse classes, under the matrix of the music."""
    nats, n_steps = 0.0, 0
    for batch in whole_songs(songs, settings):
        state: State | None = None
        for chunk in batch.chunks(CHUNK_STEPS, torch.device("cpu")):
            part, state = _chunk_nats(network, chunk, state)
            nats += part
            n_steps += chunk.n_steps
    return nats / n_steps


def _chunk_nats(network: PointerNetwork, chunk: Chunk, state: State | None) -> tuple[float, State]:
    features, _, state = network.step(chunk.inputs, state)
    where = chunk.decisions
    notes = torch.nonzero(where.token != STOP).squeeze(-1)
    at = where.row[notes], where.step[notes]
    fine = functional.log_softmax(
        network.note.duration_logits(
            features.split(network.note.parts, -1)[1][at],
            where.token[notes],
            where.draft_duration[notes],
            where.chord_duration[notes],
        ),
        -1,
    )
    coarse = torch.zeros(len(notes), len(COARSE)).index_add_(1, COARSE_OF_FINE, fine.exp())
    wanted = COARSE_OF_FINE[where.duration[notes]].unsqueeze(-1)
    return float(-coarse.gather(1, wanted).log().sum()), state
