"""Small symmetric systems of a joint fit: damped, scaled, with some unknowns held."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_SMALLEST_PIVOT = 1e-9
_DOT_MATH = {"contract", "reassoc", "nsz"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_DOT_MATH)
def _dot(a: FloatArray, b: FloatArray, n: int) -> float:
    total = 0.0
    for k in range(n):
        total += a[k] * b[k]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def factor(
    matrix: FloatArray, n: int, damping: float, pinned: FloatArray, scale: FloatArray, lower: FloatArray
) -> bool:
    """Factor the leading block of a positive matrix after scaling its diagonal to 1 + damping.

    Parameters
    ----------
    matrix : ndarray
        The upper triangle is read.
    n : int
        Unknowns, the first n.
    damping : float
        Added to the scaled diagonal (Levenberg-Marquardt).
    pinned : ndarray
        Shape (>= n,): not 0 for unknowns that are held.
    scale : ndarray
        Shape (>= n,), receives 1 / sqrt(diagonal), 0 for what is held.
    lower : ndarray
        Shape (>= n, >= n), receives the Cholesky factor.

    Returns
    -------
    bool
        False where the matrix is not positive definite.
    """
    for k in range(n):
        if pinned[k] != 0.0:
            scale[k] = 0.0
        elif not matrix[k, k] > 0.0:
            return False
        else:
            scale[k] = 1.0 / math.sqrt(matrix[k, k])
    for i in range(n):
        for j in range(i):
            value = matrix[j, i] * scale[i] * scale[j]
            lower[i, j] = (value - _dot(lower[i], lower[j], j)) * lower[j, j]
        pivot = 1.0 + damping - _dot(lower[i], lower[i], i)
        if pivot <= _SMALLEST_PIVOT:
            return False
        # the diagonal holds its inverse: divisions are slow
        lower[i, i] = 1.0 / math.sqrt(pivot)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def solve(lower: FloatArray, scale: FloatArray, n: int, right: FloatArray, out: FloatArray) -> None:
    """Solve with the factor of `factor`.

    Parameters
    ----------
    lower, scale : ndarray
        From `factor`.
    n : int
        Unknowns.
    right, out : ndarray
        Shape (>= n,): right-hand side and solution; may be the same array.
    """
    for i in range(n):
        out[i] = (right[i] * scale[i] - _dot(lower[i], out, i)) * lower[i, i]
    for i in range(n - 1, -1, -1):
        out[i] *= lower[i, i]
        for k in range(i):
            out[k] -= lower[i, k] * out[i]
    for i in range(n):
        out[i] *= scale[i]


@njit(cache=True, nogil=True, error_model="numpy")
def variance_of(k: int, lower: FloatArray, scale: FloatArray, n: int, work: FloatArray) -> float:
    """Return one diagonal element of the inverse.

    Parameters
    ----------
    k : int
        Which.
    lower, scale : ndarray
        From `factor`.
    n : int
        Unknowns.
    work : ndarray
        Shape (>= n,), overwritten.

    Returns
    -------
    float
        The variance, where the matrix is an information.
    """
    total = 0.0
    for i in range(k, n):
        value = (scale[k] if i == k else 0.0) - (_dot(lower[i, k:], work[k:], i - k) if i > k else 0.0)
        work[i] = value * lower[i, i]
        total += work[i] * work[i]
    return total
