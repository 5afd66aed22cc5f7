"""Least-squares information for the fast fit, and the honest uncertainty of a least-squares fit.

The sum of squared residuals is minimized by the same driver as the likelihood. Its uncertainty is the sandwich
H^-1 J H^-1 with H = sum d mu d mu and J = sum var(d) d mu d mu, which for a fixed width is Mortensen's formula.

References
----------
.. [1] K. I. Mortensen et al., "Optimized localization analysis for single-molecule tracking and super-resolution
   microscopy", Nat. Methods 7, 377 (2010), https://doi.org/10.1038/nmeth.1447
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.localization.mle_kernel import (
    SUM_MATH,
    add_row,
    cholesky_scaled,
    solve_scaled,
    tie_sigmas,
    to_physical_units,
)
from stormcell.physics.gaussian import axis_profiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SUM_MATH)
def _residual_sums(
    data: FloatArray, extra: FloatArray, valid: FloatArray, columns: FloatArray, height: float, background: float
) -> tuple[float, float, float, float]:
    r0 = rA = rB = rC = 0.0
    for j in range(data.shape[0]):
        A = columns[0, j]
        r = valid[j] * (data[j] - (background + height * A + extra[j]))
        r0 += r
        rA += r * A
        rB += r * columns[1, j]
        rC += r * columns[2, j]
    return r0, rA, rB, rC


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SUM_MATH)
def _weighted_sums(weights: FloatArray, columns: FloatArray) -> tuple[float, ...]:
    w0 = wA = wB = wC = wAA = wAB = wAC = wBB = wBC = wCC = 0.0
    for j in range(weights.shape[0]):
        A, B, C, w = columns[0, j], columns[1, j], columns[2, j], weights[j]
        x, y, z = w * A, w * B, w * C
        w0 += w
        wA += x
        wB += y
        wC += z
        wAA += x * A
        wAB += x * B
        wAC += x * C
        wBB += y * B
        wBC += y * C
        wCC += z * C
    return w0, wA, wB, wC, wAA, wAB, wAC, wBB, wBC, wCC


@njit(cache=True, nogil=True, error_model="numpy")
def squares_information(
    theta: FloatArray, pixels: FloatArray, scratch: FloatArray, fisher: FloatArray, score: FloatArray
) -> None:
    """Compute the score sum (d - mu) d mu and the matrix sum d mu d mu of unweighted least squares.

    Parameters
    ----------
    theta, pixels, scratch, fisher, score : ndarray
        As in `poisson_information`.
    """
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    along_x, along_y = scratch[3:6], scratch[8:11]
    axis_profiles(theta, n_x, n_y, scratch, along_x, along_y)
    fisher[:] = 0.0
    score[:] = 0.0
    for i in range(n_y):
        share = along_y[0, i]
        residuals = _residual_sums(pixels[0, i], pixels[1, i], pixels[2, i], along_x, theta[2] * share, theta[3])
        sums = residuals + _weighted_sums(pixels[2, i], along_x)
        add_row(sums, share, along_y[1, i], along_y[2, i], fisher, score)


@njit(cache=True, nogil=True, error_model="numpy")
def _variance_information(
    theta: FloatArray, pixels: FloatArray, scratch: FloatArray, middle: FloatArray, unused: FloatArray
) -> None:
    along_x, along_y = scratch[3:6], scratch[8:11]
    weights = scratch[0, : pixels.shape[2]]
    middle[:] = 0.0
    for i in range(pixels.shape[1]):
        height = theta[2] * along_y[0, i]
        for j in range(pixels.shape[2]):
            weights[j] = pixels[2, i, j] * (theta[3] + height * along_x[0, j] + pixels[1, i, j])
        sums = (0.0, 0.0, 0.0, 0.0, *_weighted_sums(weights, along_x))
        add_row(sums, along_y[0, i], along_y[1, i], along_y[2, i], middle, unused)


@njit(cache=True, nogil=True, error_model="numpy")
def sandwich_covariance(
    theta: FloatArray,
    pixels: FloatArray,
    n: int,
    excess_noise_factor: float,
    scratch: FloatArray,
    small: FloatArray,
    out: FloatArray,
) -> None:
    """Compute the covariance of a least-squares fit from its two information matrices.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): the fit.
    pixels : ndarray
        As `poisson_information` takes them.
    n : int
        Free parameters.
    excess_noise_factor : float
        F^2.
    scratch, small : ndarray
        The working arrays of the fit as `maximize` leaves them, with `squares_information` of the last point.
    out : ndarray
        Shape (6, 6), receives the covariance of theta; 0 for what was held, NaN where the matrix is singular.
    """
    fisher, lower, unused, scale, column, held = small[:6], small[6:12], small[12], small[13], small[14], small[16]
    middle = small[24:30]
    out[:] = math.nan
    held[:] = 0.0
    _variance_information(theta, pixels, scratch, middle, unused)
    if n == 5:
        tie_sigmas(middle, unused)
    if not cholesky_scaled(fisher, n, held, scale, lower):
        return
    out[:] = 0.0
    for k in range(n):
        column[:] = 0.0
        column[k] = 1.0
        solve_scaled(lower, scale, n, column, column)
        for a in range(n):
            for b in range(n):
                out[k, a] += column[b] * excess_noise_factor * (middle[a, b] if a <= b else middle[b, a])
    # rows hold H^-1 J; the other factor from the right
    for k in range(n):
        solve_scaled(lower, scale, n, out[k], column)
        out[k, :n] = column[:n]
    to_physical_units(theta, n, out)
