"""Histogram rendering: every localization adds to the one pixel it lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import get_num_threads, njit, prange

from stormcell.rendering.placing import Drawing, PlacedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.rendering.render_settings import RenderSettings

_EXACT_IN_FLOAT32 = 2**24


def render_histogram(rows: PlacedRows, settings: RenderSettings) -> Drawing:
    """Count localizations (or sum their weights) in each pixel.

    Parameters
    ----------
    rows : PlacedRows
        Localizations on the grid.
    settings : RenderSettings
        Not used by this mode.

    Returns
    -------
    Drawing
        The sum of the pixels is the number of localizations inside the field, exactly.
    """
    del settings
    return Drawing(bin_rows(rows).astype(np.float32, copy=False))


def bin_rows(rows: PlacedRows) -> NDArray[Any]:
    """Sum rows in their pixels.

    Parameters
    ----------
    rows : PlacedRows
        Localizations on the grid.

    Returns
    -------
    ndarray
        Shape (Y, X), float32 where counts stay exact in it, else float64. The same for every number of threads.
    """
    exact = rows.weight is None and len(rows.pixel) < _EXACT_IN_FLOAT32
    image = np.zeros(rows.grid.shape, np.float32 if exact else np.float64)
    weight = np.ones(1) if rows.weight is None else rows.weight
    _bin(rows.pixel, weight, image.reshape(-1), get_num_threads())
    return image


@njit(cache=True, parallel=True, nogil=True)
def _bin(pixel: NDArray[Any], weight: NDArray[Any], image: NDArray[Any], n_parts: int) -> None:
    # Each thread owns a stretch of the picture and reads all rows: no races, and every pixel sums in row order.
    weighted = len(weight) == len(pixel)
    for part in prange(n_parts):
        first = len(image) * part // n_parts
        last = len(image) * (part + 1) // n_parts
        for i in range(len(pixel)):
            at = pixel[i]
            if first <= at < last:
                image[at] += weight[i] if weighted else 1.0
