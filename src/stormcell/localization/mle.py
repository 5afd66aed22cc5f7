"""Maximum-likelihood fits of many spots on all cores.

Fisher scoring from a moment start, with active bounds and a step control that needs gradients only: where the slope
along a step has turned around, the step is shortened to where it is zero. A fit stops when its Newton decrement says
that it is within a thousandth of a standard deviation of the maximum.

References
----------
.. [1] C. S. Smith et al., Nat. Methods 7, 373 (2010), https://doi.org/10.1038/nmeth.1449
.. [2] F. Huang et al., Nat. Methods 10, 653 (2013), https://doi.org/10.1038/nmeth.2488
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.localization.lsq import squares_information
from stormcell.localization.mle_kernel import cholesky_scaled, poisson_information, solve_scaled, tie_sigmas

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MAX_ITERATIONS = 60
_CONVERGED = 1e-6  # squared Newton decrement: a step of a thousandth of a standard deviation


@njit(cache=True, nogil=True, error_model="numpy")
def _hold_at_bounds(theta: FloatArray, score: FloatArray, bounds: FloatArray, n: int, held: FloatArray) -> None:
    for k in range(n):
        outward = (theta[k] <= bounds[0, k] and score[k] < 0.0) or (theta[k] >= bounds[1, k] and score[k] > 0.0)
        held[k] = 1.0 if outward else 0.0
        if outward:
            score[k] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _believable(theta: FloatArray, step: FloatArray, n: int) -> float:
    """Return the factor that shortens a step to where the quadratic model is worth believing."""
    factor = 1.0
    for k in range(n):
        if k < 2:
            allowed = 0.8 * theta[4 + k]
        elif k == 2:
            allowed = 3.0 * theta[2] if step[2] > 0.0 else 0.8 * theta[2]
        elif k == 3:
            allowed = 2.0 * abs(theta[3]) + 0.1 * theta[2]
        else:
            allowed = 0.3 * theta[k]
        if abs(step[k]) * factor > allowed:
            factor = allowed / abs(step[k])
    return factor


@njit(cache=True, nogil=True, error_model="numpy")
def _move(base: FloatArray, step: FloatArray, factor: float, bounds: FloatArray, n: int, theta: FloatArray) -> None:
    for k in range(n):
        theta[k] = min(max(base[k] + factor * step[k], bounds[0, k]), bounds[1, k])
    if n == 5:
        theta[5] = theta[4]


@njit(cache=True, nogil=True, error_model="numpy")
def _slope_along(theta: FloatArray, score: FloatArray, step: FloatArray, n: int) -> float:
    slope = 0.0
    for k in range(n):
        slope += score[k] * step[k] * (1.0 if k in (2, 3) else theta[2])
    return slope


@njit(cache=True, nogil=True, error_model="numpy")
def maximize(
    pixels: FloatArray,
    bounds: FloatArray,
    n: int,
    squares: bool,
    scratch: FloatArray,
    small: FloatArray,
    theta: FloatArray,
) -> tuple[int, bool]:
    """Climb from the start in `theta` to the maximum of the likelihood.

    Parameters
    ----------
    pixels : ndarray
        As `poisson_information` takes them.
    bounds : ndarray
        Shape (2, 6): lowest and highest value of each parameter.
    n : int
        Free parameters: 4 (sigmas held), 5 (one sigma) or 6.
    squares : bool
        Minimize the sum of squares instead of the likelihood.
    scratch : ndarray
        Shape (9, at least rows + columns + 2), overwritten.
    small : ndarray
        Shape (24, 6), overwritten; rows 0..5 hold the Fisher matrix at the last point.
    theta : ndarray
        Shape (6,): start values, receives the maximum.

    Returns
    -------
    tuple of int and bool
        Iterations, and whether they converged.
    """
    fisher, lower, score, scale, step, base, held = (
        small[:6], small[6:12], small[12], small[13], small[14], small[15], small[16]
    )  # fmt: skip
    factor, slope = 0.0, 0.0
    for iteration in range(MAX_ITERATIONS):
        if squares:
            squares_information(theta, pixels, scratch, fisher, score)
        else:
            poisson_information(theta, pixels, scratch, fisher, score)
        if n == 5:
            tie_sigmas(fisher, score)
        if iteration > 0:
            now = _slope_along(theta, score, step, n)
            if now < -0.5 * slope and factor > 0.02:
                factor *= max(slope / (slope - now), 0.1)
                _move(base, step, factor, bounds, n, theta)
                continue
        _hold_at_bounds(theta, score, bounds, n, held)
        if not cholesky_scaled(fisher, n, held, scale, lower):
            return iteration + 1, False
        solve_scaled(lower, scale, n, score, step)
        slope = 0.0
        for k in range(n):
            slope += score[k] * step[k]
            base[k] = theta[k]
            if k not in (2, 3):
                step[k] /= theta[2]
        if not math.isfinite(slope):
            return iteration + 1, False
        factor = _believable(theta, step, n)
        _move(base, step, factor, bounds, n, theta)
        if slope < _CONVERGED * (max(theta[3], 1.0) if squares else 1.0):
            return iteration + 1, True
    return MAX_ITERATIONS, False


@njit(cache=True, nogil=True, error_model="numpy")
def standard_deviations(
    theta: FloatArray, n: int, excess_noise_factor: float, small: FloatArray, out: FloatArray
) -> None:
    """Invert the Fisher matrix left by `maximize` into standard deviations.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): the maximum.
    n : int
        Free parameters.
    excess_noise_factor : float
        F^2.
    small : ndarray
        The working array of `maximize`.
    out : ndarray
        Shape (6,), receives the standard deviations; NaN for parameters that were held or where the matrix is
        singular. Parameters at a bound count as free here.
    """
    fisher, lower, scale, unit, held = small[:6], small[6:12], small[13], small[14], small[16]
    out[:] = math.nan
    held[:] = 0.0
    if not cholesky_scaled(fisher, n, held, scale, lower):
        return
    for k in range(n):
        unit[:] = 0.0
        unit[k] = 1.0
        solve_scaled(lower, scale, n, unit, unit)
        out[k] = math.sqrt(unit[k] * excess_noise_factor) / (1.0 if k in (2, 3) else theta[2])
    if n == 5:
        out[5] = out[4]


@njit(cache=True, nogil=True, error_model="numpy")
def goodness(
    theta: FloatArray, pixels: FloatArray, excess_noise_factor: float, n: int, scratch: FloatArray
) -> tuple[float, float, float]:
    """Compute goodness of fit from the profiles left in `scratch`.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): the maximum.
    pixels : ndarray
        As `poisson_information` takes them.
    excess_noise_factor : float
        F^2.
    n : int
        Free parameters.
    scratch : ndarray
        As `poisson_information` leaves it.

    Returns
    -------
    tuple of float
        Log-likelihood without its terms in the data alone, chi-square per degree of freedom (NaN without any), and
        standard deviation of the residual per pixel.
    """
    log_likelihood, chi2, squares, n_valid = 0.0, 0.0, 0.0, 0.0
    for i in range(pixels.shape[1]):
        height = theta[2] * scratch[6, i]
        for j in range(pixels.shape[2]):
            if pixels[2, i, j] > 0.0:
                expected = theta[3] + height * scratch[3, j] + pixels[1, i, j]
                residual = pixels[0, i, j] - expected
                log_likelihood += pixels[0, i, j] * math.log(expected) - expected
                chi2 += residual * residual / expected
                squares += residual * residual
                n_valid += 1.0
    freedom = n_valid - n
    chi2 = chi2 / (freedom * excess_noise_factor) if freedom > 0.0 else math.nan
    return log_likelihood / excess_noise_factor, chi2, math.sqrt(squares / max(freedom, 1.0))
