"""Sharpen a drift curve: short segments, each laid onto the picture that all the others make together.

The picture of all corrected rows has little noise, so that a segment of a few hundred rows finds its place on it to
a few nm and the curve can follow motion within the long segments that pairwise correlation needs. A segment must not
find itself in the picture: its own rows and those of its neighbours in time (bursts continue there) are taken out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from scipy import ndimage

from stormcell.localization.segment_shifts import Segments, cut_segments
from stormcell.localization.smooth_path import smooth_path
from stormcell.registration.correlation import fit_peak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations

_MAX_PIXELS = 2**24
_BLUR_PX = 1.5
_MIN_ROWS = 150
_MAX_SEGMENTS = 1500
_REACH_SIGMA = 4


def refine(
    table: Localizations, drift_nm: NDArray[np.float64], bin_nm: float, reach_nm: float
) -> tuple[Segments, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Improve a drift curve once.

    Parameters
    ----------
    table : Localizations
        Not corrected.
    drift_nm : ndarray
        Shape (F, 2): x, y of the curve so far, from frame 0 (or the table's first, where that is negative).
    bin_nm : float
        Pixel of the picture.
    reach_nm : float
        Largest correction looked for.

    Returns
    -------
    tuple or None
        The segments, their places (K, 2) and standard deviations (K,), and the new curve (F, 2); None where fewer
        than half of the segments find their place.
    """
    first = min(0, int(table["frame"].min()))
    segments = cut_segments(table["frame"], _MAX_SEGMENTS, max(_MIN_ROWS, len(table) // _MAX_SEGMENTS))
    if len(segments.rows) < 2:
        return None
    drift_of_row = drift_nm[table["frame"] - first]
    correction, uncertainty = _place_segments(table.positions_nm - drift_of_row, segments, bin_nm, reach_nm)
    good = np.isfinite(uncertainty) & _follows_neighbours(correction, uncertainty, bin_nm)
    if 2 * int(good.sum()) < len(good):
        return None
    rows = [own for own, is_good in zip(segments.rows, good, strict=True) if is_good]
    kept = Segments(rows, segments.frame[good], segments.run[good])
    places = np.array([drift_of_row[own].mean(axis=0) for own in rows]) + correction[good]
    frame = np.arange(first, first + len(drift_nm))
    curve = [smooth_path(frame, kept, places[:, axis], uncertainty[good]) for axis in (0, 1)]
    return kept, places, uncertainty[good], np.stack(curve, axis=1)


def _follows_neighbours(
    correction: NDArray[np.float64], uncertainty: NDArray[np.float64], bin_nm: float
) -> NDArray[np.bool_]:
    """Tell apart the segments that a chance peak has thrown far from the others around them in time."""
    known = np.isfinite(uncertainty)
    follows = np.zeros(len(known), dtype=bool)
    if known.any():
        off = np.abs(correction[known] - ndimage.median_filter(correction[known], size=(9, 1), mode="nearest"))
        limit = np.maximum(6 * 1.4826 * np.median(off, axis=0), 2 * bin_nm)
        follows[known] = (off <= limit).all(axis=1)
    return follows


def sharpness(positions_nm: NDArray[np.float64], bin_nm: float) -> float:
    """Count the pairs of rows that lie on each other.

    Parameters
    ----------
    positions_nm : ndarray
        Shape (N, 2): x, y.
    bin_nm : float
        Pixel of the picture in which they are counted.

    Returns
    -------
    float
        Sum of squares of the blurred picture: larger, the better time segments lie on each other.
    """
    picture, _, _ = _picture(positions_nm, bin_nm, 0.0)
    return float(np.vdot(picture, picture))


def _picture(
    positions: NDArray[np.float64], bin_nm: float, rim_nm: float
) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Blurred histogram with an empty rim, the rows' places in its pixels, and its pixel size."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    size = max(bin_nm, float(np.sqrt(np.prod(high - low + bin_nm) / _MAX_PIXELS)))
    # The rim keeps every lag inside the picture.
    rim = rim_nm + 6 * size
    low, extent = low - rim, high - low + 2 * rim
    pixels = (positions - low) / size
    n_columns, n_rows = (int(side) + 2 for side in extent / size)
    picture = np.zeros((n_rows, n_columns), dtype=np.float32)
    _splat(picture, pixels)
    ndimage.gaussian_filter(picture, _BLUR_PX, truncate=_REACH_SIGMA, output=picture)
    return picture, pixels, size


def _place_segments(
    positions: NDArray[np.float64], segments: Segments, bin_nm: float, reach_nm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corrections (K, 2) in x, y and standard deviations (K,), NaN where a segment finds no place."""
    picture, pixels, size = _picture(positions, bin_nm, reach_nm)
    order = np.concatenate([rows[np.argsort(pixels[rows, 1])] for rows in segments.rows])
    bounds = np.concatenate([[0], np.cumsum([len(rows) for rows in segments.rows])])
    reach = max(int(np.ceil(reach_nm / size)), 4)
    # Scores are read at whole pixels: the rows' mean place within their pixel is added afterwards.
    within = pixels - np.floor(pixels) - 0.5
    scores = _scores(picture, np.ascontiguousarray(pixels[order]), bounds, reach)
    correction, uncertainty = np.zeros((len(scores), 2)), np.full(len(scores), np.nan)
    for index, score in enumerate(scores):
        peak = fit_peak(score, radius_px=2)
        noise = np.sqrt(max(peak.height + peak.background, 1e-9) / (4 * np.pi * _BLUR_PX**2))
        if peak.at_edge or not np.isfinite(peak.sigma_px) or peak.height < 4 * noise:
            continue
        # The segment must move by the lag at which it fits the picture; its drift is the opposite.
        offset = within[segments.rows[index]].mean(axis=0)
        correction[index] = (offset - (peak.x_px, peak.y_px)) * size
        chance = noise / (np.sqrt(2) * _BLUR_PX) * peak.sigma_px**2 / peak.height
        # However sharp the picture, the mean of n scattered rows is no better than their spread / sqrt(n).
        own = peak.sigma_px / np.sqrt(2 * (bounds[index + 1] - bounds[index]))
        uncertainty[index] = np.hypot(chance, own) * size
    return correction, uncertainty


@njit(cache=True, nogil=True, parallel=True)
def _scores(picture: Any, pixels: Any, bounds: Any, reach: int) -> Any:
    """Sum of the picture under each segment at every lag, without what the segment and its neighbours drew."""
    n_segments = len(bounds) - 1
    width = 2 * reach + 1
    scores = np.zeros((n_segments, width, width))
    for segment in prange(n_segments):
        score = scores[segment]
        for i in range(bounds[segment], bounds[segment + 1]):
            column, row = int(pixels[i, 0]), int(pixels[i, 1])
            for dy in range(width):
                for dx in range(width):
                    score[dy, dx] += picture[row + dy - reach, column + dx - reach]
        for other in range(max(segment - 1, 0), min(segment + 2, n_segments)):
            _take_out(
                score,
                pixels[bounds[segment] : bounds[segment + 1]],
                pixels[bounds[other] : bounds[other + 1]],
                reach,
            )
    return scores


@njit(cache=True, nogil=True)
def _splat(picture: Any, pixels: Any) -> None:
    """Share each row between the four pixels around it, so that its place counts below the pixel."""
    for i in range(len(pixels)):
        x, y = pixels[i, 0] - 0.5, pixels[i, 1] - 0.5
        column, row = int(x), int(y)
        fx, fy = x - column, y - row
        picture[row, column] += (1 - fy) * (1 - fx)
        picture[row, column + 1] += (1 - fy) * fx
        picture[row + 1, column] += fy * (1 - fx)
        picture[row + 1, column + 1] += fy * fx


@njit(cache=True, nogil=True)
def _take_out(score: Any, own: Any, drawn: Any, reach: int) -> None:
    """Subtract the blurred pairs of two sets of rows; both are sorted by y."""
    # Sharing between pixels widens the blur by the variance of a tent.
    width2 = _BLUR_PX * _BLUR_PX + 1.0 / 6.0
    radius = int(_REACH_SIGMA * np.sqrt(width2)) + 1
    height = 1.0 / (2 * np.pi * width2)
    first = 0
    far = reach + radius + 1
    for i in range(len(own)):
        column, row = int(own[i, 0]), int(own[i, 1])
        while first < len(drawn) and drawn[first, 1] < row - far:
            first += 1
        j = first
        while j < len(drawn) and drawn[j, 1] <= row + far + 1:
            dy, dx = drawn[j, 1] - row - 0.5 + reach, drawn[j, 0] - column - 0.5 + reach
            if -radius <= dx <= 2 * reach + radius:
                for y in range(max(int(dy) - radius, 0), min(int(dy) + radius + 1, 2 * reach) + 1):
                    along = height * np.exp(-0.5 * (y - dy) ** 2 / width2)
                    for x in range(max(int(dx) - radius, 0), min(int(dx) + radius + 1, 2 * reach) + 1):
                        score[y, x] -= along * np.exp(-0.5 * (x - dx) ** 2 / width2)
            j += 1
