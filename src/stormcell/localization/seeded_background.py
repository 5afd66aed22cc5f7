"""The background of a tile between its emitters, and where one more would explain the data better; compiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from stormcell.localization.seeded_field import LEAST_EXPECTED_E, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    SingleArray = NDArray[np.float32]

_CELL_PX = 16
_HIGH_CLIP, _LOW_CLIP = 3.0, 4.0
_LIGHT_ERROR = 0.1  # share of the light in a pixel: bright pixels tell little about the background
_MEAN_WEIGHT = 0.02
LEAST_BACKGROUND_E = 0.01


@njit(cache=True, nogil=True, error_model="numpy")
def level_background(field: Field) -> None:
    """Improve the background by what the emitters leave, between nodes every 16 px or so.

    Parameters
    ----------
    field : Field
        Its background and model are changed.
    """
    data, noise, model, background = field.data, field.noise, field.model, field.background
    height, width = data.shape
    rows, columns = max(height // _CELL_PX + 1, 2), max(width // _CELL_PX + 1, 2)
    change, weights = np.zeros((rows, columns)), np.zeros((rows, columns))
    for i in range(height):
        at = (i + 0.5) / height * (rows - 1)
        a = min(int(at), rows - 2)
        v = at - a
        for j in range(width):
            expected = model[i, j] + noise[i, j]
            residual, std = data[i, j] - model[i, j], math.sqrt(max(expected, 1.0))
            if residual > _HIGH_CLIP * std or residual < -_LOW_CLIP * std:
                continue
            place = (j + 0.5) / width * (columns - 1)
            b = min(int(place), columns - 2)
            u = place - b
            light = model[i, j] - background[i, j]
            w = 1.0 / (max(expected, 1.0) + (_LIGHT_ERROR * light) ** 2)
            change[a, b] += w * (1.0 - v) * (1.0 - u) * residual
            change[a, b + 1] += w * (1.0 - v) * u * residual
            change[a + 1, b] += w * v * (1.0 - u) * residual
            change[a + 1, b + 1] += w * v * u * residual
            weights[a, b] += w * (1.0 - v) * (1.0 - u)
            weights[a, b + 1] += w * (1.0 - v) * u
            weights[a + 1, b] += w * v * (1.0 - u)
            weights[a + 1, b + 1] += w * v * u
    total = max(weights.sum(), 1e-9)
    mean, prior = change.sum() / total, _MEAN_WEIGHT * total / weights.size
    for a in range(rows):
        for b in range(columns):
            change[a, b] = (change[a, b] + prior * mean) / (weights[a, b] + prior)
    for i in range(height):
        at = (i + 0.5) / height * (rows - 1)
        a = min(int(at), rows - 2)
        v = at - a
        for j in range(width):
            place = (j + 0.5) / width * (columns - 1)
            b = min(int(place), columns - 2)
            u = place - b
            more = (1.0 - v) * ((1.0 - u) * change[a, b] + u * change[a, b + 1])
            more += v * ((1.0 - u) * change[a + 1, b] + u * change[a + 1, b + 1])
            more = max(more, LEAST_BACKGROUND_E - background[i, j])
            background[i, j] += more
            model[i, j] += more


@njit(cache=True, nogil=True, error_model="numpy")
def weigh_evidence(field: Field, spot: SingleArray, evidence: FloatArray, light: FloatArray) -> None:
    """Compute in every pixel how clearly the residual looks like one more emitter there, and with what light.

    Parameters
    ----------
    field : Field
        Its weight is overwritten.
    spot : ndarray of float32
        Shape (S, S), S odd: share of the light of an emitter in the middle of the middle pixel.
    evidence, light : ndarray
        Shape (Y, X), receive signal-to-noise ratio and electrons.
    """
    data, noise, model, weight = field.data, field.noise, field.model, field.weight
    height, width = data.shape
    reach = spot.shape[0] // 2
    for i in range(height):
        for j in range(width):
            weight[0, i, j] = 1.0 / max(model[i, j] + noise[i, j], LEAST_EXPECTED_E)
            weight[1, i, j] = weight[0, i, j] * (data[i, j] - model[i, j])
    for i in range(height):
        for j in range(width):
            score, information = 0.0, 1e-12
            left, right = max(j - reach, 0), min(j + reach + 1, width)
            for a in range(max(i - reach, 0), min(i + reach + 1, height)):
                share = spot[a - i + reach, left - j + reach : right - j + reach]
                seen, worth = weight[1, a, left:right], weight[0, a, left:right]
                for b in range(right - left):
                    score += share[b] * seen[b]
                    information += share[b] * share[b] * worth[b]
            evidence[i, j] = score / math.sqrt(information)
            light[i, j] = score / information
