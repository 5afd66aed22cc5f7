"""A measured resolution scaling function in place of a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, signal
from scipy.optimize import least_squares

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.sr_image import SRImage


def blur_by_measured(sr: SRImage, rsf: SRImage) -> NDArray[np.float32]:
    """Convolve an image with a measured response.

    Parameters
    ----------
    sr : SRImage
        The image.
    rsf : SRImage
        The response, background removed, on pixels of any size; brought to the image's pixel size, centred on its
        centre of mass and normalised to sum 1.

    Returns
    -------
    ndarray
        Shape of the image; beyond its edges lies its mirror image.

    Raises
    ------
    InputError
        The response is not finite, has no positive sum, or is larger than the image.
    """
    kernel = _kernel(rsf, sr.sr_pixel_size_nm)
    pad = [min(side // 2, limit) for side, limit in zip(kernel.shape, sr.pixels.shape, strict=True)]
    if any(side > limit for side, limit in zip(kernel.shape, sr.pixels.shape, strict=True)):
        msg = (
            f"expected an RSF image no larger than the super-resolution image, got {kernel.shape} pixels of "
            f"{sr.sr_pixel_size_nm:g} nm against {sr.pixels.shape}; crop it around its peak"
        )
        raise InputError(msg)
    padded = np.pad(sr.pixels, [(side, side) for side in pad], mode="symmetric")
    blurred: NDArray[np.float32] = signal.fftconvolve(padded, kernel.astype(np.float32), mode="same")
    return blurred[pad[0] : pad[0] + sr.pixels.shape[0], pad[1] : pad[1] + sr.pixels.shape[1]]


def equivalent_sigma_nm(rsf: SRImage) -> float:
    """Give the standard deviation of the Gaussian closest to a measured response.

    Parameters
    ----------
    rsf : SRImage
        The response, background removed.

    Returns
    -------
    float
        Least-squares width in nm.
    """
    pixels = np.asarray(rsf.pixels, dtype=np.float64)
    y, x = np.indices(pixels.shape)
    total = pixels.sum()
    cy, cx = (y * pixels).sum() / total, (x * pixels).sum() / total

    def rest(p: NDArray[np.float64]) -> NDArray[np.float64]:
        model = p[0] * np.exp(-((y - p[1]) ** 2 + (x - p[2]) ** 2) / (2 * p[3] ** 2))
        return np.asarray((model - pixels) / pixels.max()).ravel()

    start = [pixels.max(), cy, cx, max(min(pixels.shape) / 6, 0.7)]
    return abs(float(least_squares(rest, start).x[3])) * rsf.sr_pixel_size_nm


def _kernel(rsf: SRImage, pixel_size_nm: float) -> NDArray[np.float64]:
    pixels = np.asarray(rsf.pixels, dtype=np.float64)
    if not np.isfinite(pixels).all() or not pixels.sum() > 0:
        msg = "expected an RSF image with finite pixels and a positive sum, got none; remove its background only"
        raise InputError(msg)
    zoom = rsf.sr_pixel_size_nm / pixel_size_nm
    sides = [max(round(side * zoom) // 2 * 2 + 1, 1) for side in pixels.shape]
    centre: Any = ndimage.center_of_mass(pixels)
    axes = [(np.arange(side) - side // 2) / zoom + middle for side, middle in zip(sides, centre, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    kernel: NDArray[np.float64] = ndimage.map_coordinates(pixels, places, order=3, mode="constant")
    kernel = kernel / kernel.sum()
    return kernel
