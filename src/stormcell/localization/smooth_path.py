"""A smooth path through measured places, one value per frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import BSpline, make_smoothing_spline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.segment_shifts import Segments

_MIN_KNOTS_FOR_CUBIC = 5
_MIN_KNOTS_TO_JUDGE = 10


def smooth_path(
    frame: NDArray[np.int64], segments: Segments, value: NDArray[np.float64], uncertainty: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw a smoothing spline through knots, stretch by stretch.

    Parameters
    ----------
    frame : ndarray
        Shape (F,): where values are wanted.
    segments : Segments
        Times of the K knots, and the stretches of time that gaps divide.
    value, uncertainty : ndarray
        Shape (K,): values and their standard deviations.

    Returns
    -------
    ndarray
        Shape (F,): within a stretch a cubic spline that misses the knots by as much as their uncertainties say;
        straight across gaps; at both ends straight on for half a knot distance, then level.
    """
    times, values = [], []
    for number in np.unique(segments.run):
        own = segments.run == number
        at, curve = _stretch(segments.frame[own], value[own], uncertainty[own])
        times.append(at)
        values.append(curve)
    path: NDArray[np.float64] = np.interp(frame, np.concatenate(times), np.concatenate(values))
    return path


def path_uncertainty(
    frame: NDArray[np.int64], segments: Segments, value: NDArray[np.float64], uncertainty: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Tell how well a path through knots is known.

    Parameters
    ----------
    frame, segments, value, uncertainty
        As for `smooth_path`.

    Returns
    -------
    ndarray
        Shape (F,): the knots' standard deviations, interpolated, and beside them half of the typical distance of a
        knot from the straight line between its neighbours (of a quarter of the typical step, where there are few
        knots): what may happen between knots.
    """
    steps = np.diff(value)[np.diff(segments.run) == 0]
    between = 0.25 * float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0
    inner = np.flatnonzero(segments.run[2:] == segments.run[:-2]) + 1
    if len(inner) >= _MIN_KNOTS_TO_JUDGE:
        before, at, after = (segments.frame[inner + step] for step in (-1, 0, 1))
        share = (at - before) / (after - before)
        line = (1 - share) * value[inner - 1] + share * value[inner + 1]
        between = 0.5 * float(np.sqrt(np.mean((value[inner] - line) ** 2)))
    known: NDArray[np.float64] = np.hypot(np.interp(frame, segments.frame, uncertainty), between)
    return known


def _stretch(
    frame: NDArray[np.float64], value: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample one stretch finely enough for linear interpolation, half a knot distance beyond both ends."""
    if len(frame) == 1:
        return frame, value
    before, after = (frame[1] - frame[0]) / 2, (frame[-1] - frame[-2]) / 2
    inside = np.linspace(frame[0], frame[-1], 20 * len(frame))
    if len(frame) < _MIN_KNOTS_FOR_CUBIC:
        curve = np.interp(inside, frame, value)
        slopes = np.diff(value)[[0, -1]] / np.diff(frame)[[0, -1]]
    else:
        spline = _smoothing_spline(frame, value, _noise(value, spread))
        curve = spline(inside)
        slopes = spline.derivative()(frame[[0, -1]])
    times = np.concatenate([[frame[0] - before], inside, [frame[-1] + after]])
    ends: Any = [curve[0] - slopes[0] * before], [curve[-1] + slopes[1] * after]
    return times, np.concatenate([ends[0], curve, ends[1]])


def _smoothing_spline(frame: NDArray[np.float64], value: NDArray[np.float64], noise: NDArray[np.float64]) -> BSpline:
    """Natural cubic spline that misses the knots by one standard deviation on average (Reinsch's choice)."""
    unit = (frame[-1] - frame[0]) / len(frame)
    low, high = -8.0, 8.0
    for _ in range(16):
        middle = (low + high) / 2
        spline = make_smoothing_spline(
            frame / unit, value, w=1 / noise**2, lam=10**middle / float(np.median(noise)) ** 2
        )
        misses = float(np.mean(((spline(frame / unit) - value) / noise) ** 2))
        low, high = (middle, high) if misses < 1 else (low, middle)
    return BSpline(spline.t * unit, spline.c, spline.k)


def _noise(value: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stated uncertainties, held to what the second differences of the knots show: too stiff a curve loses drift."""
    seen = 1.4826 * float(np.median(np.abs(np.diff(value, 2)))) / np.sqrt(6)
    typical = float(np.median(spread))
    noise: NDArray[np.float64] = spread * min(1.0, max(seen, 0.05 * typical) / typical)
    return noise
