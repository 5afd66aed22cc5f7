"""Hot pixels and cosmic rays: light in one pixel that no lens could have put there alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARPEST = 6.0
"""A spot of sigma 0.6 px puts at most 4 times as much into its brightest pixel as into the next, both above the
darkest neighbour."""
SIGMAS = 8.0


@njit(cache=True, nogil=True)
def _replacement(frame: NDArray[Any], y: int, x: int, read_variance: float, noise_per_e: float) -> float:
    """Mean of the neighbours where the pixel is impossible, else NaN."""
    height, width = frame.shape
    value = frame[y, x]
    highest, lowest, total, count = -np.inf, np.inf, 0.0, 0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            row, column = y + dy, x + dx
            if (dy or dx) and 0 <= row < height and 0 <= column < width:
                neighbour = frame[row, column]
                highest, lowest = max(highest, neighbour), min(lowest, neighbour)
                total += neighbour
                count += 1
    if count == 0 or value <= highest:
        return np.nan
    noise = math.sqrt(noise_per_e * (max(lowest, 0.0)) + read_variance)
    if value - lowest > SIGMAS * noise and value - lowest > SHARPEST * (highest - lowest):
        return total / count
    return np.nan


# not parallel: it runs in the reading thread, beside the parallel kernels of the main one
@njit(cache=True, nogil=True)
def _repair(frames: NDArray[Any], read_variance: NDArray[Any], is_hot: NDArray[Any], counts: NDArray[Any]) -> None:
    n_frames, height, width = frames.shape
    for t in range(n_frames):
        frame = frames[t]
        for y in range(height):
            for x in range(width):
                mean = _replacement(frame, y, x, read_variance[y, x], 1.0)
                if not np.isnan(mean):
                    frame[y, x] = mean
                    counts[t] += 1
                elif is_hot[y, x]:
                    total, count = 0.0, 0
                    for row in range(max(y - 1, 0), min(y + 2, height)):
                        for column in range(max(x - 1, 0), min(x + 2, width)):
                            if not is_hot[row, column]:
                                total += frame[row, column]
                                count += 1
                    if count:
                        frame[y, x] = total / count


def repair_pixels(
    frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32], is_hot: NDArray[np.bool_]
) -> int:
    """Replace impossible pixels by the mean of their neighbours, in place.

    Parameters
    ----------
    frames : ndarray
        Shape (T, Y, X), network electrons; changed.
    read_variance_e2 : ndarray
        Shape (Y, X).
    is_hot : ndarray
        Shape (Y, X), bool: pixels that are replaced in every frame.

    Returns
    -------
    int
        Pixel values replaced because of what they show in one frame.
    """
    counts = np.zeros(len(frames), np.int64)
    _repair(frames, read_variance_e2, is_hot, counts)
    return int(counts.sum())


def find_hot_pixels(frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find pixels that stand out from their neighbours in the mean of frames spread over the movie.

    Parameters
    ----------
    frames : ndarray
        Shape (T, Y, X), network electrons.
    read_variance_e2 : ndarray
        Shape (Y, X).

    Returns
    -------
    ndarray
        Shape (Y, X), bool.
    """
    mean = frames.mean(axis=0, dtype=np.float64)
    return _impossible(mean, read_variance_e2.astype(np.float64) / len(frames), 1.0 / len(frames))


@njit(cache=True, nogil=True)
def _impossible(mean: NDArray[Any], read_variance: NDArray[Any], noise_per_e: float) -> NDArray[Any]:
    height, width = mean.shape
    found = np.zeros((height, width), np.bool_)
    for y in range(height):
        for x in range(width):
            found[y, x] = not np.isnan(_replacement(mean, y, x, read_variance[y, x], noise_per_e))
    return found
