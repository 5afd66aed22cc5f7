"""Density, photons per emitter, their spread, and background, fitted to the histograms of a movie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special

from stormcell.calibration.pixel_distribution import (
    BackgroundNoise,
    Pulses,
    brightness_nodes,
    expected_shares,
    pulse_train,
    spot_levels,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.pixel_distribution import Noise, SpotLevels
    from stormcell.calibration.pixel_histogram import PixelHistograms
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]

_SPREAD_BOUNDS = (0.01, 1.2)
_LOGIT_BOUND = 9.0
_STARTS = (0.02, 0.08, 0.25, 0.6, 0.9)
_STEP = 0.01
_MODEL_ERROR = 0.05
_EVALUATIONS = 40


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
    emission : ndarray
        Shape (n_strata,), share of the light above the effective offset that comes from emitters.
    light : ndarray
        Shape (n_strata,), mean light above the effective offset, ADU.
    share : ndarray
        Shape (n_strata,), share of the pixels.
    misfit : float
        Mean squared residual of the histogram bins, in units of counting noise of independent pixels.
    """

    intensity: float
    log_spread: float
    relative_spread: float
    emission: Array
    light: Array
    share: Array
    misfit: float

    @property
    def density(self) -> float:
        """Emitters per px^2 and frame, mean over the field."""
        return float(self.share @ (self.emission * self.light)) / self.intensity

    def background(self, within: float) -> Array:
        """Compute the background, light of emitters beyond the radius of their total included.

        Parameters
        ----------
        within : float
            Share of a spot's light that counts as the emitter's.

        Returns
        -------
        ndarray
            Shape (n_strata,), ADU above the effective offset.
        """
        rest: Array = self.light * (1 - self.emission * within)
        return rest

    @property
    def vector(self) -> Array:
        """The fit's own parameters: log intensity, log spread, logit of each emission share."""
        shares = np.clip(self.emission, 1e-4, 1 - 1e-4)
        return np.concatenate([[np.log(self.intensity), self.log_spread], special.logit(shares)])


@dataclass(frozen=True)
class EmitterModel:
    """Everything the fit keeps fixed.

    Parameters
    ----------
    histograms : PixelHistograms
        Measured.
    counts : list of ndarray
        For each stratum, counts in its coarser bins.
    light : ndarray
        Shape (n_strata,), mean above the effective offset, ADU.
    offset : float
        Effective offset, ADU.
    slope : float
        Shot-noise variance per mean, ADU.
    levels : SpotLevels
        The filtered spot.
    on_time_frames : float
        Mean on-time; 0 where emitters are on in whole frames.
    noise : BackgroundNoise
        Noise where no emitter is.
    haze : float
        Variance by out-of-focus flicker, as that of white noise which the filter reduces to the same, ADU^2.
    """

    histograms: PixelHistograms
    counts: list[Array]
    light: Array
    offset: float
    slope: float
    levels: SpotLevels
    on_time_frames: float
    noise: BackgroundNoise
    haze: float

    def pulses(self, log_intensity: float, log_spread: float) -> Pulses:
        """Evaluate the emitters' characteristic function.

        Parameters
        ----------
        log_intensity, log_spread : float
            Logarithm of the mean light in ADU, and spread of the logarithm.

        Returns
        -------
        Pulses
            For any density.
        """
        nodes = brightness_nodes(log_spread, self.on_time_frames)
        return pulse_train(self.levels, self.histograms.grid, float(np.exp(log_intensity)), self.slope, nodes)

    def residual(self, pulses: Pulses, stratum: int, intensity: float, emission: float) -> Array:
        """Compare one stratum with its histogram.

        Parameters
        ----------
        pulses : Pulses
            The emitters' part.
        stratum : int
            Which.
        intensity : float
            Mean light of an emitter, ADU.
        emission : float
            Share of the light that comes from emitters.

        Returns
        -------
        ndarray
            Twice the difference of the square roots of measured and expected counts, over its standard error.
        """
        light = float(self.light[stratum])
        grid = self.histograms.grid
        # light = 0 would be a camera below its offset: keep a little noise
        variance = max(self.slope * light * (1 - emission), 1e-3 * self.slope * abs(light), 1e-9)
        noise = self.noise.log_characteristic(variance + ROUNDING + self.haze)
        shares = expected_shares(pulses, grid, emission * light / intensity, self.offset + light, noise)
        expected = np.add.reduceat(np.maximum(shares, 0), self.histograms.edges[stratum])
        counts = self.counts[stratum]
        difference: Array = 2 * (np.sqrt(expected * counts.sum()) - np.sqrt(counts))
        # the model is right to a few per cent at best: well-filled bins count no more than that
        return difference / np.sqrt(1 + _MODEL_ERROR**2 * counts)


ROUNDING = 1 / 12
"""Variance of rounding to whole grey values, ADU^2."""


def fit_emitters(
    model: EmitterModel, signal: float, start: EmitterFit | None = None, share: Array | None = None
) -> EmitterFit:
    """Fit density, light and spread to the histograms.

    Parameters
    ----------
    model : EmitterModel
        What is fixed.
    signal : float
        density * E[light^2] from the power spectrum, ADU^2; gives the first guess.
    start : EmitterFit, optional
        A nearby solution.
    share : ndarray, optional
        Shape (n_strata,), share of the pixels in each stratum; None weighs them by their counts.

    Returns
    -------
    EmitterFit
        The best fit.
    """
    guesses = _first_guesses(model, signal) if start is None else [start.vector]
    found = min((_solve(model, guess) for guess in guesses), key=lambda result: float(result.cost))
    factor, weight, scatter = brightness_nodes(float(found.x[1]), model.on_time_frames)
    counts = np.array([c.sum() for c in model.counts])
    return EmitterFit(
        intensity=float(np.exp(found.x[0])),
        log_spread=float(found.x[1]),
        relative_spread=float(np.sqrt(max(weight @ (factor**2 + scatter) - 1, 0))),
        emission=special.expit(found.x[2:]),
        light=model.light,
        share=counts / counts.sum() if share is None else share,
        misfit=float(np.mean(found.fun**2)),
    )


def _solve(model: EmitterModel, guess: Array) -> Any:
    n = len(model.light)
    lower = np.array([-30.0, _SPREAD_BOUNDS[0], *([-_LOGIT_BOUND] * n)])
    upper = np.array([30.0, _SPREAD_BOUNDS[1], *([_LOGIT_BOUND] * n)])
    return optimize.least_squares(
        partial(_residuals, model),
        np.clip(guess, lower + 1e-6, upper - 1e-6),
        partial(_jacobian, model),
        bounds=(lower, upper),
        x_scale="jac",
        ftol=1e-6,
        xtol=1e-5,
        max_nfev=_EVALUATIONS,
    )


def emitter_model(
    histograms: PixelHistograms,
    spectrum: SpectrumFit,
    noise: Noise,
    on_time_frames: float,
    run_weights: Array,
) -> EmitterModel:
    """Collect what the fit of the emitters keeps fixed.

    Parameters
    ----------
    histograms : PixelHistograms
        Measured.
    spectrum : SpectrumFit
        Spot shape.
    noise : Noise
        Noise of a pixel: its `variance` holds the mean floor, its `slope` ties variance to the mean.
    on_time_frames : float
        Mean on-time, 0 for whole frames.
    run_weights : ndarray
        Shape (n_blocks,), weight of every run.

    Returns
    -------
    EmitterModel
        Ready to fit.
    """
    counts, mean, share = histograms.weighted(run_weights)
    middle = float(mean @ share)
    offset = middle - (noise.variance - ROUNDING) / noise.slope
    levels = spot_levels(spectrum.shape, histograms.weights)
    light = np.maximum(mean - offset, 1e-3 * (middle - offset))
    haze = spectrum.haze_variance(histograms.weights) / float(np.sum(histograms.weights**2))
    noise = replace(noise, gaussian=noise.gaussian + haze)
    prepared = BackgroundNoise.of(noise, histograms.grid, histograms.weights)
    return EmitterModel(histograms, counts, light, offset, noise.slope, levels, on_time_frames, prepared, haze)


def _residuals(model: EmitterModel, vector: Array) -> Array:
    pulses = model.pulses(vector[0], vector[1])
    intensity, emission = float(np.exp(vector[0])), special.expit(vector[2:])
    parts = [model.residual(pulses, index, intensity, float(e)) for index, e in enumerate(emission)]
    return np.concatenate(parts)


def _jacobian(model: EmitterModel, vector: Array) -> Array:
    """Finite differences; each emission share moves its own stratum alone."""
    base = _residuals(model, vector)
    columns = []
    for index in (0, 1):
        moved = vector.copy()
        # towards the inside of the bounds
        step = _STEP if vector[index] < _SPREAD_BOUNDS[1] - 2 * _STEP or index == 0 else -_STEP
        moved[index] += step
        columns.append((_residuals(model, moved) - base) / step)
    pulses = model.pulses(vector[0], vector[1])
    intensity, first = float(np.exp(vector[0])), 0
    for index, logit in enumerate(vector[2:]):
        column = np.zeros_like(base)
        last = first + len(model.counts[index])
        moved_part = model.residual(pulses, index, intensity, float(special.expit(logit + _STEP)))
        column[first:last] = (moved_part - base[first:last]) / _STEP
        columns.append(column)
        first = last
    return np.stack(columns, axis=1)


def _first_guesses(model: EmitterModel, signal: float) -> list[Array]:
    """Try a few emission shares for a narrow and a wide spread; the spectrum ties the light of an emitter to each."""
    n = len(model.light)
    mean_light = float(np.average(model.light, weights=[c.sum() for c in model.counts]))
    guesses = []
    for spread in (0.12, 0.5):
        tried = []
        for emission in _STARTS:
            intensity = signal / (emission * mean_light * np.exp(spread**2))
            vector = np.array([np.log(intensity), spread, *([special.logit(emission)] * n)])
            tried.append((float(np.sum(_residuals(model, vector) ** 2)), vector))
        guesses.append(min(tried, key=lambda pair: pair[0])[1])
    return guesses
