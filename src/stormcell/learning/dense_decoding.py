"""From the dense network's pixel-wise components to a list of localizations.

An emitter near a pixel border is often shared by two to four components that point at the same place. They are
gathered round the strongest one and merged; components that point elsewhere stay emitters of their own. So do those
that would make more than one emitter of the group: their probabilities add up to the number of emitters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_FIELDS = 9
"""probability, x, y, sigma x, sigma y (px), log electrons, its sigma, background, its sigma."""

CANDIDATE_PROBABILITY = 0.03
MERGE_PX = 0.3
MERGE_SIGMAS = 2.0
MOST_OF_ONE = 1.5
"""Probability up to which components are gathered; sums of one emitter scatter about 1."""
_NEIGHBOURS = 9


@njit(cache=True, nogil=True)
def _squared_distance(values: NDArray[Any], y: int, x: int, seed_y: int, seed_x: int) -> float:
    dx = (x + values[1, y, x]) - (seed_x + values[1, seed_y, seed_x])
    dy = (y + values[2, y, x]) - (seed_y + values[2, seed_y, seed_x])
    return float(dx * dx + dy * dy)


@njit(cache=True, nogil=True)
def _reach(values: NDArray[Any], y: int, x: int, seed_y: int, seed_x: int) -> float:
    spread = math.exp(2 * values[3, seed_y, seed_x]) + math.exp(2 * values[4, seed_y, seed_x])
    spread += math.exp(2 * values[3, y, x]) + math.exp(2 * values[4, y, x])
    return float(max(MERGE_PX, MERGE_SIGMAS * math.sqrt(0.5 * spread)))


@njit(cache=True, nogil=True)
def _members(
    values: NDArray[Any], probability: NDArray[Any], taken: NDArray[Any], seed_y: int, seed_x: int
) -> NDArray[Any]:
    """Pixels of the components that point at the seed's place, nearest first; the seed is the first."""
    height, width = probability.shape
    distances = np.empty(_NEIGHBOURS)
    places = np.empty(_NEIGHBOURS, np.int64)
    n = 0
    for y in range(max(seed_y - 1, 0), min(seed_y + 2, height)):
        for x in range(max(seed_x - 1, 0), min(seed_x + 2, width)):
            if taken[y, x] or probability[y, x] < CANDIDATE_PROBABILITY:
                continue
            distance = _squared_distance(values, y, x, seed_y, seed_x)
            if distance < _reach(values, y, x, seed_y, seed_x) ** 2:
                distances[n] = -1.0 if y == seed_y and x == seed_x else distance
                places[n] = y * width + x
                n += 1
    return places[:n][np.argsort(distances[:n])]


@njit(cache=True, nogil=True)
def _merge(
    values: NDArray[Any], probability: NDArray[Any], taken: NDArray[Any], seed_y: int, seed_x: int, row: NDArray[Any]
) -> None:
    row[:] = 0.0
    # distances from the seed: squares of positions far from the corner would leave little of a small sigma
    total = mean_x = mean_y = second_x = second_y = 0.0
    for place in _members(values, probability, taken, seed_y, seed_x):
        y, x = divmod(place, probability.shape[1])
        p = float(probability[y, x])
        if total + p > MOST_OF_ONE:
            continue
        taken[y, x] = True
        dx = x - seed_x + float(values[1, y, x])
        dy = y - seed_y + float(values[2, y, x])
        total += p
        mean_x += p * dx
        mean_y += p * dy
        second_x += p * (dx * dx + math.exp(2 * values[3, y, x]))
        second_y += p * (dy * dy + math.exp(2 * values[4, y, x]))
        for field in range(5, N_FIELDS):
            row[field] += p * values[field, y, x]
    for field in range(5, N_FIELDS):
        row[field] /= total
    mean_x /= total
    mean_y /= total
    row[0] = min(total, 1.0)
    row[1] = seed_x + 0.5 + mean_x
    row[2] = seed_y + 0.5 + mean_y
    row[3] = math.sqrt(max(second_x / total - mean_x * mean_x, 1e-6))
    row[4] = math.sqrt(max(second_y / total - mean_y * mean_y, 1e-6))


@njit(cache=True, nogil=True)
def _list_frame(values: NDArray[Any], threshold: float, rows: NDArray[Any]) -> int:
    height, width = values.shape[1:]
    probability = np.empty((height, width), np.float32)
    n_candidates = 0
    for y in range(height):
        for x in range(width):
            probability[y, x] = 1.0 / (1.0 + math.exp(-values[0, y, x]))
            n_candidates += probability[y, x] >= CANDIDATE_PROBABILITY
    strength = np.empty(n_candidates, np.float32)
    place = np.empty(n_candidates, np.int64)
    n_candidates = 0
    for y in range(height):
        for x in range(width):
            if probability[y, x] >= CANDIDATE_PROBABILITY:
                strength[n_candidates] = -probability[y, x]
                place[n_candidates] = y * width + x
                n_candidates += 1
    taken = np.zeros((height, width), np.bool_)
    n_rows = 0
    for index in np.argsort(strength, kind="mergesort"):
        y, x = divmod(place[index], width)
        if taken[y, x]:
            continue
        _merge(values, probability, taken, y, x, rows[n_rows])
        if rows[n_rows, 0] >= threshold:
            n_rows += 1
            if n_rows == rows.shape[0]:
                break
    return n_rows


@njit(cache=True, nogil=True, parallel=True)
def list_components(values: NDArray[Any], threshold: float, rows: NDArray[Any], n_rows: NDArray[Any]) -> None:
    """Fill the list of each frame.

    Parameters
    ----------
    values : ndarray
        Shape (B, 9, Y, X), float32: the fields of `DenseOutput` in order.
    threshold : float
        Smallest probability of a row, 0 to 1.
    rows : ndarray
        Shape (B, capacity, 9), float32: filled with probability, x_px, y_px (from the frame's outer corner),
        sigma_x_px, sigma_y_px, log_electrons, log_sigma_electrons, background_vst, log_sigma_background.
    n_rows : ndarray
        Shape (B,), int64: filled with the number of rows of each frame.
    """
    for index in prange(values.shape[0]):
        n_rows[index] = _list_frame(values[index], threshold, rows[index])
