"""The summed probability image: what Deep-STORM shows, with its standard deviation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from stormcell.data import SRImage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stormcell.data import PixelGrid

_REACH_SIGMAS = 4.0


@njit(cache=True, nogil=True)
def _share(low: float, high: float, centre: float, sigma: float) -> float:
    scale = 1.0 / (sigma * math.sqrt(2.0))
    return 0.5 * (math.erf((high - centre) * scale) - math.erf((low - centre) * scale))


@njit(cache=True, nogil=True)
def _add(
    expected: NDArray[Any],
    variance: NDArray[Any],
    x_px: NDArray[Any],
    y_px: NDArray[Any],
    sigma_x_px: NDArray[Any],
    sigma_y_px: NDArray[Any],
    probability: NDArray[Any],
) -> None:
    height, width = expected.shape
    for i in range(len(x_px)):
        reach_x, reach_y = _REACH_SIGMAS * sigma_x_px[i] + 1, _REACH_SIGMAS * sigma_y_px[i] + 1
        for y in range(max(0, int(y_px[i] - reach_y)), min(height, int(y_px[i] + reach_y) + 1)):
            along_y = _share(y, y + 1, y_px[i], sigma_y_px[i])
            for x in range(max(0, int(x_px[i] - reach_x)), min(width, int(x_px[i] + reach_x) + 1)):
                # each emitter is in this pixel or not: a Bernoulli variable
                chance = probability[i] * along_y * _share(x, x + 1, x_px[i], sigma_x_px[i])
                expected[y, x] += chance
                variance[y, x] += chance * (1 - chance)


class ProbabilityImage:
    """Expected number of emitters per super-resolution pixel, summed over frames.

    Parameters
    ----------
    camera_grid : PixelGrid
        The field.
    sr_pixel_size_nm : float
        Pixel of the image, in nm.
    """

    def __init__(self, camera_grid: PixelGrid, sr_pixel_size_nm: float) -> None:
        self._grid = camera_grid.with_pixel_size(sr_pixel_size_nm)
        self._expected = np.zeros(self._grid.shape, np.float64)
        self._variance = np.zeros(self._grid.shape, np.float64)

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add emitters with their probability, spread over their position's uncertainty.

        Parameters
        ----------
        columns : mapping of str to ndarray
            x_nm, y_nm, uncertainty_x_nm, uncertainty_y_nm, probability, each of shape (N,).
        """
        size = self._grid.pixel_size_nm
        _add(
            self._expected,
            self._variance,
            self._grid.x_px(columns["x_nm"]),
            self._grid.y_px(columns["y_nm"]),
            np.maximum(columns["uncertainty_x_nm"] / size, 1e-3),
            np.maximum(columns["uncertainty_y_nm"] / size, 1e-3),
            columns["probability"],
        )

    def image(self) -> SRImage:
        """Give the expected counts.

        Returns
        -------
        SRImage
            Emitters per pixel.
        """
        return SRImage(self._expected.astype(np.float32), self._grid, "emitters")

    def uncertainty(self) -> SRImage:
        """Give the standard deviation of the counts.

        Returns
        -------
        SRImage
            Emitters per pixel.
        """
        return SRImage(np.sqrt(self._variance).astype(np.float32), self._grid, "emitters")
