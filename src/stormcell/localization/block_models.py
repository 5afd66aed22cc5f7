"""What detection knows about each block of frames, and detection with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.localization.background import (
    FEWEST_FRAMES,
    MOST_SAMPLES,
    BackgroundChoice,
    is_dense,
    spatial_background,
    temporal_background,
)
from stormcell.localization.detection import (
    DetectionFilter,
    NoiseModel,
    Spots,
    detect_spots,
    noise_level,
    threshold_map,
)
from stormcell.localization.image_noise import NoiseSample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.frame_blocks import FrameBlock

    FrameArray = NDArray[np.float32]

SMALLEST_FRAME_PX = 3
"""Frames with a side below this are not searched: a maximum needs neighbours."""


@dataclass(frozen=True)
class DetectionPlan:
    """What detection needs to know that stays the same over a movie.

    Attributes
    ----------
    detection_filter : DetectionFilter
        Matched to the PSF.
    level : float
        Detection level in standard deviations of the response.
    read_variance_e2 : ndarray of float32
        Shape (Y, X).
    excess_noise_factor : float
        F^2.
    psf_sigma_px : float
        PSF sigma.
    """

    detection_filter: DetectionFilter
    level: float
    read_variance_e2: FrameArray
    excess_noise_factor: float
    psf_sigma_px: float

    @classmethod
    def of(
        cls,
        read_variance_e2: FrameArray,
        excess_noise_factor: float,
        psf_sigma_px: float,
        false_positives_per_frame: float,
    ) -> DetectionPlan:
        """Work out filter and level.

        Parameters
        ----------
        read_variance_e2 : ndarray of float32
            Shape (Y, X) of the frames.
        excess_noise_factor : float
            F^2.
        psf_sigma_px : float
            PSF sigma.
        false_positives_per_frame : float
            Detections that pure noise may cause per frame, on average.

        Returns
        -------
        DetectionPlan
            The plan.
        """
        detection_filter = DetectionFilter.for_sigma(psf_sigma_px)
        # a local maximum takes up at least four pixels
        per_pixel = min(false_positives_per_frame / read_variance_e2.size, 0.02)
        level = noise_level(per_pixel, detection_filter)
        return cls(detection_filter, level, read_variance_e2, excess_noise_factor, psf_sigma_px)


@dataclass(frozen=True)
class BlockModel:
    """The noise model of a block and the time it belongs to.

    Attributes
    ----------
    noise : NoiseModel
        Background response, threshold and noise.
    middle : float
        Time of the middle of the block in frames of the stack.
    """

    noise: NoiseModel
    middle: float


class BlockModels:
    """Makes background models block by block and detects spots with them.

    Parameters
    ----------
    plan : DetectionPlan
        What stays the same.
    choice : str
        "auto", "temporal" or "spatial".
    n_frames : int
        Frames of the whole movie.
    """

    def __init__(self, plan: DetectionPlan, choice: BackgroundChoice, n_frames: int) -> None:
        self.plan = plan
        self._undecided = choice == "auto" and n_frames >= FEWEST_FRAMES
        self._temporal = choice == "temporal"
        self._total = self._total_scale = 0.0
        self._n_frames = 0
        self._before = self.totals

    @property
    def kind(self) -> str:
        """Which model is in use: "temporal" or "spatial"."""
        return "temporal" if self._temporal else "spatial"

    @property
    def mean_e(self) -> float:
        """Mean background over the blocks so far in electrons per pixel; NaN before the first."""
        return self._total / self._n_frames if self._n_frames else math.nan

    @property
    def noise_ratio(self) -> float:
        """Mean over the blocks so far of measured over expected noise; 1 where the camera's values were believed."""
        return self._total_scale / self._n_frames if self._n_frames else 1.0

    @property
    def totals(self) -> tuple[int, float, float]:
        """Frames so far, and mean background and noise ratio times frames."""
        return self._n_frames, self._total, self._total_scale

    def forget(self) -> None:
        """Take the last block out of the totals: it only lent its background to its neighbour."""
        self._n_frames, self._total, self._total_scale = self._before

    def of(self, block: FrameBlock) -> BlockModel:
        """Make the model of a block.

        Parameters
        ----------
        block : FrameBlock
            Its frames.

        Returns
        -------
        BlockModel
            Its model.
        """
        plan = self.plan
        frames = block.filled(_finite_median(block.raw_e) if block.n_nan else 0.0)
        sample = NoiseSample.of(frames)
        scale = sample.variance_scale(plan.read_variance_e2, plan.excess_noise_factor)
        background, n_averaged = self._background(frames, scale)
        threshold, std, scale = self._threshold(sample, background, n_averaged, scale)
        self._before = self.totals
        self._total += float(background.mean()) * len(block)
        self._total_scale += math.sqrt(scale) * len(block)
        self._n_frames += len(block)
        noise = NoiseModel(plan.detection_filter.response(background), threshold, std)
        return BlockModel(noise, block.start + 0.5 * len(block))

    def _background(self, frames: FrameArray, scale: float) -> tuple[FrameArray, float]:
        """Return the background and the number of frames averaged in it."""
        plan = self.plan
        read_variance = plan.read_variance_e2 if scale == 1.0 else plan.read_variance_e2 * np.float32(scale)
        excess = scale * plan.excess_noise_factor
        if self._temporal or self._undecided:
            background, lit = temporal_background(frames, read_variance, excess)
            if self._undecided:
                self._temporal, self._undecided = not is_dense(lit), False
            if self._temporal:
                return background, float(min(len(frames), MOST_SAMPLES))
        return spatial_background(frames, read_variance, plan.psf_sigma_px, excess), math.inf

    def _threshold(
        self, sample: NoiseSample, background: FrameArray, n_averaged: float, scale: float
    ) -> tuple[FrameArray, FrameArray, float]:
        """Return threshold and standard deviation of the response, and the scale of the variance as used."""
        plan = self.plan
        camera = (plan.read_variance_e2, plan.excess_noise_factor)
        known = (background, *camera, plan.level, plan.detection_filter, n_averaged)
        scales = sample.variance_scale_map(background, *camera, scale)
        if isinstance(scales, float) and scales == 1.0:
            return *threshold_map(*known), scale
        if sample.is_smoothed(*camera):
            _, std = threshold_map(*known)
            scales = sample.response_scale(background, std, plan.detection_filter)
        return *threshold_map(*known, scales), float(np.median(scales))

    def detect(
        self, block: FrameBlock, model: BlockModel, before: BlockModel | None, after: BlockModel | None
    ) -> Spots:
        """Find the spots of a block, its background interpolated between the middles of blocks.

        Parameters
        ----------
        block : FrameBlock
            The frames.
        model : BlockModel
            Its own model.
        before, after : BlockModel or None
            Models of the blocks before and after it; None at the ends of the movie.

        Returns
        -------
        Spots
            Frames counted within the block.
        """
        if min(block.raw_e.shape[1:]) < SMALLEST_FRAME_PX:
            return Spots.none()
        frames = block.filled(_finite_median(block.raw_e) if block.n_nan else 0.0)
        half = (len(block) + 1) // 2
        times = block.start + np.arange(len(block)) + 0.5
        parts = []
        for part, other in ((slice(0, half), before), (slice(half, None), after)):
            if other is None:
                share = np.zeros(len(times[part]))
                pair = (model.noise, model.noise)
            else:
                share = np.clip((times[part] - model.middle) / (other.middle - model.middle), 0.0, 1.0)
                pair = (model.noise, other.noise)
            if len(share):
                parts.append(detect_spots(frames[part], self.plan.detection_filter, pair, share).shifted(part.start))
        return Spots.concatenate(parts)


def _finite_median(frames: FrameArray) -> float:
    finite = frames[np.isfinite(frames)]
    return float(np.median(finite)) if finite.size else 0.0
