"""From spots to fit regions: which pixels a fit sees, and what is unusual about them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from stormcell.localization.flags import FLAGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.detection import Spots

    FrameArray = NDArray[np.float32]

SMALLEST_ROI, LARGEST_ROI = 5, 31


def roi_size_for(psf_sigma_px: float) -> int:
    """Choose the side of the fit region.

    Parameters
    ----------
    psf_sigma_px : float
        PSF sigma in pixels.

    Returns
    -------
    int
        Odd number of pixels that reaches three sigma to either side, 7 to 31: smaller regions mix up background and
        light of the emitter, larger ones take in neighbours.
    """
    return min(max(2 * math.ceil(3.0 * psf_sigma_px - 0.5) + 1, 7), LARGEST_ROI)


@njit(cache=True, nogil=True, parallel=True)
def _cut(
    frames: FrameArray,
    frame: NDArray[np.int64],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    rois: FrameArray,
) -> None:
    n_spots, side, _ = rois.shape
    _, height, width = frames.shape
    half = side // 2
    for i in prange(n_spots):
        for a in range(side):
            y = row[i] - half + a
            for b in range(side):
                x = column[i] - half + b
                if 0 <= y < height and 0 <= x < width:
                    rois[i, a, b] = frames[frame[i], y, x]
                else:
                    rois[i, a, b] = np.nan


def cut_rois(frames_e: FrameArray, spots: Spots, roi_size_px: int) -> FrameArray:
    """Cut a square region around every spot.

    Parameters
    ----------
    frames_e : ndarray of float32
        Shape (T, Y, X).
    spots : Spots
        N spots in these frames.
    roi_size_px : int
        Odd side of the regions.

    Returns
    -------
    ndarray of float32
        Shape (N, side, side), the spot's pixel in the middle; NaN beyond the border of the frame.
    """
    rois = np.empty((len(spots), roi_size_px, roi_size_px), np.float32)
    _cut(frames_e, spots.frame, spots.row, spots.column, rois)
    return rois


def cut_map(values: FrameArray, spots: Spots, roi_size_px: int) -> FrameArray:
    """Cut the regions out of a per-pixel map, such as the read variance.

    Parameters
    ----------
    values : ndarray of float32
        Shape (Y, X).
    spots : Spots
        N spots.
    roi_size_px : int
        Odd side of the regions.

    Returns
    -------
    ndarray of float32
        Shape (N, side, side); shape (1, side, side) where the map is the same everywhere.
    """
    if values.size and np.all(values == values.flat[0]):
        return np.full((1, roi_size_px, roi_size_px), values.flat[0], np.float32)
    rois = np.empty((len(spots), roi_size_px, roi_size_px), np.float32)
    _cut(values[None], np.zeros(len(spots), np.int64), spots.row, spots.column, rois)
    return rois


def region_flags(
    spots: Spots, roi_size_px: int, frames_e: FrameArray, saturated: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    """Flag regions that are cut by the border or hold pixels that are not usable.

    Parameters
    ----------
    spots : Spots
        N spots.
    roi_size_px : int
        Odd side of the regions.
    frames_e : ndarray of float32
        Shape (T, Y, X), NaN where a pixel is not a number.
    saturated : ndarray of bool, optional
        Shape (T, Y, X), pixels at the camera's upper limit; None where there are none.

    Returns
    -------
    ndarray of int32
        Shape (N,), bits of `stormcell.localization.flags`.
    """
    half = roi_size_px // 2
    _, height, width = frames_e.shape
    inside = (
        (spots.row >= half) & (spots.row < height - half) & (spots.column >= half) & (spots.column < width - half)
    )
    flags = np.where(inside, 0, FLAGS["at_edge"].mask).astype(np.int32)
    broken = ~np.isfinite(frames_e)
    for name, mask in (("nan_pixel", broken if broken.any() else None), ("saturated_pixel", saturated)):
        if mask is not None:
            touched = np.nansum(cut_rois(mask.astype(np.float32), spots, roi_size_px), axis=(1, 2)) > 0
            flags |= np.where(touched, FLAGS[name].mask, 0).astype(np.int32)
    return flags
