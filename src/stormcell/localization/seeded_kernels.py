"""Newton steps for emitters that overlap, all of a window at once; compiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from stormcell.localization.seeded_field import (
    BORDER_PX,
    LEAST_EXPECTED_E,
    LEAST_LIGHT_E,
    PATCH_PX,
    Field,
    light_up,
    log_likelihood,
    put_back,
    shine,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

_LEAST_INFORMATION = 1e-12
_LONGEST_STEP_PX = 0.5
_DIMMEST_STEP = 0.2
_TRIES = 4


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _overlap(field: Field, k: int, m: int, window: IntArray, out: FloatArray) -> None:
    """Fill the nine sums over shared pixels of weight and the slopes (by x, y, electrons) of two emitters."""
    at, other, patch, partner = field.corner[k], field.corner[m], field.patch[k], field.patch[m]
    rim = PATCH_PX // 2 - field.inner[0]
    last = PATCH_PX - rim
    top, bottom = max(at[0] + rim, other[0] + rim, window[0]), min(at[0] + last, other[0] + last, window[1])
    left, right = max(at[1] + rim, other[1] + rim, window[2]), min(at[1] + last, other[1] + last, window[3])
    s00 = s01 = s02 = s10 = s11 = s12 = s20 = s21 = s22 = 0.0
    width = right - left
    for i in range(top, bottom):
        a, b, c, d = i - at[0], left - at[1], i - other[0], left - other[1]
        w = field.weight[0, i, left:right]
        own_x, own_y, own = patch[1, a, b : b + width], patch[2, a, b : b + width], patch[0, a, b : b + width]
        far_x, far_y, far = partner[1, c, d : d + width], partner[2, c, d : d + width], partner[0, c, d : d + width]
        for j in range(width):
            p0, p1, p2 = w[j] * own_x[j], w[j] * own_y[j], w[j] * own[j]
            s00 += p0 * far_x[j]
            s01 += p0 * far_y[j]
            s02 += p0 * far[j]
            s10 += p1 * far_x[j]
            s11 += p1 * far_y[j]
            s12 += p1 * far[j]
            s20 += p2 * far_x[j]
            s21 += p2 * far_y[j]
            s22 += p2 * far[j]
    out[0], out[1], out[2], out[3], out[4] = s00, s01, s02, s10, s11
    out[5], out[6], out[7], out[8] = s12, s20, s21, s22


@njit(cache=True, nogil=True, error_model="numpy")
def assemble(
    field: Field, members: IntArray, window: IntArray, offset: float, matrix: FloatArray, slope: FloatArray
) -> None:
    """Write Fisher information and score of emitters and of the level of the background that they share.

    Parameters
    ----------
    field : Field
        Its weight is overwritten.
    members : ndarray of int64
        Shape (n,), the emitters that move.
    window : ndarray of int64
        Shape (4,), the pixels that count, as in `log_likelihood`.
    offset : float
        As in `log_likelihood`.
    matrix, slope : ndarray
        Shapes (3 n + 1, 3 n + 1) and (3 n + 1,), receive information (below the diagonal and on it) and score: x, y,
        electrons of each member, and the background last.
    """
    n, spots, patch, weight = len(members), field.spots, field.patch, field.weight
    inner = field.inner[0]
    rim, last = PATCH_PX // 2 - inner, PATCH_PX // 2 + inner + 1
    matrix[:, :] = 0.0
    slope[:] = 0.0
    sums, scale = np.empty(9), np.ones(3)
    for i in range(window[0], window[1]):
        for j in range(window[2], window[3]):
            expected = max(field.model[i, j] + offset + field.noise[i, j], LEAST_EXPECTED_E)
            weight[0, i, j] = 1.0 / expected
            weight[1, i, j] = (field.data[i, j] + field.noise[i, j]) / expected - 1.0
            matrix[3 * n, 3 * n] += weight[0, i, j]
            slope[3 * n] += weight[1, i, j]
    for a in range(n):
        k = members[a]
        light, row, column = spots[k, 2], field.corner[k, 0], field.corner[k, 1]
        for i in range(max(rim, window[0] - row), min(last, window[1] - row)):
            for j in range(max(rim, window[2] - column), min(last, window[3] - column)):
                w, r = weight[0, row + i, column + j], weight[1, row + i, column + j]
                dx, dy, dn = light * patch[k, 1, i, j], light * patch[k, 2, i, j], patch[k, 0, i, j]
                slope[3 * a] += r * dx
                slope[3 * a + 1] += r * dy
                slope[3 * a + 2] += r * dn
                matrix[3 * n, 3 * a] += w * dx
                matrix[3 * n, 3 * a + 1] += w * dy
                matrix[3 * n, 3 * a + 2] += w * dn
        for b in range(a + 1):
            m = members[b]
            if abs(row - field.corner[m, 0]) > 2 * inner or abs(column - field.corner[m, 1]) > 2 * inner:
                continue
            _overlap(field, k, m, window, sums)
            scale[0] = scale[1] = spots[m, 2]
            for p in range(3):
                own = light if p < 2 else 1.0
                for q in range(3):
                    matrix[3 * a + p, 3 * b + q] = own * scale[q] * sums[3 * p + q]


@njit(cache=True, nogil=True, error_model="numpy")
def _expect(field: Field, members: IntArray, matrix: FloatArray, slope: FloatArray) -> None:
    """Add what was expected of the members to information and score."""
    for a in range(len(members)):
        for q in range(3):
            trust = field.trust[members[a], q]
            matrix[3 * a + q, 3 * a + q] += trust
            slope[3 * a + q] += trust * (field.prior[members[a], q] - field.spots[members[a], q])


@njit(cache=True, nogil=True, error_model="numpy")
def _surprise(field: Field, members: IntArray) -> float:
    """Return the log of how much less likely the members were expected than where they were most."""
    total = 0.0
    for a in range(len(members)):
        for q in range(3):
            off = field.spots[members[a], q] - field.prior[members[a], q]
            total += 0.5 * field.trust[members[a], q] * off * off
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _dot(a: FloatArray, b: FloatArray, first: int, last: int) -> float:
    total = 0.0
    for q in range(first, last):
        total += a[q] * b[q]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def factorize(matrix: FloatArray, damping: float, lower: FloatArray, first: IntArray) -> None:
    """Factorize information within its envelope: emitters far apart share no pixel.

    Parameters
    ----------
    matrix : ndarray
        Shape (P, P), from `assemble`; with members ordered along one axis the envelope is narrow.
    damping : float
        Share of itself by which the diagonal grows.
    lower : ndarray
        Shape (P, P), receives the Cholesky factor; above the diagonal and left of the envelope it is not touched.
    first : ndarray of int64
        Shape (P,), receives the first column of each row's envelope.
    """
    for p in range(len(matrix)):
        start = 0
        while start < p and matrix[p, start] == 0.0:
            start += 1
        first[p] = start
        for q in range(start, p):
            rest = matrix[p, q] - _dot(lower[p], lower[q], max(start, first[q]), q)
            lower[p, q] = rest / lower[q, q]
        own = matrix[p, p] * (1.0 + damping) + _LEAST_INFORMATION
        left = own - _dot(lower[p], lower[p], start, p)
        # what others explain altogether has no information of its own left
        lower[p, p] = math.sqrt(max(left, 1e-9 * own))


@njit(cache=True, nogil=True, error_model="numpy")
def solve(lower: FloatArray, first: IntArray, values: FloatArray) -> None:
    """Solve for the factorized information, in place.

    Parameters
    ----------
    lower, first : ndarray
        From `factorize`.
    values : ndarray
        Shape (P,), right side, overwritten with the solution.
    """
    for p in range(len(values)):
        values[p] = (values[p] - _dot(lower[p], values, first[p], p)) / lower[p, p]
    for p in range(len(values) - 1, -1, -1):
        values[p] /= lower[p, p]
        for q in range(first[p], p):
            values[q] -= lower[p, q] * values[p]


@njit(cache=True, nogil=True, error_model="numpy")
def bounds(field: Field, members: IntArray, window: IntArray, out: FloatArray) -> None:
    """Write the Cramer-Rao bounds of the last member from the information of all.

    Parameters
    ----------
    field : Field
        Its weight is overwritten.
    members : ndarray of int64
        Shape (n,), the emitters that are free.
    window : ndarray of int64
        Shape (4,), the pixels that count.
    out : ndarray
        Shape (4,), receives the standard deviations of x, y, electrons and background.
    """
    n = len(members)
    matrix, slope = np.empty((3 * n + 1, 3 * n + 1)), np.empty(3 * n + 1)
    lower, first = np.empty((3 * n + 1, 3 * n + 1)), np.empty(3 * n + 1, np.int64)
    assemble(field, members, window, 0.0, matrix, slope)
    _expect(field, members, matrix, slope)
    factorize(matrix, 0.0, lower, first)
    for q in range(4):
        slope[:] = 0.0
        slope[3 * n - 3 + q] = 1.0
        solve(lower, first, slope)
        out[q] = math.sqrt(slope[3 * n - 3 + q])


@njit(cache=True, nogil=True, error_model="numpy")
def _move(field: Field, members: IntArray, step: FloatArray) -> None:
    spots, (height, width) = field.spots, field.data.shape
    for a in range(len(members)):
        k = members[a]
        x = spots[k, 0] + min(max(step[3 * a], -_LONGEST_STEP_PX), _LONGEST_STEP_PX)
        y = spots[k, 1] + min(max(step[3 * a + 1], -_LONGEST_STEP_PX), _LONGEST_STEP_PX)
        spots[k, 0] = min(max(x, -BORDER_PX), width + BORDER_PX)
        spots[k, 1] = min(max(y, -BORDER_PX), height + BORDER_PX)
        spots[k, 2] = max(spots[k, 2] + step[3 * a + 2], _DIMMEST_STEP * spots[k, 2], LEAST_LIGHT_E)


@njit(cache=True, nogil=True, error_model="numpy")
def maximize(field: Field, members: IntArray, window: IntArray, tolerance: float, most_steps: int) -> float:
    """Fit some emitters together with the level of the background round them.

    Parameters
    ----------
    field : Field
        The members' values, patches and light are changed; the model does not receive the background's change.
    members : ndarray of int64
        Shape (n,).
    window : ndarray of int64
        Shape (4,), the pixels that count.
    tolerance : float
        Squared Newton decrement at which to stop.
    most_steps : int
        And the most steps.

    Returns
    -------
    float
        Log-likelihood over the window, less what speaks against the members' values beforehand.
    """
    n = len(members)
    matrix, lower, slope = np.empty((3 * n + 1, 3 * n + 1)), np.empty((3 * n + 1, 3 * n + 1)), np.empty(3 * n + 1)
    first, taps, before = np.empty(3 * n + 1, np.int64), np.empty((4, 4), np.float32), np.empty((n, 3))
    offset, damping = 0.0, 1e-3
    best = log_likelihood(field, window, offset) - _surprise(field, members)
    for _ in range(most_steps):
        assemble(field, members, window, offset, matrix, slope)
        _expect(field, members, matrix, slope)
        for a in range(n):
            before[a] = field.spots[members[a]]
        is_better, decrement = False, 0.0
        for _ in range(_TRIES):
            factorize(matrix, damping, lower, first)
            step = slope.copy()
            solve(lower, first, step)
            decrement = _dot(step, slope, 0, 3 * n + 1)
            if not math.isfinite(decrement):
                return best
            for a in range(n):
                shine(field, members[a], -field.spots[members[a], 2])
            _move(field, members, step)
            for a in range(n):
                light_up(field, members[a], taps)
            value = log_likelihood(field, window, offset + step[3 * n]) - _surprise(field, members)
            if value >= best:
                offset += step[3 * n]
                best, is_better, damping = value, True, 0.2 * damping
                break
            put_back(field, members, before)
            damping = max(10.0 * damping, 1e-2)
        if not is_better or decrement < tolerance:
            break
    return best
