"""Means over small square patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_PATCH_PX = 8


def patch_means(images: NDArray[np.float32], side: int = _PATCH_PX) -> Array:
    """Average square patches; rims that do not fill one are left out.

    Parameters
    ----------
    images : ndarray
        Shape (n, h, w).
    side : int
        Side of a patch, px.

    Returns
    -------
    ndarray
        Shape (N,).
    """
    n, height, width = images.shape
    rows, columns = height // side, width // side
    cut = images[:, : rows * side, : columns * side].reshape(n, rows, side, columns, side)
    patches: Array = cut.mean(axis=(2, 4)).ravel().astype(np.float64)
    return patches
