"""Camera noise in torch, for accelerators: the distributions of `simulation.noise`, from the device's generator."""

from __future__ import annotations

import torch
from torch import Tensor

_TRIES = 8
"""Each try of the gamma method is accepted in more than 95 of 100 cases."""


def record_on_device(
    expected_e: Tensor, read_noise_e: Tensor, grey_step_e: Tensor, is_emccd: Tensor, generator: torch.Generator
) -> Tensor:
    """Record expected light with cameras, in input-referred electrons.

    Parameters
    ----------
    expected_e : Tensor
        Shape (B, T, Y, X), expected electrons per pixel.
    read_noise_e : Tensor
        Shape (B, Y, X), standard deviation of the read noise in input-referred electrons.
    grey_step_e : Tensor
        Shape (B,), electrons per grey value, > 0; the values are rounded to it.
    is_emccd : Tensor
        Shape (B,), bool: whether the light passes a multiplication register.
    generator : torch.Generator
        On the same device.

    Returns
    -------
    Tensor
        Shape (B, T, Y, X): (ADU - offset) * gain / em_gain as a camera would give it.
    """
    electrons = torch.poisson(expected_e.clamp_min(0), generator=generator)
    multiplied = _multiply(electrons, generator)
    electrons = torch.where(is_emccd[:, None, None, None], multiplied, electrons)
    noise = torch.randn(electrons.shape, generator=generator, device=electrons.device)
    electrons = electrons + noise * read_noise_e[:, None]
    step = grey_step_e[:, None, None, None]
    return torch.floor(electrons / step + 0.5) * step


def _multiply(electrons: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma numbers of these shapes, by Marsaglia and Tsang's method with a fixed number of tries."""
    d = (electrons - 1 / 3).clamp_min(2 / 3)
    out = d.clone()
    is_open = electrons > 0
    for _ in range(_TRIES):
        x = torch.randn(electrons.shape, generator=generator, device=electrons.device)
        u = torch.rand(electrons.shape, generator=generator, device=electrons.device)
        v = (1 + x / (9 * d).sqrt()) ** 3
        accepted = is_open & (v > 0) & (u.log() < 0.5 * x**2 + d * (1 - v + v.clamp_min(1e-30).log()))
        out = torch.where(accepted, d * v, out)
        is_open = is_open & ~accepted
    return torch.where(electrons > 0, out, torch.zeros_like(out))
