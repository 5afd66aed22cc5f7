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
_BAND_BITS = 5
_TILE_BITS = 7
_MOST_TILES = 8192
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
    tiles = _Tiles.over(image.shape)
    reach_x, reach_y = (math.ceil(_REACH * float(width.max())) + 1 for width in (widths.x_px, widths.y_px))
    # bands so far apart that what reaches out of them never meets are drawn at the same time
    apart = 1 + -(-2 * reach_y // (1 << _BAND_BITS))
    shares = (2 * reach_x + _LANES, 2 * reach_y + _LANES)
    for start in range(0, len(rows.pixel), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        weight = np.ones(1) if rows.weight is None else rows.weight[block]
        columns = (rows.x_px[block], rows.y_px[block], widths.x_px[block], widths.y_px[block], weight)
        offsets, spots, weights = _sort_into_tiles(rows.pixel[block], columns, image.shape, tiles)
        _draw_tiles(image, tiles, offsets, spots, weights, (_CDF, *shares), (apart, get_num_threads()))
    return Drawing(image, widths.notes, widths.warnings)


class _Tiles(NamedTuple):
    """Rectangles of the picture, small enough for the fastest cache; each band of them is drawn by one thread."""

    band_bits: int
    tile_bits: int
    n_bands: int
    n_across: int

    @classmethod
    def over(cls, shape: tuple[int, ...]) -> _Tiles:
        n_bands = ((shape[0] - 1) >> _BAND_BITS) + 1
        tile_bits = _TILE_BITS
        while n_bands * (((shape[1] - 1) >> tile_bits) + 1) > _MOST_TILES and shape[1] >> tile_bits:
            tile_bits += 1
        return cls(_BAND_BITS, tile_bits, n_bands, ((shape[1] - 1) >> tile_bits) + 1)


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
def _tile_of(x: float, y: float, shape: tuple[int, int], tiles: _Tiles) -> int:
    row, column = min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)
    return (row >> tiles.band_bits) * tiles.n_across + (column >> tiles.tile_bits)


@njit(cache=True, parallel=True, nogil=True)
def _sort_into_tiles(pixel: NDArray[Any], columns: Any, shape: tuple[int, int], tiles: _Tiles) -> Any:
    # Within a tile rows keep the order of the table, so that sums of floats do not depend on the number of threads.
    x, y, sigma_x, sigma_y, weight = columns
    n_tiles = tiles.n_bands * tiles.n_across
    at = np.zeros((_CHUNKS, n_tiles), np.int64)
    for chunk in prange(_CHUNKS):
        for i in range(len(pixel) * chunk // _CHUNKS, len(pixel) * (chunk + 1) // _CHUNKS):
            if pixel[i] >= 0:
                at[chunk, _tile_of(x[i], y[i], shape, tiles)] += 1
    offsets = np.zeros(n_tiles + 1, np.int64)
    for tile in range(n_tiles):
        offsets[tile + 1] = offsets[tile]
        for chunk in range(_CHUNKS):
            n = at[chunk, tile]
            at[chunk, tile] = offsets[tile + 1]
            offsets[tile + 1] += n
    n = offsets[n_tiles]
    weighted = len(weight) == len(pixel)
    # position in the tile, and standard deviation: side by side, because they are read together
    spots, weights = np.empty((n, 4), np.float32), np.ones(n if weighted else 1, np.float32)
    for chunk in prange(_CHUNKS):
        for i in range(len(pixel) * chunk // _CHUNKS, len(pixel) * (chunk + 1) // _CHUNKS):
            if pixel[i] >= 0:
                tile = _tile_of(x[i], y[i], shape, tiles)
                k = at[chunk, tile]
                at[chunk, tile] += 1
                spots[k, 0] = x[i] - ((tile % tiles.n_across) << tiles.tile_bits)
                spots[k, 1] = y[i] - ((tile // tiles.n_across) << tiles.band_bits)
                spots[k, 2], spots[k, 3] = sigma_x[i], sigma_y[i]
                if weighted:
                    weights[k] = weight[i]
    return offsets, spots, weights


@njit(cache=True, parallel=True, nogil=True)
def _draw_tiles(
    image: NDArray[Any],
    tiles: _Tiles,
    offsets: NDArray[Any],
    spots: NDArray[Any],
    weights: NDArray[Any],
    window: tuple[NDArray[Any], int, int],
    work: tuple[int, int],
) -> None:
    apart, n_parts = work
    for first in range(apart):
        for part in prange(n_parts):
            for band in range(first + part * apart, tiles.n_bands, n_parts * apart):
                _draw_band(image, tiles, band, offsets, spots, weights, window)


@njit(cache=True, nogil=True)
def _draw_band(
    image: NDArray[Any],
    tiles: _Tiles,
    band: int,
    offsets: NDArray[Any],
    spots: NDArray[Any],
    weights: NDArray[Any],
    window: tuple[NDArray[Any], int, int],
) -> None:
    cdf, size_x, size_y = window
    n_rows, n_columns = image.shape
    flat = image.reshape(-1)
    weighted = len(weights) == len(spots)
    share_x, share_y = np.empty(size_x, np.float32), np.empty(size_y, np.float32)
    top = band << tiles.band_bits
    for tile in range(band * tiles.n_across, (band + 1) * tiles.n_across):
        left = (tile - band * tiles.n_across) << tiles.tile_bits
        for i in range(offsets[tile], offsets[tile + 1]):
            x0, n_x, sum_x = _shares(spots[i, 0], spots[i, 2], -left, n_columns - left, cdf, share_x)
            y0, n_y, sum_y = _shares(spots[i, 1], spots[i, 3], -top, n_rows - top, cdf, share_y)
            scale = (weights[i] if weighted else np.float32(1)) / (sum_x * sum_y)
            start = (top + y0) * n_columns + left + x0
            if left + x0 + n_x + _LANES > n_columns:
                _add_block(flat, start, n_columns, share_y, n_y, share_x, n_x, scale)
                continue
            for j in range(n_x, n_x + _LANES):
                share_x[j] = 0
            for j in range(0, n_x, _LANES):
                _add_strip(flat, start + j, n_columns, share_y, n_y, share_x, j, scale)


@njit(cache=True, nogil=True)
def _add_block(
    flat: NDArray[Any],
    start: int,
    stride: int,
    share_y: NDArray[Any],
    n_y: int,
    share_x: NDArray[Any],
    n_x: int,
    scale: float,
) -> None:
    """Near the right border, where a strip would run over into the next line."""
    for row in range(n_y):
        height = scale * share_y[row]
        for j in range(n_x):
            flat[start + row * stride + j] += height * share_x[j]


@njit(cache=True, nogil=True)
def _add_strip(
    flat: NDArray[Any],
    start: int,
    stride: int,
    share_y: NDArray[Any],
    n_y: int,
    share_x: NDArray[Any],
    j: int,
    scale: float,
) -> None:
    # Eight columns at a time, read before written and indexed without a sign: only so does the compiler use vectors.
    s0, s1, s2, s3 = scale * share_x[j], scale * share_x[j + 1], scale * share_x[j + 2], scale * share_x[j + 3]
    s4, s5, s6, s7 = scale * share_x[j + 4], scale * share_x[j + 5], scale * share_x[j + 6], scale * share_x[j + 7]
    k0, step = np.uint64(start), np.uint64(stride)
    for row in range(n_y):
        h = share_y[row]
        k1, k2, k3, k4 = k0 + np.uint64(1), k0 + np.uint64(2), k0 + np.uint64(3), k0 + np.uint64(4)
        k5, k6, k7 = k0 + np.uint64(5), k0 + np.uint64(6), k0 + np.uint64(7)
        a0, a1, a2, a3 = flat[k0] + h * s0, flat[k1] + h * s1, flat[k2] + h * s2, flat[k3] + h * s3
        a4, a5, a6, a7 = flat[k4] + h * s4, flat[k5] + h * s5, flat[k6] + h * s6, flat[k7] + h * s7
        flat[k0], flat[k1], flat[k2], flat[k3] = a0, a1, a2, a3
        flat[k4], flat[k5], flat[k6], flat[k7] = a4, a5, a6, a7
        k0 += step


@njit(cache=True, nogil=True)
def _shares(center: Any, sigma: Any, low: int, high: int, cdf: NDArray[Any], share: NDArray[Any]) -> Any:
    """Integrate the Gaussian over each pixel of one axis: first pixel, number of pixels, sum of their shares."""
    if sigma < _POINT_PX:
        share[0] = 1.0
        return min(int(center), high - 1), 1, np.float32(1)
    reach = np.float32(_REACH) * sigma
    first = max(low, math.floor(center - reach))
    n = min(high - 1, math.floor(center + reach)) - first + 1
    step = np.float32(_STEPS / (2 * _REACH)) / sigma
    start = (np.float32(first) - center) * step + np.float32(_STEPS / 2)
    lowest = _cdf_at(max(start, np.float32(0)), cdf)
    below = lowest
    for i in range(n - 1):
        above = _cdf_at(start + np.float32(i + 1) * step, cdf)
        share[i] = above - below
        below = above
    highest = _cdf_at(min(start + np.float32(n) * step, np.float32(_STEPS)), cdf)
    share[n - 1] = highest - below
    return first, n, highest - lowest


@njit(cache=True, nogil=True)
def _cdf_at(at: Any, cdf: NDArray[Any]) -> Any:
    k = np.uint64(2) * np.uint64(np.int64(at))
    return cdf[k] + at * cdf[k + np.uint64(1)]
