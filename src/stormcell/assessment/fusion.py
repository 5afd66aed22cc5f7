"""Fuse several super-resolution images of one field by their error maps.

Each pixel takes most from the image whose error map is lowest around it:

S. Culley et al., "Quantitative mapping and minimization of super-resolution optical imaging artifacts", Nat. Methods
15, 263 (2018), doi:10.1038/nmeth.4605.

Differs from the paper: errors below a floor count as equal, and the floor is a tenth of the smallest RSE instead of
one grey level, so that the result does not depend on the units of the wide-field image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stormcell.assessment.squirrel import ErrorMap

_WINDOW_PX = 3
_FLOOR = 0.1


def fuse(maps: Sequence[ErrorMap]) -> SRImage:
    """Fuse images that were compared with the same wide-field image.

    Parameters
    ----------
    maps : sequence of ErrorMap
        Two or more, from `error_map`, on one super-resolution grid.

    Returns
    -------
    SRImage
        Weighted mean of the intensity-matched images, weights the inverse of the locally averaged error.

    Raises
    ------
    InputError
        Fewer than two images, or their grids differ.
    """
    if len(maps) < 2:
        msg = f"expected at least two images to fuse, got {len(maps)}"
        raise InputError(msg)
    grid = maps[0].matched.grid
    for one in maps[1:]:
        if one.matched.grid != grid:
            msg = f"expected images on one grid to fuse, got {grid} and {one.matched.grid}; render them alike first"
            raise InputError(msg)
    floor = np.float32(max(_FLOOR * min(one.rse for one in maps), 1e-30))
    total = np.zeros(grid.shape, dtype=np.float32)
    fused = np.zeros(grid.shape, dtype=np.float32)
    for one in maps:
        error = ndimage.uniform_filter(one.error.pixels, _WINDOW_PX, mode="reflect")
        weight = 1.0 / np.maximum(error, floor)
        total += weight
        fused += weight * one.matched.pixels
    return SRImage(fused / total, grid, maps[0].matched.unit)
