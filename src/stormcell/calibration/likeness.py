"""A simulation of the same places under the conditions found, so that a wrong calibration is seen at a glance.

Emitters are spread over the field as the real movie's own flicker is, and the background as its mean is; everything
else - spot, photons, on-time, camera - comes from the estimate alone. What differs then is the estimate's fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from stormcell.calibration.fluctuations import temporal_fluctuations
from stormcell.calibration.frame_sample import FrameSample, SampleSettings, sample_frames
from stormcell.calibration.movie_distance import Look, MovieDistance, distance_between, look_of
from stormcell.calibration.simulated_conditions import settings_like
from stormcell.physics.cameras import CameraSettings
from stormcell.simulation.acquisition import Acquisition
from stormcell.simulation.settings import SimulationSettings
from stormcell.simulation.structures.uniform import Uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stormcell.calibration.acquisition_settings import AcquisitionSettings
    from stormcell.data.frame_stack import FrameStack

    Array = NDArray[Any]

_LOOKED_AT = SampleSettings(max_pixels=4_000_000, max_frames=300, max_tiles=4)
_SITES_PER_PX = 20.0
_RIM_PX = 8
_EMITTERS_WIDTH = 0.7
_BACKGROUND_WIDTH_PX = 4.0
_LEAST_LIGHT = 0.02
_CHANCE = 0.15
_NOISES = 2.0


@dataclass(frozen=True)
class Likeness:
    """Real and simulated movie side by side.

    Parameters
    ----------
    distance : MovieDistance
        How far they are apart.
    real, simulated : ndarray
        Shape (T, h, w), the same tile of both, grey values.
    real_look, simulated_look : Look
        What they were compared by.
    """

    distance: MovieDistance
    real: NDArray[np.float32]
    simulated: NDArray[np.float32]
    real_look: Look
    simulated_look: Look


def can_be_simulated(acquisition: AcquisitionSettings) -> bool:
    """Tell whether enough is known to simulate the movie.

    Parameters
    ----------
    acquisition : AcquisitionSettings
        What was found.

    Returns
    -------
    bool
        False where gain, photons, spot or density could not be identified.
    """
    camera, a = acquisition.camera, acquisition
    needed = (a.psf_sigma_nm, a.photons_mean, a.density_per_um2, a.background_photons)
    return camera is not None and not camera.missing and None not in needed


def simulated_likeness(
    stack: FrameStack,
    acquisition: AcquisitionSettings,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Likeness:
    """Simulate a movie under the conditions found and compare it with the real one.

    Parameters
    ----------
    stack : FrameStack
        The real movie, raw grey values.
    acquisition : AcquisitionSettings
        What was found; see `can_be_simulated`.
    seed : int
        Seed of the simulation.
    progress : callable, optional
        Called as progress(tiles done, tiles).

    Returns
    -------
    Likeness
        Up to four tiles and 300 frames of both are compared.
    """
    real = sample_frames(stack, _LOOKED_AT)
    emitters, background = _maps(real, acquisition, acquisition.camera or CameraSettings(camera_type="ideal"))
    base = SimulationSettings(
        n_frames=real.n_frames,
        field_px=real.tiles.shape[2:],
        camera_pixel_size_nm=acquisition.camera_pixel_size_nm,
        structure=Uniform(),
        seed=seed,
    )
    settings = settings_like(acquisition, base)
    tiles = []
    for index, (density, light) in enumerate(zip(emitters, background, strict=True)):
        tiles.append(_simulate(settings.replace(seed=seed + index), density, light))
        if progress is not None:
            progress(index + 1, len(emitters))
    made = FrameSample(np.stack(tiles).astype(np.float32), real.block)
    looks = look_of(real), look_of(made)
    return Likeness(distance_between(real, *looks), real.tiles[0], made.tiles[0], *looks)


def _simulate(settings: SimulationSettings, density: Array, background: Array) -> Array:
    """Simulate one tile; shape (T, h, w), grey values."""
    rng = np.random.default_rng([settings.seed, 2])
    size, blinking = settings.camera_pixel_size_nm, settings.blinking
    weight = np.pad(density, _RIM_PX, mode="reflect" if min(density.shape) > _RIM_PX else "edge").ravel()
    n_lit = (blinking.density_per_um2 or 0.0) * (size * 1e-3) ** 2 * weight.size
    n_sites = int(max(_SITES_PER_PX * weight.size, 5 * n_lit))
    pixel = rng.choice(weight.size, n_sites, p=weight / weight.sum())
    width = density.shape[1] + 2 * _RIM_PX
    y, x = (side - _RIM_PX + rng.random(n_sites) for side in np.divmod(pixel, width))
    places = np.column_stack([x * size, y * size, np.zeros(n_sites)])
    level = min(30.0, (blinking.density_per_um2 or 0.0) * float(density.mean()))
    settings = settings.replace(blinking=blinking.replace(density_per_um2=max(level, 1e-6), mean_off_frames=None))
    acquisition = Acquisition(settings, fluorophores_nm=places, background_photons=background.astype(np.float32))
    return np.concatenate([block.frames for block in acquisition.blocks()])


def _maps(sample: FrameSample, acquisition: AcquisitionSettings, camera: CameraSettings) -> tuple[Array, Array]:
    """Spread emitters and background over the tiles; shapes (n_tiles, h, w): 1 on average, and photons per pixel."""
    size = acquisition.camera_pixel_size_nm
    fluctuations = temporal_fluctuations(sample).values
    width = (0, *2 * (_EMITTERS_WIDTH * (acquisition.psf_sigma_nm or size) / size,))
    factor = 2.0 if camera.camera_type == "emccd" else 1.0
    gain = (camera.gain_e_per_adu or 1.0) / camera.em_gain
    halves = []
    for parity in (0, 1):
        part = sample.block % 2 == parity if sample.n_blocks > 1 else np.ones(sample.n_frames, bool)
        flicker = (fluctuations[:, part] ** 2).mean(axis=1) - factor / gain * sample.tiles[:, part].mean(axis=1)
        halves.append(ndimage.gaussian_filter(flicker, width, mode="reflect"))
    # the shot noise of the offset and the read noise are the same everywhere
    offset = factor / gain * (camera.offset_adu or 0.0) - (camera.read_noise_e / camera.em_gain / gain) ** 2
    flicker = 0.5 * (halves[0] + halves[1]) + offset
    emitters = _spread(flicker, halves)
    per_px = (acquisition.density_per_um2 or 0.0) * (size * 1e-3) ** 2
    electrons = (sample.tiles.mean(axis=1) - (camera.offset_adu or 0.0)) * gain / camera.qe
    rest = electrons - per_px * (acquisition.photons_mean or 0.0) * emitters
    wanted = acquisition.background_photons or 0.0
    smooth = ndimage.gaussian_filter(rest, (0, _BACKGROUND_WIDTH_PX, _BACKGROUND_WIDTH_PX), mode="reflect")
    background = np.maximum(smooth, _LEAST_LIGHT * wanted)
    return emitters, background * wanted / max(float(background.mean()), 1e-12)


def _spread(flicker: Array, halves: list[Array]) -> Array:
    """Turn the variance beyond the noise into a density of mean 1: even as far as the movie's halves disagree."""
    mean = float(flicker.mean())
    if mean <= 0 or np.ptp(flicker) == 0:
        return np.ones_like(flicker)
    agreement = float(np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1])
    share = float(np.clip((agreement - _CHANCE) / (1 - 2 * _CHANCE), 0.0, 1.0))
    noise = 0.5 * float(np.median(np.abs(halves[0] - halves[1])))
    dark = np.where(flicker > _NOISES * noise, flicker, 0.0)
    emitters: Array = 1 + share * (dark / max(float(dark.mean()), 1e-12) - 1)
    return emitters
