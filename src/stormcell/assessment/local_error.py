"""Where a super-resolution image deviates from its wide-field image, also by a displacement.

Structure that lies in the wrong place leaves a positive and a negative residual side by side, whose sum is nothing
where the structure is. The local root mean square of the residual, smoothed as far as the blur allows, sees missing,
invented and displaced structure alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from stormcell.assessment.upscaling import upscale
from stormcell.data.sr_image import SRImage

if TYPE_CHECKING:
    from stormcell.assessment.camera_noise import CameraNoise
    from stormcell.assessment.squirrel import ErrorMap

# In units of the RSF: the first keeps the halves of a dipole apart, the second spans both.
_SMOOTHING = 0.5
_NEIGHBOURHOOD = 1.3


def local_error(comparison: ErrorMap, noise: CameraNoise | None = None) -> SRImage:
    """Draw the local root mean square of the smoothed residual.

    Parameters
    ----------
    comparison : ErrorMap
        From `error_map`.
    noise : CameraNoise, optional
        The wide-field camera: with it, bright places are forgiven the noise they have.

    Returns
    -------
    SRImage
        On the super-resolution grid, in wide-field units, or in standard deviations of the camera noise.
    """
    residual = comparison.residual
    size_nm = residual.sr_pixel_size_nm
    rsf_px = float(np.clip(comparison.rsf_sigma_nm / size_nm, 0.5, 3.0))
    deviation = residual.pixels.astype(np.float64)
    if noise is not None:
        deviation = deviation / noise.standard_deviation(comparison.widefield.pixels - residual.pixels)
    smooth = ndimage.gaussian_filter(deviation, _SMOOTHING * rsf_px, mode="reflect")
    square = ndimage.gaussian_filter(smooth**2, _NEIGHBOURHOOD * rsf_px, mode="reflect")
    grid = comparison.error.grid
    y = residual.grid.y_px(grid.y_nm(np.arange(grid.shape[0]) + 0.5)) - comparison.shift_y_nm / size_nm
    x = residual.grid.x_px(grid.x_nm(np.arange(grid.shape[1]) + 0.5)) - comparison.shift_x_nm / size_nm
    unit = residual.unit if noise is None else "standard deviations"
    return SRImage(np.sqrt(np.maximum(upscale(square, y, x), 0)), grid, unit)
