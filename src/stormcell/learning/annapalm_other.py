"""Structures of no particular kind, the cheapest cure against seeing the learned ones everywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stormcell.simulation.structures.scene import wormlike_chain

if TYPE_CHECKING:
    from numpy.typing import NDArray


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    low, high : float
        Limits, > 0.

    Returns
    -------
    float
        The number.
    """
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def curves(rng: np.random.Generator, side_nm: float) -> NDArray[np.float64]:
    """Draw curves of any stiffness, length and width, whole or dashed, some of them closed to loops.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    side_nm : float
        Side of the field.

    Returns
    -------
    ndarray
        Shape (N, 2), x and y of emitters in nm.
    """
    persistence = log_uniform(rng, 150, 8000)
    mean_length = log_uniform(rng, 300, 6000)
    width = log_uniform(rng, 4, 120)
    per_um = log_uniform(rng, 10, 80)
    total = log_uniform(rng, 0.3, 3) * (side_nm / 1000) ** 2 * 1000
    is_dashed = rng.random() < 0.4
    points, drawn = [], 0.0
    while drawn < total:
        length = max(100.0, rng.gamma(2.0, mean_length / 2))
        start = rng.uniform(0, side_nm, 2)
        path = wormlike_chain(rng, (start[0], start[1]), rng.uniform(0, 2 * math.pi), length, persistence, 10.0)
        if is_dashed:
            period = log_uniform(rng, 150, 1500)
            path = path[(np.arange(len(path)) * 10.0 % period) < rng.uniform(0.3, 0.8) * period]
        drawn += length
        if len(path):
            place = path[rng.integers(0, len(path), rng.poisson(per_um * len(path) * 0.01))]
            points.append(place + rng.normal(0, width / 2, place.shape) + rng.uniform(-5, 5, place.shape))
    return np.concatenate([np.zeros((0, 2)), *points])


def blobs(rng: np.random.Generator, side_nm: float) -> NDArray[np.float64]:
    """Draw clusters of any size, round or long.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    side_nm : float
        Side of the field.

    Returns
    -------
    ndarray
        Shape (N, 2), x and y of emitters in nm.
    """
    n_blobs = rng.poisson(log_uniform(rng, 0.3, 6) * (side_nm / 1000) ** 2)
    size = log_uniform(rng, 8, 250)
    per_blob = log_uniform(rng, 4, 150)
    points = []
    for centre in rng.uniform(0, side_nm, (n_blobs, 2)):
        n = rng.poisson(per_blob)
        own = size * math.exp(rng.normal(0, 0.4))
        angle, stretch = rng.uniform(0, math.pi), log_uniform(rng, 1, 4)
        raw = rng.normal(0, own, (n, 2)) * [stretch, 1.0]
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        points.append(centre + raw @ turn)
    return np.concatenate([np.zeros((0, 2)), *points])


def broken_rings(rng: np.random.Generator, side_nm: float) -> NDArray[np.float64]:
    """Draw rings of any size with arcs missing, and some filled discs.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    side_nm : float
        Side of the field.

    Returns
    -------
    ndarray
        Shape (N, 2), x and y of emitters in nm.
    """
    radius = log_uniform(rng, 30, 400)
    density = log_uniform(rng, 0.3, 8) * min(1.0, (100 / radius) ** 1.5)
    per_nm = log_uniform(rng, 0.02, 0.15)
    is_filled = rng.random() < 0.2
    points = []
    for centre in rng.uniform(0, side_nm, (rng.poisson(density * (side_nm / 1000) ** 2), 2)):
        own = radius * math.exp(rng.normal(0, 0.2))
        angle = rng.uniform(0, 2 * math.pi, rng.poisson(2 * math.pi * own * per_nm))
        missing = rng.uniform(0, 0.7)
        angle = angle[(angle + rng.uniform(0, 2 * math.pi)) % (2 * math.pi) > missing * 2 * math.pi]
        reach = own * np.sqrt(rng.random(len(angle))) if is_filled else own + rng.normal(0, 6, len(angle))
        points.append(centre + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.concatenate([np.zeros((0, 2)), *points])


def scattered(rng: np.random.Generator, side_nm: float) -> NDArray[np.float64]:
    """Scatter emitters with no structure at all: evenly, or more here than there, some in small sparse clusters.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    side_nm : float
        Side of the field.

    Returns
    -------
    ndarray
        Shape (N, 2), x and y of emitters in nm.
    """
    area_um2 = (side_nm / 1000) ** 2
    n_points = rng.poisson(log_uniform(rng, 5, 1500) * area_um2)
    points = rng.uniform(0, side_nm, (n_points, 2))
    if rng.random() < 0.5:
        points = points[rng.random(n_points) < _waves(rng, points, side_nm)]
    if rng.random() < 0.3:
        per_cluster, size_nm = log_uniform(rng, 2, 30), log_uniform(rng, 8, 60)
        centres = rng.uniform(0, side_nm, (rng.poisson(log_uniform(rng, 0.05, 2) * area_um2), 2))
        centres = np.repeat(centres, rng.poisson(per_cluster, len(centres)), axis=0)
        points = np.concatenate([points, centres + rng.normal(0, size_nm, centres.shape)])
    return points


def _waves(rng: np.random.Generator, points: NDArray[np.float64], side_nm: float) -> NDArray[np.float64]:
    """Share of the points that is kept at each place: a few long waves, so that no place has an edge."""
    total = np.zeros(len(points))
    for _ in range(3):
        direction = rng.normal(0, 2 * math.pi / log_uniform(rng, 1200, 1.5 * side_nm), 2)
        total += np.sin(points @ direction + rng.uniform(0, 2 * math.pi))
    return np.asarray(np.exp(rng.uniform(0.2, 1.2) * (total - 3)))


OTHER = (
    curves,
    blobs,
    broken_rings,
    scattered,
)
"""Every kind of other structure."""
