"""A tile of a frame with emitters in it, and the light they throw; compiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from stormcell.localization.multi_psf import KNOTS_PER_PX, spline_taps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    SingleArray = NDArray[np.float32]
    IntArray = NDArray[np.int64]

PATCH_PX = 17
"""Side of the square in which an emitter throws light; the emitter is in its middle pixel."""

WIDEST_INNER_PX = PATCH_PX // 2
"""Largest distance from an emitter at which the slopes of its light may count."""

BORDER_PX = 1.5
"""How far beyond a tile an emitter may lie."""

LEAST_LIGHT_E = 1.0
LEAST_EXPECTED_E = 0.05


class Field(NamedTuple):
    """A tile of one frame and the emitters in it.

    Attributes
    ----------
    data, noise : ndarray
        Shape (Y, X): electrons, and read variance.
    model, background : ndarray
        Shape (Y, X): expected electrons in all, and without emitters.
    weight : ndarray
        Shape (2, Y, X), scratch.
    spots : ndarray
        Shape (E, 3): x and y from the tile's corner in pixels, electrons.
    corner : ndarray of int64
        Shape (E, 2), row and column of each emitter's patch.
    patch : ndarray of float32
        Shape (E, 3, S, S): share of the light per pixel; its slopes by x and y near the middle.
    table : ndarray of float32
        Shape (4, 4, 24, 24), the PSF's spline table.
    inner : ndarray of int64
        Shape (1,), how far from an emitter its slopes count, px.
    prior, trust : ndarray
        Shape (E, 3): x, y and electrons that were expected, and the inverse variances of these; 0 expects nothing.
    """

    data: FloatArray
    noise: FloatArray
    model: FloatArray
    background: FloatArray
    weight: FloatArray
    spots: FloatArray
    corner: IntArray
    patch: SingleArray
    table: SingleArray
    inner: IntArray
    prior: FloatArray
    trust: FloatArray


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def draw(
    table: SingleArray, spot: FloatArray, inner: int, corner: IntArray, patch: SingleArray, taps: SingleArray
) -> None:
    """Compute the patch of one emitter.

    Parameters
    ----------
    table : ndarray of float32
        Shape (4, 4, 24, 24), the PSF's spline table.
    spot : ndarray
        Shape (3,): x, y, electrons.
    inner : int
        How far from the middle pixel slopes are needed.
    corner : ndarray of int64
        Shape (2,), receives the patch's row and column.
    patch : ndarray of float32
        Shape (3, S, S), overwritten, slopes within `inner` alone.
    taps : ndarray of float32
        Shape (4, 4), scratch.
    """
    side = patch.shape[1]
    half = side // 2
    corner[0], corner[1] = math.floor(spot[1]) - half, math.floor(spot[0]) - half
    wx, sx, wy, sy = taps[0], taps[1], taps[2], taps[3]
    knot_x, knot_y = spline_taps(spot[0] - corner[1], wx, sx), spline_taps(spot[1] - corner[0], wy, sy)
    cell = knot_x // KNOTS_PER_PX
    phase = knot_x - KNOTS_PER_PX * cell
    o1, o2, o3 = cell + (phase + 1) // 4, cell + (phase + 2) // 4, cell + (phase + 3) // 4
    q1, q2, q3 = (phase + 1) % 4, (phase + 2) % 4, (phase + 3) % 4
    w0, w1, w2, w3 = wx[0], wx[1], wx[2], wx[3]
    s0, s1, s2, s3 = sx[0], sx[1], sx[2], sx[3]
    low, high = half - inner, half + inner + 1
    patch[0, :, :] = 0.0
    patch[1:, low:high, low:high] = 0.0
    # slices rather than sums in the index: those might be negative, which would be checked at every pixel
    for a in range(4):
        row_cell = (knot_y + a) // KNOTS_PER_PX
        rows = table[(knot_y + a) - KNOTS_PER_PX * row_cell]
        w, s = wy[a], sy[a]
        for i in range(side):
            m, share = i + row_cell, patch[0, i]
            t0, t1 = rows[phase, m, cell : cell + side], rows[q1, m, o1 : o1 + side]
            t2, t3 = rows[q2, m, o2 : o2 + side], rows[q3, m, o3 : o3 + side]
            for j in range(side):
                share[j] += w * (w0 * t0[j] + w1 * t1[j] + w2 * t2[j] + w3 * t3[j])
        for i in range(low, high):
            m, by_x, by_y = i + row_cell, patch[1, i, low:high], patch[2, i, low:high]
            t0, t1 = rows[phase, m, cell + low : cell + high], rows[q1, m, o1 + low : o1 + high]
            t2, t3 = rows[q2, m, o2 + low : o2 + high], rows[q3, m, o3 + low : o3 + high]
            for j in range(high - low):
                by_x[j] += w * (s0 * t0[j] + s1 * t1[j] + s2 * t2[j] + s3 * t3[j])
                by_y[j] += s * (w0 * t0[j] + w1 * t1[j] + w2 * t2[j] + w3 * t3[j])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def shine(field: Field, k: int, electrons: float) -> None:
    """Add light of an emitter to the model.

    Parameters
    ----------
    field : Field
        Its model is changed.
    k : int
        Which emitter.
    electrons : float
        Negative takes light away.
    """
    corner, share, model = field.corner[k], field.patch[k, 0], field.model
    side = share.shape[0]
    left, right = max(0, -corner[1]), min(side, model.shape[1] - corner[1])
    for i in range(max(0, -corner[0]), min(side, model.shape[0] - corner[0])):
        lit, own = model[corner[0] + i, corner[1] + left : corner[1] + right], share[i, left:right]
        for j in range(len(own)):
            lit[j] += electrons * own[j]


@njit(cache=True, nogil=True, error_model="numpy")
def light_up(field: Field, k: int, taps: SingleArray) -> None:
    """Draw an emitter where it is now and add its light to the model.

    Parameters
    ----------
    field : Field
        Its patch and the model are changed.
    k : int
        Which emitter; its light is not in the model.
    taps : ndarray of float32
        Shape (4, 4), scratch.
    """
    draw(field.table, field.spots[k], field.inner[0], field.corner[k], field.patch[k], taps)
    shine(field, k, field.spots[k, 2])


@njit(cache=True, nogil=True, error_model="numpy")
def put_back(field: Field, members: IntArray, values: FloatArray) -> None:
    """Give emitters other values.

    Parameters
    ----------
    field : Field
        Its emitters and the model are changed.
    members : ndarray of int64
        Shape (n,), which emitters.
    values : ndarray
        Shape (at least n, 3): x, y, electrons.
    """
    taps = np.empty((4, 4), np.float32)
    for e in range(len(members)):
        k = members[e]
        shine(field, k, -field.spots[k, 2])
        field.spots[k] = values[e]
        light_up(field, k, taps)


@njit(cache=True, nogil=True, error_model="numpy")
def log_likelihood(field: Field, window: IntArray, offset: float) -> float:
    """Sum the log-likelihood over a window, without terms in the data alone.

    Parameters
    ----------
    field : Field
        As it is.
    window : ndarray of int64
        Shape (4,): first and last row, first and last column, half-open.
    offset : float
        Electrons that the window's background has beyond the model.

    Returns
    -------
    float
        Of a Poisson law with the read variance on both sides.
    """
    total = 0.0
    left, right = window[2], window[3]
    for i in range(window[0], window[1]):
        lit, read, seen = field.model[i, left:right], field.noise[i, left:right], field.data[i, left:right]
        for j in range(len(lit)):
            expected = max(lit[j] + offset + read[j], LEAST_EXPECTED_E)
            total += (seen[j] + read[j]) * math.log(expected) - expected
    return total
