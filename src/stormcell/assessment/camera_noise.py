"""The noise of the wide-field image, for residuals in standard deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CameraNoise(Settings):
    """What turns wide-field pixel values into electrons, and how many frames were averaged."""

    gain_e_per_adu: float = Field(gt=0)
    """Electrons per unit of the wide-field image; 1 where it is in electrons already."""
    offset_adu: float = Field(default=0.0)
    """Pixel value without light."""
    read_noise_e: float = Field(default=0.0, ge=0)
    """Read noise of one frame, standard deviation in electrons."""
    excess_noise_factor: float = Field(default=1.0, ge=1, le=2)
    """Factor on the photon variance: 2 for an EMCCD with gain, 1 for others."""
    n_frames: int = Field(default=1, ge=1)
    """Frames of which the wide-field image is the mean."""

    def standard_deviation(self, expected: NDArray[Any]) -> NDArray[np.float64]:
        """Give the noise of pixels whose expected values are known.

        Parameters
        ----------
        expected : ndarray
            Noise-free pixel values in units of the image.

        Returns
        -------
        ndarray
            Same shape and units; at least the noise of one tenth of an electron.
        """
        electrons = np.maximum((np.asarray(expected, dtype=np.float64) - self.offset_adu) * self.gain_e_per_adu, 0.0)
        variance = electrons * self.excess_noise_factor + self.read_noise_e**2
        deviation: NDArray[np.float64] = np.sqrt(np.maximum(variance, 0.01) / self.n_frames) / self.gain_e_per_adu
        return deviation


def noise_of_residual(
    residual: NDArray[Any], widefield: NDArray[Any], camera: CameraNoise | None = None
) -> NDArray[np.float64]:
    """Give the noise of every wide-field pixel of a comparison.

    Parameters
    ----------
    residual : ndarray
        Shape (Y, X): wide-field minus explained.
    widefield : ndarray
        Shape (Y, X): the wide-field pixels.
    camera : CameraNoise, optional
        The camera; without it one number for all pixels, from the scatter of neighbouring residuals.

    Returns
    -------
    ndarray
        Shape (Y, X), standard deviations in units of the wide-field image.
    """
    values = np.asarray(residual, dtype=np.float64)
    if camera is not None:
        return camera.standard_deviation(np.asarray(widefield, dtype=np.float64) - values)
    # Second differences leave the noise and take away whatever is smooth over two pixels.
    rough = values[1:-1, 1:-1] - (values[:-2, 1:-1] + values[2:, 1:-1]) / 2
    deviation = 1.4826 * float(np.median(np.abs(rough))) / np.sqrt(1.5)
    return np.full(values.shape, max(deviation, 1e-12))
