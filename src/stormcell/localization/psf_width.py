"""The PSF width of a movie, from its brightest isolated spots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.localization.block_models import BlockModels, DetectionPlan
from stormcell.localization.fits import FitModel, fit_spots
from stormcell.localization.frame_blocks import FrameBlock, read_block
from stormcell.localization.spots import cut_rois, region_flags, roi_size_for
from stormcell.physics.gaussian import CameraNoise

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.localization.detection import Spots
    from stormcell.physics.cameras import Camera

ASSUMED_SIGMA_PX = 1.3
"""Start of the search, and the value used where no spot allows an estimate (the result then says "assumed")."""

_MOST_FRAMES = 40
_MOST_PIXELS = 4_000_000
_FEWEST_SPOTS = 8
_MOST_SPOTS = 500
_ROUNDS = 3
_LOWEST, _HIGHEST = 0.5, 6.0


def estimate_psf_sigma(stack: FrameStack, camera: Camera, given_px: float | None = None) -> tuple[float, str]:
    """Estimate the PSF sigma from a sample of frames.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Its camera.
    given_px : float, optional
        A known sigma, returned as it is.

    Returns
    -------
    tuple of float and str
        Sigma in pixels, and "given", "estimated", or "assumed" where there were fewer than 8 usable spots.

    Notes
    -----
    The median of free-sigma fits to spots without a neighbour within six sigma, the brighter half of them; detection
    and fits are repeated with the sigma found.
    """
    if given_px is not None:
        return given_px, "given"
    block = _sampled_frames(stack, camera)
    sigma, found = ASSUMED_SIGMA_PX, False
    for _ in range(_ROUNDS):
        widths = _widths(block, camera, stack.origin_px, sigma)
        if len(widths) < _FEWEST_SPOTS:
            break
        before, sigma, found = sigma, float(np.clip(np.median(widths), _LOWEST, _HIGHEST)), True
        if abs(sigma - before) < 0.02 * sigma:
            break
    return sigma, "estimated" if found else "assumed"


def _sampled_frames(stack: FrameStack, camera: Camera) -> FrameBlock:
    height, width = stack.frame_shape
    n = min(stack.n_frames, _MOST_FRAMES, max(_MOST_PIXELS // (height * width), 1))
    picked = np.unique(np.linspace(0, stack.n_frames - 1, n).round().astype(int))
    blocks = [read_block(stack, camera, int(t), int(t) + 1) for t in picked]
    saturated = np.concatenate(
        [np.zeros(b.raw_e.shape, bool) if b.saturated is None else b.saturated for b in blocks]
    )
    n_nan = sum(b.n_nan for b in blocks)
    return FrameBlock(0, np.concatenate([b.raw_e for b in blocks]), int(saturated.sum()), n_nan, 0, saturated)


def _widths(block: FrameBlock, camera: Camera, origin_px: tuple[int, int], sigma: float) -> list[float]:
    shape = (block.raw_e.shape[1], block.raw_e.shape[2])
    plan = DetectionPlan.of(camera.read_variance_e2(shape, origin_px), camera.excess_noise_factor, sigma, 0.01)
    models = BlockModels(plan, "spatial", len(block))
    spots = models.detect(block, models.of(block), None, None)
    side = roi_size_for(1.3 * sigma)
    lonely = spots.take(_isolated(spots, max(6.0 * sigma, side / 2)))
    usable = lonely.take(region_flags(lonely, side, block.raw_e, block.saturated) == 0)
    usable = usable.take(np.argsort(-usable.snr, kind="stable")[: max(len(usable) // 2, _FEWEST_SPOTS)][:_MOST_SPOTS])
    if not len(usable):
        return []
    noise = CameraNoise(float(plan.read_variance_e2.mean()), camera.excess_noise_factor)
    fits = fit_spots(
        cut_rois(block.raw_e, usable, side),
        sigma,
        noise=noise,
        start_xy_px=usable.offset_xy_px + side / 2,
        model=FitModel(sigma_range=(0.3, 3.0), sigma_prior=0.0),
    )
    good = (fits.flags == 0) & (fits.uncertainty[:, 4] < 0.2 * fits.theta[:, 4])
    if np.count_nonzero(good) < _FEWEST_SPOTS:
        # bright spots that are not Gaussian fail the chi-square test; their width is still the width
        good = np.isfinite(fits.uncertainty[:, 4]) & (fits.uncertainty[:, 4] < 0.2 * fits.theta[:, 4])
    return [float(width) for width in fits.theta[good, 4] if math.isfinite(width)]


def _isolated(spots: Spots, distance_px: float) -> np.ndarray:
    """Return a mask of spots without another one nearer than a distance in their frame."""
    alone = np.ones(len(spots), dtype=bool)
    for frame in np.unique(spots.frame):
        (rows,) = np.nonzero(spots.frame == frame)
        dy = spots.row[rows, None] - spots.row[None, rows]
        dx = spots.column[rows, None] - spots.column[None, rows]
        near = dy * dy + dx * dx < distance_px**2
        alone[rows] = near.sum(axis=1) == 1
    return alone
