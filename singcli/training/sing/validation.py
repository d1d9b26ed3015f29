"""How well SING writes held-out segments anew under their own matrices."""

from __future__ import annotations

import numpy as np
import torch

from singcli.metrics.row_structure import row_correlation
from singcli.metrics.rows import distinct_pitches, notes_per_row, unique_rows
from singcli.structure.row_ssm import row_ssm
from singcli.training.sing.batches import SegmentStore, batches_of_segments, rolled_out
from singcli.training.sing.config import SingConfig
from singcli.training.sing.loss import row_loss
from singcli.training.sing.network import SingNetwork
from singcli.training.workers import Workers

Figures = dict[str, float]


@torch.no_grad()
def validate_sing(
    network: SingNetwork,
    store: SegmentStore,
    config: SingConfig,
    *,
    device: torch.device,
    workers: Workers = Workers(),  # noqa: B008  # frozen
) -> Figures:
    """Write all segments from their first rows and compare.

    Returns
    -------
    dict of str to float
        loss, by `validation.loss_of`, of its parts notes and ssm; r of the whole matrices, as the
        paper compares them; distinct_pitches, unique_rows, notes_per_row; segments.
    """
    training, sampling = config.training, config.validation_sampling
    sums = np.zeros(6)
    for batch in batches_of_segments(store.segments, config.run.batch_segments):
        mine = batch[workers.rank :: workers.size]
        if not mine:
            continue
        segments = [store.segments[index] for index in mine]
        pieces = [
            store.piece(index, training.seed_rows, sampling, seed=config.run.seed, epoch=0)
            for index in mine
        ]
        rolls, logits, wanted = rolled_out(network, segments, pieces, sampling, None, device)
        if config.validation.loss_of == "samples":
            written = np.stack([roll[training.seed_rows :] for roll in rolls], axis=1)
            logits = torch.from_numpy(written).to(device, torch.float32)
        loss = row_loss(logits, wanted, ssm_of=training.ssm_of)
        sums[:2] += float(loss.notes), float(loss.ssm)
        for roll, segment in zip(rolls, segments, strict=True):
            r = row_correlation(row_ssm(segment.roll), row_ssm(roll))
            sums[2:] += r, distinct_pitches(roll), unique_rows(roll), notes_per_row(roll)
    n = len(store.segments)
    means = [total / n for total in workers.sum(*sums.tolist())]
    names = ("notes", "ssm", "r", "distinct_pitches", "unique_rows", "notes_per_row")
    figures = dict(zip(names, means, strict=True))
    loss_of_all = figures["notes"] + training.ssm_weight * figures["ssm"]
    return {"loss": loss_of_all, **figures, "segments": float(n)}
