"""How long emitters stay on, from the correlation of a movie with itself some frames later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.photon_transfer import smoothed
from stormcell.calibration.spot_shape import SAMPLE_AREA_PX2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]

_TIMES = np.geomspace(0.03, 300.0, 400)


@dataclass(frozen=True)
class LagSums:
    """Mean products of the smoothed fluctuations, run by run.

    Parameters
    ----------
    moments : ndarray
        Shape (n_blocks, 3): frames, mean square, mean product with the next frame.
    weights : ndarray
        Shape (odd, odd), the filter.
    memory_frames : int
        Frames that the mean of each pixel was taken over.
    """

    moments: Array
    weights: Array
    memory_frames: int


def measure_lags(sample: FrameSample, fluctuations: Fluctuations, weights: Array) -> LagSums:
    """Correlate each frame with itself and the next.

    Parameters
    ----------
    sample : FrameSample
        Says which frames are consecutive.
    fluctuations : Fluctuations
        The movie about each pixel's mean and trend.
    weights : ndarray
        Shape (odd, odd), separable filter of about the spot's width.

    Returns
    -------
    LagSums
        Moments run by run.
    """
    rows = []
    for run in range(sample.n_blocks):
        first, last = np.searchsorted(sample.block, (run, run + 1))
        wave = smoothed(fluctuations.values[:, first:last], weights)
        later = float(np.mean(wave[:, 1:] * wave[:, :-1])) if last - first > 1 else 0.0
        rows.append([float(last - first), float(np.mean(wave**2)), later])
    return LagSums(np.array(rows), weights, fluctuations.memory_frames)


def correlation_with_next(sums: LagSums, fit: SpectrumFit, run_weights: Array | None = None) -> float:
    """Compute the correlation of the emitters' light in consecutive frames.

    Parameters
    ----------
    sums : LagSums
        Measured.
    fit : SpectrumFit
        Gives the emitters' part of the variance, without the noise.
    run_weights : ndarray, optional
        Shape (n_blocks,), weight of every run.

    Returns
    -------
    float
        0 where every frame shows other emitters, near 1 where they stay on for long.
    """
    frames = sums.moments[:, 0] * (1 if run_weights is None else run_weights)
    _, square, later = np.average(sums.moments, axis=0, weights=frames)
    noise = fit.floor * float(np.sum(sums.weights**2))
    predicted = fit.signal * float(np.sum(fit.shape.filtered(sums.weights) ** 2)) * SAMPLE_AREA_PX2
    # the variance left beyond the noise, but never less than a tenth of what the spectrum says
    return float(later / max(square - noise, 0.1 * predicted))


def on_time_from_correlation(correlation: float, n_frames: int) -> float:
    """Turn the correlation of consecutive frames into a mean on-time.

    For exponential on-times tau that begin anywhere, the light in frames k apart has covariance
    2 tau - 2 tau^2 (1 - e) for k = 0 and tau^2 (1 - e)^2 e^(k - 1) beyond, with e = exp(-1 / tau). What the
    subtraction of each pixel's mean over `n_frames` takes away is accounted for.

    Parameters
    ----------
    correlation : float
        As `correlation_with_next` gives it.
    n_frames : int
        Frames that the mean of each pixel was taken over.

    Returns
    -------
    float
        Mean on-time in frames, 0.03 to 300.
    """
    tau = _TIMES
    decay = np.exp(-1 / tau)
    own = 2 * tau - 2 * tau**2 * (1 - decay)
    following = tau**2 * (1 - decay) ** 2
    lag = np.arange(1, n_frames)[:, None]
    lost = (own + 2 * np.sum((1 - lag / n_frames) * following * decay ** (lag - 1), axis=0)) / n_frames
    expected = (following - lost) / np.maximum(own - lost, 1e-9)
    rising = int(np.argmax(expected)) + 1
    return float(np.exp(np.interp(correlation, expected[:rising], np.log(tau[:rising]))))
