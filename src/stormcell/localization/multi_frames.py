"""Joint fits of whole frames on all cores: tiles in, rows out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from stormcell.localization.multi_defects import leave_out_defects
from stormcell.localization.multi_evidence import (
    CELL_PX,
    local_light,
    start_background,
    update_background,
    weigh_evidence,
)
from stormcell.localization.multi_fit import (
    DATA,
    HIGHEST,
    LOWEST,
    PINNED,
    RESIDUAL,
    SCALE,
    STEP,
    THETA,
    VALID,
    WEIGHT,
    make_work,
)
from stormcell.localization.multi_groups import FINE, accept_group, fit_group
from stormcell.localization.multi_merge import merge_wide
from stormcell.localization.multi_moves import add_emitters, remove_weak, split_emitters, sweep
from stormcell.localization.multi_psf import EmitterShape, add_light, width_slope
from stormcell.localization.multi_scene import (
    JointFit,
    SearchPlan,
    make_emitters,
    make_scene,
    new_emitter,
    select_group,
)
from stormcell.localization.multi_solve import factor, variance_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

(
    X, Y, LIGHT, BACKGROUND, STD_X, STD_Y, STD_LIGHT, STD_BACKGROUND, LOG_LIKELIHOOD, CHI2, RESIDUAL_STD, STEPS,
    CONVERGED, AT_BOUND, SNR, ROW, COLUMN, WIDTH_SCORE, WIDTH_INFORMATION,
) = range(19)  # fmt: skip
"""Columns of the result."""

N_COLUMNS = 19
_MOST_ROUNDS = 12
_CANDIDATES = 256
_LEAST_SEED_E = 20.0


@njit(cache=True, nogil=True, error_model="numpy")
def _plant(fit: JointFit, seeds: FloatArray) -> None:
    """Put an emitter on every seed, the clearest first, each with what light is left there."""
    for s in range(min(len(seeds), len(fit.emitters.x))):
        x, y = seeds[s, 0], seeds[s, 1]
        light = max(local_light(fit, x, y), _LEAST_SEED_E)
        new_emitter(fit.emitters, s, x, y, light)
        fit.emitters.snr[s] = seeds[s, 2]
        fit.emitters.n[0] = s + 1
        add_light(fit.shape, x, y, light, fit.work.axis, fit.scene.light)


@njit(cache=True, nogil=True, error_model="numpy")
def find_more(fit: JointFit, nodes: FloatArray, stamp: int) -> int:
    """Add and split emitters until the data ask for no more.

    Parameters
    ----------
    fit : JointFit
        Its emitters, light and background are changed.
    nodes : ndarray
        Of `update_background`.
    stamp : int
        Number of the last round.

    Returns
    -------
    int
        Number of the last round.
    """
    scene = fit.scene
    places, values = np.empty(_CANDIDATES, np.int64), np.empty(_CANDIDATES)
    stamp += 1
    for i in range(scene.data.shape[0]):
        for j in range(scene.data.shape[1]):
            scene.changed[i, j] = stamp
    for _ in range(_MOST_ROUNDS):
        stamp += 1
        update_background(scene, nodes)
        weigh_evidence(fit)
        n_new = add_emitters(fit, stamp, places, values)
        n_new += split_emitters(fit, stamp)
        if n_new == 0:
            break
    return stamp + 1


@njit(cache=True, nogil=True, error_model="numpy")
def solve_scene(fit: JointFit, seeds: FloatArray) -> None:
    """Find the emitters of a scene.

    Parameters
    ----------
    fit : JointFit
        Pixels are loaded; background, emitters and light are found.
    seeds : ndarray
        Shape (S, 3): x, y and detection response of spots, clearest first.
    """
    scene = fit.scene
    height, width = scene.data.shape
    nodes = np.empty((3, max(height // CELL_PX + 1, 2), max(width // CELL_PX + 1, 2)))
    start_background(scene, nodes)
    leave_out_defects(scene, fit.shape.sigma_px, fit.plan.excess_noise_factor)
    for _ in range(3):
        update_background(scene, nodes)
    _plant(fit, seeds)
    stamp = 0
    for final in range(2):
        if final == 1:
            stamp = find_more(fit, nodes, stamp)
            remove_weak(fit, stamp)
            merge_wide(fit)
        for _ in range(2):
            stamp += 1
            update_background(scene, nodes)
            sweep(fit, stamp)


@njit(cache=True, nogil=True, error_model="numpy")
def _write_goodness(fit: JointFit, e: int, out: FloatArray) -> None:
    """Write how well the core of a member is explained."""
    work, side = fit.work, fit.shape.core_px
    factor_squared = fit.plan.excess_noise_factor
    log_likelihood = chi2 = squares = n_valid = 0.0
    for i in range(work.place[e, 0], work.place[e, 0] + side):
        for j in range(work.place[e, 1], work.place[e, 1] + side):
            if work.window[VALID, i, j] > 0.0:
                expected, data = 1.0 / work.window[WEIGHT, i, j], work.window[DATA, i, j]
                residual = data - expected
                log_likelihood += data * math.log(expected) - expected
                chi2 += residual * residual / expected
                squares += residual * residual
                n_valid += 1.0
    freedom = n_valid - 4.0
    out[LOG_LIKELIHOOD] = log_likelihood / factor_squared
    out[CHI2] = chi2 / (freedom * factor_squared) if freedom > 0.0 else math.nan
    out[RESIDUAL_STD] = math.sqrt(squares / max(freedom, 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _write_bounds(fit: JointFit, e: int, n: int, out: FloatArray) -> None:
    """Write the Cramer-Rao bounds of a member from the information of its whole group."""
    work, n_free = fit.work, 3 * n + 1
    for k in range(n_free):
        work.vectors[PINNED, k] = 0.0
    out[STD_X] = out[STD_Y] = out[STD_LIGHT] = out[STD_BACKGROUND] = math.nan
    if factor(work.fisher, n_free, 0.0, work.vectors[PINNED], work.vectors[SCALE], work.lower):
        for q in range(4):
            k = 3 * e + q if q < 3 else 3 * n
            variance = variance_of(k, work.lower, work.vectors[SCALE], n_free, work.vectors[STEP])
            out[STD_X + q] = math.sqrt(fit.plan.excess_noise_factor * variance)
    theta, lowest, highest = work.vectors[THETA], work.vectors[LOWEST], work.vectors[HIGHEST]
    code = 0
    for k in range(3 * e, 3 * e + 2):
        if theta[k] <= lowest[k] or theta[k] >= highest[k]:
            code = 1
    out[AT_BOUND] = code + (4 if theta[3 * n] <= lowest[3 * n] else 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _write_width(fit: JointFit, e: int, out: FloatArray) -> None:
    """Write what a member says about the sigma that all share: score and information, its light being free."""
    work, side = fit.work, fit.shape.core_px
    theta, row, column, slope = work.vectors[THETA], work.place[e, 0], work.place[e, 1], work.weighted[0]
    width_slope(fit.shape, theta[3 * e] - column, theta[3 * e + 1] - row, work.axis, slope)
    light = theta[3 * e + 2]
    score = square = cross = own = 0.0
    for i in range(side):
        for j in range(side):
            w, share = work.window[WEIGHT, row + i, column + j], work.patch[e, 0, i, j]
            score += light * slope[i, j] * work.window[RESIDUAL, row + i, column + j]
            square += light * light * w * slope[i, j] * slope[i, j]
            cross += light * w * slope[i, j] * share
            own += w * share * share
    out[WIDTH_SCORE] = score
    out[WIDTH_INFORMATION] = square - cross * cross / max(own, 1e-12)


@njit(cache=True, nogil=True, error_model="numpy")
def write_row(fit: JointFit, k: int, out: FloatArray) -> None:
    """Fit an emitter and its neighbours to convergence and write the emitter's row.

    Parameters
    ----------
    fit : JointFit
        Its emitters and light are changed.
    k : int
        Which emitter.
    out : ndarray
        Shape (N_COLUMNS,), receives the row; positions count from the scene's corner.
    """
    emitters, scene, work = fit.emitters, fit.scene, fit.work
    n = select_group(emitters, emitters.x[k], emitters.y[k], float(fit.shape.core_px), 10, work)
    _, steps, converged = fit_group(fit, (n, n, n), FINE)
    e = 0
    for member in range(n):
        if work.group[member] == k:
            e = member
    _write_goodness(fit, e, out)
    _write_bounds(fit, e, n, out)
    _write_width(fit, e, out)
    out[STEPS], out[CONVERGED] = steps, 1.0 if converged else 0.0
    row = min(max(emitters.row[k], 0), scene.data.shape[0] - 1)
    column = min(max(emitters.column[k], 0), scene.data.shape[1] - 1)
    out[ROW], out[COLUMN], out[SNR] = emitters.row[k], emitters.column[k], emitters.snr[k]
    out[BACKGROUND] = scene.background[row, column] + work.vectors[THETA, 3 * n]
    accept_group(fit, n, n)
    out[X], out[Y], out[LIGHT] = emitters.x[k], emitters.y[k], emitters.light[k]


@njit(cache=True, nogil=True, error_model="numpy")
def solve_tiles(
    frames: NDArray[np.float32],
    read_variance: NDArray[np.float32],
    tiles: NDArray[np.int64],
    seeds: FloatArray,
    shape: EmitterShape,
    plan: SearchPlan,
    taps: FloatArray,
    out: FloatArray,
    counts: NDArray[np.int64],
) -> None:
    """Find the emitters of tiles, one after the other; releases Python's lock.

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
        Shape (S, 3): x, y from the tile's corner and detection response, clearest first in each tile.
    shape : EmitterShape
        The PSF.
    plan : SearchPlan
        How many emitters to find.
    taps : ndarray
        Shape (2, R + 1): half of the PSF along one axis, and its square.
    out : ndarray
        Shape (rows, N_COLUMNS).
    counts : ndarray of int64
        Shape (K,), receives the number of emitters of each tile.
    """
    work = make_work(shape)
    for t in range(len(tiles)):
        tile = tiles[t]
        image = frames[tile[0], tile[1] : tile[2], tile[3] : tile[4]]
        variance = read_variance[tile[1] : tile[2], tile[3] : tile[4]]
        scene = make_scene(image, variance, plan.excess_noise_factor)
        fit = JointFit(shape, plan, taps, scene, make_emitters(tile[8] - tile[7]), work)
        solve_scene(fit, seeds[tile[5] : tile[6]])
        for k in range(fit.emitters.n[0]):
            write_row(fit, k, out[tile[7] + k])
        counts[t] = fit.emitters.n[0]
