"""Deep-STORM as published in 2018 (Nehme et al., Optica 5, 458, doi 10.1364/OPTICA.5.000458), and a faster form.

The network sees a frame that was enlarged eight times by repeating pixels, and paints emitters on that grid.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UPSAMPLING = 8
MULTIPLE_PX = 8
"""Sides of the enlarged frame must be multiples of this."""
_DOWN = (32, 64, 128, 512)
_UP = (128, 64, 32)


class _ConvNormRelu(nn.Sequential):
    def __init__(self, n_in: int, n_out: int) -> None:
        # Keras' batch normalisation: momentum 0.99, epsilon 1e-3
        super().__init__(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01),
            nn.ReLU(inplace=True),
        )


class _DoublingConvNormRelu(_ConvNormRelu):
    """Behind a doubling by repetition. In training the same function is computed from 2x2 kernels: twice as fast."""

    def forward(self, x: Tensor) -> Tensor:
        convolution, norm, relu = self
        if self.training:
            weight: Any = convolution.weight
            doubled = _interleave(F.conv2d(x, _doubling_kernels(weight), padding=1))
        else:
            doubled = convolution(F.interpolate(x, scale_factor=2, mode="nearest"))
        painted: Tensor = relu(norm(doubled))
        return painted


class DeepStormNet(nn.Module):
    """The published encoder-decoder without skip connections; 1,366,208 trainable parameters."""

    name = "deepstorm-2018"
    version = 1

    def __init__(self) -> None:
        super().__init__()
        widths: tuple[int, ...] = (1, *_DOWN)
        self.down = nn.ModuleList(_ConvNormRelu(a, b) for a, b in itertools.pairwise(widths))
        widths = (_DOWN[-1], *_UP)
        self.up = nn.ModuleList(_DoublingConvNormRelu(a, b) for a, b in itertools.pairwise(widths))
        self.paint = nn.Conv2d(_UP[-1], 1, 1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight)

    def forward(self, enlarged: Tensor) -> Tensor:
        """Paint the emitters.

        Parameters
        ----------
        enlarged : Tensor
            Shape (B, 1, 8 Y, 8 X): normalised frames, pixels repeated.

        Returns
        -------
        Tensor
            The same shape; unconstrained density, about 50 in the pixel of an emitter.
        """
        x = enlarged
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else F.max_pool2d(x, 2))
        for block in self.up:
            x = block(x)
        painted: Tensor = self.paint(x)
        return painted


class FastDeepStorm(nn.Module):
    """The same function of the camera frame, several times faster: the yardstick's best exact form.

    Batch normalisation is folded into the convolutions. A 3x3 convolution behind a doubling by repetition sees each
    source pixel up to four times: its weights are summed into four 2x2 convolutions of the source, one per sub-pixel.
    Behind the eightfold enlargement of the frame the first layer has nine different outputs per camera pixel only,
    computed at camera resolution.

    Parameters
    ----------
    network : DeepStormNet
        Trained network; its running statistics are used. It is not changed: the weights here are copies.
    """

    def __init__(self, network: DeepStormNet) -> None:
        super().__init__()
        weight, bias = _folded(network.down[0])
        self.first = nn.Conv2d(1, 9 * _DOWN[0], 3, padding=1)
        self.first.weight = nn.Parameter(
            torch.cat([_enlarged_kernel(weight, y, x) for y in range(3) for x in range(3)])
        )
        self.first.bias = nn.Parameter(bias.repeat(9))
        self.down = nn.ModuleList(_plain(block) for block in network.down[1:])
        self.up = nn.ModuleList(_doubling(block) for block in network.up)
        self.paint = nn.Conv2d(_UP[-1], 1, 1, bias=False)
        self.paint.weight = nn.Parameter(network.paint.weight.detach().clone())
        self.requires_grad_(False).eval()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Paint the emitters.

        Parameters
        ----------
        frames : Tensor
            Shape (B, 1, Y, X): normalised frames at camera resolution.

        Returns
        -------
        Tensor
            Shape (B, 1, 8 Y, 8 X).
        """
        x = self._pooled_first_layer(frames)
        for index, convolution in enumerate(self.down):
            x = F.relu_(convolution(x if index == 0 else F.max_pool2d(x, 2)))
        for convolution in self.up:
            # one column and row too many: each sub-pixel takes its own 2x2 neighbourhood
            x = F.relu_(_interleave(convolution(x)))
        painted: Tensor = self.paint(x)
        return painted

    def _pooled_first_layer(self, frames: Tensor) -> Tensor:
        batch, _, height, width = frames.shape
        nine = F.relu_(self.first(frames)).view(batch, 3, 3, _DOWN[0], height, width)
        # of eight sub-pixels the first and the last touch a neighbour; pooling pairs them with an inner one
        rows = torch.stack([nine[:, [0, 1]].amax(1), nine[:, 1], nine[:, 1], nine[:, [1, 2]].amax(1)], dim=1)
        both = torch.stack(
            [rows[:, :, [0, 1]].amax(2), rows[:, :, 1], rows[:, :, 1], rows[:, :, [1, 2]].amax(2)], dim=2
        )
        spread = both.permute(0, 3, 4, 1, 5, 2).reshape(batch, _DOWN[0], 4 * height, 4 * width)
        return spread.contiguous(memory_format=torch.channels_last)


def _folded(block: Any) -> tuple[Tensor, Tensor]:
    convolution, norm = block[0], block[1]
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (convolution.weight * scale[:, None, None, None]).detach(), (
        norm.bias - norm.running_mean * scale
    ).detach()


def _plain(block: Any) -> nn.Conv2d:
    weight, bias = _folded(block)
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
    return convolution


def _doubling(block: Any) -> nn.Conv2d:
    weight, bias = _folded(block)
    convolution = nn.Conv2d(weight.shape[1], 4 * weight.shape[0], 2, padding=1)
    convolution.weight = nn.Parameter(_doubling_kernels(weight))
    convolution.bias = nn.Parameter(bias.repeat(4))
    return convolution


def _doubling_kernels(weight: Tensor) -> Tensor:
    """Four 2x2 kernels, one per sub-pixel, on a source padded by one pixel."""
    top = torch.stack([weight[:, :, 0], weight[:, :, 1] + weight[:, :, 2]], dim=2)
    bottom = torch.stack([weight[:, :, 0] + weight[:, :, 1], weight[:, :, 2]], dim=2)
    kernels = []
    for rows in (top, bottom):
        left = torch.stack([rows[..., 0], rows[..., 1] + rows[..., 2]], dim=3)
        right = torch.stack([rows[..., 0] + rows[..., 1], rows[..., 2]], dim=3)
        kernels += [left, right]
    return torch.cat(kernels)


def _interleave(x: Tensor) -> Tensor:
    """(B, 4 C, Y + 1, X + 1) to (B, C, 2 Y, 2 X)."""
    upper_left, upper_right, lower_left, lower_right = x.chunk(4, dim=1)
    batch, channels = upper_left.shape[:2]
    height, width = x.shape[2] - 1, x.shape[3] - 1
    shape = (batch, channels, 2 * height, 2 * width)
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    out[:, :, 0::2, 0::2] = upper_left[:, :, :-1, :-1]
    out[:, :, 0::2, 1::2] = upper_right[:, :, :-1, 1:]
    out[:, :, 1::2, 0::2] = lower_left[:, :, 1:, :-1]
    out[:, :, 1::2, 1::2] = lower_right[:, :, 1:, 1:]
    return out


def _enlarged_kernel(weight: Tensor, row: int, column: int) -> Tensor:
    """3x3 kernel on camera pixels for the first (0), an inner (1) or the last (2) of the eight sub-pixels."""
    collapsed = torch.zeros_like(weight)
    for y in range(3):
        for x in range(3):
            collapsed[:, :, _source(y, row), _source(x, column)] += weight[:, :, y, x]
    return collapsed


def _source(tap: int, place: int) -> int:
    """Camera pixel (0 before, 1 own, 2 after) that a tap reads."""
    if (tap, place) == (0, 0):
        return 0
    return 2 if (tap, place) == (2, 2) else 1
