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

_SMALLEST_PIVOT = 1e-9
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
def poisson_information(
    theta: FloatArray, pixels: FloatArray, scratch: FloatArray, fisher: FloatArray, score: FloatArray
) -> None:
    """Compute the score and Fisher matrix of the six-parameter model.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): x, y, electrons, background, sigma_x, sigma_y, in pixels from the outer corner and electrons.
    pixels : ndarray
        Shape (>= 3, rows, columns): data + s, s = v / F^2, and 1 where a pixel counts, else 0; finite throughout.
    scratch : ndarray
        Shape (13, at least rows + columns + 2), overwritten; rows 3..5 and 8..10 receive the column and row profiles.
    fisher, score : ndarray
        Shapes (6, 6) and (6,), overwritten: upper triangle and gradient with respect to (electrons x, electrons y,
        electrons, background, electrons sigma_x, electrons sigma_y), x and y scaled by the current electron number.
    """
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    along_x, rows = scratch[3:6], scratch[8:11]
    axis_profiles(theta, n_x, n_y, scratch, along_x, rows)
    s0 = s1 = s2 = s3 = s4 = s5 = 0.0
    f00 = f01 = f02 = f03 = f04 = f05 = f11 = f12 = f13 = f14 = f15 = 0.0
    f22 = f23 = f24 = f25 = f33 = f34 = f35 = f44 = f45 = f55 = 0.0
    for i in range(n_y):
        a, b, c = rows[0, i], rows[1, i], rows[2, i]
        r0, rA, rB, rC, w0, wA, wB, wC, wAA, wAB, wAC, wBB, wBC, wCC = _row_sums(
            pixels[0, i], pixels[1, i], pixels[2, i], along_x, theta[2] * a, theta[3]
        )
        s0, s1, s2, s3, s4, s5 = s0 + a * rB, s1 + b * rA, s2 + a * rA, s3 + r0, s4 + a * rC, s5 + c * rA
        aa, ab, ac, bb, bc, cc = a * a, a * b, a * c, b * b, b * c, c * c
        f00, f01, f02, f03 = f00 + aa * wBB, f01 + ab * wAB, f02 + aa * wAB, f03 + a * wB
        f04, f05, f11, f12 = f04 + aa * wBC, f05 + ac * wAB, f11 + bb * wAA, f12 + ab * wAA
        f13, f14, f15, f22 = f13 + b * wA, f14 + ab * wAC, f15 + bc * wAA, f22 + aa * wAA
        f23, f24, f25, f33 = f23 + a * wA, f24 + aa * wAC, f25 + ac * wAA, f33 + w0
        f34, f35, f44, f45, f55 = f34 + a * wC, f35 + c * wA, f44 + aa * wCC, f45 + ac * wAC, f55 + cc * wAA
    score[0], score[1], score[2], score[3], score[4], score[5] = s0, s1, s2, s3, s4, s5
    fisher[0, 0], fisher[0, 1], fisher[0, 2], fisher[0, 3], fisher[0, 4], fisher[0, 5] = f00, f01, f02, f03, f04, f05
    fisher[1, 1], fisher[1, 2], fisher[1, 3], fisher[1, 4], fisher[1, 5] = f11, f12, f13, f14, f15
    fisher[2, 2], fisher[2, 3], fisher[2, 4], fisher[2, 5] = f22, f23, f24, f25
    fisher[3, 3], fisher[3, 4], fisher[3, 5] = f33, f34, f35
    fisher[4, 4], fisher[4, 5], fisher[5, 5] = f44, f45, f55


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
def add_sigma_prior(
    theta: FloatArray, plan: FloatArray, weight: float, fisher: FloatArray, score: FloatArray
) -> None:
    """Add a normal prior on the logarithm of free sigmas around the expected ones.

    Parameters
    ----------
    theta : ndarray
        Shape (6,).
    plan : ndarray
        As `maximize` takes it: number of free parameters, and expected sigmas at 2 and 3.
    weight : float
        One over the variance of the prior, in units of the likelihood; negative takes an added prior away again.
    fisher, score : ndarray
        Information and score, changed in place.
    """
    for k in range(4, int(plan[0])):
        ratio = theta[k] / plan[k - 2]
        scaled = theta[k] * theta[2]
        score[k] -= weight * math.log(ratio) / scaled
        fisher[k, k] += weight / (scaled * scaled)


@njit(cache=True, nogil=True, error_model="numpy")
def factor(fisher: FloatArray, n: int, held: FloatArray, lower: FloatArray) -> bool:
    """Factor the leading block of the information matrix into L D L^T.

    Parameters
    ----------
    fisher : ndarray
        Upper triangle is read.
    n : int
        Free parameters, the first n.
    held : ndarray
        Shape (>= n,): not 0 for parameters that stay where they are; their rows become those of the unit matrix, and
        solutions are 0 there.
    lower : ndarray
        Shape (>= n, >= n), receives L below the diagonal and 1 / D on it.

    Returns
    -------
    bool
        False where the matrix is not positive definite.
    """
    for i in range(n):
        pivot = fisher[i, i]
        for j in range(i):
            value = 0.0 if held[i] != 0.0 or held[j] != 0.0 else fisher[j, i]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            # row i holds L times D until its pivot is known
            lower[i, j] = value
        for j in range(i):
            times_pivot = lower[i, j]
            lower[i, j] = times_pivot * lower[j, j]
            pivot -= times_pivot * lower[i, j]
        if held[i] != 0.0:
            lower[i, i] = 0.0
        elif not pivot > _SMALLEST_PIVOT * fisher[i, i]:
            return False
        else:
            lower[i, i] = 1.0 / pivot
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def solve(lower: FloatArray, n: int, right: FloatArray, out: FloatArray) -> None:
    """Solve with the factor of `factor`.

    Parameters
    ----------
    lower : ndarray
        From `factor`.
    n : int
        Free parameters.
    right, out : ndarray
        Shape (>= n,): right-hand side and solution; may be the same array.
    """
    for i in range(n):
        value = right[i]
        for k in range(i):
            value -= lower[i, k] * out[k]
        out[i] = value
    for i in range(n - 1, -1, -1):
        value = out[i] * lower[i, i]
        for k in range(i + 1, n):
            value -= lower[k, i] * out[k]
        out[i] = value


@njit(cache=True, nogil=True, error_model="numpy")
def invert(lower: FloatArray, n: int, out: FloatArray) -> None:
    """Invert a matrix from the factor of `factor`.

    Parameters
    ----------
    lower : ndarray
        From `factor`; its part below the diagonal is replaced by the inverse of L.
    n : int
        Free parameters.
    out : ndarray
        Shape (>= n, >= n), receives the inverse.
    """
    for j in range(n):
        for i in range(j + 1, n):
            value = -lower[i, j]
            for k in range(j + 1, i):
                value -= lower[i, k] * lower[k, j]
            lower[i, j] = value
    for i in range(n):
        for j in range(i + 1):
            value = lower[i, i] * (lower[i, j] if j < i else 1.0)
            for k in range(i + 1, n):
                value += lower[k, i] * lower[k, k] * lower[k, j]
            out[i, j] = value
            out[j, i] = value


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
