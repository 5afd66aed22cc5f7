"""Multi-scale structural similarity as ANNA-PALM uses it: full resolution, five Gaussian widths."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

WIDTHS_PX = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the windows, pixels."""
_K1, _K2 = 0.01, 0.03


def blur(images: Tensor, sigma_px: float, radius_px: int | None = None) -> Tensor:
    """Average with a Gaussian window, normalised where it sticks out.

    Parameters
    ----------
    images : Tensor
        Shape (B, 1, Y, X).
    sigma_px : float
        Standard deviation.
    radius_px : int, optional
        Where the window is cut; None takes 3.5 standard deviations.

    Returns
    -------
    Tensor
        The same shape.
    """
    radius = math.ceil(3.5 * sigma_px) if radius_px is None else radius_px
    place = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    window = torch.exp(-0.5 * (place / sigma_px) ** 2)
    window = window / window.sum()
    weight = images.new_ones(1, 1, *images.shape[-2:])
    both = torch.cat([images, weight])
    both = F.conv2d(both, window[None, None, :, None], padding=(radius, 0))
    both = F.conv2d(both, window[None, None, None, :], padding=(0, radius))
    return both[:-1] / both[-1:]


def similarity_parts(
    images: Tensor, references: Tensor, sigma_px: float, radius_px: int | None = None
) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure parts of the structural similarity, for values from 0 to 1.

    Parameters
    ----------
    images, references : Tensor
        Shape (B, 1, Y, X).
    sigma_px : float
        Width of the window.
    radius_px : int, optional
        Where the window is cut.

    Returns
    -------
    tuple of Tensor
        Maps (B, 1, Y, X); their product is the structural similarity of Wang et al. (2004),
        doi:10.1109/TIP.2003.819861.
    """
    n = len(images)
    stack = torch.cat([images, references, images**2, references**2, images * references])
    mean_x, mean_y, xx, yy, xy = blur(stack, sigma_px, radius_px).split(n)
    luminance = (2 * mean_x * mean_y + _K1**2) / (mean_x**2 + mean_y**2 + _K1**2)
    structure = (2 * (xy - mean_x * mean_y) + _K2**2) / (xx - mean_x**2 + yy - mean_y**2 + _K2**2)
    return luminance, structure


def ms_ssim_map(images: Tensor, references: Tensor) -> Tensor:
    """Multi-scale structural similarity at full resolution, per pixel.

    Parameters
    ----------
    images, references : Tensor
        Shape (B, 1, Y, X), values from 0 to 1.

    Returns
    -------
    Tensor
        Shape (B, 1, Y, X), 1 where equal: the luminance at the widest window times the contrast-structure at all
        widths, as Zhao et al., "Loss functions for image restoration with neural networks" (2017),
        doi:10.1109/TCI.2016.2644865.
    """
    product = torch.ones_like(images)
    for sigma in WIDTHS_PX:
        luminance, structure = similarity_parts(images, references, sigma)
        product = product * F.relu(structure)
    return product * luminance


def image_loss(images: Tensor, references: Tensor) -> Tensor:
    """Distance of two images: 0.84 (1 - MS-SSIM) + 0.16 times their difference, Gaussian-weighted.

    Parameters
    ----------
    images, references : Tensor
        Shape (B, 1, Y, X), values from 0 to 1.

    Returns
    -------
    Tensor
        A number, 0 for equal images.
    """
    difference = blur((images - references).abs(), WIDTHS_PX[-1])
    return (0.84 * (1 - ms_ssim_map(images, references)) + 0.16 * difference).mean()
