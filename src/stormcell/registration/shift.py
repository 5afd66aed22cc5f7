"""Estimate and undo a shift between two images of the same field, to a fraction of a pixel.

The cross-correlation of the tapered, mean-free images is found by FFT at whole pixels; its maximum is then climbed by
Newton steps on the band-limited correlation itself, which is the limit of the upsampled matrix DFT of

M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup, "Efficient subpixel image registration algorithms",
Opt. Lett. 33, 156 (2008), doi:10.1364/OL.33.000156.

Differs from the paper: the taper is moved with the structure and the shift found again, because a taper that stays in
place pulls the estimate towards zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from stormcell.errors import InputError
from stormcell.registration.correlation import correlation_map, padded_shape, spectrum

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


_PASSES = 3
_CLOSE_PX = 1e-5


class RegistrationError(InputError):
    """Two images show no common structure, or their shift lies beyond the limit."""


@dataclass(frozen=True)
class Shift:
    """How far one image is displaced from another.

    Parameters
    ----------
    y_px, x_px : float
        Structure at (y, x) in the reference lies at (y + y_px, x + x_px) in the moving image.
    correlation : float
        Pearson correlation of the tapered images at that shift, -1 to 1.
    significance : float
        The correlation (its Fisher transform) in units of the standard deviation that unrelated images with the same
        spectra would give.
    """

    y_px: float
    x_px: float
    correlation: float
    significance: float


def estimate_shift(
    reference: ArrayLike,
    moving: ArrayLike,
    max_shift_px: float,
    *,
    taper: float = 0.2,
    min_significance: float = 5.0,
) -> Shift:
    """Estimate by how much an image is displaced from another one of the same field.

    Parameters
    ----------
    reference, moving : array_like
        Shape (Y, X), equal, at least 8 x 8, finite; their scales and offsets do not matter.
    max_shift_px : float
        Largest shift along either axis, > 0, at most half the image.
    taper : float
        Share of the field that is faded out towards the edges (Tukey window), 0 to 1.
    min_significance : float
        Correlations less significant than this are refused.

    Returns
    -------
    Shift
        Displacement of `moving` from `reference`; `shift_image(moving, -shift.y_px, -shift.x_px)` undoes it.

    Raises
    ------
    InputError
        The shapes differ or are too small, an image is constant or holds NaN, or the limit is impossible.
    RegistrationError
        No shift within the limit brings the images together.

    Notes
    -----
    The significance uses Bartlett's formula: the correlation of two unrelated images has the variance
    sum |A|^2 |B|^2 / (sum |A|^2 sum |B|^2) over their power spectra.
    """
    a, b = _checked(reference, "reference"), _checked(moving, "moving")
    limit = _whole_limit(a.shape, b.shape, max_shift_px)
    shape = padded_shape((a.shape[0], a.shape[1]), limit)
    wa, wb = (_windowed(image, (0.0, 0.0), (0.0, 0.0), taper) for image in (a, b))
    fa, fb = spectrum(wa, shape), spectrum(wb, shape)
    coarse = correlation_map(fa, fb, shape, limit)
    row, column = (int(index) for index in np.unravel_index(int(np.argmax(coarse)), coarse.shape))
    found = float(coarse[row, column] / np.sqrt((wa**2).sum() * (wb**2).sum()))
    significance = float(np.arctanh(np.clip(found, -0.999999, 0.999999))) / _chance(fa, fb)
    if significance < min_significance:
        msg = (
            f"expected two images of the same field, but their best correlation within {max_shift_px:g} px is "
            f"{found:.2f}, {significance:.1f} times what chance gives (needed {min_significance:g}); "
            "check that they belong together, or skip the registration"
        )
        raise RegistrationError(msg)
    y, x = float(row - limit), float(column - limit)
    for _ in range(_PASSES):
        half, margin = (y / 2, x / 2), (abs(y) / 2, abs(x) / 2)
        wa = _windowed(a, (-half[0], -half[1]), margin, taper)
        wb = _windowed(b, half, margin, taper)
        y, x, peak = _climb(np.conj(spectrum(wa, shape)) * spectrum(wb, shape), shape, (y, x))
        if max(abs(y), abs(x)) > max_shift_px:
            msg = (
                f"expected a shift within {max_shift_px:g} px, the images agree best at or beyond it "
                f"({y:.1f}, {x:.1f} px along y, x); raise the limit if such a shift is real"
            )
            raise RegistrationError(msg)
    return Shift(y, x, float(peak / np.sqrt((wa**2).sum() * (wb**2).sum())), significance)


def shift_image(image: ArrayLike, y_px: float, x_px: float) -> NDArray[np.float64]:
    """Move an image by any fraction of a pixel.

    Parameters
    ----------
    image : array_like
        Shape (Y, X).
    y_px, x_px : float
        Structure moves by this much towards larger rows and columns.

    Returns
    -------
    ndarray
        Same shape, cubic spline interpolation; what enters at the edges is the image mirrored.
    """
    pixels = np.asarray(image, dtype=np.float64)
    moved: NDArray[np.float64] = ndimage.shift(pixels, (y_px, x_px), order=3, mode="reflect")
    return moved


def _checked(image: ArrayLike, name: str) -> NDArray[np.float64]:
    pixels = np.array(image, dtype=np.float64)
    if pixels.ndim != 2 or min(pixels.shape) < 8:
        msg = f"expected a {name} image of at least 8 x 8 pixels, got shape {pixels.shape}"
        raise InputError(msg)
    if not np.isfinite(pixels).all():
        msg = f"expected finite pixels in the {name} image, got {int((~np.isfinite(pixels)).sum())} that are not"
        raise InputError(msg)
    if not np.ptp(pixels) > 0:
        msg = f"expected structure in the {name} image, got the same value in every pixel"
        raise InputError(msg)
    return pixels


def _windowed(
    image: NDArray[np.float64], centre: tuple[float, float], margin: tuple[float, float], taper: float
) -> NDArray[np.float64]:
    """Weigh by a taper displaced from the middle, after taking the weighted mean off."""
    rows, columns = (
        _taper(side, place, rim, taper) for side, place, rim in zip(image.shape, centre, margin, strict=True)
    )
    window = rows[:, None] * columns[None, :]
    mean = (image * window).sum() / window.sum()
    weighed: NDArray[np.float64] = (image - mean) * window
    return weighed


def _taper(side: int, centre: float, margin: float, taper: float) -> NDArray[np.float64]:
    """Tukey window of width side - 2 margin about the displaced middle, at pixel centres."""
    half = side / 2 - margin
    distance = np.abs(np.arange(side) + 0.5 - side / 2 - centre) / half
    ramp = np.clip((distance - (1 - taper)) / max(taper, 1e-9), 0.0, 1.0)
    window: NDArray[np.float64] = 0.5 + 0.5 * np.cos(np.pi * ramp)
    return window


def _whole_limit(shape: tuple[int, ...], other: tuple[int, ...], max_shift_px: float) -> int:
    if shape != other:
        msg = f"expected two images of the same shape, got {shape} and {other}"
        raise InputError(msg)
    if not 0 < max_shift_px <= min(shape) / 2:
        msg = (
            f"expected a largest shift above 0 and at most half the image ({min(shape) / 2:g} px), "
            f"got {max_shift_px:g}"
        )
        raise InputError(msg)
    return min(int(np.ceil(max_shift_px)) + 1, min(shape) // 2 + 1)


def _chance(fa: NDArray[Any], fb: NDArray[Any]) -> float:
    """Give the standard deviation of the correlation coefficient of unrelated images with these spectra."""
    pa, pb = np.abs(fa) ** 2, np.abs(fb) ** 2
    # The half spectrum stands for both halves, but for its first column.
    twice = np.full(pa.shape[1], 2.0)
    twice[0] = 1.0
    return float(np.sqrt((twice * pa * pb).sum() / ((twice * pa).sum() * (twice * pb).sum())))


def _climb(cross: NDArray[Any], shape: tuple[int, int], start: tuple[float, float]) -> tuple[float, float, float]:
    """Newton steps on c(y, x) = Re sum C(k, l) exp(2 pi i (k y + l x)), each at most half a pixel."""
    ky = 2j * np.pi * np.fft.fftfreq(shape[0])
    kx = 2j * np.pi * np.fft.rfftfreq(shape[1])
    weight = np.full(len(kx), 2.0)
    weight[0] = 1.0
    if shape[1] % 2 == 0:
        weight[-1] = 1.0
    y, x = start
    value = 0.0
    for _ in range(20):
        # One pass over the spectrum gives value, gradient and curvature, as the transform is separable.
        left = np.exp(ky * y)[None, :] * np.stack([np.ones_like(ky), ky, ky**2])
        right = np.exp(kx * x)[:, None] * weight[:, None] * np.stack([np.ones_like(kx), kx, kx**2], axis=1)
        # Not a threaded matrix product: for three rows its threads wait longer than they work.
        d = np.einsum("an,nb->ab", np.einsum("am,mn->an", left, cross), right).real
        value = float(d[0, 0]) / (shape[0] * shape[1])
        hessian = np.array([[d[2, 0], d[1, 1]], [d[1, 1], d[0, 2]]])
        gradient = np.array([d[1, 0], d[0, 1]])
        if hessian[0, 0] >= 0 or np.linalg.det(hessian) <= 0:
            step = np.clip(gradient / (np.abs(gradient).max() or 1.0), -0.5, 0.5) * 0.5
        else:
            step = np.clip(-np.linalg.solve(hessian, gradient), -0.5, 0.5)
        y, x = y + float(step[0]), x + float(step[1])
        if np.abs(step).max() < _CLOSE_PX:
            break
    return y, x, value
