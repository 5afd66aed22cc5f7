"""The objective of 2018: look like the long acquisition, fool a critic, and agree with the wide-field.

Generator, critic and low-resolution network learn in the same step: each term reaches only the network it is for,
because the others take part with their weights held still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from stormcell.learning.annapalm_loss import DISPERSION_WEIGHT, likelihood_loss
from stormcell.learning.annapalm_similarity import blur, image_loss, ms_ssim_map
from stormcell.networks.annapalm_published import (
    LOW_RESOLUTION,
    LowResolutionNet,
    PatchDiscriminator,
    as_image,
    visible,
)

if TYPE_CHECKING:
    from stormcell.learning.annapalm_data import DensifyBatch
    from stormcell.networks.annapalm import DensifyInput, DensifyOutput

ADVERSARIAL_WEIGHT = 0.02
CONSISTENCY_WEIGHT = 0.2
_TARGET_BLUR_PX = 0.7


class Ensemble2018(nn.Module):
    """The three networks of 2018, trained together.

    Parameters
    ----------
    generator : torch.nn.Module
        A network with the interface of `DensifyNet`.
    discriminator_width : int
        Channels of the critic's first layer.
    """

    def __init__(self, generator: nn.Module, discriminator_width: int = 64) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = PatchDiscriminator(discriminator_width)
        self.low_resolution = LowResolutionNet()

    def forward(self, given: DensifyInput) -> DensifyOutput:
        """Run the generator.

        Parameters
        ----------
        given : DensifyInput
            What it sees.

        Returns
        -------
        DensifyOutput
            What it draws.
        """
        drawn: DensifyOutput = self.generator(given)
        return drawn


def adversarial_loss(networks: Ensemble2018, batch: DensifyBatch) -> dict[str, Tensor]:
    """Score all three networks on a batch.

    Parameters
    ----------
    networks : Ensemble2018
        What is trained.
    batch : DensifyBatch
        What was seen and what the long acquisition gave.

    Returns
    -------
    dict
        Total under "loss", and its parts.
    """
    output = networks(batch.given)
    density = batch.given.log_events_per_um2
    drawn = as_image(torch.exp(output.log_rate), density)
    target = blur(batch.target / batch.target_ratio[:, None, None, None], _TARGET_BLUR_PX)
    real = as_image(target, density)
    drawn, real = drawn * batch.inside, real * batch.inside
    seen = visible(batch.given)
    critic, low_resolution = networks.discriminator, networks.low_resolution
    fooled = (_held_still(critic, drawn, seen) - 1).square().mean()
    judged = 0.5 * ((critic(real, seen) - 1).square().mean() + critic(drawn.detach(), seen).square().mean())
    parts = {
        "image": image_loss(drawn, real),
        "fooled": fooled,
        "critic": judged,
        "dispersion": likelihood_loss(output, batch)["dispersion"],
    }
    known = ~torch.isnan(batch.widefield).flatten(1).any(dim=1)
    widefield = F.avg_pool2d(batch.widefield[known], LOW_RESOLUTION).clamp(0, 1)
    nothing = drawn.new_zeros(())
    parts["low_resolution"] = parts["consistency"] = nothing
    if bool(known.any()):
        parts["low_resolution"] = 1 - ms_ssim_map(low_resolution(real[known]), widefield).mean()
        predicted = _held_still(low_resolution, drawn[known])
        parts["consistency"] = 1 - ms_ssim_map(predicted, widefield).mean()
    total = parts["image"] + ADVERSARIAL_WEIGHT * parts["fooled"] + CONSISTENCY_WEIGHT * parts["consistency"]
    total = total + parts["critic"] + parts["low_resolution"] + DISPERSION_WEIGHT * parts["dispersion"]
    return {"loss": total, **parts}


def _held_still(network: nn.Module, *inputs: Tensor) -> Tensor:
    """Run a network whose weights get no gradient, while its inputs do."""
    weights = {name: value.detach() for name, value in network.named_parameters()}
    result: Tensor = functional_call(network, weights, inputs)
    return result
