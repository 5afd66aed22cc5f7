"""One PSF, ready to draw: images at any position and height, and what a Gaussian fit makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from stormcell.errors import SettingsError
from stormcell.physics.psf.bank import BankRow, PSFBank, bank_from_densities
from stormcell.physics.psf.densities import gaussian_density, gaussian_halo
from stormcell.physics.psf.diffraction import Pupil
from stormcell.physics.psf.settings import DiffractionPSFSettings, GaussianPSFSettings, MeasuredPSFSettings
from stormcell.physics.psf.spline_table import fine_offsets_px, spline_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

_SIGMA_RANGE_PX = (0.4, 4.0)


@dataclass(frozen=True)
class PSF:
    """A PSF at one or several heights, for one camera pixel size."""

    bank: PSFBank
    """A bank of exactly this PSF."""

    @property
    def camera_pixel_size_nm(self) -> float:
        """Camera pixel for which it was made."""
        return float(self.bank.camera_pixel_size_nm[0])

    @property
    def sigma_px(self) -> float:
        """Best-fit Gaussian's sigma in focus, before pixel integration, camera px."""
        return float(self.bank.sigma_px[0, self.bank.focus_plane])

    @property
    def ellipticity(self) -> float:
        """(long - short) / (long + short) axis in focus."""
        return float(self.bank.ellipticity[0, self.bank.focus_plane])

    @property
    def tail_fraction(self) -> float:
        """1 - share of the photons that a Gaussian fit recovers in focus."""
        return float(self.bank.tail_fraction[0, self.bank.focus_plane])

    @property
    def photon_correction(self) -> float:
        """Photons within 10 px per photon that a Gaussian fit reports, in focus."""
        return 1.0 / (1.0 - self.tail_fraction)

    def images(
        self, x_px: Tensor, y_px: Tensor, photons: Tensor, shape: tuple[int, int], z_nm: Tensor | None = None
    ) -> Tensor:
        """Draw each emitter into a field of its own; differentiable in positions and photons.

        Parameters
        ----------
        x_px, y_px : Tensor
            Shape (N,), positions from the field's outer corner, camera px.
        photons : Tensor
            Shape (N,), total within 10 px.
        shape : tuple of int
            (rows, columns).
        z_nm : Tensor, optional
            Shape (N,), heights; None means in focus. Between planes the image is interpolated linearly, beyond the
            last plane it stays.

        Returns
        -------
        Tensor
            Shape (N, rows, columns), photons per pixel.
        """
        table = self.bank.table.to(x_px.device)
        if z_nm is None or self.bank.n_planes == 1:
            index = torch.full(x_px.shape, self.bank.focus_plane, dtype=torch.int64, device=x_px.device)
            return photons[:, None, None] * spline_images(table, index, x_px, y_px, shape)
        planes = torch.as_tensor(self.bank.z_planes_nm, dtype=x_px.dtype, device=x_px.device)
        lower = (torch.searchsorted(planes, z_nm.detach().to(planes.dtype).contiguous()) - 1).clamp(
            0, self.bank.n_planes - 2
        )
        share = ((z_nm - planes[lower]) / (planes[lower + 1] - planes[lower])).clamp(0, 1)[:, None, None]
        below = spline_images(table, lower, x_px, y_px, shape)
        above = spline_images(table, lower + 1, x_px, y_px, shape)
        return photons[:, None, None] * ((1 - share) * below + share * above)


def make_psf(
    settings: GaussianPSFSettings | DiffractionPSFSettings | MeasuredPSFSettings,
    camera_pixel_size_nm: float,
    *,
    z_range_nm: float = 0.0,
    z_step_nm: float = 50.0,
    read_psf: Callable[[str], PSF] | None = None,
) -> PSF:
    """Compute a PSF for a camera pixel size.

    Parameters
    ----------
    settings : GaussianPSFSettings, DiffractionPSFSettings or MeasuredPSFSettings
        What it is.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    z_range_nm : float
        Planes reach this far on both sides of focus; 0 makes the focal plane alone.
    z_step_nm : float
        Distance between planes, about.
    read_psf : callable, optional
        Reads a measured PSF from its file; needed for those.

    Returns
    -------
    PSF
        Ready to draw.

    Raises
    ------
    SettingsError
        The spot is too small or too large for the pixel, or a measured PSF has another pixel size or no reader.
    """
    if isinstance(settings, MeasuredPSFSettings):
        return _measured(settings, camera_pixel_size_nm, read_psf)
    planes = np.zeros(1)
    if z_range_nm > 0:
        n_half = max(1, round(z_range_nm / z_step_nm))
        planes = np.linspace(-z_range_nm, z_range_nm, 2 * n_half + 1)
    if isinstance(settings, GaussianPSFSettings):
        density = _gaussian_planes(settings, camera_pixel_size_nm, planes)
        row = BankRow("gaussian", camera_pixel_size_nm)
    else:
        pupil = Pupil(settings)
        _check_sigma(0.23 * settings.wavelength_nm / settings.na, camera_pixel_size_nm, "wavelength_nm")
        offsets = fine_offsets_px() * camera_pixel_size_nm
        density = pupil.intensities(offsets, tuple(planes), dtype=torch.complex128)
        row = BankRow(settings.model, camera_pixel_size_nm, pupil.strehl())
    density = density / density.sum(dim=(1, 2), keepdim=True)
    if settings.halo_fraction > 0:
        halo = gaussian_halo(settings.halo_sigma_nm / camera_pixel_size_nm)
        density = (1 - settings.halo_fraction) * density + settings.halo_fraction * halo
    return PSF(bank_from_densities(density[None], [row], planes))


def _gaussian_planes(
    settings: GaussianPSFSettings, camera_pixel_size_nm: float, planes: NDArray[np.float64]
) -> Tensor:
    _check_sigma(settings.sigma_nm, camera_pixel_size_nm, "sigma_nm")
    sigma = settings.sigma_nm / camera_pixel_size_nm
    depth, half = settings.depth_of_focus_nm, settings.astigmatism_nm / 2
    stretch = ((1 + settings.ellipticity) / (1 - settings.ellipticity)) ** 0.5
    images = []
    for z in planes:
        along = sigma * stretch * (1 + ((z - half) / depth) ** 2) ** 0.5
        across = sigma / stretch * (1 + ((z + half) / depth) ** 2) ** 0.5
        images.append(gaussian_density(along, across, settings.angle_rad))
    return torch.stack(images)


def _check_sigma(sigma_nm: float, camera_pixel_size_nm: float, name: str) -> None:
    low, high = _SIGMA_RANGE_PX
    sigma_px = sigma_nm / camera_pixel_size_nm
    if not low <= sigma_px <= high:
        msg = (
            f"{name}: a spot of sigma {sigma_nm:.0f} nm is {sigma_px:.2f} camera px at camera_pixel_size_nm "
            f"{camera_pixel_size_nm:g}; expected {low} to {high} px"
        )
        raise SettingsError(msg)


def _measured(
    settings: MeasuredPSFSettings, camera_pixel_size_nm: float, read_psf: Callable[[str], PSF] | None
) -> PSF:
    if read_psf is None:
        msg = f"path: nothing was given to read the measured PSF {settings.path} with"
        raise SettingsError(msg)
    psf = read_psf(settings.path)
    if abs(psf.camera_pixel_size_nm / camera_pixel_size_nm - 1) > 0.005:
        msg = (
            f"path: {settings.path} was measured with camera pixels of {psf.camera_pixel_size_nm:g} nm, "
            f"not {camera_pixel_size_nm:g} nm; measure it again or set camera_pixel_size_nm"
        )
        raise SettingsError(msg)
    return psf
