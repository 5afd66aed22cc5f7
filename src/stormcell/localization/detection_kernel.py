"""Compiled detection: one fused pass over each frame, all frames in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FrameArray = NDArray[np.float32]

_FILTER_MATH = {"contract", "reassoc", "nsz"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FILTER_MATH)
def _add_rows(upper: FrameArray, lower: FrameArray, narrow: float, wide: float, a: FrameArray, b: FrameArray) -> None:
    for x in range(upper.shape[0]):
        pair = upper[x] + lower[x]
        a[x] += narrow * pair
        b[x] += wide * pair


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FILTER_MATH)
def _filter_down(frame: FrameArray, y: int, taps: FrameArray, a: FrameArray, b: FrameArray) -> None:
    last = frame.shape[0] - 1
    for x in range(frame.shape[1]):
        a[x] = taps[0, 0] * frame[y, x]
        b[x] = taps[1, 0] * frame[y, x]
    for k in range(1, taps.shape[1]):
        _add_rows(frame[max(y - k, 0)], frame[min(y + k, last)], taps[0, k], taps[1, k], a, b)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FILTER_MATH)
def _add_shifted(left: FrameArray, right: FrameArray, tap: float, out: FrameArray) -> None:
    for x in range(out.shape[0]):
        out[x] += tap * (left[x] + right[x])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FILTER_MATH)
def _filter_across(padded_a: FrameArray, padded_b: FrameArray, taps: FrameArray, out: FrameArray) -> None:
    radius = taps.shape[1] - 1
    n = out.shape[0]
    for padded in (padded_a, padded_b):
        for k in range(radius):
            padded[k] = padded[radius]
            padded[radius + n + k] = padded[radius + n - 1]
    for x in range(n):
        out[x] = taps[0, 0] * padded_a[radius + x] - taps[1, 0] * padded_b[radius + x]
    for k in range(1, radius + 1):
        low, high = radius - k, radius + k
        if taps[0, k] > 0.0:
            _add_shifted(padded_a[low : low + n], padded_a[high : high + n], taps[0, k], out)
        _add_shifted(padded_b[low : low + n], padded_b[high : high + n], -taps[1, k], out)


@njit(cache=True, nogil=True, error_model="numpy")
def _subtract_background(out: FrameArray, first: FrameArray, second: FrameArray, share: float) -> None:
    for x in range(out.shape[0]):
        out[x] -= first[x] + share * (second[x] - first[x])


@njit(cache=True, nogil=True, error_model="numpy")
def _vertex(before: float, here: float, after: float) -> float:
    """Return the place of the maximum of a parabola through three neighbours, within half a pixel."""
    curvature = 2.0 * here - before - after
    if curvature <= 0.0:
        return 0.0
    return min(max(0.5 * (after - before) / curvature, -0.5), 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def _scan_row(
    rows: tuple[FrameArray, FrameArray, FrameArray],
    first: FrameArray,
    second: FrameArray,
    share: float,
    place: int,
    places: NDArray[np.int32],
    details: FrameArray,
    count: int,
) -> int:
    """Append the maxima of the middle row; of equal neighbours the first in reading order wins."""
    above, row, below = rows
    n = row.shape[0] - 2
    for x in range(1, n + 1):
        value = row[x]
        if (
            value > first[x - 1] + share * (second[x - 1] - first[x - 1])
            and value > row[x - 1]
            and value >= row[x + 1]
            and value > above[x - 1]
            and value > above[x]
            and value > above[x + 1]
            and value >= below[x - 1]
            and value >= below[x]
            and value >= below[x + 1]
        ):
            if count < places.shape[0]:
                places[count] = place + x - 1
                details[count, 0] = _vertex(max(row[x - 1], -1e30), value, max(row[x + 1], -1e30))
                details[count, 1] = _vertex(max(above[x], -1e30), value, max(below[x], -1e30))
                details[count, 2] = value
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def find_peaks(
    frames: FrameArray,
    taps: FrameArray,
    backgrounds: FrameArray,
    thresholds: FrameArray,
    shares: FrameArray,
    places: NDArray[np.int32],
    details: FrameArray,
    counts: NDArray[np.int64],
) -> None:
    """Filter every frame and list its local maxima (of 3 x 3 pixels) above the threshold.

    Parameters
    ----------
    frames : ndarray of float32
        Shape (T, Y, X), finite.
    taps : ndarray of float32
        Shape (2, radius + 1): half taps of the narrow and the wide Gaussian.
    backgrounds, thresholds : ndarray of float32
        Shape (2, Y, X): response to the background, and threshold, before and after these frames.
    shares : ndarray of float32
        Shape (T,): weight of the second of them.
    places : ndarray of int32
        Shape (T, capacity), receives row * X + column.
    details : ndarray of float32
        Shape (T, capacity, 3), receives sub-pixel x and y offset and the response.
    counts : ndarray of int64
        Shape (T,), receives the number of maxima, which may exceed the capacity.
    """
    n_frames, height, width = frames.shape
    radius = taps.shape[1] - 1
    for t in prange(n_frames):
        padded_a = np.zeros(width + 2 * radius, np.float32)
        padded_b = np.zeros(width + 2 * radius, np.float32)
        inner_a, inner_b = padded_a[radius : radius + width], padded_b[radius : radius + width]
        # a ring of three response rows with a border that never wins
        ring = np.full((3, width + 2), -np.inf, np.float32)
        count = 0
        for y in range(height + 1):
            newest = ring[y % 3]
            if y < height:
                _filter_down(frames[t], y, taps, inner_a, inner_b)
                _filter_across(padded_a, padded_b, taps, newest[1 : width + 1])
                _subtract_background(newest[1 : width + 1], backgrounds[0, y], backgrounds[1, y], shares[t])
            else:
                newest[:] = -np.inf
            if y > 0:
                rows = (ring[(y + 1) % 3], ring[(y + 2) % 3], newest)
                count = _scan_row(
                    rows,
                    thresholds[0, y - 1],
                    thresholds[1, y - 1],
                    shares[t],
                    (y - 1) * width,
                    places[t],
                    details[t],
                    count,
                )
        counts[t] = count
