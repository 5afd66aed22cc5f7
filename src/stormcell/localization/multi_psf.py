"""The light of one emitter for the joint fit: an integrated Gaussian, or a tabulated PSF with its derivatives.

A fit sees an emitter within a square, its core, where values and derivatives are needed; beyond it, as far as the
light reaches, only the value is, and it stays as it was drawn last.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit
from scipy.special import erf

from stormcell.physics.gaussian import axis_profiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

KNOTS_PER_PX, TABLE_CELLS = 4, 24
"""Shape of the spline tables of `stormcell.physics.psf.spline_table`."""

_CENTRE_KNOT = KNOTS_PER_PX * TABLE_CELLS // 2
_TABLE_REACH_PX = TABLE_CELLS // 2 - 1
_GAUSSIAN_REACH = 5.0  # sigma
_SPLINE_MATH = {"contract", "reassoc", "nsz"}


class EmitterShape(NamedTuple):
    """The PSF of a joint fit.

    Attributes
    ----------
    sigma_px : float
        Sigma of the Gaussian, or of the Gaussian that fits the table best.
    core_px : int
        Odd side of the core.
    reach_px : int
        Light is drawn up to this far from the emitter's pixel.
    table : ndarray of float32
        Spline table (4, 4, 24, 24); shape (0, 0, 0, 0) for a Gaussian.
    """

    sigma_px: float
    core_px: int
    reach_px: int
    table: NDArray[np.float32]


def emitter_shape(psf_sigma_px: float, core_px: int, table: NDArray[np.float32] | None = None) -> EmitterShape:
    """Describe the PSF of a joint fit.

    Parameters
    ----------
    psf_sigma_px : float
        Sigma of the PSF in pixels; of its best-fit Gaussian where there is a table.
    core_px : int
        Odd side of the square in which a fit sees an emitter.
    table : ndarray of float32, optional
        Shape (4, 4, 24, 24), a kernel of a `PSFBank`; None for an integrated Gaussian.

    Returns
    -------
    EmitterShape
        Ready for the compiled functions.
    """
    if table is None:
        reach = max(math.ceil(_GAUSSIAN_REACH * psf_sigma_px), core_px // 2 + 1)
        return EmitterShape(float(psf_sigma_px), core_px, reach, np.zeros((0, 0, 0, 0), np.float32))
    reach = max(_TABLE_REACH_PX, core_px // 2)
    return EmitterShape(float(psf_sigma_px), core_px, reach, np.ascontiguousarray(table, dtype=np.float32))


@njit(cache=True, nogil=True, error_model="numpy")
def axis_scratch(shape: EmitterShape) -> FloatArray:
    """Make the scratch array of the functions below.

    Parameters
    ----------
    shape : EmitterShape
        The PSF.

    Returns
    -------
    ndarray
        Shape (10, enough for two axes).
    """
    return np.zeros((10, 4 * shape.reach_px + 8))


@njit(cache=True, nogil=True, error_model="numpy")
def _gaussian_axes(sigma: float, x: float, y: float, side: int, axis: FloatArray) -> None:
    theta = axis[9]
    theta[0], theta[1], theta[4], theta[5] = x, y, sigma, sigma
    axis_profiles(theta, side, side, axis[:3], axis[3:6], axis[6:9])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SPLINE_MATH)
def _gaussian_core(sigma: float, x: float, y: float, axis: FloatArray, patch: FloatArray) -> None:
    side = patch.shape[1]
    _gaussian_axes(sigma, x, y, side, axis)
    for i in range(side):
        a, b = axis[6, i], axis[7, i]
        for j in range(side):
            patch[0, i, j] = a * axis[3, j]
            patch[1, i, j] = a * axis[4, j]
            patch[2, i, j] = b * axis[3, j]


@njit(cache=True, nogil=True, error_model="numpy")
def spline_taps(position: float, weight: FloatArray, slope: FloatArray) -> int:
    """Fill the four weights of a cubic spline along one axis and their slopes.

    Parameters
    ----------
    position : float
        Of the emitter along the axis, in pixels from the outer corner of pixel 0.
    weight, slope : ndarray
        Shape (4,), of either precision, overwritten.

    Returns
    -------
    int
        The first tap of pixel 0.
    """
    at = KNOTS_PER_PX * (0.5 - position) + _CENTRE_KNOT
    first = math.floor(at)
    t = at - first
    s = 1.0 - t
    weight[0], weight[3] = s * s * s / 6.0, t * t * t / 6.0
    weight[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    weight[2] = (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0
    slope[0], slope[3] = 0.5 * KNOTS_PER_PX * s * s, -0.5 * KNOTS_PER_PX * t * t
    slope[1] = KNOTS_PER_PX * (2.0 * t - 1.5 * t * t)
    slope[2] = -KNOTS_PER_PX * (2.0 * s - 1.5 * s * s)
    return int(first) - 1


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SPLINE_MATH)
def _spline_core(table: NDArray[np.float32], x: float, y: float, axis: FloatArray, patch: FloatArray) -> None:
    side = patch.shape[1]
    wx, sx, wy, sy = axis[0], axis[1], axis[2], axis[3]
    knot_x, knot_y = spline_taps(x, wx, sx), spline_taps(y, wy, sy)
    cell = knot_x // KNOTS_PER_PX
    phase = knot_x - KNOTS_PER_PX * cell
    o1, o2, o3 = (phase + 1) // 4, (phase + 2) // 4, (phase + 3) // 4
    q1, q2, q3 = (phase + 1) % 4, (phase + 2) % 4, (phase + 3) % 4
    low, high = max(0, -cell), min(side, TABLE_CELLS - 1 - cell)
    for i in range(side):
        for j in range(side):
            patch[0, i, j] = patch[1, i, j] = patch[2, i, j] = 0.0
    for a in range(4):
        row_cell = (knot_y + a) // KNOTS_PER_PX
        rows = table[(knot_y + a) - KNOTS_PER_PX * row_cell]
        w, s = wy[a], sy[a]
        for i in range(max(0, -row_cell), min(side, TABLE_CELLS - row_cell)):
            m = i + row_cell
            t0, t1, t2, t3 = rows[phase, m], rows[q1, m], rows[q2, m], rows[q3, m]
            for j in range(low, high):
                k = j + cell
                v0, v1, v2, v3 = t0[k], t1[k + o1], t2[k + o2], t3[k + o3]
                across = wx[0] * v0 + wx[1] * v1 + wx[2] * v2 + wx[3] * v3
                patch[0, i, j] += w * across
                patch[1, i, j] += w * (sx[0] * v0 + sx[1] * v1 + sx[2] * v2 + sx[3] * v3)
                patch[2, i, j] += s * across


@njit(cache=True, nogil=True, error_model="numpy")
def core_patch(shape: EmitterShape, x: float, y: float, axis: FloatArray, patch: FloatArray) -> None:
    """Fill an emitter's core.

    Parameters
    ----------
    shape : EmitterShape
        The PSF.
    x, y : float
        Position in pixels from the outer corner of the core.
    axis : ndarray
        From `axis_scratch`, overwritten.
    patch : ndarray
        Shape (3, core, core), receives the share of the light in each pixel and its derivatives by x and y.
    """
    if shape.table.shape[0] > 0:
        _spline_core(shape.table, x, y, axis, patch)
    else:
        _gaussian_core(shape.sigma_px, x, y, axis, patch)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SPLINE_MATH)
def _add_spline(
    table: NDArray[np.float32], x: float, y: float, light: float, axis: FloatArray, image: FloatArray
) -> None:
    height, width = image.shape
    wx, wy = axis[0], axis[2]
    knot_x, knot_y = spline_taps(x, wx, axis[1]), spline_taps(y, wy, axis[3])
    cell = knot_x // KNOTS_PER_PX
    phase = knot_x - KNOTS_PER_PX * cell
    o1, o2, o3 = (phase + 1) // 4, (phase + 2) // 4, (phase + 3) // 4
    q1, q2, q3 = (phase + 1) % 4, (phase + 2) % 4, (phase + 3) % 4
    low, high = max(0, -cell), min(width, TABLE_CELLS - 1 - cell)
    for a in range(4):
        row_cell = (knot_y + a) // KNOTS_PER_PX
        rows = table[(knot_y + a) - KNOTS_PER_PX * row_cell]
        w0, w1 = light * wy[a] * wx[0], light * wy[a] * wx[1]
        w2, w3 = light * wy[a] * wx[2], light * wy[a] * wx[3]
        for i in range(max(0, -row_cell), min(height, TABLE_CELLS - row_cell)):
            m = i + row_cell
            t0, t1, t2, t3 = rows[phase, m], rows[q1, m], rows[q2, m], rows[q3, m]
            for j in range(low, high):
                k = j + cell
                image[i, j] += w0 * t0[k] + w1 * t1[k + o1] + w2 * t2[k + o2] + w3 * t3[k + o3]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_SPLINE_MATH)
def add_light(shape: EmitterShape, x: float, y: float, light: float, axis: FloatArray, image: FloatArray) -> None:
    """Add an emitter's light to an image, as far as it reaches.

    Parameters
    ----------
    shape : EmitterShape
        The PSF.
    x, y : float
        Position in pixels from the image's outer corner; may lie outside.
    light : float
        Electrons; negative takes light away.
    axis : ndarray
        From `axis_scratch`, overwritten.
    image : ndarray
        Shape (Y, X), changed.
    """
    if shape.table.shape[0] > 0:
        _add_spline(shape.table, x, y, light, axis, image)
        return
    reach = shape.reach_px
    corner_y, corner_x = math.floor(y) - reach, math.floor(x) - reach
    side = 2 * reach + 1
    _gaussian_axes(shape.sigma_px, x - corner_x, y - corner_y, side, axis)
    low, high = max(0, -corner_x), min(side, image.shape[1] - corner_x)
    for i in range(max(0, -corner_y), min(side, image.shape[0] - corner_y)):
        share = light * axis[6, i]
        for j in range(low, high):
            image[corner_y + i, corner_x + j] += share * axis[3, j]


@njit(cache=True, nogil=True, error_model="numpy")
def width_slope(shape: EmitterShape, x: float, y: float, axis: FloatArray, out: FloatArray) -> None:
    """Fill the derivative of an emitter's share of light by the sigma of a Gaussian.

    Parameters
    ----------
    shape : EmitterShape
        The PSF; of a table the Gaussian that fits it best is taken.
    x, y : float
        Position in pixels from the outer corner of the core.
    axis : ndarray
        From `axis_scratch`, overwritten.
    out : ndarray
        Shape (core, core), receives the derivative.
    """
    _gaussian_axes(shape.sigma_px, x, y, shape.core_px, axis)
    for i in range(shape.core_px):
        for j in range(shape.core_px):
            out[i, j] = axis[6, i] * axis[5, j] + axis[8, i] * axis[3, j]


def core_profile(shape: EmitterShape) -> FloatArray:
    """Compute the light of a Gaussian emitter in the middle of a pixel, along one axis.

    Parameters
    ----------
    shape : EmitterShape
        The PSF; its sigma counts.

    Returns
    -------
    ndarray
        Shape (core // 2 + 1,), share of the light in the middle pixel and those to one side.
    """
    edges = np.arange(shape.core_px // 2 + 2) - 0.5
    return 0.5 * np.diff(erf(edges / (math.sqrt(2.0) * shape.sigma_px)))
