"""Localizations placed on the pixels of a picture, and the pixels each one falls into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data import Localizations, PixelGrid

OUTSIDE = -1
NOT_FINITE = -2


@dataclass(frozen=True)
class PlacedRows:
    """Rows of a table on a grid.

    Parameters
    ----------
    table : Localizations
        The rows.
    grid : PixelGrid
        The pixels of the picture.
    x_px, y_px : ndarray
        Shape (N,), positions in pixels of `grid`.
    pixel : ndarray
        Shape (N,), index of the pixel (row-major), `OUTSIDE` or `NOT_FINITE`.
    weight : ndarray or None
        Shape (N,), what each row adds to the picture; None means 1 each.
    n_outside, n_not_finite : int
        Rows without a pixel.
    """

    table: Localizations
    grid: PixelGrid
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    pixel: NDArray[np.int64]
    weight: NDArray[np.float64] | None
    n_outside: int
    n_not_finite: int

    @property
    def n_inside(self) -> int:
        """Rows that have a pixel."""
        return len(self.pixel) - self.n_outside - self.n_not_finite


@dataclass(frozen=True)
class Drawing:
    """What a renderer made: pixels of shape (Y, X), and plain sentences for the record."""

    pixels: NDArray[np.float32]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def place_rows(table: Localizations, grid: PixelGrid, weight_column: str | None = None) -> PlacedRows:
    """Find the pixel of every row.

    Pixel i takes positions from i up to, not including, i + 1; the lower and right border of the whole field belong
    to its last pixels. Rows outside the field, or with a position or weight that is not finite, get no pixel.

    Parameters
    ----------
    table : Localizations
        With x_nm and y_nm.
    grid : PixelGrid
        The pixels of the picture.
    weight_column : str, optional
        Column to be summed; None counts rows.

    Returns
    -------
    PlacedRows
        The rows in their order.

    Raises
    ------
    MissingColumnError
        The table lacks a position column or the weight column.
    """
    x_px = grid.x_px(table["x_nm"])
    y_px = grid.y_px(table["y_nm"])
    weight = None if weight_column is None else table[weight_column].astype(np.float64)
    usable = np.ones(1, np.bool_) if weight is None else np.isfinite(weight)
    pixel, n_outside, n_not_finite = _pixels_of(x_px, y_px, usable, grid.shape[0], grid.shape[1])
    return PlacedRows(table, grid, x_px, y_px, pixel, weight, n_outside, n_not_finite)


@njit(cache=True, parallel=True, nogil=True)
def _pixels_of(x_px: NDArray[Any], y_px: NDArray[Any], usable: NDArray[Any], n_rows: int, n_columns: int) -> Any:
    pixel = np.empty(len(x_px), np.int64)
    all_usable = len(usable) != len(x_px) or usable.all()
    n_outside, n_not_finite = 0, 0
    for i in prange(len(x_px)):
        x, y = x_px[i], y_px[i]
        if not (np.isfinite(x) and np.isfinite(y) and (all_usable or usable[i])):
            pixel[i] = NOT_FINITE
            n_not_finite += 1
        elif 0 <= x <= n_columns and 0 <= y <= n_rows:
            pixel[i] = min(int(y), n_rows - 1) * n_columns + min(int(x), n_columns - 1)
        else:
            pixel[i] = OUTSIDE
            n_outside += 1
    return pixel, n_outside, n_not_finite
