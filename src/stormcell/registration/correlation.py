"""Cross-correlation of equal-size images through their spectra, and the place of its peak below one pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Peak:
    """A Gaussian peak on a level background, in the units of its map.

    Parameters
    ----------
    y_px, x_px : float
        Place relative to the centre of the map, in pixels.
    height : float
        Above the background.
    background : float
        Median of the map.
    sigma_px : float
        Width (geometric mean of both axes).
    at_edge : bool
        The highest pixel lies on the rim of the map, so that the true peak may be outside.
    """

    y_px: float
    x_px: float
    height: float
    background: float
    sigma_px: float
    at_edge: bool


def spectrum(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.complexfloating[Any, Any]]:
    """Fourier transform an image padded with zeros.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X), real.
    shape : tuple of int
        Padded (rows, columns); at least the image's own plus the largest shift looked for.

    Returns
    -------
    ndarray
        Half spectrum of shape (rows, columns // 2 + 1).
    """
    result: NDArray[np.complexfloating[Any, Any]] = fft.rfft2(image, s=shape, workers=numba.get_num_threads())
    return result


def padded_shape(shape: tuple[int, int], max_shift_px: int) -> tuple[int, int]:
    """Choose a quick transform size in which shifts up to the limit do not wrap around.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of the images.
    max_shift_px : int
        Largest shift looked for.

    Returns
    -------
    tuple of int
        (rows, columns), not less than the shape plus the limit.
    """
    rows, columns = (fft.next_fast_len(side + max_shift_px + 1, real=True) for side in shape)
    return rows, columns


def correlation_map(
    reference: NDArray[Any], moving: NDArray[Any], shape: tuple[int, int], max_shift_px: int
) -> NDArray[Any]:
    """Cross-correlate two images given by their spectra.

    Parameters
    ----------
    reference, moving : ndarray
        Half spectra from `spectrum`.
    shape : tuple of int
        The padded shape they were made with.
    max_shift_px : int
        Rim of the map, L.

    Returns
    -------
    ndarray
        Shape (2 L + 1, 2 L + 1): the sum of products when `moving` is displaced by (row - L, column - L) pixels
        relative to `reference`.
    """
    full = fft.irfft2(np.conj(reference) * moving, s=shape, workers=numba.get_num_threads())
    lags = np.arange(-max_shift_px, max_shift_px + 1)
    return np.ascontiguousarray(full[np.ix_(lags % shape[0], lags % shape[1])])


def fit_peak(correlation: NDArray[Any], radius_px: int = 2) -> Peak:
    """Find the highest peak of a map to a fraction of a pixel.

    A Gaussian is fitted to the (2 r + 1)^2 pixels around the maximum by linear least squares on the logarithm,
    weighted by the squared height so that the flanks do not pull.

    Parameters
    ----------
    correlation : ndarray
        Shape (2 L + 1, 2 L + 1), L >= 1.
    radius_px : int
        r, at least 1.

    Returns
    -------
    Peak
        Where it is; a peak without curvature keeps its whole-pixel place and an infinite width.
    """
    limit = correlation.shape[0] // 2
    row, column = (int(index) for index in np.unravel_index(int(np.argmax(correlation)), correlation.shape))
    background = float(np.median(correlation))
    height = float(correlation[row, column]) - background
    at_edge = bool(min(row, column) == 0 or max(row, column) == 2 * limit)
    y, x, sigma = 0.0, 0.0, math.inf
    rows = slice(max(row - radius_px, 0), row + radius_px + 1)
    columns = slice(max(column - radius_px, 0), column + radius_px + 1)
    if height > 0 and not at_edge:
        y, x, sigma = _log_gaussian(correlation[rows, columns] - background, row - rows.start, column - columns.start)
    return Peak(row - limit + y, column - limit + x, height, background, sigma, at_edge)


def _log_gaussian(values: NDArray[Any], row: int, column: int) -> tuple[float, float, float]:
    """Place relative to (row, column), and width, of a Gaussian through the positive values."""
    yy, xx = np.meshgrid(*(np.arange(side, dtype=np.float64) for side in values.shape), indexing="ij")
    # Below 5 % of the peak the logarithm is noise.
    use = values > 0.05 * values[row, column]
    y, x = yy[use] - row, xx[use] - column
    value: NDArray[np.float64] = np.asarray(values[use], dtype=np.float64)
    if len(value) < 6:
        return 0.0, 0.0, math.inf
    terms: NDArray[np.float64] = np.stack([np.ones_like(y), y, x, y * y, x * x, x * y], axis=1)
    fitted: Any = np.linalg.lstsq(terms * value[:, None], np.log(value) * value, rcond=None)[0]
    _, by, bx, cyy, cxx, cxy = fitted.tolist()
    determinant = 4 * cyy * cxx - cxy**2
    if cyy >= 0 or cxx >= 0 or determinant <= 0:
        return 0.0, 0.0, math.inf
    dy, dx = (cxy * bx - 2 * cxx * by) / determinant, (cxy * by - 2 * cyy * bx) / determinant
    if max(abs(dy), abs(dx)) > 1.5:
        return 0.0, 0.0, math.inf
    return float(dy), float(dx), float(determinant**-0.25)
