"""Maximum-likelihood fits of many spots on all cores.

Fisher scoring from a moment start, with active bounds and a step control that needs gradients only: where the slope
along a step has turned around, the step is shortened to where it is zero. A fit stops after a step
of less than half a hundredth of a standard deviation (its Newton decrement).

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
from stormcell.localization.mle_kernel import (
    add_sigma_prior,
    factor,
    invert,
    poisson_information,
    solve,
    tie_sigmas,
    to_physical_units,
)
from stormcell.physics.gaussian import fast_log

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MAX_ITERATIONS = 60
_TURNED = -0.5
_PARALLEL = 0.5  # squared cosine
_CONVERGED = 2e-5  # squared Newton decrement: a last step of half a hundredth of a standard deviation


@njit(cache=True, nogil=True, error_model="numpy")
def _scoring_step(theta: FloatArray, bounds: FloatArray, n: int, small: FloatArray) -> tuple[float, bool]:
    """Solve for the step into row 14 of `small`; parameters at a border that would leave their range stay.

    Returns the squared Newton decrement of the others (NaN where the information is singular, at least 1 where a
    parameter was put onto its border), and whether all were free.
    """
    fisher, lower, score, step, held = small[:6], small[6:12], small[12], small[14], small[16]
    held[:] = 0.0
    all_free, moved = True, False
    for _ in range(n):
        if not factor(fisher, n, held, lower):
            return math.nan, False
        solve(lower, n, score, step)
        changed = False
        for k in range(n):
            # background and widths go to their border at once: the others can then adapt to it
            goal = theta[k] if k < 3 else theta[k] + step[k] / (1.0 if k == 3 else theta[2])
            if held[k] == 0.0 and (
                (goal <= bounds[0, k] and step[k] < 0.0) or (goal >= bounds[1, k] and step[k] > 0.0)
            ):
                held[k] = 1.0
                border = bounds[0, k] if step[k] < 0.0 else bounds[1, k]
                moved = moved or theta[k] != border
                theta[k] = border
                changed = True
        if not changed:
            break
        all_free = False
    decrement = 0.0
    for k in range(n):
        decrement += score[k] * step[k]
    return max(decrement, 1.0) if moved else decrement, all_free


@njit(cache=True, nogil=True, error_model="numpy")
def _believable(theta: FloatArray, step: FloatArray, factor: float, n: int) -> float:
    """Shorten the factor of a step to where the quadratic model is worth believing."""
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
def _move(theta: FloatArray, step: FloatArray, factor: float, bounds: FloatArray, n: int) -> None:
    """Take a step as far as the bounds allow; `step` receives what was done."""
    for k in range(n):
        before = theta[k]
        theta[k] = min(max(before + factor * step[k], bounds[0, k]), bounds[1, k])
        step[k] = theta[k] - before
    if n == 5:
        theta[5] = theta[4]


@njit(cache=True, nogil=True, error_model="numpy")
def _take_back(theta: FloatArray, step: FloatArray, share: float, n: int) -> None:
    """Undo a share of the step just taken."""
    for k in range(n):
        theta[k] -= share * step[k]
        step[k] *= 1.0 - share
    if n == 5:
        theta[5] = theta[4]


@njit(cache=True, nogil=True, error_model="numpy")
def _slope_along(score: FloatArray, step: FloatArray, electrons: float, n: int) -> float:
    slope = 0.0
    for k in range(n):
        slope += score[k] * step[k] * (1.0 if k in (2, 3) else electrons)
    return slope


@njit(cache=True, nogil=True, error_model="numpy")
def maximize(
    pixels: FloatArray,
    bounds: FloatArray,
    plan: FloatArray,
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
    plan : ndarray
        Shape (8,): free parameters (4 with held sigmas, 5 with one sigma, or 6), F^2, expected sigma x and y, lowest
        and highest sigma in units of those, 1 to minimize squares instead, and the precision (one over the variance)
        of the prior on log sigma.
    scratch : ndarray
        Shape (13, at least rows + columns + 2), overwritten.
    small : ndarray
        Shape (30, 6), overwritten; rows 0..5 hold the Fisher matrix at the last point.
    theta : ndarray
        Shape (6,): start values, receives the maximum.

    Returns
    -------
    tuple of int and bool
        Iterations, and whether they converged.
    """
    fisher, score, step = small[:6], small[12], small[15]
    n, squares = int(plan[0]), plan[6] > 0.0
    # of squares the noise is that of a typical pixel under the spot
    tolerance = _CONVERGED * (max(theta[3], 1.0) + 0.05 * theta[2] / (theta[4] * theta[5]) if squares else 1.0)
    complete = True
    for i in range(pixels.shape[1]):
        for j in range(pixels.shape[2]):
            complete = complete and pixels[2, i, j] > 0.0
    slope, stretch, tries = 0.0, 1.0, 0
    for iteration in range(MAX_ITERATIONS):
        if squares:
            squares_information(theta, pixels, complete, scratch, fisher, score)
        else:
            poisson_information(theta, pixels, scratch, fisher, score)
        if n == 5:
            tie_sigmas(fisher, score)
        add_sigma_prior(theta, plan, plan[7] * plan[1], fisher, score)
        now = _slope_along(score, step, theta[2], n)
        if iteration > 0 and now < _TURNED * slope and tries < 4:
            # the slope along the step has turned around: go back to about where it is zero
            _take_back(theta, step, min(1.0 - slope / (slope - now), 0.9), n)
            tries += 1
            continue
        electrons = theta[2]
        decrement, all_free = _scoring_step(theta, bounds, n, small)
        if not math.isfinite(decrement):
            return iteration + 1, False
        stretch = _next_stretch(stretch, slope, now, decrement, tries) if iteration > 0 and all_free else 1.0
        for k in range(n):
            step[k] = small[14, k] / (1.0 if k in (2, 3) else electrons)
        stretch = _believable(theta, step, stretch, n)
        _move(theta, step, stretch, bounds, n)
        if decrement < tolerance:
            return iteration + 1, True
        slope, tries = _slope_along(score, step, electrons, n), 0
    return MAX_ITERATIONS, False


@njit(cache=True, nogil=True, error_model="numpy")
def _next_stretch(stretch: float, slope: float, now: float, decrement: float, tries: int) -> float:
    """Return how much longer than a scoring step the next one should be.

    Expected and true curvature differ where spots are faint; the change of the slope over the last step tells by how
    much, as long as the new step goes the same way (angles in the metric of the information matrix).
    """
    if tries > 0 or slope <= 0.0:
        return 1.0
    parallel = now * now > _PARALLEL * stretch * slope * decrement
    return min(max(stretch / (1.0 - now / slope), 0.4), 20.0) if parallel and now < 0.98 * slope else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def covariance(theta: FloatArray, n: int, excess_noise_factor: float, small: FloatArray, out: FloatArray) -> bool:
    """Invert the Fisher matrix left by `maximize`.

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
        Shape (6, 6), receives the covariance of theta; 0 for what was held, NaN where the matrix is singular.
        Parameters at a bound count as free here; a common sigma fills both sigma rows.

    Returns
    -------
    bool
        False where the matrix is singular.
    """
    fisher, lower, held = small[:6], small[6:12], small[16]
    out[:] = 0.0
    held[:] = 0.0
    if not factor(fisher, n, held, lower):
        out[:] = math.nan
        return False
    invert(lower, n, out)
    for a in range(n):
        for b in range(n):
            out[a, b] *= excess_noise_factor
    to_physical_units(theta, n, out)
    return True


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
        height = theta[2] * scratch[8, i]
        for j in range(pixels.shape[2]):
            if pixels[2, i, j] > 0.0:
                expected = theta[3] + height * scratch[3, j] + pixels[1, i, j]
                residual = pixels[0, i, j] - expected
                log_likelihood += pixels[0, i, j] * fast_log(expected) - expected
                chi2 += residual * residual / expected
                squares += residual * residual
                n_valid += 1.0
    freedom = n_valid - n
    chi2 = chi2 / (freedom * excess_noise_factor) if freedom > 0.0 else math.nan
    return log_likelihood / excess_noise_factor, chi2, math.sqrt(squares / max(freedom, 1.0))
