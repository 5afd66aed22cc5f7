"""Gaussian rendering: every localization drawn as wide as it is uncertain, integrated over the pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import get_num_threads, njit, prange
from scipy.special import ndtr

from stormcell.errors import InputError
from stormcell.rendering.placing import Drawing, PlacedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.rendering.render_settings import RenderSettings

_REACH = 4.0
"""A Gaussian is drawn out to this many standard deviations; the 6e-5 beyond are spread over what is drawn."""

_POINT_PX = 0.01
"""Below this standard deviation a localization is a point: it falls into one pixel, as in the histogram."""

_STEPS = 1024
_BLOCK_ROWS = 1 << 22
_BAND_PIXELS = 1 << 18
_CHUNKS = 16
_LANES = 8


def _lines_of_the_cdf() -> NDArray[np.float32]:
    at = np.arange(_STEPS + 2)
    cdf = ndtr((np.minimum(at, _STEPS) / _STEPS - 0.5) * 2 * _REACH)
    rise = np.append(np.diff(cdf), 0)
    return np.stack([cdf - rise * at, rise], axis=1).astype(np.float32).reshape(-1)


_CDF = _lines_of_the_cdf()
"""Cumulative normal distribution from -4 to 4 sigma as straight pieces (intercept, slope), exact to 2e-6."""


def render_gaussian(rows: PlacedRows, settings: RenderSettings) -> Drawing:
    """Draw each localization as a Gaussian of its own uncertainty.

    Every localization inside the field adds exactly 1 (or its weight): what its Gaussian would put outside the field
    or beyond 4 standard deviations is spread over the part that is drawn.

    Parameters
    ----------
    rows : PlacedRows
        Localizations on the grid; the table has uncertainty_x_nm (and uncertainty_y_nm where it differs), unless
        the settings give one width for all.
    settings : RenderSettings
        `uncertainty_nm` and `max_uncertainty_nm` are used.

    Returns
    -------
    Drawing
        The same pixels for every number of threads.

    Raises
    ------
    InputError
        There is no usable uncertainty.
    """
    image = np.zeros(rows.grid.shape, np.float32)
    if rows.n_inside == 0:
        return Drawing(image)
    widths = _widths(rows, settings)
    band_bits = int(np.clip(np.log2(_BAND_PIXELS / image.shape[1]), 4, 8))
    window = min(int(2 * _REACH * max(widths.x_px.max(), widths.y_px.max())) + 3, max(image.shape))
    for start in range(0, len(rows.pixel), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        weight = np.ones(1) if rows.weight is None else rows.weight[block]
        columns = (rows.x_px[block], rows.y_px[block], widths.x_px[block], widths.y_px[block], weight)
        offsets, columns = _sort_into_bands(rows.pixel[block], columns, image.shape[0], band_bits)
        _draw_bands(image, 1 << band_bits, offsets, columns, _CDF, window, get_num_threads())
    return Drawing(image, widths.notes, widths.warnings)


class _Widths(NamedTuple):
    """Standard deviation of every row in pixels, and what had to be done to get it."""

    x_px: NDArray[np.float32]
    y_px: NDArray[np.float32]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def _widths(rows: PlacedRows, settings: RenderSettings) -> _Widths:
    size = rows.grid.pixel_size_nm
    if settings.uncertainty_nm is not None:
        width = np.full(len(rows.pixel), settings.uncertainty_nm / size, np.float32)
        return _Widths(width, width, (f"every localization drawn {settings.uncertainty_nm:g} nm wide",), ())
    table = rows.table
    if "uncertainty_x_nm" not in table:
        msg = (
            "the table has no uncertainty_x_nm, which mode gaussian draws; choose --mode histogram or ash, "
            "or give every localization one width with --uncertainty-nm (for example 20)"
        )
        raise InputError(msg)
    x_nm = table["uncertainty_x_nm"]
    y_nm = table["uncertainty_y_nm"] if "uncertainty_y_nm" in table else x_nm
    notes: tuple[str, ...] = () if "uncertainty_y_nm" in table else ("uncertainty_x_nm stands for y too",)
    limit = settings.max_uncertainty_nm
    x_px, y_px, n_unusable, n_wide = _limited(x_nm, y_nm, size, limit)
    warnings: tuple[str, ...] = ()
    if n_unusable:
        _fill_unusable(x_px, y_px)
        warnings = (f"{n_unusable} localizations without a usable uncertainty were drawn with the median one",)
    if n_wide:
        notes += (f"{n_wide} localizations less certain than {limit:g} nm were drawn {limit:g} nm wide",)
    return _Widths(x_px, y_px, notes, warnings)


def _fill_unusable(x_px: NDArray[np.float32], y_px: NDArray[np.float32]) -> None:
    usable = x_px >= 0
    if not usable.any():
        msg = (
            "expected uncertainties of 0 nm or more in uncertainty_x_nm and uncertainty_y_nm, got none in "
            f"{len(usable)} rows; choose --mode histogram or ash, or give one width with --uncertainty-nm"
        )
        raise InputError(msg)
    for width in (x_px, y_px):
        width[~usable] = np.median(width[usable])


@njit(cache=True, parallel=True, nogil=True)
def _limited(x_nm: NDArray[Any], y_nm: NDArray[Any], pixel_size_nm: float, limit_nm: float) -> Any:
    x_px, y_px = np.empty(len(x_nm), np.float32), np.empty(len(x_nm), np.float32)
    n_unusable, n_wide = 0, 0
    for i in prange(len(x_nm)):
        x, y = x_nm[i], y_nm[i]
        if x >= 0 and y >= 0 and np.isfinite(x) and np.isfinite(y):
            n_wide += int(max(x, y) > limit_nm)
            x_px[i], y_px[i] = min(x, limit_nm) / pixel_size_nm, min(y, limit_nm) / pixel_size_nm
        else:
            n_unusable += 1
            x_px[i], y_px[i] = -1, -1
    return x_px, y_px, n_unusable, n_wide


@njit(cache=True, nogil=True)
def _bands(y: float, sigma: float, n_rows: int, band_bits: int) -> tuple[int, int]:
    first = max(0, math.floor(y - _REACH * sigma))
    last = min(n_rows - 1, math.floor(y + _REACH * sigma))
    return min(first, n_rows - 1) >> band_bits, last >> band_bits


@njit(cache=True, parallel=True, nogil=True)
def _sort_into_bands(pixel: NDArray[Any], columns: Any, n_rows: int, band_bits: int) -> Any:
    # Rows that reach into several bands are listed in each. Within a band they keep the order of the table, so that
    # the sums of floats do not depend on the number of threads.
    x, y, sigma_x, sigma_y, weight = columns
    n_bands = ((n_rows - 1) >> band_bits) + 1
    at = np.zeros((_CHUNKS, n_bands), np.int64)
    for chunk in prange(_CHUNKS):
        for i in range(len(pixel) * chunk // _CHUNKS, len(pixel) * (chunk + 1) // _CHUNKS):
            if pixel[i] >= 0:
                first, last = _bands(y[i], sigma_y[i], n_rows, band_bits)
                for band in range(first, last + 1):
                    at[chunk, band] += 1
    offsets = np.zeros(n_bands + 1, np.int64)
    for band in range(n_bands):
        offsets[band + 1] = offsets[band]
        for chunk in range(_CHUNKS):
            n = at[chunk, band]
            at[chunk, band] = offsets[band + 1]
            offsets[band + 1] += n
    n = offsets[n_bands]
    weighted = len(weight) == len(pixel)
    out_x, out_y, out_weight = np.empty(n), np.empty(n), np.ones(n if weighted else 1, np.float32)
    out_sigma_x, out_sigma_y = np.empty(n, np.float32), np.empty(n, np.float32)
    for chunk in prange(_CHUNKS):
        for i in range(len(pixel) * chunk // _CHUNKS, len(pixel) * (chunk + 1) // _CHUNKS):
            if pixel[i] >= 0:
                first, last = _bands(y[i], sigma_y[i], n_rows, band_bits)
                for band in range(first, last + 1):
                    k = at[chunk, band]
                    at[chunk, band] += 1
                    out_x[k], out_y[k], out_sigma_x[k], out_sigma_y[k] = x[i], y[i], sigma_x[i], sigma_y[i]
                    if weighted:
                        out_weight[k] = weight[i]
    return offsets, (out_x, out_y, out_sigma_x, out_sigma_y, out_weight)


@njit(cache=True, parallel=True, nogil=True)
def _draw_bands(
    image: NDArray[Any], band_height: int, offsets: NDArray[Any], columns: Any, cdf: Any, window: int, n_parts: int
) -> None:
    x, y, sigma_x, sigma_y, weight = columns
    n_rows, n_columns = image.shape
    stride = n_columns + _LANES
    weighted = len(weight) == len(x)
    for part in prange(n_parts):
        band = np.empty(band_height * stride, np.float32)
        share_x, share_y = np.empty(window + _LANES, np.float32), np.empty(window + _LANES, np.float32)
        for index in range(part, len(offsets) - 1, n_parts):
            top, bottom = index * band_height, min(n_rows, (index + 1) * band_height)
            for row in range(top, bottom):
                for column in range(n_columns):
                    band[(row - top) * stride + column] = image[row, column]
            for i in range(offsets[index], offsets[index + 1]):
                left, n_x, sum_x = _shares(x[i], sigma_x[i], n_columns, cdf, share_x)
                first, n_y, sum_y = _shares(y[i], sigma_y[i], n_rows, cdf, share_y)
                scale = (weight[i] if weighted else np.float32(1)) / (sum_x * sum_y)
                for j in range(n_x):
                    share_x[j] *= scale
                for j in range(n_x, n_x + _LANES):
                    share_x[j] = 0
                seen = (max(0, top - first), min(n_y, bottom - first))
                start = (first + seen[0] - top) * stride + left
                for j in range(0, n_x, _LANES):
                    _add_strip(band, start + j, stride, share_y, seen, share_x, j)
            for row in range(top, bottom):
                for column in range(n_columns):
                    image[row, column] = band[(row - top) * stride + column]


@njit(cache=True, nogil=True)
def _add_strip(
    band: NDArray[Any],
    start: int,
    stride: int,
    share_y: NDArray[Any],
    rows: tuple[int, int],
    share_x: NDArray[Any],
    j: int,
) -> None:
    # Eight columns at a time, read before written and indexed without a sign: only so does the compiler use vectors.
    s0, s1, s2, s3 = share_x[j], share_x[j + 1], share_x[j + 2], share_x[j + 3]
    s4, s5, s6, s7 = share_x[j + 4], share_x[j + 5], share_x[j + 6], share_x[j + 7]
    k0, step = np.uint64(start), np.uint64(stride)
    for row in range(rows[0], rows[1]):
        h = share_y[row]
        k1, k2, k3, k4 = k0 + np.uint64(1), k0 + np.uint64(2), k0 + np.uint64(3), k0 + np.uint64(4)
        k5, k6, k7 = k0 + np.uint64(5), k0 + np.uint64(6), k0 + np.uint64(7)
        a0, a1, a2, a3 = band[k0] + h * s0, band[k1] + h * s1, band[k2] + h * s2, band[k3] + h * s3
        a4, a5, a6, a7 = band[k4] + h * s4, band[k5] + h * s5, band[k6] + h * s6, band[k7] + h * s7
        band[k0], band[k1], band[k2], band[k3] = a0, a1, a2, a3
        band[k4], band[k5], band[k6], band[k7] = a4, a5, a6, a7
        k0 += step


@njit(cache=True, nogil=True)
def _shares(
    center: float, sigma: float, n_pixels: int, cdf: NDArray[Any], share: NDArray[Any]
) -> tuple[int, int, Any]:
    """Integrate the Gaussian over each pixel of one axis: first pixel, number of pixels, sum of their shares."""
    if sigma < _POINT_PX:
        share[0] = 1.0
        return min(int(center), n_pixels - 1), 1, np.float32(1)
    first = max(0, math.floor(center - _REACH * sigma))
    n = min(n_pixels - 1, math.floor(center + _REACH * sigma)) - first + 1
    step = np.float32(_STEPS / (2 * _REACH) / sigma)
    start = np.float32(first - center) * step + np.float32(_STEPS / 2)
    lowest = _cdf_at(max(start, np.float32(0)), cdf)
    below = lowest
    for i in range(1, n):
        above = _cdf_at(start + np.float32(i) * step, cdf)
        share[i - 1] = above - below
        below = above
    highest = _cdf_at(min(start + np.float32(n) * step, np.float32(_STEPS)), cdf)
    share[n - 1] = highest - below
    return first, n, highest - lowest


@njit(cache=True, nogil=True)
def _cdf_at(at: Any, cdf: NDArray[Any]) -> Any:
    k = np.uint64(2) * np.uint64(np.int64(at))
    return cdf[k] + at * cdf[k + np.uint64(1)]
