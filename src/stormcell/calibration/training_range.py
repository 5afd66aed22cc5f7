"""From the conditions of one movie to the range of conditions a network for it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.optics_like import (
    WIDEST_APERTURE,
    aperture_for,
    diffraction_tail,
    sigma_for,
    wavelength_for,
)
from stormcell.errors import InputError
from stormcell.physics.psf.random_bank import RandomBankSettings
from stormcell.simulation.training_settings import TrainingFrameSettings

if TYPE_CHECKING:
    from stormcell.calibration.acquisition_settings import AcquisitionSettings

    Range = tuple[float, float]

_WIDER_SIGMA = 1.08
_WIDER_LIGHT = 1.6
_WIDER_BACKGROUND = 2.0
_WIDER_TIME = 1.5
_WIDER_GAIN = 1.2
_DENSER = 3.0
_LEAST_DENSITY = 1.0
_SIGMA_LIMITS_PX = (0.4, 3.0)
_CROWDED = 0.4
"""Emitters per 4 pi sigma^2 above which spots overlap so often that their light, number and shape are told badly."""


@dataclass(frozen=True)
class TrainingRange:
    """What to draw training samples from.

    Parameters
    ----------
    frames : TrainingFrameSettings
        Conditions of the frames.
    psfs : RandomBankSettings
        The PSF family.
    """

    frames: TrainingFrameSettings
    psfs: RandomBankSettings


def training_range(
    acquisition: AcquisitionSettings,
    frames: TrainingFrameSettings | None = None,
    psfs: RandomBankSettings | None = None,
) -> TrainingRange:
    """Turn the conditions of a movie into ranges for training.

    Each range holds the 90 % interval of what was found and reaches beyond it, since cells of one kind differ and a
    network that knows a single value trusts it too much: sigma by 8 %, photons by a factor of 1.6, background of 2,
    density from nothing to three times the mean (structures are denser than the field they lie in). Where emitters
    overlap often, brightness, density, and all of the PSF but its width keep the range they had: rings and neighbours
    are then taken for one another.

    Parameters
    ----------
    acquisition : AcquisitionSettings
        Read from acquisition.yaml, or `AcquisitionEstimate.settings()`.
    frames : TrainingFrameSettings, optional
        Everything a movie does not tell (frames per sample, field, heights); None takes the defaults.
    psfs : RandomBankSettings, optional
        The same for the PSFs.

    Returns
    -------
    TrainingRange
        What could not be identified keeps the range it had.

    Raises
    ------
    InputError
        The spot is narrower than 0.4 or wider than 3 px: no network of this kind is made for it.
    """
    frames, psfs = frames or TrainingFrameSettings(), psfs or RandomBankSettings()
    camera = _camera(acquisition, frames)
    emitters, found_psfs = _emitters(acquisition, frames), _psfs(acquisition)
    if _is_crowded(acquisition):
        emitters = {}
        found_psfs = {
            name: value for name, value in found_psfs.items() if name in ("camera_pixel_size_nm", "sigma_px")
        }
    light = {**emitters, **_background(acquisition, frames)}
    return TrainingRange(frames.replace(**light, **camera), psfs.replace(**found_psfs))


def _is_crowded(acquisition: AcquisitionSettings) -> bool:
    density, sigma = acquisition.density_per_um2, acquisition.psf_sigma_nm
    return density is not None and sigma is not None and density * 4 * np.pi * (sigma / 1000) ** 2 > _CROWDED


def _interval(acquisition: AcquisitionSettings, name: str) -> Range | None:
    """Interval of a quantity; the value alone where none was stated."""
    value = getattr(acquisition, name)
    if value is None:
        return None
    low, high = acquisition.intervals.get(name, (value, value))
    return min(low, value), max(high, value)


def _around(interval: Range, factor: float, limits: Range) -> Range:
    low, high = (float(np.clip(end, *limits)) for end in (interval[0] / factor, interval[1] * factor))
    return low, high


def _emitters(acquisition: AcquisitionSettings, frames: TrainingFrameSettings) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    qe = 1.0 if acquisition.camera is None else acquisition.camera.qe
    on = acquisition.on_time_frames
    photons = _interval(acquisition, "photons_mean")
    if photons is not None:
        # the movie tells the mean over frames, partial ones among them; training draws the light of a full frame
        low, high = frames.on_fraction
        lit = float(np.mean(np.minimum(1.0, np.linspace(low, high, 1001)))) if on is None else on / (on + 1)
        whole = (photons[0] * qe / lit, photons[1] * qe / lit)
        changes["photons_e"] = _around(whole, _WIDER_LIGHT, (10.0, 1e6))
    spread = _interval(acquisition, "photon_log_spread")
    if spread is not None:
        changes["photon_spread"] = (max(0.0, spread[0] - 0.1), min(2.0, spread[1] + 0.1))
    density = _interval(acquisition, "density_per_um2")
    if density is not None:
        changes["density_per_um2"] = (0.0, min(30.0, max(_LEAST_DENSITY, _DENSER * density[1])))
    if on is not None:
        changes["mean_on_frames"] = _around((on, on), _WIDER_TIME, (0.1, 100.0))
    elif acquisition.density_per_um2 is not None:
        changes["persistent_share"] = min(frames.persistent_share, 0.25)
    return changes


def _background(acquisition: AcquisitionSettings, frames: TrainingFrameSettings) -> dict[str, Any]:
    found = _interval(acquisition, "background_photons")
    if found is None:
        return {}
    qe = 1.0 if acquisition.camera is None else acquisition.camera.qe
    background = _around((found[0] * qe, found[1] * qe), _WIDER_BACKGROUND, (0.2, 1e5))
    structure = _interval(acquisition, "background_structure")
    if structure is None:
        return {"background_e": background}
    most = min(2.0, max(frames.background_structure[1], structure[1]))
    return {"background_e": background, "background_structure": (0.0, most)}


def _camera(acquisition: AcquisitionSettings, frames: TrainingFrameSettings) -> dict[str, Any]:
    camera = acquisition.camera
    if camera is None:
        return {}
    is_emccd = camera.camera_type == "emccd"
    changes: dict[str, Any] = {"emccd_share": 1.0 if is_emccd else 0.0}
    if camera.gain_e_per_adu is not None:
        gain = camera.gain_e_per_adu / camera.em_gain
        changes["gain_e_per_adu"] = _around((gain, gain), _WIDER_GAIN, (1e-3, 50.0))
    if "read_noise_e" in camera.model_fields_set and camera.read_noise_map is None:
        # 0 where it hides in the effective background: then the frames are processed without any, too
        noise = camera.read_noise_e / camera.em_gain
        name, limits = ("emccd_read_noise_e", (0.01, 10.0)) if is_emccd else ("read_noise_e", (0.1, 100.0))
        changes[name] = _around((noise, noise), 1.5, limits)
    return changes


def _psfs(acquisition: AcquisitionSettings) -> dict[str, Any]:
    size = acquisition.camera_pixel_size_nm
    found = _interval(acquisition, "psf_sigma_nm")
    if found is None:
        return {"camera_pixel_size_nm": (size, size)}
    value = float(acquisition.psf_sigma_nm or 0) / size
    least, most = _SIGMA_LIMITS_PX
    if not least < value < most:
        msg = (
            f"psf_sigma_nm: a network can be trained for spots of sigma {least:g} to {most:g} px, the movie has "
            f"{value:.2f} px of {size:g} nm; check the pixel size, or bin the movie"
        )
        raise InputError(msg)
    sigma = _around((found[0] / size, found[1] / size), _WIDER_SIGMA, _SIGMA_LIMITS_PX)
    changes = _tail(acquisition) | {"camera_pixel_size_nm": (size, size), "sigma_px": sigma}
    ellipticity = _interval(acquisition, "psf_ellipticity")
    if ellipticity is not None:
        changes["ellipticity"] = (0.0, float(np.clip(1.3 * ellipticity[1], 0.05, 0.5)))
    return changes | _optics(value * size, (sigma[0] * size, sigma[1] * size))


def _optics(sigma_nm: float, range_nm: Range) -> dict[str, Any]:
    """Choose apertures and wavelengths whose spots are as wide as the movie's."""
    aperture = aperture_for(sigma_nm)
    low, high = (wavelength_for(end, aperture) for end in range_nm)
    if sigma_for(aperture, high) < range_nm[0] or sigma_for(aperture, low) > range_nm[1]:
        # no objective makes such a spot: beads, defocus or an odd pixel size
        return {"gaussian_share": 1.0}
    # aberrations widen a spot by a few per cent
    return {"na": (0.98 * aperture, min(1.02 * aperture, WIDEST_APERTURE)), "wavelength_nm": (low, 0.98 * high)}


def _tail(acquisition: AcquisitionSettings) -> dict[str, Any]:
    """Weigh Gaussians against diffraction spots, with halos, by the share of light outside the best Gaussian."""
    tail = _interval(acquisition, "tail_fraction")
    if tail is None or acquisition.tail_fraction is None or acquisition.psf_sigma_nm is None:
        return {}
    usual = diffraction_tail(acquisition.psf_sigma_nm, acquisition.camera_pixel_size_nm)
    halo = (0.0, float(np.clip(tail[1] - 0.5 * (usual or 0.0), 0.1, 0.5)))
    if usual is None:
        return {"halo_fraction": halo}
    # all Gaussians without a tail, few with that of a diffraction spot; never none and never all
    share = float(np.clip(1 - acquisition.tail_fraction / usual, 0.1, 0.8))
    return {"halo_fraction": halo, "gaussian_share": share}
