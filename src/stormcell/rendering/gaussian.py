"""Gaussian rendering: every localization drawn as wide as it is uncertain, integrated over the pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import get_num_threads, njit, prange

from stormcell.errors import InputError
from stormcell.rendering.gaussian_lanes import REACH
from stormcell.rendering.gaussian_tiles import BAND_BITS, CDF, Tiles, draw_tiles, sort_into_tiles
from stormcell.rendering.placing import Drawing, PlacedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.rendering.render_settings import RenderSettings

_BLOCK_ROWS = 1 << 22
_MOST_TILES = 8192
_LINE_PIXELS = 16


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
    if rows.n_inside == 0:
        return Drawing(np.zeros(rows.grid.shape, np.float32))
    widths = _widths(rows, settings)
    n_rows, n_columns = rows.grid.shape
    image = np.zeros((n_rows, _stride(n_columns)), np.float32)
    tiles = Tiles.over(rows.grid.shape, _MOST_TILES)
    reach_x, reach_y = (math.ceil(REACH * float(width.max())) + 1 for width in (widths.x_px, widths.y_px))
    # bands so far apart that what reaches out of them never meets are drawn at the same time
    apart = 1 + -(-2 * reach_y // (1 << BAND_BITS))
    window = (CDF, 2 * reach_x, 2 * reach_y)
    for start in range(0, len(rows.pixel), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        weight = np.ones(1) if rows.weight is None else rows.weight[block]
        columns = (rows.x_px[block], rows.y_px[block], widths.x_px[block], widths.y_px[block], weight)
        sorted_rows = sort_into_tiles(rows.pixel[block], columns, (n_rows, n_columns), tiles)
        draw_tiles(image, n_columns, tiles, sorted_rows, window, (apart, get_num_threads()))
    return Drawing(np.ascontiguousarray(image[:, :n_columns]), widths.notes, widths.warnings)


def _stride(n_columns: int) -> int:
    """Return columns to make room for: lines below each other must not compete for the same places of a cache."""
    return _LINE_PIXELS * (-(-n_columns // _LINE_PIXELS) | 1)


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
