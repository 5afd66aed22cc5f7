"""PSFBank: many PSFs in one table, each with what a Gaussian fit would make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stormcell.errors import InputError
from stormcell.physics.psf.gaussian_fit import WINDOW_PX, GaussianFits, fit_gaussians
from stormcell.physics.psf.spline_table import (
    OVERSAMPLING,
    PATCH_PX,
    add_emitters,
    integrate_over_pixels,
    move_shares,
    shares_at_phases,
    spline_images,
    table_from_shares,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_CHUNK = 4096
"""Emitters drawn at once by the torch path: bounds its memory to about 0.2 GB."""


@dataclass(frozen=True)
class PSFBank:
    """K PSFs at P heights each. A *kernel* is one PSF at one height: kernel = psf * P + plane.

    All arrays but the table are float64 of numpy, shape (K, P) unless said otherwise.
    """

    table: Tensor
    """Spline tables, shape (K * P, 4, 4, 24, 24), float32."""
    z_planes_nm: NDArray[np.float64]
    """Heights of the planes above best focus, shape (P,), ascending."""
    camera_pixel_size_nm: NDArray[np.float64]
    """Shape (K,): the camera pixel for which the PSF was made."""
    sigma_px: NDArray[np.float64]
    """Best-fit Gaussian's sigma (before pixel integration), camera px."""
    ellipticity: NDArray[np.float64]
    """(long - short) / (long + short) axis of the spot in the fit window, pixel and Gaussian sense; 0 is round."""
    tail_fraction: NDArray[np.float64]
    """1 - share of the photons within 10 px that the best-fit Gaussian recovers."""
    strehl: NDArray[np.float64]
    """Shape (K,): Strehl ratio of the aberrations; 1 for plain Gaussians."""
    kind: tuple[str, ...]
    """What each PSF is: gaussian, scalar, vectorial or measured; length K."""
    centre_spread_px: NDArray[np.float64]
    """Shape (K,): largest distance between the fitted and the true centre over the sub-pixel positions, in focus."""

    @property
    def n_psfs(self) -> int:
        """Number of PSFs, K."""
        return len(self.kind)

    @property
    def n_planes(self) -> int:
        """Number of heights, P."""
        return len(self.z_planes_nm)

    @property
    def focus_plane(self) -> int:
        """Index of the plane nearest to focus."""
        return int(np.argmin(np.abs(self.z_planes_nm)))

    @property
    def photon_correction(self) -> NDArray[np.float64]:
        """Shape (K, P): photons within 10 px per photon that a Gaussian fit reports."""
        return 1.0 / (1.0 - self.tail_fraction)

    @property
    def device(self) -> torch.device:
        """Where the table lies."""
        return self.table.device

    def to(self, device: str | torch.device) -> PSFBank:
        """Copy the table to a device.

        Parameters
        ----------
        device : str or torch.device
            For example "cuda".

        Returns
        -------
        PSFBank
            The same PSFs there.
        """
        return replace(self, table=self.table.to(device))

    def select(self, psfs: Sequence[int] | NDArray[Any]) -> PSFBank:
        """Keep some of the PSFs.

        Parameters
        ----------
        psfs : sequence of int
            Their indices, 0 to K - 1.

        Returns
        -------
        PSFBank
            In that order.
        """
        chosen = np.asarray(psfs, dtype=np.int64)
        kernels = (chosen[:, None] * self.n_planes + np.arange(self.n_planes)).ravel()
        arrays = {name: getattr(self, name)[chosen] for name in _PER_PSF}
        kinds = tuple(self.kind[i] for i in chosen)
        return replace(self, table=self.table[torch.as_tensor(kernels)], kind=kinds, **arrays)

    def kernel(self, psf: NDArray[np.int64], z_nm: NDArray[np.float64]) -> NDArray[np.int64]:
        """Find the kernel nearest to a height.

        Parameters
        ----------
        psf : ndarray
            PSF of each emitter, shape (N,).
        z_nm : ndarray
            Height of each emitter, shape (N,); beyond the last plane the last plane is taken.

        Returns
        -------
        ndarray
            Kernel of each emitter, shape (N,).
        """
        middles = (self.z_planes_nm[1:] + self.z_planes_nm[:-1]) / 2
        return psf * self.n_planes + np.searchsorted(middles, z_nm)

    def images(self, x_px: Tensor, y_px: Tensor, photons: Tensor, kernel: Tensor, shape: tuple[int, int]) -> Tensor:
        """Draw each emitter into a field of its own; differentiable in x, y and photons.

        Parameters
        ----------
        x_px, y_px : Tensor
            Shape (N,), positions from the field's outer corner, camera px.
        photons : Tensor
            Shape (N,), total within 10 px.
        kernel : Tensor
            Shape (N,), int64, which kernel each emitter has.
        shape : tuple of int
            (rows, columns).

        Returns
        -------
        Tensor
            Shape (N, rows, columns), photons per pixel.
        """
        return photons[:, None, None] * spline_images(self.table, kernel, x_px, y_px, shape)

    def add_to_frames(
        self,
        frames: Tensor,
        first: Tensor,
        kernel: Tensor,
        x_px: Tensor,
        y_px: Tensor,
        photons: Tensor,
    ) -> None:
        """Add the light of many emitters to groups of frames: numba on the CPU, torch elsewhere.

        Parameters
        ----------
        frames : Tensor
            Shape (B, T, Y, X), float32, changed in place.
        first : Tensor
            Shape (B + 1,), int64: emitters first[b] to first[b + 1] belong to group b.
        kernel : Tensor
            Shape (N,), int64.
        x_px, y_px : Tensor
            Shape (N,), positions from the field's outer corner; they may lie outside the field.
        photons : Tensor
            Shape (N, T), float32.
        """
        if frames.device.type == "cpu" and self.device.type == "cpu":
            arrays = (t.detach().numpy() for t in (frames, self.table, first, kernel, x_px, y_px, photons))
            add_emitters(*arrays)
            return
        _add_emitters_torch(frames, self.table, first, kernel, (x_px, y_px), photons)


_HALF_STEP = 0.5 / OVERSAMPLING

_PER_PSF = ("camera_pixel_size_nm", "sigma_px", "ellipticity", "tail_fraction", "strehl", "centre_spread_px")


def _add_emitters_torch(
    frames: Tensor, table: Tensor, first: Tensor, kernel: Tensor, position: tuple[Tensor, Tensor], photons: Tensor
) -> None:
    """Do what `add_emitters` does, on any device."""
    groups, n_frames, height, width = frames.shape
    counts = first[1:] - first[:-1]
    group = torch.repeat_interleave(torch.arange(groups, device=frames.device), counts)
    steps = torch.arange(PATCH_PX, device=frames.device)
    flat = frames.reshape(groups, n_frames, -1).transpose(1, 2).contiguous().reshape(-1, n_frames)
    for start in range(0, len(kernel), _CHUNK):
        part = slice(start, start + _CHUNK)
        x, y = position[0][part], position[1][part]
        origin = torch.stack([torch.floor(y), torch.floor(x)], dim=1).to(torch.int64) - PATCH_PX // 2
        patch = spline_images(table, kernel[part], x, y, (PATCH_PX, PATCH_PX), origin)
        rows, columns = origin[:, 0, None] + steps, origin[:, 1, None] + steps
        inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        place = (group[part, None] * height + rows)[:, :, None] * width + columns[:, None, :]
        light = (
            patch.to(torch.float32)[inside][:, None]
            * photons[part][torch.arange(len(x), device=frames.device)[:, None, None].expand_as(inside)[inside]]
        )
        flat.index_add_(0, place[inside], light)
    frames.copy_(flat.reshape(groups, height * width, n_frames).transpose(1, 2).reshape(frames.shape))


def join_banks(banks: Sequence[PSFBank]) -> PSFBank:
    """Put the PSFs of several banks into one, for example measured ones beside random ones.

    Parameters
    ----------
    banks : sequence of PSFBank
        At least one. All with the same heights, or with a single one: such a PSF is then the same at every height.

    Returns
    -------
    PSFBank
        In that order.

    Raises
    ------
    InputError
        Two banks have different heights.
    """
    planes = max((bank.z_planes_nm for bank in banks), key=len)
    for bank in banks:
        if bank.n_planes > 1 and not np.array_equal(bank.z_planes_nm, planes):
            msg = f"expected banks with the same heights, got {planes.tolist()} and {bank.z_planes_nm.tolist()} nm"
            raise InputError(msg)
    repeats = [len(planes) // bank.n_planes for bank in banks]
    pairs = list(zip(banks, repeats, strict=True))
    by_height = {
        name: np.concatenate([np.repeat(getattr(bank, name), n, axis=1) for bank, n in pairs])
        for name in ("sigma_px", "ellipticity", "tail_fraction")
    }
    by_psf = {
        name: np.concatenate([getattr(bank, name) for bank in banks])
        for name in ("camera_pixel_size_nm", "strehl", "centre_spread_px")
    }
    return PSFBank(
        table=torch.cat([bank.table.repeat_interleave(n, dim=0) for bank, n in pairs]),
        z_planes_nm=planes,
        kind=tuple(kind for bank in banks for kind in bank.kind),
        **by_height,
        **by_psf,
    )


@dataclass(frozen=True)
class BankRow:
    """What one PSF adds to a bank, besides its light."""

    kind: str
    camera_pixel_size_nm: float
    strehl: float = 1.0


def bank_from_densities(
    densities: Tensor,
    rows: Sequence[BankRow],
    z_planes_nm: NDArray[np.float64],
    *,
    is_integrated: bool = False,
    chunk: int = 64,
) -> PSFBank:
    """Centre, cut, normalise and tabulate PSFs.

    The zero of each PSF is the centre of the Gaussian that fits its in-focus image best (least squares, 7 x 7 px,
    with a constant), averaged over 16 sub-pixel positions; all its planes move by the same shift.

    Parameters
    ----------
    densities : Tensor
        Shape (K, P, 128, 128): light per area at the fine samples (`fine_offsets_px`), any scale.
    rows : sequence of BankRow
        Length K.
    z_planes_nm : ndarray
        Shape (P,), ascending, in nm.
    is_integrated : bool
        Whether the densities are already integrated over the camera pixel, as measured ones are.
    chunk : int
        PSFs treated at once.

    Returns
    -------
    PSFBank
        On the CPU.

    Raises
    ------
    InputError
        The numbers of PSFs or planes disagree.
    """
    if densities.shape[:2] != (len(rows), len(z_planes_nm)):
        msg = f"expected densities for {len(rows)} PSFs and {len(z_planes_nm)} planes, got {tuple(densities.shape)}"
        raise InputError(msg)
    focus = int(np.argmin(np.abs(z_planes_nm)))
    parts = [
        _tabulate(densities[i : i + chunk].double(), focus, move_shares if is_integrated else integrate_over_pixels)
        for i in range(0, len(rows), chunk)
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = torch.from_numpy(joined.pop("table"))
    return PSFBank(
        table=table,
        z_planes_nm=np.asarray(z_planes_nm, dtype=np.float64),
        camera_pixel_size_nm=np.array([row.camera_pixel_size_nm for row in rows]),
        strehl=np.array([row.strehl for row in rows]),
        kind=tuple(row.kind for row in rows),
        **joined,
    )


def _tabulate(
    densities: Tensor, focus: int, place: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> dict[str, NDArray[Any]]:
    n_psfs, n_planes = densities.shape[:2]
    shift_x = densities.new_zeros(n_psfs)
    shift_y = densities.new_zeros(n_psfs)
    for is_rough in (True, False, False):
        # half a step aside, the 16 positions lie symmetrically round the pixel's centre
        aside = 0.0 if is_rough else _HALF_STEP
        shares = place(densities[:, focus], shift_x + aside, shift_y + aside)
        error_x, error_y = _centre_errors(shares, aside, is_rough=is_rough)
        shift_x = shift_x + error_x.mean(dim=1)
        shift_y = shift_y + error_y.mean(dim=1)
    spread = torch.hypot(error_x - error_x.mean(1, keepdim=True), error_y - error_y.mean(1, keepdim=True)).amax(dim=1)
    planes = densities.reshape(n_psfs * n_planes, *densities.shape[2:])
    shares = place(planes, shift_x.repeat_interleave(n_planes), shift_y.repeat_interleave(n_planes))
    images, _, _ = shares_at_phases(shares, WINDOW_PX)
    centred = images[:, 5]
    fits = fit_gaussians(centred)
    shape = (n_psfs, n_planes)
    return {
        "table": table_from_shares(shares.numpy()),
        "sigma_px": fits.sigma_px.reshape(shape).numpy(),
        "tail_fraction": (1 - fits.photons).clamp(0.0, 0.95).reshape(shape).numpy(),
        "ellipticity": _ellipticity(centred, fits).reshape(shape).numpy(),
        "centre_spread_px": spread.numpy(),
    }


def _centre_errors(shares: Tensor, aside: float, *, is_rough: bool) -> tuple[Tensor, Tensor]:
    """Fitted minus true centre at the sub-pixel positions; the rough call looks at the pixel's centre alone."""
    images, x, y = shares_at_phases(shares, WINDOW_PX)
    if is_rough:
        images, x, y = images[:, 5:6], x[5:6], y[5:6]
    fits = fit_gaussians(images.flatten(0, 1))
    return fits.x_px.reshape(-1, len(x)) + aside - x, fits.y_px.reshape(-1, len(y)) + aside - y


def _ellipticity(images: Tensor, fits: GaussianFits) -> Tensor:
    """Ratio of the axes from second moments weighted by the best-fit Gaussian, undoing that weight."""
    axis = torch.arange(WINDOW_PX, dtype=images.dtype, device=images.device) - WINDOW_PX // 2
    dx, dy = axis[None] - fits.x_px[:, None], axis[None] - fits.y_px[:, None]
    variance = fits.sigma_px**2 + 1 / 12
    mask = torch.exp(-0.5 * (dx[:, None, :] ** 2 + dy[:, :, None] ** 2) / variance[:, None, None])
    light = (images - fits.background[:, None, None]) * mask
    total = light.sum(dim=(1, 2))
    xx = (light * dx[:, None, :] ** 2).sum(dim=(1, 2)) / total
    yy = (light * dy[:, :, None] ** 2).sum(dim=(1, 2)) / total
    xy = (light * dx[:, None, :] * dy[:, :, None]).sum(dim=(1, 2)) / total
    # the product of two Gaussians: the inverse covariances add
    moments = torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)
    own = torch.linalg.inv(moments) - torch.eye(2, dtype=images.dtype, device=images.device) / variance[:, None, None]
    inverse = torch.linalg.eigvalsh(own).clamp_min(1e-3)
    axes = (1 / inverse - 1 / 12).clamp_min(1e-3).sqrt()
    ratio: Tensor = (axes[:, 0] - axes[:, 1]) / (axes[:, 0] + axes[:, 1])
    return ratio
