"""From noise floor and photon transfer to gain and offset, given what is known of the camera already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from stormcell.calibration.emitters import ROUNDING_VARIANCE
from stormcell.calibration.photon_transfer import solve_slope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.photon_transfer import TransferFilters, TransferSums
    from stormcell.calibration.power_spectrum import SpectrumFit
    from stormcell.physics.cameras import CameraSettings

_SLIGHTEST_SLOPE = 1e-6


@dataclass(frozen=True)
class Known:
    """What is known of a camera; None where it is not.

    Parameters
    ----------
    excess_noise_factor : float
        2 for an EMCCD, else 1.
    em_gain : float
        Electron-multiplication gain.
    gain_e_per_adu, offset_adu, read_noise_e : float or None
        As in `stormcell.physics.cameras`.
    """

    excess_noise_factor: float
    em_gain: float
    gain_e_per_adu: float | None
    offset_adu: float | None
    read_noise_e: float | None

    @classmethod
    def of(cls, settings: CameraSettings) -> Self:
        """Read what camera settings hold.

        Parameters
        ----------
        settings : CameraSettings
            A read noise that was never set counts as unknown.

        Returns
        -------
        Known
            The same.
        """
        factor = 2.0 if settings.camera_type == "emccd" else 1.0
        noise = settings.read_noise_e if "read_noise_e" in settings.model_fields_set else None
        if settings.camera_type == "ideal":
            noise = 0.0
        return cls(factor, settings.em_gain, settings.gain_e_per_adu, settings.offset_adu, noise)

    @property
    def typical_read_noise_e(self) -> float:
        """The read noise, or where it is not known that of a usual camera of the kind."""
        if self.read_noise_e is not None:
            return self.read_noise_e
        return 0.2 * self.em_gain if self.excess_noise_factor == 2.0 else 1.5

    def read_variance_adu2(self, slope: float) -> float:
        """Compute the variance of the read noise in grey values.

        Parameters
        ----------
        slope : float
            Shot-noise variance per mean, ADU.

        Returns
        -------
        float
            ADU^2; of a usual camera where the read noise is not known.
        """
        return (self.typical_read_noise_e * slope / self.excess_noise_factor / self.em_gain) ** 2

    def gain_doubt(self, signal_e: float) -> float:
        """Estimate the relative error of a gain from offset and noise floor when the read noise is not known.

        Parameters
        ----------
        signal_e : float
            Mean electrons per pixel above the offset.

        Returns
        -------
        float
            0 where the read noise is known or plays no part.
        """
        if self.read_noise_e is not None or self.offset_adu is None or self.gain_e_per_adu is not None:
            return 0.0
        return 0.7 * (self.typical_read_noise_e / self.em_gain) ** 2 / max(signal_e, 1e-6)

    @property
    def slope(self) -> float | None:
        """Variance per mean in ADU, where the gain is known."""
        if self.gain_e_per_adu is None:
            return None
        return self.excess_noise_factor * self.em_gain / self.gain_e_per_adu


@dataclass(frozen=True)
class GainFit:
    """Gain and offset from one weighting of the runs.

    Parameters
    ----------
    slope : float
        Variance per mean, ADU.
    log_gain : float
        Logarithm of the gain in e/ADU; NaN where the slope came out not positive.
    effective_offset_adu : float
        Where the noise variance would vanish.
    transfer_log_gain : float
        The same logarithm from photon transfer alone.
    """

    slope: float
    log_gain: float
    effective_offset_adu: float
    transfer_log_gain: float


def fit_gain(
    known: Known,
    sums: TransferSums,
    filters: TransferFilters,
    spectrum: SpectrumFit,
    level: NDArray[np.float64],
    run_weights: NDArray[np.float64] | None = None,
) -> GainFit:
    """Find gain and effective offset.

    With the offset known, the noise floor and the mean give the gain far more precisely than photon transfer does (a
    read noise that is not known is taken as that of a usual camera); with the gain known, they give the effective
    offset.

    Parameters
    ----------
    known : Known
        What is known already.
    sums, filters : TransferSums, TransferFilters
        Photon transfer moments.
    spectrum : SpectrumFit
        Spots and noise floor.
    level : ndarray
        Shape (n_blocks,), mean grey value that the floor belongs to (`Spectra.level`).
    run_weights : ndarray, optional
        Shape (n_blocks,), weight of every run.

    Returns
    -------
    GainFit
        Gain and effective offset.
    """
    mean = float(np.average(level, weights=run_weights))
    floor = max(spectrum.floor - ROUNDING_VARIANCE, 1e-3 * spectrum.floor)
    transfer, _ = solve_slope(sums, filters, spectrum, known.excess_noise_factor, run_weights)
    slope = transfer
    if known.slope is not None:
        slope = known.slope
    elif known.offset_adu is not None and mean > known.offset_adu:
        slope = _slope_from_floor(floor, mean - known.offset_adu, known)
    factor = known.excess_noise_factor * known.em_gain
    safe = max(slope, _SLIGHTEST_SLOPE)
    offset = mean - floor / safe
    if known.slope is not None and known.offset_adu is not None:
        offset = known.offset_adu - known.read_variance_adu2(safe) / safe
    log_gain, log_transfer = (
        float(np.log(factor / s)) if s > _SLIGHTEST_SLOPE else np.nan for s in (slope, transfer)
    )
    return GainFit(slope, log_gain, offset, log_transfer)


def _slope_from_floor(floor: float, signal: float, known: Known) -> float:
    """Solve floor = slope * signal + (read noise in ADU)^2, the read noise being known in electrons."""
    read = known.read_variance_adu2(1.0)
    if read == 0:
        return floor / signal
    return float((np.sqrt(signal**2 + 4 * read * floor) - signal) / (2 * read))
