"""Drift of a movie from its own localizations, by redundant cross-correlation.

The table is cut into time segments, every pair of them is cross-correlated, and the over-determined set of
displacements is solved by least squares with outliers taken out:

Y. Wang, J. Schnitzbauer, Z. Hu, X. Li, Y. Cheng, Z.-L. Huang, B. Huang, "Localization events-based sample drift
correction for localization microscopy with redundant cross-correlation algorithm", Opt. Express 22, 15982 (2014),
doi:10.1364/OE.22.015982.

Differs from the paper: segments close when they hold enough rows, and are lengthened until their peaks are
significant; each pair is weighted by the precision that Poisson pair counts allow; the curve is a smoothing spline;
and it is then sharpened with short segments (`drift_refinement`), as real drift moves within the long ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from stormcell.errors import InputError
from stormcell.localization.drift_refinement import refine, sharpness
from stormcell.localization.segment_shifts import PairShifts, Segments, cut_segments, pair_shifts
from stormcell.localization.smooth_path import path_uncertainty, smooth_path
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from stormcell.data.localizations import Localizations

    _Solution = tuple[NDArray[np.float64], NDArray[np.float64], int]
    _Path = tuple[Segments, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


_DEFAULT_BIN_NM = 20.0


class TooLittleStructureError(InputError):
    """The localizations do not fix a drift curve: too few, or without structure that recurs."""


class DriftSettings(Settings):
    """How the table is cut, drawn and correlated."""

    max_segments: int = Field(default=40, ge=2, le=400)
    """Most time segments the movie is cut into; fewer are used where they would hold too few localizations."""
    min_rows_per_segment: int = Field(default=500, ge=20)
    """Localizations a segment needs at least; raised by itself until the correlation peaks are significant."""
    bin_nm: float | None = Field(default=None, gt=0, le=500)
    """Pixel of the images that are correlated, in nm; by default twice the median stated uncertainty (5 to 30 nm), or
    20 nm where the table states none."""
    max_shift_nm: float = Field(default=1000.0, gt=0)
    """Largest drift between any two segments that is looked for, in nm."""
    min_significance: float = Field(default=6.0, gt=0)
    """How far a correlation peak must stand above chance, in standard deviations."""
    n_refinements: int = Field(default=3, ge=0, le=20)
    """How often the curve is sharpened by laying short segments onto the corrected picture; 0 is as published."""


@dataclass(frozen=True)
class DriftCurve:
    """Drift per frame, 0 in the first frame of the curve.

    Parameters
    ----------
    frame : ndarray
        Shape (F,): consecutive frame numbers.
    x_nm, y_nm : ndarray
        Shape (F,): how far the sample has moved since the first frame.
    uncertainty_x_nm, uncertainty_y_nm : ndarray
        Shape (F,): standard deviation of the measured points and of what may happen between them.
    segment_frame : ndarray
        Shape (K,): mean frame of each segment.
    segment_x_nm, segment_y_nm : ndarray
        Shape (K,): the measured points the curve runs through.
    n_pairs : int
        Segment pairs examined.
    n_pairs_used : int
        Of these, pairs that were significant and consistent.
    """

    frame: NDArray[np.int64]
    x_nm: NDArray[np.float64]
    y_nm: NDArray[np.float64]
    uncertainty_x_nm: NDArray[np.float64]
    uncertainty_y_nm: NDArray[np.float64]
    segment_frame: NDArray[np.float64]
    segment_x_nm: NDArray[np.float64]
    segment_y_nm: NDArray[np.float64]
    n_pairs: int
    n_pairs_used: int

    def at(self, frame: ArrayLike) -> NDArray[np.float64]:
        """Look the drift up.

        Parameters
        ----------
        frame : array_like
            Shape (N,): frame numbers within the curve.

        Returns
        -------
        ndarray
            Shape (N, 2): x and y in nm.

        Raises
        ------
        InputError
            A frame lies outside the curve.
        """
        index = np.asarray(frame, dtype=np.int64) - self.frame[0]
        if index.size and (index.min() < 0 or index.max() >= len(self.frame)):
            first, last = int(index.min() + self.frame[0]), int(index.max() + self.frame[0])
            msg = (
                f"expected frames within the drift curve ({self.frame[0]} to {self.frame[-1]}), got {first} to "
                f"{last}; estimate the drift from the same movie"
            )
            raise InputError(msg)
        return np.stack([self.x_nm[index], self.y_nm[index]], axis=1)


def estimate_drift(
    table: Localizations,
    settings: DriftSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DriftCurve:
    """Estimate how the sample moved during the movie.

    Parameters
    ----------
    table : Localizations
        With `frame`, `x_nm`, `y_nm`; gaps in time are allowed.
    settings : DriftSettings, optional
        How to cut and correlate.
    progress : callable, optional
        Called with pairs done and pairs in all.

    Returns
    -------
    DriftCurve
        For every frame from 0 (or the table's first, where that is negative) to the last of the movie.

    Raises
    ------
    TooLittleStructureError
        Too few localizations, all in one short stretch of time, or no structure that recurs.
    InputError
        A position is not finite.

    Notes
    -----
    Structure must be static: what moves on its own is taken for drift. Drift within one segment is interpolated.
    """
    settings = settings or DriftSettings()
    _check(table, settings)
    bin_nm = settings.bin_nm or _typical_bin_nm(table)
    max_segments, min_rows = settings.max_segments, settings.min_rows_per_segment
    limits = (settings.max_shift_nm, settings.min_significance)
    reason = "they span too few frames to cut them into segments"
    while max_segments >= 2:
        segments = cut_segments(table["frame"], max_segments, min_rows)
        if len(segments.rows) >= 2:
            pairs = pair_shifts(table.positions_nm, segments, bin_nm, limits, progress)
            solved = _solve(pairs, len(segments.rows), bin_nm)
            if solved is not None:
                return _curve(table, segments, pairs, solved, (bin_nm, settings.n_refinements))
            reason = f"only {len(pairs.first)} of {pairs.n_tried} segment pairs agree on a displacement"
        # Longer segments hold more rows: peaks grow with their square, chance only with their number.
        max_segments = min(len(segments.rows), max_segments) // 2
        min_rows *= 2
    msg = (
        f"expected structure that recurs over time to measure the drift from, but in the {len(table)} localizations "
        f"{reason}; use more frames, a larger max_shift_nm if the drift is large, or leave the drift uncorrected"
    )
    raise TooLittleStructureError(msg)


def correct_drift(table: Localizations, curve: DriftCurve) -> Localizations:
    """Move every localization back to where it would lie in the first frame.

    Parameters
    ----------
    table : Localizations
        With `frame`, `x_nm`, `y_nm`.
    curve : DriftCurve
        From `estimate_drift`.

    Returns
    -------
    Localizations
        The same rows, x_nm and y_nm corrected; all else unchanged.

    Raises
    ------
    InputError
        A row's frame lies outside the curve.
    """
    drift = curve.at(table["frame"])
    return table.with_columns(x_nm=table["x_nm"] - drift[:, 0], y_nm=table["y_nm"] - drift[:, 1])


def _check(table: Localizations, settings: DriftSettings) -> None:
    needed = 2 * settings.min_rows_per_segment
    if len(table) < needed:
        msg = (
            f"expected at least {needed} localizations to measure drift (two segments of "
            f"{settings.min_rows_per_segment}), got {len(table)}; use more frames or leave the drift uncorrected"
        )
        raise TooLittleStructureError(msg)
    if not np.isfinite(table.positions_nm).all():
        msg = "expected finite x_nm and y_nm to measure drift, got some that are not; filter them out first"
        raise InputError(msg)


def _typical_bin_nm(table: Localizations) -> float:
    if "uncertainty_x_nm" not in table:
        return _DEFAULT_BIN_NM
    stated = table["uncertainty_x_nm"]
    good = np.isfinite(stated) & (stated > 0)
    return float(np.clip(2 * np.median(stated[good]), 5.0, 30.0)) if good.any() else _DEFAULT_BIN_NM


def _solve(pairs: PairShifts, n_segments: int, bin_nm: float) -> _Solution | None:
    """Places of the segments (K, 2) as x, y, their uncertainty (K,), and the pairs used; None where not fixed."""
    used = np.ones(len(pairs.first), dtype=bool)
    if 2 * len(used) < pairs.n_tried:
        return None
    for _ in range(50):
        if not _is_connected(pairs, used, n_segments):
            return None
        places = _least_squares(pairs, used, n_segments)
        residual = np.linalg.norm(pairs.shift_nm - (places[pairs.second] - places[pairs.first]), axis=1)
        spread = 1.4826 * float(np.median(residual[used]))
        limit = float(np.clip(4.0 * spread, 0.2 * bin_nm, 4.0 * bin_nm))
        # The worst go first: one gross outlier pulls the residuals of its neighbours up.
        outlier = used & (residual > max(limit, 0.5 * float(residual[used].max())))
        if not outlier.any():
            break
        used &= ~outlier
    if 2 * int(used.sum()) < pairs.n_tried:
        return None
    return places - places[0], _segment_uncertainty(pairs, used, residual, n_segments), int(used.sum())


def _is_connected(pairs: PairShifts, used: NDArray[np.bool_], n_segments: int) -> bool:
    ends = (pairs.first[used], pairs.second[used])
    graph = csr_matrix((np.ones(len(ends[0])), ends), shape=(n_segments, n_segments))
    n_parts: Any = connected_components(graph, directed=False, return_labels=False)
    return int(n_parts) == 1


def _least_squares(pairs: PairShifts, used: NDArray[np.bool_], n_segments: int) -> NDArray[np.float64]:
    rows = np.arange(int(used.sum()))
    weight = 1.0 / np.maximum(pairs.uncertainty_nm[used], 0.5)
    design = np.zeros((len(rows), n_segments))
    design[rows, pairs.second[used]] = weight
    design[rows, pairs.first[used]] = -weight
    places: Any = np.zeros((n_segments, 2))
    places[1:] = np.linalg.lstsq(design[:, 1:], pairs.shift_nm[used] * weight[:, None], rcond=None)[0]
    return np.asarray(places, dtype=np.float64)


def _segment_uncertainty(
    pairs: PairShifts, used: NDArray[np.bool_], residual: NDArray[np.float64], n_segments: int
) -> NDArray[np.float64]:
    """Give each segment its share of the typical pair: pairs with a common segment share its noise, so it stays."""
    result = np.empty(n_segments)
    for segment in range(n_segments):
        own = used & ((pairs.first == segment) | (pairs.second == segment))
        expected = np.median(pairs.uncertainty_nm[own])
        seen = np.sqrt(np.mean(residual[own] ** 2) / 2)
        result[segment] = max(expected, seen) / np.sqrt(2)
    return result


def _curve(
    table: Localizations, segments: Segments, pairs: PairShifts, solved: _Solution, refinement: tuple[float, int]
) -> DriftCurve:
    places, uncertainty, n_used = solved
    first = min(0, int(table["frame"].min()))
    last = max(int(table["frame"].max()), (table.n_frames or 0) - 1)
    frame = np.arange(first, last + 1)
    drift = np.stack([smooth_path(frame, segments, places[:, axis], uncertainty) for axis in (0, 1)], axis=1)
    segments, places, uncertainty, drift = _sharpened(table, (segments, places, uncertainty, drift), *refinement)
    start = drift[0]
    x_spread, y_spread = (path_uncertainty(frame, segments, places[:, axis], uncertainty) for axis in (0, 1))
    return DriftCurve(
        frame,
        drift[:, 0] - start[0],
        drift[:, 1] - start[1],
        x_spread,
        y_spread,
        segments.frame,
        places[:, 0] - start[0],
        places[:, 1] - start[1],
        pairs.n_tried,
        n_used,
    )


def _sharpened(table: Localizations, found: _Path, bin_nm: float, n_refinements: int) -> _Path:
    """Refine as long as the corrected picture gets sharper; refuse a curve that does not sharpen it at all."""
    first = min(0, int(table["frame"].min()))
    bin_nm, reach_nm = bin_nm / 2, max(6 * float(np.median(found[2])), 6 * bin_nm)
    row = table["frame"] - first
    reached = sharpness(table.positions_nm - found[3][row], bin_nm)
    for _ in range(n_refinements):
        better = refine(table, found[3], bin_nm, reach_nm)
        if better is None:
            break
        sharper = sharpness(table.positions_nm - better[3][row], bin_nm)
        if sharper <= reached:
            break
        found, reached = better, sharper
    before = sharpness(table.positions_nm, bin_nm)
    if reached < 0.99 * before:
        msg = (
            f"expected the drift curve to sharpen the picture, but the {len(table)} localizations lie on each other "
            "less often with it than without; use more frames or leave the drift uncorrected"
        )
        raise TooLittleStructureError(msg)
    return found
