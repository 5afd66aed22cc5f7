"""Joint maximum-likelihood fit of overlapping emitters: the compiled kernel.

Up to `MOST_EMITTERS` emitters and a common background are fitted together on the union of their cores; light of other
emitters is held. Score and information are those of the single-emitter fit (see `mle_kernel`): the data d (electrons)
are taken as (d + s) / F^2 ~ Poisson((mu + s) / F^2), s = v / F^2. Fisher scoring with Levenberg-Marquardt damping;
a step counts only if the likelihood does not fall.

References
----------
.. [1] F. Huang et al., "Simultaneous multiple-emitter fitting for single molecule super-resolution imaging", Biomed.
   Opt. Express 2, 1377 (2011), https://doi.org/10.1364/BOE.2.001377
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from stormcell.localization.multi_psf import EmitterShape, axis_scratch, core_patch
from stormcell.localization.multi_solve import factor, solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MOST_EMITTERS = 10
"""Emitters fitted jointly."""

DATA, EXTRA, VALID, HELD, RESIDUAL, WEIGHT = range(6)
"""Planes of the window: data + s, s, 1 where a pixel counts, expected electrons of everything that is held,
(d + s) / (mu + s) - 1, and 1 / (mu + s)."""

SCORE, SCALE, STEP, THETA, TRIAL, PINNED, LOWEST, HIGHEST = range(8)
"""Rows of the vectors of a fit."""

LARGEST_DAMPING = 1e6
_LEAST_EXPECTED_E = 1e-3
_MOST_STEPS = 60
_STEP_SIGMAS = 0.7


class FitWork(NamedTuple):
    """Working arrays of one thread; made once, no fit allocates.

    Attributes
    ----------
    patch : ndarray
        Shape (MOST_EMITTERS, 3, core, core): each emitter's share of light and its derivatives by x and y.
    weighted : ndarray
        Shape (3, core, core), one patch times the weights.
    window : ndarray
        Shape (6, rows, columns), planes of the fitted pixels.
    fisher, lower : ndarray
        Shapes (P, P), P = 3 * MOST_EMITTERS + 1.
    vectors : ndarray
        Shape (8, P). Parameters are x, y [px from the window's corner] and electrons of each emitter, then the
        background added to what is held.
    place : ndarray of int64
        Shape (MOST_EMITTERS, 2), row and column of each core's corner in the window.
    group : ndarray of int64
        Shape (MOST_EMITTERS,), which emitters of the frame are fitted.
    size : ndarray of int64
        Shape (4,): rows and columns of the window in use, and its corner's row and column in the frame.
    axis : ndarray
        Scratch of the PSF.
    """

    patch: FloatArray
    weighted: FloatArray
    window: FloatArray
    fisher: FloatArray
    lower: FloatArray
    vectors: FloatArray
    place: NDArray[np.int64]
    group: NDArray[np.int64]
    size: NDArray[np.int64]
    axis: FloatArray


@njit(cache=True, nogil=True, error_model="numpy")
def make_work(shape: EmitterShape) -> FitWork:
    """Make the working arrays of one thread.

    Parameters
    ----------
    shape : EmitterShape
        The PSF.

    Returns
    -------
    FitWork
        All zero.
    """
    core, n = shape.core_px, 3 * MOST_EMITTERS + 1
    return FitWork(
        np.zeros((MOST_EMITTERS, 3, core, core)),
        np.zeros((3, core, core)),
        np.zeros((6, 3 * core + 2, 3 * core + 2)),
        np.zeros((n, n)),
        np.zeros((n, n)),
        np.zeros((8, n)),
        np.zeros((MOST_EMITTERS, 2), np.int64),
        np.zeros(MOST_EMITTERS, np.int64),
        np.zeros(4, np.int64),
        axis_scratch(shape),
    )


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def _expected(n: int, light: FloatArray, background: float, work: FitWork) -> None:
    """Write the expected electrons into the residual plane."""
    window, side = work.window, work.patch.shape[2]
    for i in range(work.size[0]):
        for j in range(work.size[1]):
            window[RESIDUAL, i, j] = window[HELD, i, j] + background
    for e in range(n):
        top, left, share, electrons = work.place[e, 0], work.place[e, 1], work.patch[e, 0], light[3 * e + 2]
        for i in range(side):
            for j in range(side):
                window[RESIDUAL, top + i, left + j] += electrons * share[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(shape: EmitterShape, n: int, theta: FloatArray, work: FitWork) -> float:
    """Draw the emitters and compute residuals and weights.

    Parameters
    ----------
    shape : EmitterShape
        The PSF.
    n : int
        Emitters.
    theta : ndarray
        Parameters in the order of `FitWork.vectors`.
    work : FitWork
        Patches, residual and weight planes are overwritten.

    Returns
    -------
    float
        F^2 times the log-likelihood, without terms in the data alone.
    """
    for e in range(n):
        top, left = work.place[e, 0], work.place[e, 1]
        core_patch(shape, theta[3 * e] - left, theta[3 * e + 1] - top, work.axis, work.patch[e])
    _expected(n, theta, theta[3 * n], work)
    window, total = work.window, 0.0
    for i in range(work.size[0]):
        for j in range(work.size[1]):
            valid = window[VALID, i, j]
            if valid > 0.0:
                data = window[DATA, i, j]
                expected = max(window[RESIDUAL, i, j] + window[EXTRA, i, j], _LEAST_EXPECTED_E)
                weight = 1.0 / expected
                window[WEIGHT, i, j] = weight
                window[RESIDUAL, i, j] = data * weight - 1.0
                total += data * math.log(expected) - expected
            else:
                window[WEIGHT, i, j] = 0.0
                window[RESIDUAL, i, j] = 0.0
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def _own_terms(e: int, n: int, electrons: float, work: FitWork) -> None:
    """Add an emitter's own terms to score and information, and keep its weighted patch."""
    side, top, left = work.patch.shape[2], work.place[e, 0], work.place[e, 1]
    gx = gy = gn = bx = by = bn = xx = xy = xn = yy = yn = nn = 0.0
    for i in range(side):
        for j in range(side):
            r, w = work.window[RESIDUAL, top + i, left + j], work.window[WEIGHT, top + i, left + j]
            p, px, py = work.patch[e, 0, i, j], work.patch[e, 1, i, j], work.patch[e, 2, i, j]
            wp, wx, wy = w * p, w * px, w * py
            work.weighted[0, i, j], work.weighted[1, i, j], work.weighted[2, i, j] = wp, wx, wy
            gx += r * px
            gy += r * py
            gn += r * p
            bx += wx
            by += wy
            bn += wp
            xx += wx * px
            xy += wx * py
            xn += wx * p
            yy += wy * py
            yn += wy * p
            nn += wp * p
    a, fisher, score = 3 * e, work.fisher, work.vectors[SCORE]
    score[a], score[a + 1], score[a + 2] = electrons * gx, electrons * gy, gn
    fisher[a, a], fisher[a, a + 1] = electrons * electrons * xx, electrons * electrons * xy
    fisher[a + 1, a + 1] = electrons * electrons * yy
    fisher[a, a + 2], fisher[a + 1, a + 2], fisher[a + 2, a + 2] = electrons * xn, electrons * yn, nn
    fisher[a, 3 * n], fisher[a + 1, 3 * n], fisher[a + 2, 3 * n] = electrons * bx, electrons * by, bn


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def _cross_terms(e: int, f: int, theta: FloatArray, work: FitWork) -> None:
    """Fill the information shared by two emitters; the weighted patch is that of the first."""
    side = work.patch.shape[2]
    dy, dx = work.place[f, 0] - work.place[e, 0], work.place[f, 1] - work.place[e, 1]
    xx = xy = xn = yx = yy = yn = nx = ny = nn = 0.0
    for i in range(max(0, dy), min(side, side + dy)):
        for j in range(max(0, dx), min(side, side + dx)):
            p, px, py = (
                work.patch[f, 0, i - dy, j - dx],
                work.patch[f, 1, i - dy, j - dx],
                work.patch[f, 2, i - dy, j - dx],
            )
            wp, wx, wy = work.weighted[0, i, j], work.weighted[1, i, j], work.weighted[2, i, j]
            xx += wx * px
            xy += wx * py
            xn += wx * p
            yx += wy * px
            yy += wy * py
            yn += wy * p
            nx += wp * px
            ny += wp * py
            nn += wp * p
    a, b, fisher = 3 * e, 3 * f, work.fisher
    m, k = theta[3 * e + 2], theta[3 * f + 2]
    fisher[a, b], fisher[a, b + 1], fisher[a, b + 2] = m * k * xx, m * k * xy, m * xn
    fisher[a + 1, b], fisher[a + 1, b + 1], fisher[a + 1, b + 2] = m * k * yx, m * k * yy, m * yn
    fisher[a + 2, b], fisher[a + 2, b + 1], fisher[a + 2, b + 2] = k * nx, k * ny, nn


@njit(cache=True, nogil=True, error_model="numpy")
def information(n: int, theta: FloatArray, work: FitWork) -> None:
    """Compute score and Fisher matrix from what `evaluate` left.

    Parameters
    ----------
    n : int
        Emitters.
    theta : ndarray
        The parameters that were evaluated.
    work : FitWork
        Its Fisher matrix (upper triangle) and score are overwritten.
    """
    side, b = work.patch.shape[2], 3 * n
    for e in range(n):
        _own_terms(e, n, theta[3 * e + 2], work)
        for f in range(e + 1, n):
            dy, dx = work.place[f, 0] - work.place[e, 0], work.place[f, 1] - work.place[e, 1]
            if abs(dy) < side and abs(dx) < side:
                _cross_terms(e, f, theta, work)
            else:
                for p in range(9):
                    work.fisher[3 * e + p // 3, 3 * f + p % 3] = 0.0
    score, weights = 0.0, 0.0
    for i in range(work.size[0]):
        for j in range(work.size[1]):
            score += work.window[RESIDUAL, i, j]
            weights += work.window[WEIGHT, i, j]
    work.vectors[SCORE, b], work.fisher[b, b] = score, weights


@njit(cache=True, nogil=True, error_model="numpy")
def _pin(n_free: int, work: FitWork) -> None:
    """Hold what would leave its bounds; an emitter without light keeps its place."""
    theta, score, pinned = work.vectors[THETA], work.vectors[SCORE], work.vectors[PINNED]
    for k in range(n_free):
        outward = (theta[k] <= work.vectors[LOWEST, k] and score[k] < 0.0) or (
            theta[k] >= work.vectors[HIGHEST, k] and score[k] > 0.0
        )
        pinned[k] = 1.0 if outward else 0.0
        if outward:
            score[k] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _propose(n_free: int, damping: float, sigma: float, work: FitWork) -> float:
    """Write a damped step's end into the trial; return the squared Newton decrement, NaN where there is no step."""
    theta, trial = work.vectors[THETA], work.vectors[TRIAL]
    step, score = work.vectors[STEP], work.vectors[SCORE]
    scale = work.vectors[SCALE]
    if not factor(work.fisher, n_free, damping, work.vectors[PINNED], scale, work.lower):
        return math.nan
    solve(work.lower, scale, n_free, score, step)
    decrement = 0.0
    for k in range(n_free):
        decrement += score[k] * step[k]
        change = step[k]
        if k == n_free - 1:
            pass  # the background is free
        elif k % 3 < 2:
            change = min(max(change, -_STEP_SIGMAS * sigma), _STEP_SIGMAS * sigma)
        else:
            change = min(max(change, -0.75 * theta[k]), 3.0 * theta[k])
        trial[k] = min(max(theta[k] + change, work.vectors[LOWEST, k]), work.vectors[HIGHEST, k])
    return decrement


@njit(cache=True, nogil=True, error_model="numpy")
def maximize_joint(shape: EmitterShape, n: int, tolerance: float, work: FitWork) -> tuple[float, int, bool]:
    """Climb to the maximum of the joint likelihood.

    Parameters
    ----------
    shape : EmitterShape
        The PSF.
    n : int
        Emitters.
    tolerance : float
        Squared Newton decrement at which to stop: twice the log-likelihood still to gain.
    work : FitWork
        Start values in row THETA of its vectors, which receives the maximum; window and bounds are set. Score and
        Fisher matrix are left as at the maximum.

    Returns
    -------
    tuple of float, int and bool
        F^2 times the log-likelihood without terms in the data alone, steps, and whether they converged.
    """
    theta, trial = work.vectors[THETA], work.vectors[TRIAL]
    here = evaluate(shape, n, theta, work)
    information(n, theta, work)
    n_free, damping = 3 * n + 1, 1e-3
    for iteration in range(_MOST_STEPS):
        _pin(n_free, work)
        decrement = _propose(n_free, damping, shape.sigma_px, work)
        there = evaluate(shape, n, trial, work) if math.isfinite(decrement) else -math.inf
        if there >= here - 1e-9 * abs(here) * tolerance:
            done = decrement < tolerance
            here = there
            for k in range(n_free):
                theta[k] = trial[k]
            information(n, theta, work)
            damping = max(damping * 0.1, 1e-7)
            if done:
                return here, iteration + 1, True
        elif damping > LARGEST_DAMPING or decrement < tolerance:
            evaluate(shape, n, theta, work)
            return here, iteration + 1, decrement < tolerance
        else:
            damping = max(damping * 10.0, 1e-2)
    return here, _MOST_STEPS, False
