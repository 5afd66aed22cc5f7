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
SLOPE = 0.1
EMBEDDING = 64
DESCRIPTOR_WINDOW_PX = 11
FAMILY_WINDOW_PX = 21
FAMILY_AXES = 64


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
    """3x3 convolution and leaky rectifier; optionally residual, optionally modulated by the condition (FiLM)."""

    def __init__(self, n_in: int, n_out: int, *, residual: bool = False, film: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.film = nn.Linear(EMBEDDING, 2 * n_out) if film else None
        self.residual = residual
        nn.init.kaiming_normal_(self.conv.weight, a=SLOPE)
        with torch.no_grad():
            self.conv.weight.mul_(0.5 if residual else 1.0)
        for parameter in (self.conv.bias, *(self.film.parameters() if self.film is not None else ())):
            if parameter is not None:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        y = self.conv(x)
        if self.film is not None:
            gain, shift = self.film(code)[:, :, None, None].chunk(2, dim=1)
            y = torch.addcmul(shift, y, 1 + gain)
        y = F.leaky_relu_(y, SLOPE)
        return x + y if self.residual else y

    def fold(self, code: Tensor) -> None:
        """Work the modulation by one code into the convolution, for good."""
        if self.film is None or self.conv.bias is None:
            return
        gain, shift = self.film(code)[0].chunk(2)
        self.conv.weight.mul_((1 + gain)[:, None, None, None])
        self.conv.bias.mul_(1 + gain).add_(shift)
        self.film = None


class DenseNet(nn.Module):
    """U-Net at camera resolution with a shared frame encoder, optional neighbour frames and PSF conditioning.

    Parameters
    ----------
    architecture : DenseArchitecture
        Its sizes.
    """

    name = "dense"
    version = 1
    psf_mean: Tensor
    psf_basis: Tensor
    root_mean: Tensor
    root_axes: Tensor
    multiple_px = 4
    """Frame sides must be multiples of this; inference pads."""

    def __init__(self, architecture: DenseArchitecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or DenseArchitecture()
        full, half, quarter = self.architecture.widths
        n = self.architecture.n_condition
        self.embed = nn.Sequential(nn.Linear(n + 1, EMBEDDING), nn.LeakyReLU(SLOPE), nn.Linear(EMBEDDING, EMBEDDING))
        self.stem = _Block(4, full, film=True)
        self.encode0 = _Block(full, full, residual=True)
        self.before = nn.Conv2d(full, full, 3, padding=1, bias=False)
        self.after = nn.Conv2d(full, full, 3, padding=1, bias=False)
        self.encode1 = nn.ModuleList([_Block(full, half, film=True), _Block(half, half, residual=True)])
        self.encode2 = nn.ModuleList([_Block(half, quarter, film=True)])
        self.encode2.extend(_Block(quarter, quarter, residual=True) for _ in range(2))
        self.up1 = nn.Conv2d(quarter, half, 1)
        self.decode1 = nn.ModuleList(_Block(half, half, residual=True, film=i == 0) for i in range(2))
        self.up0 = nn.Conv2d(half, full, 1)
        self.decode0 = nn.ModuleList(_Block(full, full, residual=True, film=i == 0) for i in range(3))
        self.head = nn.Conv2d(full, len(DenseOutput._fields), 1)
        self.describe = nn.Sequential(nn.Linear(quarter, EMBEDDING), nn.LeakyReLU(SLOPE), nn.Linear(EMBEDDING, 2 * n))
        self.register_buffer("psf_mean", torch.zeros(DESCRIPTOR_WINDOW_PX**2))
        self.register_buffer("psf_basis", torch.zeros(n, DESCRIPTOR_WINDOW_PX**2))
        self.register_buffer("root_mean", torch.zeros(FAMILY_WINDOW_PX**2))
        self.register_buffer("root_axes", torch.zeros(FAMILY_AXES, FAMILY_WINDOW_PX**2))
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
        code = self.code(frames.shape[0], condition)
        n_frames = frames.shape[1]
        middle = frames[:, n_frames // 2 : n_frames // 2 + 1]
        features = self.encode(middle, read_variance_e2, code)
        if n_frames == 3:
            for index, context in ((0, self.before), (2, self.after)):
                neighbour = frames[:, index : index + 1]
                known = ~torch.isnan(neighbour).flatten(1).any(dim=1)[:, None, None, None]
                seen = self.encode(torch.where(known, neighbour, middle), read_variance_e2, code)
                features = features + context(seen * known)
        return self.predict(features, middle, read_variance_e2, code)

    def describe_psf(self, images: Tensor) -> Tensor:
        """Project PSF images onto the descriptor.

        Parameters
        ----------
        images : Tensor
            Shape (N, 11, 11): share of the light per camera pixel, the PSF's zero in the centre of the middle pixel.

        Returns
        -------
        Tensor
            Shape (N, n_condition), each about zero mean and unit spread over the training family.
        """
        roots = torch.sqrt(torch.clamp(images, min=0.0)).flatten(1)
        return (roots - self.psf_mean) @ self.psf_basis.T

    def family_image(self, coefficients: Tensor) -> Tensor:
        """Draw a PSF of the training family.

        Parameters
        ----------
        coefficients : Tensor
            Shape (64,): on the principal axes of the family's root images, each about zero mean and unit spread.

        Returns
        -------
        Tensor
            Shape (21, 21): share of the light per camera pixel, the PSF's zero in the centre of the middle pixel.
        """
        root = torch.clamp(self.root_mean + coefficients @ self.root_axes, min=0.0)
        return root.square().reshape(FAMILY_WINDOW_PX, FAMILY_WINDOW_PX)

    def code(self, n_frames: int, condition: Tensor | None) -> Tensor:
        """Embed PSF descriptors.

        Parameters
        ----------
        n_frames : int
            Batch size B.
        condition : Tensor or None
            Shape (B, n_condition); NaN rows, or None, mean unknown.

        Returns
        -------
        Tensor
            Shape (B, 64).
        """
        if condition is None:
            condition = self.psf_mean.new_full((n_frames, self.architecture.n_condition), float("nan"))
        known = ~torch.isnan(condition).any(dim=1, keepdim=True)
        vector = torch.where(known, condition, torch.zeros_like(condition))
        embedded: Tensor = self.embed(torch.cat([vector, known.to(vector.dtype)], dim=1))
        return embedded

    def fold(self, condition: Tensor | None) -> None:
        """Work one condition into the weights, for good: faster, and the same for every frame of a movie.

        Parameters
        ----------
        condition : Tensor or None
            Shape (n_condition,), or None for unknown.
        """
        with torch.no_grad():
            code = self.code(1, None if condition is None else condition[None])
            for module in self.modules():
                if isinstance(module, _Block):
                    module.fold(code)

    def encode(self, frame: Tensor, read_variance_e2: Tensor, code: Tensor) -> Tensor:
        """Turn single frames into features; a movie needs this once per frame, also with neighbours.

        Parameters
        ----------
        frame : Tensor
            Shape (B, 1, Y, X), network electrons.
        read_variance_e2 : Tensor
            Broadcastable to the frames.
        code : Tensor
            Shape (B, 64).

        Returns
        -------
        Tensor
            Shape (B, widths[0], Y, X).
        """
        variance = read_variance_e2.expand_as(frame)
        floor = local_floor(frame)
        noise = torch.sqrt(torch.clamp(floor, min=0.0) + variance + 1.0)
        inputs = torch.cat(
            [
                (stabilise(frame, variance) - stabilise(floor, variance)) / VST_SCALE,
                torch.asinh((frame - floor) / (4.0 * noise)) / 2.0,
                torch.log(noise) - 1.5,
                0.5 * torch.log1p(variance) - 0.5,
            ],
            dim=1,
        )
        encoded: Tensor = self.encode0(self.stem(inputs, code), code)
        return encoded

    def predict(
        self, features: Tensor, frame: Tensor, read_variance_e2: Tensor, code: Tensor
    ) -> tuple[DenseOutput, Tensor]:
        """Turn features into components.

        Parameters
        ----------
        features : Tensor
            Shape (B, widths[0], Y, X): of the frame, plus what its neighbours add.
        frame : Tensor
            Shape (B, 1, Y, X), network electrons.
        read_variance_e2 : Tensor
            Broadcastable to the frames.
        code : Tensor
            Shape (B, 64).

        Returns
        -------
        tuple
            As `forward`.
        """
        half = F.max_pool2d(features, 2)
        for block in self.encode1:
            half = block(half, code)
        quarter = F.max_pool2d(half, 2)
        for block in self.encode2:
            quarter = block(quarter, code)
        half = half + F.interpolate(self.up1(quarter), scale_factor=2, mode="nearest")
        for block in self.decode1:
            half = block(half, code)
        full = features + F.interpolate(self.up0(half), scale_factor=2, mode="nearest")
        for block in self.decode0:
            full = block(full, code)
        raw = self.head(full).float()
        descriptor = self.describe(quarter.mean(dim=(2, 3))).float()
        level = stabilise(local_floor(frame), read_variance_e2)[:, 0]
        return _components(raw, level), descriptor


def _components(raw: Tensor, level: Tensor) -> DenseOutput:
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
