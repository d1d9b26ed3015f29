"""How likely held-out songs are, in nats, under each kind of SSM."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from singcli.model.contract import SsmKind
from singcli.training.batches import batch_from_draws
from singcli.training.examples import Draw, ExampleSettings, Trainable
from singcli.training.loss import State, chunk_loss
from singcli.training.networks import PointerNetwork
from singcli.training.workers import Workers

CHUNK_STEPS = 512

Figures = dict[str, float]


@torch.no_grad()
def validate(
    network: PointerNetwork,
    songs: Sequence[Trainable],
    kind: SsmKind,
    settings: ExampleSettings,
    *,
    batch_songs: int,
    device: torch.device,
    workers: Workers = Workers(),  # noqa: B008  # frozen
) -> Figures:
    """Return the likelihood of whole songs under one kind of SSM.

    Parameters
    ----------
    songs : sequence of Trainable
        For kind "form" those without labelled repeats are left out.
    workers : Workers
        Who share the batches among them.

    Returns
    -------
    dict of str to float
        nats_per_step and its parts pitch (with STOP) and duration; nats_per_note; velocity in nats
        a note, which is in neither of them; songs.
    """
    network.eval()
    order = sorted(range(len(songs)), key=lambda i: songs[i].n_steps(Draw(i, kind)))
    order = [i for i in order if kind != "form" or songs[i].repeats]
    sums = [0.0] * 5
    for start in range(workers.rank * batch_songs, len(order), workers.size * batch_songs):
        draws = [Draw(song=i, kind=kind) for i in order[start : start + batch_songs]]
        state: State | None = None
        for chunk in batch_from_draws(songs, draws, settings).chunks(CHUNK_STEPS, device):
            loss, state = chunk_loss(network, chunk, state)
            nats = [float(value) for value in loss]
            part = (*nats, chunk.n_steps, chunk.n_notes)
            sums = [total + value for total, value in zip(sums, part, strict=True)]
    pitch, duration, velocity, steps, notes = workers.sum(*sums)
    return {
        "nats_per_step": (pitch + duration) / max(steps, 1),
        "pitch": pitch / max(steps, 1),
        "duration": duration / max(steps, 1),
        "nats_per_note": (pitch + duration) / max(notes, 1),
        "velocity": velocity / max(notes, 1),
        "songs": len(order),
    }
