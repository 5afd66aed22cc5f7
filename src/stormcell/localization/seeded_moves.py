"""The course of a seeded joint fit of one tile; compiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from stormcell.localization.multi_moves import peak_offset
from stormcell.localization.seeded_background import LEAST_BACKGROUND_E, level_background, weigh_evidence
from stormcell.localization.seeded_field import (
    LEAST_EXPECTED_E,
    LEAST_LIGHT_E,
    PATCH_PX,
    Field,
    draw,
    light_up,
    put_back,
    shine,
)
from stormcell.localization.seeded_kernels import bounds, maximize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    SingleArray = NDArray[np.float32]

N_COLUMNS = 12
"""x, y, electrons, background, their bounds (4), gain, seed, misfit (2)."""

_NEIGHBOURS = 5
_GROUP = 10
_ROUNDS = 4
_CLEAR = 4.0  # an emitter this many times above the limit is not doubted
_ROUGH, _ROUGH_ALL, _FINE = 1e-2, 3e-2, 2e-3
_FIRST_STEPS = 3
_HOPEFUL = 0.4


class SeededPlan(NamedTuple):
    """What emitters must gain: twice their log-likelihood.

    Attributes
    ----------
    added_ratio : float
        For one that is not listed.
    kept_ratio : float
        For one that was added to stay; seeds say for themselves.
    added_error, kept_error : float
        Beyond these per electron of the brightest neighbour: an imperfect PSF gains as much.
    least_evidence : float
        Signal-to-noise ratio of the residual from which one more is tried.
    inner_px : int
        How far from an emitter the slopes of its light count.
    most_steps : int
        Newton steps of a fit.
    """

    added_ratio: float
    kept_ratio: float
    added_error: float
    kept_error: float
    least_evidence: float
    inner_px: int
    most_steps: int


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest(spots: FloatArray, n: int, x: float, y: float, near_px: float, most: int, group: IntArray) -> int:
    """Write the emitters nearest to a place, nearest first; gives how many there are within `near_px` along axes."""
    count = 0
    distance = np.empty(most)
    for k in range(n):
        dx, dy = abs(spots[k, 0] - x), abs(spots[k, 1] - y)
        square = dx * dx + dy * dy
        if dx > near_px or dy > near_px or (count == most and square >= distance[count - 1]):
            continue
        place = min(count, most - 1)
        while place > 0 and distance[place - 1] > square:
            distance[place], group[place] = distance[place - 1], group[place - 1]
            place -= 1
        distance[place], group[place] = square, k
        count = min(count + 1, most)
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _next_candidate(
    evidence: FloatArray, least: float, tried: IntArray, changed: IntArray, stamp: int
) -> tuple[int, int]:
    """Find the clearest local maximum where nothing was tried since the last change; -1 where there is none."""
    height, width = evidence.shape
    best, row, column = least, -1, -1
    for i in range(height):
        for j in range(width):
            value = evidence[i, j]
            if value < best or tried[i, j] > changed[i, j] or changed[i, j] == stamp:
                continue
            is_peak = True
            for a in range(max(i - 1, 0), min(i + 2, height)):
                for b in range(max(j - 1, 0), min(j + 2, width)):
                    is_peak = is_peak and evidence[a, b] <= value
            if is_peak:
                best, row, column = value, i, j
    return row, column


@njit(cache=True, nogil=True, error_model="numpy")
def _group_of(field: Field, n: int, k: int, most: int, group: IntArray) -> int:
    """Write an emitter and those nearest to it into the group, itself last; gives how many there are."""
    count = _nearest(field.spots, n, field.spots[k, 0], field.spots[k, 1], _near_px(field), most, group)
    for e in range(count):
        if group[e] == k:
            group[e], group[count - 1] = group[count - 1], k
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _near_px(field: Field) -> float:
    return 2.0 * float(field.inner[0]) + 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _surround(field: Field, members: IntArray, window: IntArray) -> None:
    """Set the window that holds the inner parts of all members."""
    inner, (height, width) = field.inner[0], field.data.shape
    window[0], window[1], window[2], window[3] = 1 << 30, -1, 1 << 30, -1
    for e in range(len(members)):
        row, column = math.floor(field.spots[members[e], 1]), math.floor(field.spots[members[e], 0])
        window[0], window[1] = min(window[0], row - inner), max(window[1], row + inner + 1)
        window[2], window[3] = min(window[2], column - inner), max(window[3], column + inner + 1)
    window[0], window[2] = max(window[0], 0), max(window[2], 0)
    window[1], window[3] = min(window[1], height), min(window[3], width)


@njit(cache=True, nogil=True, error_model="numpy")
def _brightest(field: Field, members: IntArray) -> float:
    most = 0.0
    for e in range(len(members)):
        most = max(most, field.spots[members[e], 2])
    return most


@njit(cache=True, nogil=True, error_model="numpy")
def _gains_enough(field: Field, group: IntArray, window: IntArray, plan: SeededPlan) -> float:
    """Fit a group with and without its last member, whose light is not in the model yet.

    Gives what it gains where that is enough; else 0, and all is as it was before it came.
    """
    others, new = group[:-1], group[-1]
    taps = np.empty((4, 4), np.float32)
    without = maximize(field, others, window, _ROUGH, plan.most_steps)
    saved = field.spots[others]
    light_up(field, new, taps)
    limit = plan.added_ratio + plan.added_error * _brightest(field, others)
    gain = limit
    for steps in (_FIRST_STEPS, plan.most_steps):
        # what gained little in a few steps seldom gets there
        if gain >= _HOPEFUL * limit:
            gain = 2.0 * (maximize(field, group, window, _ROUGH, steps) - without)
    if gain >= limit:
        return gain
    shine(field, new, -field.spots[new, 2])
    put_back(field, others, saved)
    return 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _add(
    field: Field, n: int, plan: SeededPlan, stamp: int, maps: IntArray, images: FloatArray, gain: FloatArray
) -> int:
    """Try one more emitter wherever the residual asks for it; gives how many there are then."""
    evidence, light, (height, width) = images[0], images[1], field.data.shape
    tried, changed = maps[0], maps[1]
    group, window = np.empty(_NEIGHBOURS + 1, np.int64), np.empty(4, np.int64)
    while n < len(field.spots):
        i, j = _next_candidate(evidence, plan.least_evidence, tried, changed, stamp)
        if i < 0:
            break
        tried[i, j] = stamp
        x, y = j + 0.5, i + 0.5
        if 0 < j < width - 1:
            x += peak_offset(evidence[i, j - 1], evidence[i, j], evidence[i, j + 1])
        if 0 < i < height - 1:
            y += peak_offset(evidence[i - 1, j], evidence[i, j], evidence[i + 1, j])
        count = _nearest(field.spots, n, x, y, _near_px(field), _NEIGHBOURS, group)
        if count == 0:  # far from all that the network saw
            continue
        group[count] = n
        field.spots[n, 0], field.spots[n, 1], field.spots[n, 2] = x, y, max(light[i, j], LEAST_LIGHT_E)
        _surround(field, group[: count + 1], window)
        gain[n] = _gains_enough(field, group[: count + 1], window, plan)
        if gain[n] > 0.0:
            n += 1
            changed[window[0] : window[1], window[2] : window[3]] = stamp
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _drop(field: Field, n: int, plan: SeededPlan, gain: FloatArray, label: IntArray, asked: FloatArray) -> int:
    """Drop emitters without which the data are explained nearly as well; gives how many stay."""
    group, window, stds = np.empty(_NEIGHBOURS + 1, np.int64), np.empty(4, np.int64), np.empty(4)
    spots = field.spots
    k = 0
    while k < n:
        count = _group_of(field, n, k, _NEIGHBOURS + 1, group)
        members, others = group[:count], group[: count - 1]
        _surround(field, members, window)
        limit = asked[k] + plan.kept_error * _brightest(field, others)
        bounds(field, members, window, stds)
        gain[k] = (spots[k, 2] / stds[2]) ** 2
        if gain[k] > _CLEAR * (plan.kept_ratio + limit - asked[k]):
            k += 1
            continue
        with_it = maximize(field, members, window, _ROUGH, plan.most_steps)
        saved = spots[others]
        shine(field, k, -spots[k, 2])
        gain[k] = 2.0 * (with_it - maximize(field, others, window, _ROUGH, plan.most_steps))
        if gain[k] >= limit:
            put_back(field, others, saved)
            shine(field, k, spots[k, 2])
            k += 1
            continue
        n -= 1
        spots[k], field.corner[k], field.patch[k] = spots[n], field.corner[n], field.patch[n]
        field.prior[k], field.trust[k] = field.prior[n], field.trust[n]
        field.trust[n] = 0.0
        gain[k], label[k], asked[k] = gain[n], label[n], asked[n]
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_all(field: Field, n: int, tolerance: float, most_steps: int) -> None:
    """Fit all emitters at once, then the background."""
    height, width = field.data.shape
    # ordered along y the information of the farther ones is a narrow band
    maximize(field, np.argsort(field.spots[:n, 1]), np.array([0, height, 0, width]), tolerance * n, most_steps)
    level_background(field)


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(
    field: Field, n: int, plan: SeededPlan, spot: SingleArray, gain: FloatArray, label: IntArray, asked: FloatArray
) -> int:
    """Fit the seeds, which are the first n emitters, add, drop, and fit again; gives how many there are."""
    height, width = field.data.shape
    for _ in range(3):
        level_background(field)
    maps, images = np.zeros((2, height, width), np.int64), np.empty((2, height, width))
    maps[1] = 1
    for stamp in range(2, 2 + _ROUNDS):
        _fit_all(field, n, _ROUGH_ALL, plan.most_steps)
        weigh_evidence(field, spot, images[0], images[1])
        n_before = n
        n = _add(field, n, plan, stamp, maps, images, gain)
        label[n_before:n] = -1
        if n == n_before:
            break
    n = _drop(field, n, plan, gain, label, asked)
    for _ in range(2):
        _fit_all(field, n, _FINE, plan.most_steps)
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _write(field: Field, n: int, gain: FloatArray, label: IntArray, out: FloatArray) -> None:
    group, window, (height, width) = np.empty(_GROUP, np.int64), np.empty(4, np.int64), field.data.shape
    for k in range(n):
        count = _group_of(field, n, k, _GROUP, group)
        _surround(field, group[:count], window)
        bounds(field, group[:count], window, out[k, 4:8])
        i = int(min(max(field.spots[k, 1], 0), height - 1))
        j = int(min(max(field.spots[k, 0], 0), width - 1))
        out[k, :3], out[k, 3] = field.spots[k], field.background[i, j]
        out[k, 8], out[k, 9] = gain[k], label[k]
        out[k, 10], out[k, 11] = _misfit(field, k)


@njit(cache=True, nogil=True, error_model="numpy")
def _misfit(field: Field, k: int) -> tuple[float, float]:
    """Return the two sums of `SeededFits.misfit`."""
    corner, share, inner = field.corner[k], field.patch[k, 0], field.inner[0]
    excess = unit = 0.0
    for i in range(PATCH_PX // 2 - inner, PATCH_PX // 2 + inner + 1):
        for j in range(PATCH_PX // 2 - inner, PATCH_PX // 2 + inner + 1):
            row, column = corner[0] + i, corner[1] + j
            if 0 <= row < field.data.shape[0] and 0 <= column < field.data.shape[1]:
                variance = max(field.model[row, column] + field.noise[row, column], LEAST_EXPECTED_E)
                residual = field.data[row, column] - field.model[row, column]
                square = (field.spots[k, 2] * share[i, j]) ** 2 / variance
                excess += (residual * residual / variance - 1.0) * square
                unit += square * square
    return excess, unit


@njit(cache=True, nogil=True, error_model="numpy")
def fit_tiles(
    frames: SingleArray,
    read_variance: SingleArray,
    tiles: IntArray,
    seeds: FloatArray,
    table: SingleArray,
    plan: SeededPlan,
    out: FloatArray,
    counts: IntArray,
) -> None:
    """Fit the emitters of tiles, one tile after the other; releases Python's lock.

    Parameters
    ----------
    frames : ndarray of float32
        Shape (T, Y, X), electrons.
    read_variance : ndarray of float32
        Shape (Y, X), electrons squared.
    tiles : ndarray of int64
        Shape (K, 9): frame, first and last row, first and last column (half-open), first and last seed, and first and
        last row of the result.
    seeds : ndarray
        Shape (S, 9): x and y from the frame's corner, electrons, background, what it must gain to stay, index, and
        how much the first three are trusted (inverse variances).
    table : ndarray of float32
        Shape (4, 4, 24, 24), the PSF's spline table.
    plan : SeededPlan
        What emitters must gain.
    out : ndarray
        Shape (rows, N_COLUMNS); x and y count from the tile's corner.
    counts : ndarray of int64
        Shape (K,), receives the number of emitters of each tile.
    """
    taps, inner = np.empty((4, 4), np.float32), np.array([plan.inner_px])
    kernel, at = np.empty((3, PATCH_PX, PATCH_PX), np.float32), np.empty(2, np.int64)
    draw(table, np.array([PATCH_PX / 2, PATCH_PX / 2, 1.0]), plan.inner_px, at, kernel, taps)
    rim = PATCH_PX // 2 - plan.inner_px
    spot = kernel[0, rim : PATCH_PX - rim, rim : PATCH_PX - rim].copy()
    for t in range(len(tiles)):
        tile = tiles[t]
        data = frames[tile[0], tile[1] : tile[2], tile[3] : tile[4]].astype(np.float64)
        noise = read_variance[tile[1] : tile[2], tile[3] : tile[4]].astype(np.float64)
        mine, room = seeds[tile[5] : tile[6]], tile[8] - tile[7]
        background = np.full(data.shape, max(np.median(mine[:, 3]), LEAST_BACKGROUND_E))
        field = Field(
            data, noise, background.copy(), background, np.empty((2, *data.shape)), np.empty((room, 3)),
            np.empty((room, 2), np.int64), np.empty((room, 3, PATCH_PX, PATCH_PX), np.float32), table, inner,
            np.zeros((room, 3)), np.zeros((room, 3)),
        )  # fmt: skip
        gain, label, n = np.full(room, math.inf), np.empty(room, np.int64), len(mine)
        asked = np.full(room, plan.kept_ratio)
        asked[:n] = mine[:, 4]
        for k in range(n):
            field.spots[k, 0], field.spots[k, 1] = mine[k, 0] - tile[3], mine[k, 1] - tile[1]
            field.spots[k, 2], label[k] = max(mine[k, 2], LEAST_LIGHT_E), int(mine[k, 5])
            field.prior[k], field.trust[k] = field.spots[k], mine[k, 6:9]
            light_up(field, k, taps)
        counts[t] = _solve(field, n, plan, spot, gain, label, asked)
        _write(field, counts[t], gain, label, out[tile[7] : tile[8]])
