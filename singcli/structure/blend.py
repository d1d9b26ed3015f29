"""Several structures blended into one: weighed means of their matrices, bar by bar.

Conventions
-----------
- Parts are aligned at their first bars, and bar by bar from there; beats inside bars likewise, as
  far as both reach. The bars are those of the part that has most of them.
- Before they are averaged, similarities are brought to one scale: each part's values take the
  places in the weighed mean of all distributions that their ranks have in their own. Otherwise a
  part with sharp contrasts would count more than a dull one of the same weight. The mean of
  several is duller than each of them, so it is brought to that scale as well: the strongest
  repeats of the blend are as strong as those of its parts.
- A part has no say about beats on which it is silent, or behind its end: there the others share
  its weight.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from singcli.errors import InputError
from singcli.structure.segmentation import sections_from_ssm
from singcli.structure.ssm import Matrix
from singcli.structure.ssm_file import Provenance, Structure

N_QUANTILES = 1025
MOST_VALUES = 2**19  # that quantiles are taken of; of more, every second, third, ... one
LEVELS = 100_000  # similarities that differ by less than one of them are equal
ALLOWED_WEIGHTS = "allowed: a number above 0, such as 0.6"

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")

Part = tuple[Structure, float]
Vector = npt.NDArray[np.float64]


def blend_structures(parts: Sequence[Part], *, name: str) -> Structure:
    """Blend structures with weights.

    Parameters
    ----------
    parts : sequence of (Structure, weight)
        At least one; weights are finite, above 0, and count in relation to their sum.
    name : str
        What the blend is called in its provenance.

    Returns
    -------
    Structure
        Bars and meter are those of the part with most bars (of several the one with most beats,
        then the heaviest), tempo and key those of the part with the largest weight; sections are
        found anew. The order of the parts does not matter.

    Raises
    ------
    InputError
        If there is no part, or a weight is not allowed.
    """
    if not parts:
        raise InputError("no template to blend", "give at least one")
    for part, weight in parts:
        _validate_weight(weight, part.provenance.name)
    total = math.fsum(weight for _, weight in parts)
    shares = [(part, weight / total) for part, weight in parts]
    ranked = sorted(shares, key=_rank, reverse=True)  # sums depend on the order in their last digit
    longest, heaviest = ranked[0][0], max(ranked, key=lambda share: share[1])[0]
    ssm = _blended(ranked, longest.bar_beats)
    return Structure(
        ssm=ssm,
        bar_beats=longest.bar_beats.copy(),
        beat_s=np.arange(longest.n_beats, dtype=np.float64) * (60.0 / heaviest.tempo_bpm),
        sections=tuple(sections_from_ssm(ssm, longest.bar_beats)),
        tempo_bpm=heaviest.tempo_bpm,
        meter=longest.meter,
        key=heaviest.key,
        provenance=_provenance(shares, name),
    )


def template_argument(text: str) -> tuple[Path, float]:
    r"""Read a template with its weight: `song.mid:0.6`; without one the weight is 1.

    A colon belongs to the path where no number can be meant: `C:\song.mid`, `take:2.mid`. A file
    of exactly that name is meant by its name.

    Parameters
    ----------
    text : str

    Returns
    -------
    path : Path
    weight : float > 0

    Raises
    ------
    InputError
        If there is no path, or what follows it is not a weight.
    """
    path, colon, written = text.rpartition(":")
    is_path = not colon or "/" in written or "\\" in written or _SUFFIX.search(written)
    if text and (is_path or Path(text).is_file()):
        return Path(text), 1.0
    if not path:
        raise InputError(f"template {text!r}: no file", "write FILE or FILE:WEIGHT")
    if not _NUMBER.fullmatch(written):
        if len(path) == 1 and path.isalpha():  # a drive, and a file of its current folder
            return Path(text), 1.0
        raise InputError(f"template {text!r}: weight {written!r}, {ALLOWED_WEIGHTS}")
    _validate_weight(float(written), text)
    return Path(path), float(written)


def _validate_weight(weight: float, of: str) -> None:
    if not (math.isfinite(weight) and weight > 0):
        raise InputError(f"template {of!r}: weight {weight:g}, {ALLOWED_WEIGHTS}")


def _rank(share: Part) -> tuple[int, int, float, str]:
    part, weight = share
    return part.n_bars, part.n_beats, weight, part.provenance.sha256


def _blended(shares: Sequence[Part], bar_beats: npt.NDArray[np.int32]) -> Matrix:
    """Average the parts' matrices on a common scale, over the bars of `bar_beats`."""
    n_beats = int(bar_beats[-1])
    scales = [_quantiles(part.ssm, np.diagonal(part.ssm) > 0) for part, _ in shares]
    common = _mean_scale(scales, [share for _, share in shares])
    total, weight = np.zeros((2, n_beats, n_beats), np.float32)
    for (part, share), scale in zip(shares, scales, strict=True):
        beats, own = _aligned_beats(part, bar_beats)
        pairs = np.ix_(beats, beats)
        total[pairs] += share * _rescaled(part.ssm[np.ix_(own, own)], scale, common)
        weight[pairs] += share
    said = weight > 0
    np.divide(total, weight, out=total, where=said)
    total[~said] = common[N_QUANTILES // 2]  # no part has both beats: neither alike nor different
    sounding = np.diagonal(said)
    blended = _rescaled(total, _quantiles(total, sounding), common)
    blended *= sounding & sounding[:, None]
    np.fill_diagonal(blended, sounding)
    return blended.clip(0.0, 1.0, out=blended)


def _aligned_beats(
    part: Structure, bar_beats: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return beats of the blend, and the beats of the part that belong there; silent ones not."""
    bars = bar_beats[: part.n_bars + 1]
    beats, own = [], []
    for start, own_start, n_beats in zip(
        bars[:-1],
        part.bar_beats[:-1],
        np.minimum(np.diff(bars), np.diff(part.bar_beats)),
        strict=True,
    ):
        beats.append(start + np.arange(n_beats))
        own.append(own_start + np.arange(n_beats))
    of_blend, of_part = np.concatenate(beats), np.concatenate(own)
    sounding = np.diagonal(part.ssm)[of_part] > 0
    return of_blend[sounding], of_part[sounding]


def _quantiles(ssm: Matrix, sounding: npt.NDArray[np.bool_]) -> Vector | None:
    """Return the quantiles of the similarity of different beats; None without two that sound."""
    values = ssm[np.tril(np.logical_and.outer(sounding, sounding), -1)]
    if len(values) == 0:
        return None
    some = values[:: 1 + len(values) // MOST_VALUES]
    scale: Vector = np.quantile(some, np.linspace(0, 1, N_QUANTILES)).astype(np.float64)
    scale[0], scale[-1] = values.min(), values.max()
    return np.rint(scale * LEVELS) / LEVELS


def _mean_scale(scales: Sequence[Vector | None], shares: Sequence[float]) -> Vector:
    """Return the weighed mean of the distributions, as quantiles."""
    known = [
        (scale, share) for scale, share in zip(scales, shares, strict=True) if scale is not None
    ]
    if not known:
        return np.zeros(N_QUANTILES)
    values, weights = zip(*known, strict=True)
    return np.average(np.array(values), axis=0, weights=weights)


def _rescaled(values: Matrix, scale: Vector | None, common: Vector) -> Matrix:
    """Move values from the places that they have in `scale` to the same places in `common`."""
    if scale is None:
        return values
    knots, tied = np.unique(scale, return_inverse=True)
    at_knots = np.bincount(tied, common) / np.bincount(tied)  # equal values stay equal
    table = np.interp(np.arange(LEVELS + 1) / LEVELS, knots, at_knots).astype(np.float32)
    moved: Matrix = table[np.rint(values * LEVELS).astype(np.int32)]
    return moved


def _provenance(shares: Sequence[Part], name: str) -> Provenance:
    """Name all parts with their weights; the hash does not depend on their order."""
    rows = [
        {
            "name": part.provenance.name,
            "kind": part.provenance.kind,
            "sha256": part.provenance.sha256,
            "weight": round(share, 6),
        }
        for part, share in shares
    ]
    content = json.dumps(sorted([row["sha256"], row["weight"]] for row in rows))
    licences = dict.fromkeys(part.provenance.licence for part, _ in shares)
    return Provenance(
        "blend",
        name,
        hashlib.sha256(content.encode()).hexdigest(),
        "\n\n".join(text for text in licences if text),
        {"parts": rows, "scale": "quantiles"},
    )
