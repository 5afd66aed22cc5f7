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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.spot_shape import SAMPLE_AREA_PX2, SpotShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample

    Array = NDArray[Any]

_LONGEST_SIDE = 64
_LOWEST_CYCLES = 2.0
_PARAMETERS = (
    # name, lower and upper bound, centre and width of a weak prior
    ("log_signal", -60.0, 60.0, 0.0, np.inf),
    ("log_floor", -60.0, 60.0, 0.0, np.inf),
    ("log_sigma", np.log(0.35), np.log(6.0), 0.0, np.inf),
    ("tail", -0.5, 1.6, 0.5, 1.0),
    ("stretch", -0.7, 0.7, 0.0, np.inf),
    ("shear", -0.7, 0.7, 0.0, np.inf),
    ("halo", 0.0, 0.45, 0.0, 0.15),
    ("log_halo_width", np.log(1.8), np.log(6.0), np.log(2.9), 0.25),
    ("haze", 0.0, 300.0, 0.0, np.inf),
)
_LOWER, _UPPER, _CENTRE, _WIDTH = (np.array(column) for column in list(zip(*_PARAMETERS, strict=True))[1:])
_N_SCALES = 2
"""The first parameters, signal and floor, only scale the spectrum of the spots: it need not be computed again."""
_STEP = 1e-4
_TOLERANCE = 1e-3
_HAZE_WIDTH = 3.0
_HAZE_EVIDENCE = 30.0
_HAZE_SHARE = 0.002


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
    haze : float
        Power of out-of-focus flicker at low frequencies, relative to that of the spots; 0 where none stands out. Its
        spots are taken for Gaussians three times as wide.
    evidence : float
        Logarithm of the likelihood gained over noise without any spots.
    """

    shape: SpotShape
    signal: float
    floor: float
    haze: float = 0.0
    evidence: float = 0.0

    @property
    def vector(self) -> Array:
        """The fit's own parameters, in the order of `_PARAMETERS`."""
        shape = self.shape
        logs = [np.log(self.signal), np.log(self.floor), np.log(shape.sigma_px)]
        core = [shape.tail, shape.stretch, shape.shear]
        return np.array([*logs, *core, shape.halo, np.log(shape.halo_width), self.haze])

    def power(self, ky: Array, kx: Array) -> Array:
        """Evaluate the spectrum.

        Parameters
        ----------
        ky, kx : ndarray
            Shapes (n, 1) and (1, m), cycles per pixel.

        Returns
        -------
        ndarray
            Shape (n, m), ADU^2.
        """
        return self.scaled(self.spots(ky, kx))

    def spots(self, ky: Array, kx: Array) -> Array:
        """Evaluate the spectrum of spots and haze, relative to the signal.

        Parameters
        ----------
        ky, kx : ndarray
            As for `power`.

        Returns
        -------
        ndarray
            Shape (n, m).
        """
        spots = self.shape.power(ky, kx)
        if self.haze > 0:
            spots = spots + self.haze * self._haze_shape.power(ky, kx)
        return spots

    def scaled(self, spots: Array) -> Array:
        """Bring the spectrum of the spots to the size of the signal, on the floor.

        Parameters
        ----------
        spots : ndarray
            From `spots`.

        Returns
        -------
        ndarray
            ADU^2.
        """
        total: Array = self.signal * spots + self.floor
        return total

    @property
    def _haze_shape(self) -> SpotShape:
        return SpotShape(_HAZE_WIDTH * self.shape.sigma_px)

    def haze_variance(self, weights: Array) -> float:
        """Compute the variance that out-of-focus flicker has behind a filter.

        Parameters
        ----------
        weights : ndarray
            Shape (odd, odd), filter weights.

        Returns
        -------
        float
            ADU^2.
        """
        if self.haze == 0:
            return 0.0
        passed = self._haze_shape.filtered(weights)
        return self.signal * self.haze * float(np.sum(passed**2)) * SAMPLE_AREA_PX2


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
    n_entries : float
        Independent entries in all: frequencies times frames times patches.
    level : ndarray
        Shape (n_blocks,), mean grey value under the squared taper: what the noise floor belongs to.
    """

    power: Array
    weight: Array
    ky: Array
    kx: Array
    n_entries: float
    level: Array


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
    level = np.zeros(sample.n_blocks)
    for run in range(sample.n_blocks):
        first, last = np.searchsorted(sample.block, (run, run + 1))
        for y, x in corners:
            spectrum = np.fft.rfft2(values[:, first:last, y : y + n, x : x + m] * taper)
            power[run] += np.mean(spectrum.real**2 + spectrum.imag**2, axis=(0, 1)) / len(corners)
            still = sample.tiles[:, first:last, y : y + n, x : x + m].mean(axis=(0, 1), dtype=np.float64)
            level[run] += float(np.sum(still * taper**2)) / len(corners)
    ky, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(m)[None, :]
    weight = np.full((n, m // 2 + 1), 2.0)
    weight[:, 0] = 1.0
    if m % 2 == 0:
        weight[:, -1] = 1.0
    # below about two cycles a patch, flicker of the lamp and out-of-focus haze outweigh the spots
    weight[np.hypot(ky * n, kx * m) < _LOWEST_CYCLES] = 0.0
    n_entries = float(weight.sum()) / 2 * sample.n_frames * values.shape[0] * height * width / (n * m)
    return Spectra(power, weight, ky, kx, n_entries, level)


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
    if start is not None:
        return _climb(spectra, power, start.vector)
    plain = _climb(spectra, power, _first_guess(spectra, power))
    hazy = _climb(spectra, power, replace(plain, haze=1.0).vector)
    gained = hazy.evidence - plain.evidence
    return hazy if gained > max(_HAZE_EVIDENCE, _HAZE_SHARE * plain.evidence) else plain


def _climb(spectra: Spectra, power: Array, vector: Array) -> SpectrumFit:
    """Maximize the Whittle likelihood by damped Fisher scoring; a start without haze stays without."""
    vector = np.clip(vector, _LOWER, _UPPER)
    hazy = vector[-1] > 0
    loss, damping = _loss(spectra, power, vector), 1e-3
    tolerance = _TOLERANCE / spectra.n_entries
    for _ in range(60):
        gradient, fisher = _scores(spectra, power, vector)
        # a parameter that presses against its bound stays there
        free = ~(((vector <= _LOWER) & (gradient > 0)) | ((vector >= _UPPER) & (gradient < 0)))
        free[-1] &= hazy
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
    level = float(np.average(power, weights=spectra.weight))
    gained = np.log(level) + 1 - loss
    return replace(_from_vector(vector), evidence=float(gained * spectra.n_entries))


def _damped_step(gradient: Array, fisher: Array, damping: float) -> Array:
    lifted = fisher + damping * np.diag(np.diag(fisher)) + 1e-12 * np.eye(len(fisher))
    step: Array = np.clip(np.linalg.solve(lifted, -gradient), -0.5, 0.5)
    return step


def _patch_starts(side: int, patch: int) -> list[int]:
    count = -(-side // patch)
    return [round(start) for start in np.linspace(0, side - patch, count)]


def _from_vector(vector: Array) -> SpectrumFit:
    log_signal, log_floor, log_sigma, tail, stretch, shear, halo, log_width, haze = (float(v) for v in vector)
    shape = SpotShape(np.exp(log_sigma), tail, stretch, shear, halo, np.exp(log_width))
    return SpectrumFit(shape, np.exp(log_signal), np.exp(log_floor), haze)


def _model(spectra: Spectra, vector: Array) -> Array:
    return _from_vector(vector).power(spectra.ky, spectra.kx)


def _loss(spectra: Spectra, power: Array, vector: Array) -> float:
    """Negative log-likelihood per independent entry, priors included."""
    model = _model(spectra, vector)
    prior = 0.5 * float(np.sum(((vector - _CENTRE) / _WIDTH) ** 2)) / spectra.n_entries
    return float(np.sum(spectra.weight * (power / model + np.log(model))) / np.sum(spectra.weight)) + prior


def _scores(spectra: Spectra, power: Array, vector: Array) -> tuple[Array, Array]:
    """Gradient and Fisher information of the Whittle likelihood."""
    fit = _from_vector(vector)
    spots = fit.spots(spectra.ky, spectra.kx)
    model = fit.scaled(spots)
    log_model = np.log(model)
    slopes = []
    for index in range(len(vector)):
        moved = vector.copy()
        moved[index] += _STEP
        near = _from_vector(moved).scaled(spots) if index < _N_SCALES else _model(spectra, moved)
        slopes.append((np.log(near) - log_model) / _STEP)
    jacobian = np.array(slopes)
    weight = spectra.weight / np.sum(spectra.weight)
    gradient = np.einsum("pij,ij->p", jacobian, weight * (1 - power / model))
    gradient += (vector - _CENTRE) / _WIDTH**2 / spectra.n_entries
    fisher = np.einsum("pij,qij,ij->pq", jacobian, jacobian, weight)
    return gradient, fisher + np.diag(1 / _WIDTH**2) / spectra.n_entries


def _first_guess(spectra: Spectra, power: Array) -> Array:
    radius = np.hypot(spectra.ky, spectra.kx)
    used = spectra.weight > 0
    floor = float(np.quantile(power[used & (radius > 0.4)], 0.3))
    low = used & (radius < max(0.1, 1.01 * radius[used].min()))
    signal = max(float(power[low].mean()) - floor, 0.05 * floor)
    widths = np.log([0.55, 0.7, 0.9, 1.1, 1.4, 1.8, 2.4])
    rest = [0.3, 0.0, 0.0, 0.05, np.log(2.9), 0.0]
    guesses = [np.array([np.log(signal), np.log(floor), width, *rest]) for width in widths]
    return min(guesses, key=lambda guess: _loss(spectra, power, guess))
