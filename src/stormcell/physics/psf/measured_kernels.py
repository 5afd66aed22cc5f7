"""Compiled parts of the measured PSF: a cubic spline with two knots per camera pixel, and the places of its spots.

Parameters of a spot are x, y (px from the corner of its image), light and background (electrons).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNOTS_PER_PX = 2
"""Knots of the spline per camera pixel."""

_LARGEST_STEP_PX = 0.3
_LARGEST_OFFSET_PX = 3.0


@numba.njit(cache=True, nogil=True, inline="always")
def _taps(offset_px: float, n_knots: int, weight: NDArray[np.float64], slope: NDArray[np.float64]) -> int:
    """Fill weights and their slopes (per px) for an offset from the emitter; return the first of four knots."""
    at = offset_px * KNOTS_PER_PX + n_knots // 2
    first = math.floor(at)
    t = at - first
    s = 1.0 - t
    weight[0] = s * s * s / 6
    weight[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    weight[2] = (4 - 6 * s * s + 3 * s * s * s) / 6
    weight[3] = t * t * t / 6
    slope[0] = -s * s / 2 * KNOTS_PER_PX
    slope[1] = (-2 * t + 1.5 * t * t) * KNOTS_PER_PX
    slope[2] = (2 * s - 1.5 * s * s) * KNOTS_PER_PX
    slope[3] = t * t / 2 * KNOTS_PER_PX
    return first - 1


@numba.njit(cache=True, nogil=True)
def _share(coefficients: NDArray[np.float64], offset_x: float, offset_y: float, out: NDArray[np.float64]) -> None:
    """Fill out with the share at an offset and its slopes along x and y."""
    n = coefficients.shape[0]
    wx, sx, wy, sy = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    kx = _taps(offset_x, n, wx, sx)
    ky = _taps(offset_y, n, wy, sy)
    out[:] = 0
    for a in range(4):
        if 0 <= ky + a < n:
            for b in range(4):
                if 0 <= kx + b < n:
                    c = coefficients[ky + a, kx + b]
                    out[0] += c * wy[a] * wx[b]
                    out[1] += c * wy[a] * sx[b]
                    out[2] += c * sy[a] * wx[b]


@numba.njit(cache=True, nogil=True)
def normal_equations(
    images: NDArray[np.float64],
    theta: NDArray[np.float64],
    model: NDArray[np.float64],
    read_variance_e2: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Collect the weighted normal equations of the spline's coefficients (numba).

    Parameters
    ----------
    images : ndarray
        Shape (N, S, S), electrons.
    theta : ndarray
        Shape (N, 4), parameters of the spots.
    model : ndarray
        Shape (K, K), coefficients of the last round; they set the weights alone.
    read_variance_e2 : float
        Variance of the read noise.

    Returns
    -------
    tuple of ndarray
        Matrix (K * K, K * K) and right-hand side (K * K,).
    """
    n = model.shape[0]
    matrix = np.zeros((n * n, n * n))
    right = np.zeros(n * n)
    wx, sx, wy, sy = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    share = np.empty(3)
    place = np.empty(16, np.int64)
    value = np.empty(16)
    for i in range(images.shape[0]):
        x, y, light, background = theta[i]
        for row in range(images.shape[1]):
            ky = _taps(row + 0.5 - y, n, wy, sy)
            for column in range(images.shape[2]):
                kx = _taps(column + 0.5 - x, n, wx, sx)
                _share(model, column + 0.5 - x, row + 0.5 - y, share)
                variance = max(background, 0.5) + light * max(share[0], 0.0) + read_variance_e2
                weight = light * light / variance
                target = (images[i, row, column] - background) / light
                count = 0
                for a in range(4):
                    for b in range(4):
                        if 0 <= ky + a < n and 0 <= kx + b < n:
                            place[count] = (ky + a) * n + kx + b
                            value[count] = wy[a] * wx[b]
                            count += 1
                for a in range(count):
                    right[place[a]] += weight * value[a] * target
                    for b in range(count):
                        matrix[place[a], place[b]] += weight * value[a] * value[b]
    return matrix, right


@numba.njit(cache=True, nogil=True)
def place_spots(
    images: NDArray[np.float64],
    theta: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    read_variance_e2: float,
    n_steps: int,
) -> NDArray[np.float64]:
    """Fit place, light and background of every spot by Fisher scoring (numba).

    Parameters
    ----------
    images : ndarray
        Shape (N, S, S), electrons.
    theta : ndarray
        Shape (N, 4), improved in place.
    coefficients : ndarray
        Shape (K, K), the spline.
    read_variance_e2 : float
        Variance of the read noise.
    n_steps : int
        Scoring steps.

    Returns
    -------
    ndarray
        Shape (N,), mean squared residual in units of the noise before the last step.
    """
    side = images.shape[1]
    chi2 = np.zeros(images.shape[0])
    share, slope = np.empty(3), np.ones(4)
    for i in range(images.shape[0]):
        for _ in range(n_steps):
            fisher = 1e-9 * np.eye(4)
            gradient = np.zeros(4)
            chi2[i] = 0
            for row in range(side):
                for column in range(side):
                    _share(coefficients, column + 0.5 - theta[i, 0], row + 0.5 - theta[i, 1], share)
                    expected = theta[i, 2] * share[0] + theta[i, 3]
                    variance = max(expected, 0.5) + read_variance_e2
                    residual = images[i, row, column] - expected
                    chi2[i] += residual * residual / variance / side**2
                    slope[0], slope[1], slope[2] = -theta[i, 2] * share[1], -theta[i, 2] * share[2], share[0]
                    for a in range(4):
                        gradient[a] += slope[a] * residual / variance
                        for b in range(4):
                            fisher[a, b] += slope[a] * slope[b] / variance
            step = np.linalg.solve(fisher, gradient)
            for axis in range(2):
                moved = theta[i, axis] + min(max(step[axis], -_LARGEST_STEP_PX), _LARGEST_STEP_PX)
                theta[i, axis] = min(max(moved, side / 2 - _LARGEST_OFFSET_PX), side / 2 + _LARGEST_OFFSET_PX)
            theta[i, 2] = max(theta[i, 2] + step[2], 1.0)
            theta[i, 3] += step[3]
    return chi2


@numba.njit(cache=True, nogil=True)
def sample_spline(coefficients: NDArray[np.float64], offsets_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the spline on a square grid of offsets (numba).

    Parameters
    ----------
    coefficients : ndarray
        Shape (K, K).
    offsets_px : ndarray
        Shape (P,), offsets from the emitter along both axes, px.

    Returns
    -------
    ndarray
        Shape (P, P), shares, axes (y, x).
    """
    n = len(offsets_px)
    out = np.empty((n, n))
    share = np.empty(3)
    for row in range(n):
        for column in range(n):
            _share(coefficients, offsets_px[column], offsets_px[row], share)
            out[row, column] = share[0]
    return out
