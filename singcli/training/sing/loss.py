"""The loss of SING: cross-entropy of the notes, and the distance of two self-similarity matrices.

The matrices have n_rows x n_rows entries but rank 12 at most: with unit chroma rows U (written) and
V (wanted) the squared distance of U U' and V V' is |U'U|^2 - 2 |U'V|^2 + |V'V|^2, which needs
12 x 12 matrices only.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 3.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from singcli.structure.row_ssm import N_CLASSES, N_ROW_PITCHES

SsmOf = Literal["logits", "probabilities"]

_N_OCTAVES = -(-N_ROW_PITCHES // N_CLASSES)
_SMALLEST = 1e-8


class RowLoss(NamedTuple):
    """Sums over the segments of a batch of their means over rows (and pitches, and pairs)."""

    notes: Tensor
    ssm: Tensor


def row_loss(logits: Tensor, wanted: Tensor, *, ssm_of: SsmOf) -> RowLoss:
    """Compare what the network says with the real rows.

    Parameters
    ----------
    logits, wanted : Tensor, shape=(n_rows, n, 128)
        The wanted ones are 0 or 1.
    ssm_of : {"logits", "probabilities"}
        What the chroma of the written rows is summed from. Signed logits, as in the paper, have a
        flaw: with a constant offset all rows are alike, whatever the music.
    """
    notes = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    heights = logits if ssm_of == "logits" else logits.sigmoid()
    return RowLoss(
        notes=notes.mean(dim=(0, 2)).sum(),
        ssm=squared_ssm_distance(unit_chroma(heights), unit_chroma(wanted)).sum(),
    )


def unit_chroma(rows: Tensor) -> Tensor:
    """Sum rows by pitch class and scale them to length 1; rows of 0 stay.

    Returns
    -------
    Tensor, shape=(..., 12)
    """
    padded = functional.pad(rows, (0, _N_OCTAVES * N_CLASSES - N_ROW_PITCHES))
    chroma = padded.unflatten(-1, (_N_OCTAVES, N_CLASSES)).sum(dim=-2)
    return functional.normalize(chroma, dim=-1, eps=_SMALLEST)


def squared_ssm_distance(written: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared difference of the matrices of two songs, for each of n.

    Parameters
    ----------
    written, wanted : Tensor, shape=(n_rows, n, 12)
        Rows of length 1 or 0.

    Returns
    -------
    Tensor, shape=(n,)
    """
    u, v = written.transpose(0, 1), wanted.transpose(0, 1)

    def energy(a: Tensor, b: Tensor) -> Tensor:
        return torch.matmul(a.transpose(1, 2), b).square().sum(dim=(1, 2))

    return (energy(u, u) - 2 * energy(u, v) + energy(v, v)) / len(written) ** 2
