"""The SQUIRREL numbers as NanoPyx defines them, for comparison with published and existing values.

There the reference is enlarged to the super-resolution grid by periodic Fourier interpolation, with sample i at fine
pixel i * m (not at the middle of its m fine pixels), mirrored up to the next power of two before and stretched back
to its old extremes after; nothing is registered; widths, scale, offset, RSE and RSP are all taken on the fine grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft
from scipy.optimize import minimize_scalar

from stormcell.assessment.linear_match import LinearMatch, match_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.cosine_field import CosineField


@dataclass(frozen=True)
class NanopyxNumbers:
    """RSP, RSE and the match on the super-resolution grid.

    Parameters
    ----------
    rsp, rse, alpha, beta : float
        As in NanoPyx.
    rsf_sigma_px : float
        Width in super-resolution pixels.
    """

    rsp: float
    rse: float
    alpha: float
    beta: float
    rsf_sigma_px: float


def nanopyx_numbers(
    field: CosineField, pixels: NDArray[Any], reference: NDArray[Any], min_sigma_px: float
) -> NanopyxNumbers | None:
    """Compute the numbers without ever enlarging more than once.

    Parameters
    ----------
    field : CosineField
        Of the super-resolution image.
    pixels : ndarray
        Shape (Y, X): that image.
    reference : ndarray
        Shape (Y / m, X / m): the wide-field image.
    min_sigma_px : float
        The narrowest width looked for, in super-resolution pixels.

    Returns
    -------
    NanopyxNumbers or None
        None where the sizes are not related by one whole number m.

    Notes
    -----
    Every sum over the fine grid is an inner product of cosine coefficients (Parseval), in which the blur is a factor.
    """
    m = pixels.shape[0] // reference.shape[0]
    if pixels.shape != (reference.shape[0] * m, reference.shape[1] * m):
        return None
    rows, columns = (_enlarging(side, max(_padded(side) for side in reference.shape), m) for side in reference.shape)
    wide = reference.astype(np.float64)
    # Digits: squares of a large offset would eat those of the structure.
    mean = float(wide.mean())
    wide = wide - mean
    scale, offset, squares = _stretch(wide, m)
    n_kept = field.coefficients.shape
    kept_rows = fft.dct(rows, axis=0, norm="ortho")[: n_kept[0]]
    kept_columns = fft.dct(columns, axis=0, norm="ortho")[: n_kept[1]]
    r_hat = scale * (kept_rows @ wide @ kept_columns.T)
    root_n = math.sqrt(pixels.size)
    r_hat[0, 0] += offset * root_n
    total = float(r_hat[0, 0]) * root_n
    rr = scale**2 * squares + 2 * offset * (total - offset * pixels.size) + offset**2 * pixels.size
    s_hat = field.coefficients.astype(np.float64)
    products, powers = s_hat * r_hat, s_hat * s_hat
    means = (s_hat[0, 0] * root_n, total)

    def match(sigma: float) -> LinearMatch:
        ty, tx = (field.transfer(axis, sigma, 0.0).astype(np.float64) for axis in (0, 1))
        br = float(ty @ products[: len(ty), : len(tx)] @ tx)
        bb = float(ty**2 @ powers[: len(ty), : len(tx)] @ tx**2)
        return match_sums(np.array([pixels.size, means[0], means[1], bb, br, rr]))

    bounds = (math.log(min_sigma_px), math.log(max(10 * m, 2 * min_sigma_px)))
    found = minimize_scalar(
        lambda s: -match(math.exp(s)).rsp, bounds=bounds, method="bounded", options={"xatol": 1e-4}
    )
    best = match(math.exp(float(found.x)))
    return NanopyxNumbers(best.rsp, best.rse, best.alpha, best.beta + mean, math.exp(float(found.x)))


def _padded(side: int) -> int:
    return 2 ** math.ceil(math.log2(side)) if side > 1 else 1


def _mirrored(side: int, padded: int) -> NDArray[np.int64]:
    """Tell which sample stands at each place of the padded axis: an odd number of mirror tiles, cut in the middle."""
    n_tiles = math.ceil(padded / side)
    n_tiles += 1 - n_tiles % 2
    first = (n_tiles * side - padded) // 2
    place = np.arange(first, first + padded)
    tile, within = place // side, place % side
    mirrored = (tile - (n_tiles - 1) // 2) % 2 == 1
    index: NDArray[np.int64] = np.where(mirrored, side - 1 - within, within)
    return index


def _enlarging(side: int, padded: int, m: int) -> NDArray[np.float64]:
    """Matrix (side * m, side) of the enlargement along one axis."""
    start = (padded * m - side * m) // 2
    impulse = np.zeros((padded, padded))
    np.fill_diagonal(impulse, 1.0)
    periodic = _periodic(impulse, 0, m)[start : start + side * m]
    if padded == side:
        return periodic
    selects = np.zeros((padded, side))
    selects[np.arange(padded), _mirrored(side, padded)] = 1.0
    return np.asarray(periodic @ selects, dtype=np.float64)


def _periodic(values: NDArray[Any], axis: int, m: int) -> NDArray[Any]:
    """Fourier interpolation of a periodic axis, sample i at i * m."""
    n = values.shape[axis]
    spectrum = fft.rfft(values, axis=axis)
    if n % 2 == 0:
        # Among more samples this frequency stands for both of its signs, and counts twice.
        spectrum[(slice(None),) * axis + (n // 2,)] /= 2
    fine: NDArray[Any] = m * fft.irfft(spectrum, n=n * m, axis=axis)
    return fine


def _stretch(wide: NDArray[np.float64], m: int) -> tuple[float, float, float]:
    """Scale and offset that give the enlarged image the extremes of the small one, and its sum of squares before."""
    padded = max(_padded(side) for side in wide.shape)
    square = wide[np.ix_(*(_mirrored(side, padded) for side in wide.shape))].astype(np.float32)
    fine = _periodic(_periodic(square, 0, m), 1, m)
    low, high = float(fine.min()), float(fine.max())
    scale = float(np.ptp(wide)) / (high - low) if high > low else 1.0
    starts = [(padded - side) * m // 2 for side in wide.shape]
    own = fine[starts[0] : starts[0] + wide.shape[0] * m, starts[1] : starts[1] + wide.shape[1] * m]
    squares = float(np.einsum("ij,ij->i", own, own).sum(dtype=np.float64))
    return scale, float(wide.min()) - scale * low, squares
