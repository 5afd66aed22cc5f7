"""One source wider than the PSF is no swarm of emitters.

Where a single wide spot explains the data as well as the emitters put there, one emitter stays, and its poor fit says
what it is: a bead, a clump, light out of focus.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from stormcell.localization.multi_fit import HIGHEST, LOWEST, THETA, make_work, maximize_joint
from stormcell.localization.multi_groups import ROUGH, accept_group, fit_group, prepare_group
from stormcell.localization.multi_psf import EmitterShape, add_light
from stormcell.localization.multi_scene import JointFit, drop_emitter, move_emitter, select_group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_REACHES_SIGMAS = (4.0, 2.5)
_NARROWEST, _WIDEST = 1.05, 3.0
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_NARROWINGS = 8


@njit(cache=True, nogil=True, error_model="numpy")
def _larger(fit: JointFit) -> JointFit:
    """Return the same scene seen in cores of nearly twice the side, where a wide source fits in."""
    narrow = fit.shape
    shape = EmitterShape(narrow.sigma_px, 2 * narrow.core_px - 1, max(narrow.reach_px, narrow.core_px), narrow.table)
    return JointFit(shape, fit.plan, fit.taps, fit.scene, fit.emitters, make_work(shape))


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_wide(large: JointFit, widening: float, start: FloatArray) -> float:
    """Fit one Gaussian of a wider sigma to the window that was prepared; return F^2 times the log-likelihood."""
    shape, theta = large.shape, large.work.vectors[THETA]
    no_table = np.zeros((0, 0, 0, 0), np.float32)
    wide = EmitterShape(shape.sigma_px * widening, shape.core_px, shape.reach_px, no_table)
    theta[:4] = start
    return float(maximize_joint(wide, 1, ROUGH, large.work)[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _best_wide(large: JointFit, start: FloatArray) -> float:
    """Find the width that explains the window as one source; leave that fit in the work, return its likelihood."""
    lowest = prepare_group(large, (0, 1, 1))
    work = large.work
    start[0] -= work.size[3]
    start[1] -= work.size[2]
    start[3] = max(0.0, lowest + 0.02)
    work.vectors[LOWEST, 3], work.vectors[HIGHEST, 3] = lowest, math.inf
    low, high = _NARROWEST, _WIDEST
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner, at_outer = _fit_wide(large, inner, start), _fit_wide(large, outer, start)
    for _ in range(_NARROWINGS):
        if at_inner > at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - _GOLDEN * (high - low)
            at_inner = _fit_wide(large, inner, start)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + _GOLDEN * (high - low)
            at_outer = _fit_wide(large, outer, start)
    return _fit_wide(large, inner if at_inner > at_outer else outer, start) / large.plan.excess_noise_factor


@njit(cache=True, nogil=True, error_model="numpy")
def _light_up(fit: JointFit, n: int, sign: float) -> None:
    """Add the light of the members to the scene, or take it away."""
    emitters, work = fit.emitters, fit.work
    for e in range(n):
        k = work.group[e]
        add_light(fit.shape, emitters.x[k], emitters.y[k], sign * emitters.light[k], work.axis, fit.scene.light)


@njit(cache=True, nogil=True, error_model="numpy")
def _wins_wide(fit: JointFit, large: JointFit, n: int, start: FloatArray) -> bool:
    """Say whether one wide source explains the surroundings of the first member as well as the n members do.

    Where it does, the light of the members is out of the scene, and the wide fit in the work of `large`.
    """
    emitters, group = fit.emitters, fit.work.group
    start[:] = 0.0
    for e in range(n):
        k = group[e]
        start[0] += emitters.light[k] * emitters.x[k]
        start[1] += emitters.light[k] * emitters.y[k]
        start[2] += emitters.light[k]
    start[:2] /= start[2]
    large.work.group[0] = group[0]
    several, _, _ = fit_group(large, (0, 0, 1), ROUGH)
    _light_up(fit, n, -1.0)
    # by what parameters gain of noise: three of each emitter, against four with the width (Akaike)
    if several - _best_wide(large, start) < 3.0 * n - 4.0:
        return True
    _light_up(fit, n, 1.0)
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def _keep_first(fit: JointFit, large: JointFit, n: int) -> None:
    """Put the first member where the wide source is, with its light, and drop the others."""
    emitters, group, theta = fit.emitters, fit.work.group, large.work.vectors[THETA]
    for e in range(n):
        emitters.light[group[e]] = 0.0
    first = group[0]
    move_emitter(emitters, first, theta[0] + large.work.size[3], theta[1] + large.work.size[2], theta[2])
    _light_up(fit, 1, 1.0)
    for k in range(emitters.n[0] - 1, -1, -1):
        if emitters.light[k] == 0.0:
            drop_emitter(emitters, k)


@njit(cache=True, nogil=True, error_model="numpy")
def merge_wide(fit: JointFit) -> None:
    """Put one emitter where one wide source explains the data as well as the several emitters found there.

    Parameters
    ----------
    fit : JointFit
        Its emitters and light are changed.
    """
    emitters, start = fit.emitters, np.zeros(4)
    large = _larger(fit)
    for reach in _REACHES_SIGMAS:
        k = 0
        while k < emitters.n[0]:
            near = min(reach * fit.shape.sigma_px, float(fit.shape.core_px))
            n = select_group(emitters, emitters.x[k], emitters.y[k], near, 10, fit.work)
            is_brightest = n > 1
            for e in range(1, n):
                is_brightest = is_brightest and emitters.light[fit.work.group[e]] <= emitters.light[k]
            if is_brightest:
                fit_group(fit, (n, n, n), ROUGH)
                accept_group(fit, n, n)
                if _wins_wide(fit, large, n, start):
                    _keep_first(fit, large, n)
            k += 1
