"""Background models for detection; fits never see them.

Temporal: for every pixel a median over frames of a block (medians of three, three times over), refined to the mean of
the samples that no emitter lights. It follows structure that stays, and is interpolated in time between the middles
of blocks. Spatial: a local mean that leaves out what stands out, for short or dense movies, where a pixel is lit too
often for a median.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import njit, prange
from scipy.ndimage import uniform_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FrameArray = NDArray[np.float32]

BackgroundChoice = Literal["auto", "temporal", "spatial"]
"""Which model detection uses; "auto" takes the spatial one under 20 frames or where the movie is dense."""

FEWEST_FRAMES = 20
"""Frames below which a temporal median means little."""

MOST_SAMPLES = 54
"""Frames of a block that the temporal model looks at; more would not show in the noise of the response."""

_LIT_STD = 3.0
_LIT_STD_MULTIPLIED = 4.0  # the gamma tail of an EMCCD is longer
_DENSE_LIT_SHARE = 0.3
_DENSE_QUANTILE = 0.95
_CLIP_ROUNDS = 4
_WINDOW_SIGMAS = 12.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz"})
def _medians_of_three(rows: FrameArray, out: FrameArray) -> None:
    for k in range(out.shape[0]):
        first, second, third = rows[3 * k], rows[3 * k + 1], rows[3 * k + 2]
        target = out[k]
        for x in range(target.shape[0]):
            low, high = min(first[x], second[x]), max(first[x], second[x])
            target[x] = max(low, min(high, third[x]))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})
def _clip_limits(level: FrameArray, read_variance: FrameArray, excess: float, stds: float, limit: FrameArray) -> None:
    # one electron more than the level: the tail of a Poisson distribution near zero is longer than its variance says
    for x in range(level.shape[0]):
        variance = excess * (max(level[x], np.float32(0.0)) + np.float32(1.0)) + read_variance[x]
        limit[x] = level[x] + np.float32(stds) * np.sqrt(variance)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})
def _clipped_mean(rows: FrameArray, limit: FrameArray, total: FrameArray, kept: FrameArray) -> None:
    total[:] = 0.0
    kept[:] = 0.0
    for t in range(rows.shape[0]):
        row = rows[t]
        for x in range(row.shape[0]):
            inside = np.float32(1.0) if row[x] <= limit[x] else np.float32(0.0)
            total[x] += inside * row[x]
            kept[x] += inside


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _temporal(
    samples: FrameArray,
    starts: NDArray[np.int64],
    read_variance: FrameArray,
    excess: float,
    mean: FrameArray,
    lit: FrameArray,
) -> None:
    n_samples, height, width = samples.shape
    lit_std = _LIT_STD_MULTIPLIED if excess > 1.0 else _LIT_STD
    for y in prange(height):
        first = np.empty((27, width), np.float32)
        for k in range(27):
            for x in range(width):
                first[k, x] = samples[starts[k], y, x]
        nine, three, one = (
            np.empty((9, width), np.float32), np.empty((3, width), np.float32), np.empty((1, width), np.float32)
        )  # fmt: skip
        _medians_of_three(first, nine)
        _medians_of_three(nine, three)
        _medians_of_three(three, one)
        limit, total, kept = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
        rows = samples[:, y]
        level = one[0]
        for _ in range(2):
            _clip_limits(level, read_variance[y], excess, lit_std, limit)
            _clipped_mean(rows, limit, total, kept)
            for x in range(width):
                if kept[x] > 0.0:
                    level[x] = total[x] / kept[x]
        for x in range(width):
            mean[y, x] = level[x]
        # the lowest of nine medians lies about one standard deviation below the dark level
        for k in range(1, 9):
            for x in range(width):
                nine[0, x] = min(nine[0, x], nine[k, x])
        _clip_limits(nine[0], read_variance[y], excess, lit_std + 1.0, limit)
        _clipped_mean(rows, limit, total, kept)
        for x in range(width):
            lit[y, x] = 1.0 - kept[x] / n_samples


def temporal_background(
    frames_e: FrameArray, read_variance_e2: FrameArray, excess_noise_factor: float = 1.0
) -> tuple[FrameArray, FrameArray]:
    """Estimate what every pixel shows when no emitter lights it.

    Parameters
    ----------
    frames_e : ndarray of float32
        Shape (T, Y, X), electrons, finite; at most 54 frames, evenly spread, are looked at.
    read_variance_e2 : ndarray of float32
        Shape (Y, X).
    excess_noise_factor : float
        F^2.

    Returns
    -------
    tuple of ndarray
        Background in electrons and share of frames in which a pixel is lit, each (Y, X).
    """
    n_frames = len(frames_e)
    picked = np.linspace(0, n_frames - 1, min(n_frames, MOST_SAMPLES)).round().astype(np.int64)
    starts = np.linspace(0, len(picked) - 1, 27).round().astype(np.int64)
    mean, lit = np.empty(frames_e.shape[1:], np.float32), np.empty(frames_e.shape[1:], np.float32)
    _temporal(frames_e[picked], starts, read_variance_e2, float(excess_noise_factor), mean, lit)
    return mean, lit


def is_dense(lit_share: FrameArray) -> bool:
    """Say whether emitters light the pixels too often for a temporal median.

    Parameters
    ----------
    lit_share : ndarray
        Shape (Y, X), from `temporal_background`.

    Returns
    -------
    bool
        True where the busiest twentieth of the pixels is lit in more than 30 % of the frames.
    """
    return bool(np.quantile(lit_share, _DENSE_QUANTILE) > _DENSE_LIT_SHARE)


def spatial_background(
    frames_e: FrameArray, read_variance_e2: FrameArray, psf_sigma_px: float, excess_noise_factor: float = 1.0
) -> FrameArray:
    """Estimate a smooth background from the mean of some frames.

    Parameters
    ----------
    frames_e : ndarray of float32
        Shape (T, Y, X), electrons, finite.
    read_variance_e2 : ndarray of float32
        Shape (Y, X).
    psf_sigma_px : float
        PSF sigma; the local mean reaches over 12 of them.
    excess_noise_factor : float
        F^2.

    Returns
    -------
    ndarray of float32
        Shape (Y, X), electrons.
    """
    image = frames_e.mean(axis=0, dtype=np.float64)
    side = 2 * math.ceil(0.5 * _WINDOW_SIGMAS * psf_sigma_px) + 1
    kept = np.ones_like(image)
    level = np.full_like(image, np.median(image))
    for _ in range(_CLIP_ROUNDS):
        weight = uniform_filter(kept, side, mode="nearest")
        local = uniform_filter(image * kept, side, mode="nearest")
        level = np.where(weight > 0.02, local / np.maximum(weight, 0.02), level)
        std = np.sqrt((excess_noise_factor * np.maximum(level, 0.0) + read_variance_e2) / len(frames_e))
        kept = (image <= level + 2.5 * std).astype(np.float64)
    smooth: FrameArray = level.astype(np.float32)
    return smooth
