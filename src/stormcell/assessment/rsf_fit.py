"""The resolution scaling function: the blur that turns a super-resolution image into the wide-field one.

Scale and offset follow in closed form for any blur, so that only the width is searched for, between limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from stormcell.assessment.linear_match import LinearMatch, match_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_N_SCAN = 7


class Blur(Protocol):
    """What a fit needs: blurred values at the reference pixels for a pair of widths."""

    def values(self, sigma_px: tuple[float, float]) -> NDArray[np.float32]:
        """Blur and sample.

        Parameters
        ----------
        sigma_px : tuple of float
            Standard deviations along y and x in super-resolution pixels.

        Returns
        -------
        ndarray
            Shape of the reference.
        """


@dataclass(frozen=True)
class RsfFit:
    """The best width with its match.

    Parameters
    ----------
    sigma_px : tuple of float
        Standard deviations along y and x in super-resolution pixels.
    match : LinearMatch
        Scale, offset and what is left.
    values : ndarray
        Blurred values at the reference pixels, before scale and offset.
    held : bool
        The width was given, not searched for.
    at_limit : bool
        The width lies at the end of the range that was searched.
    """

    sigma_px: tuple[float, float]
    match: LinearMatch
    values: NDArray[np.float32]
    held: bool
    at_limit: bool


def fit_rsf(
    blur: Blur,
    reference: NDArray[Any],
    bounds_px: tuple[float, float],
    *,
    elliptical: bool = False,
) -> RsfFit:
    """Find the width at which the blurred image correlates best with the reference.

    Parameters
    ----------
    blur : Blur
        Gives the blurred values.
    reference : ndarray
        Wide-field pixels.
    bounds_px : tuple of float
        Smallest and largest standard deviation; equal ones hold it.
    elliptical : bool
        Let the widths along y and x differ.

    Returns
    -------
    RsfFit
        For given width, least squares in alpha and beta is the same as the largest correlation; its sign is kept, so
        that a negative image is never taken for a match.
    """
    low, high = bounds_px

    def cost(log_sigma: float) -> float:
        sigma = math.exp(log_sigma)
        return -match_images(blur.values((sigma, sigma)), reference).rsp

    if high <= low * (1 + 1e-9):
        return _at(blur, reference, (low, low), bounds_px, held=True)
    ends = _bracket(cost, math.log(low), math.log(high))
    sigma = math.exp(float(minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 5e-4}).x))
    pair = (sigma, sigma)
    if elliptical:
        pair = _elliptical(blur, reference, bounds_px, sigma)
    return _at(blur, reference, pair, bounds_px, held=False)


def _bracket(cost: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Walk downhill over a coarse grid from the middle: wide blurs cost little, narrow ones are seldom needed."""
    grid = np.linspace(low, high, _N_SCAN)
    known: dict[int, float] = {}

    def at(index: int) -> float:
        if index not in known:
            known[index] = cost(float(grid[index]))
        return known[index]

    best = _N_SCAN // 2
    while True:
        neighbours = [index for index in (best - 1, best + 1) if 0 <= index < _N_SCAN]
        lower = min(neighbours, key=at)
        if at(lower) >= at(best):
            return float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _N_SCAN - 1)])
        best = lower


def _elliptical(
    blur: Blur, reference: NDArray[Any], bounds_px: tuple[float, float], start: float
) -> tuple[float, float]:
    def cost(log_sigma: NDArray[np.float64]) -> float:
        sigma = (math.exp(log_sigma[0]), math.exp(log_sigma[1]))
        return -match_images(blur.values(sigma), reference).rsp

    limits = [(math.log(bounds_px[0]), math.log(bounds_px[1]))] * 2
    simplex = np.clip(math.log(start) + np.array([[0.0, 0.0], [0.1, -0.1], [0.1, 0.1]]), *limits[0])
    options: Any = {"xatol": 2e-4, "fatol": 1e-9, "initial_simplex": simplex}
    first: Any = simplex[0]
    found: Any = minimize(cost, first, method="Nelder-Mead", bounds=limits, options=options)
    return math.exp(float(found.x[0])), math.exp(float(found.x[1]))


def _at(
    blur: Blur,
    reference: NDArray[Any],
    sigma_px: tuple[float, float],
    bounds_px: tuple[float, float],
    *,
    held: bool,
) -> RsfFit:
    values = blur.values(sigma_px)
    at_limit = not held and (min(sigma_px) < bounds_px[0] * 1.01 or max(sigma_px) > bounds_px[1] / 1.01)
    return RsfFit(sigma_px, match_images(values, reference), values, held, at_limit)
