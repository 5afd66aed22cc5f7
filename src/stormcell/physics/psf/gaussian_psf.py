"""The pixel-integrated Gaussian in torch: elliptical, a sigma per emitter, differentiable in everything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def gaussian_psf_images(
    x_px: Tensor,
    y_px: Tensor,
    photons: Tensor,
    sigma_x_px: Tensor,
    sigma_y_px: Tensor,
    shape: tuple[int, int],
) -> Tensor:
    """Draw Gaussian emitters, each into a field of its own; agrees with `physics.gaussian` to rounding.

    Parameters
    ----------
    x_px, y_px : Tensor
        Shape (N,), positions from the field's outer corner; pixel i has its centre at i + 0.5.
    photons : Tensor
        Shape (N,), total of the Gaussian.
    sigma_x_px, sigma_y_px : Tensor
        Shape (N,), standard deviations before integration over the pixel, > 0.
    shape : tuple of int
        (rows, columns).

    Returns
    -------
    Tensor
        Shape (N, rows, columns), photons per pixel.
    """
    along_x = _shares(x_px, sigma_x_px, shape[1])
    along_y = _shares(y_px, sigma_y_px, shape[0])
    return photons[:, None, None] * along_y[:, :, None] * along_x[:, None, :]


def _shares(centre: Tensor, sigma: Tensor, n_pixels: int) -> Tensor:
    edges = torch.arange(n_pixels + 1, dtype=centre.dtype, device=centre.device)
    rise: Tensor = 0.5 * torch.erf((edges - centre[:, None]) / (math.sqrt(2) * sigma[:, None]))
    return rise[:, 1:] - rise[:, :-1]
