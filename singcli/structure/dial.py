"""The dial of strictness: which share of its notes a repeat is meant to have in common.

A form says how similar its bars are to be, strictness how literally that is taken. Together they
give an overlap (Jaccard index of the notes, `singcli.metrics.structure.bar_overlap_map`): a full
repeat is to have the strictness as its overlap, 1 note for note, a varied one less in proportion.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from singcli.structure.form import Form, wanted_bar_map

FREE_BELOW = 0.5  # a repeat of this similarity or less asks for no common note
FULL_FROM = 0.85  # similarity from which a repeat takes the strictness in full


def wanted_overlap(similarity: npt.ArrayLike, strictness: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the overlap that a repeat is meant to have with its source.

    Parameters
    ----------
    similarity : array_like of float in [0, 1]
        Of the form; 1 - variation.
    strictness : array_like of float in [0, 1]
        Broadcast against `similarity`.

    Returns
    -------
    np.ndarray of float32 in [0, 1]
    """
    reach = (np.asarray(similarity, np.float64) - FREE_BELOW) / (FULL_FROM - FREE_BELOW)
    overlap = np.asarray(strictness, np.float64) * np.clip(reach.round(6), 0.0, 1.0)
    rounded: npt.NDArray[np.float32] = overlap.astype(np.float32)
    return rounded


def overlap_map(
    form: Form, strictness: float, *, wanted: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Return the overlap that a form and a strictness ask of every pair of bars.

    A section's own strictness goes before that of the song; of two bars the later one's counts.

    Parameters
    ----------
    form : Form
    strictness : float in [0, 1]
    wanted : np.ndarray, shape=(n_bars, n_bars), optional
        `wanted_bar_map` of the form, where it is known already.

    Returns
    -------
    np.ndarray, shape=(n_bars, n_bars), float32 in [0, 1]
        Symmetric; 0 where nothing is asked, 1 on the diagonal.
    """
    of_bar = np.concatenate(
        [
            np.full(s.n_bars, strictness if s.strictness is None else s.strictness)
            for s in form.sections
        ]
    )
    bar = np.arange(len(of_bar))
    later = np.maximum(bar[:, None], bar)
    overlap = wanted_overlap(wanted_bar_map(form) if wanted is None else wanted, of_bar[later])
    np.fill_diagonal(overlap, 1.0)
    return overlap
