"""SRImage: a picture on a super-resolution grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormcell.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.data.provenance import Provenance


@dataclass(frozen=True)
class SRImage:
    """A picture whose pixels have a place in nm: super-resolution, wide-field, error or uncertainty map.

    Parameters
    ----------
    pixels : ndarray
        Shape (Y, X).
    grid : PixelGrid
        Where the pixels lie.
    unit : str
        What a pixel value means, for example "localizations" or "photons".
    provenance : Provenance or None
        How it was made.
    """

    pixels: NDArray[np.float32]
    grid: PixelGrid
    unit: str = "localizations"
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if self.pixels.shape != self.grid.shape:
            msg = f"expected pixels of shape {self.grid.shape} to fit the grid, got {self.pixels.shape}"
            raise InputError(msg)

    @property
    def sr_pixel_size_nm(self) -> float:
        """Side of one pixel in nm."""
        return self.grid.pixel_size_nm
