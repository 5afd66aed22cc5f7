"""Structure of the background: what is left of the mean picture after the emitters' share is taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.patches import patch_means
from stormcell.calibration.spot_shape import SAMPLE_AREA_PX2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.emitters import EmitterFit
    from stormcell.calibration.fluctuations import Fluctuations
    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.calibration.power_spectrum import SpectrumFit

    Array = NDArray[Any]


@dataclass(frozen=True)
class PatchMoments:
    """Mean and variance in time of patches of 8 x 8 px, run by run.

    Parameters
    ----------
    mean : ndarray
        Shape (n_blocks, N), mean grey value about that of its run.
    variance : ndarray
        Shape (n_blocks, N), mean variance of the pixels in time, ADU^2.
    """

    mean: Array
    variance: Array


def measure_patches(sample: FrameSample, fluctuations: Fluctuations) -> PatchMoments:
    """Measure mean and variance of small patches.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.
    fluctuations : Fluctuations
        The same about each pixel's own mean.

    Returns
    -------
    PatchMoments
        Run by run.
    """
    means, variances = [], []
    for run in range(sample.n_blocks):
        first, last = np.searchsorted(sample.block, (run, run + 1))
        mean = patch_means(sample.tiles[:, first:last].mean(axis=1))
        means.append(mean - mean.mean())
        variances.append(patch_means((fluctuations.values[:, first:last] ** 2).mean(axis=1)))
    return PatchMoments(np.array(means), np.array(variances))


def background_deviation(
    patches: PatchMoments, spectrum: SpectrumFit, emitters: EmitterFit, slope: float, run_weights: Array
) -> float:
    """Estimate the standard deviation of the background over the field.

    The variance of a patch beyond its shot noise says how many emitters it holds; the rest of its mean is background.
    Two halves of the movie are multiplied, so that noise does not count as structure.

    Parameters
    ----------
    patches : PatchMoments
        Measured.
    spectrum : SpectrumFit
        Spot shape.
    emitters : EmitterFit
        Light of an emitter and its spread.
    slope : float
        Shot-noise variance per mean, ADU.
    run_weights : ndarray
        Shape (n_blocks,), weight of every run.

    Returns
    -------
    float
        ADU; 0 where the halves do not agree on any structure.
    """
    runs = np.flatnonzero(run_weights > 0)
    if len(runs) < 2:
        return 0.0
    spot = spectrum.shape.filtered(np.ones((1, 1)))
    height = float(np.sum(spot**2)) * SAMPLE_AREA_PX2
    # mean light per variance beyond the shot noise
    ratio = 1 / (emitters.intensity * (1 + emitters.relative_spread**2) * height)
    halves = []
    for part in (runs[::2], runs[1::2]):
        mean, variance = patches.mean[part].mean(axis=0), patches.variance[part].mean(axis=0)
        rest = mean - ratio * (variance - variance.mean() - slope * mean)
        halves.append(rest - rest.mean())
    return float(np.sqrt(max(float(np.mean(halves[0] * halves[1])), 0.0)))
