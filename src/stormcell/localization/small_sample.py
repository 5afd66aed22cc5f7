"""What few photons do to a maximum-likelihood fit: its first-order bias, and the spread beyond the Cramer-Rao bound.

The bias of order 1 / electrons follows from the curvature of the model [1]_: with covariance C and pixel variance V
it is -1/2 I^-1 sum_k (d mu_k / V_k) tr(C d^2 mu_k). For a free width it is what makes faint spots look too bright. It
is computed for each fit and subtracted. The spread exceeds the bound by a share proportional to (bound / sigma)^2,
which is one over the effective number of electrons; its coefficients are ours, from simulation
(benchmarks/fit_precision.py).

References
----------
.. [1] D. R. Cox, E. J. Snell, "A general definition of residuals", J. R. Stat. Soc. B 30, 248 (1968),
   https://doi.org/10.1111/j.2517-6161.1968.tb00724.x
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.localization.mle_kernel import SUM_MATH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
_INV_SQRT_PI = 1.0 / math.sqrt(math.pi)
_PIXEL_VARIANCE = 1.0 / 12.0
_LARGEST_EXCESS = 1.0
# share by which the spread of (position, electrons, background, sigma) exceeds the bound, per (bound / sigma)^2
_EXCESS_FIXED = (1.6, 0.0, 0.0, 0.0)
_EXCESS_FREE = (3.0, 4.3, 2.8, 4.8)
_EXCESS_ELLIPTICAL = (4.2, 5.5, 3.8, 5.5)
_LARGEST_STEP = 0.5  # standard deviations; beyond that the expansion means nothing


@njit(cache=True, nogil=True, error_model="numpy")
def _second_profiles(u: FloatArray, exps: FloatArray, sigma: float, out: FloatArray) -> None:
    """Fill second derivatives of a profile by (centre, sigma) and by sigma twice, into rows 0 and 1."""
    mixed, twice = _INV_SQRT_2PI / sigma**2, _INV_SQRT_PI / sigma**2
    for k in range(u.shape[0] - 1):
        a, b = 2.0 * u[k] * u[k], 2.0 * u[k + 1] * u[k + 1]
        out[0, k] = mixed * ((a - 1.0) * exps[k] - (b - 1.0) * exps[k + 1])
        out[1, k] = twice * ((a - 2.0) * u[k] * exps[k] - (b - 2.0) * u[k + 1] * exps[k + 1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SUM_MATH)
def _row_sums(
    pixels: FloatArray, i: int, columns: FloatArray, mixing: FloatArray, model: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Sum weight * tr(C d^2 mu) times (1, A, B, C) over a pixel row."""
    background, height = model
    s0 = sA = sB = sC = 0.0
    for j in range(pixels.shape[2]):
        A, B, C = columns[0, j], columns[1, j], columns[2, j]
        trace = mixing[0] * A + mixing[1] * B + mixing[2] * C + mixing[3] * columns[3, j] + mixing[4] * columns[4, j]
        value = trace * pixels[2, i, j] / (background + height * A + pixels[1, i, j])
        s0 += value
        sA += value * A
        sB += value * B
        sC += value * C
    return s0, sA, sB, sC


@njit(cache=True, nogil=True, error_model="numpy")
def _mixing(rows: FloatArray, i: int, theta: FloatArray, spread: FloatArray, out: FloatArray) -> None:
    """Fill the factors of (A, B, C, d2A/dx dsigma, d2A/dsigma2) in tr(C d^2 mu) of one pixel row."""
    a, b, c, b_sigma, c_sigma = rows[0, i], rows[1, i], rows[2, i], rows[3, i], rows[4, i]
    n = theta[2]
    out[0] = n * (spread[1, 1] * c / theta[5] + 2.0 * spread[1, 5] * b_sigma + spread[5, 5] * c_sigma)
    out[0] += 2.0 * (spread[1, 2] * b + spread[2, 5] * c)
    out[1] = 2.0 * (n * (spread[0, 1] * b + spread[0, 5] * c) + spread[0, 2] * a)
    out[2] = n * (spread[0, 0] * a / theta[4] + 2.0 * (spread[1, 4] * b + spread[4, 5] * c)) + 2.0 * spread[2, 4] * a
    out[3] = 2.0 * n * spread[0, 4] * a
    out[4] = n * spread[4, 4] * a


@njit(cache=True, nogil=True, error_model="numpy")
def subtract_bias(
    pixels: FloatArray, n: int, excess_noise_factor: float, scratch: FloatArray, small: FloatArray, theta: FloatArray
) -> None:
    """Take the first-order bias out of a maximum-likelihood fit.

    Parameters
    ----------
    pixels : ndarray
        As `poisson_information` takes them.
    n : int
        Free parameters.
    excess_noise_factor : float
        F^2.
    scratch, small : ndarray
        The working arrays of the fit; rows 18..23 of `small` hold its covariance.
    theta : ndarray
        Shape (6,): the maximum; corrected by at most half a standard deviation.
    """
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    score, mixing, spread = small[12], small[14], small[18:24]
    columns, rows = scratch[3:8], scratch[8:13]
    edges = n_x + 1
    _second_profiles(scratch[0, :edges], scratch[2, :edges], theta[4], columns[3:])
    last = n_x + n_y + 2
    _second_profiles(scratch[0, edges:last], scratch[2, edges:last], theta[5], rows[3:])
    score[:] = 0.0
    for i in range(n_y):
        _mixing(rows, i, theta, spread, mixing)
        s0, sA, sB, sC = _row_sums(pixels, i, columns, mixing, (theta[3], theta[2] * rows[0, i]))
        score[0] += rows[0, i] * sB
        score[1] += rows[1, i] * sA
        score[2] += rows[0, i] * sA
        score[3] += s0
        score[4] += rows[0, i] * sC
        score[5] += rows[2, i] * sA
    if n == 5:
        score[4] += score[5]
    for k in range(n):
        if k not in (2, 3):
            score[k] *= theta[2]
    for k in range(n):
        step = 0.0
        for b in range(n):
            step += 0.5 * spread[k, b] * score[b] / excess_noise_factor
        largest = _LARGEST_STEP * math.sqrt(spread[k, k])
        theta[k] += min(max(step, -largest), largest)
    theta[2] = max(theta[2], 1.0)
    if n == 5:
        theta[5] = theta[4]


@njit(cache=True, nogil=True, error_model="numpy")
def expected_spread(theta: FloatArray, n: int, spread: FloatArray, out: FloatArray) -> None:
    """Turn the asymptotic covariance of a fit into the standard deviations to expect.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): the fit.
    n : int
        Free parameters.
    spread : ndarray
        Shape (6, 6), asymptotic covariance.
    out : ndarray
        Shape (6,), receives standard deviations; NaN for what was held.
    """
    excess = _EXCESS_FIXED if n == 4 else (_EXCESS_FREE if n == 5 else _EXCESS_ELLIPTICAL)
    out[:] = math.nan
    blurred = 0.5 * (theta[4] * theta[4] + theta[5] * theta[5]) + _PIXEL_VARIANCE
    share = 0.5 * (spread[0, 0] + spread[1, 1]) / blurred
    for k in range(6 if n > 4 else 4):
        factor = excess[0] if k < 2 else excess[min(k - 1, 3)]
        out[k] = math.sqrt(spread[k, k]) * (1.0 + min(factor * share, _LARGEST_EXCESS))
