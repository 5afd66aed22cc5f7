"""Pixels of a fit region as the fits want them, and start values for the fits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.physics.gaussian import axis_profiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_WINDOW = 1.4  # centroid window in units of the PSF sigma
_DOUBT = 20.0  # squared signal-to-noise ratio at which a centroid is half believed


@njit(cache=True, nogil=True, error_model="numpy")
def load_pixels(
    rois: NDArray[np.float32],
    read_variance: NDArray[np.float32],
    index: int,
    excess_noise_factor: float,
    pixels: FloatArray,
) -> tuple[int, float]:
    """Copy a region into the working arrays of a fit.

    Parameters
    ----------
    rois : ndarray
        Shape (N, rows, columns), electrons; pixels that are not finite are left out of the fit.
    read_variance : ndarray
        Shape (N or 1, rows, columns), electrons^2; a pixel with a variance that is not finite is left out.
    index : int
        Which region.
    excess_noise_factor : float
        F^2.
    pixels : ndarray
        Shape (>= 3, rows, columns), receives data + s, s = v / F^2, and 1 or 0 for pixels that count or not.

    Returns
    -------
    tuple of int and float
        Number of pixels that count, and the lowest s among them.
    """
    n_valid, least_extra = 0, math.inf
    shared = 0 if read_variance.shape[0] == 1 else index
    for i in range(rois.shape[1]):
        for j in range(rois.shape[2]):
            extra = read_variance[shared, i, j] / excess_noise_factor
            value = rois[index, i, j] + extra
            if math.isfinite(value):
                pixels[0, i, j] = value
                pixels[1, i, j] = extra
                pixels[2, i, j] = 1.0
                n_valid += 1
                least_extra = min(least_extra, extra)
            else:
                pixels[0, i, j] = 0.0
                pixels[1, i, j] = 1.0
                pixels[2, i, j] = 0.0
    return n_valid, least_extra


@njit(cache=True, nogil=True, error_model="numpy")
def add_known_light(light: NDArray[np.float32], index: int, pixels: FloatArray) -> None:
    """Add light of known sources to what a fit expects.

    Parameters
    ----------
    light : ndarray
        Shape (N, rows, columns), electrons; nothing is done where N is 0.
    index : int
        Which region.
    pixels : ndarray
        From `load_pixels`.
    """
    if light.shape[0] > 0:
        for i in range(light.shape[1]):
            for j in range(light.shape[2]):
                pixels[1, i, j] += light[index, i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _border_background(pixels: FloatArray) -> float:
    """Return the mean of the region's border after leaving out what neighbours light up."""
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    limit = math.inf
    mean = 0.0
    for _ in range(3):
        total, n, n_cut = 0.0, 0.0, 0.0
        for i in range(n_y):
            stride = 1 if i in (0, n_y - 1) else max(n_x - 1, 1)
            for j in range(0, n_x, stride):
                value = pixels[0, i, j] - pixels[1, i, j]
                if pixels[2, i, j] > 0.0:
                    if value <= limit:
                        total += value
                        n += 1.0
                    else:
                        n_cut += 1.0
        if n == 0.0:
            break
        mean = total / n
        if limit < math.inf and n_cut == 0.0:
            break
        limit = mean + 2.0 * math.sqrt(max(mean, 1.0))
    return mean


@njit(cache=True, nogil=True, error_model="numpy")
def _template_sums(
    pixels: FloatArray, background: float, along_x: FloatArray, along_y: FloatArray
) -> tuple[float, float, float, float]:
    """Return the template-weighted signal, its two moments, and the template's own square."""
    signal, by_x, by_y, square = 0.0, 0.0, 0.0, 0.0
    for i in range(pixels.shape[1]):
        for j in range(pixels.shape[2]):
            template = along_y[0, i] * along_x[0, j] * pixels[2, i, j]
            value = (pixels[0, i, j] - pixels[1, i, j] - background) * template
            signal += value
            by_x += value * (j + 0.5)
            by_y += value * (i + 0.5)
            square += template * template
    return signal, by_x, by_y, square


@njit(cache=True, nogil=True, error_model="numpy")
def start_values(
    pixels: FloatArray, start_x: float, start_y: float, plan: FloatArray, scratch: FloatArray, theta: FloatArray
) -> None:
    """Find start values of a fit.

    Parameters
    ----------
    pixels : ndarray
        From `load_pixels`.
    start_x, start_y : float
        Position in pixels from the region's outer corner; not finite where unknown, then a centroid around the middle
        of the region is taken.
    plan : ndarray
        Entries 2 and 3: expected sigma along x and y in pixels.
    scratch : ndarray
        Shape (13, at least rows + columns + 2), overwritten.
    theta : ndarray
        Shape (6,), receives the start values.
    """
    n_y, n_x = pixels.shape[1], pixels.shape[2]
    along_x, along_y = scratch[3:6], scratch[8:11]
    background = _border_background(pixels)
    theta[0], theta[1] = start_x, start_y
    if not (math.isfinite(theta[0]) and math.isfinite(theta[1])):
        theta[0], theta[1] = 0.5 * n_x, 0.5 * n_y
        theta[4], theta[5] = _WINDOW * plan[2], _WINDOW * plan[3]
        axis_profiles(theta, n_x, n_y, scratch, along_x, along_y)
        signal, by_x, by_y, square = _template_sums(pixels, background, along_x, along_y)
        if signal > 0.0:
            # a window of width w sees only w^2 / (w^2 + sigma^2) of a displacement; noise is believed less
            gain = 1.0 + 1.0 / (_WINDOW * _WINDOW)
            gain *= signal * signal / (signal * signal + _DOUBT * square * max(background + pixels[1, 0, 0], 1.0))
            reach_x, reach_y = 0.35 * n_x, 0.35 * n_y
            theta[0] += min(max(gain * (by_x / signal - theta[0]), -reach_x), reach_x)
            theta[1] += min(max(gain * (by_y / signal - theta[1]), -reach_y), reach_y)
    theta[4], theta[5] = plan[2], plan[3]
    axis_profiles(theta, n_x, n_y, scratch, along_x, along_y)
    signal, _, _, square = _template_sums(pixels, background, along_x, along_y)
    theta[2] = max(signal / max(square, 1e-12), 1.0)
    theta[3] = background


@njit(cache=True, nogil=True, error_model="numpy")
def set_bounds(
    theta: FloatArray, pixels: FloatArray, least_extra: float, plan: FloatArray, bounds: FloatArray
) -> None:
    """Set the range in which a fit may move.

    Parameters
    ----------
    theta : ndarray
        Shape (6,): start values.
    pixels : ndarray
        From `load_pixels`.
    least_extra : float
        From `load_pixels`.
    plan : ndarray
        Entries 4 and 5: lowest and highest sigma in units of the expected one.
    bounds : ndarray
        Shape (2, 6), receives lowest and highest values: the position stays inside the region and within two sigma of
        the start, the expected signal stays above zero.
    """
    reach_x, reach_y = max(2.0 * theta[4], 1.0), max(2.0 * theta[5], 1.0)
    bounds[0, 0] = max(theta[0] - reach_x, 0.0)
    bounds[1, 0] = min(theta[0] + reach_x, float(pixels.shape[2]))
    bounds[0, 1] = max(theta[1] - reach_y, 0.0)
    bounds[1, 1] = min(theta[1] + reach_y, float(pixels.shape[1]))
    bounds[0, 2], bounds[1, 2] = 1.0, math.inf
    bounds[0, 3], bounds[1, 3] = 1e-3 - 0.9 * least_extra, math.inf
    for k in range(4, 6):
        bounds[0, k], bounds[1, k] = plan[4] * theta[k], plan[5] * theta[k]
    theta[3] = max(theta[3], bounds[0, 3] + 0.02)


@njit(cache=True, nogil=True, error_model="numpy")
def at_bounds(theta: FloatArray, bounds: FloatArray, n: int) -> int:
    """Say which parameters lie on their bound.

    Parameters
    ----------
    theta : ndarray
        Shape (6,).
    bounds : ndarray
        Shape (2, 6).
    n : int
        Free parameters.

    Returns
    -------
    int
        1 for the position, 2 for sigma, 4 for the background, summed.
    """
    code = 0
    for k in range(n):
        if theta[k] <= bounds[0, k] or theta[k] >= bounds[1, k]:
            if k < 2:
                code |= 1
            elif k > 3:
                code |= 2
            elif k == 3:
                code |= 4
    return code
