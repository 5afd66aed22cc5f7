"""PSFs as cubic B-spline tables: any pixel-integrated image at any sub-pixel position for 16 products per pixel.

A PSF is kept as the coefficients of a cubic spline on a grid of `OVERSAMPLING` knots per camera pixel. The value at
(u, v), the offset of a pixel's centre from the emitter, is the share of the photons that this pixel receives.
The coefficients are stored phase by phase, so that for one emitter each of the 16 taps is a contiguous small image:
`table[k, phase_y, phase_x, m_y, m_x]` belongs to the knot (4 m_y + phase_y, 4 m_x + phase_x); knot 48 is offset 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from scipy import ndimage

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

OVERSAMPLING = 4
"""Knots per camera pixel."""
CELLS = 24
"""Camera pixels across a table."""
PATCH_PX = CELLS - 1
"""Side of the image patch of one emitter: it reaches at least 11 px from it on every side."""
FINE_SAMPLES = 128
"""Samples across the fine image from which a table is made; sample 64 is offset 0, four to a camera pixel."""
EXTENT_PX = 10.0
"""Photons are counted within this distance of the emitter."""

_CENTRE = OVERSAMPLING * CELLS // 2


def fine_offsets_px() -> NDArray[np.float64]:
    """Offsets of the fine samples from the emitter.

    Returns
    -------
    ndarray
        Shape (128,), -16 to 15.75 camera px.
    """
    return (np.arange(FINE_SAMPLES) - FINE_SAMPLES // 2) / OVERSAMPLING


def integrate_over_pixels(
    density: Tensor, x_shift_px: Tensor | float = 0.0, y_shift_px: Tensor | float = 0.0
) -> Tensor:
    """Move a density so that (x_shift, y_shift) becomes its zero, and integrate it over the camera pixel.

    Parameters
    ----------
    density : Tensor
        Shape (N, 128, 128), photons per area at the fine samples, band-limited, any scale.
    x_shift_px, y_shift_px : Tensor or float
        Shape (N,) or a number: the point, in camera px, that becomes offset 0.

    Returns
    -------
    Tensor
        Shape (N, 128, 128): share of the photons in a camera pixel centred at each sample; only light within 10 px
        counts (a soft edge of 1 px), and that sums to 1.
    """
    cut = _cut(_filter(density, x_shift_px, y_shift_px, is_boxed=False))
    return _filter(cut, 0.0, 0.0, is_boxed=True)


def move_shares(shares: Tensor, x_shift_px: Tensor | float, y_shift_px: Tensor | float) -> Tensor:
    """Move pixel shares so that (x_shift, y_shift) becomes their zero, cut them at 10 px and normalise them.

    Parameters
    ----------
    shares : Tensor
        Shape (N, 128, 128), light in a camera pixel centred at each sample, any scale.
    x_shift_px, y_shift_px : Tensor or float
        Shape (N,) or a number: the point, in camera px, that becomes offset 0.

    Returns
    -------
    Tensor
        Shape (N, 128, 128), pixel shares that sum to 1 over whole pixels.
    """
    return _cut(_filter(shares, x_shift_px, y_shift_px, is_boxed=False))


def _cut(images: Tensor) -> Tensor:
    """Keep the light within 10 px, with a soft edge of 1 px, and make it sum to 1 per camera pixel."""
    offsets = torch.as_tensor(fine_offsets_px(), dtype=images.dtype, device=images.device)
    radius = torch.hypot(offsets[:, None], offsets[None, :])
    edge = ((radius - EXTENT_PX + 0.5).clamp(0, 1) * torch.pi).cos() * 0.5 + 0.5
    cut = images * edge
    return cut / cut.sum(dim=(-2, -1), keepdim=True) * OVERSAMPLING**2


def _filter(images: Tensor, x_shift: Tensor | float, y_shift: Tensor | float, *, is_boxed: bool) -> Tensor:
    frequency = torch.fft.fftfreq(FINE_SAMPLES, 1 / OVERSAMPLING, dtype=images.dtype, device=images.device)
    spectrum = torch.fft.fft2(images)
    if is_boxed:
        box = torch.sinc(frequency)
        spectrum = spectrum * (box[:, None] * box[None, :])
    else:
        shifts = [
            torch.as_tensor(s, dtype=images.dtype, device=images.device).reshape(-1, 1) for s in (x_shift, y_shift)
        ]
        phase_x, phase_y = (torch.exp(2j * torch.pi * frequency * shift) for shift in shifts)
        spectrum = spectrum * phase_y[:, :, None] * phase_x[:, None, :]
    filtered: Tensor = torch.fft.ifft2(spectrum).real
    return filtered


def table_from_shares(shares: NDArray[Any]) -> NDArray[np.float32]:
    """Make the spline table of pixel shares.

    Parameters
    ----------
    shares : ndarray
        Shape (N, 128, 128), as `integrate_over_pixels` returns.

    Returns
    -------
    ndarray
        Shape (N, 4, 4, 24, 24), float32.

    Raises
    ------
    InputError
        Another shape.
    """
    if shares.shape[1:] != (FINE_SAMPLES, FINE_SAMPLES):
        msg = f"expected pixel shares of shape (N, {FINE_SAMPLES}, {FINE_SAMPLES}), got {shares.shape}"
        raise InputError(msg)
    coefficients = np.asarray(shares, dtype=np.float64)
    for axis in (1, 2):
        coefficients = ndimage.spline_filter1d(coefficients, order=3, axis=axis, mode="mirror")
    start = FINE_SAMPLES // 2 - _CENTRE
    cropped = coefficients[:, start : start + OVERSAMPLING * CELLS, start : start + OVERSAMPLING * CELLS]
    by_phase = cropped.reshape(-1, CELLS, OVERSAMPLING, CELLS, OVERSAMPLING).transpose(0, 2, 4, 1, 3)
    table = np.ascontiguousarray(by_phase, dtype=np.float32)
    # nothing is left out here (light ends at 11 px), and a zero rim lets indices stop at it
    for rim in (0, CELLS - 1):
        table[..., rim, :] = 0
        table[..., :, rim] = 0
    return table


def shares_at_phases(shares: Tensor, window_px: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the camera images of an emitter at the 16 quarter-pixel positions round a pixel's centre.

    Parameters
    ----------
    shares : Tensor
        Shape (N, 128, 128).
    window_px : int
        Odd side of the images, camera px.

    Returns
    -------
    tuple of Tensor
        Images (N, 16, window, window), and the emitter's x and y from the window's centre, each of shape (16,), px.
    """
    half = window_px // 2
    images, xs, ys = [], [], []
    for step_y in (-1, 0, 1, 2):
        for step_x in (-1, 0, 1, 2):
            rows, columns = (_window(FINE_SAMPLES // 2 - step, half) for step in (step_y, step_x))
            images.append(shares[:, rows, columns])
            xs.append(step_x / OVERSAMPLING)
            ys.append(step_y / OVERSAMPLING)
    return torch.stack(images, dim=1), shares.new_tensor(xs), shares.new_tensor(ys)


def _window(centre: int, half: int) -> slice:
    return slice(centre - half * OVERSAMPLING, centre + half * OVERSAMPLING + 1, OVERSAMPLING)


def spline_images(
    table: Tensor, index: Tensor, x_px: Tensor, y_px: Tensor, shape: tuple[int, int], origin_px: Tensor | None = None
) -> Tensor:
    """Evaluate the pixel shares of emitters in a field; differentiable in x and y.

    Parameters
    ----------
    table : Tensor
        Shape (K, 4, 4, 24, 24).
    index : Tensor
        Shape (N,), which PSF each emitter has.
    x_px, y_px : Tensor
        Shape (N,), positions from the outer corner of the field's first pixel; pixel i has its centre at i + 0.5.
    shape : tuple of int
        (rows, columns) of the field.
    origin_px : Tensor, optional
        Shape (N, 2), row and column of each emitter's own field; None for 0.

    Returns
    -------
    Tensor
        Shape (N, rows, columns), share of the photons in each pixel.
    """
    y_tap, y_weight = _taps(y_px if origin_px is None else y_px - origin_px[:, 0].to(y_px.dtype))
    x_tap, x_weight = _taps(x_px if origin_px is None else x_px - origin_px[:, 1].to(x_px.dtype))
    # beyond the table the index stops at its rim, which holds zeros
    y_place = (y_tap % OVERSAMPLING * OVERSAMPLING * CELLS**2)[:, :, None] + _cells(y_tap, shape[0]) * CELLS
    x_place = (x_tap % OVERSAMPLING * CELLS**2)[:, :, None] + _cells(x_tap, shape[1])
    base = index.to(torch.int64) * (OVERSAMPLING * CELLS) ** 2
    place = (base[:, None, None] + y_place)[:, :, None, :, None] + x_place[:, None, :, None, :]
    values = table.reshape(-1)[place].reshape(len(index), 16, -1).to(x_weight.dtype)
    weight = (y_weight[:, :, None] * x_weight[:, None, :]).reshape(len(index), 16, 1)
    # not a matrix product: on some devices that would be done in reduced precision
    return (weight * values).sum(dim=1).reshape(len(index), *shape)


def _cells(tap: Tensor, n_pixels: int) -> Tensor:
    """Cell of the table for each tap and pixel, shape (N, 4, n_pixels)."""
    pixels = torch.arange(n_pixels, device=tap.device)
    return ((tap // OVERSAMPLING)[:, :, None] + pixels).clamp(0, CELLS - 1)


def _taps(position_px: Tensor) -> tuple[Tensor, Tensor]:
    """Knot of each tap for pixel 0 (N, 4), and its weight (N, 4)."""
    at = OVERSAMPLING * (0.5 - position_px) + _CENTRE
    first = torch.floor(at.detach())
    t = at - first
    s = 1 - t
    weight = torch.stack([s**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6, t**3 / 6], dim=1)
    return first.to(torch.int64)[:, None] - 1 + torch.arange(4, device=at.device), weight


@numba.njit(cache=True, nogil=True)
def _knot(position: float, weight: NDArray[np.float32]) -> int:
    """Fill the four weights of an emitter along one axis; return the knot of the first tap for pixel 0."""
    at = OVERSAMPLING * (0.5 - position) + _CENTRE
    first = int(np.floor(at))
    t = at - first
    s = 1.0 - t
    weight[0] = s * s * s / 6
    weight[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    weight[2] = (4 - 6 * s * s + 3 * s * s * s) / 6
    weight[3] = t * t * t / 6
    return first - 1


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def spline_patch(table: NDArray[np.float32], x: float, y: float, patch: NDArray[np.float32]) -> tuple[int, int]:
    """Write one emitter's image into a patch (numba).

    Parameters
    ----------
    table : ndarray
        Shape (4, 4, 24, 24), the PSF.
    x, y : float
        Position, px.
    patch : ndarray
        Shape (23, 23), overwritten with the shares.

    Returns
    -------
    tuple of int
        Row and column in the field of the patch's first pixel.
    """
    weight_x = np.empty(4, np.float32)
    weight_y = np.empty(4, np.float32)
    knot_x = _knot(x, weight_x)
    knot_y = _knot(y, weight_y)
    cell_x, cell_y = knot_x // OVERSAMPLING, knot_y // OVERSAMPLING
    phase_x, phase_y = knot_x - OVERSAMPLING * cell_x, knot_y - OVERSAMPLING * cell_y
    patch[:] = 0
    for a in range(4):
        p_y = (phase_y + a) % OVERSAMPLING
        m_y = (phase_y + a) // OVERSAMPLING
        # the four taps along x are the four phases, each shifted by 0 or 1 cells
        q0, q1, q2, q3 = phase_x, (phase_x + 1) % 4, (phase_x + 2) % 4, (phase_x + 3) % 4
        o1, o2, o3 = (phase_x + 1) // 4, (phase_x + 2) // 4, (phase_x + 3) // 4
        w0, w1 = weight_y[a] * weight_x[0], weight_y[a] * weight_x[1]
        w2, w3 = weight_y[a] * weight_x[2], weight_y[a] * weight_x[3]
        for i in range(PATCH_PX):
            for j in range(PATCH_PX):
                patch[i, j] += (
                    w0 * table[p_y, q0, i + m_y, j]
                    + w1 * table[p_y, q1, i + m_y, j + o1]
                    + w2 * table[p_y, q2, i + m_y, j + o2]
                    + w3 * table[p_y, q3, i + m_y, j + o3]
                )
    return -cell_y, -cell_x


@numba.njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz"})
def add_emitters(
    frames: NDArray[np.float32],
    table: NDArray[np.float32],
    first: NDArray[np.int64],
    index: NDArray[np.int64],
    x_px: NDArray[np.float64],
    y_px: NDArray[np.float64],
    photons: NDArray[np.float32],
) -> None:
    """Add the light of emitters to groups of frames (numba, parallel over groups).

    Parameters
    ----------
    frames : ndarray
        Shape (B, T, Y, X), float32, changed in place; the T frames of a group share their emitters' positions.
    table : ndarray
        Shape (K, 4, 4, 24, 24), float32.
    first : ndarray
        Shape (B + 1,): emitters first[b] to first[b + 1] shine in group b.
    index : ndarray
        Shape (N,), which PSF each emitter has.
    x_px, y_px : ndarray
        Shape (N,), positions from the field's corner, px; they may lie outside it.
    photons : ndarray
        Shape (N, T), light in each frame.
    """
    height, width = frames.shape[2], frames.shape[3]
    for b in numba.prange(len(first) - 1):
        patch = np.empty((PATCH_PX, PATCH_PX), np.float32)
        for n in range(first[b], first[b + 1]):
            row, column = spline_patch(table[index[n]], x_px[n], y_px[n], patch)
            j0, j1 = max(0, -column), min(PATCH_PX, width - column)
            for t in range(frames.shape[1]):
                light = photons[n, t]
                if light != 0:
                    for i in range(max(0, -row), min(PATCH_PX, height - row)):
                        for j in range(j0, j1):
                            frames[b, t, row + i, column + j] += light * patch[i, j]
