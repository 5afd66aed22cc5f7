"""Localization precision from the data themselves: nearest neighbours in consecutive frames (NeNA).

U. Endesfelder, S. Malkusch, F. Fricke, M. Heilemann, "A simple method to estimate the average localization precision
of a single-molecule localization microscopy experiment", Histochem. Cell Biol. 141, 629 (2014),
doi:10.1007/s00418-014-1192-3.

A fluorophore that is on in two consecutive frames gives two rows whose distance tells their precision alone. The
distances from each row to its nearest neighbour in the next frame follow a Rayleigh-like peak of that precision plus
what chance neighbours add, a broad Gaussian and a straight line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy.optimize import least_squares

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations

_Z_90 = 1.645
_N_BINS = 100
_MIN_DISTANCES = 200


@dataclass(frozen=True)
class NenaResult:
    """A localization precision with its histogram.

    Parameters
    ----------
    precision_nm : float
        Standard deviation of one localization along one axis.
    interval_nm : tuple of float
        90 % interval.
    distance_nm, count, fitted : ndarray
        Shape (B,): middles of the bins, nearest-neighbour distances in each, and the fitted curve.
    n_pairs : float
        Distances the fit ascribes to fluorophores seen twice.
    """

    precision_nm: float
    interval_nm: tuple[float, float]
    distance_nm: NDArray[np.float64]
    count: NDArray[np.int64]
    fitted: NDArray[np.float64]
    n_pairs: float


def nena(table: Localizations, max_distance_nm: float = 200.0) -> NenaResult:
    """Estimate the average localization precision.

    Parameters
    ----------
    table : Localizations
        Not linked, with `frame`, `x_nm`, `y_nm`.
    max_distance_nm : float
        Distances beyond this are not looked at; about ten times the expected precision.

    Returns
    -------
    NenaResult
        The precision. With rows of different precision it is their root mean square, nearly.

    Raises
    ------
    InputError
        The table was linked, or too few rows have a neighbour in the next frame to tell a peak from chance.
    """
    if "n_detections" in table and len(table) and int(table["n_detections"].max()) > 1:
        msg = "expected a table that was not linked: linking removes the neighbours in the next frame that NeNA needs"
        raise InputError(msg)
    distance = _distances(table, max_distance_nm)
    if len(distance) < _MIN_DISTANCES:
        msg = (
            f"expected at least {_MIN_DISTANCES} localizations with a neighbour within {max_distance_nm:g} nm in the "
            f"next frame, got {len(distance)}; fluorophores must stay on for more than one frame"
        )
        raise InputError(msg)
    start = _mode(distance)
    reach = float(min(max_distance_nm, max(12 * start, 4 * np.median(distance[distance < 6 * start]))))
    edges = np.linspace(0, reach, _N_BINS + 1)
    count = np.histogram(distance, edges)[0].astype(np.int64)
    middle = (edges[1:] + edges[:-1]) / 2
    found, spread, fitted = _fit(middle, count, edges[1], start)
    sigma, n_pairs = float(found[0]), float(found[1])
    if n_pairs < 5 * np.sqrt(len(distance)) or not spread < 0.5 * sigma:
        msg = (
            f"expected a peak of fluorophores seen in two consecutive frames, but it does not stand out from chance "
            f"neighbours ({n_pairs:.0f} of {len(distance)}); the density is too high or on-times too short"
        )
        raise InputError(msg)
    return NenaResult(sigma, (sigma - _Z_90 * spread, sigma + _Z_90 * spread), middle, count, fitted, n_pairs)


def _distances(table: Localizations, max_distance_nm: float) -> NDArray[np.float64]:
    finite = np.isfinite(table.positions_nm).all(axis=1)
    frame, x, y = (table[name][finite] for name in ("frame", "x_nm", "y_nm"))
    order = np.lexsort((x, frame))
    distance: NDArray[np.float64] = _nearest_in_next(frame[order], x[order], y[order], max_distance_nm)
    return distance[distance <= max_distance_nm]


@njit(cache=True, nogil=True)
def _nearest_in_next(frame: Any, x: Any, y: Any, limit: float) -> Any:
    """Rows are sorted by frame, then x; infinity where nothing is near."""
    n = len(frame)
    nearest = np.full(n, np.inf)
    start = 0
    while start < n:
        stop = start
        while stop < n and frame[stop] == frame[start]:
            stop += 1
        end = stop
        while end < n and frame[end] == frame[start] + 1:
            end += 1
        first = stop
        for i in range(start, stop):
            while first < end and x[first] < x[i] - limit:
                first += 1
            j = first
            best = limit * limit
            while j < end and x[j] <= x[i] + limit:
                d = (x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2
                if d <= best:
                    best = d
                    nearest[i] = np.sqrt(d)
                j += 1
        start = stop
    return nearest


def _mode(distance: NDArray[np.float64]) -> float:
    """First guess of the precision: the peak of d exp(-d^2 / 4 s^2) lies at sqrt(2) s."""
    counts, edges = np.histogram(distance, np.linspace(0, distance.max(), 201))
    smooth = np.convolve(counts, np.ones(7) / 7, mode="same")
    # Chance neighbours grow with the distance; the first peak is the one sought.
    density = smooth / (edges[1:] + edges[:-1])
    half = int(np.argmax(density[3:] < density[3:8].mean() / np.e)) + 3
    return float(max(edges[half], edges[2])) / 2


def _fit(
    middle: NDArray[np.float64], count: NDArray[np.int64], width: float, start: float
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Weighted least squares on the histogram: precision, pairs, and three parts for chance neighbours."""
    total = float(count.sum())

    def model(p: NDArray[np.float64]) -> NDArray[np.float64]:
        sigma, pairs, broad, centre, spread, slope = p
        rayleigh = middle / (2 * sigma**2) * np.exp(-(middle**2) / (4 * sigma**2))
        bump = np.exp(-0.5 * ((middle - centre) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
        value: NDArray[np.float64] = width * (pairs * rayleigh + broad * bump + slope * middle)
        return value

    reach = float(middle[-1])
    first = [start, 0.8 * total, 0.1 * total, 5 * start, 2 * start, 0.1 * total / reach**2]
    # The broad Gaussian stays beyond the reach of the peak, or it would take over its flank.
    low = [1e-3 * start, 0.0, 0.0, 5 * start, 1.5 * start, 0.0]
    high = [10 * start, 2 * total, 2 * total, 2 * reach, 2 * reach, np.inf]
    scale = np.array([start, total, total, start, start, total / reach**2])
    parameters = np.clip(first, low, high)
    noise = np.sqrt(np.maximum(count, 1.0))
    for _ in range(2):

        def rest(p: NDArray[np.float64], noise: NDArray[np.float64] = noise) -> NDArray[np.float64]:
            return np.asarray((model(p) - count) / noise)

        found: Any = least_squares(rest, parameters, bounds=(low, high), x_scale=scale)
        parameters = found.x
        # Weights from the counts themselves pull the curve down; those of the fitted curve do not.
        noise = np.sqrt(np.maximum(model(parameters), 1.0))
    spread = float(np.sqrt(np.linalg.pinv(found.jac.T @ found.jac)[0, 0]))
    return parameters, spread, model(parameters)
