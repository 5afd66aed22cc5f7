"""The PSF family networks are trained on: diffraction, aberrations, halo, and a share of plain Gaussians."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field, model_validator

from stormcell.physics.psf.bank import BankRow, PSFBank, bank_from_densities, join_banks
from stormcell.physics.psf.densities import gaussian_density, gaussian_halo, lorentzian_halo
from stormcell.physics.psf.diffraction import Pupil
from stormcell.physics.psf.settings import OpticsSettings
from stormcell.physics.psf.spline_table import fine_offsets_px
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

_WEIGHTS: dict[str, float] = {
    "astigmatism": 1.0,
    "astigmatism_oblique": 1.0,
    "coma_x": 1.0,
    "coma_y": 1.0,
    "spherical": 1.0,
    "trefoil_x": 0.7,
    "trefoil_y": 0.7,
    "secondary_astigmatism": 0.4,
    "secondary_astigmatism_oblique": 0.4,
    "quadrafoil": 0.3,
    "quadrafoil_oblique": 0.3,
    "secondary_coma_x": 0.3,
    "secondary_coma_y": 0.3,
    "secondary_spherical": 0.3,
}
"""How strongly each aberration takes part in a random one."""

_PUPIL_SAMPLES = 64


class RandomBankSettings(Settings):
    """The range of PSFs in a random bank."""

    sigma_px: tuple[float, float] = (0.6, 2.0)
    """Range of the best-fit Gaussian's sigma in focus, camera px."""
    na: tuple[float, float] = (1.2, 1.49)
    """Range of the numerical aperture."""
    wavelength_nm: tuple[float, float] = (500.0, 720.0)
    """Range of the emission wavelength, nm."""
    camera_pixel_size_nm: tuple[float, float] = (65.0, 165.0)
    """Range of the camera pixel, nm."""
    aberration_waves: tuple[float, float] = (0.0, 0.1)
    """Range of the total aberration, waves rms."""
    halo_fraction: tuple[float, float] = (0.0, 0.2)
    """Range of the share of light in a halo several px wide."""
    halo_share: float = Field(0.5, ge=0, le=1)
    """Share of the diffraction PSFs that have a halo."""
    gaussian_share: float = Field(0.3, ge=0, le=1)
    """Share of plain Gaussians, round or elliptical."""
    ellipticity: tuple[float, float] = (0.0, 0.15)
    """Range of (long - short) / (long + short) axis of the elliptical Gaussians."""
    z_range_nm: float = Field(300.0, ge=0, le=1000)
    """Largest distance of a plane from focus, nm."""
    n_planes: int = Field(7, ge=1, le=41)
    """Heights per PSF, evenly spaced over plus and minus z_range_nm; odd, so that one is in focus."""

    @model_validator(mode="after")
    def _check(self) -> RandomBankSettings:
        for name in ("sigma_px", "na", "wavelength_nm", "camera_pixel_size_nm"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                msg = f"{name}: expected 0 < low <= high, got {low} and {high}"
                raise ValueError(msg)
        if self.n_planes % 2 == 0:
            msg = f"n_planes: expected an odd number, got {self.n_planes}"
            raise ValueError(msg)
        if not 0.4 <= self.sigma_px[0] < self.sigma_px[1] <= 3:
            msg = f"sigma_px: expected a range inside 0.4 to 3 px, got {self.sigma_px}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class _Draw:
    """One PSF before tabulation: density (P, 128, 128) and its row."""

    density: Tensor
    row: BankRow


def random_psf_bank(
    n: int,
    seed: int,
    settings: RandomBankSettings | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PSFBank:
    """Draw a bank of PSFs as different microscopes would have them.

    PSF i depends on (seed, i) alone. One whose fitted in-focus sigma falls outside the range is drawn again.

    Parameters
    ----------
    n : int
        Number of PSFs.
    seed : int
        Seed, >= 0.
    settings : RandomBankSettings, optional
        The family; None takes the defaults.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    PSFBank
        On the CPU; about 0.24 MB per PSF with 7 planes.
    """
    settings = settings or RandomBankSettings()
    planes = np.linspace(-settings.z_range_nm, settings.z_range_nm, settings.n_planes)
    if settings.n_planes == 1:
        planes = np.zeros(1)
    parts: list[PSFBank] = []
    for start in range(0, n, 32):
        parts.append(_draw_chunk(range(start, min(start + 32, n)), seed, settings, planes))
        if progress is not None:
            progress(min(start + 32, n), n)
    return join_banks(parts)


def _draw_chunk(members: range, seed: int, settings: RandomBankSettings, planes: NDArray[np.float64]) -> PSFBank:
    generators = [np.random.Generator(np.random.Philox(key=[seed, member])) for member in members]
    draws = [_draw(rng, settings, planes) for rng in generators]
    for _ in range(50):
        bank = bank_from_densities(torch.stack([d.density for d in draws]), [d.row for d in draws], planes)
        sigma = bank.sigma_px[:, bank.focus_plane]
        outside = np.flatnonzero((sigma < settings.sigma_px[0]) | (sigma > settings.sigma_px[1]))
        if not len(outside):
            break
        for i in outside:
            draws[i] = _draw(generators[i], settings, planes)
    return bank


def _draw(rng: np.random.Generator, settings: RandomBankSettings, planes: NDArray[np.float64]) -> _Draw:
    if rng.random() < settings.gaussian_share:
        return _draw_gaussian(rng, settings, planes)
    return _draw_diffraction(rng, settings, planes)


def _draw_gaussian(rng: np.random.Generator, settings: RandomBankSettings, planes: NDArray[np.float64]) -> _Draw:
    low, high = settings.sigma_px
    sigma = math.exp(rng.uniform(math.log(low), math.log(high)))
    ellipticity = rng.uniform(*settings.ellipticity) * (rng.random() < 0.5)
    angle = rng.uniform(0, math.pi)
    size = rng.uniform(*settings.camera_pixel_size_nm)
    # the Rayleigh range of a Gaussian beam of this waist in water
    growth = np.sqrt(1 + (planes / rng.uniform(350, 700)) ** 2)
    stretch = math.sqrt((1 + ellipticity) / (1 - ellipticity))
    images = [gaussian_density(sigma * g * stretch, sigma * g / stretch, angle) for g in growth]
    return _Draw(torch.stack(images).float(), BankRow("gaussian", size))


def _draw_diffraction(rng: np.random.Generator, settings: RandomBankSettings, planes: NDArray[np.float64]) -> _Draw:
    optics = _random_optics(rng, settings)
    size = _random_pixel_size(rng, settings, optics)
    pupil = Pupil(optics, _PUPIL_SAMPLES)
    density = pupil.intensities(fine_offsets_px() * size, tuple(planes))
    density = density / density.sum(dim=(1, 2), keepdim=True)
    if rng.random() < settings.halo_share:
        fraction = rng.uniform(*settings.halo_fraction)
        density = (1 - fraction) * density + fraction * _random_halo(rng)
    return _Draw(density, BankRow(optics.model, size, pupil.strehl()))


def _random_optics(rng: np.random.Generator, settings: RandomBankSettings) -> OpticsSettings:
    na = rng.uniform(*settings.na)
    is_water = na <= 1.27 and rng.random() < 0.5
    total = rng.uniform(*settings.aberration_waves)
    weights = np.array(list(_WEIGHTS.values())) * rng.normal(size=len(_WEIGHTS))
    waves = total * weights / np.linalg.norm(weights)
    is_scalar = rng.random() < 0.25
    return OpticsSettings(
        na=na,
        wavelength_nm=rng.uniform(*settings.wavelength_nm),
        immersion_index=1.333 if is_water else 1.518,
        sample_index=rng.uniform(1.33, 1.40),
        depth_nm=0.0 if is_scalar else rng.choice([0.0, rng.uniform(0, 1500)]),
        model="scalar" if is_scalar else "vectorial",
        zernike_waves=dict(zip(_WEIGHTS, waves.tolist(), strict=True)),
    )


def _random_pixel_size(rng: np.random.Generator, settings: RandomBankSettings, optics: OpticsSettings) -> float:
    """Camera pixel that gives a log-uniform sigma, as far as the range of pixels allows it."""
    low, high = settings.sigma_px
    sigma_nm = 0.225 * optics.wavelength_nm / optics.na
    wanted = math.exp(rng.uniform(math.log(low), math.log(high)))
    return float(np.clip(sigma_nm / wanted, *settings.camera_pixel_size_nm))


def _random_halo(rng: np.random.Generator) -> Tensor:
    width = rng.uniform(2.0, 5.0)
    is_gaussian = rng.random() < 0.5
    return (gaussian_halo(width) if is_gaussian else lorentzian_halo(0.6 * width)).float()
