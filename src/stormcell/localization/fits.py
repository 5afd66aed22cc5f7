"""Fit many regions at once: the array interface to the compiled fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import njit, prange

from stormcell.errors import InputError
from stormcell.localization.flags import FLAGS
from stormcell.localization.lsq import sandwich_covariance
from stormcell.localization.mle import covariance, goodness, maximize
from stormcell.localization.mle_kernel import add_sigma_prior, poisson_information, tie_sigmas
from stormcell.localization.small_sample import expected_spread, subtract_bias
from stormcell.localization.starts import add_known_light, at_bounds, load_pixels, set_bounds, start_values
from stormcell.physics.gaussian import CameraNoise, FitSigma

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

FitMethod = Literal["mle", "lsq"]
"""Maximum likelihood, or unweighted least squares (the fast option)."""

N_FREE: dict[FitSigma, int] = {"fixed": 4, "free": 5, "elliptical": 6}
"""Free parameters by what happens to sigma."""

_SPOTS_PER_TASK = 128
_POOR_CHI2 = 5.0  # standard deviations of chi-square
_LOW_PHOTONS = 3.0
_SIGMA_PRIOR = 0.25


@dataclass(frozen=True)
class FitModel:
    """What a fit leaves free, and how it judges a fit.

    Attributes
    ----------
    method : str
        "mle" or "lsq".
    fit_sigma : str
        "fixed", "free" (one sigma) or "elliptical" (two).
    sigma_range : tuple of float
        Lowest and highest sigma a fit may reach, in units of the expected one.
    sigma_prior : float, optional
        Relative standard deviation of what is known about free sigmas beforehand (a log-normal prior around the
        expected one); it decides where a spot is too faint to tell. 0 is no prior; None is 0.25 for one free sigma
        and no prior for elliptical fits, whose widths are meant to vary. Ignored by "lsq".
    """

    method: FitMethod = "mle"
    fit_sigma: FitSigma = "free"
    sigma_range: tuple[float, float] = (0.5, 2.0)
    sigma_prior: float | None = None

    def plan(self, sigmas_px: NDArray[np.floating], excess_noise_factor: float) -> FloatArray:
        """Spell the model out for the compiled fit (see `maximize`).

        Parameters
        ----------
        sigmas_px : ndarray
            Shape (2,), expected sigma x and y.
        excess_noise_factor : float
            F^2.

        Returns
        -------
        ndarray
            Shape (8,).
        """
        prior = self.sigma_prior
        if prior is None:
            prior = _SIGMA_PRIOR if self.fit_sigma == "free" else 0.0
        squares = self.method == "lsq"
        weight = 1.0 / prior**2 if prior > 0.0 and not squares else 0.0
        free = N_FREE[self.fit_sigma]
        return np.array([free, excess_noise_factor, *sigmas_px, *self.sigma_range, float(squares), weight])


@dataclass(frozen=True)
class SpotFits:
    """Fitted parameters of N regions.

    Attributes
    ----------
    theta : ndarray
        Shape (N, 6): x, y [px from the region's outer corner], electrons, background per pixel [electrons], sigma_x,
        sigma_y [px].
    uncertainty : ndarray
        Shape (N, 6): standard deviations of theta; NaN for what was not fitted.
    crlb : ndarray
        Shape (N, 6): Cramer-Rao bounds at the fitted values, as standard deviations.
    log_likelihood : ndarray
        Shape (N,), without terms in the data alone.
    chi2 : ndarray
        Shape (N,), reduced chi-square of the residual.
    residual_std : ndarray
        Shape (N,), standard deviation of the residual per pixel in electrons.
    iterations : ndarray of int32
        Shape (N,).
    flags : ndarray of int32
        Shape (N,), bits of `stormcell.localization.flags`.
    """

    theta: FloatArray
    uncertainty: FloatArray
    crlb: FloatArray
    log_likelihood: FloatArray
    chi2: FloatArray
    residual_std: FloatArray
    iterations: NDArray[np.int32]
    flags: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.theta)

    def replace_rows(self, rows: NDArray[np.int64], others: SpotFits) -> None:
        """Overwrite some rows in place.

        Parameters
        ----------
        rows : ndarray of int64
            Shape (M,), which.
        others : SpotFits
            M fits.
        """
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(others, field.name)


def fit_spots(
    rois_e: ArrayLike,
    psf_sigma_px: float | tuple[float, float],
    *,
    noise: CameraNoise | None = None,
    start_xy_px: ArrayLike | None = None,
    light_e: ArrayLike | None = None,
    model: FitModel | None = None,
) -> SpotFits:
    """Fit one pixel-integrated Gaussian on a flat background to every region, on all cores.

    Parameters
    ----------
    rois_e : array_like
        Shape (N, rows, columns), electrons; pixels that are not finite are left out of their fit.
    psf_sigma_px : float or tuple of float
        Expected sigma (x and y) in pixels: start value, or the value held with fit_sigma "fixed".
    noise : CameraNoise, optional
        Read variance, a number or an array broadcastable to (rows, columns) or (N, rows, columns), and excess noise
        factor; None is pure shot noise.
    start_xy_px : array_like, optional
        Shape (N, 2): x and y to start from, in region pixels; None or NaN takes a centroid around the middle.
    light_e : array_like, optional
        Shape (N, rows, columns): electrons expected from other, known sources, such as neighbours.
    model : FitModel, optional
        What is fitted and how; None takes the defaults.

    Returns
    -------
    SpotFits
        One row for each region, in order. Failed fits stay, with their flags.

    Raises
    ------
    InputError
        The regions have another shape, or sigma is not above 0.

    Notes
    -----
    Determined by the data alone, whatever the number of threads. EMCCD data are fitted with the Poisson
    quasi-likelihood, whose uncertainty is sqrt(2) times that of Poisson data: its asymptotic spread exactly.
    """
    rois = np.ascontiguousarray(rois_e, dtype=np.float32)
    sigmas = np.broadcast_to(np.asarray(psf_sigma_px, dtype=np.float64), (2,))
    if rois.ndim != 3 or not np.all(sigmas > 0):
        msg = f"expected regions of shape (N, rows, columns) and sigma above 0, got {rois.shape} and {psf_sigma_px}"
        raise InputError(msg)
    noise = noise or CameraNoise()
    n_spots = len(rois)
    model = model or FitModel()
    light = np.zeros((0, *rois.shape[1:]), np.float32)
    if light_e is not None:
        light = np.ascontiguousarray(np.broadcast_to(light_e, rois.shape), dtype=np.float32)
    starts = np.full((n_spots, 2), np.nan, np.float32)
    if start_xy_px is not None:
        starts[:] = np.asarray(start_xy_px)
    plan = model.plan(sigmas, float(noise.excess_noise_factor))
    found = np.empty((n_spots, 24))
    if n_spots:
        _fit_all(rois, _variance_array(noise, rois.shape), starts, light, plan, found)
    theta, uncertainty, crlb, quality = (part.copy() for part in np.split(found, (6, 12, 18), axis=1))
    chi2_limit = 1.0 + _POOR_CHI2 * math.sqrt(2.0 / max(rois.shape[1] * rois.shape[2] - plan[0], 1.0))
    return SpotFits(
        theta,
        uncertainty,
        crlb,
        quality[:, 0].copy(),
        quality[:, 1].copy(),
        quality[:, 5].copy(),
        quality[:, 2].astype(np.int32),
        _flags(theta, uncertainty, quality, chi2_limit),
    )


def _variance_array(noise: CameraNoise, shape: tuple[int, ...]) -> NDArray[np.float32]:
    variance = np.asarray(noise.read_variance_e2, dtype=np.float32)
    if variance.ndim < 3:
        variance = np.broadcast_to(variance, shape[1:])[None]
    return np.ascontiguousarray(variance)


def _flags(theta: FloatArray, uncertainty: FloatArray, quality: FloatArray, chi2_limit: float) -> NDArray[np.int32]:
    bound = quality[:, 4].astype(np.int32)
    raised = {
        "not_converged": (quality[:, 3] == 0) | ~np.isfinite(uncertainty[:, 0]),
        "position_at_bound": bound & 1 != 0,
        "sigma_at_bound": bound & 2 != 0,
        "background_at_bound": bound & 4 != 0,
        "photons_low": theta[:, 2] < _LOW_PHOTONS * uncertainty[:, 2],
        "poor_fit": quality[:, 1] > chi2_limit,
    }
    flags = np.zeros(len(theta), dtype=np.int32)
    for name, rows in raised.items():
        flags |= np.where(rows, FLAGS[name].mask, 0).astype(np.int32)
    return flags


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_one(
    pixels: FloatArray,
    bounds: FloatArray,
    plan: FloatArray,
    work: tuple[FloatArray, FloatArray],
    theta: FloatArray,
    deviations: tuple[FloatArray, FloatArray],
    quality: FloatArray,
) -> None:
    scratch, small = work
    uncertainty, crlb = deviations
    spread, bound = small[18:24], small[24:30]
    n_free, factor, squares = int(plan[0]), plan[1], plan[6] > 0.0
    iterations, converged = maximize(pixels, bounds, plan, scratch, small, theta)
    quality[0], quality[1], quality[5] = goodness(theta, pixels, factor, n_free, scratch)
    quality[2] = iterations
    quality[3] = 1.0 if converged else 0.0
    quality[4] = at_bounds(theta, bounds, n_free)
    if squares:
        sandwich_covariance(theta, pixels, n_free, factor, scratch, small, spread)
        poisson_information(theta, pixels, scratch, small[:6], small[12])
        if n_free == 5:
            tie_sigmas(small[:6], small[12])
        covariance(theta, n_free, factor, small, bound)
    else:
        regular = covariance(theta, n_free, factor, small, spread)
        if plan[7] > 0.0 and n_free > 4:
            add_sigma_prior(theta, plan, -plan[7] * factor, small[:6], small[12])
            covariance(theta, n_free, factor, small, bound)
        else:
            for a in range(6):
                for b in range(6):
                    bound[a, b] = spread[a, b]
        if regular and converged and quality[4] == 0.0:
            subtract_bias(pixels, n_free, factor, scratch, small, theta)
    expected_spread(theta, n_free, spread, uncertainty)
    crlb[:] = math.nan
    for k in range(6 if n_free > 4 else 4):
        crlb[k] = math.sqrt(bound[k, k])


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _fit_all(
    rois: NDArray[np.float32],
    read_variance: NDArray[np.float32],
    starts: NDArray[np.float32],
    light: NDArray[np.float32],
    plan: FloatArray,
    out: FloatArray,
) -> None:
    """Fit every region.

    `plan` is that of `maximize`; a row of `out` is theta, uncertainty, crlb (6 each), log-likelihood, chi-square,
    iterations, converged, bounds, residual.
    """
    n_spots, side_y, side_x = rois.shape
    for task in prange((n_spots + _SPOTS_PER_TASK - 1) // _SPOTS_PER_TASK):
        work = (np.zeros((13, side_x + side_y + 2)), np.zeros((30, 6)))
        pixels = np.zeros((4, side_y, side_x))
        bounds = np.zeros((2, 6))
        row = np.zeros(24)
        theta, deviations, quality = row[:6], (row[6:12], row[12:18]), row[18:]
        for i in range(task * _SPOTS_PER_TASK, min((task + 1) * _SPOTS_PER_TASK, n_spots)):
            n_valid, least_extra = load_pixels(rois, read_variance, i, plan[1], pixels)
            add_known_light(light, i, pixels)
            start_values(pixels, starts[i, 0], starts[i, 1], plan, work[0], theta)
            set_bounds(theta, pixels, least_extra, plan, bounds)
            if n_valid > plan[0]:
                _fit_one(pixels, bounds, plan, work, theta, deviations, quality)
            else:
                row[6:] = math.nan
                quality[2:5] = 0.0
            for k in range(24):
                out[i, k] = row[k]
