"""The compiled search behind linking: open bursts kept in buckets, candidates taken by growing distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_BUCKETS = 4_000_000


def assign_bursts(
    frame: NDArray[np.int64],
    positions: NDArray[np.float64],
    variances: NDArray[np.float64],
    channel: NDArray[np.int64],
    limits: tuple[float, float, int, float],
) -> NDArray[np.int64]:
    """Tell which burst each row belongs to.

    Parameters
    ----------
    frame : ndarray
        Shape (N,), sorted, N >= 1.
    positions, variances : ndarray
        Shape (N, 3): x, y, z in nm, and their variances in nm^2; infinite for an axis that does not count.
    channel : ndarray
        Shape (N,): only rows of one channel are linked.
    limits : tuple
        Squared distance in combined standard deviations (infinite: only nm count and distances are compared in nm),
        squared lateral distance in nm^2, dark frames allowed, and the largest lateral reach in nm these allow.

    Returns
    -------
    ndarray
        Shape (N,): bursts 0, 1, ... in order of first appearance.
    """
    reach = limits[3]
    low = positions[:, :2].min(axis=0)
    extent = np.maximum(positions[:, :2].max(axis=0) - low, 1.0)
    # Buckets at least as wide as the reach, so that 3 x 3 of them hold every candidate.
    size = max(reach, float(np.sqrt(extent[0] * extent[1] / _MAX_BUCKETS)), float(extent.max()) / _MAX_BUCKETS)
    n_columns, n_rows = (int(side // size) + 3 for side in extent)
    buckets = (float(low[0]), float(low[1]), size, n_columns, n_rows)
    result: NDArray[np.int64] = _assign(frame, positions, variances, channel, buckets, limits)
    return result


@njit(cache=True, nogil=True)
def _assign(frame: Any, positions: Any, variances: Any, channel: Any, buckets: Any, limits: Any) -> Any:
    n = len(frame)
    bursts = (
        np.empty((n, 3)),  # mean position
        np.empty((n, 3)),  # variance of the mean
        np.empty(n, np.int64),  # last frame
        np.empty(n, np.int64),  # channel
    )
    mean, variance, last, colour = bursts
    links = (
        np.full(buckets[3] * buckets[4], -1, np.int64),  # first burst of each bucket
        np.empty(n, np.int64),  # burst after
        np.empty(n, np.int64),  # burst before
        np.empty(n, np.int64),  # bucket
    )
    burst = np.full(n, -1, np.int64)
    candidates = (np.empty(1024), np.empty(1024, np.int64), np.empty(1024, np.int64))
    n_bursts, start = 0, 0
    while start < n:
        stop = start
        count = 0
        while stop < n and frame[stop] == frame[start]:
            row = (frame[stop], positions[stop], variances[stop], channel[stop])
            candidates, count = _candidates_of(stop, row, bursts, links, buckets, limits, candidates, count)
            stop += 1
        for index in np.argsort(candidates[0][:count], kind="mergesort"):
            b, r = candidates[1][index], candidates[2][index]
            if burst[r] < 0 and last[b] < frame[r]:
                burst[r] = b
                last[b] = frame[r]
                _average(mean[b], variance[b], positions[r], variances[r])
                _remove(links, b)
                _insert(links, b, _bucket(mean[b], buckets))
        for r in range(start, stop):
            if burst[r] < 0:
                burst[r] = n_bursts
                last[n_bursts], colour[n_bursts] = frame[r], channel[r]
                mean[n_bursts], variance[n_bursts] = positions[r], variances[r]
                _insert(links, n_bursts, _bucket(positions[r], buckets))
                n_bursts += 1
        start = stop
    return burst


@njit(cache=True, nogil=True)
def _bucket(position: Any, buckets: Any) -> Any:
    low_x, low_y, size, n_columns, _ = buckets
    return (int((position[1] - low_y) // size) + 1) * n_columns + int((position[0] - low_x) // size) + 1


@njit(cache=True, nogil=True)
def _candidates_of(
    number: int, row: Any, bursts: Any, links: Any, buckets: Any, limits: Any, candidates: Any, count: int
) -> Any:
    """Append the open bursts within reach of one row; bursts found closed are taken out of their bucket."""
    frame, position, var, channel = row
    mean, variance, last, colour = bursts
    head, after = links[0], links[1]
    centre = _bucket(position, buckets)
    for step in range(9):
        b = head[centre + (step // 3 - 1) * buckets[3] + step % 3 - 1]
        while b >= 0:
            following = after[b]
            if frame - last[b] > limits[2] + 1:
                _remove(links, b)
            elif colour[b] == channel:
                d = _distance(position, var, mean[b], variance[b], limits)
                if d >= 0:
                    candidates = _grown(candidates, count)
                    candidates[0][count], candidates[1][count], candidates[2][count] = d, b, number
                    count += 1
            b = following
    return candidates, count


@njit(cache=True, nogil=True)
def _distance(a: Any, var_a: Any, b: Any, var_b: Any, limits: Any) -> Any:
    """Squared distance in the unit that decides, or -1 where it is too far."""
    limit_sigma2, limit_nm2 = limits[0], limits[1]
    nm2 = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    if nm2 > limit_nm2:
        return -1.0
    if limit_sigma2 == np.inf:
        return nm2
    sigma2 = 0.0
    for axis in range(3):
        sigma2 += (a[axis] - b[axis]) ** 2 / (var_a[axis] + var_b[axis])
    return sigma2 if sigma2 <= limit_sigma2 else -1.0


@njit(cache=True, nogil=True)
def _average(mean: Any, variance: Any, position: Any, var: Any) -> None:
    for axis in range(3):
        if var[axis] < np.inf:
            share = variance[axis] / (variance[axis] + var[axis])
            mean[axis] += share * (position[axis] - mean[axis])
            variance[axis] *= 1.0 - share


@njit(cache=True, nogil=True)
def _insert(links: Any, b: int, bucket: int) -> None:
    head, after, before, home = links
    after[b], before[b], home[b] = head[bucket], -1, bucket
    if head[bucket] >= 0:
        before[head[bucket]] = b
    head[bucket] = b


@njit(cache=True, nogil=True)
def _remove(links: Any, b: int) -> None:
    head, after, before, home = links
    if before[b] >= 0:
        after[before[b]] = after[b]
    else:
        head[home[b]] = after[b]
    if after[b] >= 0:
        before[after[b]] = before[b]


@njit(cache=True, nogil=True)
def _grown(candidates: Any, count: int) -> Any:
    if count < len(candidates[0]):
        return candidates
    distance, b, row = np.empty(2 * count), np.empty(2 * count, np.int64), np.empty(2 * count, np.int64)
    distance[:count], b[:count], row[:count] = candidates[0], candidates[1], candidates[2]
    return distance, b, row
