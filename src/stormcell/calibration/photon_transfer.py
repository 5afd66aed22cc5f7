"""Gain and effective offset from the noise of a blinking movie, without a flat field.

Shot noise ties the variance of a pixel to its mean: var = slope * (mean - effective offset), with slope = F^2 / gain
in ADU. Blinking adds variance of its own, so the noise is measured where spots have no power: in a high-pass filtered
movie q. The covariance of q^2 with the smoothed movie s, frame by frame and place by place, divided by the variance
of the (noise-free) intensity gives the slope. What little of the spots passes the filter is a third moment of the
emitters and is removed by solving for it together with the slope (Campbell's theorem for third cumulants).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from stormcell.calibration.patches import patch_means
from stormcell.calibration.spot_shape import SAMPLE_AREA_PX2, SpotShape, kernel_transfer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]

_ORDERS = (2, 4, 6, 8)
_LOW_SIGMA_PX = (1.0, 2.2)
_TOLERATED_LEAK = 0.01
_NEGLIGIBLE_LEAK = 2e-4
_FAINT = 0.1
_FRAMES_PER_POINT = 40


@dataclass(frozen=True)
class TransferFilters:
    """A high-pass filter that spots hardly pass, and a low-pass filter for the local intensity.

    Parameters
    ----------
    high : ndarray
        Shape (odd, odd), weights whose squares sum to 1.
    low : ndarray
        Shape (odd, odd), weights that sum to 1.
    leak : float
        Predicted power of the spots behind the high-pass filter as a share of the noise.
    """

    high: Array
    low: Array
    leak: float


@dataclass(frozen=True)
class TransferSums:
    """Mean moments of every run of frames.

    With s the smoothed movie, w its fluctuation, r = s - w what is left of it (mean and trend of each pixel), q the
    high-passed fluctuation and m the movie averaged with the squared high-pass weights.

    Parameters
    ----------
    moments : ndarray
        Shape (n_blocks, 9): frames, s, m, m s, q^2, r, q^2 r, q^2 w, w^3.
    third_order : float
        Factor that makes the last two unbiased.
    n_frames : int
        Frames in all.
    level : float
        Grey value that was subtracted from the movie beforehand.
    """

    moments: Array
    third_order: float
    n_frames: int
    level: float


def choose_filters(fit: SpectrumFit) -> TransferFilters:
    """Choose the high-pass filter that keeps most noise where spots of this shape leak little.

    Parameters
    ----------
    fit : SpectrumFit
        Shape and strength of the spots.

    Returns
    -------
    TransferFilters
        The filters.
    """
    k = np.fft.fftfreq(64)
    spots = fit.shape.power(k[:, None], k[None, :]) * (fit.signal / fit.floor)
    best: tuple[float, Array, float] | None = None
    for order in _ORDERS:
        high = _alternating(order)
        passed = kernel_transfer(high, k[:, None], k[None, :]) ** 2
        leak = float(np.mean(passed * spots))
        score = 1 / float(np.mean(passed**2)) / (1 + leak / _TOLERATED_LEAK)
        if best is None or score > best[0]:
            best = (score, high, leak)
    assert best is not None  # noqa: S101 - the loop runs
    width = (
        float(np.clip(1.2 * fit.shape.sigma_px, *_LOW_SIGMA_PX))
        if fit.signal > _FAINT * fit.floor
        else _LOW_SIGMA_PX[0]
    )
    return TransferFilters(best[1], gaussian_kernel(width), best[2])


def gaussian_kernel(sigma_px: float) -> Array:
    """Sample a normalized Gaussian.

    Parameters
    ----------
    sigma_px : float
        Standard deviation, > 0.

    Returns
    -------
    ndarray
        Shape (odd, odd), sum 1, cut at 4 sigma.
    """
    half = int(4 * sigma_px + 0.5)
    line = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma_px) ** 2)
    line /= line.sum()
    return np.outer(line, line)


def measure_transfer(sample: FrameSample, fluctuations: Fluctuations, filters: TransferFilters) -> TransferSums:
    """Collect the moments that gain and offset follow from.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.
    fluctuations : Fluctuations
        The same about each pixel's own mean and trend.
    filters : TransferFilters
        High-pass and low-pass.

    Returns
    -------
    TransferSums
        Moments run by run.
    """
    rim = max(filters.high.shape[0], filters.low.shape[0]) // 2
    rim = min(rim, (min(sample.tiles.shape[2:]) - 2) // 2)
    inner = (slice(None), slice(None), slice(rim, -rim or None), slice(rim, -rim or None))
    low, high, square = (_line(kernel) for kernel in (filters.low, filters.high, filters.high**2))
    level = np.float32(sample.tiles.mean())
    rows = []
    for run in range(sample.n_blocks):
        first, last = np.searchsorted(sample.block, (run, run + 1))
        movie, rest = sample.tiles[:, first:last] - level, fluctuations.values[:, first:last]
        s, m, w = (_separable(*pair)[inner].astype(float) for pair in ((movie, low), (movie, square), (rest, low)))
        q2 = _separable(rest, high)[inner].astype(float) ** 2
        r = s - w / fluctuations.scale
        products = (s, m, m * s, q2, r, q2 * r, q2 * w, w**3)
        rows.append([float(last - first), *(float(field.mean()) for field in products)])
    return TransferSums(np.array(rows), fluctuations.third_order, sample.n_frames, float(level))


def solve_slope(
    sums: TransferSums,
    filters: TransferFilters,
    fit: SpectrumFit,
    excess_noise_factor: float,
    run_weights: Array | None = None,
) -> tuple[float, float]:
    """Solve for the slope of variance against mean.

    Parameters
    ----------
    sums : TransferSums
        Measured moments.
    filters : TransferFilters
        The filters they were measured with.
    fit : SpectrumFit
        Spot shape, signal and floor.
    excess_noise_factor : float
        2 for an EMCCD, else 1.
    run_weights : ndarray, optional
        Shape (n_blocks,), weight of every run.

    Returns
    -------
    slope : float
        Variance per mean, ADU; F^2 / gain. Not positive where the movie does not say.
    contrast : float
        Variance of the local intensity that carries it, ADU^2.
    """
    weights = sums.moments[:, 0] * (1 if run_weights is None else run_weights)
    _, s, m, ms, q2, r, q2r, q2w, w3 = np.average(sums.moments, axis=0, weights=weights)
    # each pixel's mean shares noise with its fluctuations: third cumulants are taken as k-statistics
    in_time = q2w * sums.third_order
    covariance = in_time * (1 - 1 / sums.n_frames) + (q2r - q2 * r)
    overlap = _overlaps(filters, fit.shape)
    shot = fit.floor * float(np.sum(_padded(filters.high**2, filters.low) * filters.low))
    contrast = (ms - m * s) - shot
    skew = (6.0 if excess_noise_factor == 2.0 else 1.0) / excess_noise_factor**2 * fit.floor
    shot_term = contrast + 2 * fit.signal * overlap["cross"] + skew * overlap["high_low"]
    if filters.leak < _NEGLIGIBLE_LEAK or fit.signal < _FAINT * fit.floor:
        return float(covariance / shot_term), float(contrast)
    matrix = np.array(
        [
            [overlap["leak"], shot_term],
            [overlap["low_third"], 3 * fit.signal * overlap["low_cross"] + skew * overlap["low_cube"]],
        ]
    )
    try:
        _, slope = np.linalg.solve(matrix, np.array([covariance, w3 * sums.third_order]))
    except np.linalg.LinAlgError:
        return 0.0, float(contrast)
    return float(slope), float(contrast)


def transfer_points(sample: FrameSample, fluctuations: Fluctuations, filters: TransferFilters) -> tuple[Array, Array]:
    """Measure mean and noise variance of small patches.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.
    fluctuations : Fluctuations
        The same about each pixel's own mean and trend.
    filters : TransferFilters
        The high-pass filter that keeps the blinking out.

    Returns
    -------
    mean_adu, variance_adu2 : ndarray
        Shape (N,), of patches of 8 x 8 px, each over at least 40 frames where the movie has them.
    """
    noise = _separable(fluctuations.values, _line(filters.high)) ** 2
    n_parts = max(1, sample.n_frames // _FRAMES_PER_POINT)
    means: list[Array] = []
    variances: list[Array] = []
    for part in np.array_split(np.arange(sample.n_frames), n_parts):
        frames = slice(part[0], part[-1] + 1)
        means.append(patch_means(sample.tiles[:, frames].mean(axis=1)))
        variances.append(patch_means(noise[:, frames].mean(axis=1)))
    return np.concatenate(means), np.concatenate(variances)


def _overlaps(filters: TransferFilters, shape: SpotShape) -> dict[str, float]:
    """Integrals of products of the filtered spot over its position (Campbell's theorem)."""
    high, low = filters.high, filters.low
    if low.shape[0] < high.shape[0]:
        low = _padded(low, high)
    else:
        high = _padded(high, low)
    passed_high, passed_low = shape.filtered(high), shape.filtered(low)
    area = SAMPLE_AREA_PX2
    return {
        "leak": float(np.sum(passed_high**2 * passed_low)) * area,
        "cross": float(np.sum(shape.filtered(high * low) * passed_high)) * area,
        "high_low": float(np.sum(high**2 * low)),
        "low_third": float(np.sum(passed_low**3)) * area,
        "low_cross": float(np.sum(shape.filtered(low**2) * passed_low)) * area,
        "low_cube": float(np.sum(low**3)),
    }


def _alternating(order: int) -> Array:
    line = np.ones(1)
    for _ in range(order):
        line = np.convolve(line, [1.0, -1.0])
    line = line / np.linalg.norm(line)
    return np.outer(line, line)


def _line(kernel: Array) -> NDArray[np.float32]:
    """One factor of a separable, symmetric kernel, so that line x line is the kernel."""
    middle = kernel.shape[0] // 2
    line: NDArray[np.float32] = (kernel[middle] / np.sqrt(kernel[middle, middle])).astype(np.float32)
    return line


def smoothed(frames: NDArray[np.float32], kernel: Array) -> NDArray[np.float32]:
    """Filter frames with a separable, symmetric kernel.

    Parameters
    ----------
    frames : ndarray
        Shape (n, T, h, w).
    kernel : ndarray
        Shape (odd, odd), the outer product of a line with itself.

    Returns
    -------
    ndarray
        The same shape; mirrored at the rim.
    """
    return _separable(frames, _line(kernel))


def _separable(frames: NDArray[np.float32], line: NDArray[np.float32]) -> NDArray[np.float32]:
    along = ndimage.convolve1d(frames, line, axis=2, mode="reflect")
    both: NDArray[np.float32] = np.asarray(ndimage.convolve1d(along, line, axis=3, mode="reflect"))
    return both


def _padded(kernel: Array, like: Array) -> Array:
    """Put a kernel into the middle of zeros of another one's shape, where that is larger."""
    margin = (like.shape[0] - kernel.shape[0]) // 2
    return np.pad(kernel, margin) if margin > 0 else kernel
