"""Best-fit Gaussians of noise-free spot images: they define position zero, width and lost tail of every PSF."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from stormcell.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

WINDOW_PX = 7
"""Side of the fit window in camera pixels."""

_ITERATIONS = 60


@dataclass(frozen=True)
class GaussianFits:
    """Integrated Gaussians fitted by least squares, one per image; all tensors of shape (N,)."""

    x_px: Tensor
    """Centre along x from the window's centre, px."""
    y_px: Tensor
    """Centre along y from the window's centre, px."""
    sigma_px: Tensor
    """Standard deviation before integration over the pixel, px."""
    photons: Tensor
    """Total of the Gaussian, in the units of the image."""
    background: Tensor
    """Constant under the Gaussian, per pixel."""


def fit_gaussians(images: Tensor) -> GaussianFits:
    """Fit a pixel-integrated circular Gaussian plus constant to each image, unweighted least squares.

    Parameters
    ----------
    images : Tensor
        Shape (N, W, W) with W odd, noise-free, the spot near the centre.

    Returns
    -------
    GaussianFits
        In double precision.

    Raises
    ------
    InputError
        The images are not square with an odd side.
    """
    side = images.shape[-1]
    if images.ndim != 3 or images.shape[-2] != side or side % 2 == 0:
        msg = f"expected images of shape (N, W, W) with W odd, got {tuple(images.shape)}"
        raise InputError(msg)
    data = images.to(torch.float64)
    scale = data.sum(dim=(1, 2)).clamp_min(1e-30)
    data = data / scale[:, None, None]
    parameters = _start(data)
    damping = torch.full((len(data),), 1e-3, dtype=torch.float64, device=data.device)
    model, jacobian = _model(parameters, side)
    cost = (data - model).square().sum(dim=(1, 2))
    for _ in range(_ITERATIONS):
        flat = jacobian.flatten(2)
        hessian = flat @ flat.mT
        gradient = (flat @ (data - model).flatten(1)[:, :, None])[:, :, 0]
        damped = hessian + torch.diag_embed(hessian.diagonal(dim1=1, dim2=2) * damping[:, None] + 1e-14)
        step = torch.linalg.solve(damped, gradient)
        trial = parameters + step
        trial[:, 2] = trial[:, 2].clamp(0.2, side)
        trial_model, trial_jacobian = _model(trial, side)
        trial_cost = (data - trial_model).square().sum(dim=(1, 2))
        better = trial_cost <= cost
        parameters = torch.where(better[:, None], trial, parameters)
        cost = torch.where(better, trial_cost, cost)
        model = torch.where(better[:, None, None], trial_model, model)
        jacobian = torch.where(better[:, None, None, None], trial_jacobian, jacobian)
        damping = torch.where(better, damping * 0.2, damping * 5).clamp(1e-9, 1e6)
        if bool((step.abs().amax(dim=1) < 1e-6).all()):
            break
    x, y, sigma, photons, background = parameters.T
    return GaussianFits(x, y, sigma, photons * scale, background * scale)


def _start(data: Tensor) -> Tensor:
    """Guess (x, y, sigma, photons, background) from moments above the window's rim."""
    side = data.shape[-1]
    axis = torch.arange(side, dtype=data.dtype, device=data.device) - side // 2
    rim = torch.cat([data[:, 0], data[:, -1], data[:, :, 0], data[:, :, -1]], dim=1)
    background = rim.amin(dim=1)
    light = (data - background[:, None, None]).clamp_min(0)
    total = light.sum(dim=(1, 2)).clamp_min(1e-12)
    x = (light.sum(1) * axis).sum(1) / total
    y = (light.sum(2) * axis).sum(1) / total
    spread = ((light.sum(1) * axis.square()).sum(1) + (light.sum(2) * axis.square()).sum(1)) / total / 2
    sigma = (spread - (x**2 + y**2) / 2).clamp(0.3, 6.0).sqrt() * 0.9
    return torch.stack([x, y, sigma, total, background], dim=1)


def _model(parameters: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Images (N, W, W) and their derivatives (N, 5, W, W)."""
    x, y, sigma, photons, background = (column[:, None] for column in parameters.T)
    axis = torch.arange(side, dtype=parameters.dtype, device=parameters.device) - side // 2
    ex, dx, sx = _profile(axis - x, sigma)
    ey, dy, sy = _profile(axis - y, sigma)
    shape = ey[:, :, None] * ex[:, None, :]
    n = photons[:, :, None]
    model = n * shape + background[:, :, None]
    jacobian = torch.stack(
        [
            n * ey[:, :, None] * dx[:, None, :],
            n * dy[:, :, None] * ex[:, None, :],
            n * (ey[:, :, None] * sx[:, None, :] + sy[:, :, None] * ex[:, None, :]),
            shape,
            torch.ones_like(shape),
        ],
        dim=1,
    )
    return model, jacobian


def _profile(offset: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Share of a 1-D Gaussian in pixels at the given offsets; derivatives by centre and by sigma."""
    upper, lower = (offset + 0.5) / sigma, (offset - 0.5) / sigma
    share = 0.5 * (torch.erf(upper / math.sqrt(2)) - torch.erf(lower / math.sqrt(2)))
    density_upper = torch.exp(-0.5 * upper**2) / (math.sqrt(2 * math.pi) * sigma)
    density_lower = torch.exp(-0.5 * lower**2) / (math.sqrt(2 * math.pi) * sigma)
    return share, density_lower - density_upper, lower * density_lower - upper * density_upper
