"""Cubic-spline values of a coarse image at the pixels of a finer grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


def upscale(coarse: NDArray[Any], y_px: NDArray[np.float64], x_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate at the crossings of given rows and columns.

    Parameters
    ----------
    coarse : ndarray
        Shape (Y, X).
    y_px, x_px : ndarray
        Shapes (P,) and (Q,): places in pixels of the coarse image from its outer edge; the centre of pixel i is
        i + 0.5; beyond the edge lies the mirror image.

    Returns
    -------
    ndarray
        Shape (P, Q), cubic B-spline interpolation.
    """
    spline = ndimage.spline_filter(np.asarray(coarse, dtype=np.float64), order=3, mode="reflect").astype(np.float32)
    rows = _weights(y_px, coarse.shape[0])
    columns = _weights(x_px, coarse.shape[1])
    across: NDArray[np.float32] = np.ascontiguousarray((columns @ spline.T).T)
    fine: NDArray[np.float32] = rows @ across
    return fine


def _weights(positions_px: NDArray[np.float64], side: int) -> csr_array:
    """Sparse (P, side) matrix of the four B-spline weights at each place."""
    centre = positions_px - 0.5
    first = np.floor(centre).astype(np.int64)
    t = centre - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    index = first[:, None] + np.arange(-1, 3)
    index = np.mod(index, 2 * side)
    index = np.where(index < side, index, 2 * side - 1 - index)
    row = np.repeat(np.arange(len(positions_px)), 4)
    return csr_array((weights.ravel().astype(np.float32), (row, index.ravel())), shape=(len(positions_px), side))
