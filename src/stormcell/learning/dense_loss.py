"""The count-aware Gaussian-mixture loss of the dense network.

After DECODE (Speiser et al. 2021, doi 10.1038/s41592-021-01236-x): the number of emitters in a frame is scored under
the Poisson-binomial count of all pixels (normal approximation), each emitter under the mixture of the components.
Differs from the paper: components farther than `WINDOW_PX` from an emitter are left out (too far to explain it),
the amplitude is log-normal, the background has a standard deviation, and the PSF descriptor is predicted too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from stormcell.networks.dense import DenseOutput

WINDOW_PX = 2
_LOG_2PI = math.log(2 * math.pi)


class EmitterBatch(NamedTuple):
    """True emitters of a batch, padded to the same number."""

    x_px: Tensor
    """(B, M) columns from the outer corner of the first pixel."""
    y_px: Tensor
    log_electrons: Tensor
    """(B, M) log of the network electrons of each emitter in this frame."""
    mask: Tensor
    """(B, M) bool: True where there is an emitter to be found inside the frame."""


class DenseLoss(NamedTuple):
    """Mean loss and its parts."""

    total: Tensor
    number: Tensor
    position: Tensor
    background: Tensor
    descriptor: Tensor


def dense_loss(
    output: DenseOutput,
    emitters: EmitterBatch,
    background_vst: Tensor,
    descriptor: Tensor,
    true_descriptor: Tensor,
) -> DenseLoss:
    """Score a prediction against the truth.

    Parameters
    ----------
    output : DenseOutput
        Network output, (B, Y, X) each.
    emitters : EmitterBatch
        The truth.
    background_vst : Tensor
        (B, Y, X) true background, stabilised like the network's.
    descriptor : Tensor
        (B, 2 n) predicted PSF descriptor: mean and log standard deviation.
    true_descriptor : Tensor
        (B, n).

    Returns
    -------
    DenseLoss
        Scalars.
    """
    number = _number_loss(output.logit, emitters)
    position = _position_loss(output, emitters)
    residual = (output.background_vst - background_vst) * torch.exp(-output.log_sigma_background)
    background = (0.5 * residual.clamp(-30, 30) ** 2 + output.log_sigma_background).mean()
    mean, log_sigma = descriptor.chunk(2, dim=1)
    log_sigma = log_sigma.clamp(-5.0, 3.0)
    deviation = (mean - true_descriptor) * torch.exp(-log_sigma)
    described = (0.5 * deviation.clamp(-30, 30) ** 2 + log_sigma).mean()
    total = number + position + 0.1 * background + 0.05 * described
    return DenseLoss(total, number.detach(), position.detach(), background.detach(), described.detach())


def _number_loss(logit: Tensor, emitters: EmitterBatch) -> Tensor:
    """Negative log-likelihood of the number of emitters in each frame, in nats per emitter."""
    probability = torch.sigmoid(logit).flatten(1)
    expected = probability.sum(dim=1)
    variance = (probability * (1 - probability)).sum(dim=1) + 0.05
    number = emitters.mask.sum(dim=1)
    nll = 0.5 * (number - expected) ** 2 / variance + 0.5 * torch.log(variance)
    return nll.sum() / (emitters.mask.sum() + logit.shape[0])


def _position_loss(output: DenseOutput, emitters: EmitterBatch) -> Tensor:
    """Negative log-density of each emitter under the mixture, averaged over emitters."""
    batch, height, width = output.logit.shape
    x0 = emitters.x_px.floor().long()
    y0 = emitters.y_px.floor().long()
    steps = torch.arange(-WINDOW_PX, WINDOW_PX + 1, device=x0.device)
    rows = y0[:, :, None, None] + steps[None, None, :, None]
    columns = x0[:, :, None, None] + steps[None, None, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(1)
    inside = inside.flatten(2)

    def near(values: Tensor) -> Tensor:
        return values.reshape(batch, -1).gather(1, index).view(inside.shape)

    centre_x = columns.expand(-1, -1, steps.numel(), -1).flatten(2) + 0.5
    centre_y = rows.expand(-1, -1, -1, steps.numel()).flatten(2) + 0.5
    log_density = torch.zeros_like(centre_x)
    for truth, mean, log_sigma in (
        (emitters.x_px, centre_x + near(output.x_offset_px), near(output.log_sigma_x_px)),
        (emitters.y_px, centre_y + near(output.y_offset_px), near(output.log_sigma_y_px)),
        (emitters.log_electrons, near(output.log_electrons), near(output.log_sigma_electrons)),
    ):
        z = (truth[:, :, None] - mean) * torch.exp(-log_sigma)
        log_density = log_density - 0.5 * z**2 - log_sigma - 0.5 * _LOG_2PI
    # weights of a mixture over the whole frame: this term alone fixes where, the number term how many
    log_expected = torch.sigmoid(output.logit).flatten(1).sum(dim=1).log()
    log_weight = F.logsigmoid(near(output.logit)) - log_expected[:, None, None]
    log_mixture = torch.logsumexp((log_weight + log_density).masked_fill(~inside, -1e4), dim=2)
    log_mixture = log_mixture.clamp(min=-30.0)
    return -(log_mixture * emitters.mask).sum() / (emitters.mask.sum() + 1)
