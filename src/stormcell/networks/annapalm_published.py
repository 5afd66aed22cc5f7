"""The networks of 2018: a U-Net generator, a discriminator of patches, and a network that predicts the wide-field.

Built from the published descriptions: Ouyang et al., Nat. Biotechnol. 36, 460 (2018), doi:10.1038/nbt.4106; Isola et
al., "Image-to-image translation with conditional adversarial networks", CVPR 2017, doi:10.1109/CVPR.2017.632. Ours
differs: the decoder resizes and convolves, and the condition modulates behind the norms (FiLM).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stormcell.networks.annapalm import (
    EMBEDDING,
    SR_PIXEL_SIZE_NM,
    STRUCTURE_LABELS,
    DensifyInput,
    DensifyOutput,
    Film,
    condition_vector,
)

HALF_RATE = 10.0
"""Rate, in units of the field's mean, that the generator draws as 0.5; an image value y stands for 10 y / (1 - y)."""
PATCH_LAYERS = ((4, 2), (4, 2), (4, 2), (4, 1), (4, 1))
"""Kernel and stride of the discriminator's convolutions."""
LOW_RESOLUTION = 4
"""Super-resolution pixels along the side of a pixel of the predicted wide-field."""
_SLOPE = 0.2


@dataclass(frozen=True)
class PublishedArchitecture:
    """Sizes of the generator.

    Parameters
    ----------
    widths : tuple of int
        Channels of each level, each at half the resolution of the one before.
    dropout : float
        Share of the activations dropped in the two deepest levels of the decoder while training.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    dropout: float = 0.5


class _Level(nn.Module):
    """Convolution, instance norm without running statistics, FiLM."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=1)
        self.norm = nn.InstanceNorm2d(n_out, affine=True)
        self.film = Film(n_out)
        nn.init.normal_(self.conv.weight, std=0.02)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        modulated: Tensor = self.film(self.norm(self.conv(x)), code)
        return modulated


class PublishedGenerator(nn.Module):
    """U-Net of the pix2pix family with the interface of `DensifyNet`.

    Its norms use statistics of the whole input, so that an image must go through in one piece.

    Parameters
    ----------
    architecture : PublishedArchitecture
        Its sizes.
    """

    name = "annapalm-2018"
    version = 1
    needs_whole_image = True

    def __init__(self, architecture: PublishedArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or PublishedArchitecture()
        widths = self.architecture.widths
        n_code = len(STRUCTURE_LABELS) + 5
        self.embed = nn.Sequential(nn.Linear(n_code, EMBEDDING), nn.LeakyReLU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.first = nn.Conv2d(4, widths[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(_Level(n_in, n_out, kernel=4, stride=2) for n_in, n_out in pairwise(widths))
        pairs = list(pairwise(widths))
        self.up = nn.ModuleList(
            _Level(n_deep * (1 if k == len(pairs) - 1 else 2), n_out, kernel=3, stride=1)
            for k, (n_out, n_deep) in enumerate(pairs)
        )
        self.dispersion = nn.Conv2d(2 * widths[0], 1, 1)
        self.head = nn.Conv2d(2 * widths[0], 1, 3, padding=1)
        for layer in (self.first, self.head, self.dispersion):
            nn.init.normal_(layer.weight, std=0.02)
        # an empty pixel is the most likely one
        nn.init.constant_(self.head.bias, -3.0)  # type: ignore[arg-type]

    @property
    def multiple_px(self) -> int:
        """Field sides must be multiples of this, so that no norm is left with a single pixel; inference pads."""
        return int(2 ** (len(self.architecture.widths) + 1))

    def forward(self, given: DensifyInput) -> DensifyOutput:
        """Draw the dense image.

        Parameters
        ----------
        given : DensifyInput
            Counts, wide-field, masks and condition.

        Returns
        -------
        DensifyOutput
            The image as rates at the exposure of the input (see `as_image`).
        """
        code = self.embed(condition_vector(given))
        x = self.first(visible(given))
        kept = [x]
        for level in self.down:
            x = level(F.leaky_relu(x, _SLOPE), code)
            kept.append(x)
        for depth in reversed(range(len(self.up))):
            x = F.interpolate(F.relu(x), scale_factor=2, mode="nearest")
            x = self.up[depth](x, code)
            if depth >= len(self.up) - 2:
                x = F.dropout(x, self.architecture.dropout, training=self.training)
            x = torch.cat([x, kept[depth]], dim=1)
        x = F.relu(x)
        logit = self.head(F.interpolate(x, scale_factor=2, mode="nearest")).float()
        base = given.log_events_per_um2 + 2 * math.log(SR_PIXEL_SIZE_NM / 1000) + math.log(HALF_RATE)
        return DensifyOutput(
            log_rate=base[:, None, None, None] + logit.clamp(-12.0, 6.0),
            log_dispersion=self.dispersion(x).float().clamp(-6.0, 4.0),
        )


def visible(given: DensifyInput) -> Tensor:
    """Stack what a network of images sees.

    Parameters
    ----------
    given : DensifyInput
        Counts, wide-field, masks.

    Returns
    -------
    Tensor
        Shape (B, 4, Y, X).
    """
    return torch.cat([torch.log1p(given.counts), given.widefield, given.mask], dim=1)


def as_image(rate: Tensor, log_events_per_um2: Tensor) -> Tensor:
    """Compress rates to an image between 0 and 1.

    Parameters
    ----------
    rate : Tensor
        (B, 1, Y, X) events per pixel at the exposure of the input.
    log_events_per_um2 : Tensor
        (B,) density of the field at that exposure.

    Returns
    -------
    Tensor
        (B, 1, Y, X) r / (r + 10), r being the rate over the field's mean.
    """
    base = torch.exp(log_events_per_um2)[:, None, None, None] * (SR_PIXEL_SIZE_NM / 1000) ** 2
    relative = rate / base
    return relative / (relative + HALF_RATE)


class PatchDiscriminator(nn.Module):
    """Judge every patch of 70 x 70 pixels of an image, given what the generator saw.

    Parameters
    ----------
    width : int
        Channels of the first layer.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [5, width, 2 * width, 4 * width, 8 * width, 1]
        layers: list[nn.Module] = []
        for k, (kernel, stride) in enumerate(PATCH_LAYERS):
            layers.append(nn.Conv2d(widths[k], widths[k + 1], kernel, stride=stride, padding=1))
            nn.init.normal_(layers[-1].weight, std=0.02)  # type: ignore[arg-type]
            if 0 < k < len(PATCH_LAYERS) - 1:
                layers.append(nn.InstanceNorm2d(widths[k + 1], affine=True))
            if k < len(PATCH_LAYERS) - 1:
                layers.append(nn.LeakyReLU(_SLOPE))
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor, seen: Tensor) -> Tensor:
        """Judge.

        Parameters
        ----------
        image : Tensor
            Shape (B, 1, Y, X), sides of at least 32.
        seen : Tensor
            Shape (B, 4, Y, X), see `visible`.

        Returns
        -------
        Tensor
            Shape (B, 1, about Y/8, about X/8): 1 is real, 0 is drawn.
        """
        judged: Tensor = self.layers(torch.cat([image, seen], dim=1))
        return judged


class LowResolutionNet(nn.Module):
    """Predict the wide-field at a quarter of the grid from a dense image (Q of the paper); about 18 000 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 7, padding=3, padding_mode="replicate"),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(16, 32, 5, padding=2, padding_mode="replicate"),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(32, 16, 3, padding=1, padding_mode="replicate"),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(16, 1, 1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Predict.

        Parameters
        ----------
        image : Tensor
            Shape (B, 1, Y, X), multiples of 4, values from 0 to 1 (see `as_image`).

        Returns
        -------
        Tensor
            Shape (B, 1, Y/4, X/4).
        """
        predicted: Tensor = self.layers(F.avg_pool2d(image, LOW_RESOLUTION))
        return predicted


def receptive_field(layers: tuple[tuple[int, int], ...] = PATCH_LAYERS) -> int:
    """Work out how many pixels decide one output of a stack of convolutions.

    Parameters
    ----------
    layers : tuple
        Kernel and stride of each layer, first to last.

    Returns
    -------
    int
        Pixels along a side.
    """
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field
