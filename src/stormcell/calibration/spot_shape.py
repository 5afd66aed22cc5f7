"""A two-number family of spot shapes, from a Gaussian to an Airy pattern and beyond, in Fourier space.

The transfer function is (1 - a) * Gaussian(sigma) + a * Airy(w = 0.768 * sigma): the best-fit Gaussian of that Airy
pattern has standard deviation sigma, so that `sigma` says the width and `a` the weight of the rings and tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

AIRY_SCALE = 0.768
"""Scale w of the Airy pattern (2 J1(r/w) / (r/w))^2 whose best-fit Gaussian has standard deviation 1."""

TOTAL_RADIUS_PX = 10.0
"""Photons of an emitter are counted out to this radius."""

_OVERSAMPLING = 4
_SIDE_PX = 28


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
    """

    sigma_px: float
    tail: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0

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
        gaussian: Array = np.exp(-2 * np.pi**2 * self.sigma_px**2 * squared)
        if self.tail == 0:
            return gaussian
        reduced = np.minimum(np.sqrt(squared) * (np.pi * AIRY_SCALE * self.sigma_px), 1.0)
        airy = 2 / np.pi * (np.arccos(reduced) - reduced * np.sqrt(1 - reduced**2))
        mixed: Array = (1 - self.tail) * gaussian + self.tail * airy
        return mixed

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
        """Fit a Gaussian to the spot by unweighted least squares, before integration over the pixel.

        Returns
        -------
        sigma_px : float
            Standard deviation (geometric mean of the axes).
        share : float
            Photons in the Gaussian as a share of all within `TOTAL_RADIUS_PX`.
        """
        round_spot = SpotShape(self.sigma_px, self.tail)
        k = np.linspace(0.0, 1.4 / self.sigma_px, 1200)
        transfer = round_spot.transfer(np.zeros(1), k)
        sigmas = self.sigma_px * np.linspace(0.6, 1.6, 201)
        # overlap of the spot with unit-norm Gaussians; its maximum is the least-squares fit
        weights = k * np.exp(-2 * np.pi**2 * np.square(sigmas)[:, None] * k**2)
        overlap = 2 * np.pi * np.trapezoid(transfer * weights, k, axis=1)
        score = overlap * sigmas
        best = int(np.clip(np.argmax(score), 1, len(sigmas) - 2))
        left, mid, right = score[best - 1 : best + 2]
        step = 0.5 * (left - right) / (left - 2 * mid + right)
        sigma = float(sigmas[best] + step * (sigmas[1] - sigmas[0]))
        amplitude = float(np.interp(sigma, sigmas, overlap)) * 4 * np.pi * sigma**2
        return sigma, amplitude / self.share_within()


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
