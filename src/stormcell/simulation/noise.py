"""Fast camera noise on the CPU: exact Poisson, gamma and normal numbers, every sample with a stream of its own.

Each sample's stream depends on (seed, step, sample) alone, so neither the number of threads nor the order matters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / 9007199254740992.0
_SMALL_RATE = 10.0
"""Below it Poisson numbers come from a product of uniforms, above from transformed rejection; both are exact."""


@numba.njit(cache=True, nogil=True, inline="always")
def _mix(z: Any) -> Any:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def stream(seed: int, step: int, member: int) -> NDArray[np.uint64]:
    """Start a stream of random numbers (numba).

    Parameters
    ----------
    seed, step, member : int
        What the stream depends on, >= 0.

    Returns
    -------
    ndarray
        Its state, shape (1,), uint64.

    References
    ----------
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, doi:10.1145/2660193.2660195
    (SplitMix64).
    """
    state = np.empty(1, np.uint64)
    key = _mix(np.uint64(seed) + _GOLDEN)
    key = _mix(key ^ (np.uint64(step) * _MIX_1 + _GOLDEN))
    state[0] = _mix(key ^ (np.uint64(member) * _MIX_2 + _GOLDEN))
    return state


@numba.njit(cache=True, nogil=True, inline="always")
def uniform(state: NDArray[np.uint64]) -> float:
    """Draw a number above 0 and up to 1 (numba).

    Parameters
    ----------
    state : ndarray
        The stream, advanced by one.

    Returns
    -------
    float
        Uniform on (0, 1].
    """
    state[0] += _GOLDEN
    return (np.float64(_mix(state[0]) >> np.uint64(11)) + 1.0) * _TO_UNIT


@numba.njit(cache=True, nogil=True)
def normal(state: NDArray[np.uint64]) -> float:
    """Draw a standard normal number (numba).

    Parameters
    ----------
    state : ndarray
        The stream.

    Returns
    -------
    float
        Mean 0, standard deviation 1 (ratio of uniforms; Leva's bounds).

    References
    ----------
    Leva, "A fast normal random number generator", ACM Trans. Math. Softw. 18, 449 (1992), doi:10.1145/138351.138364.
    """
    while True:
        u = uniform(state)
        v = 1.7156 * (uniform(state) - 0.5)
        x = u - 0.449871
        y = abs(v) + 0.386595
        q = x * x + y * (0.19600 * y - 0.25472 * x)
        if q < 0.27597 or (q <= 0.27846 and v * v <= -4.0 * math.log(u) * u * u):
            return v / u


@numba.njit(cache=True, nogil=True)
def poisson(state: NDArray[np.uint64], rate: float) -> float:
    """Draw a Poisson number (numba).

    Parameters
    ----------
    state : ndarray
        The stream.
    rate : float
        Expected value; 0 and below give 0.

    Returns
    -------
    float
        A whole number.

    References
    ----------
    Hormann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
    Economics 12, 39 (1993), doi:10.1016/0167-6687(93)90997-4, algorithm PTRS.
    """
    if rate <= 0.0:
        return 0.0
    if rate < _SMALL_RATE:
        limit = math.exp(-rate)
        product = uniform(state)
        count = 0.0
        while product > limit:
            product *= uniform(state)
            count += 1.0
        return count
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = uniform(state) - 0.5
        v = uniform(state)
        us = 0.5 - abs(u)
        if us <= 0.0:
            continue
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= squeeze:
            return k
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        accept = math.log(v * inverse_alpha / (a / (us * us) + b))
        if accept <= k * math.log(rate) - rate - math.lgamma(k + 1.0):
            return k


@numba.njit(cache=True, nogil=True)
def gamma(state: NDArray[np.uint64], shape: float) -> float:
    """Draw a gamma number of scale 1 (numba).

    Parameters
    ----------
    state : ndarray
        The stream.
    shape : float
        At least 1; 0 gives 0.

    Returns
    -------
    float
        Mean and variance equal the shape.

    References
    ----------
    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM Trans. Math. Softw. 26, 363 (2000),
    doi:10.1145/358407.358414.
    """
    if shape <= 0.0:
        return 0.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(state)
        v = 1.0 + c * x
        if v > 0.0:
            v = v * v * v
            u = uniform(state)
            if u < 1.0 - 0.0331 * x * x * x * x or math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
                return d * v


@numba.njit(cache=True, nogil=True, parallel=True)
def record(
    expected_e: NDArray[np.float32],
    read_noise_e: NDArray[np.float32],
    grey_step_e: NDArray[np.float32],
    is_emccd: NDArray[np.bool_],
    key: tuple[int, int],
) -> NDArray[np.float32]:
    """Record expected light with cameras, in input-referred electrons (numba, parallel over samples).

    Parameters
    ----------
    expected_e : ndarray
        Shape (B, T, Y, X), expected electrons per pixel.
    read_noise_e : ndarray
        Shape (B, Y, X), standard deviation of the read noise in input-referred electrons.
    grey_step_e : ndarray
        Shape (B,), electrons per grey value; the values are rounded to it. 0 leaves them unrounded.
    is_emccd : ndarray
        Shape (B,): whether the light passes a multiplication register (gamma distribution, excess noise 2).
    key : tuple of int
        (seed, step).

    Returns
    -------
    ndarray
        Shape (B, T, Y, X), float32: (ADU - offset) * gain / em_gain as a camera would give it.
    """
    n_samples, n_frames, height, width = expected_e.shape
    out = np.empty(expected_e.shape, np.float32)
    for b in numba.prange(n_samples):
        state = stream(key[0], key[1], b)
        step = grey_step_e[b]
        for t in range(n_frames):
            for y in range(height):
                for x in range(width):
                    value = poisson(state, expected_e[b, t, y, x])
                    if is_emccd[b]:
                        value = gamma(state, value)
                    value += read_noise_e[b, y, x] * normal(state)
                    if step > 0:
                        value = step * math.floor(value / step + 0.5)
                    out[b, t, y, x] = value
    return out


@numba.njit(cache=True, nogil=True, parallel=True)
def read_noise_maps(
    shape: tuple[int, int], median_e: NDArray[np.float32], spread: NDArray[np.float32], seed: int
) -> NDArray[np.float32]:
    """Draw read-noise maps as sCMOS cameras have them: lognormal, with one pixel in 300 five times noisier (numba).

    Parameters
    ----------
    shape : tuple of int
        (rows, columns).
    median_e : ndarray
        Shape (B,), median read noise in electrons.
    spread : ndarray
        Shape (B,), standard deviation of its logarithm; 0 gives a uniform map without noisy pixels.
    seed : int
        Seed of the batch, >= 0.

    Returns
    -------
    ndarray
        Shape (B, rows, columns), standard deviation in electrons, float32.
    """
    out = np.empty((len(median_e), shape[0], shape[1]), np.float32)
    for b in numba.prange(len(median_e)):
        state = stream(seed, 0, b)
        for y in range(shape[0]):
            for x in range(shape[1]):
                value = median_e[b]
                if spread[b] > 0:
                    value *= math.exp(spread[b] * normal(state))
                    if uniform(state) < 1 / 300:
                        value *= 5
                out[b, y, x] = value
    return out
