"""A PSF measured from spots: beads on a slide, or the isolated blinks of a movie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from scipy.sparse.linalg import spsolve

from stormcell.errors import InputError
from stormcell.physics.psf.bank import BankRow, bank_from_densities
from stormcell.physics.psf.gaussian_fit import WINDOW_PX, fit_gaussians
from stormcell.physics.psf.measured_kernels import KNOTS_PER_PX, normal_equations, place_spots, sample_spline
from stormcell.physics.psf.model import PSF
from stormcell.physics.psf.spline_table import fine_offsets_px
from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_SPOTS = 5
_PLACING_STEPS = 4


class MeasuredFitSettings(Settings):
    """How a PSF is built from spots."""

    n_rounds: int = Field(4, ge=1, le=20)
    """Rounds of building the PSF and placing the spots anew."""
    smoothness: float = Field(0.5, gt=0, le=1e6)
    """Weight of the prior that a spot is smooth and fades outwards; 1 trusts it like one good spot."""


@dataclass(frozen=True)
class MeasuredPSF:
    """A measured PSF and how well it fits its spots."""

    psf: PSF
    """Ready to draw."""
    n_spots: int
    """Spots it was built from."""
    spot_chi2: NDArray[np.float64]
    """Shape (n_spots,), the same for each spot: large where something else lies beside it."""
    reduced_chi2: float
    """Mean squared residual of the spots in units of their noise; about 1 is a good fit, less with few spots."""


def measure_psf(
    spots_e: NDArray[np.float32],
    camera_pixel_size_nm: float,
    settings: MeasuredFitSettings | None = None,
    *,
    read_variance_e2: float = 0.0,
) -> MeasuredPSF:
    """Build a PSF from images of single spots.

    Parameters
    ----------
    spots_e : ndarray
        Shape (N, S, S) with S odd, 13 to 25: electrons round isolated spots, each spot within 1.5 px of the middle.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    settings : MeasuredFitSettings, optional
        Rounds and smoothness.
    read_variance_e2 : float
        Variance of the read noise, electrons squared.

    Returns
    -------
    MeasuredPSF
        Its photons are those within 10 px, or within the images where these are smaller.

    Raises
    ------
    InputError
        Too few or misshapen images.

    Notes
    -----
    The PSF is a cubic spline with 2 knots per camera pixel, fitted to all pixels of all spots at once by penalised
    weighted least squares; between rounds each spot's position, light and background are fitted anew with it. Spots
    must lie at different sub-pixel positions. A bead of diameter d widens the PSF by d^2 / 20 in variance.
    """
    settings = settings or MeasuredFitSettings()
    side = spots_e.shape[-1]
    if spots_e.ndim != 3 or spots_e.shape[1] != side or side % 2 == 0 or not 13 <= side <= 25:
        msg = f"expected spots of shape (N, S, S) with S odd, 13 to 25, got {spots_e.shape}"
        raise InputError(msg)
    if len(spots_e) < _MIN_SPOTS:
        msg = f"expected at least {_MIN_SPOTS} isolated spots to measure a PSF, got {len(spots_e)}"
        raise InputError(msg)
    images = np.ascontiguousarray(spots_e, dtype=np.float64)
    theta, sigma_px = _first_guess(images)
    n_knots = 2 * (side // 2) * KNOTS_PER_PX + 1
    prior = _roughness(n_knots, settings.smoothness)
    place = (np.arange(n_knots) - n_knots // 2) / KNOTS_PER_PX
    coefficients = np.exp(-(place[:, None] ** 2 + place**2) / (2 * sigma_px**2)) / (2 * np.pi * sigma_px**2)
    for _ in range(settings.n_rounds):
        matrix, right = normal_equations(images, theta, coefficients, read_variance_e2)
        coefficients = spsolve(sparse.csc_matrix(matrix) + prior, right).reshape(n_knots, n_knots)
        coefficients *= KNOTS_PER_PX**2 / coefficients.sum()
        chi2 = place_spots(images, theta, coefficients, read_variance_e2, _PLACING_STEPS)
    shares = torch.from_numpy(sample_spline(coefficients, fine_offsets_px()))
    row = BankRow("measured", camera_pixel_size_nm)
    bank = bank_from_densities(shares[None, None], [row], np.zeros(1), is_integrated=True)
    return MeasuredPSF(PSF(bank), len(images), chi2, float(chi2.mean()))


def _first_guess(images: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Parameters (N, 4) of the spots, and their typical sigma with that of the pixel, from Gaussian fits."""
    side = images.shape[-1]
    start = (side - WINDOW_PX) // 2
    window = slice(start, start + WINDOW_PX)
    fits = fit_gaussians(torch.from_numpy(images[:, window, window].copy()))
    rim = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    background = np.median(rim, axis=1)
    light = (images - background[:, None, None]).sum(axis=(1, 2))
    # a failed Gaussian fit must not throw a spot out of its image
    x, y = (np.clip(fit.numpy(), -2, 2) + side / 2 for fit in (fits.x_px, fits.y_px))
    sigma = float(np.clip(np.median(fits.sigma_px.numpy()), 0.5, 4.0))
    return np.stack([x, y, np.maximum(light, 1.0), background], axis=1), (sigma**2 + 1 / 12) ** 0.5


def _roughness(n_knots: int, strength: float) -> sparse.csc_matrix:
    """Prior precision of the coefficients: second differences and values as spots have them at each distance."""
    second = sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(n_knots - 2, n_knots))
    one = sparse.identity(n_knots)
    place = (np.arange(n_knots) - n_knots // 2) / KNOTS_PER_PX
    radius = np.hypot(place[:, None], place)
    bend = 0.1 / (1 + (radius / 1.5) ** 2.5)
    weight = sparse.diags((strength**0.5 / bend).ravel())
    rough = sparse.vstack([sparse.kron(second, one) @ weight, sparse.kron(one, second) @ weight])
    value = 0.3 / (1 + radius**3)
    ridge = sparse.diags((0.05 * strength / value**2).ravel())
    precision: sparse.csc_matrix = (rough.T @ rough + ridge).tocsc()
    return precision
