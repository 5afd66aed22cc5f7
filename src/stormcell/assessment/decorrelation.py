"""Image decorrelation analysis: the resolution of one image, from its own spectrum.

A. Descloux, K. S. Grussmayer, A. Radenovic, "Parameter-free image resolution estimation based on decorrelation
analysis", Nat. Methods 16, 918 (2019), doi:10.1038/s41592-019-0515-7.

The image is compared with itself after all Fourier coefficients were set to magnitude one, up to a growing radius;
the curve peaks where signal ends. High-pass filters move the peak outwards; the farthest one counts. Filters and
masks are all radial, so that sums of |F| and |F|^2 over rings hold everything: one transform, then short vectors.

Differs from the paper: no further transforms; rings follow the true frequency on images of any shape, not padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
from pydantic import Field
from scipy import fft

from stormcell.assessment.ring_sums import Rings, magnitude_rings
from stormcell.errors import InputError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.sr_image import SRImage

_MIN_PROMINENCE = 0.001
_NARROWEST_SIGMA_PX = 0.14
_EDGE_PX = 20


class DecorrelationSettings(Settings):
    """How finely the curves are sampled."""

    n_radii: int = Field(default=50, ge=10, le=1000)
    """Radii at which each curve is evaluated."""
    n_filters: int = Field(default=10, ge=3, le=100)
    """High-pass filters in each of the two passes."""


@dataclass(frozen=True)
class DecorrelationResult:
    """A resolution with its curves.

    Parameters
    ----------
    resolution_nm : float or None
        Inverse of the highest frequency at which a curve peaks; None where none does.
    frequency_per_nm : ndarray
        Shape (R,): radii of the unfiltered curve.
    curve : ndarray
        Shape (R,): decorrelation of the unfiltered image.
    peaks_per_nm, peak_heights : ndarray
        Shape (P,): where the curves peak, unfiltered first, and how high.
    snr : float
        Height of the unfiltered peak, the paper's measure of signal to noise.
    note : str
        Why there is no number, or empty.
    """

    resolution_nm: float | None
    frequency_per_nm: NDArray[np.float64]
    curve: NDArray[np.float64]
    peaks_per_nm: NDArray[np.float64]
    peak_heights: NDArray[np.float64]
    snr: float
    note: str = ""


def decorrelation(image: SRImage, settings: DecorrelationSettings | None = None) -> DecorrelationResult:
    """Measure the resolution of one image.

    Parameters
    ----------
    image : SRImage
        At least 32 x 32 pixels, finite, not constant.
    settings : DecorrelationSettings, optional
        Radii and filters.

    Returns
    -------
    DecorrelationResult
        The number and its curves. Noise that was smoothed by a rendering kernel reads as signal: the number says how
        fine the image is drawn, not that it is right.

    Raises
    ------
    InputError
        The image is too small, constant or not finite.
    """
    settings = settings or DecorrelationSettings()
    rings = _rings(image.pixels)
    radius = np.linspace(0, 1, settings.n_radii)
    curve = _curve(rings, radius, None)
    first = _peak(curve, radius)
    peaks = [first]
    low, high = _NARROWEST_SIGMA_PX, (2 / first[0] if first[0] > 0 else min(image.pixels.shape) / 2)
    sigmas = np.geomspace(low, max(high, 2 * low), settings.n_filters)
    coarse = [_peak(_curve(rings, radius, sigma), radius) for sigma in sigmas]
    peaks += coarse
    fine_radius, fine_sigmas = _around_the_best(coarse, first, sigmas, radius, min(image.pixels.shape))
    peaks += [_peak(_curve(rings, fine_radius, sigma), fine_radius) for sigma in fine_sigmas]
    places, heights = (np.array(values, dtype=np.float64) for values in zip(*peaks, strict=True))
    nyquist = 0.5 / image.sr_pixel_size_nm
    best = float(places.max())
    number, note = (1 / (best * nyquist), "") if best > 0 else (None, "no curve has a peak: the image is noise")
    return DecorrelationResult(number, radius * nyquist, curve, places * nyquist, heights, float(first[1]), note)


def _rings(pixels: NDArray[np.float32]) -> Rings:
    if min(pixels.shape) < 32:
        msg = f"expected an image of at least 32 x 32 pixels for a decorrelation analysis, got {pixels.shape}"
        raise InputError(msg)
    if not np.isfinite(pixels).all():
        bad = int((~np.isfinite(pixels)).sum())
        msg = f"expected finite pixels for a decorrelation analysis, got {bad} that are not"
        raise InputError(msg)
    if float(pixels.min()) == float(pixels.max()):
        msg = "expected structure for a decorrelation analysis, got the same value in every pixel"
        raise InputError(msg)
    spectrum = fft.rfft2(_faded(pixels), workers=numba.get_num_threads(), overwrite_x=True)
    spectrum[0, 0] = 0
    return magnitude_rings(spectrum, (pixels.shape[0], pixels.shape[1]))


def _faded(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fade to the mean of what lies outside the inscribed ellipse, so that no frame stands out."""
    ramps = [_fade(side) for side in pixels.shape]
    off = [
        ((np.arange(side) + 0.5) / side * 2 - 1) ** 2 / (1 - 2 * _edge_px(side) / side) ** 2 for side in pixels.shape
    ]
    outside = off[0][:, None] + off[1][None, :] > 1
    level = np.float32(pixels[outside].mean(dtype=np.float64))
    faded = pixels - level
    faded *= np.minimum(ramps[0][:, None], ramps[1][None, :])
    return faded.astype(np.float32, copy=False)


def _edge_px(side: int) -> int:
    return min(_EDGE_PX, side // 8)


def _fade(side: int) -> NDArray[np.float32]:
    """Cosine ramps at both ends."""
    width = _edge_px(side)
    ramp = np.ones(side, dtype=np.float32)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / width)
    ramp[:width], ramp[side - width :] = rise, rise[::-1]
    return ramp


def _curve(rings: Rings, radius: NDArray[np.float64], sigma_px: float | None) -> NDArray[np.float64]:
    """Correlation of the high-passed image with its normalised self within each radius (1 = Nyquist)."""
    magnitude, power = rings.sums
    if sigma_px is not None:
        passed = -np.expm1(-2 * (math.pi * sigma_px * rings.frequency) ** 2)
        magnitude, power = magnitude * passed, power * passed**2
    # A radius takes in the rings up to half a step beyond it.
    step = radius[1] - radius[0]
    last = np.searchsorted(2 * rings.frequency, radius + step / 2, side="right") - 1
    last = np.minimum(last, len(power) - 1)
    within, count = np.cumsum(magnitude)[last], np.cumsum(rings.n_values)[last]
    curve: NDArray[np.float64] = within / np.sqrt(power.sum() * count)
    return curve


def _peak(curve: NDArray[np.float64], radius: NDArray[np.float64]) -> tuple[float, float]:
    """Radius and height of the highest peak that falls again by a thousandth; (0, start) where there is none."""
    end = len(curve)
    while end > 1:
        top = int(np.argmax(curve[:end]))
        if top == 0:
            break
        if top < end - 1 and curve[top] - curve[top:end].min() >= _MIN_PROMINENCE:
            return float(radius[top]), float(curve[top])
        end = top
    return 0.0, float(curve[0])


def _around_the_best(
    coarse: list[tuple[float, float]],
    first: tuple[float, float],
    sigmas: NDArray[np.float64],
    radius: NDArray[np.float64],
    side: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radii and filters of the second pass: about the farthest peak and the best compromise with its height."""
    peaks = [*coarse, first]
    farthest = max(range(len(peaks)), key=lambda i: peaks[i][0])
    balanced = max(range(len(peaks)), key=lambda i: peaks[i][0] * peaks[i][1])
    low, high = sorted((peaks[farthest][0], peaks[balanced][0]))
    fine = np.linspace(max(low - 0.05, 0.0), min(high + 0.3, 1.0), len(radius))
    n = len(sigmas)
    nearest, last = sorted((farthest, balanced))
    if last < n:
        ends = sigmas[max(nearest - 1, 0)], sigmas[last]
    else:
        ends = (2 / side, sigmas[-1])
    return fine, np.geomspace(ends[0], ends[1], n)
