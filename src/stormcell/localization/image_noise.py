"""The noise of the frames themselves, beside what the camera's values say of it.

A gain that is unknown, or given wrong, would put the detection threshold anywhere. The noise is therefore measured in
the frames, with a difference of second order along both axes: it passes what changes from pixel to pixel and hardly
anything of a spot or of structured background, so that it holds in dense frames too [1]_. Where the camera's values
agree with it, they are used as they are.

References
----------
.. [1] J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64, 300 (1996),
   https://doi.org/10.1006/cviu.1996.0060
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import convolve1d, uniform_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.detection import DetectionFilter

    FloatArray = NDArray[np.float64]
    FrameArray = NDArray[np.float32]

AGREEMENT = (0.65, 1.15)
"""Measured over expected standard deviation within which the camera's values are believed; narrower than a gain wrong
by a factor of 2 (1.41), wider than what chance and dense emitters do to the measurement."""

LOWEST_BACKGROUND_E = 0.05
"""Background that is reckoned with at least, in electrons per pixel."""

_MOST_FRAMES = 8
_MOST_PIXELS = 25_000
_FEWEST_PIXELS = 200
_PIXELS_PER_LEVEL = 1500
_MOST_LEVELS = 16
_SIDE = 5  # of the local mean that tells how bright a place is
_LIT_STD = 2.0
_LEVEL_ROUNDS = 3
_CLIP_STD = 4.0
_CLIP_ROUNDS = 4
_SMOOTHED = 1.4
_SMOOTHED_RATIO = 0.8
_CURVED, _FLAT = (1.0, -2.0, 1.0), (1.0, -1.0, -1.0, 1.0)


@dataclass(frozen=True)
class NoiseSample:
    """Some frames of a block, and at some of their pixels what differences between neighbours say.

    Attributes
    ----------
    frames : ndarray of float64
        Shape (T, Y, X).
    pixel : ndarray of int64
        Shape (N,), which pixels of the ravelled frame are looked at, one after the other over the frames.
    curvature : ndarray of float64
        Shape (N,), second difference along both axes, scaled to keep the variance of independent noise.
    local_mean : ndarray of float64
        Shape (N,), mean over 5 x 5 pixels.
    """

    frames: FloatArray
    pixel: NDArray[np.int64]
    curvature: FloatArray
    local_mean: FloatArray

    @classmethod
    def of(cls, frames_e: FrameArray) -> NoiseSample:
        """Take a sample of frames.

        Parameters
        ----------
        frames_e : ndarray of float32
            Shape (T, Y, X), electrons as far as they are known, finite.

        Returns
        -------
        NoiseSample
            Of at most 8 frames spread over the block.
        """
        n_frames, height, width = frames_e.shape
        n = min(n_frames, _MOST_FRAMES, max(_MOST_PIXELS // (height * width), 1))
        picked = np.unique(np.linspace(0, n_frames - 1, n).round().astype(int))
        frames = frames_e[picked].astype(np.float64)
        curvature = _sampled(_differences(frames, _CURVED, _CURVED))
        local_mean = _sampled(uniform_filter(frames, (0, _SIDE, _SIDE)))
        places = np.arange(height * width).reshape(1, height, width)
        return cls(frames, _sampled(np.broadcast_to(places, frames.shape)), curvature, local_mean)

    def variance_scale(self, read_variance_e2: FrameArray, excess_noise_factor: float) -> float:
        """Compare the noise with what the camera's values say of it.

        Parameters
        ----------
        read_variance_e2 : ndarray of float32
            Shape (Y, X).
        excess_noise_factor : float
            F^2.

        Returns
        -------
        float
            By how much the variance is larger than expected in the darker half of the pixels; 1 where the two agree
            or where the frames are too small or too dark to tell.
        """
        if len(self.pixel) < _FEWEST_PIXELS:
            return 1.0
        dark = self.local_mean <= np.median(self.local_mean)
        read = read_variance_e2.ravel()[self.pixel[dark]]
        curvature, level = self.curvature[dark], self.local_mean[dark]
        scale = 1.0
        for _ in range(2):  # the lowest level is one in counts, whose size is not known before
            expected = excess_noise_factor * np.maximum(level, LOWEST_BACKGROUND_E * scale) + read
            ratio = _clipped_std(curvature / np.sqrt(expected))
            if ratio == 0.0 or AGREEMENT[0] <= ratio <= AGREEMENT[1]:
                return scale
            scale = ratio**2
        return scale

    def variance_scale_map(
        self, background_e: FrameArray, read_variance_e2: FrameArray, excess_noise_factor: float, typical: float
    ) -> FrameArray | float:
        """Measure the noise by level of the background, for an unknown offset or read noise changes how it grows.

        Parameters
        ----------
        background_e : ndarray of float32
            Shape (Y, X).
        read_variance_e2 : ndarray of float32
            Shape (Y, X).
        excess_noise_factor : float
            F^2.
        typical : float
            From `variance_scale`.

        Returns
        -------
        ndarray of float32 or float
            Shape (Y, X), measured over expected variance; or the typical value where all levels agree with it, or
            where there are too few pixels for more than one level.
        """
        lowest = np.float32(LOWEST_BACKGROUND_E * typical)
        expected = np.float32(excess_noise_factor) * np.maximum(background_e, lowest) + read_variance_e2
        scale: FrameArray | float = typical
        for _ in range(_LEVEL_ROUNDS):
            found = self._scale_by_level(background_e, expected, scale, typical)
            if found is None:
                break
            scale = found
        return scale

    def _scale_by_level(
        self, background_e: FrameArray, expected: FrameArray, scale: FrameArray | float, typical: float
    ) -> FrameArray | None:
        """Measure where nothing stands out in terms of the scale so far; None where all levels agree."""
        level, said = background_e.ravel()[self.pixel], expected.ravel()[self.pixel]
        so_far = scale if isinstance(scale, float) else scale.ravel()[self.pixel]
        unlit = (self.local_mean - level) < _LIT_STD * np.sqrt(so_far * said) / _SIDE
        level, said = level[unlit], said[unlit]
        n_levels = min(len(level) // _PIXELS_PER_LEVEL, _MOST_LEVELS)
        if n_levels < 2:
            return None
        values = self.curvature[unlit] / np.sqrt(said)
        parts = np.array_split(np.argsort(level, kind="stable"), n_levels)
        scales = np.array([_clipped_std(values[rows]) ** 2 for rows in parts])
        scales[scales == 0.0] = typical
        if np.all((scales >= AGREEMENT[0] ** 2 * typical) & (scales <= AGREEMENT[1] ** 2 * typical)):
            return None
        centres, means = np.array([(level[rows].mean(), said[rows].mean()) for rows in parts]).T
        # what is missing is added: at the dark end the noise stays, however small the level
        missing = np.interp(background_e, centres, (scales - 1.0) * means)
        by_pixel: FrameArray = np.maximum(1.0 + missing / expected, scales.min()).astype(np.float32)
        return by_pixel

    def is_smoothed(self, read_variance_e2: FrameArray, excess_noise_factor: float) -> bool:
        """Say whether neighbouring pixels share their noise, as after interpolation or a filter.

        Parameters
        ----------
        read_variance_e2 : ndarray of float32
            Shape (Y, X).
        excess_noise_factor : float
            F^2.

        Returns
        -------
        bool
            True where the finest differences show less noise than expected, and less than coarser ones.
        """
        if len(self.pixel) < _FEWEST_PIXELS:
            return False
        finest = _clipped_std(self.curvature)
        pairs = ((_CURVED, _FLAT), (_FLAT, _CURVED))
        coarser = max(_clipped_std(_sampled(_differences(self.frames, *pair))) for pair in pairs)
        level = max(float(np.median(self.local_mean)), LOWEST_BACKGROUND_E)
        expected = math.sqrt(excess_noise_factor * level + float(np.median(read_variance_e2)))
        return coarser > _SMOOTHED * finest and finest < _SMOOTHED_RATIO * expected

    def response_scale(self, background_e: FrameArray, std: FrameArray, detection_filter: DetectionFilter) -> float:
        """Compare the spread of the filter's response itself with the one expected.

        Parameters
        ----------
        background_e : ndarray of float32
            Shape (Y, X).
        std : ndarray of float32
            Shape (Y, X), expected standard deviation of the response.
        detection_filter : DetectionFilter
            The filter.

        Returns
        -------
        float
            Measured over expected variance, spots clipped; dense spots raise it.
        """
        response = np.stack([detection_filter.response(frame - background_e) for frame in self.frames]) / std
        return _clipped_std(response - np.median(response), 2.5) ** 2 or 1.0


def _sampled(images: NDArray[Any]) -> NDArray[Any]:
    """Return evenly spread values, away from the border."""
    _, height, width = images.shape
    values = images[:, 2 : max(height - 2, 2), 2 : max(width - 2, 2)].ravel()
    return values[:: max(len(values) // _MOST_PIXELS, 1) | 1]


def _differences(frames: FloatArray, along_y: tuple[float, ...], along_x: tuple[float, ...]) -> FloatArray:
    size = math.sqrt(sum(a * a for a in along_y) * sum(b * b for b in along_x))
    once = convolve1d(frames, along_y, axis=1, mode="nearest")
    twice: FloatArray = convolve1d(once, along_x, axis=2, mode="nearest") / size
    return twice


def _clipped_std(values: NDArray[Any], clip: float = _CLIP_STD) -> float:
    """Return the standard deviation about zero without outliers; 0 where most values are 0."""
    size = np.abs(values)
    std = 1.4826 * float(np.median(size))
    bell = math.exp(-0.5 * clip * clip) / math.sqrt(2.0 * math.pi)
    kept_share = 1.0 - 2.0 * clip * bell / math.erf(clip / math.sqrt(2.0))
    for _ in range(_CLIP_ROUNDS if std > 0.0 else 0):
        kept = values[size <= clip * std]
        std = math.sqrt(float(np.mean(np.square(kept))) / kept_share)
    return std
