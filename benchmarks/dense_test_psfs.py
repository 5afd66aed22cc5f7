"""The test PSFs of the dense network: fixed before its training, never used in training or to choose a checkpoint."""

import math

import numpy as np
import torch

from stormcell.physics.psf.bank import BankRow, PSFBank, bank_from_densities
from stormcell.physics.psf.diffraction import Pupil
from stormcell.physics.psf.settings import OpticsSettings
from stormcell.physics.psf.spline_table import fine_offsets_px

CAMERA_PIXEL_SIZE_NM = 100.0
MODES = (
    "astigmatism", "astigmatism_oblique", "coma_x", "coma_y", "spherical", "trefoil_x", "trefoil_y",
    "secondary_astigmatism", "secondary_coma_x", "secondary_spherical",
)  # fmt: skip

# name: (seed of the aberration, Strehl ratio, defocus nm, share of light in a halo of sigma 3 px, optics)
TEST_PSFS = {
    "mild 0.98": (9001, 0.98, 0.0, 0.0, {}),
    "strehl 0.85 a": (9002, 0.85, 0.0, 0.0, {}),
    "strehl 0.85 b": (9003, 0.85, 0.0, 0.0, {"na": 1.4, "wavelength_nm": 600.0}),
    "strehl 0.65 a": (9004, 0.65, 0.0, 0.0, {}),
    "strehl 0.65 b": (9005, 0.65, 0.0, 0.0, {"na": 1.4, "wavelength_nm": 690.0}),
    "strehl 0.65 c": (9006, 0.65, 0.0, 0.0, {"model": "scalar", "na": 1.3}),
    "defocus +250": (9007, 0.98, 250.0, 0.0, {}),
    "defocus -250": (9008, 0.98, -250.0, 0.0, {}),
    "defocus +250, 0.85": (9009, 0.85, 250.0, 0.0, {}),
    "halo 15 %": (9010, 0.98, 0.0, 0.15, {}),
    "halo 15 %, 0.85": (9011, 0.85, 0.0, 0.15, {}),
}


def make_test_psf(name: str) -> PSFBank:
    """Build a bank of one PSF with one plane."""
    seed, strehl, defocus_nm, halo, optics = TEST_PSFS[name]
    weights = np.random.default_rng(seed).normal(size=len(MODES))
    rms = math.sqrt(-math.log(strehl)) / (2 * math.pi)
    waves = rms * weights / np.linalg.norm(weights)
    settings = OpticsSettings(zernike_waves=dict(zip(MODES, waves.tolist(), strict=True)), **optics)
    offsets = fine_offsets_px()
    density = Pupil(settings).intensities(offsets * CAMERA_PIXEL_SIZE_NM, (defocus_nm,))
    density = density / density.sum(dim=(1, 2), keepdim=True)
    square = torch.as_tensor(offsets[:, None] ** 2 + offsets[None, :] ** 2)
    glow = torch.exp(-0.5 * square / 3.0**2)
    density = (1 - halo) * density + halo * (glow / glow.sum())
    return bank_from_densities(density[None], [BankRow(settings.model, CAMERA_PIXEL_SIZE_NM, strehl)], np.zeros(1))
