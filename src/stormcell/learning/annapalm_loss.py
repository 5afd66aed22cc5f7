"""What a predicted rate is judged by: the likelihood of counts it was not shown, from coarse to fine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from stormcell.learning.annapalm_data import DensifyBatch
    from stormcell.networks.annapalm import DensifyOutput

SCALES = ((1, 1.0), (2, 0.3), (4, 0.3), (8, 0.2))
"""Pixels summed along each axis (20, 40, 80, 160 nm), and the weight of the likelihood of the sums."""
DISPERSION_WEIGHT = 0.1
_QUIET_EVENTS = 30.0


def poisson_loss(rate: Tensor, counts: Tensor) -> Tensor:
    """Negative log-likelihood of Poisson counts without its constant.

    Parameters
    ----------
    rate : Tensor
        Expected counts, > 0.
    counts : Tensor
        Counts of the same shape.

    Returns
    -------
    Tensor
        The same shape.
    """
    return rate - counts * torch.log(rate.clamp(min=1e-12))


def negative_binomial_loss(rate: Tensor, dispersion: Tensor, counts: Tensor) -> Tensor:
    """Negative log-likelihood of counts whose rate is itself uncertain, gamma-distributed.

    Parameters
    ----------
    rate : Tensor
        Expected counts, > 0.
    dispersion : Tensor
        Squared relative standard deviation of the rate: the variance of the counts is rate + dispersion rate^2.
    counts : Tensor
        Counts of the same shape.

    Returns
    -------
    Tensor
        The same shape.
    """
    shape = 1.0 / dispersion
    total = torch.log(shape + rate)
    return (
        torch.lgamma(shape)
        + torch.lgamma(counts + 1)
        - torch.lgamma(counts + shape)
        - shape * (torch.log(shape) - total)
        - counts * (torch.log(rate.clamp(min=1e-12)) - total)
    )


def likelihood_loss(output: DensifyOutput, batch: DensifyBatch) -> dict[str, Tensor]:
    """Score predicted rates and their spread on the held-out counts of the long acquisition.

    Parameters
    ----------
    output : DensifyOutput
        At the exposure of the input.
    batch : DensifyBatch
        With the target and its exposure.

    Returns
    -------
    dict
        Total under "loss"; "rate" per event of the target, relative to an even field of the right density; and
        "dispersion" per cell of the foreground.
    """
    inside = batch.inside
    rate = torch.exp(output.log_rate + torch.log(batch.target_ratio)[:, None, None, None]) * inside
    # where a simulation knows the mean of the counts it takes their place: the same loss on average, less noise
    target = batch.expected * inside
    events = target.sum(dim=(1, 2, 3))
    parts = torch.zeros((), device=rate.device)
    for size, weight in SCALES:
        expected, counted = (size**2 * F.avg_pool2d(image, size) for image in (rate, target))
        loss = poisson_loss(expected, counted).sum(dim=(1, 2, 3))
        level = (size**2 * events / inside.sum(dim=(1, 2, 3)).clamp(min=1)).clamp(min=1e-6)
        even = events - events * torch.log(level)
        parts = parts + weight * ((loss - even) / (events + _QUIET_EVENTS)).mean()
    expected, counted = (4 * F.avg_pool2d(image, 2) for image in (rate.detach(), batch.target * inside))
    dispersion = torch.exp(output.log_dispersion)
    cells = negative_binomial_loss(expected.clamp(min=1e-6), dispersion, counted) * F.avg_pool2d(inside, 2)
    spread = (cells.sum(dim=(1, 2, 3)) / (expected.clamp(max=1.0).sum(dim=(1, 2, 3)) + 10.0)).mean()
    return {"loss": parts + DISPERSION_WEIGHT * spread, "rate": parts, "dispersion": spread}
