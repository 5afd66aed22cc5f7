"""The dense-emitter network: frames at camera resolution in, one Gaussian-mixture component per camera pixel out.

The network never sees camera units. Its input is electrons divided by the variance-per-electron of the movie
(1 for a CMOS camera, 2 for an EMCCD, anything else for a wrongly calibrated one), so that one Poisson-plus-read-noise
world covers every camera. Published relatives: DECODE (Speiser et al. 2021, doi 10.1038/s41592-021-01236-x) for the
mixture output; the layout, the input normalisation and the PSF conditioning are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOOR_POOL_PX = 4
FLOOR_WINDOW = 5
VST_SCALE = 8.0
MAX_OFFSET_PX = 1.5


@dataclass(frozen=True)
class DenseArchitecture:
    """Sizes of the network; saved with every model.

    Parameters
    ----------
    widths : tuple of int
        Channels at full, half and quarter resolution.
    n_condition : int
        Length of the PSF descriptor that conditions the network.
    """

    widths: tuple[int, int, int] = (48, 96, 160)
    n_condition: int = 8


class DenseOutput(NamedTuple):
    """What the network says of every camera pixel; each tensor has shape (B, Y, X)."""

    logit: Tensor
    """Log-odds that an emitter's component sits in this pixel."""
    x_offset_px: Tensor
    """Expected position relative to the pixel centre."""
    y_offset_px: Tensor
    log_sigma_x_px: Tensor
    """Log standard deviation of the position."""
    log_sigma_y_px: Tensor
    log_electrons: Tensor
    """Log of the emitter's total, in network electrons."""
    log_sigma_electrons: Tensor
    """Log standard deviation of `log_electrons`."""
    background_vst: Tensor
    """Background as 2 sqrt(b + read variance + 3/8)."""
    log_sigma_background: Tensor
    """Log standard deviation of `background_vst`."""


def stabilise(electrons: Tensor, read_variance_e2: Tensor) -> Tensor:
    """Square-root transform after which Poisson plus read noise has unit variance.

    Parameters
    ----------
    electrons : Tensor
        Network electrons, any shape.
    read_variance_e2 : Tensor
        Read-noise variance in network electrons squared, broadcastable.

    Returns
    -------
    Tensor
        2 sqrt(e + var + 3/8), 0 where that is negative (generalised Anscombe transform, Makitalo & Foi 2013,
        doi 10.1109/TIP.2012.2202675).
    """
    return 2.0 * torch.sqrt(torch.clamp(electrons + read_variance_e2 + 0.375, min=0.0))


def local_floor(electrons: Tensor) -> Tensor:
    """Rough local background: the smallest 4x4 mean within about 20 px, smoothed.

    Parameters
    ----------
    electrons : Tensor
        Shape (B, 1, Y, X); Y and X multiples of 4.

    Returns
    -------
    Tensor
        The same shape. It only normalises the input; the network predicts the background itself.
    """
    pooled = F.avg_pool2d(electrons, FLOOR_POOL_PX)
    pad = FLOOR_WINDOW // 2
    lowest = -F.max_pool2d(-pooled, FLOOR_WINDOW, stride=1, padding=pad)
    smooth = F.avg_pool2d(lowest, FLOOR_WINDOW, stride=1, padding=pad, count_include_pad=False)
    return F.interpolate(smooth, scale_factor=FLOOR_POOL_PX, mode="bilinear", align_corners=False)


class _Block(nn.Module):
    """3x3 convolution, modulation by the condition, leaky rectifier; optionally residual."""

    def __init__(self, n_in: int, n_out: int, n_condition: int, *, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.film = nn.Linear(n_condition, 2 * n_out)
        self.residual = residual
        nn.init.kaiming_normal_(self.conv.weight, a=0.1)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        if residual:
            with torch.no_grad():
                self.conv.weight.mul_(0.5)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        y = F.leaky_relu(torch.addcmul(shift, self.conv(x), 1 + gain), 0.1)
        return x + y if self.residual else y


class DenseNet(nn.Module):
    """U-Net at camera resolution with a shared frame encoder, optional neighbour frames and PSF conditioning.

    Parameters
    ----------
    architecture : DenseArchitecture
        Its sizes.
    """

    name = "dense"
    version = 1
    multiple_px = 4
    """Frame sides must be multiples of this; inference pads."""

    def __init__(self, architecture: DenseArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or DenseArchitecture()
        full, half, quarter = self.architecture.widths
        n = self.architecture.n_condition
        embedding = 64
        self.embed = nn.Sequential(nn.Linear(n + 1, embedding), nn.LeakyReLU(0.1), nn.Linear(embedding, embedding))
        self.stem = _Block(4, full, embedding)
        self.encode0 = _Block(full, full, embedding, residual=True)
        self.before = nn.Conv2d(full, full, 3, padding=1, bias=False)
        self.after = nn.Conv2d(full, full, 3, padding=1, bias=False)
        self.encode1 = nn.ModuleList([_Block(full, half, embedding), _Block(half, half, embedding, residual=True)])
        self.encode2 = nn.ModuleList(
            [
                _Block(half, quarter, embedding),
                _Block(quarter, quarter, embedding, residual=True),
                _Block(quarter, quarter, embedding, residual=True),
            ]
        )
        self.up1 = nn.Conv2d(quarter, half, 1)
        self.decode1 = nn.ModuleList(_Block(half, half, embedding, residual=True) for _ in range(2))
        self.up0 = nn.Conv2d(half, full, 1)
        self.decode0 = nn.ModuleList(_Block(full, full, embedding, residual=True) for _ in range(3))
        self.head = nn.Conv2d(full, len(DenseOutput._fields), 1)
        self.describe = nn.Sequential(nn.Linear(quarter, embedding), nn.LeakyReLU(0.1), nn.Linear(embedding, 2 * n))
        for context in (self.before, self.after):
            nn.init.zeros_(context.weight)
        nn.init.normal_(self.head.weight, std=0.01)
        # an empty frame is the most likely one, and a position is first known to about half a pixel
        start = torch.zeros(len(DenseOutput._fields))
        start[0], start[3], start[4] = -4.0, -1.0, -1.0
        self.head.bias = nn.Parameter(start)

    def forward(
        self, frames: Tensor, read_variance_e2: Tensor, condition: Tensor | None = None
    ) -> tuple[DenseOutput, Tensor]:
        """Predict the components of every pixel.

        Parameters
        ----------
        frames : Tensor
            Shape (B, C, Y, X), network electrons; C is 1, or 3 with the frame before and after. A neighbour that is
            absent is all NaN. Y and X are multiples of 4.
        read_variance_e2 : Tensor
            Shape (B, 1, Y, X) or broadcastable, network electrons squared.
        condition : Tensor or None
            Shape (B, n_condition): PSF descriptor; NaN rows, or None, mean unknown.

        Returns
        -------
        tuple
            The components, and the PSF descriptor read from the frame: shape (B, 2 n_condition), mean and log
            standard deviation.
        """
        variance = read_variance_e2.expand(frames.shape[0], 1, *frames.shape[2:])
        code = self._code(frames, condition)
        n_frames = frames.shape[1]
        middle = frames[:, n_frames // 2 : n_frames // 2 + 1]
        floor = local_floor(middle)
        features = self._encode(middle, floor, variance, code)
        if n_frames == 3:
            for index, context in ((0, self.before), (2, self.after)):
                neighbour = frames[:, index : index + 1]
                known = ~torch.isnan(neighbour).flatten(1).any(dim=1)
                neighbour = torch.where(known[:, None, None, None], neighbour, middle)
                seen = self._encode(neighbour, floor, variance, code) * known[:, None, None, None]
                features = features + context(seen)
        return self._trunk(features, code, floor, variance)

    def _code(self, frames: Tensor, condition: Tensor | None) -> Tensor:
        n = self.architecture.n_condition
        if condition is None:
            condition = frames.new_full((frames.shape[0], n), float("nan"))
        known = ~torch.isnan(condition).any(dim=1, keepdim=True)
        vector = torch.where(known, condition, torch.zeros_like(condition))
        embedded: Tensor = self.embed(torch.cat([vector, known.to(vector.dtype)], dim=1))
        return embedded

    def _encode(self, frame: Tensor, floor: Tensor, variance: Tensor, code: Tensor) -> Tensor:
        level = stabilise(floor, variance)
        noise = torch.sqrt(torch.clamp(floor, min=0.0) + variance + 1.0)
        inputs = torch.cat(
            [
                (stabilise(frame, variance) - level) / VST_SCALE,
                torch.asinh((frame - floor) / (4.0 * noise)) / 2.0,
                torch.log(noise) - 1.5,
                0.5 * torch.log1p(variance) - 0.5,
            ],
            dim=1,
        )
        encoded: Tensor = self.encode0(self.stem(inputs, code), code)
        return encoded

    def _trunk(self, full: Tensor, code: Tensor, floor: Tensor, variance: Tensor) -> tuple[DenseOutput, Tensor]:
        half = F.max_pool2d(full, 2)
        for block in self.encode1:
            half = block(half, code)
        quarter = F.max_pool2d(half, 2)
        for block in self.encode2:
            quarter = block(quarter, code)
        half = half + F.interpolate(self.up1(quarter), scale_factor=2, mode="nearest")
        for block in self.decode1:
            half = block(half, code)
        full = full + F.interpolate(self.up0(half), scale_factor=2, mode="nearest")
        for block in self.decode0:
            full = block(full, code)
        raw = self.head(full).float()
        descriptor = self.describe(quarter.mean(dim=(2, 3))).float()
        return _components(raw, floor, variance), descriptor


def _components(raw: Tensor, floor: Tensor, variance: Tensor) -> DenseOutput:
    level = stabilise(floor, variance)[:, 0]
    return DenseOutput(
        logit=raw[:, 0],
        x_offset_px=MAX_OFFSET_PX * torch.tanh(raw[:, 1]),
        y_offset_px=MAX_OFFSET_PX * torch.tanh(raw[:, 2]),
        log_sigma_x_px=raw[:, 3].clamp(-6.0, 1.0),
        log_sigma_y_px=raw[:, 4].clamp(-6.0, 1.0),
        log_electrons=6.5 + 2.0 * raw[:, 5],
        log_sigma_electrons=(raw[:, 6] - 1.0).clamp(-5.0, 1.5),
        background_vst=level + VST_SCALE * raw[:, 7],
        log_sigma_background=raw[:, 8].clamp(-4.0, 4.0),
    )
