"""One pass from measured sums to all conditions, for any weighting of the runs of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from stormcell.calibration.background import PatchMoments, background_deviation, measure_patches
from stormcell.calibration.blink_statistics import Noise
from stormcell.calibration.characteristic import Characteristics, mean_logarithm, measure_characteristics
from stormcell.calibration.emitters import ROUNDING_VARIANCE, EmitterFit, EmitterModel, fit_emitters
from stormcell.calibration.fluctuations import temporal_fluctuations
from stormcell.calibration.gain import GainFit, Known, fit_gain
from stormcell.calibration.on_time import correlation_with_next, measure_lags, on_time_from_correlation
from stormcell.calibration.photon_transfer import choose_filters, measure_transfer
from stormcell.calibration.power_spectrum import SpectrumFit, fit_spectrum, measure_spectra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.on_time import LagSums
    from stormcell.calibration.photon_transfer import TransferFilters, TransferSums
    from stormcell.calibration.power_spectrum import Spectra

    Array = NDArray[Any]

__all__ = ["Condition", "Conditions", "Known", "Measured"]

_SHORTEST_CORRELATION = 0.03
_FALLBACK_SIGNAL = 0.5


@dataclass(frozen=True)
class Measured:
    """Everything that is summed over frames, once.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.
    fluctuations : Fluctuations
        The same about each pixel's mean and trend.
    spectra : Spectra
        Power spectra.
    spectrum : SpectrumFit
        Their fit with all runs alike; it chooses the filters.
    filters : TransferFilters
        High-pass and low-pass filter.
    transfer : TransferSums
        Moments for the gain.
    """

    sample: FrameSample
    fluctuations: Fluctuations
    spectra: Spectra
    spectrum: SpectrumFit
    filters: TransferFilters
    transfer: TransferSums

    @classmethod
    def of(cls, sample: FrameSample) -> Self:
        """Measure a sample.

        Parameters
        ----------
        sample : FrameSample
            Tiles of the movie.

        Returns
        -------
        Measured
            Its sums.
        """
        fluctuations = temporal_fluctuations(sample)
        spectra = measure_spectra(fluctuations, sample)
        spectrum = fit_spectrum(spectra)
        filters = choose_filters(spectrum)
        return cls(sample, fluctuations, spectra, spectrum, filters, measure_transfer(sample, fluctuations, filters))

    @cached_property
    def characteristics(self) -> Characteristics:
        """Characteristic functions of the pixels."""
        return measure_characteristics(self.sample, self.fluctuations, self.spectrum)

    @cached_property
    def patches(self) -> PatchMoments:
        """Mean and variance of small patches."""
        return measure_patches(self.sample, self.fluctuations)

    @cached_property
    def lags(self) -> LagSums:
        """Products of consecutive frames."""
        return measure_lags(self.sample, self.fluctuations, self.filters.low)


@dataclass(frozen=True)
class Condition:
    """All conditions, from one weighting of the runs.

    Parameters
    ----------
    spectrum : SpectrumFit
        Spot shape, signal, noise floor.
    gain : GainFit
        Gain and effective offset.
    emitters : EmitterFit
        Density, light and spread in grey values.
    within : float
        Share of a spot's light within 10 px.
    electrons_per_adu : float
        At the input: F^2 / slope.
    correlation : float
        Of the emitters' light in consecutive frames.
    on_time_frames : float
        The mean on-time that it means.
    mean_adu : float
        Mean grey value.
    deviation_adu : float
        Standard deviation of the background over the field.
    is_even : bool
        Whether emitters and background lie evenly over the field.
    """

    spectrum: SpectrumFit
    gain: GainFit
    emitters: EmitterFit
    within: float
    electrons_per_adu: float
    correlation: float
    on_time_frames: float
    mean_adu: float
    deviation_adu: float
    is_even: bool

    @property
    def electrons(self) -> float:
        """Mean electrons of an emitter in a frame, within 10 px."""
        return self.emitters.intensity * self.within * self.electrons_per_adu

    @property
    def emission_electrons(self) -> float:
        """Mean electrons per pixel and frame that come from emitters."""
        return self.emitters.density * self.electrons

    def background_electrons(self, known: Known) -> float:
        """Compute the mean background, light of emitters beyond 10 px included.

        Parameters
        ----------
        known : Known
            With the offset known, the background itself; else background + read noise^2 / F^2.

        Returns
        -------
        float
            Electrons per pixel and frame.
        """
        offset = self.gain.effective_offset_adu if known.offset_adu is None else known.offset_adu
        return (self.mean_adu - offset) * self.electrons_per_adu - self.emission_electrons

    @property
    def deviation_electrons(self) -> float:
        """Standard deviation of the background over the field, electrons."""
        return self.deviation_adu * self.electrons_per_adu


@dataclass
class Conditions:
    """Estimates conditions again and again, each time from where the last one ended.

    Parameters
    ----------
    measured : Measured
        Sums of the movie.
    known : Known
        What is known of the camera.
    """

    measured: Measured
    known: Known
    _first: Condition | None = field(default=None, init=False, repr=False)

    def estimate(self, run_weights: Array) -> Condition:
        """Estimate all conditions.

        Parameters
        ----------
        run_weights : ndarray
            Shape (n_blocks,), weight of every run; the first call should weigh all alike.

        Returns
        -------
        Condition
            The estimate.
        """
        measured, first = self.measured, self._first
        spectrum = fit_spectrum(measured.spectra, run_weights, measured.spectrum)
        gain = fit_gain(
            self.known, measured.transfer, measured.filters, spectrum, measured.spectra.level, run_weights
        )
        correlation = correlation_with_next(measured.lags, spectrum, run_weights)
        on_time = on_time_from_correlation(correlation, measured.lags.memory_frames)
        # whether frames are partial is decided once
        seen = correlation if first is None else first.correlation
        noise = self._noise(spectrum, gain)
        mean = float(np.average(measured.characteristics.level, weights=run_weights))
        light = mean - gain.effective_offset_adu if noise.slope == gain.slope else spectrum.floor / noise.slope
        model = EmitterModel.of(
            measured.characteristics,
            mean_logarithm(measured.characteristics, run_weights),
            spectrum,
            noise,
            max(light, 1e-3 * spectrum.floor / noise.slope),
            on_time if seen > _SHORTEST_CORRELATION else 0.0,
        )
        emitters = fit_emitters(model, spectrum.signal, None if first is None else first.emitters)
        found = Condition(
            spectrum=spectrum,
            gain=gain,
            emitters=emitters,
            within=spectrum.shape.share_within(),
            electrons_per_adu=self.known.excess_noise_factor / noise.slope,
            correlation=correlation,
            on_time_frames=on_time,
            mean_adu=mean,
            deviation_adu=background_deviation(measured.patches, spectrum, emitters, noise.slope, run_weights),
            is_even=measured.characteristics.is_even,
        )
        if first is None:
            self._first = found
        return found

    def _noise(self, spectrum: SpectrumFit, gain: GainFit) -> Noise:
        """Describe the noise; where the gain cannot be told, the brightness above the darkest pixels sets a scale."""
        slope = gain.slope
        factor = self.known.excess_noise_factor
        if not slope > 1e-3 * spectrum.floor / self._brightness():
            slope = spectrum.floor / (self._brightness() / _FALLBACK_SIGNAL)
        read = min(self.known.read_variance_adu2(slope), 0.9 * max(spectrum.floor - ROUNDING_VARIANCE, 0))
        return Noise(slope, factor, read)

    def _brightness(self) -> float:
        """Mean grey value above the darkest; only a scale."""
        tiles = self.measured.sample.tiles
        return max(float(tiles.mean()) - float(np.quantile(tiles[:, ::7], 0.001)), 1e-3)
