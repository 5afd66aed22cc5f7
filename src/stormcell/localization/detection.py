"""Detection: a difference of Gaussians, a threshold in units of its noise, and local maxima.

The threshold follows from the number of false detections wanted per frame. For a smoothed Gaussian noise field
sampled on pixels the expected number of local maxima above a level follows from the correlation of neighbouring
pixels alone [1]_; the skewness and kurtosis of shot noise enter by a Cornish-Fisher expansion.

References
----------
.. [1] K. J. Worsley, "An improved theoretical P value for SPMs based on discrete local maxima", NeuroImage 28, 1056
   (2005), https://doi.org/10.1016/j.neuroimage.2005.06.053
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import correlate1d
from scipy.special import ndtr

from stormcell.localization.detection_kernel import find_peaks
from stormcell.localization.image_noise import LOWEST_BACKGROUND_E

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    FrameArray = NDArray[np.float32]

_WIDE = 1.6  # ratio of the two Gaussians: close to the Laplacian of a Gaussian
_REACH = 3.0  # taps end at this many sigma


@dataclass(frozen=True)
class DetectionFilter:
    """Difference of two unit-sum Gaussians, each separable.

    Attributes
    ----------
    narrow, wide : ndarray of float32
        Half of the symmetric taps, from the centre out; equal lengths (narrow is zero-padded).
    """

    narrow: FrameArray
    wide: FrameArray

    @classmethod
    def for_sigma(cls, psf_sigma_px: float) -> DetectionFilter:
        """Make the filter that suits a PSF.

        Parameters
        ----------
        psf_sigma_px : float
            Sigma of the PSF before pixel integration, in pixels.

        Returns
        -------
        DetectionFilter
            Its narrow Gaussian is the PSF itself, the wide one 1.6 times as wide.
        """
        radius = max(2, math.ceil(_REACH * _WIDE * psf_sigma_px))
        offsets = np.arange(radius + 1)
        taps = []
        for sigma in (psf_sigma_px, _WIDE * psf_sigma_px):
            bell = np.exp(-0.5 * (offsets / sigma) ** 2)
            bell[offsets > _REACH * sigma] = 0.0
            taps.append((bell / (2.0 * bell.sum() - bell[0])).astype(np.float32))
        return cls(*taps)

    @property
    def kernel(self) -> FloatArray:
        """The two-dimensional kernel."""
        full = [np.concatenate([t[:0:-1], t]).astype(np.float64) for t in (self.narrow, self.wide)]
        difference: FloatArray = np.outer(full[0], full[0]) - np.outer(full[1], full[1])
        return difference

    def response(self, image: NDArray[np.floating]) -> FrameArray:
        """Filter an image; beyond its border it continues with its outermost pixels.

        Parameters
        ----------
        image : ndarray
            Shape (Y, X).

        Returns
        -------
        ndarray of float32
            Shape (Y, X).
        """
        narrow, wide = (_filtered(image, *(_full(t),) * 2) for t in (self.narrow, self.wide))
        return (narrow - wide).astype(np.float32)

    def noise_std(self, variance: NDArray[np.floating]) -> FloatArray:
        """Compute the standard deviation of the response to independent pixel noise.

        Parameters
        ----------
        variance : ndarray
            Shape (Y, X), variance of each pixel.

        Returns
        -------
        ndarray
            Shape (Y, X).
        """
        a, b = _full(self.narrow), _full(self.wide)
        total = sum(
            sign * _filtered(variance, product, product)
            for sign, product in ((1.0, a * a), (-2.0, a * b), (1.0, b * b))
        )
        return np.sqrt(np.maximum(total, 0.0) * self._border_gain(variance.shape))

    def _border_gain(self, shape: tuple[int, ...]) -> FloatArray:
        """Return how much the repeated border pixels raise the noise variance, relative to the interior."""
        sums = []
        for n in shape:
            few = min(n, 4 * len(self.narrow))
            a, b = (_folded(_full(t), few) for t in (self.narrow, self.wide))
            inserted = np.arange(n).clip(max=few // 2) + (np.arange(n) - (n - few)).clip(min=few // 2) - few // 2
            sums.append([(left * right).sum(1)[inserted] for left, right in ((a, a), (a, b), (b, b))])
        exact = np.zeros(shape)
        for sign, along_y, along_x in zip((1.0, -2.0, 1.0), *sums, strict=True):
            exact += sign * np.outer(along_y, along_x)
        gain: FloatArray = exact / np.square(self.kernel).sum()
        return gain


def noise_level(false_positives_per_pixel: float, detection_filter: DetectionFilter) -> float:
    """Find the level above which pure Gaussian noise has this many local maxima.

    Parameters
    ----------
    false_positives_per_pixel : float
        Expected number of local maxima (of 3 x 3 pixels) above the level, per pixel, > 0.
    detection_filter : DetectionFilter
        The filter, which sets the correlation of neighbouring pixels.

    Returns
    -------
    float
        The level in standard deviations of the response, at least 2.
    """
    kernel = detection_filter.kernel
    correlation = float((kernel[:, 1:] * kernel[:, :-1]).sum() / np.square(kernel).sum())
    levels = np.linspace(0.0, 12.0, 2401)
    h = math.sqrt((1.0 - correlation) / (1.0 + correlation))
    last_angle = math.asin(math.sqrt((1.0 - correlation**2) / 2.0))
    angles = (np.arange(200) + 0.5) / 200 * last_angle
    both_lower = np.exp(-0.5 * np.square(h * levels[:, None] / np.sin(angles))).mean(axis=1) * last_angle / math.pi
    is_peak = np.square(1.0 - 2.0 * ndtr(-h * levels) + both_lower)
    density = is_peak * np.exp(-0.5 * np.square(levels)) / math.sqrt(2 * math.pi)
    above = np.cumsum(density[::-1])[::-1] * (levels[1] - levels[0])
    return float(np.interp(math.log(false_positives_per_pixel), np.log(above[::-1] + 1e-300), levels[::-1]))


def threshold_map(
    background_e: NDArray[np.floating],
    read_variance_e2: NDArray[np.floating],
    excess_noise_factor: float,
    level: float,
    detection_filter: DetectionFilter,
    n_background_frames: float = math.inf,
    variance_scale: float | FrameArray = 1.0,
) -> tuple[FrameArray, FrameArray]:
    """Compute the response that a pixel must exceed to count as a detection.

    Parameters
    ----------
    background_e : ndarray
        Shape (Y, X), expected electrons per pixel without emitters.
    read_variance_e2 : ndarray
        Shape (Y, X).
    excess_noise_factor : float
        F^2: 1, or 2 for an EMCCD (whose counts are gamma distributed: cumulants 2, 6 and 24 times the mean).
    level : float
        From `noise_level`.
    detection_filter : DetectionFilter
        The filter.
    n_background_frames : float
        Frames averaged per pixel in the background that will be subtracted, whose own noise counts too.
    variance_scale : float or ndarray
        Measured over expected variance of the pixels, as if every count were that much larger.

    Returns
    -------
    tuple of ndarray
        Threshold and standard deviation of the response, each (Y, X) float32.
    """
    mean = np.maximum(background_e, LOWEST_BACKGROUND_E * float(np.median(variance_scale)))
    std = detection_filter.noise_std(variance_scale * (excess_noise_factor * mean + read_variance_e2))
    std *= math.sqrt(1.0 + 1.0 / n_background_frames)
    kernel = detection_filter.kernel
    multiplied = excess_noise_factor > 1.0
    skewness = (kernel**3).sum() * (6.0 if multiplied else 1.0) * mean * variance_scale**2 / std**3
    kurtosis = (kernel**4).sum() * (24.0 if multiplied else 1.0) * mean * variance_scale**3 / std**4
    z = level
    expanded = (
        z
        + np.minimum(skewness, 2.0) * (z * z - 1.0) / 6.0
        + np.minimum(kurtosis, 4.0) * (z**3 - 3.0 * z) / 24.0
        - np.minimum(skewness, 2.0) ** 2 * (2.0 * z**3 - 5.0 * z) / 36.0
    )
    return (std * expanded).astype(np.float32), std.astype(np.float32)


@dataclass(frozen=True)
class NoiseModel:
    """What detection knows about the frames of a block: background response, threshold and noise, each (Y, X)."""

    background_response: FrameArray
    threshold: FrameArray
    std: FrameArray


@dataclass(frozen=True)
class Spots:
    """Candidates before fitting, ordered by frame, row and column.

    Attributes
    ----------
    frame : ndarray of int64
        Shape (N,), index within the frames searched.
    row, column : ndarray of int64
        Shape (N,), pixel of the local maximum.
    offset_xy_px : ndarray of float32
        Shape (N, 2), sub-pixel displacement of the maximum from that pixel's centre.
    snr : ndarray of float32
        Shape (N,), response in units of its noise.
    """

    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    offset_xy_px: FrameArray
    snr: FrameArray

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def none(cls) -> Spots:
        """Make an empty list.

        Returns
        -------
        Spots
            No spots.
        """
        whole = np.zeros(0, np.int64)
        return cls(whole, whole, whole, np.zeros((0, 2), np.float32), np.zeros(0, np.float32))

    @classmethod
    def concatenate(cls, parts: list[Spots]) -> Spots:
        """Put lists behind each other.

        Parameters
        ----------
        parts : list of Spots
            Any number.

        Returns
        -------
        Spots
            All of them in order.
        """
        if not parts:
            return cls.none()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def take(self, rows: NDArray[Any]) -> Spots:
        """Select spots.

        Parameters
        ----------
        rows : ndarray
            Mask or indices.

        Returns
        -------
        Spots
            Those.
        """
        return Spots(*(getattr(self, f.name)[rows] for f in fields(self)))

    def shifted(self, n_frames: int) -> Spots:
        """Count frames from an earlier one.

        Parameters
        ----------
        n_frames : int
            Added to every frame index.

        Returns
        -------
        Spots
            The same spots.
        """
        return replace(self, frame=self.frame + n_frames)


def detect_spots(
    frames_e: FrameArray,
    detection_filter: DetectionFilter,
    models: tuple[NoiseModel, NoiseModel],
    weights: FloatArray | None = None,
) -> Spots:
    """Find local maxima above the threshold in every frame.

    Parameters
    ----------
    frames_e : ndarray of float32
        Shape (T, Y, X), electrons, all finite.
    detection_filter : DetectionFilter
        The filter.
    models : tuple of NoiseModel
        Models before and after these frames.
    weights : ndarray, optional
        Shape (T,), weight of the second model in each frame; None is 0.

    Returns
    -------
    Spots
        All candidates.
    """
    n_frames, height, width = frames_e.shape
    share = np.zeros(n_frames, np.float32) if weights is None else weights.astype(np.float32)
    backgrounds = np.stack([m.background_response for m in models])
    thresholds = np.stack([m.threshold for m in models])
    taps = np.stack([detection_filter.narrow, detection_filter.wide])
    capacity = min(height * width // 4 + 4, 256)
    while True:
        places = np.empty((n_frames, capacity), np.int32)
        details = np.empty((n_frames, capacity, 3), np.float32)
        counts = np.zeros(n_frames, np.int64)
        find_peaks(frames_e, taps, backgrounds, thresholds, share, places, details, counts)
        most = int(counts.max(initial=0))
        if most <= capacity:
            break
        capacity = most
    used = np.arange(capacity)[None, :] < counts[:, None]
    frame, place, detail = np.nonzero(used)[0], places[used].astype(np.int64), details[used]
    row, column = place // width, place % width
    return Spots(frame, row, column, detail[:, :2], detail[:, 2] / models[0].std[row, column])


def _full(half: FrameArray) -> FloatArray:
    return np.concatenate([half[:0:-1], half]).astype(np.float64)


def _filtered(image: NDArray[np.floating], along_y: FloatArray, along_x: FloatArray) -> FloatArray:
    once = correlate1d(np.asarray(image, dtype=np.float64), along_y, axis=0, mode="nearest")
    twice: FloatArray = correlate1d(once, along_x, axis=1, mode="nearest")
    return twice


def _folded(taps: FloatArray, n: int) -> FloatArray:
    """Return the (n, n) matrix of a filter whose taps beyond the border fall on the border pixels."""
    radius = len(taps) // 2
    matrix = np.zeros((n, n))
    for i in range(n):
        np.add.at(matrix[i], np.clip(np.arange(i - radius, i + radius + 1), 0, n - 1), taps)
    return matrix
