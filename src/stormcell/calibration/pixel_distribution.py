"""The exact distribution of a pixel's grey value in a field of overlapping, blinking spots.

A pixel sees the sum of all emitters around it (a compound Poisson variable), background, shot noise and read noise.
Its characteristic function is a closed expression in density, photons and their spread, however much the spots
overlap, and its inverse Fourier transform is the histogram to expect. Fitting measured histograms with it needs no
single spot found.

References
----------
.. [1] Rice, "Mathematical analysis of random noise", Bell Syst. Tech. J. 23, 282 (1944),
   doi:10.1002/j.1538-7305.1944.tb00874.x (characteristic function of overlapping pulses).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numba import njit

from stormcell.calibration.spot_shape import SAMPLE_AREA_PX2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.spot_shape import SpotShape

    Array = NDArray[Any]

_LEVELS = 200
_FAINTEST = 1e-4
_PULSE_CLASSES = 240
_ATTENUATED = 30.0
_REACH_SIGMA = 3.4
_N_BRIGHT = 25
_FINE_STEPS = 50
_LEGENDRE_NODES, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(6)


@dataclass(frozen=True)
class SpotLevels:
    """How much of the plane sees a spot at which height, after the filter.

    Parameters
    ----------
    area : ndarray
        Shape (L,), px^2 that see each level.
    height : ndarray
        Shape (L,), filtered spot of total 1.
    shot : ndarray
        Shape (L,), the spot filtered with the squared weights: its shot-noise variance per unit slope.
    variance : ndarray
        Shape (L,), variance of the height within each level.
    weights : ndarray
        Shape (n, n), the filter; its squares sum to `noise`.
    """

    area: Array
    height: Array
    shot: Array
    variance: Array
    weights: Array

    @property
    def noise(self) -> float:
        """Factor by which the filter reduces the variance of white noise."""
        return float(np.sum(self.weights**2))


def spot_levels(shape: SpotShape, weights: Array) -> SpotLevels:
    """Sort the plane around a spot by the height at which it sees the spot.

    Parameters
    ----------
    shape : SpotShape
        The spot.
    weights : ndarray
        Shape (odd, odd), filter that the movie was smoothed with.

    Returns
    -------
    SpotLevels
        Levels evenly spaced in the logarithm.
    """
    image = np.maximum(shape.filtered(weights), 0)
    # heights change within the cell of the fine grid that a sample stands for
    slopes = [(np.roll(image, -1, axis) - np.roll(image, 1, axis)) / 2 for axis in (0, 1)]
    within = (slopes[0] ** 2 + slopes[1] ** 2).ravel() / 12
    height, shot = image.ravel(), np.maximum(shape.filtered(weights**2), 0).ravel()
    edges = np.append(-1.0, height.max() * np.geomspace(_FAINTEST, 1.0001, _LEVELS))
    level = np.digitize(height, edges)
    values = (np.ones_like(height), height, shot, within + height**2)
    sums: list[Array] = [np.bincount(level, value, len(edges) + 1) for value in values]
    used = (sums[0] > 0) & (sums[1] > 0)
    area = sums[0][used]
    mean, noise, square = (total[used] / area for total in sums[1:])
    return SpotLevels(area * SAMPLE_AREA_PX2, mean, noise, np.maximum(square - mean**2, 0), weights)


def brightness_nodes(log_spread: float, on_time_frames: float = 0.0) -> tuple[Array, Array, Array]:
    """Discretize the distribution of an emitter's light in one frame, relative to its mean.

    Parameters
    ----------
    log_spread : float
        Standard deviation of the logarithm of the brightness of emitters.
    on_time_frames : float
        Mean on-time; above 0, emitters are on for exponential times that begin and end within frames. 0: each emitter
        is on for the whole of its frame.

    Returns
    -------
    factor, weight, variance : ndarray
        Shape (Q,), relative light with mean 1, probabilities that sum to 1, and variance that each node stands for.
    """
    place = np.linspace(-_REACH_SIGMA, _REACH_SIGMA, _N_BRIGHT)
    bright, weight = np.exp(log_spread * place), np.exp(-0.5 * place**2)
    share, chance = on_fraction_nodes(on_time_frames)
    factor, weight = np.outer(bright, share).ravel(), np.outer(weight / weight.sum(), chance).ravel()
    factor = factor / float(factor @ weight)
    return factor, weight, (factor * log_spread * (place[1] - place[0])) ** 2 / 12


def on_fraction_nodes(on_time_frames: float) -> tuple[Array, Array]:
    """Discretize the share of a frame during which an emitter is on, given that it is on at all.

    An event of exponential length tau that starts anywhere touches 1 + tau frames on average. Over these, the share f
    has density exp(-f / tau) * (2 + (1 - f) / tau) / (1 + tau), and the frame is full with probability
    tau * exp(-1 / tau) / (1 + tau).

    Parameters
    ----------
    on_time_frames : float
        tau; 0 means whole frames.

    Returns
    -------
    share, weight : ndarray
        Shape (Q,), shares in (0, 1], and probabilities that sum to 1.
    """
    if on_time_frames <= 0:
        return np.ones(1), np.ones(1)
    tau = on_time_frames
    share = 0.5 * (_LEGENDRE_NODES + 1)
    weight = 0.5 * _LEGENDRE_WEIGHTS * np.exp(-share / tau) * (2 + (1 - share) / tau) / (1 + tau)
    full = tau * np.exp(-1 / tau) / (1 + tau)
    share, weight = np.append(share, 1.0), np.append(weight, full)
    return share, weight / weight.sum()


@dataclass(frozen=True)
class GreyGrid:
    """Evenly spaced grey values.

    Parameters
    ----------
    start : float
        Lower edge of the first bin, ADU.
    width : float
        Width of a bin, ADU.
    n_bins : int
        Number of bins, a power of 2.
    """

    start: float
    width: float
    n_bins: int

    @property
    def frequencies(self) -> Array:
        """Angular frequencies of the Fourier transform, radians per ADU."""
        return 2 * np.pi * np.fft.rfftfreq(self.n_bins, self.width)


@dataclass(frozen=True)
class Pulses:
    """Log characteristic function of the emitters for a density of 1 per px^2, about its mean.

    Parameters
    ----------
    log_characteristic : ndarray
        Shape (n_bins / 2 + 1,), complex.
    """

    log_characteristic: Array


def pulse_train(
    levels: SpotLevels, grid: GreyGrid, intensity: float, slope: float, nodes: tuple[Array, Array, Array]
) -> Pulses:
    """Evaluate the emitters' part of the characteristic function.

    Parameters
    ----------
    levels : SpotLevels
        The filtered spot.
    grid : GreyGrid
        Grey values.
    intensity : float
        Mean light of an emitter in a frame, ADU.
    slope : float
        Shot-noise variance per mean, ADU.
    nodes : tuple of ndarray
        Relative light, probabilities and variances, as `brightness_nodes` gives them.

    Returns
    -------
    Pulses
        For any density.
    """
    factor, weight, scatter = nodes
    light = intensity * factor[:, None]
    height = (light * levels.height).ravel()
    shot = (light * levels.shot).ravel()
    area = (weight[:, None] * levels.area).ravel()
    spread = (light**2 * levels.variance + intensity**2 * scatter[:, None] * levels.height**2).ravel()
    logarithm = np.log(height)
    low, span = logarithm.min(), np.ptp(logarithm) + 1e-9
    member = np.minimum((_PULSE_CLASSES * (logarithm - low) / span).astype(np.int64), _PULSE_CLASSES - 1)
    values = (np.ones_like(area), height, shot, spread + height**2)
    sums: list[Array] = [np.bincount(member, area * value, _PULSE_CLASSES) for value in values]
    used = sums[0] > 0
    total = sums[0][used]
    mean, noise, square = (part[used] / total for part in sums[1:])
    # heights within a class differ: to second order a little more noise
    damping = 0.5 * (slope * noise + np.maximum(square - mean**2, 0))
    n = grid.n_bins // 2 + 1
    return Pulses(_sum_pulses(total, mean, damping, 2 * np.pi / (grid.n_bins * grid.width), n))


def expected_shares(
    pulses: Pulses, grid: GreyGrid, density: float, mean: float, noise_log_characteristic: Array
) -> Array:
    """Compute the share of pixels in every bin.

    Parameters
    ----------
    pulses : Pulses
        The emitters' part.
    grid : GreyGrid
        Grey values.
    density : float
        Emitters per px^2 and frame.
    mean : float
        Mean grey value.
    noise_log_characteristic : ndarray
        Noise where no emitter is, as `BackgroundNoise.log_characteristic` gives it.

    Returns
    -------
    ndarray
        Shape (n_bins,), sum about 1; rounding errors may leave values slightly below 0.
    """
    t = grid.frequencies
    log_characteristic = density * pulses.log_characteristic + noise_log_characteristic
    # a pixel value counts for its bin: the bin's own width
    centred = np.exp(log_characteristic + 1j * t * (mean - grid.start - 0.5 * grid.width))
    centred *= np.sinc(t * grid.width / (2 * np.pi))
    shares: Array = np.fft.irfft(np.conj(centred), grid.n_bins)
    return shares


@dataclass(frozen=True)
class Noise:
    """Noise of a pixel.

    Parameters
    ----------
    variance : float
        Of one pixel, ADU^2, shot noise and all.
    slope : float
        Shot-noise variance per mean, ADU.
    excess_noise_factor : float
        2 for an EMCCD, else 1.
    gaussian : float
        The part of the variance that is not shot noise (read noise, rounding), ADU^2.
    """

    variance: float
    slope: float
    excess_noise_factor: float
    gaussian: float = 0.0


@dataclass(frozen=True)
class BackgroundNoise:
    """Characteristic function of the noise after a filter, for any brightness of the background.

    Parameters
    ----------
    per_shot : ndarray
        Shape (n,), complex: about the mean, for a shot-noise variance of 1 ADU^2 before the filter.
    per_gaussian : ndarray
        Shape (n,), for a Gaussian variance of 1 ADU^2.
    gaussian : float
        Gaussian part of the variance, ADU^2.
    """

    per_shot: Array
    per_gaussian: Array
    gaussian: float

    @classmethod
    def of(cls, noise: Noise, grid: GreyGrid, weights: Array) -> Self:
        """Prepare the noise of a camera.

        Parameters
        ----------
        noise : Noise
            Its slope, kind and Gaussian part count.
        grid : GreyGrid
            Grey values.
        weights : ndarray
            Filter weights.

        Returns
        -------
        BackgroundNoise
            For any background.
        """
        t = grid.frequencies
        gaussian = -0.5 * t**2 * float(np.sum(weights**2))
        step = noise.slope / noise.excess_noise_factor
        if step * _FINE_STEPS < np.sqrt(noise.variance) * float(np.max(weights)):
            return cls(gaussian + 0j, gaussian, noise.gaussian)
        values, counts = np.unique(np.round(weights.ravel(), 9), return_counts=True)
        total = np.zeros(t.shape, np.complex128)
        for value, count in zip(values * step, counts, strict=True):
            phase = 1j * t * value
            jump = phase / (1 - phase) if noise.excess_noise_factor == 2.0 else np.exp(phase) - 1
            total += count * (jump - phase)
        return cls(total / (noise.excess_noise_factor * step**2), gaussian, noise.gaussian)

    def log_characteristic(self, variance: float) -> Array:
        """Evaluate the log characteristic function about the mean.

        Parameters
        ----------
        variance : float
            Of one background pixel before the filter, ADU^2.

        Returns
        -------
        ndarray
            Shape (n,), complex.
        """
        shot = max(variance - self.gaussian, 0.05 * variance)
        total: Array = shot * self.per_shot + (variance - shot) * self.per_gaussian
        return total


@njit(cache=True, nogil=True)
def _sum_pulses(area: Array, height: Array, damping: Array, step: float, n: int) -> Array:
    """Sum area * (exp(i t height - damping t^2) - 1 - i t height) over pulses, t = 0, step, 2 step, ...

    Powers of one complex number per pulse replace the exponentials; a pulse stops where its noise has damped it away.
    """
    total = np.zeros(n, np.complex128)
    weight, lift = 0.0, 0.0
    for k in range(area.size):
        weight += area[k]
        lift += area[k] * height[k]
        turn = np.exp(1j * height[k] * step)
        ratio = np.exp(-damping[k] * step * step)
        shrink = ratio * ratio
        value = complex(area[k], 0.0)
        last = n
        if damping[k] > 0.0:
            last = min(n, int(np.sqrt(_ATTENUATED / damping[k]) / step) + 2)
        for j in range(last):
            total[j] += value
            value = value * turn * ratio
            ratio *= shrink
    for j in range(n):
        total[j] -= complex(weight, lift * step * j)
    return total
