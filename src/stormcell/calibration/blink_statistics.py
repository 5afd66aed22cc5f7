"""The characteristic function of a pixel in a field of overlapping, blinking spots, in closed form.

A pixel sees the sum of all emitters around it (a compound Poisson variable), background, shot noise and read noise.
The logarithm of its characteristic function is a sum of these parts and linear in the density of emitters and in the
background, however much the spots overlap. Its mean over the field therefore depends on the mean density and the mean
background alone, whatever structure the emitters and the background have.

References
----------
.. [1] Rice, "Mathematical analysis of random noise", Bell Syst. Tech. J. 23, 282 (1944),
   doi:10.1002/j.1538-7305.1944.tb00874.x (characteristic function of overlapping pulses).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from stormcell.calibration.spot_shape import SAMPLE_AREA_PX2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.spot_shape import SpotShape

    Array = NDArray[Any]

PER_OCTAVE = 3
"""Frequencies per factor of 2."""

OCTAVES = 8
"""Factors of 2 that the frequencies span."""

_LEVELS = 120
_FAINTEST = 1e-4
_REACH_SIGMA = 3.2
_N_BRIGHT = 15
_FINE_STEPS = 50
_LEGENDRE_NODES, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(5)


@dataclass(frozen=True)
class SpotLevels:
    """How much of the plane sees a spot at which height, after a filter.

    Parameters
    ----------
    area : ndarray
        Shape (L,), px^2 that see each level.
    height : ndarray
        Shape (L,), filtered spot of total 1.
    shot : ndarray
        Shape (L,), the spot filtered with the squared weights: its shot-noise variance per unit slope.
    """

    area: Array
    height: Array
    shot: Array

    @classmethod
    def of(cls, shape: SpotShape, weights: Array) -> SpotLevels:
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
        height = np.maximum(shape.filtered(weights), 0).ravel()
        shot = np.maximum(shape.filtered(weights**2), 0).ravel()
        edges = np.append(-1.0, height.max() * np.geomspace(_FAINTEST, 1.0001, _LEVELS))
        level = np.digitize(height, edges)
        sums: list[Array] = [np.bincount(level, v, len(edges) + 1) for v in (np.ones_like(height), height, shot)]
        used = (sums[0] > 0) & (sums[1] > 0)
        count = sums[0][used]
        return cls(count * SAMPLE_AREA_PX2, sums[1][used] / count, sums[2][used] / count)


def on_fractions(on_time_frames: float) -> tuple[Array, Array]:
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


def brightness(log_spread: float, on_time_frames: float = 0.0) -> tuple[Array, Array]:
    """Discretize the distribution of an emitter's light in one frame, relative to its mean.

    Parameters
    ----------
    log_spread : float
        Standard deviation of the logarithm of the brightness of emitters (lognormal).
    on_time_frames : float
        Mean on-time as in `on_fractions`.

    Returns
    -------
    factor, weight : ndarray
        Shape (Q,), relative light with mean 1, and probabilities that sum to 1.
    """
    place = np.linspace(-_REACH_SIGMA, _REACH_SIGMA, _N_BRIGHT)
    bright, weight = np.exp(log_spread * place), np.exp(-0.5 * place**2)
    share, chance = on_fractions(on_time_frames)
    factor, weight = np.outer(bright, share).ravel(), np.outer(weight / weight.sum(), chance).ravel()
    return factor / float(factor @ weight), weight


def pulse_characteristic(
    t: Array, levels: SpotLevels, intensity: float, slope: float, nodes: tuple[Array, Array]
) -> Array:
    """Evaluate the emitters' part for a density of 1 per px^2, about its mean.

    Parameters
    ----------
    t : ndarray
        Shape (J,), angular frequencies, radians per ADU; `PER_OCTAVE` to each of `OCTAVES` octaves.
    levels : SpotLevels
        The filtered spot.
    intensity : float
        Mean light of an emitter in a frame, ADU.
    slope : float
        Shot-noise variance per mean, ADU.
    nodes : tuple of ndarray
        Relative light and probabilities, as `brightness` gives them.

    Returns
    -------
    ndarray
        Shape (J,), complex logarithm.
    """
    factor, weight = nodes
    light = intensity * factor[:, None]
    area = (weight[:, None] * levels.area).ravel()
    height, damping = (light * levels.height).ravel(), (0.5 * slope * light * levels.shot).ravel()
    total: Array = _sum_pulses(area, height, damping, t[:PER_OCTAVE], OCTAVES)
    centred: Array = total - area.sum() - 1j * t * float(area @ height)
    return centred


@dataclass(frozen=True)
class Noise:
    """Noise of a pixel.

    Parameters
    ----------
    slope : float
        Shot-noise variance per mean, ADU.
    excess_noise_factor : float
        2 for an EMCCD, else 1.
    read_variance : float
        Variance of the read noise, ADU^2.
    """

    slope: float
    excess_noise_factor: float
    read_variance: float

    def shot_characteristic(self, t: Array, weights: Array, variance: float) -> Array:
        """Evaluate the shot noise of the background behind a filter, about its mean.

        Parameters
        ----------
        t : ndarray
            Shape (J,), angular frequencies, radians per ADU.
        weights : ndarray
            Filter weights.
        variance : float
            Typical variance of a pixel, ADU^2; decides whether single electrons can show.

        Returns
        -------
        ndarray
            Shape (J,), complex logarithm for a shot-noise variance of 1 ADU^2.
        """
        step = self.slope / self.excess_noise_factor
        if step * _FINE_STEPS < np.sqrt(variance) * float(np.max(weights)):
            return gaussian_characteristic(t, weights) + 0j
        values, counts = np.unique(np.round(weights.ravel(), 9), return_counts=True)
        phase = 1j * np.outer(t, values * step)
        jump = phase / (1 - phase) if self.excess_noise_factor == 2.0 else np.exp(phase) - 1
        total: Array = (jump - phase) @ counts / (self.excess_noise_factor * step**2)
        return total


def gaussian_characteristic(t: Array, weights: Array) -> Array:
    """Evaluate Gaussian noise behind a filter.

    Parameters
    ----------
    t : ndarray
        Shape (J,), angular frequencies, radians per ADU.
    weights : ndarray
        Filter weights.

    Returns
    -------
    ndarray
        Shape (J,), real logarithm for a variance of 1 ADU^2 per pixel.
    """
    return -0.5 * t**2 * float(np.sum(weights**2))


@njit(cache=True, nogil=True)
def _sum_pulses(area: Array, height: Array, damping: Array, t: Array, n_octaves: int) -> Array:
    """Sum area * exp(i t height - damping t^2) for t, 2 t, 4 t, ...; every doubling squares the wave."""
    n_base = len(t)
    total = np.zeros(n_octaves * n_base, np.complex128)
    for k in range(area.size):
        for base in range(n_base):
            phase = t[base] * height[k]
            wave = complex(np.cos(phase), np.sin(phase))
            shrink = np.exp(-damping[k] * t[base] ** 2)
            for octave in range(n_octaves):
                total[octave * n_base + base] += area[k] * shrink * wave
                wave = wave * wave
                shrink = shrink**4
    return total
