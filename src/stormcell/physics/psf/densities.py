"""Analytic light densities on the fine grid: Gaussians and halos."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from stormcell.physics.psf.spline_table import fine_offsets_px


def gaussian_density(sigma_along_px: float, sigma_across_px: float, angle_rad: float = 0.0) -> Tensor:
    """Sample a two-dimensional Gaussian.

    Parameters
    ----------
    sigma_along_px, sigma_across_px : float
        Standard deviations along and across the direction of `angle_rad`, camera px.
    angle_rad : float
        Direction from x towards y.

    Returns
    -------
    Tensor
        Shape (128, 128), float64, sum 1.
    """
    offsets = fine_offsets_px()
    x, y = offsets[None, :], offsets[:, None]
    along = (x * math.cos(angle_rad) + y * math.sin(angle_rad)) / sigma_along_px
    across = (y * math.cos(angle_rad) - x * math.sin(angle_rad)) / sigma_across_px
    image = np.exp(-0.5 * (along**2 + across**2))
    return torch.from_numpy(image / image.sum())


def gaussian_halo(sigma_px: float) -> Tensor:
    """Sample a wide round Gaussian.

    Parameters
    ----------
    sigma_px : float
        Standard deviation, camera px.

    Returns
    -------
    Tensor
        Shape (128, 128), float64, sum 1.
    """
    return gaussian_density(sigma_px, sigma_px)


def lorentzian_halo(width_px: float) -> Tensor:
    """Sample a halo whose density falls with the third power of the distance.

    Parameters
    ----------
    width_px : float
        Distance at which it has fallen to 0.35 of its peak, camera px.

    Returns
    -------
    Tensor
        Shape (128, 128), float64, sum 1 over the grid.
    """
    offsets = fine_offsets_px()
    square = offsets[:, None] ** 2 + offsets[None, :] ** 2
    image = (1 + square / width_px**2) ** -1.5
    return torch.from_numpy(image / image.sum())
