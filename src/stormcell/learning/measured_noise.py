"""The noise of a movie as the movie itself shows it, in place of what its camera is said to have.

The dense network divides frames by the variance per electron. A gain that is wrong by a factor, an excess noise that
nobody told of, or a read noise that was left out all show as noise that differs from what the camera promises. The
noise floor is read from the power spectrum of the fluctuations, where blinking has no power, and the variance per
electron from photon transfer; the camera is believed as long as both agree with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from stormcell.calibration.fluctuations import temporal_fluctuations
from stormcell.calibration.frame_sample import SampleSettings, sample_frames
from stormcell.calibration.intervals import Jackknife
from stormcell.calibration.photon_transfer import choose_filters, measure_transfer, solve_slope
from stormcell.calibration.power_spectrum import fit_spectrum, measure_spectra
from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.frame_sample import FrameSample
    from stormcell.data import FrameStack
    from stormcell.physics.cameras import Camera

_SAMPLE = SampleSettings(max_pixels=3_000_000, max_frames=600, n_blocks=8)
_AGREES = 1.25
"""Ratio of measured to promised noise variance up to which the camera is believed."""
_SURE = 0.15
_LIMITS = (0.1, 40.0)
_CLEAR = 3.0
_PER_MEDIAN = 1.4826
_HOT_SIGMAS = 10.0
_HARDLY_LIGHT_E = 3.0
_LEAST_READ_E2 = 1e-3
_STRUCK = 100.0
"""Times the energy of fine detail in the median frame that no emitters bring."""
_FEWEST_IN_A_RUN = 3


@dataclass(frozen=True)
class MovieNoise:
    """Noise of a movie in the electrons that its camera converts to.

    Parameters
    ----------
    scale : float
        Variance per electron: 1 for a CMOS as promised, 2 for an EMCCD.
    read_variance_e2 : ndarray
        Shape (Y, X), variance without light.
    is_as_promised : bool
        Whether the camera's own values were kept.
    sentence : str
        What was found, in words; empty where the camera's values were kept.
    """

    scale: float
    read_variance_e2: NDArray[np.float32]
    is_as_promised: bool
    sentence: str


@dataclass(frozen=True)
class _Found:
    floor_e2: float
    light_e: float
    slope: float
    slope_error: float


def measure_noise(stack: FrameStack, camera: Camera) -> MovieNoise:
    """Compare the noise of a movie with what its camera promises.

    Parameters
    ----------
    stack : FrameStack
        The movie, raw camera units.
    camera : Camera
        What it is said to be recorded with.

    Returns
    -------
    MovieNoise
        The camera's own values where the movie agrees with them within a quarter or does not tell.
    """
    promised = promised_noise(stack, camera)
    try:
        found = _measure(stack, camera)
    except InputError:
        return promised
    read = float(promised.read_variance_e2.mean())
    expected = promised.scale * max(found.light_e, 0.0) + read
    if not np.isfinite(found.floor_e2) or found.floor_e2 <= 0 or found.light_e <= 0:
        return promised
    ratio = found.floor_e2 / expected
    if 1 / _AGREES <= ratio <= _AGREES:
        return promised
    scale, new_read = _split(found, promised.scale, read)
    variance = promised.read_variance_e2
    # a map keeps its shape; its level follows the measurement
    variance = variance * np.float32(new_read / read) if read > 0 else np.full_like(variance, new_read)
    sentence = (
        f"the movie's noise is {ratio:.2g} times what the camera values promise: {scale:.2g} e2 per electron and a "
        f"read noise of {np.sqrt(new_read):.2g} e were measured and used; check gain, camera type and read noise"
    )
    return MovieNoise(scale, np.ascontiguousarray(variance, dtype=np.float32), False, sentence)


def promised_noise(stack: FrameStack, camera: Camera) -> MovieNoise:
    """Take the noise from the camera's values.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Its camera.

    Returns
    -------
    MovieNoise
        As promised.
    """
    variance = camera.read_variance_e2(stack.frame_shape, stack.origin_px) + camera.quantization_variance_e2
    return MovieNoise(camera.excess_noise_factor, np.ascontiguousarray(variance, np.float32), True, "")


def _measure(stack: FrameStack, camera: Camera) -> _Found:
    sample = _without_struck(sample_frames(stack, _SAMPLE, camera))
    fluctuations = temporal_fluctuations(sample)
    spectra = measure_spectra(fluctuations, _without_hot(sample))
    spectrum = fit_spectrum(spectra)
    filters = choose_filters(spectrum)
    sums = measure_transfer(sample, fluctuations, filters)

    def slope(weights: NDArray[np.float64]) -> float:
        return solve_slope(sums, filters, spectrum, camera.excess_noise_factor, weights)[0]

    runs = Jackknife.run(slope, sample.n_blocks)
    estimate = runs.of(lambda value: np.log(value) if value > 0 else np.nan)
    per_adu = float(np.mean(camera.gain_e_per_adu)) / camera.em_gain
    return _Found(
        floor_e2=float(spectrum.floor) * per_adu**2,
        # under the same taper as the floor: a bead in the middle weighs more in both
        light_e=(float(spectra.level.mean()) - float(np.mean(camera.offset_adu))) * per_adu,
        slope=float(np.exp(estimate.value)) * per_adu,
        slope_error=float(estimate.error),
    )


def _without_struck(sample: FrameSample) -> FrameSample:
    """Leave out frames in which a cosmic ray outweighs the noise of all pixels."""
    tiles = sample.tiles
    rough = tiles[:, :, 1:, 1:] - tiles[:, :, 1:, :-1] - tiles[:, :, :-1, 1:] + tiles[:, :, :-1, :-1]
    energy = np.einsum("ntyx,ntyx->t", rough, rough, dtype=np.float64)
    keep = energy <= _STRUCK * np.median(energy)
    left = np.bincount(sample.block[keep], minlength=sample.n_blocks)
    # a run that would get too short stays whole
    keep |= (left < _FEWEST_IN_A_RUN)[sample.block]
    return replace(sample, tiles=tiles[:, keep], block=sample.block[keep])


def _without_hot(sample: FrameSample) -> FrameSample:
    """Bring hot pixels to the level of those around them: their light is not that of the scene. A bead's is."""
    means = sample.tiles.mean(axis=1)
    ring = np.ones((1, 3, 3), np.bool_)
    ring[0, 1, 1] = False
    brightest = ndimage.maximum_filter(means, footprint=ring)
    around = ndimage.median_filter(means, size=(1, 3, 3))
    typical = float(np.median(np.abs(means - around))) * _PER_MEDIAN
    is_hot = means - brightest > _HOT_SIGMAS * typical + 0.3 * np.abs(brightest)
    return replace(sample, tiles=sample.tiles - np.where(is_hot, means - around, 0)[:, None])


def _split(found: _Found, promised_scale: float, read: float) -> tuple[float, float]:
    """Share the measured noise between light and read noise."""
    # a wrong gain alone, by a factor k: floor = k * scale * light + k^2 * read
    linear = promised_scale * found.light_e
    factor = (math.sqrt(linear**2 + 4 * read * found.floor_e2) - linear) / (2 * read) if read > 0 else math.inf
    if not math.isfinite(factor):
        factor = found.floor_e2 / linear
    is_sure = math.isfinite(found.slope) and found.slope_error < _SURE
    disagreement = abs(math.log(found.slope / (factor * promised_scale))) if is_sure else 0.0
    if is_sure and disagreement > max(_CLEAR * found.slope_error, _SURE):
        scale = min(found.slope, found.floor_e2 / found.light_e)
        new_read = found.floor_e2 - scale * found.light_e
    elif not is_sure and found.light_e < _HARDLY_LIGHT_E and factor > 1:
        # hardly any light: its noise cannot be what is seen
        scale, new_read = promised_scale, found.floor_e2 - linear
    else:
        scale, new_read = factor * promised_scale, factor**2 * read
    return float(np.clip(scale, *_LIMITS)), max(new_read, _LEAST_READ_E2)
