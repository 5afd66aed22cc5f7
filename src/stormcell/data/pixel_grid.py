"""PixelGrid: the only conversion between pixels and nanometres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class PixelGrid:
    """Square pixels laid over a field.

    Pixel coordinates are continuous and count from the outer corner of the first pixel of this grid: pixel i spans
    i to i + 1 and has its centre at i + 0.5. Nanometres count from the outer corner of the first camera pixel of the
    whole movie, so a cropped field has a non-zero `origin_nm`.

    Parameters
    ----------
    pixel_size_nm : float
        Side of one pixel, > 0.
    shape : tuple of int
        (rows, columns).
    origin_nm : tuple of float
        (y, x) of the outer corner of the grid's first pixel.
    """

    pixel_size_nm: float
    shape: tuple[int, int]
    origin_nm: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pixel_size_nm) and self.pixel_size_nm > 0):
            msg = f"expected a pixel size above 0 nm, got {self.pixel_size_nm}"
            raise InputError(msg)
        if min(self.shape) < 1:
            msg = f"expected a field of at least 1 x 1 pixel, got {self.shape}"
            raise InputError(msg)

    def x_nm(self, x_px: ArrayLike) -> NDArray[np.float64]:
        """Turn column coordinates into nm.

        Parameters
        ----------
        x_px : array_like
            Columns from the grid's left edge; the centre of pixel i is i + 0.5.

        Returns
        -------
        ndarray
            Positions in nm.
        """
        return np.asarray(x_px, dtype=np.float64) * self.pixel_size_nm + self.origin_nm[1]

    def y_nm(self, y_px: ArrayLike) -> NDArray[np.float64]:
        """Turn row coordinates into nm.

        Parameters
        ----------
        y_px : array_like
            Rows from the grid's upper edge; the centre of pixel i is i + 0.5.

        Returns
        -------
        ndarray
            Positions in nm.
        """
        return np.asarray(y_px, dtype=np.float64) * self.pixel_size_nm + self.origin_nm[0]

    def x_px(self, x_nm: ArrayLike) -> NDArray[np.float64]:
        """Turn nm into column coordinates.

        Parameters
        ----------
        x_nm : array_like
            Positions in nm.

        Returns
        -------
        ndarray
            Columns from the grid's left edge; floor gives the pixel index.
        """
        return (np.asarray(x_nm, dtype=np.float64) - self.origin_nm[1]) / self.pixel_size_nm

    def y_px(self, y_nm: ArrayLike) -> NDArray[np.float64]:
        """Turn nm into row coordinates.

        Parameters
        ----------
        y_nm : array_like
            Positions in nm.

        Returns
        -------
        ndarray
            Rows from the grid's upper edge; floor gives the pixel index.
        """
        return (np.asarray(y_nm, dtype=np.float64) - self.origin_nm[0]) / self.pixel_size_nm

    def with_pixel_size(self, pixel_size_nm: float) -> PixelGrid:
        """Lay other pixels over the same field; the last row and column may stick out.

        Parameters
        ----------
        pixel_size_nm : float
            The new pixel side, > 0.

        Returns
        -------
        PixelGrid
            A grid with the same outer corner that covers the whole field.
        """
        height, width = self.extent_nm
        rows, columns = (max(1, math.ceil(side / pixel_size_nm - 1e-6)) for side in (height, width))
        return PixelGrid(pixel_size_nm, (rows, columns), self.origin_nm)

    def crop(self, rows: slice, columns: slice) -> PixelGrid:
        """Cut out a rectangle; its positions in nm stay those of the whole field.

        Parameters
        ----------
        rows, columns : slice
            Pixel ranges with a step of 1.

        Returns
        -------
        PixelGrid
            The smaller grid.
        """
        y0, y1, _ = rows.indices(self.shape[0])
        x0, x1, _ = columns.indices(self.shape[1])
        corner = (float(self.y_nm(y0)), float(self.x_nm(x0)))
        return PixelGrid(self.pixel_size_nm, (y1 - y0, x1 - x0), corner)

    @property
    def extent_nm(self) -> tuple[float, float]:
        """Height and width of the field in nm."""
        return self.shape[0] * self.pixel_size_nm, self.shape[1] * self.pixel_size_nm
