"""Histograms of the smoothed movie, apart for dim and bright regions where the field has a structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from stormcell.calibration.photon_transfer import gaussian_kernel, smoothed
from stormcell.calibration.pixel_distribution import GreyGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]

_SMOOTHING = 0.7
_BINS_PER_SIGMA = 4.0
_MOST_BINS = 2**14
_LEAST_COUNTS = 20.0
_STRUCTURED = 0.35
_MOST_STRATA = 10


@dataclass(frozen=True)
class PixelHistograms:
    """Counts of smoothed grey values, run by run and stratum by stratum.

    Parameters
    ----------
    grid : GreyGrid
        Fine bins of equal width.
    counts : ndarray
        Shape (n_blocks, n_strata, n_bins).
    mean : ndarray
        Shape (n_blocks, n_strata), mean grey value of the pixels in each; 0 where there are none.
    edges : tuple of ndarray
        For each stratum, first fine bin of each of the coarser bins that hold counts enough for a fit.
    weights : ndarray
        Shape (odd, odd), the filter.
    """

    grid: GreyGrid
    counts: Array
    mean: Array
    edges: tuple[Array, ...]
    weights: Array

    @property
    def n_strata(self) -> int:
        """Number of strata, 1 in an even field."""
        return int(self.counts.shape[1])

    def weighted(self, run_weights: Array) -> tuple[list[Array], Array, Array]:
        """Add up runs.

        Parameters
        ----------
        run_weights : ndarray
            Shape (n_blocks,), weight of every run.

        Returns
        -------
        counts : list of ndarray
            For each stratum, counts in its coarser bins.
        mean : ndarray
            Shape (n_strata,), mean grey value.
        share : ndarray
            Shape (n_strata,), share of all pixels.
        """
        total = np.tensordot(run_weights, self.counts, axes=(0, 0))
        pixels = self.counts.sum(axis=2) * run_weights[:, None]
        per_stratum = np.maximum(pixels.sum(axis=0), 1e-9)
        mean = (self.mean * pixels).sum(axis=0) / per_stratum
        coarse = [np.add.reduceat(total[index], edges) for index, edges in enumerate(self.edges)]
        return coarse, mean, per_stratum / per_stratum.sum()


def measure_histograms(sample: FrameSample, fit: SpectrumFit, *, is_bleaching: bool = False) -> PixelHistograms:
    """Smooth the movie and count grey values.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.
    fit : SpectrumFit
        Spot width, which sets the filter, and noise floor, which sets the bins.
    is_bleaching : bool
        The brightness changes over the movie: each run is sorted by its own brightness.

    Returns
    -------
    PixelHistograms
        Rims of the tiles, where the filter sees no neighbours, are left out.
    """
    sigma = _SMOOTHING * fit.shape.sigma_px
    weights = gaussian_kernel(sigma)
    rim = min(weights.shape[0] // 2, (min(sample.tiles.shape[2:]) - 2) // 2)
    inner = (slice(None), slice(None), slice(rim, -rim or None), slice(rim, -rim or None))
    stratum, n_strata = _strata(sample, fit, inner, is_bleaching=is_bleaching)
    spread = float(np.sqrt(fit.floor * np.sum(weights**2)))
    grey = smoothed(sample.tiles, weights)[inner]
    grid = _grid(float(grey.min()), float(grey.max()), spread)
    index = np.clip(((grey - grid.start) / grid.width).astype(np.int64), 0, grid.n_bins - 1)
    counts = np.zeros((sample.n_blocks, n_strata, grid.n_bins))
    mean = np.zeros((sample.n_blocks, n_strata))
    for run in range(sample.n_blocks):
        first, last = np.searchsorted(sample.block, (run, run + 1))
        cell = index[:, first:last] + grid.n_bins * stratum[run][:, None]
        counts[run] = np.bincount(cell.ravel(), minlength=n_strata * grid.n_bins).reshape(n_strata, -1)
        members = np.broadcast_to(stratum[run][:, None], cell.shape).ravel()
        sums = np.bincount(members, grey[:, first:last].ravel().astype(float), n_strata)
        mean[run] = sums / np.maximum(counts[run].sum(axis=1), 1)
    edges = tuple(_coarse_edges(total) for total in counts.sum(axis=0))
    return PixelHistograms(grid, counts, mean, edges, weights)


def _grid(low: float, high: float, spread: float) -> GreyGrid:
    """Lay bins fine against the noise, with room beyond both ends so that the periodic transform does not wrap."""
    start, stop = low - 4 * spread, high + 0.15 * (high - low) + 8 * spread
    width = max(spread / _BINS_PER_SIGMA, (stop - start) / _MOST_BINS)
    n_bins = int(2 ** np.ceil(np.log2((stop - start) / width)))
    return GreyGrid(start, width, max(n_bins, 64))


def _coarse_edges(counts: Array) -> Array:
    """First fine bin of each coarser one; each holds at least a few counts."""
    edges, held = [0], 0.0
    for index in np.flatnonzero(counts):
        held += counts[index]
        if held >= _LEAST_COUNTS and index + 1 < counts.size:
            edges.append(int(index) + 1)
            held = 0.0
    # the last one takes in what is left, empty bins beyond the largest value included
    if held < _LEAST_COUNTS and len(edges) > 1:
        edges.pop()
    return np.array(edges)


def _strata(
    sample: FrameSample, fit: SpectrumFit, inner: tuple[slice, ...], *, is_bleaching: bool
) -> tuple[Array, int]:
    """Sort pixels by the brightness of their place: index of shape (n_blocks, n_tiles, h, w), and number of strata.

    The structure is real where two halves of the movie agree on it.
    """
    width = max(1.5, 1.5 * fit.shape.sigma_px)
    runs = np.stack([sample.frames_of(run).mean(axis=1) for run in range(sample.n_blocks)])
    level = ndimage.gaussian_filter(runs, (0, 0, width, width), mode="reflect")[inner]
    static = level.mean(axis=0)
    if sample.n_blocks < 2 or np.ptp(static) == 0:
        return np.zeros(level.shape, np.int64), 1
    agreement = float(np.corrcoef(level[::2].mean(axis=0).ravel(), level[1::2].mean(axis=0).ravel())[0, 1])
    if not (agreement > _STRUCTURED or is_bleaching):
        return np.zeros(level.shape, np.int64), 1
    expected = level if is_bleaching else np.broadcast_to(static, level.shape)
    n_strata = int(np.clip(round(1.5 / np.sqrt(max(1 - agreement, 1e-3))), 2, _MOST_STRATA))
    bounds = np.quantile(expected, np.linspace(0, 1, n_strata + 1)[1:-1])
    return np.digitize(expected, bounds), n_strata
