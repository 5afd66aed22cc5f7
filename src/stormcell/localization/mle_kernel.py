"""Compiled maximum-likelihood fit of one integrated Gaussian, by Fisher scoring.

Per pixel the data d (electrons) are taken as (d + s) / F^2 ~ Poisson((mu + s) / F^2), s = v / F^2, v the read
variance: exact for pure shot noise, Huang's approximation for sCMOS, and for an EMCCD (F^2 = 2) the quasi-likelihood
whose mean and variance are right. All three have the score sum (d - mu) / (mu + s) d mu / F^2 and the information
sum d mu d mu / (mu + s) / F^2, so one kernel serves them and F^2 enters only at the end.

The model is separable: an iteration needs 14 weighted sums per pixel row, and everything else follows from them.
Positions and widths are scaled by the electron number inside, which takes it out of all derivatives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.physics.gaussian import axis_profiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

SUM_MATH = {"contract", "reassoc", "nsz", "arcp"}
"""Liberties for pixel sums: their order and fused operations, but NaN stays NaN."""


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SUM_MATH)
def _row_sums(
    data: FloatArray, extra: FloatArray, valid: FloatArray, columns: FloatArray, height: float, background: float
) -> tuple[float, ...]:
    r0 = rA = rB = rC = 0.0
    w0 = wA = wB = wC = wAA = wAB = wAC = wBB = wBC = wCC = 0.0
    for j in range(data.shape[0]):
        A, B, C = columns[0, j], columns[1, j], columns[2, j]
        w = valid[j] / (background + height * A + extra[j])
        r = w * data[j] - valid[j]
        r0 += r
        rA += r * A
        rB += r * B
        rC += r * C
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
    return r0, rA, rB, rC, w0, wA, wB, wC, wAA, wAB, wAC, wBB, wBC, wCC


@njit(cache=True, nogil=True, error_model="numpy", fastmath=SUM_MATH)
def add_row(sums: tuple[float, ...], a: float, b: float, c: float, fisher: FloatArray, score: FloatArray) -> None:
    """Add one pixel row to the information and the score.

    Parameters
    ----------
    sums : tuple of float
        Sums over the row: residual times (1, A, B, C), then weight times (1, A, B, C, AA, AB, AC, BB, BC, CC), where
        A, B, C are the column profile and its derivatives by centre and sigma.
    a, b, c : float
        The row profile and its derivatives by centre and sigma.
    fisher, score : ndarray
        Shapes (6, 6), upper triangle, and (6,); added to.
    """
    r0, rA, rB, rC, w0, wA, wB, wC, wAA, wAB, wAC, wBB, wBC, wCC = sums
    score[0] += a * rB
    score[1] += b * rA
    score[2] += a * rA
    score[3] += r0
    score[4] += a * rC
    score[5] += c * rA
    aa, ab, ac = a * a, a * b, a * c
    fisher[0, 0] += aa * wBB
    fisher[0, 1] += ab * wAB
    fisher[0, 2] += aa * wAB
    fisher[0, 3] += a * wB
    fisher[0, 4] += aa * wBC
    fisher[0, 5] += ac * wAB
    fisher[1, 1] += b * b * wAA
    fisher[1, 2] += ab * wAA
    fisher[1, 3] += b * wA
    fisher[1, 4] += ab * wAC
    fisher[1, 5] += b * c * wAA
    fisher[2, 2] += aa * wAA
    fisher[2, 3] += a * wA
    fisher[2, 4] += aa * wAC
    fisher[2, 5] += ac * wAA
    fisher[3, 3] += w0
    fisher[3, 4] += a * wC
    fisher[3, 5] += c * wA
    fisher[4, 4] += aa * wCC
    fisher[4, 5] += ac * wAC
    fisher[5, 5] += c * c * wAA


@njit(cache=True, nogil=True, error_model="numpy")
def poisson_information(
    theta: FloatArray, pixels: FloatArray, scratch: FloatArray, fisher: FloatArray, score: FloatArray
) -> None:
    """Compute the score and Fisher matrix of the six-parameter model.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): x, y, electrons, background, sigma_x, sigma_y, in pixels from the outer corner and electrons.
    pixels : ndarray
        Shape (3, rows, columns): data + s, s = v / F^2, and 1 where a pixel counts, else 0 (data and s finite there).
    scratch : ndarray
        Shape (13, at least rows + columns + 2), overwritten; rows 3..5 and 8..10 receive the column and row profiles.
    fisher, score : ndarray
        Shapes (6, 6) and (6,), overwritten: upper triangle and gradient with respect to (electrons x, electrons y,
        electrons, background, electrons sigma_x, electrons sigma_y), x and y scaled by the current electron number.
    """
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    along_x, along_y = scratch[3:6], scratch[8:11]
    axis_profiles(theta, n_x, n_y, scratch, along_x, along_y)
    fisher[:] = 0.0
    score[:] = 0.0
    for i in range(n_y):
        share = along_y[0, i]
        sums = _row_sums(pixels[0, i], pixels[1, i], pixels[2, i], along_x, theta[2] * share, theta[3])
        add_row(sums, share, along_y[1, i], along_y[2, i], fisher, score)


@njit(cache=True, nogil=True, error_model="numpy")
def tie_sigmas(fisher: FloatArray, score: FloatArray) -> None:
    """Turn the six-parameter information into that of one common sigma, kept at index 4.

    Parameters
    ----------
    fisher, score : ndarray
        Shapes (6, 6) and (6,), changed in place.
    """
    for k in range(4):
        fisher[k, 4] += fisher[k, 5]
    fisher[4, 4] += 2.0 * fisher[4, 5] + fisher[5, 5]
    score[4] += score[5]


@njit(cache=True, nogil=True, error_model="numpy")
def cholesky_scaled(
    fisher: FloatArray, n: int, held: NDArray[np.bool_], scale: FloatArray, lower: FloatArray
) -> bool:
    """Factor the leading block of the information matrix after scaling its diagonal to 1.

    Parameters
    ----------
    fisher : ndarray
        Upper triangle is read.
    n : int
        Free parameters, the first n.
    held : ndarray of bool
        Shape (>= n,): parameters at a bound, left out of the step.
    scale : ndarray
        Shape (>= n,), receives 1 / sqrt(diagonal), 0 for held parameters.
    lower : ndarray
        Shape (>= n, >= n), receives the factor.

    Returns
    -------
    bool
        False where the matrix is not positive definite.
    """
    for k in range(n):
        if held[k]:
            scale[k] = 0.0
        elif not fisher[k, k] > 0.0:
            return False
        else:
            scale[k] = 1.0 / math.sqrt(fisher[k, k])
    for i in range(n):
        for j in range(i + 1):
            value = fisher[j, i] * scale[i] * scale[j] if i != j else 1.0
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            if i == j:
                if value <= 1e-9:
                    return False
                lower[i, i] = math.sqrt(value)
            else:
                lower[i, j] = value / lower[j, j]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def solve_scaled(lower: FloatArray, scale: FloatArray, n: int, right: FloatArray, out: FloatArray) -> None:
    """Solve with the factor of `cholesky_scaled`.

    Parameters
    ----------
    lower, scale : ndarray
        From `cholesky_scaled`.
    n : int
        Free parameters.
    right, out : ndarray
        Shape (>= n,): right-hand side and solution; may be the same array.
    """
    for i in range(n):
        value = right[i] * scale[i]
        for k in range(i):
            value -= lower[i, k] * out[k]
        out[i] = value / lower[i, i]
    for i in range(n - 1, -1, -1):
        value = out[i]
        for k in range(i + 1, n):
            value -= lower[k, i] * out[k]
        out[i] = value / lower[i, i]
    for i in range(n):
        out[i] *= scale[i]


@njit(cache=True, nogil=True, error_model="numpy")
def to_physical_units(theta: FloatArray, n: int, out: FloatArray) -> None:
    """Take the electron number out of a covariance, and fill in a common sigma.

    Parameters
    ----------
    theta : ndarray
        Shape (6,).
    n : int
        Free parameters.
    out : ndarray
        Shape (6, 6): covariance with positions and widths scaled by the electron number; changed in place.
    """
    for a in range(n):
        for b in range(n):
            if a not in (2, 3):
                out[a, b] /= theta[2]
            if b not in (2, 3):
                out[a, b] /= theta[2]
    if n == 5:
        for a in range(5):
            out[a, 5] = out[a, 4]
            out[5, a] = out[4, a]
        out[5, 5] = out[4, 4]
