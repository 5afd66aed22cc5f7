"""Steps of a joint fit: fit anew, add an emitter, split one in two, remove one that explains nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

from stormcell.localization.multi_evidence import list_candidates
from stormcell.localization.multi_fit import PINNED, RESIDUAL, SCALE, STEP, THETA, WEIGHT
from stormcell.localization.multi_groups import ROUGH, accept_group, fit_group, mark_changed
from stormcell.localization.multi_psf import add_light
from stormcell.localization.multi_scene import JointFit, drop_emitter, new_emitter, select_group
from stormcell.localization.multi_solve import factor, variance_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_NEIGHBOURS = 5
"""Emitters that may move when one is added, split or removed."""
_LEAST_START_E = 10.0
_CLEAR = 4.0  # an emitter this many times above the limit is not doubted
_SPLIT_EVIDENCE = 1.5
_SPLIT_SIGMAS = 0.6


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(fit: JointFit, stamp: int) -> None:
    """Fit all emitters anew, group by group.

    Parameters
    ----------
    fit : JointFit
        Its emitters and light are changed.
    stamp : int
        Number of the round, above all earlier ones; odd rounds go backwards.
    """
    emitters, work = fit.emitters, fit.work
    count = emitters.n[0]
    inner = 0.5 * fit.shape.core_px
    for step in range(count):
        k = step if stamp % 2 == 0 else count - 1 - step
        if emitters.stamp[k] >= stamp:
            continue
        x, y = emitters.x[k], emitters.y[k]
        n = select_group(emitters, x, y, float(fit.shape.core_px), 2 * _NEIGHBOURS, work)
        fit_group(fit, (n, n, n), ROUGH)
        accept_group(fit, n, n)
        emitters.stamp[k] = stamp
        for e in range(n):
            near = work.group[e]
            if abs(emitters.x[near] - x) < inner and abs(emitters.y[near] - y) < inner:
                emitters.stamp[near] = stamp


@njit(cache=True, nogil=True, error_model="numpy")
def _limit(fit: JointFit, n: int) -> float:
    """Return what an emitter must gain beside the first n members of the group."""
    brightest = 0.0
    for e in range(n):
        brightest = max(brightest, fit.emitters.light[fit.work.group[e]])
    return fit.plan.likelihood_ratio + fit.plan.model_error * brightest


@njit(cache=True, nogil=True, error_model="numpy")
def _accept_one_more(fit: JointFit, n: int, without: float, stamp: int) -> bool:
    """Fit the group with its last member, which is new, and keep it if the data ask for it.

    `without` is the log-likelihood of the fit of the first n; where it is NaN that fit is made first.
    """
    emitters, new = fit.emitters, fit.emitters.n[0]
    limit = _limit(fit, n)
    with_it = without
    for more in range(1 if math.isfinite(without) else 0, 2):
        without = with_it
        with_it, _, _ = fit_group(fit, (n, n + more, n + 1), ROUGH)
    gain = 2.0 * (with_it - without)
    if not gain >= limit:
        return False
    emitters.snr[new] = math.sqrt(gain)
    emitters.n[0] = new + 1
    accept_group(fit, n, n + 1)
    mark_changed(fit, stamp)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def peak_offset(before: float, here: float, after: float) -> float:
    """Find the top of the parabola through three values.

    Parameters
    ----------
    before, here, after : float
        Values at neighbouring pixels, the middle one the largest.

    Returns
    -------
    float
        Where it is from the middle pixel, px, at most half a pixel.
    """
    curvature = 2.0 * here - before - after
    return min(max(0.5 * (after - before) / curvature, -0.5), 0.5) if curvature > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def add_emitters(fit: JointFit, stamp: int, places: NDArray[np.int64], values: FloatArray) -> int:
    """Try one more emitter wherever the residual asks for it.

    Parameters
    ----------
    fit : JointFit
        The evidence has been weighed.
    stamp : int
        Number of the round.
    places, values : ndarray
        Shape (C,), scratch for the list of candidates.

    Returns
    -------
    int
        How many were kept.
    """
    scene, n_kept = fit.scene, 0
    evidence, (height, width) = scene.evidence, scene.data.shape
    for c in range(list_candidates(fit, places, values)):
        i, j = places[c] // width, places[c] % width
        if scene.changed[i, j] == stamp:
            continue
        x, y = j + 0.5, i + 0.5
        if 0 < j < width - 1:
            x += peak_offset(evidence[i, j - 1], evidence[i, j], evidence[i, j + 1])
        if 0 < i < height - 1:
            y += peak_offset(evidence[i - 1, j], evidence[i, j], evidence[i + 1, j])
        scene.tried[i, j] = stamp
        new = fit.emitters.n[0]
        if new >= len(fit.emitters.x):
            break
        n = select_group(fit.emitters, x, y, float(fit.shape.core_px), _NEIGHBOURS, fit.work)
        new_emitter(fit.emitters, new, x, y, max(scene.buffers[0, i, j], _LEAST_START_E))
        fit.work.group[n] = new
        if _accept_one_more(fit, n, math.nan, stamp):
            n_kept += 1
    return n_kept


@njit(cache=True, nogil=True, error_model="numpy")
def _elongation(fit: JointFit) -> tuple[float, float]:
    """Return how clearly the residual of the first member looks like two emitters, and the angle between them.

    The score of splitting a Gaussian emitter by a small distance along u is that of its second derivative by u.
    """
    work, side = fit.work, fit.shape.core_px
    theta, row, column = work.vectors[THETA], work.place[0, 0], work.place[0, 1]
    width = fit.shape.sigma_px**2 + 1.0 / 12.0
    xx = xy = yy = square = cross = own = 0.0
    for i in range(side):
        dy = row + i + 0.5 - theta[1]
        for j in range(side):
            dx = column + j + 0.5 - theta[0]
            share = work.patch[0, 0, i, j]
            r, w = work.window[RESIDUAL, row + i, column + j], work.window[WEIGHT, row + i, column + j]
            xx += r * share * (dx * dx / width - 1.0)
            yy += r * share * (dy * dy / width - 1.0)
            xy += r * share * dx * dy / width
            # of either axis, about the same
            shape = share * (0.5 * (dx * dx + dy * dy) / width - 1.0)
            square += w * share * share * (dx * dx / width - 1.0) ** 2
            cross += w * shape * share
            own += w * share * share
    largest = 0.5 * (xx + yy) + math.sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
    information = square - cross * cross / max(own, 1e-12)
    angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    return largest / math.sqrt(max(information, 1e-12) * fit.plan.excess_noise_factor), angle


@njit(cache=True, nogil=True, error_model="numpy")
def _relight(fit: JointFit, k: int, x: float, y: float, light: float) -> None:
    """Give an emitter other values, also in the light of the scene; its core stays."""
    emitters, axis = fit.emitters, fit.work.axis
    add_light(fit.shape, emitters.x[k], emitters.y[k], -emitters.light[k], axis, fit.scene.light)
    emitters.x[k], emitters.y[k], emitters.light[k] = x, y, light
    add_light(fit.shape, x, y, light, axis, fit.scene.light)


@njit(cache=True, nogil=True, error_model="numpy")
def _select_first(fit: JointFit, k: int) -> int:
    """Select the group round an emitter, which comes first."""
    emitters, group = fit.emitters, fit.work.group
    n = select_group(emitters, emitters.x[k], emitters.y[k], float(fit.shape.core_px), _NEIGHBOURS + 1, fit.work)
    for e in range(n):
        if group[e] == k:
            group[e], group[0] = group[0], k
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def split_emitters(fit: JointFit, stamp: int) -> int:
    """Try two emitters in place of each one whose surroundings changed.

    Parameters
    ----------
    fit : JointFit
        Its emitters and light are changed.
    stamp : int
        Number of the round.

    Returns
    -------
    int
        How many were split.
    """
    emitters, scene, n_split = fit.emitters, fit.scene, 0
    height, width = scene.data.shape
    for k in range(emitters.n[0]):
        row, column = min(max(emitters.row[k], 0), height - 1), min(max(emitters.column[k], 0), width - 1)
        new = emitters.n[0]
        if emitters.stamp[k] > scene.changed[row, column] or new >= len(emitters.x):
            continue
        emitters.stamp[k] = stamp
        n = _select_first(fit, k)
        without, _, _ = fit_group(fit, (n, n, n), ROUGH)
        clarity, angle = _elongation(fit)
        if clarity < _SPLIT_EVIDENCE:
            continue
        accept_group(fit, n, n)
        x, y, half = emitters.x[k], emitters.y[k], 0.5 * emitters.light[k]
        dx, dy = (
            _SPLIT_SIGMAS * fit.shape.sigma_px * math.cos(angle),
            _SPLIT_SIGMAS * fit.shape.sigma_px * math.sin(angle),
        )
        new_emitter(emitters, new, x + dx, y + dy, half)
        emitters.row[new], emitters.column[new] = emitters.row[k], emitters.column[k]
        fit.work.group[n] = new
        _relight(fit, k, x - dx, y - dy, half)
        if _accept_one_more(fit, n, without, stamp):
            n_split += 1
        else:
            _relight(fit, k, x, y, 2.0 * half)
    return n_split


@njit(cache=True, nogil=True, error_model="numpy")
def _is_clear(fit: JointFit, e: int, n: int, limit: float) -> bool:
    """Say whether a member of a group that was just fitted is beyond doubt: far brighter than its uncertainty."""
    work, n_free = fit.work, 3 * n + 1
    for k in range(n_free):
        work.vectors[PINNED, k] = 0.0
    if not factor(work.fisher, n_free, 0.0, work.vectors[PINNED], work.vectors[SCALE], work.lower):
        return False
    variance = variance_of(3 * e + 2, work.lower, work.vectors[SCALE], n_free, work.vectors[STEP])
    light = work.vectors[THETA, 3 * e + 2]
    is_clear: bool = light * light > _CLEAR * limit * variance * fit.plan.excess_noise_factor
    return is_clear


@njit(cache=True, nogil=True, error_model="numpy")
def remove_weak(fit: JointFit, stamp: int) -> int:
    """Remove emitters without which the data are explained nearly as well.

    Parameters
    ----------
    fit : JointFit
        Its emitters and light are changed.
    stamp : int
        Number of the round.

    Returns
    -------
    int
        How many went.
    """
    emitters, work = fit.emitters, fit.work
    k, n_removed = 0, 0
    while k < emitters.n[0]:
        x, y = emitters.x[k], emitters.y[k]
        n = select_group(emitters, x, y, float(fit.shape.core_px), _NEIGHBOURS + 1, work)
        for e in range(n):
            if work.group[e] == k:
                work.group[e], work.group[n - 1] = work.group[n - 1], k
        with_it, _, _ = fit_group(fit, (n, n, n), ROUGH)
        limit = _limit(fit, n - 1)
        if not _is_clear(fit, n - 1, n, limit):
            accept_group(fit, n, n)
            without, _, _ = fit_group(fit, (n, n - 1, n), ROUGH)
            if not 2.0 * (with_it - without) >= limit:
                add_light(fit.shape, emitters.x[k], emitters.y[k], -emitters.light[k], work.axis, fit.scene.light)
                accept_group(fit, n - 1, n - 1)
                mark_changed(fit, stamp)
                drop_emitter(emitters, k)
                n_removed += 1
                continue
            emitters.snr[k] = math.sqrt(2.0 * (with_it - without))
        k += 1
    return n_removed
