"""Joint fits of groups within a scene: what a group sees, and what its fit changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.localization.multi_fit import DATA, EXTRA, HELD, HIGHEST, LOWEST, THETA, VALID, maximize_joint
from stormcell.localization.multi_psf import add_light, core_patch
from stormcell.localization.multi_scene import JointFit, move_emitter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

ROUGH, FINE = 1e-2, 2e-5
"""Squared Newton decrements at which fits for a decision and final fits stop: a last step of a tenth and of half a
hundredth of a standard deviation."""

_REACH_SIGMAS = 2.0
_BORDER_SIGMAS = 1.5
_LEAST_LIGHT_E = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _set_window(fit: JointFit, n_cores: int) -> None:
    """Find the smallest window that holds all cores of the group."""
    half, group, place, size = fit.shape.core_px // 2, fit.work.group, fit.work.place, fit.work.size
    top, left, bottom, right = 1 << 30, 1 << 30, -(1 << 30), -(1 << 30)
    for e in range(n_cores):
        row, column = fit.emitters.row[group[e]], fit.emitters.column[group[e]]
        top, left = min(top, row - half), min(left, column - half)
        bottom, right = max(bottom, row + half + 1), max(right, column + half + 1)
    for e in range(n_cores):
        place[e, 0] = fit.emitters.row[group[e]] - half - top
        place[e, 1] = fit.emitters.column[group[e]] - half - left
    size[0], size[1], size[2], size[3] = bottom - top, right - left, top, left


@njit(cache=True, nogil=True, error_model="numpy")
def _set_starts(fit: JointFit, n: int) -> None:
    """Write start values and bounds of the emitters; positions count from the window's corner."""
    sigma, emitters, work = fit.shape.sigma_px, fit.emitters, fit.work
    theta, lowest, highest = work.vectors[THETA], work.vectors[LOWEST], work.vectors[HIGHEST]
    reach, border = max(_REACH_SIGMAS * sigma, 1.5), _BORDER_SIGMAS * sigma
    height, width = fit.scene.data.shape
    top, left = work.size[2], work.size[3]
    for e in range(n):
        k, a = work.group[e], 3 * e
        middle_x, middle_y = emitters.column[k] + 0.5, emitters.row[k] + 0.5
        lowest[a] = max(middle_x - reach, -border) - left
        highest[a] = min(middle_x + reach, width + border) - left
        lowest[a + 1] = max(middle_y - reach, -border) - top
        highest[a + 1] = min(middle_y + reach, height + border) - top
        lowest[a + 2], highest[a + 2] = _LEAST_LIGHT_E, math.inf
        theta[a], theta[a + 1] = emitters.x[k] - left, emitters.y[k] - top
        theta[a + 2] = max(emitters.light[k], _LEAST_LIGHT_E)


@njit(cache=True, nogil=True, error_model="numpy")
def _load_pixels(fit: JointFit, n_cores: int) -> float:
    """Fill the window with pixels and held light; return the lowest value of what may be added to the background."""
    scene, work, side = fit.scene, fit.work, fit.shape.core_px
    window, size = work.window, work.size
    for i in range(size[0]):
        for j in range(size[1]):
            window[VALID, i, j] = 0.0
    for e in range(n_cores):
        for i in range(side):
            for j in range(side):
                window[VALID, work.place[e, 0] + i, work.place[e, 1] + j] = 1.0
    height, width = scene.data.shape
    least = math.inf
    for i in range(size[0]):
        y = size[2] + i
        for j in range(size[1]):
            x = size[3] + j
            if 0 <= y < height and 0 <= x < width:
                window[DATA, i, j], window[EXTRA, i, j] = scene.data[y, x], scene.extra[y, x]
                window[HELD, i, j] = scene.background[y, x] + scene.light[y, x]
                window[VALID, i, j] *= scene.valid[y, x]
                if window[VALID, i, j] > 0.0:
                    least = min(least, scene.background[y, x] + 0.9 * scene.extra[y, x])
            else:
                window[VALID, i, j] = window[DATA, i, j] = window[EXTRA, i, j] = window[HELD, i, j] = 0.0
    return 1e-3 - least if least < math.inf else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _take_out(fit: JointFit, n_lit: int) -> None:
    """Take the cores of the first members out of the held light."""
    emitters, work, side = fit.emitters, fit.work, fit.shape.core_px
    for e in range(n_lit):
        k, row, column = work.group[e], work.place[e, 0], work.place[e, 1]
        x, y = emitters.x[k] - work.size[3] - column, emitters.y[k] - work.size[2] - row
        core_patch(fit.shape, x, y, work.axis, work.patch[e])
        light = emitters.light[k]
        for i in range(side):
            for j in range(side):
                work.window[HELD, row + i, column + j] -= light * work.patch[e, 0, i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def prepare_group(fit: JointFit, members: tuple[int, int, int]) -> float:
    """Load the window, start values and bounds of a group.

    Parameters
    ----------
    fit : JointFit
        Its work holds the group.
    members : tuple of int
        As `fit_group` takes it.

    Returns
    -------
    float
        Lowest value of what may be added to the background.
    """
    n_lit, n, n_cores = members
    _set_window(fit, n_cores)
    _set_starts(fit, n)
    lowest = _load_pixels(fit, n_cores)
    _take_out(fit, n_lit)
    return lowest


@njit(cache=True, nogil=True, error_model="numpy")
def fit_group(fit: JointFit, members: tuple[int, int, int], tolerance: float) -> tuple[float, int, bool]:
    """Fit a group of emitters jointly; the scene stays as it is.

    Parameters
    ----------
    fit : JointFit
        Its work holds the group.
    members : tuple of int
        Of the group, how many have their light in the scene; are fitted; have their cores looked at.
    tolerance : float
        Squared Newton decrement at which to stop.

    Returns
    -------
    tuple of float, int and bool
        Log-likelihood without terms in the data alone, steps, and whether they converged.
    """
    n = members[1]
    lowest = prepare_group(fit, members)
    vectors = fit.work.vectors
    vectors[LOWEST, 3 * n], vectors[HIGHEST, 3 * n] = lowest, math.inf
    vectors[THETA, 3 * n] = max(0.0, lowest + 0.02)
    scaled, steps, converged = maximize_joint(fit.shape, n, tolerance, fit.work)
    return scaled / fit.plan.excess_noise_factor, steps, converged


@njit(cache=True, nogil=True, error_model="numpy")
def accept_group(fit: JointFit, n_lit: int, n: int) -> None:
    """Take fitted values over into the list and the light of the scene.

    Parameters
    ----------
    fit : JointFit
        After `fit_group`.
    n_lit : int
        Members whose old light is in the scene.
    n : int
        Members that were fitted.
    """
    emitters, work = fit.emitters, fit.work
    theta, top, left = work.vectors[THETA], work.size[2], work.size[3]
    for e in range(n):
        k = work.group[e]
        if e < n_lit:
            add_light(fit.shape, emitters.x[k], emitters.y[k], -emitters.light[k], work.axis, fit.scene.light)
        move_emitter(emitters, k, theta[3 * e] + left, theta[3 * e + 1] + top, theta[3 * e + 2])
        add_light(fit.shape, emitters.x[k], emitters.y[k], emitters.light[k], work.axis, fit.scene.light)


@njit(cache=True, nogil=True, error_model="numpy")
def mark_changed(fit: JointFit, stamp: int) -> None:
    """Note that the number of emitters changed in the window.

    Parameters
    ----------
    fit : JointFit
        After `fit_group`.
    stamp : int
        Number of the round.
    """
    size = fit.work.size
    height, width = fit.scene.changed.shape
    for i in range(max(size[2], 0), min(size[2] + size[0], height)):
        for j in range(max(size[3], 0), min(size[3] + size[1], width)):
            fit.scene.changed[i, j] = stamp
