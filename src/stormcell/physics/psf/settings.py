"""What PSF a microscope has, in words and numbers; part of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stormcell.physics.psf.zernike import ABERRATIONS
from stormcell.settings import Settings


class OpticsSettings(Settings):
    """A microscope objective and the light it collects."""

    na: float = Field(1.49, gt=0.1, lt=1.7)
    """Numerical aperture of the objective."""
    wavelength_nm: float = Field(670.0, ge=350, le=1100)
    """Emission wavelength in vacuum, in nm."""
    immersion_index: float = Field(1.518, ge=1.0, le=1.8)
    """Refractive index of the immersion medium and cover glass."""
    sample_index: float = Field(1.33, ge=1.0, le=1.8)
    """Refractive index of the medium round the emitter."""
    depth_nm: float = Field(0.0, ge=0, le=20000)
    """Distance of the focal plane from the cover glass, in nm; unequal indices then bring spherical aberration."""
    model: Literal["vectorial", "scalar"] = "vectorial"
    """Vectorial (polarisation, Fresnel transmission) or scalar diffraction."""
    dipole: tuple[float, float, float] | None = None
    """Direction (x, y, z) of a fixed dipole; none means freely rotating. Vectorial model alone."""
    zernike_waves: dict[str, float] = Field(default_factory=dict)
    """Aberrations by name (coma_x, astigmatism, spherical, ...) in waves rms, each -1 to 1."""

    @model_validator(mode="after")
    def _check(self) -> OpticsSettings:
        if self.na >= self.immersion_index:
            msg = f"na: expected below the immersion index {self.immersion_index}, got {self.na}"
            raise ValueError(msg)
        if self.model == "scalar" and self.na > self.sample_index and self.depth_nm > 0:
            msg = (
                "depth_nm: the scalar model holds no evanescent waves; use the vectorial model for na > sample_index"
            )
            raise ValueError(msg)
        if self.dipole is not None and self.model == "scalar":
            msg = "dipole: a fixed dipole needs the vectorial model"
            raise ValueError(msg)
        if self.dipole is not None and not any(self.dipole):
            msg = "dipole: expected a direction, got a vector of length 0"
            raise ValueError(msg)
        for name, waves in self.zernike_waves.items():
            if name not in ABERRATIONS:
                msg = f"zernike_waves: {name} is not an aberration; expected one of {', '.join(ABERRATIONS)}"
                raise ValueError(msg)
            if abs(waves) > 1:
                msg = f"zernike_waves: expected {name} between -1 and 1 wave rms, got {waves}"
                raise ValueError(msg)
        return self


class GaussianPSFSettings(Settings):
    """A Gaussian spot, with what real spots have beside it."""

    kind: Literal["gaussian"] = "gaussian"
    """Name of the model."""
    sigma_nm: float = Field(ge=20, le=1000)
    """Standard deviation in focus before integration over the pixel, nm (geometric mean of both axes)."""
    ellipticity: float = Field(0.0, ge=0, le=0.5)
    """(long - short) / (long + short) axis."""
    angle_rad: float = Field(0.0, ge=-7, le=7)
    """Direction of the long axis, from x towards y."""
    depth_of_focus_nm: float = Field(500.0, ge=50, le=5000)
    """Height at which sigma has grown by the square root of 2, nm."""
    astigmatism_nm: float = Field(0.0, ge=0, le=2000)
    """Distance between the foci along x and y, nm; above 0 the shape tells the height."""
    halo_fraction: float = Field(0.0, ge=0, le=0.5)
    """Share of the light in a wide halo."""
    halo_sigma_nm: float = Field(400.0, ge=100, le=2000)
    """Standard deviation of the halo, nm."""


class DiffractionPSFSettings(OpticsSettings):
    """A spot computed from the objective's pupil."""

    kind: Literal["diffraction"] = "diffraction"
    """Name of the model."""
    halo_fraction: float = Field(0.0, ge=0, le=0.5)
    """Share of the light in a wide halo (scattering, cover glass, camera)."""
    halo_sigma_nm: float = Field(400.0, ge=100, le=2000)
    """Standard deviation of the halo, nm."""


class MeasuredPSFSettings(Settings):
    """A spot measured with `stormcell psf`."""

    kind: Literal["measured"] = "measured"
    """Name of the model."""
    path: str
    """The .npz file that `stormcell psf` wrote."""


PSFSettings = Annotated[
    GaussianPSFSettings | DiffractionPSFSettings | MeasuredPSFSettings, Field(discriminator="kind")
]
"""One of the PSF models, told apart by `kind`."""

PSFS: dict[str, GaussianPSFSettings | DiffractionPSFSettings] = {
    "gaussian": GaussianPSFSettings(sigma_nm=120.0),
    "gaussian-elliptical": GaussianPSFSettings(sigma_nm=130.0, ellipticity=0.12, angle_rad=0.6),
    "gaussian-halo": GaussianPSFSettings(sigma_nm=125.0, halo_fraction=0.15),
    "gaussian-astigmatic": GaussianPSFSettings(sigma_nm=140.0, astigmatism_nm=400.0),
    "airy": DiffractionPSFSettings(model="scalar", na=1.3, wavelength_nm=600.0),
    "oil-1.49": DiffractionPSFSettings(na=1.49, wavelength_nm=670.0),
    "oil-1.4": DiffractionPSFSettings(na=1.4, wavelength_nm=580.0),
    "water-1.2": DiffractionPSFSettings(na=1.2, wavelength_nm=600.0, immersion_index=1.333),
    "oil-deep": DiffractionPSFSettings(na=1.35, wavelength_nm=670.0, depth_nm=2000.0, sample_index=1.36),
    "oil-aberrated": DiffractionPSFSettings(
        na=1.4,
        wavelength_nm=670.0,
        zernike_waves={"coma_x": 0.03, "astigmatism": 0.04, "spherical": 0.04, "trefoil_y": 0.02},
    ),
    "oil-astigmatic": DiffractionPSFSettings(na=1.4, wavelength_nm=670.0, zernike_waves={"astigmatism": 0.05}),
    "dipole-in-plane": DiffractionPSFSettings(na=1.4, wavelength_nm=670.0, dipole=(1.0, 0.0, 0.0)),
    "oil-halo": DiffractionPSFSettings(na=1.45, wavelength_nm=640.0, halo_fraction=0.12),
}
"""Named PSFs; a new one is one line here, and every test of the family runs on it."""
