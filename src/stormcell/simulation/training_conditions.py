"""Drawing the conditions and emitters of training samples; numpy, keyed by (seed, step)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.physics.psf.bank import PSFBank
    from stormcell.simulation.training_settings import TrainingFrameSettings

_N_CURVES = 4
_CLUMP_EMITTERS = (1.5, 6.0)
_CLUMP_NM = (20.0, 120.0)


@dataclass(frozen=True)
class Conditions:
    """Conditions of B samples; arrays of shape (B,)."""

    psf: NDArray[np.int64]
    density_per_um2: NDArray[np.float64]
    is_filament: NDArray[np.bool_]
    is_clumped: NDArray[np.bool_]
    photons_e: NDArray[np.float64]
    photon_spread: NDArray[np.float64]
    background_e: NDArray[np.float64]
    mean_on_frames: NDArray[np.float64]
    """0 where frames are independent."""
    focus_nm: NDArray[np.float64]
    z_spread_nm: NDArray[np.float64]
    is_emccd: NDArray[np.bool_]
    read_noise_e: NDArray[np.float64]
    gain_e_per_adu: NDArray[np.float64]


@dataclass(frozen=True)
class Emitters:
    """Emitters of B samples in one list, sample by sample; arrays of shape (N,) unless said otherwise."""

    first: NDArray[np.int64]
    """Shape (B + 1,): emitters first[b] to first[b + 1] belong to sample b."""
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    z_nm: NDArray[np.float64]
    kernel: NDArray[np.int64]
    photons_e: NDArray[np.float32]
    """Shape (N, T)."""
    on_fraction: NDArray[np.float32]
    """Shape (N, T)."""


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float], size: int) -> NDArray[np.float64]:
    """Draw numbers whose logarithm is uniform.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    bounds : tuple of float
        Low and high, > 0.
    size : int
        How many.

    Returns
    -------
    ndarray
        Shape (size,).
    """
    return np.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1]), size))


def draw_conditions(
    rng: np.random.Generator, settings: TrainingFrameSettings, bank: PSFBank, n_samples: int
) -> Conditions:
    """Draw the conditions of a batch.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    settings : TrainingFrameSettings
        The ranges.
    bank : PSFBank
        The PSFs; each sample draws one.
    n_samples : int
        B.

    Returns
    -------
    Conditions
        Of every sample.
    """
    psf = rng.integers(bank.n_psfs, size=n_samples)
    low, high = (math.sqrt(d) for d in settings.density_per_um2)
    density = rng.uniform(low, high, n_samples) ** 2
    drawn = rng.random(n_samples)
    is_filament = drawn < settings.filament_share
    is_clumped = ~is_filament & (drawn < settings.filament_share + settings.clump_share)
    density = np.where(is_filament, density / 3, np.where(is_clumped, density / 2, density))
    density[rng.random(n_samples) < settings.empty_share] = 0.0
    is_emccd = rng.random(n_samples) < settings.emccd_share
    cmos_noise = log_uniform(rng, settings.read_noise_e, n_samples)
    emccd_noise = rng.uniform(*settings.emccd_read_noise_e, n_samples)
    read_noise = np.where(is_emccd, emccd_noise, cmos_noise)
    background = log_uniform(rng, settings.background_e, n_samples)
    excess = np.where(is_emccd, 2.0, 1.0)
    sigma = bank.sigma_px[psf, bank.focus_plane]
    recovered = 1 - bank.tail_fraction[psf, bank.focus_plane]
    needed = _photons_for_snr(settings.min_peak_snr, sigma, recovered, excess, excess * background + read_noise**2)
    is_persistent = rng.random(n_samples) < settings.persistent_share * (settings.n_frames == 3)
    on_frames = log_uniform(rng, settings.mean_on_frames, n_samples)
    return Conditions(
        psf=psf,
        density_per_um2=density,
        is_filament=is_filament,
        is_clumped=is_clumped,
        photons_e=_draw_photons(rng, settings.photons_e, needed),
        photon_spread=rng.uniform(*settings.photon_spread, n_samples),
        background_e=background,
        mean_on_frames=np.where(is_persistent, on_frames, 0.0),
        focus_nm=rng.uniform(-1, 1, n_samples) * settings.focus_error_nm,
        z_spread_nm=rng.uniform(*settings.z_spread_nm, n_samples),
        is_emccd=is_emccd,
        read_noise_e=read_noise,
        gain_e_per_adu=log_uniform(rng, settings.gain_e_per_adu, n_samples),
    )


def _photons_for_snr(
    snr: float,
    sigma_px: NDArray[np.float64],
    recovered: NDArray[np.float64],
    excess: NDArray[np.float64],
    variance_e2: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Photons whose peak pixel p reaches p = snr * sqrt(excess * p + variance)."""
    peak_share = recovered / (2 * math.pi * (sigma_px**2 + 1 / 12))
    half = excess * snr**2 / 2
    return (half + np.sqrt(half**2 + snr**2 * variance_e2)) / peak_share


def _draw_photons(
    rng: np.random.Generator, bounds: tuple[float, float], needed: NDArray[np.float64]
) -> NDArray[np.float64]:
    low = np.clip(needed, bounds[0], bounds[1])
    return np.exp(np.log(low) + rng.random(len(low)) * (math.log(bounds[1]) - np.log(low)))


def draw_emitters(
    rng: np.random.Generator, settings: TrainingFrameSettings, bank: PSFBank, conditions: Conditions
) -> Emitters:
    """Draw the emitters of a batch, also those in the margin round the field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    settings : TrainingFrameSettings
        The ranges.
    bank : PSFBank
        The PSFs.
    conditions : Conditions
        Of every sample.

    Returns
    -------
    Emitters
        All in one list.
    """
    side_px = settings.field_px + 2 * settings.margin_px
    area_um2 = (side_px * bank.camera_pixel_size_nm[conditions.psf] / 1000) ** 2
    per_frame = conditions.density_per_um2 * area_um2
    n_frames = settings.n_frames
    on = conditions.mean_on_frames
    # persistent emitters: a stationary process with `per_frame` emitters lit in each frame
    events = np.where(on > 0, per_frame * (on + n_frames) / (on + 1), per_frame * n_frames)
    counts = rng.poisson(events)
    first = np.concatenate([[0], np.cumsum(counts)])
    sample = np.repeat(np.arange(len(counts)), counts)
    pixel_nm = bank.camera_pixel_size_nm[conditions.psf]
    x, y = _draw_positions(rng, conditions.is_filament, sample, side_px, pixel_nm)
    if conditions.is_clumped.any():
        clumped = conditions.is_clumped[sample]
        x[clumped], y[clumped] = _draw_clumps(rng, sample[clumped], side_px, pixel_nm)
    z = conditions.focus_nm[sample] + rng.uniform(-1, 1, len(sample)) * conditions.z_spread_nm[sample]
    on_fraction = _draw_on_fractions(rng, settings, on[sample])
    spread = conditions.photon_spread[sample]
    brightness = conditions.photons_e[sample] * np.exp(spread * rng.standard_normal(len(sample)) - spread**2 / 2)
    return Emitters(
        first=first,
        x_px=x - settings.margin_px,
        y_px=y - settings.margin_px,
        z_nm=z,
        kernel=bank.kernel(conditions.psf[sample], z),
        photons_e=(brightness[:, None] * on_fraction).astype(np.float32),
        on_fraction=on_fraction.astype(np.float32),
    )


def _draw_on_fractions(
    rng: np.random.Generator, settings: TrainingFrameSettings, on_frames: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of each frame during which an emitter is on, shape (N, T)."""
    n, n_frames = len(on_frames), settings.n_frames
    partial = np.minimum(1.0, rng.uniform(*settings.on_fraction, n))
    alone = np.zeros((n, n_frames))
    alone[np.arange(n), rng.integers(n_frames, size=n)] = partial
    # on already at the start of the window, or switched on within it; the exponential on-time has no memory
    is_on_at_start = rng.random(n) * (on_frames + n_frames) < on_frames
    start = np.where(is_on_at_start, 0.0, rng.random(n) * n_frames)
    stop = start + rng.exponential(size=n) * on_frames
    frame = np.arange(n_frames)
    overlap = np.minimum(stop[:, None], frame + 1) - np.maximum(start[:, None], frame)
    return np.where(on_frames[:, None] > 0, np.clip(overlap, 0.0, 1.0), alone)


def _draw_positions(
    rng: np.random.Generator,
    is_filament: NDArray[np.bool_],
    sample: NDArray[np.int64],
    side_px: float,
    camera_pixel_size_nm: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in a square of `side_px`: uniform, or along parabolas with a scatter of 10 to 60 nm."""
    n, n_samples = len(sample), len(is_filament)
    uniform = rng.random((2, n)) * side_px
    n_curves = rng.integers(1, _N_CURVES + 1, n_samples)
    anchor = rng.random((2, n_samples, _N_CURVES)) * side_px
    angle = rng.uniform(0, 2 * math.pi, (n_samples, _N_CURVES))
    bend = rng.normal(0, 0.3, (n_samples, _N_CURVES)) / side_px
    scatter_px = rng.uniform(10, 60, n_samples) / camera_pixel_size_nm
    curve = (rng.random(n) * n_curves[sample]).astype(np.int64)
    along = (rng.random(n) * 2 - 1) * 0.7 * side_px
    offsets = rng.standard_normal((2, n)) * scatter_px[sample]
    across = bend[sample, curve] * along**2
    cosine, sine = np.cos(angle[sample, curve]), np.sin(angle[sample, curve])
    x = anchor[0, sample, curve] + along * cosine - across * sine + offsets[0]
    y = anchor[1, sample, curve] + along * sine + across * cosine + offsets[1]
    bound = is_filament[sample]
    # wrapping keeps the mean density; a curve that leaves comes back on the other side
    return np.where(bound, x % side_px, uniform[0]), np.where(bound, y % side_px, uniform[1])


def _draw_clumps(
    rng: np.random.Generator, sample: NDArray[np.int64], side_px: float, camera_pixel_size_nm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in a square of `side_px`, gathered into clumps; each sample has its own size and number of them."""
    n_samples = len(camera_pixel_size_nm)
    counts = np.bincount(sample, minlength=n_samples)
    n_clumps = np.maximum(1, np.round(counts / log_uniform(rng, _CLUMP_EMITTERS, n_samples))).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(n_clumps)])
    centre = rng.random((2, first[-1])) * side_px
    chosen = centre[:, first[sample] + (rng.random(len(sample)) * n_clumps[sample]).astype(np.int64)]
    radius_px = log_uniform(rng, _CLUMP_NM, n_samples) / camera_pixel_size_nm
    x, y = (chosen + rng.standard_normal((2, len(sample))) * radius_px[sample]) % side_px
    return x, y
