"""From the conditions of one movie to a simulation under the same conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.calibration.optics_like import diffraction_like, halo_for
from stormcell.errors import SettingsError
from stormcell.physics.psf.settings import DiffractionPSFSettings, GaussianPSFSettings

if TYPE_CHECKING:
    from stormcell.calibration.acquisition_settings import AcquisitionSettings
    from stormcell.simulation.settings import SimulationSettings

_ROUND = 0.03
_SPOTS_NM = (20.0, 1000.0)


def settings_like(acquisition: AcquisitionSettings, base: SimulationSettings) -> SimulationSettings:
    """Take over the conditions of a real movie.

    Parameters
    ----------
    acquisition : AcquisitionSettings
        What `stormcell estimate` found; what it could not find keeps the value of `base`.
    base : SimulationSettings
        Structure, labelling, frames and everything that a movie does not tell.

    Returns
    -------
    SimulationSettings
        The same sample under the conditions of the movie.

    Notes
    -----
    The PSF becomes that of an objective with the same width and tail, or a Gaussian with a wide halo where it is
    elliptical or has hardly any tail. A measured PSF (`stormcell psf`) is closer. Without persistence, each frame
    shows other emitters.
    """
    a = acquisition
    changes: dict[str, Any] = {"camera_pixel_size_nm": a.camera_pixel_size_nm}
    if a.psf_sigma_nm is not None:
        changes["psf"] = _psf_like(a, a.psf_sigma_nm)
    if a.background_photons is not None:
        structure = base.background.structure if a.background_structure is None else min(2.0, a.background_structure)
        changes["background"] = base.background.replace(
            photons=a.background_photons, structure=structure, blobs=0.0, photons_per_density=0.0
        )
    changes["blinking"] = base.blinking.replace(**_blinking_like(a))
    if a.camera is not None and not a.camera.missing:
        changes["camera"] = a.camera
    return base.replace(**changes)


def _psf_like(a: AcquisitionSettings, sigma_nm: float) -> GaussianPSFSettings | DiffractionPSFSettings:
    tail = a.tail_fraction or 0.0
    if not _SPOTS_NM[0] <= sigma_nm <= _SPOTS_NM[1]:
        msg = f"psf_sigma_nm: expected {_SPOTS_NM[0]:g} to {_SPOTS_NM[1]:g} nm for a simulation, got {sigma_nm:g}"
        raise SettingsError(msg)
    spot = diffraction_like(sigma_nm, tail, a.camera_pixel_size_nm)
    if spot is not None and (a.psf_ellipticity or 0.0) < _ROUND:
        return spot
    return GaussianPSFSettings(
        sigma_nm=sigma_nm,
        ellipticity=min(0.5, a.psf_ellipticity or 0.0),
        angle_rad=a.psf_angle_rad or 0.0,
        halo_fraction=halo_for(tail),
    )


def _blinking_like(a: AcquisitionSettings) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    on, is_locked = a.on_time_frames, a.on_time_frames is None and a.density_per_um2 is not None
    if is_locked:
        changes["frame_locked"] = True
    elif on is not None:
        changes["mean_on_frames"] = on
    # on in a frame is not on at a moment: an event of mean length t touches t + 1 frames
    lit = on / (on + 1) if on is not None else 1.0
    if a.density_per_um2:
        changes |= {"density_per_um2": min(30.0, a.density_per_um2 * lit), "mean_off_frames": None}
    if a.photons_mean is not None:
        changes["photons"] = a.photons_mean / lit
    if a.photon_log_spread is not None:
        changes["photon_spread"] = min(2.0, a.photon_log_spread)
    return changes
