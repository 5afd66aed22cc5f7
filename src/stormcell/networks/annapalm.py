"""The picture of a long acquisition from a short one: a lean, conditioned U-Net that predicts event rates.

The network reads counts of linked events and a wide-field image on the super-resolution grid, either of which may be
absent, and answers with the rate of events at every pixel and with how sure it is of that rate. At every pixel it
chooses among plain smoothings of the counts and a picture of its own, so that it begins where plain smoothing ends.
It is trained on the likelihood of events it was not shown, so it gains nothing by drawing what the data leave open.
Published relative: Ouyang et al., "Deep learning massively accelerates super-resolution localization microscopy",
Nat. Biotechnol. 36, 460 (2018), doi:10.1038/nbt.4106; layout, input, output and conditioning are our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

STRUCTURE_LABELS = ("microtubules", "nuclear_pores", "mitochondria", "actin", "unknown")
"""Structures the network can be told of; the last one stands for anything."""
UNKNOWN = STRUCTURE_LABELS.index("unknown")
SR_PIXEL_SIZE_NM = 20.0
"""Pixel of input and output."""
SLOPE = 0.1
EMBEDDING = 64
SMOOTHINGS = ((1, 1.0), (1, 2.0), (2, 2.0), (4, 2.0), (8, 2.0))
"""Plain pictures to choose among at every pixel: pixels joined along a side, and Gaussian width in joined pixels."""
_N_CONDITION = len(STRUCTURE_LABELS) + 5
_N_INPUT = 10 + len(SMOOTHINGS) - 1
_PRIOR_RANGE = (-9.0, 6.0)
_CHANGE_RANGE = (-6.0, 4.0)


@dataclass(frozen=True)
class DensifyArchitecture:
    """Sizes of the network; saved with every model.

    Parameters
    ----------
    widths : tuple of int
        Channels at 40, 80, 160 and 320 nm.
    blocks : tuple of int
        Residual blocks behind the first one, on the way down and on the way up alike, at 40, 80 and 160 nm, and at
        320 nm.
    fine : int
        Channels of the last layers, at 20 nm.
    """

    widths: tuple[int, int, int, int] = (32, 64, 96, 128)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 2)
    fine: int = 12


class DensifyInput(NamedTuple):
    """What the network is given; B fields of Y x X super-resolution pixels, both multiples of 16."""

    counts: Tensor
    """(B, 1, Y, X) linked events per pixel; 0 where absent."""
    widefield: Tensor
    """(B, 1, Y, X) wide-field, about 0 in the background and 1 at its bright places; 0 where absent."""
    mask: Tensor
    """(B, 2, Y, X) 1 where the counts (first) and the wide-field (second) were measured, 0 elsewhere."""
    present: Tensor
    """(B, 2) 1 where the whole image has counts (first) and a wide-field (second); the same for all its tiles."""
    structure: Tensor
    """(B,) index into `STRUCTURE_LABELS`."""
    log_share: Tensor
    """(B,) natural logarithm of the share of the long acquisition's frames that the counts hold; NaN is unknown."""
    log_events_per_um2: Tensor
    """(B,) natural logarithm of the events per um2 where there is structure, at the exposure of the counts
    (`typical_density`; of simulated fields, which are full of structure, the mean)."""


class DensifyOutput(NamedTuple):
    """What the network says."""

    log_rate: Tensor
    """(B, 1, Y, X) logarithm of the events expected per pixel at the exposure of the input."""
    log_dispersion: Tensor
    """(B, 1, Y/2, X/2) logarithm of the squared relative standard deviation of the rate in each cell of 40 nm."""


class Film(nn.Module):
    """Scale and shift channels by the condition; placed behind a norm, so that no norm can take it back.

    Parameters
    ----------
    n_channels : int
        Channels to modulate.
    n_code : int
        Length of the embedded condition.
    """

    def __init__(self, n_channels: int, n_code: int = EMBEDDING) -> None:
        super().__init__()
        self.linear = nn.Linear(n_code, 2 * n_channels)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Modulate.

        Parameters
        ----------
        x : Tensor
            Shape (B, C, Y, X).
        code : Tensor
            Shape (B, n_code).

        Returns
        -------
        Tensor
            Shape (B, C, Y, X).
        """
        gain, shift = self.linear(code)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, x, 1 + gain)


def pixel_norm(x: Tensor) -> Tensor:
    """Divide every pixel by the root mean square of its channels.

    Parameters
    ----------
    x : Tensor
        Shape (B, C, Y, X).

    Returns
    -------
    Tensor
        The same shape. Nothing is shared between pixels, so a tile and a whole image give the same.
    """
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-4)


class _Conditioned(nn.Module):
    """Convolution, norm over the channels of each pixel, FiLM, leaky rectifier."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = _conv(n_in, n_out)
        self.film = Film(n_out)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return F.leaky_relu(self.film(pixel_norm(self.conv(x)), code), SLOPE)


class _Residual(nn.Module):
    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conv = _conv(n_channels, n_channels, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.leaky_relu(self.conv(x), SLOPE)


class DensifyNet(nn.Module):
    """Conditioned U-Net from sparse counts and wide-field to the rate of events.

    Parameters
    ----------
    architecture : DensifyArchitecture
        Its sizes.
    """

    name = "annapalm"
    version = 1
    multiple_px = 16
    """Field sides must be multiples of this; inference pads."""

    def __init__(self, architecture: DensifyArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or DensifyArchitecture()
        widths, blocks = self.architecture.widths, self.architecture.blocks
        fine = self.architecture.fine
        self.embed = nn.Sequential(
            nn.Linear(_N_CONDITION, EMBEDDING), nn.LeakyReLU(SLOPE), nn.Linear(EMBEDDING, EMBEDDING)
        )
        self.down = nn.ModuleList(
            _Conditioned(n_in, n_out) for n_in, n_out in zip((_N_INPUT, *widths[:-1]), widths, strict=True)
        )
        self.down_blocks = nn.ModuleList(_residuals(n, k) for n, k in zip(widths, blocks, strict=True))
        self.join = nn.ModuleList(nn.Conv2d(n_in, n_out, 1) for n_out, n_in in pairwise(widths))
        self.up = nn.ModuleList(_Conditioned(n, n) for n in widths[:-1])
        self.up_blocks = nn.ModuleList(_residuals(n, k) for n, k in zip(widths[:-1], blocks[:-1], strict=True))
        self.dispersion = nn.Conv2d(widths[0], 1, 1)
        self.spread = nn.Conv2d(widths[0], fine, 1)
        self.refine = _conv(fine + 1 + len(SMOOTHINGS), fine)
        # a picture from nothing, how much to trust it and each smoothing, and a change of the result
        self.head = nn.Conv2d(fine, 3 + len(SMOOTHINGS), 3, padding=1)
        for layer in (self.head, self.dispersion):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, given: DensifyInput) -> DensifyOutput:
        """Predict rates.

        Parameters
        ----------
        given : DensifyInput
            Counts, wide-field, masks and condition.

        Returns
        -------
        DensifyOutput
            Rates at the exposure of the input, and their relative spread.
        """
        code = self.embed(condition_vector(given))
        logs = torch.log1p(given.counts)
        base = torch.exp(given.log_events_per_um2.float() + 2 * math.log(SR_PIXEL_SIZE_NM / 1000))[
            :, None, None, None
        ]
        plain = smoothed(given.counts, given.mask[:, :1])
        relative = torch.log1p(plain / base)
        x = torch.cat(
            [
                F.pixel_unshuffle(logs, 2),
                F.avg_pool2d(given.widefield, 2),
                F.avg_pool2d(given.mask, 2),
                *(_local_density(given.counts, size) for size in (5, 11, 21)),
                F.avg_pool2d(relative[:, 1:], 2),
            ],
            dim=1,
        )
        kept = []
        for level, (first, others) in enumerate(zip(self.down, self.down_blocks, strict=True)):
            x = first(F.avg_pool2d(x, 2) if level else x, code)
            x = others(x)
            kept.append(x)
        for level in reversed(range(len(self.up))):
            coarse = F.interpolate(self.join[level](x), scale_factor=2, mode="nearest")
            x = self.up_blocks[level](kept[level] + self.up[level](kept[level] + coarse, code))
        fine = F.interpolate(self.spread(x), scale_factor=2, mode="bilinear", align_corners=False)
        fine = F.leaky_relu(self.refine(torch.cat([fine, logs, relative], dim=1)), SLOPE)
        raw = self.head(fine).float()
        prior = base * torch.exp(raw[:, :1].clamp(*_PRIOR_RANGE))
        trust = torch.softmax(raw[:, 2:], dim=1)
        mixed = (trust * torch.cat([prior, plain], dim=1)).sum(dim=1, keepdim=True)
        return DensifyOutput(
            log_rate=torch.log(mixed + 1e-4 * base) + raw[:, 1:2].clamp(*_CHANGE_RANGE),
            log_dispersion=self.dispersion(x).float().clamp(-6.0, 4.0),
        )

    def macs_per_pixel(self) -> float:
        """Count multiply-accumulates.

        Returns
        -------
        float
            Per super-resolution pixel, convolutions only.
        """
        total, side = 0.0, {"down": 2, "down_blocks": 2, "join": 4, "up": 2, "up_blocks": 2}
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                part, _, rest = name.partition(".")
                pixel = (
                    side[part] * 2 ** int(rest.split(".")[0])
                    if part in side
                    else 1 + (part in ("dispersion", "spread"))
                )
                total += module.weight.numel() / pixel**2
        return total


def condition_vector(given: DensifyInput) -> Tensor:
    """Write the condition as numbers of about unit size.

    Parameters
    ----------
    given : DensifyInput
        Structure, exposure and which channels there are.

    Returns
    -------
    Tensor
        Shape (B, 10).
    """
    known = ~torch.isnan(given.log_share)
    share = torch.where(known, (given.log_share + 3.5) / 1.5, torch.zeros_like(given.log_share))
    one_hot = F.one_hot(given.structure, len(STRUCTURE_LABELS))
    density = (given.log_events_per_um2 - 3.0) / 2.0
    numbers = torch.stack([share, known.to(share.dtype), density], dim=1)
    return torch.cat([one_hot.to(numbers.dtype), numbers, given.present.to(numbers.dtype)], dim=1)


def smoothed(counts: Tensor, mask: Tensor) -> Tensor:
    """Smooth counts by Gaussians of several widths, over what was measured.

    Parameters
    ----------
    counts : Tensor
        Shape (B, 1, Y, X), multiples of 8.
    mask : Tensor
        Shape (B, 1, Y, X), 1 where counts were measured.

    Returns
    -------
    Tensor
        Shape (B, 5, Y, X): mean counts per pixel for each of `SMOOTHINGS`, standard deviations 20 to 320 nm.
    """
    both = torch.cat([counts, mask])
    pictures = []
    for joined, sigma in SMOOTHINGS:
        radius = math.ceil(3 * sigma)
        place = torch.arange(-radius, radius + 1, dtype=both.dtype, device=both.device)
        window = torch.exp(-0.5 * (place / sigma) ** 2)
        window = window / window.sum()
        pooled = F.avg_pool2d(both, joined) if joined > 1 else both
        pooled = F.conv2d(pooled, window[None, None, :, None], padding=(radius, 0))
        pooled = F.conv2d(pooled, window[None, None, None, :], padding=(0, radius))
        top, bottom = pooled.chunk(2)
        mean = top / bottom.clamp(min=1e-3)
        if joined > 1:
            mean = F.interpolate(mean, scale_factor=joined, mode="bilinear", align_corners=False)
        pictures.append(mean)
    return torch.cat(pictures, dim=1)


def _local_density(counts: Tensor, size: int) -> Tensor:
    """Average counts at 40 nm over a window, and compress them."""
    cells = 4 * F.avg_pool2d(counts, 2)
    mean = F.avg_pool2d(cells, size, stride=1, padding=size // 2)
    return torch.log1p(size * mean)


def _residuals(n_channels: int, n_blocks: int) -> nn.Sequential:
    blocks: Sequence[nn.Module] = [_Residual(n_channels) for _ in range(n_blocks)]
    return nn.Sequential(*blocks)


def _conv(n_in: int, n_out: int, gain: float = 1.0) -> nn.Conv2d:
    layer = nn.Conv2d(n_in, n_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    with torch.no_grad():
        layer.weight.mul_(gain)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
