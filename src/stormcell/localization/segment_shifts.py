"""Cut a table into time segments and measure how far every pair of them is displaced.

Each segment is drawn as a histogram on one grid; the cross-correlation of two histograms counts the pairs of rows at
every displacement, and its peak is the drift between them. The counts are Poisson, which tells both whether a peak
can be chance and how well its place is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.registration.correlation import Peak, correlation_map, fit_peak, padded_shape, spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_MAX_SIDE_PX = 2048
_BLUR_PX = 1.0
_GAP_SHARE = 0.02


@dataclass(frozen=True)
class Segments:
    """Runs of rows in frame order.

    Parameters
    ----------
    rows : list of ndarray
        Row numbers of each segment.
    frame : ndarray
        Shape (K,): mean frame of each segment's rows.
    run : ndarray
        Shape (K,): segments on both sides of a long gap without rows have different numbers.
    """

    rows: list[NDArray[np.int64]]
    frame: NDArray[np.float64]
    run: NDArray[np.int64]


@dataclass(frozen=True)
class PairShifts:
    """Displacements between segments, only those whose peak is significant.

    Parameters
    ----------
    first, second : ndarray
        Shape (P,): segment numbers, first < second.
    shift_nm : ndarray
        Shape (P, 2): x, y of the second relative to the first.
    uncertainty_nm : ndarray
        Shape (P,): standard deviation per axis.
    n_tried : int
        Pairs examined.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shift_nm: NDArray[np.float64]
    uncertainty_nm: NDArray[np.float64]
    n_tried: int


def cut_segments(frame: NDArray[np.int64], max_segments: int, min_rows: int) -> Segments:
    """Cut frames into consecutive segments that hold enough rows each.

    Parameters
    ----------
    frame : ndarray
        Shape (N,), N >= 1.
    max_segments : int
        A segment spans at least the occupied frames divided by this.
    min_rows : int
        A segment holds at least this many rows, but for a run that has fewer in all.

    Returns
    -------
    Segments
        In time order; gaps of more than 2 % of the movie without a row are never bridged by a segment.
    """
    order = np.argsort(frame, kind="stable")
    ordered = frame[order]
    span = int(ordered[-1] - ordered[0]) + 1
    gap = max(_GAP_SHARE * span, 2.0)
    breaks = np.flatnonzero(np.diff(ordered) > gap) + 1
    runs = np.split(np.arange(len(ordered)), breaks)
    occupied = sum(int(ordered[run[-1]] - ordered[run[0]]) + 1 for run in runs)
    min_frames = max(occupied / max_segments, 1.0)
    pieces, numbers = [], []
    for number, run in enumerate(runs):
        for piece in _cut_run(ordered, run, min_frames, min_rows):
            pieces.append(order[piece])
            numbers.append(number)
    means = np.array([frame[piece].mean() for piece in pieces])
    return Segments(pieces, means, np.array(numbers))


def _cut_run(
    ordered: NDArray[np.int64], run: NDArray[np.int64], min_frames: float, min_rows: int
) -> list[NDArray[np.int64]]:
    """Close a segment as soon as it is long and full enough; what is left joins the last one."""
    first, stop = int(run[0]), int(run[-1]) + 1
    pieces: list[NDArray[np.int64]] = []
    start = first
    while start < stop:
        enough = max(start + min_rows, int(np.searchsorted(ordered, ordered[start] + min_frames)))
        # A frame is never divided between two segments.
        end = int(np.searchsorted(ordered, ordered[min(enough, stop) - 1], side="right"))
        end = min(end, stop)
        is_full = end - start >= min_rows and ordered[end - 1] - ordered[start] + 1 >= min_frames / 2
        if end == stop and pieces and not is_full:
            pieces[-1] = np.arange(pieces[-1][0], stop)
            break
        pieces.append(np.arange(start, end))
        start = end
    return pieces


def pair_shifts(
    positions_nm: NDArray[np.float64],
    segments: Segments,
    bin_nm: float,
    limits: tuple[float, float],
    progress: Callable[[int, int], None] | None = None,
) -> PairShifts:
    """Cross-correlate every pair of segments.

    Parameters
    ----------
    positions_nm : ndarray
        Shape (N, 2): x, y.
    segments : Segments
        Rows of each.
    bin_nm : float
        Pixel of the histograms; widened where the field would exceed 2048 pixels.
    limits : tuple of float
        Largest displacement looked for in nm, and the significance a peak needs.
    progress : callable, optional
        Called with pairs done and pairs in all.

    Returns
    -------
    PairShifts
        The significant ones.
    """
    max_shift_nm, min_significance = limits
    low = positions_nm.min(axis=0)
    extent = np.maximum(positions_nm.max(axis=0) - low, bin_nm)
    size = max(bin_nm, float(extent.max()) / _MAX_SIDE_PX)
    limit = max(int(np.ceil(max_shift_nm / size)), 8)
    n_columns, n_rows = (int(side / size) + 1 for side in extent)
    shape = padded_shape((n_rows, n_columns), limit)
    blur = _blur(shape)
    spectra, counts = [], []
    for rows in segments.rows:
        column, row = ((positions_nm[rows] - low) / size).astype(np.int64).T
        counted = np.bincount(row * n_columns + column, minlength=n_rows * n_columns)
        # The root keeps a bright bead or one long burst from outvoting the structure; its squares sum to the rows.
        image = np.sqrt(counted.astype(np.float32)).reshape(n_rows, n_columns)
        spectra.append(spectrum(image, shape).astype(np.complex64) * blur)
        counts.append(len(rows))
    found = []
    pairs = [(i, j) for i in range(len(spectra)) for j in range(i + 1, len(spectra))]
    for done, (i, j) in enumerate(pairs):
        window = correlation_map(spectra[i], spectra[j], shape, limit)
        peak = fit_peak(window)
        noise = _chance_noise(peak, counts[i] * counts[j] / (n_rows * n_columns))
        if _is_significant(window, peak, noise, min_significance):
            place = noise / (np.sqrt(2) * _BLUR_PX) * peak.sigma_px**2 / peak.height
            found.append((i, j, peak.x_px * size, peak.y_px * size, place * size))
        if progress is not None:
            progress(done + 1, len(pairs))
    table = np.array(found, dtype=np.float64).reshape(-1, 5)
    indices = table[:, :2].astype(np.int64)
    return PairShifts(indices[:, 0], indices[:, 1], table[:, 2:4], table[:, 4], len(pairs))


def _blur(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Half of the Gaussian that smooths the correlation; the other half comes with the other segment."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    return np.exp(-((np.pi * _BLUR_PX) ** 2) * (ky**2 + kx**2)).astype(np.float32)


def _chance_noise(peak: Peak, chance: float) -> float:
    """Give the standard deviation of the smoothed map: pairs that meet by chance, and those of the peak itself."""
    return float(np.sqrt((chance + max(peak.height + peak.background, 0.0)) / (4 * np.pi * _BLUR_PX**2)))


def _is_significant(window: NDArray[Any], peak: Peak, noise: float, min_significance: float) -> bool:
    # The clutter that structure itself leaves in the map counts as noise, too.
    clutter = 1.4826 * float(np.median(np.abs(window - peak.background)))
    well_formed = not peak.at_edge and np.isfinite(peak.sigma_px) and peak.height > 0
    return bool(well_formed and peak.height >= min_significance * max(noise, clutter))
