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
    factor,
    invert,
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
def _products(profile: FloatArray, weights: FloatArray) -> tuple[float, ...]:
    """Sum weight times (1, A, B, C, AA, AB, AC, BB, BC, CC) along one axis."""
    w0 = wA = wB = wC = wAA = wAB = wAC = wBB = wBC = wCC = 0.0
    for j in range(weights.shape[0]):
        A, B, C, w = profile[0, j], profile[1, j], profile[2, j], weights[j]
        x, y, z = w * A, w * B, w * C
        w0, wA, wB, wC = w0 + w, wA + x, wB + y, wC + z
        wAA, wAB, wAC = wAA + x * A, wAB + x * B, wAC + x * C
        wBB, wBC, wCC = wBB + y * B, wBC + y * C, wCC + z * C
    return w0, wA, wB, wC, wAA, wAB, wAC, wBB, wBC, wCC


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SUM_MATH)
def _add_outer(across: tuple[float, ...], down: tuple[float, ...], matrix: FloatArray) -> None:
    """Add what products along the columns and down the rows contribute to sum w d mu d mu (upper triangle)."""
    w0, wA, wB, wC, wAA, wAB, wAC, wBB, wBC, wCC = across
    one, a, b, c, aa, ab, ac, bb, bc, cc = down
    matrix[0, 0] += aa * wBB
    matrix[0, 1] += ab * wAB
    matrix[0, 2] += aa * wAB
    matrix[0, 3] += a * wB
    matrix[0, 4] += aa * wBC
    matrix[0, 5] += ac * wAB
    matrix[1, 1] += bb * wAA
    matrix[1, 2] += ab * wAA
    matrix[1, 3] += b * wA
    matrix[1, 4] += ab * wAC
    matrix[1, 5] += bc * wAA
    matrix[2, 2] += aa * wAA
    matrix[2, 3] += a * wA
    matrix[2, 4] += aa * wAC
    matrix[2, 5] += ac * wAA
    matrix[3, 3] += one * w0
    matrix[3, 4] += a * wC
    matrix[3, 5] += c * wA
    matrix[4, 4] += aa * wCC
    matrix[4, 5] += ac * wAC
    matrix[5, 5] += cc * wAA


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_matrix(weights: FloatArray, along_x: FloatArray, rows: FloatArray, matrix: FloatArray) -> None:
    matrix[:] = 0.0
    for i in range(weights.shape[0]):
        a, b, c = rows[0, i], rows[1, i], rows[2, i]
        down = (1.0, a, b, c, a * a, a * b, a * c, b * b, b * c, c * c)
        _add_outer(_products(along_x, weights[i]), down, matrix)


@njit(cache=True, nogil=True, error_model="numpy")
def squares_information(
    theta: FloatArray, pixels: FloatArray, complete: bool, scratch: FloatArray, fisher: FloatArray, score: FloatArray
) -> None:
    """Compute the score sum (d - mu) d mu and the matrix sum d mu d mu of unweighted least squares.

    Parameters
    ----------
    theta, pixels, scratch, fisher, score : ndarray
        As in `poisson_information`.
    complete : bool
        Every pixel counts: then the matrix is made of sums along the axes.
    """
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    along_x, rows = scratch[3:6], scratch[8:11]
    axis_profiles(theta, n_x, n_y, scratch, along_x, rows)
    if complete:
        fisher[:] = 0.0
        _add_outer(_products(along_x, pixels[2, 0]), _products(rows[:, :n_y], pixels[2, :, 0]), fisher)
    else:
        _weighted_matrix(pixels[2], along_x, rows, fisher)
    s0 = s1 = s2 = s3 = s4 = s5 = 0.0
    for i in range(n_y):
        a, b, c = rows[0, i], rows[1, i], rows[2, i]
        r0, rA, rB, rC = _residual_sums(pixels[0, i], pixels[1, i], pixels[2, i], along_x, theta[2] * a, theta[3])
        s0, s1, s2, s3, s4, s5 = s0 + a * rB, s1 + b * rA, s2 + a * rA, s3 + r0, s4 + a * rC, s5 + c * rA
    score[0], score[1], score[2], score[3], score[4], score[5] = s0, s1, s2, s3, s4, s5


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
    fisher, lower, unused, held = small[:6], small[6:12], small[12], small[16]
    middle, inverse = small[18:24], small[24:30]
    along_x, rows, weights = scratch[3:6], scratch[8:11], pixels[3]
    for i in range(pixels.shape[1]):
        for j in range(pixels.shape[2]):
            variance = theta[3] + theta[2] * rows[0, i] * along_x[0, j] + pixels[1, i, j]
            weights[i, j] = pixels[2, i, j] * variance * excess_noise_factor
    _weighted_matrix(weights, along_x, rows, middle)
    held[:] = 0.0
    if n == 5:
        tie_sigmas(middle, unused)
    if not factor(fisher, n, held, lower):
        out[:] = math.nan
        return
    invert(lower, n, inverse)
    _congruence(inverse, middle, n, lower, out)
    to_physical_units(theta, n, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _congruence(outer: FloatArray, middle: FloatArray, n: int, scratch: FloatArray, out: FloatArray) -> None:
    """Compute outer @ middle @ outer of symmetric matrices; of the middle one the upper triangle is read."""
    for a in range(n):
        for b in range(n):
            value = 0.0
            for k in range(n):
                value += outer[a, k] * (middle[k, b] if k <= b else middle[b, k])
            scratch[a, b] = value
    out[:] = 0.0
    for a in range(n):
        for b in range(n):
            for k in range(n):
                out[a, b] += scratch[a, k] * outer[k, b]
