"""Density, photons per emitter, their spread, and background, from the characteristic functions of the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special

from stormcell.calibration.blink_statistics import (
    Noise,
    SpotLevels,
    brightness,
    gaussian_characteristic,
    pulse_characteristic,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.characteristic import Characteristics, MeanLogarithm
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]

_LOWER, _UPPER = np.array([-30.0, 0.01, -9.0]), np.array([30.0, 1.2, 9.0])
_STARTS = (0.02, 0.08, 0.25, 0.6, 0.9)
_MODEL_ERROR = 0.02
_EVALUATIONS = 40

ROUNDING_VARIANCE = 1 / 12
"""Variance of rounding to whole grey values, ADU^2."""


@dataclass(frozen=True)
class EmitterFit:
    """Emitters and background, in grey values.

    Parameters
    ----------
    intensity : float
        Mean light of an emitter in a frame, ADU, the whole spot.
    log_spread : float
        Standard deviation of the logarithm of the emitters' brightness.
    relative_spread : float
        Standard deviation of the light per frame over its mean, partial frames included.
    emission : float
        Share of the light above the effective offset that comes from emitters.
    light : float
        Mean light above the effective offset, ADU.
    misfit : float
        Mean squared residual, in units of noise and a model error of 2 %.
    """

    intensity: float
    log_spread: float
    relative_spread: float
    emission: float
    light: float
    misfit: float

    @property
    def density(self) -> float:
        """Emitters per px^2 and frame, mean over the field."""
        return self.emission * self.light / self.intensity

    @property
    def vector(self) -> Array:
        """The fit's own parameters: log intensity, log spread, logit of the emission share."""
        share = float(np.clip(self.emission, 1e-4, 1 - 1e-4))
        return np.array([np.log(self.intensity), self.log_spread, special.logit(share)])


@dataclass(frozen=True)
class EmitterModel:
    """Everything the fit keeps fixed.

    Parameters
    ----------
    measured : MeanLogarithm
        What the model is to match.
    t : ndarray
        Shape (J,), angular frequencies, radians per ADU.
    levels : SpotLevels
        The filtered spot.
    light : float
        Mean above the effective offset, ADU.
    slope : float
        Shot-noise variance per mean, ADU.
    on_time_frames : float
        Mean on-time; 0 where emitters are on in whole frames.
    read_variance : float
        Variance of the read noise, ADU^2; the light above the effective offset holds it as if it were shot noise.
    per_shot, per_read, rest : ndarray
        Shape (J,), noise for a variance of 1 ADU^2 of shot noise and of read noise, and all other noise.
    """

    measured: MeanLogarithm
    t: Array
    levels: SpotLevels
    light: float
    slope: float
    on_time_frames: float
    read_variance: float
    per_shot: Array
    per_read: Array
    rest: Array

    @classmethod
    def of(
        cls,
        characteristics: Characteristics,
        measured: MeanLogarithm,
        spectrum: SpectrumFit,
        noise: Noise,
        light: float,
        on_time_frames: float,
    ) -> EmitterModel:
        """Collect what the fit keeps fixed.

        Parameters
        ----------
        characteristics : Characteristics
            Frequencies, filter, and how the means were subtracted.
        measured : MeanLogarithm
            What the model is to match.
        spectrum : SpectrumFit
            Spot shape, noise floor, haze.
        noise : Noise
            The camera.
        light : float
            Mean grey value above the effective offset.
        on_time_frames : float
            Mean on-time, 0 for whole frames.

        Returns
        -------
        EmitterModel
            Ready to fit.
        """
        weights = characteristics.weights
        # a pixel's mean over n frames holds 1 / n of each fluctuation, more where emitters stay on
        lost = min((1 + 2 * on_time_frames) * characteristics.lost, 0.5)
        t = characteristics.t * (1 - lost)
        per_read = gaussian_characteristic(t, weights)
        haze = spectrum.haze_variance(weights) + characteristics.variance * lost
        return cls(
            measured=measured,
            t=t,
            levels=SpotLevels.of(spectrum.shape, weights),
            light=light,
            slope=noise.slope,
            on_time_frames=on_time_frames,
            read_variance=noise.read_variance,
            per_shot=noise.shot_characteristic(t, weights, spectrum.floor),
            per_read=per_read,
            rest=per_read * ROUNDING_VARIANCE - 0.5 * t**2 * haze,
        )

    def predicted(self, vector: Array) -> Array:
        """Compute the mean logarithm of the characteristic function.

        Parameters
        ----------
        vector : ndarray
            Log intensity, log spread, logit of the emission share.

        Returns
        -------
        ndarray
            Shape (J,), complex.
        """
        intensity, emission = float(np.exp(vector[0])), float(special.expit(vector[2]))
        nodes = brightness(float(vector[1]), self.on_time_frames)
        pulses = pulse_characteristic(self.t, self.levels, intensity, self.slope, nodes)
        variance = self.slope * self.light * (1 - emission)
        shot = max(variance - self.read_variance, 0.05 * variance)
        noise = shot * self.per_shot + (variance - shot) * self.per_read + self.rest
        total: Array = emission * self.light / intensity * pulses + noise
        return total

    def residual(self, vector: Array) -> Array:
        """Compare with what was measured.

        Parameters
        ----------
        vector : ndarray
            Log intensity, log spread, logit of the emission share.

        Returns
        -------
        ndarray
            Real and imaginary differences over their standard errors.
        """
        usable, value, error = self.measured.usable, self.measured.value, self.measured.error
        difference = self.predicted(vector) - value
        doubt = (_MODEL_ERROR * np.abs(value)) ** 2 + 1e-18
        parts = (difference.real / np.sqrt(error.real**2 + doubt), difference.imag / np.sqrt(error.imag**2 + doubt))
        return np.concatenate([part[usable] for part in parts])


def fit_emitters(model: EmitterModel, signal: float, start: EmitterFit | None = None) -> EmitterFit:
    """Fit density, light and spread.

    Parameters
    ----------
    model : EmitterModel
        What is fixed.
    signal : float
        density * E[light^2] from the power spectrum, ADU^2; gives the first guess.
    start : EmitterFit, optional
        A nearby solution.

    Returns
    -------
    EmitterFit
        The best fit.
    """
    guesses = _first_guesses(model, signal) if start is None else [start.vector]
    found = min((_solve(model, guess) for guess in guesses), key=lambda result: float(result.cost))
    factor, weight = brightness(float(found.x[1]), model.on_time_frames)
    return EmitterFit(
        intensity=float(np.exp(found.x[0])),
        log_spread=float(found.x[1]),
        relative_spread=float(np.sqrt(max(weight @ factor**2 - 1, 0))),
        emission=float(special.expit(found.x[2])),
        light=model.light,
        misfit=float(np.mean(found.fun**2)),
    )


def _solve(model: EmitterModel, guess: Array) -> Any:
    return optimize.least_squares(
        partial(_with_prior, model),
        np.clip(guess, _LOWER + 1e-6, _UPPER - 1e-6),
        bounds=(_LOWER, _UPPER),
        x_scale="jac",
        diff_step=np.full(3, 3e-3),
        max_nfev=_EVALUATIONS,
    )


def _with_prior(model: EmitterModel, vector: Array) -> Array:
    """Residuals, and one that keeps the spread moderate where the data do not tell."""
    return np.append(model.residual(vector), (vector[1] - 0.4) / 1.0)


def _first_guesses(model: EmitterModel, signal: float) -> list[Array]:
    """Try a few emission shares for a narrow and a wide spread; the spectrum ties the light of an emitter to each."""
    guesses = []
    for spread in (0.12, 0.5):
        tried = []
        for emission in _STARTS:
            intensity = signal / (emission * model.light * np.exp(spread**2))
            vector = np.array([np.log(intensity), spread, special.logit(emission)])
            tried.append((float(np.sum(model.residual(vector) ** 2)), vector))
        guesses.append(min(tried, key=lambda pair: pair[0])[1])
    return guesses
