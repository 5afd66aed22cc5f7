"""Training samples made on the fly: noisy frames in electrons with their emitters, backgrounds and conditions.

Call::

    from stormcell.physics.psf.random_bank import random_psf_bank
    from stormcell.simulation.training_frames import TrainingFrames, TrainingFrameSettings

    bank = random_psf_bank(256, seed=1)                   # about a minute on two cores; keep it
    source = TrainingFrames(TrainingFrameSettings(n_frames=3, field_px=40), bank, seed=7, device="cpu")
    batch = source.batch(step=0, n_samples=64)            # the data of a step depend on (seed, step) alone

Shapes (B samples, T = 1 or 3 frames, Y = X = field_px, E = most emitters of a sample, rounded up to 16)::

    batch.frames_e          (B, T, Y, X) float32  electrons, input-referred: (ADU - offset) * gain / em_gain, noisy
    batch.expected_e        (B, T, Y, X) float32  the same without noise
    batch.read_variance_e2  (B, Y, X)    float32  variance of the read noise (and rounding) as the user knows it
    batch.excess_noise      (B,)         float32  factor on the shot-noise variance: 2 for EMCCD, else 1
    batch.background_e      (B, Y, X)    float32  true background
    batch.x_px, batch.y_px  (B, E)       float32  emitters lit in the middle frame and inside the field; pixel i spans
                                                  i to i + 1, its centre is i + 0.5
    batch.z_nm              (B, E)       float32
    batch.photons_e         (B, E)       float32  electrons in the middle frame, total within 10 px
    batch.on_fraction       (B, E)       float32  share of the middle frame during which it was on
    batch.mask              (B, E)       bool     True where there is an emitter; padding is 0 elsewhere
    batch.conditions        (B, C)       float32  columns CONDITION_NAMES
    batch.psf               (B,)         int64    PSF of the sample in the bank

On CUDA the conditions and emitters are drawn by numpy and are the same; light is the same to 1e-5; noise comes from
the device's own generator, seeded by (seed, step).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from stormcell.errors import SettingsError
from stormcell.simulation.noise import read_noise_maps, record
from stormcell.simulation.noise_on_device import record_on_device
from stormcell.simulation.smooth_background import draw_backgrounds
from stormcell.simulation.training_conditions import Conditions, Emitters, draw_conditions, draw_emitters
from stormcell.simulation.training_settings import TrainingFrameSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.physics.psf.bank import PSFBank

__all__ = ["CONDITION_NAMES", "TrainingBatch", "TrainingFrameSettings", "TrainingFrames"]

CONDITION_NAMES = (
    "sigma_px",
    "ellipticity",
    "tail_fraction",
    "background_e",
    "photons_e",
    "photon_spread",
    "density_per_um2",
    "density_per_px2",
    "mean_on_frames",
    "read_noise_e",
    "excess_noise",
    "camera_pixel_size_nm",
)
"""Columns of `TrainingBatch.conditions`. sigma_px, ellipticity and tail_fraction are means over its heights."""

_PAD = 16


@dataclass(frozen=True)
class TrainingBatch:
    """One batch; shapes in the module's docstring."""

    frames_e: Tensor
    expected_e: Tensor
    read_variance_e2: Tensor
    excess_noise: Tensor
    background_e: Tensor
    x_px: Tensor
    y_px: Tensor
    z_nm: Tensor
    photons_e: Tensor
    on_fraction: Tensor
    mask: Tensor
    conditions: Tensor
    psf: Tensor

    def to(self, device: str | torch.device) -> TrainingBatch:
        """Copy everything to a device.

        Parameters
        ----------
        device : str or torch.device
            For example "cuda".

        Returns
        -------
        TrainingBatch
            The same batch there.
        """
        return TrainingBatch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class TrainingFrames:
    """Endless source of training batches.

    Parameters
    ----------
    settings : TrainingFrameSettings
        Ranges of the conditions.
    bank : PSFBank
        PSFs to draw from.
    seed : int
        Seed, >= 0; keep different seeds for training and validation.
    device : str or torch.device
        Where light and noise are computed and the batches lie.
    """

    def __init__(
        self, settings: TrainingFrameSettings, bank: PSFBank, *, seed: int, device: str | torch.device = "cpu"
    ) -> None:
        if seed < 0:
            msg = f"seed: expected 0 or above, got {seed}"
            raise SettingsError(msg)
        self.settings = settings
        self.device = torch.device(device)
        # Apple's GPUs draw no Poisson numbers: there the frames are made by the processor
        self._computes_on = self.device if self.device.type == "cuda" else torch.device("cpu")
        self.bank = bank.to(self._computes_on)
        self.seed = seed

    def batch(self, step: int, n_samples: int) -> TrainingBatch:
        """Make the batch of a training step.

        Parameters
        ----------
        step : int
            Step number, >= 0.
        n_samples : int
            Samples in the batch.

        Returns
        -------
        TrainingBatch
            Depends on (seed, step, n_samples) and the bank alone.
        """
        settings, bank = self.settings, self.bank
        rng = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        conditions = draw_conditions(rng, settings, bank, n_samples)
        emitters = draw_emitters(rng, settings, bank, conditions)
        background = self._background(rng, conditions)
        read_noise, variance = _draw_camera(rng, settings, conditions)
        expected = self._expose(background, emitters)
        columns = _padded_lists(emitters, settings)
        made = TrainingBatch(
            frames_e=self._record(expected, read_noise, conditions, step),
            expected_e=expected,
            read_variance_e2=self._tensor(variance),
            excess_noise=self._tensor(np.where(conditions.is_emccd, 2.0, 1.0)),
            background_e=background,
            **{name: torch.from_numpy(values).to(self._computes_on) for name, values in columns.items()},
            conditions=self._tensor(_condition_columns(conditions, emitters, bank)),
            psf=torch.from_numpy(conditions.psf).to(self._computes_on),
        )
        return made if self._computes_on == self.device else made.to(self.device)

    def _tensor(self, values: NDArray[np.float64] | NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self._computes_on)

    def _background(self, rng: np.random.Generator, conditions: Conditions) -> Tensor:
        settings = self.settings
        n_samples = len(conditions.psf)
        strength = rng.uniform(*settings.background_structure, n_samples)
        has_blobs = rng.random(n_samples) < settings.blob_share
        shape = (settings.field_px, settings.field_px)
        return self._tensor(draw_backgrounds(rng, conditions.background_e, strength, has_blobs, shape))

    def _expose(self, background: Tensor, emitters: Emitters) -> Tensor:
        frames = torch.stack([background] * self.settings.n_frames, dim=1)
        arrays = (emitters.first, emitters.kernel, emitters.x_px, emitters.y_px, emitters.photons_e)
        self.bank.add_to_frames(frames, *(torch.from_numpy(array).to(self._computes_on) for array in arrays))
        return frames

    def _record(self, expected: Tensor, read_noise: NDArray[np.float32], conditions: Conditions, step: int) -> Tensor:
        grey_step = conditions.gain_e_per_adu.astype(np.float32)
        if self._computes_on.type == "cpu":
            noisy = record(expected.numpy(), read_noise, grey_step, conditions.is_emccd, (self.seed, step))
            return torch.from_numpy(noisy)
        generator = torch.Generator(self._computes_on)
        generator.manual_seed((self.seed * 1_000_003 + step) % 2**63)
        arrays = (torch.from_numpy(array) for array in (read_noise, grey_step, conditions.is_emccd))
        noise, grey, is_emccd = (array.to(self._computes_on) for array in arrays)
        return record_on_device(expected, noise, grey, is_emccd, generator)


def _draw_camera(
    rng: np.random.Generator, settings: TrainingFrameSettings, conditions: Conditions
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read noise (B, Y, X) in electrons, and the variance map that the user knows (B, Y, X)."""
    n_samples = len(conditions.psf)
    shape = (settings.field_px, settings.field_px)
    spread = np.where(conditions.is_emccd, 0.0, rng.uniform(0.05, 0.3, n_samples)).astype(np.float32)
    seed = int(rng.integers(2**62))
    noise = read_noise_maps(shape, conditions.read_noise_e.astype(np.float32), spread, seed)
    variance = noise**2 + (conditions.gain_e_per_adu.astype(np.float32) ** 2 / 12)[:, None, None]
    is_uniform = rng.random(n_samples) < settings.uniform_map_share
    variance[is_uniform] = variance[is_uniform].mean(axis=(1, 2), keepdims=True)
    return noise, variance.astype(np.float32)


def _padded_lists(emitters: Emitters, settings: TrainingFrameSettings) -> dict[str, NDArray[np.generic]]:
    """Truth of the middle frame as (B, E) arrays."""
    middle = settings.n_frames // 2
    side = settings.field_px
    photons = emitters.photons_e[:, middle]
    inside = (emitters.x_px >= 0) & (emitters.x_px < side) & (emitters.y_px >= 0) & (emitters.y_px < side)
    rows = np.flatnonzero(inside & (photons > 0))
    n_samples = len(emitters.first) - 1
    sample = np.searchsorted(emitters.first, rows, side="right") - 1
    counts = np.bincount(sample, minlength=n_samples)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = max(1, -(-int(counts.max(initial=0)) // _PAD)) * _PAD
    values = {
        "x_px": emitters.x_px[rows],
        "y_px": emitters.y_px[rows],
        "z_nm": emitters.z_nm[rows],
        "photons_e": photons[rows],
        "on_fraction": emitters.on_fraction[rows, middle],
    }
    lists: dict[str, NDArray[np.generic]] = {}
    for name, column in values.items():
        padded = np.zeros((n_samples, width), np.float32)
        padded[sample, place] = column
        lists[name] = padded
    mask = np.zeros((n_samples, width), np.bool_)
    mask[sample, place] = True
    lists["mask"] = mask
    return lists


def _condition_columns(conditions: Conditions, emitters: Emitters, bank: PSFBank) -> NDArray[np.float64]:
    """Columns CONDITION_NAMES, shape (B, C)."""
    planes = np.linspace(-1, 1, 9)[:, None] * conditions.z_spread_nm + conditions.focus_nm
    plane = bank.kernel(np.zeros(planes.size, np.int64), planes.ravel()).reshape(planes.shape)
    size = bank.camera_pixel_size_nm[conditions.psf]
    seen = {
        name: getattr(bank, name)[conditions.psf, plane].mean(axis=0)
        for name in ("sigma_px", "ellipticity", "tail_fraction")
    }
    columns = {
        **seen,
        "background_e": conditions.background_e,
        "photons_e": conditions.photons_e,
        "photon_spread": conditions.photon_spread,
        "density_per_um2": conditions.density_per_um2,
        "density_per_px2": conditions.density_per_um2 * (size / 1000) ** 2,
        "mean_on_frames": conditions.mean_on_frames,
        "read_noise_e": conditions.read_noise_e,
        "excess_noise": np.where(conditions.is_emccd, 2.0, 1.0),
        "camera_pixel_size_nm": size,
    }
    return np.stack([columns[name] for name in CONDITION_NAMES], axis=1)
