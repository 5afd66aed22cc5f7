"""A family of spot shapes, from a Gaussian to an Airy pattern with a halo, in Fourier space.

The core of the transfer function is (1 - a) * Gaussian(sigma) + a * Airy(w = 0.768 * sigma): the best-fit Gaussian
of that Airy pattern has standard deviation sigma, so that `sigma` says the width and `a` the weight of the rings. A
share of the light may lie in a wider Gaussian halo. Vectorial and moderately aberrated spots are within 1.5 % of a
member in the peak and 6 % in the total.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

AIRY_SCALE = 0.768
"""Scale w of the Airy pattern (2 J1(r/w) / (r/w))^2 whose best-fit Gaussian has standard deviation 1."""

TOTAL_RADIUS_PX = 10.0
"""Photons of an emitter are counted out to this radius."""

_OVERSAMPLING = 4
_SIDE_PX = 28
_WINDOW_PX = 7


@dataclass(frozen=True)
class SpotShape:
    """The image of a point emitter before the camera samples it.

    Parameters
    ----------
    sigma_px : float
        Width, > 0.
    tail : float
        Weight of the Airy pattern: 0 is a Gaussian, 1 an Airy pattern.
    stretch : float
        Half the logarithm of the ratio of the widths along x and y.
    shear : float
        The same for the diagonals.
    halo : float
        Share of the light in the halo.
    halo_width : float
        Standard deviation of the halo over `sigma_px`.
    """

    sigma_px: float
    tail: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    halo: float = 0.0
    halo_width: float = 3.0

    def transfer(self, ky: Array, kx: Array) -> Array:
        """Evaluate the optical transfer function, without the pixel.

        Parameters
        ----------
        ky, kx : ndarray
            Spatial frequencies in cycles per pixel, broadcastable.

        Returns
        -------
        ndarray
            Real, 1 at zero frequency.
        """
        # the exponential of the symmetric matrix ((stretch, shear), (shear, -stretch)), doubled, between k and k
        size = 2 * float(np.hypot(self.stretch, self.shear))
        ratio = 2 * (np.sinh(size) / size if size > 1e-9 else 1.0)
        squared = (kx**2 + ky**2) * np.cosh(size)
        if size > 0:
            squared = squared + ratio * (self.stretch * (kx**2 - ky**2) + 2 * self.shear * kx * ky)
        decay: Array = -2 * np.pi**2 * self.sigma_px**2 * squared
        core = np.exp(decay)
        if self.tail != 0:
            reduced = np.minimum(np.sqrt(squared) * (np.pi * AIRY_SCALE * self.sigma_px), 1.0)
            airy = 2 / np.pi * (np.arccos(reduced) - reduced * np.sqrt(1 - reduced**2))
            core = (1 - self.tail) * core + self.tail * airy
        if self.halo != 0:
            core = (1 - self.halo) * core + self.halo * np.exp(self.halo_width**2 * decay)
        return core

    def power(self, ky: Array, kx: Array) -> Array:
        """Evaluate the power spectrum of randomly placed spots as the camera samples it.

        Frequencies beyond the sampling limit fold back and add incoherently: positions within a pixel are random.

        Parameters
        ----------
        ky, kx : ndarray
            Shapes (n, 1) and (1, m), cycles per pixel.

        Returns
        -------
        ndarray
            Shape (n, m), 1 at zero frequency up to the folded part.
        """
        total: Array = np.zeros(np.broadcast_shapes(ky.shape, kx.shape))
        # only the nearest image on the other side of the sampling limit carries power worth counting
        for folded_y in (ky, ky - np.copysign(1.0, ky)):
            for folded_x in (kx, kx - np.copysign(1.0, kx)):
                pixel = np.sinc(folded_y) * np.sinc(folded_x)
                total += (self.transfer(folded_y, folded_x) * pixel) ** 2
        return total

    def filtered(self, kernel: Array) -> Array:
        """Sample the pixel-integrated spot after a discrete filter.

        Parameters
        ----------
        kernel : ndarray
            Shape (odd, odd), symmetric filter weights on camera pixels.

        Returns
        -------
        ndarray
            Shape (n, n), filter response at every distance from the emitter on a grid of 1/4 px, centre first (FFT
            order), for an emitter of total 1.
        """
        ky, kx = fine_frequencies()
        response = kernel_transfer(kernel, ky, kx)
        spectrum = self.transfer(ky, kx) * np.sinc(ky) * np.sinc(kx) * response
        image: Array = np.fft.ifft2(spectrum).real * _OVERSAMPLING**2
        return image

    def share_within(self, radius_px: float = TOTAL_RADIUS_PX) -> float:
        """Compute the share of the photons within a radius.

        Parameters
        ----------
        radius_px : float
            Radius in camera pixels, below 14.

        Returns
        -------
        float
            Between 0 and about 1.
        """
        image = self.filtered(np.ones((1, 1)))
        return float(image[fine_radius() <= radius_px].sum() * SAMPLE_AREA_PX2)

    def best_gaussian(self) -> tuple[float, float]:
        """Fit a pixel-integrated Gaussian and a constant to 7 x 7 px, as every PSF of the package is described.

        Returns
        -------
        sigma_px : float
            Standard deviation before integration over the pixel.
        share : float
            Photons in the Gaussian as a share of all within `TOTAL_RADIUS_PX`.
        """
        image = replace(self, stretch=0.0, shear=0.0).filtered(np.ones((1, 1)))
        pixels = np.arange(_WINDOW_PX) - _WINDOW_PX // 2
        window = image[np.ix_(pixels * _OVERSAMPLING, pixels * _OVERSAMPLING)]

        def misfit(values: Array) -> Array:
            model = values[0] * _square_gaussian(pixels, values[1]) + values[2]
            difference: Array = (model - window).ravel() / float(window.max())
            return difference

        bounds = ((0.0, 0.2, -1.0), (4.0, 12.0, 1.0))
        found = optimize.least_squares(misfit, (1.0, self.sigma_px, 0.0), bounds=bounds)
        return float(found.x[1]), float(found.x[0]) / self.share_within()


def _square_gaussian(pixels: Array, sigma_px: float) -> Array:
    edge = sigma_px * np.sqrt(2)
    share = 0.5 * (special.erf((pixels + 0.5) / edge) - special.erf((pixels - 0.5) / edge))
    return np.outer(share, share)


SAMPLE_AREA_PX2 = 1 / _OVERSAMPLING**2
"""Area that one sample of `SpotShape.filtered` stands for, in camera pixels."""


@lru_cache(maxsize=1)
def fine_frequencies() -> tuple[Array, Array]:
    """Spatial frequencies of the fine grid of `SpotShape.filtered`, cycles per camera pixel.

    Returns
    -------
    tuple of ndarray
        ky of shape (n, 1) and kx of shape (1, n).
    """
    n = _SIDE_PX * _OVERSAMPLING
    k = np.fft.fftfreq(n) * _OVERSAMPLING
    return k[:, None], k[None, :]


@lru_cache(maxsize=1)
def fine_radius() -> Array:
    """Distance of each sample of the fine grid from the emitter, px.

    Returns
    -------
    ndarray
        Shape (n, n), FFT order.
    """
    n = _SIDE_PX * _OVERSAMPLING
    x = np.fft.fftfreq(n) * _SIDE_PX
    radius: Array = np.hypot(x[:, None], x[None, :])
    return radius


def kernel_transfer(kernel: Array, ky: Array, kx: Array) -> Array:
    """Evaluate the transfer function of a discrete filter that is symmetric along each axis.

    Parameters
    ----------
    kernel : ndarray
        Shape (odd, odd), weights on camera pixels.
    ky, kx : ndarray
        Shapes (n, 1) and (1, m), cycles per pixel.

    Returns
    -------
    ndarray
        Shape (n, m), real.
    """
    rows, columns = (np.arange(side) - side // 2 for side in kernel.shape)
    cos_y, cos_x = (np.cos(2 * np.pi * np.outer(k.ravel(), i)) for k, i in ((ky, rows), (kx, columns)))
    transfer: Array = cos_y @ kernel @ cos_x.T
    return transfer
