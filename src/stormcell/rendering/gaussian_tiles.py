"""Compiled Gaussian rendering: localizations sorted into tiles, and within a tile by the size of their windows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit, prange
from scipy.special import ndtr

from stormcell.rendering.gaussian_lanes import (
    LANES,
    REACH,
    WHOLE,
    add_line_8,
    add_line_16,
    add_line_24,
    add_line_32,
    fill_shares_8,
    fill_shares_16,
    fill_shares_24,
    fill_shares_32,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAND_BITS = 5
TILE_BITS = 7

_POINT_PX = 0.01
"""Below this standard deviation a localization is a point: it falls into one pixel, as in the histogram."""

_STEPS = 1024
_CHUNKS = 16
_MOST_LANES = LANES[-1]
_ANY_SIZE = _MOST_LANES * len(LANES)  # key of what is drawn pixel by pixel
_FOUR = np.float32(REACH)
_ONE = np.float32(1)
_SCALE = np.float32(1.0 / WHOLE**2)


def _lines_of_the_cdf() -> NDArray[np.float32]:
    at = np.arange(_STEPS + 2)
    cdf = ndtr((np.minimum(at, _STEPS) / _STEPS - 0.5) * 2 * REACH)
    rise = np.append(np.diff(cdf), 0)
    return np.stack([cdf - rise * at, rise], axis=1).astype(np.float32).reshape(-1)


CDF = _lines_of_the_cdf()
"""Cumulative normal distribution from -4 to 4 sigma as straight pieces (intercept, slope), exact to 2e-6."""


class Tiles(NamedTuple):
    """Rectangles of the picture, small enough for the fast caches; each band of them is drawn by one thread."""

    band_bits: int
    tile_bits: int
    n_bands: int
    n_across: int

    @classmethod
    def over(cls, shape: tuple[int, ...], most: int) -> Tiles:
        """Cover a picture.

        Parameters
        ----------
        shape : tuple of int
            (rows, columns).
        most : int
            Tiles at most, so far as their width allows.

        Returns
        -------
        Tiles
            Bands of 32 rows of tiles of 128 columns or more.
        """
        n_bands = ((shape[0] - 1) >> BAND_BITS) + 1
        tile_bits = TILE_BITS
        while n_bands * (((shape[1] - 1) >> tile_bits) + 1) > most and shape[1] >> tile_bits:
            tile_bits += 1
        return cls(BAND_BITS, tile_bits, n_bands, ((shape[1] - 1) >> tile_bits) + 1)


@njit(cache=True, nogil=True)
def _tile_of(x: float, y: float, shape: tuple[int, int], tiles: Tiles) -> int:
    row, column = min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)
    return (row >> tiles.band_bits) * tiles.n_across + (column >> tiles.tile_bits)


@njit(cache=True, parallel=True, nogil=True)
def sort_into_tiles(pixel: NDArray[Any], columns: Any, shape: tuple[int, int], tiles: Tiles) -> Any:
    """Sort rows by tile.

    Parameters
    ----------
    pixel : ndarray
        Shape (N,), negative for rows without a pixel.
    columns : tuple of ndarray
        Positions x and y, standard deviations in x and y, all in pixels, and weights (or one value for none).
    shape : tuple of int
        (rows, columns) of the picture.
    tiles : Tiles
        Its tiles.

    Returns
    -------
    tuple of ndarray
        First row of each tile; x, y within the tile and both standard deviations (M, 4); weights.
    """
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
def draw_tiles(
    image: NDArray[Any],
    n_columns: int,
    tiles: Tiles,
    rows: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    window: tuple[NDArray[Any], int, int],
    work: tuple[int, int],
) -> None:
    """Draw sorted rows.

    Parameters
    ----------
    image : ndarray of float32
        Shape (rows, columns or more), added to; what lies behind the columns is not touched.
    n_columns : int
        Columns of the picture.
    tiles : Tiles
        Its tiles.
    rows : tuple of ndarray
        From `sort_into_tiles`.
    window : tuple
        `CDF`, and room for the shares of the widest row in x and y.
    work : tuple of int
        Bands between two that never meet, and threads.
    """
    apart, n_parts = work
    for first in range(apart):
        for part in prange(n_parts):
            for band in range(first + part * apart, tiles.n_bands, n_parts * apart):
                _draw_band(image, n_columns, tiles, band, rows, window)


@njit(cache=True, nogil=True)
def _draw_band(
    image: NDArray[Any],
    n_columns: int,
    tiles: Tiles,
    band: int,
    rows: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    window: tuple[NDArray[Any], int, int],
) -> None:
    offsets, spots, weights = rows
    cdf, size_x, size_y = window
    share_x = np.zeros(max(size_x, _MOST_LANES), np.float32)
    share_y = np.zeros(max(size_y, _MOST_LANES), np.float32)
    first, last = band * tiles.n_across, (band + 1) * tiles.n_across
    most = 0
    for tile in range(first, last):
        most = max(most, offsets[tile + 1] - offsets[tile])
    keys, order, ends = np.empty(most, np.uint8), np.empty(most, np.int64), np.empty(_ANY_SIZE + 2, np.int64)
    for tile in range(first, last):
        place = (band << tiles.band_bits, (tile - first) << tiles.tile_bits, image.shape[0], n_columns)
        _order_by_size(spots, offsets[tile], offsets[tile + 1], place, keys, order, ends)
        shares = (share_x, share_y)
        _draw_by_lanes(image, spots, weights, order, ends, place, shares)
        for k in range(ends[_ANY_SIZE], ends[_ANY_SIZE + 1]):
            _draw_any_size(image, spots, weights, order[k], place, cdf, shares)


@njit(cache=True, nogil=True)
def _order_by_size(
    spots: NDArray[Any],
    start: int,
    stop: int,
    place: Any,
    keys: NDArray[Any],
    order: NDArray[Any],
    ends: NDArray[Any],
) -> None:
    """Sort the rows of a tile by lanes and height of their windows: loops of one length after the other."""
    top, left, n_rows, n_columns = place
    ends[:] = 0
    for i in range(start, stop):
        x, y, sigma_x, sigma_y = spots[i, 0], spots[i, 1], spots[i, 2], spots[i, 3]
        key = _ANY_SIZE
        if min(sigma_x, sigma_y) >= _POINT_PX and max(sigma_x, sigma_y) < _MOST_LANES / (2 * REACH):
            x0, y0 = math.floor(x - _FOUR * sigma_x), math.floor(y - _FOUR * sigma_y)
            n_x, n_y = math.floor(x + _FOUR * sigma_x) - x0 + 1, math.floor(y + _FOUR * sigma_y) - y0 + 1
            lanes = (n_x + 7) // 8
            is_inside = left + x0 >= 0 and left + x0 + 8 * lanes <= n_columns and top + y0 >= 0
            if is_inside and top + y0 + n_y <= n_rows and max(n_x, n_y) <= _MOST_LANES:
                key = (lanes - 1) * _MOST_LANES + n_y - 1
        keys[i - start] = key
        ends[key + 1] += 1
    for key in range(_ANY_SIZE + 1):
        ends[key + 1] += ends[key]
    for i in range(start, stop):
        key = keys[i - start]
        order[ends[key]] = i
        ends[key] += 1
    # each end has moved to the next start
    for key in range(_ANY_SIZE, -1, -1):
        ends[key + 1] = ends[key]
    ends[0] = 0


@njit(cache=True, nogil=True)
def _draw_by_lanes(
    image: NDArray[Any],
    spots: NDArray[Any],
    weights: NDArray[Any],
    order: NDArray[Any],
    ends: NDArray[Any],
    place: Any,
    shares: Any,
) -> None:
    top, left, _, _ = place
    share_x, share_y = shares
    flat, stride = image.reshape(-1), image.shape[1]
    weighted = len(weights) == len(spots)
    for key in range(_ANY_SIZE):
        n_y = key % _MOST_LANES + 1
        for k in range(ends[key], ends[key + 1]):
            i = order[k]
            x, y, sigma_x, sigma_y = spots[i, 0], spots[i, 1], spots[i, 2], spots[i, 3]
            x0, y0 = math.floor(x - _FOUR * sigma_x), math.floor(y - _FOUR * sigma_y)
            at = (top + y0) * stride + left + x0
            scale = weights[i] * _SCALE if weighted else _SCALE
            offset, per_sigma = x - np.float32(x0), _ONE / sigma_x
            if n_y <= 16:
                fill_shares_16(share_y, y - np.float32(y0), _ONE / sigma_y)
            else:
                fill_shares_32(share_y, y - np.float32(y0), _ONE / sigma_y)
            if key < _MOST_LANES:
                fill_shares_8(share_x, offset, per_sigma)
                for row in range(n_y):
                    add_line_8(flat, at + row * stride, share_x, share_y[row] * scale)
            elif key < 2 * _MOST_LANES:
                fill_shares_16(share_x, offset, per_sigma)
                for row in range(n_y):
                    add_line_16(flat, at + row * stride, share_x, share_y[row] * scale)
            elif key < 3 * _MOST_LANES:
                fill_shares_24(share_x, offset, per_sigma)
                for row in range(n_y):
                    add_line_24(flat, at + row * stride, share_x, share_y[row] * scale)
            else:
                fill_shares_32(share_x, offset, per_sigma)
                for row in range(n_y):
                    add_line_32(flat, at + row * stride, share_x, share_y[row] * scale)


@njit(cache=True, nogil=True)
def _draw_any_size(
    image: NDArray[Any],
    spots: NDArray[Any],
    weights: NDArray[Any],
    i: int,
    place: Any,
    cdf: NDArray[Any],
    shares: Any,
) -> None:
    """Draw points, wide rows, and rows at the border of the field."""
    top, left, n_rows, n_columns = place
    share_x, share_y = shares
    x0, n_x, sum_x = _shares(spots[i, 0], spots[i, 2], -left, n_columns - left, cdf, share_x)
    y0, n_y, sum_y = _shares(spots[i, 1], spots[i, 3], -top, n_rows - top, cdf, share_y)
    scale = (weights[i] if len(weights) == len(spots) else _ONE) / (sum_x * sum_y)
    for row in range(n_y):
        height = scale * share_y[row]
        line = image[top + y0 + row, left + x0 : left + x0 + n_x]
        for j in range(n_x):
            line[j] += height * share_x[j]


@njit(cache=True, nogil=True)
def _shares(center: Any, sigma: Any, low: int, high: int, cdf: NDArray[Any], share: NDArray[Any]) -> Any:
    """Integrate the Gaussian over each pixel of one axis: first pixel, number of pixels, sum of their shares."""
    if sigma < _POINT_PX:
        share[0] = 1.0
        return min(int(center), high - 1), 1, np.float32(1)
    reach = _FOUR * sigma
    first = max(low, math.floor(center - reach))
    n = min(high - 1, math.floor(center + reach)) - first + 1
    step = np.float32(_STEPS / (2 * REACH)) / sigma
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
