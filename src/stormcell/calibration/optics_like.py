"""Which objective makes a spot of a given width: apertures, wavelengths and tails of `random_bank`'s PSFs."""

from __future__ import annotations

import numpy as np

from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.settings import DiffractionPSFSettings

_APERTURES = np.array([0.4, 0.7, 1.0, 1.2, 1.3, 1.4, 1.49])
_SIGMA_PER_AIRY = np.array([0.213, 0.217, 0.223, 0.230, 0.237, 0.249, 0.263])
_DIFFRACTION_TAIL = np.array([0.12, 0.13, 0.15, 0.17, 0.20, 0.24, 0.26])
_USUAL_WAVELENGTH_NM = 610.0
_WAVELENGTHS_NM = (400.0, 850.0)
_WIDEST_WITH_TAIL_PX = 1.5
_HALO_PER_TAIL = 1.14
_LEAST_SHARE = 0.5
_ROUNDS = 4
_AGREEMENT = 0.01
_TAIL_AGREEMENT = 0.04

WIDEST_APERTURE = float(_APERTURES[-1])
"""Largest numerical aperture in use."""


def aperture_for(sigma_nm: float) -> float:
    """Find the numerical aperture that makes such a spot at a usual wavelength (610 nm).

    Parameters
    ----------
    sigma_nm : float
        Best-fit Gaussian's sigma.

    Returns
    -------
    float
        0.4 to 1.49.
    """
    widths = _SIGMA_PER_AIRY * _USUAL_WAVELENGTH_NM / _APERTURES
    return float(np.interp(sigma_nm, widths[::-1], _APERTURES[::-1]))


def wavelength_for(sigma_nm: float, aperture: float) -> float:
    """Find the wavelength that makes such a spot at an aperture.

    Parameters
    ----------
    sigma_nm : float
        Best-fit Gaussian's sigma.
    aperture : float
        Numerical aperture.

    Returns
    -------
    float
        In nm, kept within 400 to 850.
    """
    wavelength = sigma_nm * aperture / float(np.interp(aperture, _APERTURES, _SIGMA_PER_AIRY))
    return float(np.clip(wavelength, *_WAVELENGTHS_NM))


def sigma_for(aperture: float, wavelength_nm: float) -> float:
    """Tell the width of the spot of an objective without aberrations.

    Parameters
    ----------
    aperture : float
        Numerical aperture.
    wavelength_nm : float
        Emission wavelength.

    Returns
    -------
    float
        Best-fit Gaussian's sigma, nm; the median over immersions and models, which differ by 2 %.
    """
    return float(np.interp(aperture, _APERTURES, _SIGMA_PER_AIRY)) * wavelength_nm / aperture


def diffraction_tail(sigma_nm: float, camera_pixel_size_nm: float) -> float | None:
    """Tell which share of a diffraction spot's light its best-fit Gaussian misses.

    Parameters
    ----------
    sigma_nm : float
        Best-fit Gaussian's sigma.
    camera_pixel_size_nm : float
        Camera pixel.

    Returns
    -------
    float or None
        None above a sigma of 1.5 px: the 7 x 7 px window then ends before the first ring, and the tail no longer
        tells what kind of spot it is.
    """
    if sigma_nm > _WIDEST_WITH_TAIL_PX * camera_pixel_size_nm:
        return None
    return float(np.interp(aperture_for(sigma_nm), _APERTURES, _DIFFRACTION_TAIL))


def halo_for(tail_fraction: float) -> float:
    """Tell which share of light in a wide halo makes a Gaussian fit miss a share.

    Parameters
    ----------
    tail_fraction : float
        What the fit misses.

    Returns
    -------
    float
        0 to 0.5.
    """
    return float(np.clip(_HALO_PER_TAIL * tail_fraction, 0.0, 0.5))


def diffraction_like(
    sigma_nm: float, tail_fraction: float, camera_pixel_size_nm: float
) -> DiffractionPSFSettings | None:
    """Choose a diffraction PSF of a given width and tail.

    Parameters
    ----------
    sigma_nm : float
        Best-fit Gaussian's sigma.
    tail_fraction : float
        Share of the light outside that Gaussian.
    camera_pixel_size_nm : float
        Camera pixel.

    Returns
    -------
    DiffractionPSFSettings or None
        None where the tail is less than half that of a diffraction spot, or no objective makes such a spot (sigma
        within 1 %, tail within 0.04).
    """
    usual = diffraction_tail(sigma_nm, camera_pixel_size_nm)
    if usual is None or tail_fraction < _LEAST_SHARE * usual:
        return None
    # the tables hold for one pixel size; what this pixel makes of the spot is looked at and corrected for
    sigma, tail, halo = sigma_nm, tail_fraction, 0.0
    for _ in range(_ROUNDS):
        aperture = _aperture_with_tail(sigma, tail)
        wavelength = wavelength_for(sigma, aperture)
        optics = DiffractionPSFSettings(na=aperture, wavelength_nm=wavelength, halo_fraction=halo)
        seen = make_psf(optics, camera_pixel_size_nm)
        short = tail_fraction - seen.tail_fraction
        sigma *= sigma_nm / (seen.sigma_px * camera_pixel_size_nm)
        halo = halo_for(halo / _HALO_PER_TAIL + short) if short > 0 or halo > 0 else 0.0
        tail += short if halo == 0 else 0.0
    is_reached = abs(seen.sigma_px * camera_pixel_size_nm / sigma_nm - 1) < _AGREEMENT
    return optics if is_reached and abs(short) < _TAIL_AGREEMENT else None


def _aperture_with_tail(sigma_nm: float, tail_fraction: float) -> float:
    """Find the aperture that gives the tail, among those that give the width at a usual wavelength."""
    widths = np.multiply.outer(_SIGMA_PER_AIRY / _APERTURES, _WAVELENGTHS_NM)
    allowed = _APERTURES[(widths[:, 0] <= sigma_nm) & (sigma_nm <= widths[:, 1])]
    wanted = float(np.interp(tail_fraction, _DIFFRACTION_TAIL, _APERTURES))
    return float(np.clip(wanted, allowed[0], allowed[-1])) if len(allowed) else aperture_for(sigma_nm)
