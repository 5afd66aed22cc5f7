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
from stormcell.physics.psf.model import PSF
from stormcell.physics.psf.spline_table import FINE_SAMPLES, fine_offsets_px
from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_SPOTS = 5
_KNOTS_PER_PX = 2


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
    reduced_chi2: float
    """Mean squared residual of the spots in units of their noise; about 1 is a good fit, less with few spots."""


@dataclass
class _Spots:
    """Spots with the current idea of where each lies and how bright it is; positions from the spot's corner."""

    images: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    light: NDArray[np.float64]
    background: NDArray[np.float64]


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
    spots = _first_guess(np.asarray(spots_e, dtype=np.float64))
    n_knots = 2 * (side // 2) * _KNOTS_PER_PX + 1
    coefficients: NDArray[np.float64] | None = None
    for _ in range(settings.n_rounds):
        coefficients = _fit_spline(spots, n_knots, coefficients, settings.smoothness, read_variance_e2)
        psf = _as_psf(coefficients, camera_pixel_size_nm)
        chi2 = _place_spots(spots, psf, read_variance_e2)
    return MeasuredPSF(psf, len(spots_e), chi2)


def _first_guess(images: NDArray[np.float64]) -> _Spots:
    side = images.shape[-1]
    start = (side - WINDOW_PX) // 2
    window = slice(start, start + WINDOW_PX)
    fits = fit_gaussians(torch.from_numpy(images[:, window, window].copy()))
    rim = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    background = np.median(rim, axis=1)
    light = (images - background[:, None, None]).sum(axis=(1, 2))
    # a failed Gaussian fit must not throw a spot out of its image
    x, y = (np.clip(fit.numpy(), -2, 2) + side / 2 for fit in (fits.x_px, fits.y_px))
    return _Spots(images, x, y, np.maximum(light, 1.0), background)


def _fit_spline(
    spots: _Spots, n_knots: int, previous: NDArray[np.float64] | None, smoothness: float, read_variance_e2: float
) -> NDArray[np.float64]:
    """Spline coefficients (n_knots, n_knots) of the pixel shares from all pixels of all spots."""
    design = _design(spots, n_knots)
    light = spots.light[:, None, None]
    data = (spots.images - spots.background[:, None, None]) / light
    model = np.clip(data, 0, 1) if previous is None else (design @ previous.ravel()).reshape(data.shape)
    noise = np.maximum(spots.background, 0.5)[:, None, None] + light * np.clip(model, 0, 1) + read_variance_e2
    weight = (light**2 / noise).ravel()
    weighted = design.T.multiply(weight).tocsr()
    normal = weighted @ design
    penalty = _roughness(n_knots, smoothness)
    return np.asarray(spsolve((normal + penalty).tocsc(), weighted @ data.ravel())).reshape(n_knots, n_knots)


def _design(spots: _Spots, n_knots: int) -> sparse.csr_matrix:
    """Matrix from spline coefficients to pixels."""
    n_spots, side, _ = spots.images.shape
    pixel = np.arange(side) + 0.5
    (tap_y, weight_y), (tap_x, weight_x) = (_cubic(pixel - centre[:, None], n_knots) for centre in (spots.y, spots.x))
    place = tap_y[:, :, None, :, None] * n_knots + tap_x[:, None, :, None, :]
    value = weight_y[:, :, None, :, None] * weight_x[:, None, :, None, :]
    n_data = n_spots * side**2
    row = np.repeat(np.arange(n_data), 16)
    return sparse.csr_matrix((value.ravel(), (row, place.ravel())), shape=(n_data, n_knots**2))


def _cubic(offset_px: NDArray[np.float64], n_knots: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Knots and weights of a cubic B-spline at offsets from the emitter, shapes (..., 4); 0 beyond the knots."""
    at = offset_px * _KNOTS_PER_PX + n_knots // 2
    first = np.floor(at).astype(np.int64)
    t = at - first
    s = 1 - t
    weights = np.stack([s**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * s**2 + 3 * s**3, t**3], axis=-1) / 6
    taps = first[..., None] + np.arange(-1, 3)
    return np.clip(taps, 0, n_knots - 1), weights * ((taps >= 0) & (taps < n_knots))


def _roughness(n_knots: int, strength: float) -> sparse.csr_matrix:
    """Prior precision of the coefficients: second differences and values as spots have them at each distance."""
    second = sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(n_knots - 2, n_knots))
    one = sparse.identity(n_knots)
    place = (np.arange(n_knots) - n_knots // 2) / _KNOTS_PER_PX
    radius = np.hypot(place[:, None], place)
    bend = 0.1 / (1 + (radius / 1.5) ** 2.5)
    weight = sparse.diags((strength**0.5 / bend).ravel())
    rough = sparse.vstack([sparse.kron(second, one) @ weight, sparse.kron(one, second) @ weight])
    value = 0.3 / (1 + radius**3)
    ridge = sparse.diags((0.05 * strength / value**2).ravel())
    precision: sparse.csr_matrix = (rough.T @ rough + ridge).tocsr()
    return precision


def _as_psf(coefficients: NDArray[np.float64], camera_pixel_size_nm: float) -> PSF:
    n_knots = len(coefficients)
    basis = np.zeros((FINE_SAMPLES, n_knots))
    taps, weights = _cubic(fine_offsets_px(), n_knots)
    np.add.at(basis, (np.arange(FINE_SAMPLES)[:, None], taps), weights)
    shares = torch.from_numpy(basis @ coefficients @ basis.T)
    row = BankRow("measured", camera_pixel_size_nm)
    return PSF(bank_from_densities(shares[None, None], [row], np.zeros(1), is_integrated=True))


def _place_spots(spots: _Spots, psf: PSF, read_variance_e2: float) -> float:
    """Fit position, light and background of each spot with the PSF; return the reduced chi-square."""
    shape = (spots.images.shape[1], spots.images.shape[2])
    data = torch.from_numpy(spots.images)
    theta = torch.from_numpy(np.stack([spots.x, spots.y, spots.light, spots.background], axis=1))
    middle = torch.tensor([shape[1] / 2, shape[0] / 2], dtype=theta.dtype)
    chi2 = torch.zeros(0)
    for _ in range(4):
        images, slopes = _images_and_slopes(psf, theta, shape)
        variance = images.clamp_min(0.5) + read_variance_e2
        residual = data - images
        chi2 = (residual**2 / variance).mean()
        fisher = torch.einsum("nayx,nbyx,nyx->nab", slopes, slopes, 1 / variance)
        gradient = torch.einsum("nayx,nyx->na", slopes, residual / variance)
        step = torch.linalg.solve(fisher + 1e-9 * torch.eye(4, dtype=theta.dtype), gradient)
        step[:, :2] = step[:, :2].clamp(-0.3, 0.3)
        theta = theta + step
        theta[:, :2] = torch.maximum(torch.minimum(theta[:, :2], middle + 3), middle - 3)
        theta[:, 2] = theta[:, 2].clamp_min(1.0)
    spots.x, spots.y, spots.light, spots.background = (column.numpy().copy() for column in theta.T)
    return float(chi2)


def _images_and_slopes(psf: PSF, theta: torch.Tensor, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, light, background = theta.T
    one = torch.ones_like(light)
    step = 0.01
    share = psf.images(x, y, one, shape)
    by_x = (psf.images(x + step, y, light, shape) - psf.images(x - step, y, light, shape)) / (2 * step)
    by_y = (psf.images(x, y + step, light, shape) - psf.images(x, y - step, light, shape)) / (2 * step)
    images = light[:, None, None] * share + background[:, None, None]
    return images, torch.stack([by_x, by_y, share, torch.ones_like(share)], dim=1)
