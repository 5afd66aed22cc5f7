"""Where another emitter would explain the data better: maps of the residual."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.multi_scene import JointFit, Scene

    FloatArray = NDArray[np.float64]

CELL_PX = 16
"""Distance between the nodes of the background, about."""

HIGH_CLIP, LOW_CLIP = 3.0, 4.0
"""Residuals beyond these standard deviations do not count for the background."""

_DARK_ROUNDS = 8
_DARK_SHARE = 0.2  # of the pixels; few of them are lit, also where emitters are dense
_LEAST_BACKGROUND_E = 0.01
_LIGHT_ERROR = 0.1  # share of the light in a pixel: bright pixels tell little about the background
_MEAN_WEIGHT = 0.02


@njit(cache=True, nogil=True, error_model="numpy")
def _dark_value(scene: Scene, rows: tuple[int, int], columns: tuple[int, int]) -> float:
    """Return a low quantile of the pixels of a rectangle; NaN where none counts."""
    values = np.empty((rows[1] - rows[0]) * (columns[1] - columns[0]))
    n = 0
    for i in range(rows[0], rows[1]):
        for j in range(columns[0], columns[1]):
            if scene.valid[i, j] > 0.0:
                values[n] = scene.data[i, j] - scene.extra[i, j]
                n += 1
    return float(np.quantile(values[:n], _DARK_SHARE)) if n > 0 else math.nan


@njit(cache=True, nogil=True, error_model="numpy")
def _slopes(scene: Scene, rows: tuple[int, int], columns: tuple[int, int]) -> tuple[float, float]:
    """Return how much brighter the dark pixels of a rectangle become from pixel to pixel, along y and along x."""
    middle, centre = (rows[0] + rows[1]) // 2, (columns[0] + columns[1]) // 2
    along_y = _dark_value(scene, (middle, rows[1]), columns) - _dark_value(scene, (rows[0], middle), columns)
    along_x = _dark_value(scene, rows, (centre, columns[1])) - _dark_value(scene, rows, (columns[0], centre))
    along_y /= 0.5 * (rows[1] - rows[0])
    along_x /= 0.5 * (columns[1] - columns[0])
    return along_y if math.isfinite(along_y) else 0.0, along_x if math.isfinite(along_x) else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _dark_mean(scene: Scene, row: int, column: int) -> float:
    """Return the mean at a place of the pixels round it that no emitter seems to light, their slope taken out."""
    height, width = scene.data.shape
    rows = (max(row - CELL_PX, 0), min(row + CELL_PX, height))
    columns = (max(column - CELL_PX, 0), min(column + CELL_PX, width))
    by_row, by_column = _slopes(scene, rows, columns)
    limit, mean = math.inf, 0.0
    for _ in range(_DARK_ROUNDS):
        total, n = 0.0, 0
        for i in range(rows[0], rows[1]):
            for j in range(columns[0], columns[1]):
                value = scene.data[i, j] - scene.extra[i, j]
                value -= by_row * (i + 0.5 - row) + by_column * (j + 0.5 - column)
                if scene.valid[i, j] > 0.0 and value <= limit:
                    total += value
                    n += 1
        mean = total / max(n, 1)
        limit = mean + 2.0 * math.sqrt(max(mean, 1.0))
    return max(mean, _LEAST_BACKGROUND_E)


@njit(cache=True, nogil=True, error_model="numpy")
def start_background(scene: Scene, nodes: FloatArray) -> None:
    """Fill the background with the mean of the pixels round each node that no emitter seems to light.

    Parameters
    ----------
    scene : Scene
        Its background is overwritten.
    nodes : ndarray
        Shape (3, nodes along y, nodes along x), each at least 2; the first plane receives the background there.
    """
    values, (height, width) = nodes[0], scene.data.shape
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            row, column = a * height // (values.shape[0] - 1), b * width // (values.shape[1] - 1)
            values[a, b] = _dark_mean(scene, row, column)
    _interpolate(values, scene)


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolate(values: FloatArray, scene: Scene) -> None:
    """Fill the background between its nodes."""
    height, width = scene.data.shape
    for i in range(height):
        a, v = _cell(i, height, values.shape[0])
        for j in range(width):
            b, u = _cell(j, width, values.shape[1])
            above = (1.0 - u) * values[a, b] + u * values[a, b + 1]
            below = (1.0 - u) * values[a + 1, b] + u * values[a + 1, b + 1]
            scene.background[i, j] = max((1.0 - v) * above + v * below, _LEAST_BACKGROUND_E)


@njit(cache=True, nogil=True, error_model="numpy")
def _cell(i: int, n: int, n_nodes: int) -> tuple[int, float]:
    """Return the node before a pixel and the weight of the one after it."""
    at = (i + 0.5) / n * (n_nodes - 1)
    first = min(int(at), n_nodes - 2)
    return first, at - first


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(scene: Scene, change: FloatArray, weights: FloatArray) -> None:
    """Add the clipped residual to the nodes round each pixel."""
    height, width = scene.data.shape
    for i in range(height):
        a, v = _cell(i, height, change.shape[0])
        for j in range(width):
            expected = scene.background[i, j] + scene.light[i, j] + scene.extra[i, j]
            residual = scene.data[i, j] - expected
            std = math.sqrt(max(expected, 1.0))
            if scene.valid[i, j] == 0.0 or residual > HIGH_CLIP * std or residual < -LOW_CLIP * std:
                continue
            b, u = _cell(j, width, change.shape[1])
            w = 1.0 / (max(expected, 1.0) + (_LIGHT_ERROR * scene.light[i, j]) ** 2)
            for p in range(2):
                for q in range(2):
                    share = w * (v if p else 1.0 - v) * (u if q else 1.0 - u)
                    change[a + p, b + q] += share * residual
                    weights[a + p, b + q] += share


@njit(cache=True, nogil=True, error_model="numpy")
def update_background(scene: Scene, nodes: FloatArray) -> None:
    """Improve the background by what the emitters leave.

    Parameters
    ----------
    scene : Scene
        Its background is overwritten.
    nodes : ndarray
        Shape (3, nodes along y, nodes along x), each at least 2: the background at the nodes, and scratch.
    """
    values, change, weights = nodes[0], nodes[1], nodes[2]
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            change[a, b] = weights[a, b] = 0.0
    _gather(scene, change, weights)
    total, mean = 0.0, 0.0
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            total += weights[a, b]
            mean += change[a, b]
    mean /= max(total, 1e-9)
    prior = _MEAN_WEIGHT * total / weights.size
    for a in range(values.shape[0]):
        for b in range(values.shape[1]):
            values[a, b] += (change[a, b] + prior * mean) / max(weights[a, b] + prior, 1e-12)
    _interpolate(values, scene)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add_shifted(source: FloatArray, tap: float, shift: int, out: FloatArray) -> None:
    for j in range(shift, len(source)):
        out[j] += tap * source[j - shift]
    for j in range(len(source) - shift):
        out[j] += tap * source[j + shift]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _smooth(source: FloatArray, taps: FloatArray, half: FloatArray, out: FloatArray) -> None:
    """Correlate with symmetric taps along both axes; there is nothing beyond the border."""
    height, width = source.shape
    for i in range(height):
        for j in range(width):
            half[i, j] = taps[0] * source[i, j]
        for t in range(1, len(taps)):
            _add_shifted(source[i], taps[t], t, half[i])
    for i in range(height):
        for j in range(width):
            out[i, j] = taps[0] * half[i, j]
        for t in range(1, len(taps)):
            tap = taps[t]
            if i >= t:
                for j in range(width):
                    out[i, j] += tap * half[i - t, j]
            if i + t < height:
                for j in range(width):
                    out[i, j] += tap * half[i + t, j]


@njit(cache=True, nogil=True, error_model="numpy")
def weigh_evidence(fit: JointFit) -> None:
    """Compute in every pixel how clearly the residual looks like one more emitter there.

    Parameters
    ----------
    fit : JointFit
        The evidence of its scene is overwritten; plane 0 of the buffers receives the light in electrons that fits the
        residual best.
    """
    scene, buffers = fit.scene, fit.scene.buffers
    height, width = scene.data.shape
    for i in range(height):
        for j in range(width):
            expected = scene.background[i, j] + scene.light[i, j] + scene.extra[i, j]
            weight = scene.valid[i, j] / max(expected, 0.01)
            buffers[0, i, j] = weight * (scene.data[i, j] - expected)
            buffers[1, i, j] = weight
    _smooth(buffers[0], fit.taps[0], buffers[2], scene.evidence)
    _smooth(buffers[1], fit.taps[1], buffers[2], buffers[0])
    for i in range(height):
        for j in range(width):
            score, information = scene.evidence[i, j], max(buffers[0, i, j], 1e-12)
            scene.evidence[i, j] = score / math.sqrt(information * fit.plan.excess_noise_factor)
            buffers[0, i, j] = score / information


@njit(cache=True, nogil=True, error_model="numpy")
def local_light(fit: JointFit, x: float, y: float) -> float:
    """Return the light of one more emitter at a place that fits the residual best, in electrons.

    Parameters
    ----------
    fit : JointFit
        The scene as it is.
    x, y : float
        The place.

    Returns
    -------
    float
        May be below 0.
    """
    scene, taps = fit.scene, fit.taps[0]
    reach = len(taps) - 1
    row, column = math.floor(y), math.floor(x)
    score, information = 0.0, 1e-12
    for i in range(max(row - reach, 0), min(row + reach + 1, scene.data.shape[0])):
        for j in range(max(column - reach, 0), min(column + reach + 1, scene.data.shape[1])):
            share = taps[abs(i - row)] * taps[abs(j - column)] * scene.valid[i, j]
            expected = scene.background[i, j] + scene.light[i, j] + scene.extra[i, j]
            score += share * (scene.data[i, j] - expected) / max(expected, 0.01)
            information += share * share / max(expected, 0.01)
    return score / information


@njit(cache=True, nogil=True, error_model="numpy")
def list_candidates(fit: JointFit, places: NDArray[np.int64], values: FloatArray) -> int:
    """List local maxima of the evidence, clearest first, where nothing was tried since the last change.

    Parameters
    ----------
    fit : JointFit
        The evidence has been weighed.
    places, values : ndarray
        Shape (C,), receive pixel index and evidence of the clearest C.

    Returns
    -------
    int
        How many.
    """
    scene = fit.scene
    height, width = scene.evidence.shape
    n, most = 0, len(places)
    for i in range(height):
        for j in range(width):
            value = scene.evidence[i, j]
            if value < fit.plan.least_evidence or scene.tried[i, j] > scene.changed[i, j] or scene.valid[i, j] == 0.0:
                continue
            is_peak = n < most or value > values[n - 1]
            for a in range(max(i - 1, 0), min(i + 2, height)):
                for b in range(max(j - 1, 0), min(j + 2, width)):
                    is_peak = is_peak and scene.evidence[a, b] <= value
            if not is_peak:
                continue
            place = min(n, most - 1)
            while place > 0 and values[place - 1] < value:
                values[place], places[place] = values[place - 1], places[place - 1]
                place -= 1
            values[place], places[place] = value, i * width + j
            n = min(n + 1, most)
    return n
