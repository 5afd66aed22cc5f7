"""What the dense network sees of a simulated batch, and what it must answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from stormcell.learning.dense_loss import EmitterBatch
from stormcell.networks.dense import DESCRIPTOR_WINDOW_PX, FAMILY_AXES, FAMILY_WINDOW_PX, DenseNet, stabilise
from stormcell.settings import Settings

if TYPE_CHECKING:
    from stormcell.physics.psf.bank import PSFBank
    from stormcell.simulation.training_frames import TrainingBatch, TrainingFrames

_FAMILY_KERNELS = 2048


class DenseBatch(NamedTuple):
    """One training batch in network units."""

    frames: Tensor
    """(B, C, Y, X) network electrons."""
    read_variance_e2: Tensor
    """(B, 1, Y, X)."""
    condition: Tensor
    """(B, n) PSF descriptor as the network is told; NaN rows are unknown."""
    emitters: EmitterBatch
    background_vst: Tensor
    """(B, Y, X)."""
    descriptor: Tensor
    """(B, n) true PSF descriptor."""


class DenseDataSettings(Settings):
    """How the truth is blurred before the network is told of it, as a user's knowledge is blurred."""

    batch_size: int = Field(32, ge=1)
    """Samples in a step."""
    told_share: float = Field(0.6, ge=0, le=1)
    """Share of samples that are told their PSF."""
    told_noise: float = Field(0.2, ge=0)
    """Standard deviation of the error of the PSF descriptor, in units of its spread over the family."""
    noise_scale_error: float = Field(0.08, ge=0)
    """Standard deviation of the logarithm of the error of the measured variance per electron."""
    hidden_neighbours: float = Field(0.4, ge=0, le=1)
    """Share of three-frame samples whose neighbouring frames are withheld, so that one network serves both inputs."""
    read_variance_error: float = Field(0.3, ge=0)
    """Standard deviation of the logarithm of the error of the read-noise variance."""


class DenseData:
    """Endless training batches for the dense network.

    Parameters
    ----------
    source : TrainingFrames
        Simulated frames.
    network : DenseNet
        Whose PSF descriptor is used; its basis must be set.
    settings : DenseDataSettings
        What the network is told.
    """

    def __init__(self, source: TrainingFrames, network: DenseNet, settings: DenseDataSettings) -> None:
        self._source = source
        self._settings = settings
        images = centred_images(source.bank)
        self._images = images.to(source.device)
        mean, basis = network.psf_mean.detach().clone(), network.psf_basis.detach().clone()
        self._mean, self._basis = mean.to(source.device), basis.to(source.device)

    def batch(self, step: int) -> DenseBatch:
        """Make the batch of a step.

        Parameters
        ----------
        step : int
            Step number; with the source's seed it decides everything.

        Returns
        -------
        DenseBatch
            In network units.
        """
        settings = self._settings
        raw = self._source.batch(step, settings.batch_size)
        generator = torch.Generator().manual_seed((self._source.seed * 1_000_003 + step) % 2**63)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(raw.frames_e.device)

        batch_size = settings.batch_size
        scale = raw.excess_noise * torch.exp(settings.noise_scale_error * normal(batch_size))
        read_variance = raw.read_variance_e2 * torch.exp(settings.read_variance_error * normal(batch_size, 1, 1))
        variance = read_variance / scale[:, None, None] ** 2
        descriptor = self._describe(raw)
        told = descriptor + settings.told_noise * normal(*descriptor.shape)
        is_told = torch.rand(batch_size, generator=generator).to(told.device) < settings.told_share
        frames = raw.frames_e / scale[:, None, None, None]
        if frames.shape[1] > 1:
            is_hidden = torch.rand(batch_size, generator=generator).to(frames.device) < settings.hidden_neighbours
            middle = frames.shape[1] // 2
            kept = torch.arange(frames.shape[1], device=frames.device) == middle
            frames = frames.masked_fill((is_hidden[:, None] & ~kept)[:, :, None, None], float("nan"))
        return DenseBatch(
            frames=frames,
            read_variance_e2=variance[:, None],
            condition=torch.where(is_told[:, None], told, torch.full_like(told, float("nan"))),
            emitters=EmitterBatch(
                raw.x_px,
                raw.y_px,
                torch.log(torch.clamp(raw.photons_e / scale[:, None], min=1.0)),
                raw.mask,
            ),
            background_vst=stabilise(raw.background_e / scale[:, None, None], variance),
            descriptor=descriptor,
        )

    def _describe(self, raw: TrainingBatch) -> Tensor:
        """Descriptor of the mean PSF of each sample's emitters, at their heights."""
        bank = self._source.bank
        psf = raw.psf.cpu().numpy()
        z_nm = raw.z_nm.cpu().numpy()
        kernel = bank.kernel(np.broadcast_to(psf[:, None], z_nm.shape).ravel(), z_nm.ravel()).reshape(z_nm.shape)
        images = self._images[torch.from_numpy(kernel).to(self._images.device)]
        weight = raw.mask.float() + 1e-6
        mean = (images * weight[:, :, None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
        return (torch.sqrt(mean.clamp(min=0)) - self._mean) @ self._basis.T


def centred_images(bank: PSFBank, side_px: int = DESCRIPTOR_WINDOW_PX, n_most: int | None = None) -> Tensor:
    """Draw kernels of a bank in the centre of a pixel.

    Parameters
    ----------
    bank : PSFBank
        K PSFs of P planes.
    side_px : int
        Side of the images, odd.
    n_most : int, optional
        Draw no more than so many, spread evenly over the bank; None draws all.

    Returns
    -------
    Tensor
        Shape (K P, side_px squared) or fewer rows, share of the light per camera pixel.
    """
    n = bank.n_psfs * bank.n_planes
    kernels = torch.linspace(0, n - 1, min(n, n_most or n)).long()
    parts = []
    for part in kernels.split(256):
        middle = torch.full((len(part),), side_px / 2, dtype=torch.float64)
        parts.append(bank.images(middle, middle, torch.ones(len(part)), part, (side_px, side_px)).float())
    return torch.cat(parts).flatten(1)


def fit_descriptor(network: DenseNet, bank: PSFBank) -> None:
    """Set the network's PSF descriptor: principal components of the root images of a family.

    Parameters
    ----------
    network : DenseNet
        Its buffers are filled, also those of the wider images that `fit_psf` draws.
    bank : PSFBank
        The family.
    """
    mean, axes, spread = _principal_axes(centred_images(bank), network.architecture.n_condition)
    network.psf_mean.copy_(mean)
    network.psf_basis.copy_(axes / spread[:, None])
    mean, axes, spread = _principal_axes(centred_images(bank, FAMILY_WINDOW_PX, _FAMILY_KERNELS), FAMILY_AXES)
    network.root_mean.copy_(mean)
    network.root_axes.zero_()
    network.root_axes[: len(axes)] = axes * spread[:, None]


def _principal_axes(images: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (P,), axes (n, P) and spread (n,) of root images."""
    roots = torch.sqrt(images.clamp(min=0)).double()
    mean = roots.mean(dim=0)
    _, _, axes = torch.linalg.svd(roots - mean, full_matrices=False)
    axes = axes[:n]
    # the sign of a principal axis is arbitrary and would differ between machines
    axes = axes * torch.sign(axes.gather(1, axes.abs().argmax(dim=1, keepdim=True)))
    spread = ((roots - mean) @ axes.T).std(dim=0)
    return mean.float(), axes.float(), spread.float()
