"""The pixel-integrated Gaussian PSF: values, derivatives and the Cramer-Rao bound.

A pixel i spans i to i + 1 in both axes, so an emitter in the middle of the first pixel lies at (0.5, 0.5). All light
is in electrons; sigma is that of the Gaussian before integration over the pixel. The array functions at the end are
the reference (`scipy.special.erf`, double precision); the compiled ones are what the fits run.

References
----------
.. [1] C. S. Smith et al., "Fast, single-molecule localization that achieves theoretically minimum uncertainty",
   Nat. Methods 7, 373 (2010), supplement, https://doi.org/10.1038/nmeth.1449
.. [2] F. Huang et al., "Video-rate nanoscopy using sCMOS camera-specific single-molecule localization algorithms",
   Nat. Methods 10, 653 (2013), https://doi.org/10.1038/nmeth.2488
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numba import njit
from scipy.special import erf

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

FitSigma = Literal["fixed", "free", "elliptical"]
"""What a fit does with the PSF width: hold it, fit one, or fit one per axis."""

PARAMETERS = ("x", "y", "electrons", "background", "sigma_x", "sigma_y")
"""Order of the parameters in derivatives, Fisher matrices and fit results."""

_LOG2_E = 1.0 / math.log(2.0)
_LN2_HIGH = 6.93145751953125e-1
_LN2_LOW = 1.42860682030941723212e-6
_ROUND = 6755399441055744.0  # adding 1.5 * 2^52 rounds to an integer that then sits in the low bits
_EXPONENT_BIAS = np.int64(1023)
_EXPONENT_SHIFT = np.int64(52)
_LN2 = math.log(2.0)
_SQRT_HALF_BITS = np.float64(math.sqrt(0.5)).view(np.int64)
_T2, _T3, _T4, _T5, _T6, _T7, _T8, _T9 = (1.0 / math.factorial(k) for k in range(2, 10))

# erfc(x) exp(x^2) as a polynomial in t = 1 / (1 + 0.4 x), fitted by us (minimax in erf): |error of erf| < 6e-12
_C1, _C2, _C3, _C4, _C5 = (
    0.22482776715586045,
    0.2355244080289693,
    0.15940163090150994,
    0.2961951076331926,
    -0.04087768725768769,
)
_C6, _C7, _C8, _C9, _C10 = (
    0.09532671213906782,
    0.25301092429245003,
    -0.36053944500474705,
    0.1635525587928419,
    -0.026421976686172154,
)

_SQRT_HALF = math.sqrt(0.5)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
_INV_SQRT_PI = 1.0 / math.sqrt(math.pi)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def fast_exp(x: float) -> float:
    """Exponential of x <= 0 to a relative 1e-11, without branches so that loops over it become vector code.

    Parameters
    ----------
    x : float
        Up to 700; below -700 the result is that of -700.

    Returns
    -------
    float
        The exponential of x.
    """
    x = max(x, -700.0)
    rounded = x * _LOG2_E + _ROUND
    n = rounded - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    tail = (((((_T9 * r + _T8) * r + _T7) * r + _T6) * r + _T5) * r + _T4) * r + _T3
    series = ((tail * r + _T2) * r + 1.0) * r + 1.0
    bits = (np.float64(rounded).view(np.int64) + _EXPONENT_BIAS) << _EXPONENT_SHIFT
    return series * np.int64(bits).view(np.float64)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def fast_log(x: float) -> float:
    """Natural logarithm of a normal positive number to 2e-10, without branches.

    Parameters
    ----------
    x : float
        Above 0 and not subnormal.

    Returns
    -------
    float
        The logarithm of x.
    """
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> _EXPONENT_SHIFT
    mantissa = np.int64(bits - (exponent << _EXPONENT_SHIFT)).view(np.float64)
    # mantissa lies between sqrt(1/2) and sqrt(2): log m = 2 artanh((m - 1) / (m + 1))
    r = (mantissa - 1.0) / (mantissa + 1.0)
    q = r * r
    series = 1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11)))))
    return exponent * _LN2 + 2.0 * r * series


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def fast_erf(x: float, exp_minus_x2: float) -> float:
    """Error function to 6e-12, given the exponential that the caller needs anyway.

    Parameters
    ----------
    x : float
        Any real number.
    exp_minus_x2 : float
        exp(-x * x).

    Returns
    -------
    float
        The error function of x.
    """
    t = 1.0 / (1.0 + 0.4 * abs(x))
    high = _C6 + t * (_C7 + t * (_C8 + t * (_C9 + t * _C10)))
    scaled = t * (_C1 + t * (_C2 + t * (_C3 + t * (_C4 + t * (_C5 + t * high)))))
    return math.copysign(1.0 - scaled * exp_minus_x2, x)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})
def _edge_values(u: FloatArray, n: int, erfs: FloatArray, exps: FloatArray) -> None:
    for k in range(n):
        exps[k] = fast_exp(-u[k] * u[k])
        erfs[k] = fast_erf(u[k], exps[k])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _axis_from_edges(u: FloatArray, erfs: FloatArray, exps: FloatArray, sigma: float, out: FloatArray) -> None:
    by_centre = _INV_SQRT_2PI / sigma
    by_sigma = _INV_SQRT_PI / sigma
    for k in range(u.shape[0] - 1):
        out[0, k] = 0.5 * (erfs[k + 1] - erfs[k])
        out[1, k] = by_centre * (exps[k] - exps[k + 1])
        out[2, k] = by_sigma * (u[k] * exps[k] - u[k + 1] * exps[k + 1])


@njit(cache=True, nogil=True, error_model="numpy")
def axis_profiles(
    theta: FloatArray, n_x: int, n_y: int, scratch: FloatArray, along_x: FloatArray, along_y: FloatArray
) -> None:
    """Fill the share of the light per pixel column and row and its derivatives; their outer product is the PSF.

    Parameters
    ----------
    theta : ndarray
        At least 6 values in the order of `PARAMETERS`; positions in pixels from the outer corner.
    n_x, n_y : int
        Columns and rows.
    scratch : ndarray
        Shape (3, at least n_x + n_y + 2), overwritten.
    along_x, along_y : ndarray
        Shapes (3, at least n_x) and (3, at least n_y); rows are the share, its derivative with respect to the centre,
        and its derivative with respect to sigma. Columns from n_x (n_y) on are left alone.
    """
    u, erfs, exps = scratch[0], scratch[1], scratch[2]
    scale_x = _SQRT_HALF / theta[4]
    scale_y = _SQRT_HALF / theta[5]
    for k in range(n_x + 1):
        u[k] = (k - theta[0]) * scale_x
    for k in range(n_y + 1):
        u[n_x + 1 + k] = (k - theta[1]) * scale_y
    last = n_x + n_y + 2
    _edge_values(u, last, erfs, exps)
    _axis_from_edges(u[: n_x + 1], erfs[: n_x + 1], exps[: n_x + 1], theta[4], along_x)
    _axis_from_edges(u[n_x + 1 : last], erfs[n_x + 1 : last], exps[n_x + 1 : last], theta[5], along_y)


class CameraNoise(NamedTuple):
    """What a camera adds to shot noise, in electrons referred to the input.

    Attributes
    ----------
    read_variance_e2 : float or ndarray
        Variance of the read noise, a number or a map broadcastable to (..., Y, X).
    excess_noise_factor : float
        F^2: 2 for an EMCCD in multiplication, else 1.
    """

    read_variance_e2: float | NDArray[np.floating] = 0.0
    excess_noise_factor: float = 1.0


def gaussian_images(theta: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """Compute the expected electrons per pixel of one emitter on a flat background (reference implementation).

    Parameters
    ----------
    theta : array_like
        Shape (N, 6) or (6,): x, y [px from the outer corner], electrons, background per pixel, sigma_x, sigma_y [px].
    shape : tuple of int
        (rows, columns).

    Returns
    -------
    ndarray
        Shape (N, Y, X).
    """
    theta = np.atleast_2d(np.asarray(theta, dtype=np.float64))
    along_x = _axis_reference(theta[:, 0], theta[:, 4], shape[1])[0]
    along_y = _axis_reference(theta[:, 1], theta[:, 5], shape[0])[0]
    images: FloatArray = theta[:, 2, None, None] * along_y[:, :, None] * along_x[:, None, :]
    images += theta[:, 3, None, None]
    return images


def gaussian_derivatives(theta: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """Compute derivatives of `gaussian_images` with respect to its parameters (reference implementation).

    Parameters
    ----------
    theta : array_like
        As in `gaussian_images`.
    shape : tuple of int
        (rows, columns).

    Returns
    -------
    ndarray
        Shape (N, 6, Y, X), parameters in the order of `PARAMETERS`.
    """
    theta = np.atleast_2d(np.asarray(theta, dtype=np.float64))
    x, x_by_centre, x_by_sigma = (a[:, None, :] for a in _axis_reference(theta[:, 0], theta[:, 4], shape[1]))
    y, y_by_centre, y_by_sigma = (a[:, :, None] for a in _axis_reference(theta[:, 1], theta[:, 5], shape[0]))
    electrons = theta[:, 2, None, None]
    one = np.ones_like(y * x)
    return np.stack(
        [
            electrons * y * x_by_centre,
            electrons * y_by_centre * x,
            y * x,
            one,
            electrons * y * x_by_sigma,
            electrons * y_by_sigma * x,
        ],
        axis=1,
    )


def crlb_gaussian(
    photons: ArrayLike,
    background_photons: ArrayLike,
    psf_sigma_px: ArrayLike,
    *,
    roi_px: int = 0,
    position_px: ArrayLike | None = None,
    fit_sigma: FitSigma = "free",
    noise: CameraNoise | None = None,
) -> FloatArray:
    """Lower bound on the standard deviations of an integrated-Gaussian fit.

    Parameters
    ----------
    photons : array_like
        Detected electrons of the emitter, > 0, scalar or (N,).
    background_photons : array_like
        Background electrons per pixel, >= 0, scalar or (N,).
    psf_sigma_px : array_like
        Sigma in pixels, scalar or (N,); (N, 2) for sigma_x and sigma_y.
    roi_px : int
        Side of the square region that the fit sees; 0 takes the smallest odd one that reaches 5 sigma.
    position_px : array_like, optional
        Shape (N, 2), x and y from the outer corner of the region; None puts the emitter in the middle of its central
        pixel.
    fit_sigma : str
        "fixed" (4 free parameters), "free" (one sigma) or "elliptical" (two).
    noise : CameraNoise, optional
        Read noise and excess noise; None is pure shot noise.

    Returns
    -------
    ndarray
        Shape (N, 6): standard deviations of `PARAMETERS`; NaN for what is not fitted. With one free sigma both sigma
        columns hold its bound.

    Raises
    ------
    InputError
        A value is out of range.

    Notes
    -----
    Fisher information sum_k (d mu_k / d theta_a)(d mu_k / d theta_b) / (F^2 mu_k + v_k): exact for Poisson noise
    [1]_, for sCMOS the usual Poisson approximation [2]_, for an EMCCD the excess-noise approximation (F^2 = 2), which
    the exact bound undercuts where mu is below about 2 electrons.
    """
    noise = noise or CameraNoise()
    theta = _reference_theta(photons, background_photons, psf_sigma_px, position_px, roi_px)
    side = roi_px or 2 * math.ceil(5.0 * theta[:, 4:].max()) + 1
    derivatives = gaussian_derivatives(theta, (side, side))
    if fit_sigma == "free":
        derivatives = np.concatenate([derivatives[:, :4], derivatives[:, 4:5] + derivatives[:, 5:6]], axis=1)
    elif fit_sigma == "fixed":
        derivatives = derivatives[:, :4]
    variance = noise.excess_noise_factor * gaussian_images(theta, (side, side)) + noise.read_variance_e2
    fisher = np.einsum("nakl,nbkl,nkl->nab", derivatives, derivatives, 1.0 / variance)
    found = np.sqrt(np.diagonal(np.linalg.inv(fisher), axis1=1, axis2=2))
    bounds = np.full((len(theta), 6), np.nan)
    bounds[:, : found.shape[1]] = found
    if fit_sigma == "free":
        bounds[:, 5] = bounds[:, 4]
    return bounds


def _reference_theta(
    photons: ArrayLike, background: ArrayLike, sigma: ArrayLike, position: ArrayLike | None, roi_px: int
) -> FloatArray:
    sigma = np.asarray(sigma, dtype=np.float64)
    sigma_x, sigma_y = (sigma[:, 0], sigma[:, 1]) if sigma.ndim == 2 else (sigma, sigma)
    middle = 0.5 * (roi_px or 2 * math.ceil(5.0 * float(sigma.max())) + 1)
    place = np.asarray([[middle, middle]] if position is None else position, dtype=np.float64).reshape(-1, 2)
    fields = (place[:, 0], place[:, 1], photons, background, sigma_x, sigma_y)
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(f, dtype=np.float64)) for f in fields))
    theta = np.stack(arrays, axis=1)
    if not (np.all(theta[:, 2] > 0) and np.all(theta[:, 3] >= 0) and np.all(theta[:, 4:] > 0)):
        msg = "expected photons above 0, background of 0 or more and sigma above 0 for a Cramer-Rao bound"
        raise InputError(msg)
    return theta


def _axis_reference(centre: FloatArray, sigma: FloatArray, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    edges = np.arange(n + 1)[None, :]
    u = (edges - centre[:, None]) / (math.sqrt(2.0) * sigma[:, None])
    bell = np.exp(-u * u)
    share = 0.5 * np.diff(erf(u), axis=1)
    by_centre = -np.diff(bell, axis=1) * _INV_SQRT_2PI / sigma[:, None]
    by_sigma = -np.diff(u * bell, axis=1) * _INV_SQRT_PI / sigma[:, None]
    return share, by_centre, by_sigma
