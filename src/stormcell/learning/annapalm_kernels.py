"""Compiled loops that turn emitters or events into counts on the pixels of a crop."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
EXPECTED_DRAWS = 6


@numba.njit(cache=True)
def place(x: float, y: float, view: NDArray[np.float64]) -> tuple[float, float]:
    """Map a position in the field to pixels of the crop.

    Parameters
    ----------
    x, y : float
        Position in nm.
    view : ndarray
        Shape (13,): centre x, y (nm), matrix xx, xy, yx, yy (pixels per nm), half side (pixels), phases and wave
        numbers of the bend (x, x, y, y: per nm and radians), its amplitudes x, y (nm).

    Returns
    -------
    tuple of float
        Column and row, in pixels from the crop's corner.
    """
    bent_x = x + view[11] * math.sin(view[7] * y + view[8])
    bent_y = y + view[12] * math.sin(view[9] * x + view[10])
    dx, dy = bent_x - view[0], bent_y - view[1]
    return view[2] * dx + view[3] * dy + view[6], view[4] * dx + view[5] * dy + view[6]


@numba.njit(cache=True)
def draw_events(
    x_nm: FloatArray,
    y_nm: FloatArray,
    events: FloatArray,
    view: NDArray[np.float64],
    exposures: NDArray[np.float64],
    precision_px: NDArray[np.float64],
    margin_px: int,
    rng: np.random.Generator,
    counts: FloatArray,
    target: FloatArray,
    expected: FloatArray,
    emitters: FloatArray,
) -> None:
    """Draw independent events of the same emitters for input and target, each with its own localization error.

    Parameters
    ----------
    x_nm, y_nm, events : ndarray
        Shape (N,): emitters and their expected events in the whole acquisition.
    view : ndarray
        See `place`.
    exposures : ndarray
        Shape (2,), shares of the whole acquisition of input and target.
    precision_px : ndarray
        Shape (2, 2): for input and target, mean localization error in pixels and standard deviation of its logarithm.
    margin_px : int
        Rim round the crop in `emitters`.
    rng : numpy.random.Generator
        Source of randomness.
    counts, target : ndarray
        Shape (S, S), added to.
    expected : ndarray
        Shape (S, S), added to: what the target would be on average, from `EXPECTED_DRAWS` places of each emitter.
    emitters : ndarray
        Shape (S + 2 margin, S + 2 margin), added to.
    """
    side, wide = counts.shape[0], emitters.shape[0]
    for k in range(x_nm.size):
        u, v = place(x_nm[k], y_nm[k], view)
        column, row = math.floor(u) + margin_px, math.floor(v) + margin_px
        if column < 0 or row < 0 or column >= wide or row >= wide:
            continue
        emitters[row, column] += 1
        if u < -6 or v < -6 or u > side + 6 or v > side + 6:
            continue
        for which in range(2):
            grid = counts if which == 0 else target
            for _ in range(rng.poisson(events[k] * exposures[which])):
                error = precision_px[which, 0] * math.exp(precision_px[which, 1] * rng.normal())
                i = math.floor(v + error * rng.normal())
                j = math.floor(u + error * rng.normal())
                if 0 <= i < side and 0 <= j < side:
                    grid[i, j] += 1
        for _ in range(EXPECTED_DRAWS):
            error = precision_px[1, 0] * math.exp(precision_px[1, 1] * rng.normal())
            i = math.floor(v + error * rng.normal())
            j = math.floor(u + error * rng.normal())
            if 0 <= i < side and 0 <= j < side:
                expected[i, j] += events[k] * exposures[1] / EXPECTED_DRAWS


@numba.njit(cache=True)
def bin_events(
    x_nm: FloatArray,
    y_nm: FloatArray,
    block: NDArray[np.int8],
    view: NDArray[np.float64],
    jitter_px: float,
    rng: np.random.Generator,
    counts: FloatArray,
    target: FloatArray,
) -> None:
    """Count measured events, each in the block it belongs to.

    Parameters
    ----------
    x_nm, y_nm : ndarray
        Shape (N,).
    block : ndarray
        Shape (N,): 0 input, 1 target, anything else neither.
    view : ndarray
        See `place`.
    jitter_px : float
        Further localization error, pixels; 0 keeps the positions.
    rng : numpy.random.Generator
        Source of the jitter.
    counts, target : ndarray
        Shape (S, S), added to.
    """
    side = counts.shape[0]
    for k in range(x_nm.size):
        if block[k] != 0 and block[k] != 1:
            continue
        u, v = place(x_nm[k], y_nm[k], view)
        if jitter_px > 0:
            u += jitter_px * rng.normal()
            v += jitter_px * rng.normal()
        i, j = math.floor(v), math.floor(u)
        if 0 <= i < side and 0 <= j < side:
            if block[k] == 0:
                counts[i, j] += 1
            else:
                target[i, j] += 1


@numba.njit(cache=True)
def look_up(
    image: FloatArray, pixel_nm: float, view: NDArray[np.float64], values: FloatArray, inside: FloatArray
) -> None:
    """Read an image of the field at the pixel centres of a crop, bilinearly.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X), on pixels of `pixel_nm` from the field's corner.
    pixel_nm : float
        Its pixel.
    view : ndarray
        See `place`; the bend is left out.
    values : ndarray
        Shape (S, S), filled; 0 outside.
    inside : ndarray
        Shape (S, S), filled with 1 where the pixel lies in the field, else 0.
    """
    side = values.shape[0]
    determinant = view[2] * view[5] - view[3] * view[4]
    for i in range(side):
        for j in range(side):
            u, v = j + 0.5 - view[6], i + 0.5 - view[6]
            x = (view[0] + (view[5] * u - view[3] * v) / determinant) / pixel_nm
            y = (view[1] + (view[2] * v - view[4] * u) / determinant) / pixel_nm
            if x < 0 or y < 0 or x >= image.shape[1] or y >= image.shape[0]:
                values[i, j] = 0
                inside[i, j] = 0
                continue
            inside[i, j] = 1
            column, row = min(max(x - 0.5, 0.0), image.shape[1] - 1.0), min(max(y - 0.5, 0.0), image.shape[0] - 1.0)
            left, top = int(column), int(row)
            right, bottom = min(left + 1, image.shape[1] - 1), min(top + 1, image.shape[0] - 1)
            a, b = column - left, row - top
            upper = (1 - a) * image[top, left] + a * image[top, right]
            lower = (1 - a) * image[bottom, left] + a * image[bottom, right]
            values[i, j] = (1 - b) * upper + b * lower
