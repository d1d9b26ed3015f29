"""How well a roll keeps to a wanted self-similarity matrix, by the paper's measure and stricter.

The paper compares whole matrices. Of their entries some are known beforehand: the diagonal, the
rows that were given as a seed, and the rests of the template (whose rows are 0, so that music
which rests there and is noise elsewhere correlates already). Each can be left out.

References
----------
Hager, Hablutzel, Kinnaird, "SING" (2024), section 5: error between z-scored matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from singcli.structure.ssm import Matrix

FLAT = 1e-6  # a standard deviation below this is rounding


@dataclass(frozen=True, slots=True)
class Variant:
    """What of the matrices is compared.

    Parameters
    ----------
    name : str
    seed, diagonal, rests : bool
        Whether the rows and columns of the seed, the diagonal, and the rows and columns of the
        template's rests take part.
    """

    name: str
    seed: bool = True
    diagonal: bool = True
    rests: bool = True


PAPER = Variant("paper")
STRICT = Variant("strict", seed=False, diagonal=False, rests=False)
VARIANTS = (
    PAPER,
    Variant("no_seed", seed=False),
    Variant("no_diagonal", diagonal=False),
    Variant("no_rests", rests=False),
    STRICT,
)


def row_correlation(
    wanted: Matrix, measured: Matrix, variant: Variant = PAPER, *, n_seed: int = 0
) -> float:
    """Return Pearson's correlation of two self-similarity matrices.

    Parameters
    ----------
    wanted, measured : np.ndarray, shape=(n_rows, n_rows)
        A rest of the template is a row whose entry on the diagonal of `wanted` is 0.
    variant : Variant
    n_seed : int >= 0
        Rows at the beginning that were given.

    Returns
    -------
    float in [-1, 1]
        0 where it is not defined: a constant matrix, or nothing left to compare.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if wanted.shape != measured.shape:
        raise ValueError(f"matrices of {wanted.shape} and {measured.shape} are not compared")
    kept = np.ones(len(wanted), np.bool_)
    if not variant.seed:
        kept[:n_seed] = False
    if not variant.rests:
        kept &= np.diagonal(wanted) > 0
    if not kept.all():
        wanted, measured = wanted[np.ix_(kept, kept)], measured[np.ix_(kept, kept)]
    sums = _sums(wanted, measured)
    if not variant.diagonal:
        sums -= _sums(np.diagonal(wanted), np.diagonal(measured))
    return _pearson(*sums.tolist())


def row_ssm_mse(
    wanted: Matrix, measured: Matrix, variant: Variant = PAPER, *, n_seed: int = 0
) -> float:
    """Return the mean squared error of the z-scored matrices.

    It equals 2 (1 - r) with r = `row_correlation`, also where r is not defined and counts as 0.
    Parameters and errors are those of `row_correlation`.

    Returns
    -------
    float in [0, 4]
        0 for the same structure, 2 for unrelated ones.

    Notes
    -----
    Source: SING, section 5; the variant "paper" does not differ.
    """
    return 2.0 * (1.0 - row_correlation(wanted, measured, variant, n_seed=n_seed))


def _sums(a: Matrix, b: Matrix) -> npt.NDArray[np.float64]:
    """Return the count of the entries, and the sums of a, b, a², b² and a b."""
    x, y = (np.ascontiguousarray(values, np.float64).ravel() for values in (a, b))
    return np.array([len(x), x.sum(), y.sum(), x @ x, y @ y, x @ y])


def _pearson(n: float, x: float, y: float, xx: float, yy: float, xy: float) -> float:
    """Return the correlation from sums, 0 where a deviation is 0."""
    if n < 1:
        return 0.0
    mean_x, mean_y = x / n, y / n
    variances = max(xx / n - mean_x**2, 0.0), max(yy / n - mean_y**2, 0.0)
    if min(variances) < FLAT**2:
        return 0.0
    r = (xy / n - mean_x * mean_y) / (variances[0] * variances[1]) ** 0.5
    return float(min(max(r, -1.0), 1.0))
