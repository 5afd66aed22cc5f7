"""Diffraction images of a point emitter through a high-NA objective: scalar and vectorial pupil models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from stormcell.physics.psf.zernike import ABERRATIONS, zernike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.physics.psf.settings import OpticsSettings


class Pupil:
    """The pupil of an objective, sampled on a square grid, and the images it forms.

    Parameters
    ----------
    optics : OpticsSettings
        The objective.
    n_samples : int
        Samples across the pupil; 64 is enough for training, 96 for reference values.
    """

    def __init__(self, optics: OpticsSettings, n_samples: int = 96) -> None:
        self.optics = optics
        step = 2.0 / n_samples
        axis = (np.arange(n_samples) + 0.5) * step - 1.0
        self.axis = axis
        x, y = np.meshgrid(axis, axis)
        rho = np.hypot(x, y)
        # the share of each grid cell inside the disc keeps the edge smooth
        self.aperture = np.clip((1.0 - rho) / step + 0.5, 0.0, 1.0)
        self._rho = np.minimum(rho, 1.0)
        self._phi = np.arctan2(y, x)
        wave_number = 2 * math.pi / optics.wavelength_nm
        self._cos_sample, self._cos_immersion = _cosines(optics, self._rho)
        self._kz_immersion = wave_number * optics.immersion_index * self._cos_immersion
        self._kz_sample = wave_number * optics.sample_index * self._cos_sample
        self._fields = self._scalar_fields() if optics.model == "scalar" else self._dipole_fields()
        self._focus_nm = self._best_focus()
        self._fields = self._fields * (self.aperture * np.exp(1j * self._aberration()))

    def _scalar_fields(self) -> NDArray[np.complex128]:
        return np.ones((1, *self._rho.shape), dtype=np.complex128)

    def _dipole_fields(self) -> NDArray[np.complex128]:
        """Fields (component, Y, X) in the pupil for dipoles along x, y, z, or along the fixed direction."""
        cos_s = self._cos_sample
        sin_s = self.optics.na * self._rho / self.optics.sample_index
        cos_phi, sin_phi = np.cos(self._phi), np.sin(self._phi)
        t_p, t_s = _transmissions(self.optics, cos_s, self._cos_immersion)
        radial = (t_p * cos_s * cos_phi, t_p * cos_s * sin_phi, -t_p * sin_s)
        tangential = (-t_s * sin_phi, t_s * cos_phi, np.zeros_like(t_s))
        fields = np.stack(
            [(p * cos_phi - s * sin_phi, p * sin_phi + s * cos_phi) for p, s in zip(radial, tangential, strict=True)]
        )
        if self.optics.dipole is not None:
            direction = np.array(self.optics.dipole) / np.linalg.norm(self.optics.dipole)
            return np.asarray(np.einsum("d,dcyx->cyx", direction, fields))
        return fields.reshape(6, *self._rho.shape)

    def _aberration(self) -> NDArray[np.float64]:
        phase: NDArray[np.float64] = np.zeros_like(self._rho)
        for name, waves in self.optics.zernike_waves.items():
            phase = phase + 2 * math.pi * waves * zernike(ABERRATIONS[name], self._rho, self._phi)
        return phase

    def _axial_phases(self, z_nm: Sequence[float]) -> NDArray[np.complex128]:
        """Phase factors (Z, Y, X) of emitters z_nm above the plane of best focus."""
        depth = self.optics.depth_nm
        factors: list[NDArray[np.complex128]] = []
        for z in z_nm:
            height = max(depth + z, 0.0)
            below = min(depth + z, 0.0)
            # an emitter cannot lie in the glass: what is left of a negative z is a move of the objective
            phase = 1j * self._kz_sample * height - 1j * self._kz_immersion * (self._focus_nm - below)
            factors.append(np.exp(phase))
        return np.stack(factors)

    def _best_focus(self) -> float:
        """Travel of the objective, in nm, that makes the image of an emitter at `depth_nm` brightest on the axis."""
        optics = self.optics
        rho: NDArray[np.float64] = (np.arange(400) + 0.5) / 400
        cos_s, cos_i = _cosines(optics, rho)
        kz_i = 2 * math.pi / optics.wavelength_nm * optics.immersion_index * cos_i
        kz_s = 2 * math.pi / optics.wavelength_nm * optics.sample_index * cos_s
        emitted = rho.astype(np.complex128) * np.exp(1j * kz_s * optics.depth_nm)
        if optics.model == "vectorial":
            # only dipoles across the axis shine on the axis, half through each polarisation
            t_p, t_s = _transmissions(optics, cos_s, cos_i)
            emitted = emitted * (t_p * cos_s + t_s)
        centre = optics.depth_nm * optics.immersion_index / optics.sample_index
        reach = 1200.0 + centre
        for _ in range(3):
            travels = np.linspace(centre - reach, centre + reach, 81)
            peaks: NDArray[np.float64] = np.abs(np.exp(-1j * np.outer(travels, kz_i)) @ emitted)
            centre = float(travels[int(np.argmax(peaks))])
            reach /= 20
        return centre

    def intensities(
        self,
        positions_nm: NDArray[np.float64],
        z_nm: Sequence[float] = (0.0,),
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.complex64,
    ) -> Tensor:
        """Form the images of an emitter on the axis.

        Parameters
        ----------
        positions_nm : ndarray
            Shape (P,), sample-plane coordinates of the image samples along both axes, 0 at the emitter.
        z_nm : sequence of float
            Heights of the emitter above the plane of best focus, nm.
        device : str or torch.device
            Where to compute.
        dtype : torch.dtype
            complex64 or complex128.

        Returns
        -------
        Tensor
            Shape (Z, P, P), intensity in arbitrary units (proportional to photons per area), axes (Y, X).

        References
        ----------
        Stallinga and Rieger, "Accuracy of the Gaussian point spread function model in 2D localization microscopy",
        Opt. Express 18, 24461 (2010), doi:10.1364/OE.18.024461; Novotny and Hecht, Principles of Nano-Optics, ch. 10.
        Differs from the papers: the pupil is sampled on a Cartesian grid and transformed by two matrix products.
        """
        wave = 2 * math.pi * self.optics.na / self.optics.wavelength_nm
        kernel = torch.as_tensor(np.exp(1j * wave * np.outer(positions_nm, self.axis))).to(device, dtype)
        axial = torch.as_tensor(self._axial_phases(z_nm)).to(device, dtype)
        fields = torch.as_tensor(self._fields).to(device, dtype)
        images = kernel @ (axial[:, None] * fields[None]) @ kernel.T
        return (images.real**2 + images.imag**2).sum(dim=1)

    def strehl(self) -> float:
        """Peak of the aberrated image relative to the unaberrated one, in focus.

        Returns
        -------
        float
            Between 0 and 1, from the pupil phase (exact for the scalar model).
        """
        mean = np.sum(self.aperture * np.exp(1j * self._aberration())) / np.sum(self.aperture)
        return float(abs(mean) ** 2)


def _cosines(optics: OpticsSettings, rho: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Cosines of the ray angles in the sample (imaginary beyond the critical angle) and in the immersion medium."""
    sine = optics.na * rho
    cos_sample = np.sqrt((1.0 - (sine / optics.sample_index) ** 2).astype(np.complex128))
    return cos_sample, np.sqrt(1.0 - (sine / optics.immersion_index) ** 2)


def _transmissions(
    optics: OpticsSettings, cos_sample: NDArray[np.complex128], cos_immersion: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Pupil amplitude per dipole field for both polarisations, p and s: Fresnel, expansion and collimation in one.

    The Fresnel coefficient is divided by the n cos of the plane-wave expansion, which cancels at the critical angle.
    """
    n_s, n_i = optics.sample_index, optics.immersion_index
    collimation = 2.0 * np.sqrt(n_i * cos_immersion)
    t_p = collimation / (n_i * cos_sample + n_s * cos_immersion)
    return t_p, collimation / (n_s * cos_sample + n_i * cos_immersion)
