"""Measured characteristic functions: of every pixel over time, their logarithm averaged over the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from scipy import ndimage

from stormcell.calibration.blink_statistics import OCTAVES, PER_OCTAVE
from stormcell.calibration.photon_transfer import gaussian_kernel, smoothed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]

_SMOOTHING = 0.7
_LARGEST_PHASE = 1.6
_MOST_PIXELS = 16_384
_LEAST_VALUES = 150
_EVEN_SIDE = 12
_STRUCTURED = 0.4
_BLEACHING_GROUPS = 3


@dataclass(frozen=True)
class Characteristics:
    """Characteristic functions of cells of the field, run by run.

    Parameters
    ----------
    t : ndarray
        Shape (J,), angular frequencies, radians per ADU.
    sums : ndarray
        Shape (n_blocks, J, n_cells), mean of exp(i t y) over the frames of a run and the pixels of a cell; y is the
        smoothed fluctuation about each pixel's own mean (in an even field about that of all).
    group : ndarray
        Shape (n_blocks,), runs that are alike; a bleaching movie has several groups.
    weights : ndarray
        Shape (odd, odd), the filter.
    level : ndarray
        Shape (n_blocks,), mean grey value of the pixels.
    variance : float
        Variance of y, ADU^2.
    n_values : float
        Values behind each cell's characteristic function in a group.
    lost : float
        Share of the fluctuation of independent frames that was subtracted with each pixel's mean.
    """

    t: Array
    sums: Array
    group: Array
    weights: Array
    level: Array
    variance: float
    n_values: float
    lost: float

    @property
    def is_even(self) -> bool:
        """Whether the field was taken to be even, so that no pixel's own mean was subtracted."""
        return self.lost == 0


@dataclass(frozen=True)
class MeanLogarithm:
    """Logarithm of the characteristic function, averaged over cells and groups.

    Parameters
    ----------
    value : ndarray
        Shape (J,), complex, without the bias that few frames give to a logarithm.
    error : ndarray
        Shape (J,), complex: standard errors of real and imaginary part.
    usable : ndarray
        Shape (J,), bool; False where the function of many cells is lost in its own noise.
    """

    value: Array
    error: Array
    usable: Array


def measure_characteristics(sample: FrameSample, fluctuations: Fluctuations, fit: SpectrumFit) -> Characteristics:
    """Measure the characteristic function of every pixel.

    Parameters
    ----------
    sample : FrameSample
        Says which frame belongs to which run.
    fluctuations : Fluctuations
        The movie about each pixel's own mean.
    fit : SpectrumFit
        Spot width, which sets the filter, and noise floor, which sets the frequencies.

    Returns
    -------
    Characteristics
        Cells are single pixels, or 2 x 2, 3 x 3 ... of short movies; larger where the field is even.
    """
    weights = gaussian_kernel(_SMOOTHING * fit.shape.sigma_px)
    rim = min(weights.shape[0] // 2, (min(sample.tiles.shape[2:]) - 2) // 2)
    inner = (slice(None), slice(None), slice(rim, -rim or None), slice(rim, -rim or None))
    is_even = not (fluctuations.is_bleaching or _is_structured(sample, fit))
    if is_even:
        # every pixel has the same mean: none of its fluctuation need be subtracted with it
        y = smoothed(sample.tiles - np.float32(sample.tiles.mean()), weights)[inner]
    else:
        y = smoothed(fluctuations.values, weights)[inner] / np.float32(fluctuations.scale)
    n_groups = _BLEACHING_GROUPS if fluctuations.is_bleaching else 1
    group = np.arange(sample.n_blocks) * n_groups // sample.n_blocks
    frames = sample.n_frames / n_groups
    side = max(1, int(np.ceil(np.sqrt(_LEAST_VALUES / frames))))
    if is_even:
        side = max(side, min(_EVEN_SIDE, *y.shape[2:]))
    stride = max(1, int(np.ceil(np.sqrt(y[:, 0].size / side**2 / _MOST_PIXELS))))
    largest = _LARGEST_PHASE / np.sqrt(fit.floor * np.sum(weights**2))
    t = largest * 2.0 ** (-np.arange(OCTAVES * PER_OCTAVE)[::-1] / PER_OCTAVE)
    bounds = np.searchsorted(sample.block, np.arange(sample.n_blocks + 1))
    cells = np.ascontiguousarray(_cells(y, side, stride))
    sums = _mean_waves(cells, bounds, t[:PER_OCTAVE], OCTAVES)
    level = np.array([float(sample.frames_of(run)[inner].mean()) for run in range(sample.n_blocks)])
    lost = 0.0 if is_even else fluctuations.n_lost / sample.n_frames
    return Characteristics(t, sums, group, weights, level, float(y.var()), frames * side**2, lost)


def mean_logarithm(measured: Characteristics, run_weights: Array | None = None) -> MeanLogarithm:
    """Average the logarithm of the characteristic functions over the field.

    Parameters
    ----------
    measured : Characteristics
        Run by run.
    run_weights : ndarray, optional
        Shape (n_blocks,), weight of every run.

    Returns
    -------
    MeanLogarithm
        The bias is the jackknife's, over the runs in use.
    """
    weights = np.ones(len(measured.group)) if run_weights is None else run_weights
    values, lowest, bias, square = [], [], [], []
    for group in np.unique(measured.group):
        runs = np.flatnonzero((measured.group == group) & (weights > 0))
        total = measured.sums[runs].sum(axis=0)
        n = len(runs)
        whole = _logarithm(total / n)
        without = np.array([_logarithm((total - measured.sums[run]) / (n - 1)).mean(axis=1) for run in runs if n > 1])
        mean = whole.mean(axis=1)
        values.append(mean)
        lowest.append(np.quantile(whole.real, 0.1, axis=1))
        bias.append((n - 1) * (without.mean(axis=0) - mean) if n > 1 else 0 * mean)
        spread = without - without.mean(axis=0) if n > 1 else np.zeros((1, len(mean)), complex)
        square.append((n - 1) / n * (np.sum(spread.real**2, 0) + 1j * np.sum(spread.imag**2, 0)))
    n_groups = len(values)
    variance = np.sum(square, axis=0) / n_groups**2
    faintest = -min(2.0, 0.5 * np.log(max(measured.n_values / 4, 2.0)))
    return MeanLogarithm(
        np.mean(values, axis=0) - np.mean(bias, axis=0),
        np.sqrt(variance.real) + 1j * np.sqrt(variance.imag),
        np.min(lowest, axis=0) > faintest,
    )


def _is_structured(sample: FrameSample, fit: SpectrumFit) -> bool:
    """Whether two halves of the movie agree that places differ in brightness."""
    if sample.n_blocks < 2:
        return True
    width = max(1.5, 1.5 * fit.shape.sigma_px)
    halves = []
    for parity in (0, 1):
        still = sample.tiles[:, sample.block % 2 == parity].mean(axis=1)
        halves.append(ndimage.gaussian_filter(still, (0, width, width), mode="reflect").ravel())
    spread = float(np.std(halves[0]) * np.std(halves[1]))
    if spread == 0:
        return False
    agreement = float(np.mean((halves[0] - halves[0].mean()) * (halves[1] - halves[1].mean()))) / spread
    return agreement > _STRUCTURED


def _cells(y: NDArray[np.float32], side: int, stride: int) -> NDArray[np.float32]:
    """Gather cells of side x side pixels, every stride-th: shape (n_cells, T, side * side)."""
    n_tiles, n_frames, height, width = y.shape
    rows, columns = height // side, width // side
    cut = y[:, :, : rows * side, : columns * side].reshape(n_tiles, n_frames, rows, side, columns, side)
    kept = cut[:, :, ::stride, :, ::stride].transpose(0, 2, 4, 1, 3, 5)
    return kept.reshape(-1, n_frames, side * side)


def _logarithm(waves: Array) -> Array:
    """Continuous complex logarithm along the frequencies; shape (J, n_cells)."""
    phase = np.angle(waves)
    ratio = 2.0 ** (1 / PER_OCTAVE)
    for row in range(1, len(phase)):
        # the phase goes on nearly straight: its turns are counted from where the last step leads
        last = phase[row - 2] if row > 1 else phase[row - 1] / ratio
        ahead = phase[row - 1] + (phase[row - 1] - last) * ratio
        phase[row] += 2 * np.pi * np.round((ahead - phase[row]) / (2 * np.pi))
    return np.log(np.maximum(np.abs(waves), 1e-12)) + 1j * phase


@njit(parallel=True, cache=True, nogil=True)
def _mean_waves(cells: NDArray[np.float32], bounds: Array, t: Array, n_octaves: int) -> Array:
    """Mean of exp(i t y) over each run for t, 2 t, 4 t, ...; every doubling squares the wave."""
    n_cells, _, n_pixels = cells.shape
    n_runs, n_base = len(bounds) - 1, len(t)
    sums = np.zeros((n_runs, n_octaves * n_base, n_cells), np.complex128)
    for cell in prange(n_cells):
        for run in range(n_runs):
            n = (bounds[run + 1] - bounds[run]) * n_pixels
            for frame in range(bounds[run], bounds[run + 1]):
                for pixel in range(n_pixels):
                    y = np.float64(cells[cell, frame, pixel])
                    for base in range(n_base):
                        wave = complex(np.cos(t[base] * y), np.sin(t[base] * y))
                        for octave in range(n_octaves):
                            sums[run, octave * n_base + base, cell] += wave / n
                            wave = wave * wave
    return sums
