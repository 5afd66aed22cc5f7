"""The density of events that a field is described by: that of its structure, not of the empty glass round it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import uniform_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_UM = 8.0
"""Side of the windows; fields are simulated at this size."""
_CELL_UM = 1.0


def typical_density(counts: NDArray[np.floating[Any]], pixel_size_nm: float) -> float:
    """Work out the density of events in the window of 8 um that a typical event lies in.

    Networks learn from fields of this size that are full of structure. In a large field with a few cells the mean
    over all of it says nothing about the structure in them; in an evenly filled one both are the same.

    Parameters
    ----------
    counts : ndarray
        Shape (Y, X), events per pixel.
    pixel_size_nm : float
        Side of a pixel.

    Returns
    -------
    float
        Events per um2: the mean over the events of the densities of their windows, which are moved inwards at the
        edges; the mean density of a field that is not larger than a window. 0 without events.
    """
    side_px = max(1, round(1000 * _CELL_UM / pixel_size_nm))
    cells = np.nan_to_num(np.asarray(counts, np.float64))
    lengths = []
    for axis in (0, 1):
        starts = np.arange(0, counts.shape[axis], side_px)
        cells = np.add.reduceat(cells, starts, axis=axis)
        lengths.append(np.diff([*starts, counts.shape[axis]]) * pixel_size_nm / 1000)
    total = float(cells.sum())
    if total <= 0:
        return 0.0
    return float((cells * _window_sums(cells) / _window_sums(np.outer(*lengths))).sum() / total)


def _window_sums(cells: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Sum over the window round each cell; at the edges over the outermost window that fits."""
    window = [min(round(WINDOW_UM / _CELL_UM), n) for n in cells.shape]
    sums = uniform_filter(cells, window, mode="constant") * math.prod(window)
    for axis in (0, 1):
        n, first = cells.shape[axis], window[axis] // 2
        sums = np.take(sums, np.clip(np.arange(n), first, n - (window[axis] - first)), axis=axis)
    return np.asarray(sums)
