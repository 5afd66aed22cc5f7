"""Pixels that no light through a lens can have made: hot pixels and cosmic rays, found in one frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    from stormcell.localization.multi_scene import Scene

NARROWEST = 0.6
"""A PSF may be this much narrower than what was told before its peaks are taken for defects."""

_DEFECT_STDS = 6.0


@njit(cache=True, nogil=True, error_model="numpy")
def _neighbour_share(sigma: float) -> float:
    """Return what a pixel beside the middle of an emitter receives, in units of the middle one."""
    scale = 1.0 / (sigma * math.sqrt(2.0))
    middle = math.erf(0.5 * scale)
    return 0.5 * (math.erf(1.5 * scale) - middle) / middle


@njit(cache=True, nogil=True, error_model="numpy")
def _sharpness(scene: Scene, i: int, j: int, step: tuple[int, int], plan: tuple[float, float]) -> float:
    """Return by how many standard deviations a pixel stands out of the two beside it along one axis.

    Whatever emitters there are and wherever they lie: the mean of the two is at least `share` of what the pixel has
    above the background.
    """
    share, factor_squared = plan
    a, b = (i - step[0], j - step[1]), (i + step[0], j + step[1])
    height, width = scene.data.shape
    if a[0] < 0 or a[1] < 0 or b[0] >= height or b[1] >= width:
        # an emitter beyond the border may shine in from there
        return 0.0
    if scene.valid[a[0], a[1]] == 0.0 or scene.valid[b[0], b[1]] == 0.0:
        return 0.0
    dark = scene.background[i, j]
    here = scene.data[i, j] - scene.extra[i, j] - dark
    beside = 0.5 * (
        scene.data[a[0], a[1]] - scene.extra[a[0], a[1]] + scene.data[b[0], b[1]] - scene.extra[b[0], b[1]]
    )
    variance = share * share * max(scene.data[i, j], dark)
    variance += 0.25 * max(scene.data[a[0], a[1]], dark) + 0.25 * max(scene.data[b[0], b[1]], dark)
    return float((share * here - beside + dark) / math.sqrt(factor_squared * variance + 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def leave_out_defects(scene: Scene, psf_sigma_px: float, factor_squared: float) -> None:
    """Leave out pixels that stand out of their neighbours more sharply than any sum of emitters can.

    Parameters
    ----------
    scene : Scene
        With its background; the pixels no longer count.
    psf_sigma_px : float
        Sigma of the PSF.
    factor_squared : float
        F^2.
    """
    plan = (_neighbour_share(NARROWEST * psf_sigma_px), factor_squared)
    marks, (height, width) = scene.buffers[2], scene.data.shape
    for i in range(height):
        for j in range(width):
            marks[i, j] = 0.0
            if scene.valid[i, j] > 0.0:
                sharpest = max(_sharpness(scene, i, j, (1, 0), plan), _sharpness(scene, i, j, (0, 1), plan))
                marks[i, j] = 1.0 if sharpest > _DEFECT_STDS else 0.0
    for i in range(height):
        for j in range(width):
            if marks[i, j] > 0.0:
                scene.valid[i, j] = 0.0
