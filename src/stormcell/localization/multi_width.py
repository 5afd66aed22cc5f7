"""The PSF width that all emitters of a movie share, from joint fits: also where no emitter is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.localization.block_models import BlockModels, DetectionPlan
from stormcell.localization.frame_blocks import FrameBlock, read_block
from stormcell.localization.multi import JointPlan, fit_frames
from stormcell.localization.spots import roi_size_for
from stormcell.physics.gaussian import CameraNoise

if TYPE_CHECKING:
    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import Camera

_ROUNDS = 6
_SETTLED = 0.004
_LARGEST_STEP = 0.12
_LOWEST_PX, _HIGHEST_PX = 0.5, 6.0
_MOST_FRAMES = 24
_MOST_EMITTERS = 1500
_FEWEST_EMITTERS = 8
_FALSE_POSITIVES = 0.01


def refine_psf_sigma(stack: FrameStack, camera: Camera, psf_sigma_px: float) -> float:
    """Find the Gaussian width that makes joint fits of some frames most likely.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Its camera.
    psf_sigma_px : float
        Where to start.

    Returns
    -------
    float
        Sigma in pixels; the start where too few emitters are found.

    Notes
    -----
    One sigma for all emitters of evenly spread frames. Each round finds the emitters anew and takes a scoring step in
    sigma, until a step is below 0.4 %.
    """
    sigma = psf_sigma_px
    block = _sampled(stack, camera)
    read_variance = camera.read_variance_e2(stack.frame_shape, stack.origin_px)
    noise = CameraNoise(read_variance, camera.excess_noise_factor)
    for _ in range(_ROUNDS):
        plan = DetectionPlan.of(read_variance, noise.excess_noise_factor, sigma, _FALSE_POSITIVES)
        models = BlockModels(plan, "spatial", len(block))
        spots = models.detect(block, models.of(block), None, None)
        # whole frames, as many as hold enough spots
        n_frames = 1 + int(np.searchsorted(np.cumsum(np.bincount(spots.frame, minlength=len(block))), _MOST_EMITTERS))
        spots = spots.take(spots.frame < n_frames)
        joint = JointPlan.of(sigma, roi_size_for(sigma), noise)
        found = fit_frames(block.raw_e[:n_frames], spots, joint)
        score, information = found.width[np.isfinite(found.width).all(axis=1)].sum(axis=0)
        if len(found.frame) < _FEWEST_EMITTERS or not information > 0:
            return psf_sigma_px
        step = float(np.clip(score / information, -_LARGEST_STEP * sigma, _LARGEST_STEP * sigma))
        sigma = float(np.clip(sigma + step, _LOWEST_PX, _HIGHEST_PX))
        if abs(step) < _SETTLED * sigma:
            break
    return sigma


def _sampled(stack: FrameStack, camera: Camera) -> FrameBlock:
    picked = np.unique(np.linspace(0, stack.n_frames - 1, min(stack.n_frames, _MOST_FRAMES)).round().astype(int))
    blocks = [read_block(stack, camera, int(t), int(t) + 1) for t in picked]
    frames = np.concatenate([b.raw_e for b in blocks])
    return FrameBlock(0, frames, 0, sum(b.n_nan for b in blocks), 0, None)
