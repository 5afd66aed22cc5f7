"""An image as a sum of cosines: blurred, integrated over larger pixels and sampled anywhere without leaving it.

The cosine transform continues an image as its mirror beyond the edges. Under that continuation a convolution with a
symmetric kernel is a product, so one transform of a large image serves every blur; and because a blur leaves only low
frequencies, blurred values at a few coarse pixels are two small matrix products.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEGLIGIBLE = 1e-4
_CUT = math.sqrt(-2.0 * math.log(_NEGLIGIBLE))


class CosineField:
    """The low cosine coefficients of an image.

    Parameters
    ----------
    pixels : ndarray
        Shape (Y, X), finite.
    min_sigma_px : float
        The narrowest Gaussian (standard deviation in pixels of this image) that will be asked for; frequencies that
        it suppresses to 1e-4 are dropped.
    """

    def __init__(self, pixels: NDArray[Any], min_sigma_px: float) -> None:
        self.shape = (pixels.shape[0], pixels.shape[1])
        rows, columns = (self.n_kept(side, min_sigma_px) for side in self.shape)
        workers = numba.get_num_threads()
        half = fft.dct(pixels.astype(np.float32, copy=False), axis=1, norm="ortho", workers=workers)
        half = np.ascontiguousarray(half[:, :columns])
        kept = fft.dct(half, axis=0, norm="ortho", overwrite_x=True, workers=workers)
        self.coefficients: NDArray[np.float32] = np.ascontiguousarray(kept[:rows])

    @staticmethod
    def n_kept(side: int, sigma_px: float) -> int:
        """Count the frequencies a Gaussian leaves.

        Parameters
        ----------
        side : int
            Pixels along the axis.
        sigma_px : float
            Standard deviation in pixels; 0 keeps all.

        Returns
        -------
        int
            1 to side.
        """
        return side if sigma_px <= 0 else min(side, int(_CUT * side / (math.pi * sigma_px)) + 1)

    def transfer(self, axis: int, sigma_px: float, box_px: float) -> NDArray[np.float32]:
        """Give the factor on each frequency of one axis.

        Parameters
        ----------
        axis : int
            0 for y, 1 for x.
        sigma_px : float
            Standard deviation of the Gaussian in pixels of this image.
        box_px : float
            Side of the pixel it is then integrated over (as a mean), in pixels of this image; 0 for none.

        Returns
        -------
        ndarray
            Shape (K,), 1 at frequency 0; only the frequencies that count.
        """
        n = min(self.n_kept(self.shape[axis], sigma_px), self.coefficients.shape[axis])
        k = np.arange(n) / self.shape[axis]
        factor: NDArray[Any] = np.exp(-0.5 * (math.pi * sigma_px * k) ** 2) * np.sinc(k * box_px / 2)
        return factor.astype(np.float32)

    def waves(self, axis: int, positions_px: NDArray[Any]) -> NDArray[np.float32]:
        """Give the value of every wave at places along one axis.

        Parameters
        ----------
        axis : int
            0 for y, 1 for x.
        positions_px : ndarray
            Shape (P,): pixels from the image's outer edge; beyond it lies the mirror image.

        Returns
        -------
        ndarray
            Shape (P, K).
        """
        side = self.shape[axis]
        k = np.arange(self.coefficients.shape[axis])
        scale = np.where(k == 0, math.sqrt(1 / side), math.sqrt(2 / side))
        waves: NDArray[Any] = scale * np.cos(math.pi * np.outer(positions_px, k) / side)
        return waves.astype(np.float32)

    def on_own_grid(self, sigma_px: tuple[float, float], box_px: float) -> NDArray[np.float32]:
        """Blur the image on its own pixels.

        Parameters
        ----------
        sigma_px : tuple of float
            Standard deviations along y and x in pixels of this image.
        box_px : float
            Side of the pixel to integrate over, as in `transfer`.

        Returns
        -------
        ndarray
            Shape (Y, X).
        """
        ty, tx = (self.transfer(axis, sigma_px[axis], box_px) for axis in (0, 1))
        damped: Any = self.coefficients[: len(ty), : len(tx)] * ty[:, None] * tx[None, :]
        workers = numba.get_num_threads()
        half: Any = fft.idct(damped, n=self.shape[0], axis=0, norm="ortho", workers=workers)
        full: NDArray[np.float32] = fft.idct(half, n=self.shape[1], axis=1, norm="ortho", workers=workers)
        return full


class SampledBlur:
    """Blurred values of a `CosineField` at the crossings of given rows and columns, for one sigma after the other.

    Parameters
    ----------
    field : CosineField
        The image.
    y_px, x_px : ndarray
        Shapes (P,) and (Q,): places in pixels of the image.
    box_px : float
        Side of the pixels that are integrated over, in pixels of the image.
    """

    def __init__(self, field: CosineField, y_px: NDArray[Any], x_px: NDArray[Any], box_px: float) -> None:
        self._field = field
        self._box = box_px
        self._samplers = [_sampler(field, axis, places) for axis, places in enumerate((y_px, x_px))]

    def values(self, sigma_px: tuple[float, float]) -> NDArray[np.float32]:
        """Blur and sample.

        Parameters
        ----------
        sigma_px : tuple of float
            Standard deviations along y and x in pixels of the image.

        Returns
        -------
        ndarray
            Shape (P, Q).
        """
        ty, tx = (self._field.transfer(axis, sigma_px[axis], self._box) for axis in (0, 1))
        damped: Any = self._field.coefficients[: len(ty), : len(tx)] * ty[:, None] * tx[None, :]
        along_y = self._samplers[0](damped)
        sampled: NDArray[np.float32] = np.ascontiguousarray(self._samplers[1](along_y.T).T)
        return sampled


def _sampler(field: CosineField, axis: int, places: NDArray[Any]) -> EvenSampler | FreeSampler:
    """Choose the quick way where the places are evenly spread over the whole field, but for a shift and a margin."""
    side = field.shape[axis]
    if len(places) > 1:
        step = float(places[-1] - places[0]) / (len(places) - 1)
        n = round(side / step)
        is_even = np.allclose(np.diff(places), step, rtol=0, atol=1e-6 * step)
        if is_even and len(places) <= n and abs(n * step - side) < 1e-6 * side:
            first = min(max(round(float(places[0]) / step - 0.5), 0), n - len(places))
            shift = float(places[0]) - (first + 0.5) * step
            return EvenSampler(field, axis, n, slice(first, first + len(places)), shift)
    return FreeSampler(field.waves(axis, places))


class FreeSampler:
    """Values anywhere: a matrix product.

    Parameters
    ----------
    waves : ndarray
        Shape (P, K): from `CosineField.waves`.
    """

    def __init__(self, waves: NDArray[np.float32]) -> None:
        self._waves = waves

    def __call__(self, coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """Evaluate along the first axis.

        Parameters
        ----------
        coefficients : ndarray
            Shape (k, M), k at most K.

        Returns
        -------
        ndarray
            Shape (P, M).
        """
        sampled: NDArray[np.float32] = self._waves[:, : len(coefficients)] @ coefficients
        return sampled


class EvenSampler:
    """Values at the middles of n equal parts of the field, all displaced by one shift.

    On n samples a wave beyond their Nyquist frequency looks like one below it, so that the coefficients fold onto n;
    the shift turns cosines into cosines and sines. Two short transforms are left.

    Parameters
    ----------
    field : CosineField
        The image.
    axis : int
        0 for y, 1 for x.
    n : int
        Parts.
    kept : slice
        Samples wanted.
    shift_px : float
        Displacement of the samples in pixels of the image.
    """

    def __init__(self, field: CosineField, axis: int, n: int, kept: slice, shift_px: float) -> None:
        side = field.shape[axis]
        k = np.arange(field.coefficients.shape[axis])
        scale = np.where(k == 0, math.sqrt(1 / side), math.sqrt(2 / side))
        angle = math.pi * shift_px * k / side
        self._n, self._kept = n, kept
        self._cosine = (scale * np.cos(angle)).astype(np.float32)
        self._sine = (-scale * np.sin(angle)).astype(np.float32) if shift_px else None

    def __call__(self, coefficients: NDArray[np.float32]) -> NDArray[np.float32]:
        """Evaluate along the first axis.

        Parameters
        ----------
        coefficients : ndarray
            Shape (k, M), k at most K.

        Returns
        -------
        ndarray
            Shape (P, M).
        """
        n = self._n
        even = _folded(coefficients * self._cosine[: len(coefficients), None], n, odd=False)
        # A type 3 transform counts every wave but the first twice.
        even[1:] /= 2
        sampled: Any = fft.dct(even[:n], type=3, axis=0, overwrite_x=True)
        if self._sine is not None:
            odd = _folded(coefficients * self._sine[: len(coefficients), None], n, odd=True)
            odd[1:n] /= 2
            sampled += fft.dst(odd[1:], type=3, axis=0, overwrite_x=True)
        kept: NDArray[np.float32] = sampled[self._kept]
        return kept


def _folded(coefficients: NDArray[np.float32], n: int, *, odd: bool) -> NDArray[np.float32]:
    """Shape (n + 1, M): coefficients of waves that n samples cannot tell apart, added up with their signs."""
    folded = np.zeros((n + 1, coefficients.shape[1]), dtype=np.float32)
    for start in range(0, len(coefficients), n):
        part = coefficients[start : start + n]
        turn, backwards = divmod(start // n, 2)
        if not backwards:
            folded[: len(part)] += part if turn % 2 == 0 else -part
        else:
            # Waves n + i look like waves n - i of the next turn, sines with the sign changed.
            sign = (-1.0 if (turn + 1) % 2 else 1.0) * (-1.0 if odd else 1.0)
            folded[n - len(part) + 1 :][::-1][: len(part)] += np.float32(sign) * part
    if not odd:
        folded[n] = 0
    return folded
