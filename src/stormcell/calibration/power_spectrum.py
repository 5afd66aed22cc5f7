"""Spot width, tail and noise floor from the power spectrum of a movie's fluctuations.

Emitters that blink at random places make a field whose power spectrum is density * E[photons^2] * |transfer|^2,
whatever structure they sit on and however much their images overlap (Campbell's theorem); the camera adds a flat
floor. The shape of the spectrum therefore gives the spot's shape without finding a single spot, and its floor gives
the noise variance.

References
----------
.. [1] Campbell, "The study of discontinuous phenomena", Proc. Camb. Phil. Soc. 15, 117 (1909).
.. [2] Whittle, "Estimation and information in stationary time series", Ark. Mat. 2, 423 (1953),
   doi:10.1007/BF02590998 (the likelihood of a spectrum).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.spot_shape import SpotShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.frame_sample import FrameSample

    Array = NDArray[Any]

_LONGEST_SIDE = 64
_LOWEST_CYCLES = 2.0
_LOWER = np.array([-60.0, -60.0, np.log(0.35), -0.5, -0.7])
_UPPER = np.array([60.0, 60.0, np.log(6.0), 1.6, 0.7])
_STEP = 1e-4
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SpectrumFit:
    """What the spectrum of the fluctuations says.

    Parameters
    ----------
    shape : SpotShape
        Width, tail and stretch of the spots.
    signal : float
        density * E[intensity^2], in ADU^2 per px^2.
    floor : float
        Mean noise variance of a pixel, ADU^2.
    """

    shape: SpotShape
    signal: float
    floor: float

    @property
    def vector(self) -> Array:
        """The fit's own parameters: log signal, log floor, log sigma, tail, stretch."""
        shape = self.shape
        return np.array([np.log(self.signal), np.log(self.floor), np.log(shape.sigma_px), shape.tail, shape.stretch])


@dataclass(frozen=True)
class Spectra:
    """Mean periodograms of runs of frames.

    Parameters
    ----------
    power : ndarray
        Shape (n_blocks, n, m), mean periodogram of each run, ADU^2, half plane.
    weight : ndarray
        Shape (n, m), independent entries each frequency stands for, 0 where it is left out.
    ky, kx : ndarray
        Shapes (n, 1) and (1, m), cycles per pixel.
    n_frames : int
        Frames in all runs.
    """

    power: Array
    weight: Array
    ky: Array
    kx: Array
    n_frames: int


@dataclass(frozen=True)
class Fluctuations:
    """A movie about each pixel's own mean and slow trend.

    Parameters
    ----------
    values : ndarray
        Shape (n_tiles, T, h, w), ADU, scaled so that the variance of independent frames is kept.
    n_lost : int
        Degrees of freedom in time that were removed from every pixel.
    """

    values: NDArray[np.float32]
    n_lost: int

    @property
    def scale(self) -> float:
        """Factor by which the remainders were enlarged to keep their variance."""
        n_frames = self.values.shape[1]
        return float(np.sqrt(n_frames / (n_frames - self.n_lost)))

    @property
    def third_order(self) -> float:
        """Factor that turns mean products of three of the enlarged remainders into unbiased third cumulants."""
        share = self.n_lost / self.values.shape[1]
        return float((1 - share) ** 1.5 / ((1 - share) * (1 - 2 * share)))


def measure_spectra(fluctuations: Fluctuations, sample: FrameSample) -> Spectra:
    """Average the periodograms of every run of frames.

    Parameters
    ----------
    fluctuations : Fluctuations
        Of the sample, as `temporal_fluctuations` gives them.
    sample : FrameSample
        Says which frame belongs to which run.

    Returns
    -------
    Spectra
        On patches of at most 64 px a side, tapered with a sine so that cut spots do not leak into high frequencies.
    """
    values = fluctuations.values
    height, width = values.shape[2:]
    n, m = min(height, _LONGEST_SIDE), min(width, _LONGEST_SIDE)
    taper = np.outer(*(np.sin(np.pi * (np.arange(side) + 0.5) / side) for side in (n, m)))
    taper = (taper / np.sqrt(np.sum(taper**2))).astype(np.float32)
    corners = [(y, x) for y in _patch_starts(height, n) for x in _patch_starts(width, m)]
    power = np.zeros((sample.n_blocks, n, m // 2 + 1))
    for run in range(sample.n_blocks):
        first, last = np.searchsorted(sample.block, (run, run + 1))
        for y, x in corners:
            spectrum = np.fft.rfft2(values[:, first:last, y : y + n, x : x + m] * taper)
            power[run] += np.mean(spectrum.real**2 + spectrum.imag**2, axis=(0, 1)) / len(corners)
    ky, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(m)[None, :]
    weight = np.full((n, m // 2 + 1), 2.0)
    weight[:, 0] = 1.0
    if m % 2 == 0:
        weight[:, -1] = 1.0
    # below about two cycles a patch, flicker of the lamp and out-of-focus haze outweigh the spots
    weight[np.hypot(ky * n, kx * m) < _LOWEST_CYCLES] = 0.0
    return Spectra(power, weight, ky, kx, sample.n_frames)


def temporal_fluctuations(sample: FrameSample) -> Fluctuations:
    """Remove from every pixel its mean and its share of the movie's slow trend.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.

    Returns
    -------
    Fluctuations
        What is left.
    """
    n_frames = sample.n_frames
    trend = np.array([sample.frames_of(run).mean() for run in range(sample.n_blocks)])[sample.block]
    basis = [np.full(n_frames, 1 / np.sqrt(n_frames))]
    trend = trend - trend.mean()
    if sample.n_blocks >= 4 and np.any(trend):
        basis.append(trend / np.linalg.norm(trend))
    rest = sample.tiles.copy()
    for vector in np.array(basis, dtype=np.float32):
        share = np.tensordot(rest, vector, axes=(1, 0))
        rest -= vector[:, None, None] * share[:, None]
    found = Fluctuations(rest, len(basis))
    rest *= np.float32(found.scale)
    return found


def fit_spectrum(spectra: Spectra, run_weights: Array | None = None, start: SpectrumFit | None = None) -> SpectrumFit:
    """Fit spot shape, signal and floor by the Whittle likelihood.

    Parameters
    ----------
    spectra : Spectra
        Measured.
    run_weights : ndarray, optional
        Shape (n_blocks,), weight of every run; None weighs all alike.
    start : SpectrumFit, optional
        Where to start; None tries a few widths.

    Returns
    -------
    SpectrumFit
        The best fit.
    """
    power = np.average(spectra.power, axis=0, weights=run_weights)
    vector = _first_guess(spectra, power) if start is None else start.vector
    vector = np.clip(vector, _LOWER, _UPPER)
    loss, damping = _loss(spectra, power, vector), 1e-3
    tolerance = _TOLERANCE / (float(np.sum(spectra.weight)) * spectra.n_frames)
    for _ in range(60):
        gradient, fisher = _scores(spectra, power, vector)
        # a parameter that presses against its bound stays there
        free = ~(((vector <= _LOWER) & (gradient > 0)) | ((vector >= _UPPER) & (gradient < 0)))
        before = loss
        while damping < 1e6:
            trial = vector.copy()
            trial[free] += _damped_step(gradient[free], fisher[np.ix_(free, free)], damping)
            trial = np.clip(trial, _LOWER, _UPPER)
            trial_loss = _loss(spectra, power, trial)
            if trial_loss <= loss:
                vector, loss = trial, trial_loss
                break
            damping *= 10
        damping = max(damping / 10, 1e-6)
        if before - loss < tolerance:
            break
    return _from_vector(vector)


def _damped_step(gradient: Array, fisher: Array, damping: float) -> Array:
    lifted = fisher + damping * np.diag(np.diag(fisher)) + 1e-9 * np.eye(len(fisher))
    step: Array = np.clip(np.linalg.solve(lifted, -gradient), -0.5, 0.5)
    return step


def _patch_starts(side: int, patch: int) -> list[int]:
    count = -(-side // patch)
    return [round(start) for start in np.linspace(0, side - patch, count)]


def _from_vector(vector: Array) -> SpectrumFit:
    shape = SpotShape(float(np.exp(vector[2])), float(vector[3]), float(vector[4]))
    return SpectrumFit(shape, float(np.exp(vector[0])), float(np.exp(vector[1])))


def _model(spectra: Spectra, vector: Array) -> Array:
    fit = _from_vector(vector)
    return fit.signal * fit.shape.power(spectra.ky, spectra.kx) + fit.floor


def _loss(spectra: Spectra, power: Array, vector: Array) -> float:
    model = _model(spectra, vector)
    return float(np.sum(spectra.weight * (power / model + np.log(model))) / np.sum(spectra.weight))


def _scores(spectra: Spectra, power: Array, vector: Array) -> tuple[Array, Array]:
    """Gradient and Fisher information of the Whittle likelihood."""
    model = _model(spectra, vector)
    slopes = []
    for index in range(len(vector)):
        moved = vector.copy()
        moved[index] += _STEP
        slopes.append((np.log(_model(spectra, moved)) - np.log(model)) / _STEP)
    jacobian = np.array(slopes)
    weight = spectra.weight
    gradient = np.einsum("pij,ij->p", jacobian, weight * (1 - power / model))
    return gradient, np.einsum("pij,qij,ij->pq", jacobian, jacobian, weight)


def _first_guess(spectra: Spectra, power: Array) -> Array:
    radius = np.hypot(spectra.ky, spectra.kx)
    used = spectra.weight > 0
    floor = float(np.quantile(power[used & (radius > 0.4)], 0.3))
    low = used & (radius < max(0.1, 1.01 * radius[used].min()))
    signal = max(float(power[low].mean()) - floor, 0.05 * floor)
    widths = np.log([0.55, 0.7, 0.9, 1.1, 1.4, 1.8, 2.4])
    guesses = [np.array([np.log(signal), np.log(floor), width, 0.3, 0.0]) for width in widths]
    return min(guesses, key=lambda guess: _loss(spectra, power, guess))
