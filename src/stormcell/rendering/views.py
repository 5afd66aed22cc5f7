"""Parts and sizes of images: zooms, resampling onto another grid, shrinking, enlarging."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import map_coordinates, uniform_filter
from scipy.sparse import coo_array, csr_array

from stormcell.data import PixelGrid, SRImage
from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def zoom(image: SRImage, center_nm: tuple[float, float], size_nm: float) -> SRImage:
    """Cut a square out of an image.

    Parameters
    ----------
    image : SRImage
        The whole image.
    center_nm : tuple of float
        (y, x) of the middle; a square that would stick out is moved inside.
    size_nm : float
        Side of the square, > 0; cut down to the image where it is larger.

    Returns
    -------
    SRImage
        Whole pixels; positions in nm stay those of the whole image.

    Raises
    ------
    InputError
        The size is not above 0.
    """
    if not size_nm > 0:
        msg = f"expected a zoom larger than 0 nm, got {size_nm}"
        raise InputError(msg)
    grid = image.grid
    side = max(1, round(size_nm / grid.pixel_size_nm))
    centers = (float(grid.y_px(center_nm[0])), float(grid.x_px(center_nm[1])))
    cut = []
    for center, length in zip(centers, grid.shape, strict=True):
        first = min(max(0, round(center - side / 2)), max(0, length - side))
        cut.append(slice(first, min(length, first + side)))
    return SRImage(image.pixels[cut[0], cut[1]], grid.crop(cut[0], cut[1]), image.unit, image.provenance)


def brightest_regions(image: SRImage, size_nm: float, n: int = 3) -> list[tuple[float, float]]:
    """Find the squares that hold most of the signal and do not overlap, to be shown as zooms.

    Parameters
    ----------
    image : SRImage
        Pixels that are not finite count as 0.
    size_nm : float
        Side of a square, > 0.
    n : int
        At most this many.

    Returns
    -------
    list of tuple of float
        (y, x) of the centres in nm, most signal first; fewer than n where the image is empty or too small.

    Raises
    ------
    InputError
        The size is not above 0.
    """
    if not size_nm > 0:
        msg = f"expected a region larger than 0 nm, got {size_nm}"
        raise InputError(msg)
    grid = image.grid
    side = min(max(1, round(size_nm / grid.pixel_size_nm)), *grid.shape)
    pixels = np.nan_to_num(image.pixels.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    # entry i of the filtered axis belongs to the window that starts at i - side // 2; keep whole windows only
    starts = [slice(side // 2, side // 2 + length - side + 1) for length in grid.shape]
    signal = uniform_filter(pixels, side, mode="constant")[starts[0], starts[1]].copy()
    found: list[tuple[float, float]] = []
    while len(found) < n and signal.max() > 1e-12 * max(1.0, float(pixels.max())):
        y, x = (int(i) for i in np.unravel_index(int(signal.argmax()), signal.shape))
        found.append((float(grid.y_nm(y + side / 2)), float(grid.x_nm(x + side / 2))))
        signal[max(0, y - side + 1) : y + side, max(0, x - side + 1) : x + side] = 0
    return found


def resample(image: SRImage, grid: PixelGrid, outside: float = 0.0) -> NDArray[np.float32]:
    """Interpolate an image at the pixel centres of another grid.

    Parameters
    ----------
    image : SRImage
        Pixels that are not finite count as `outside`.
    grid : PixelGrid
        Where values are wanted, in the same nm.
    outside : float
        Value beyond the image. Within the outer half pixel of the image its border pixel is kept.

    Returns
    -------
    ndarray
        float32, shape of `grid`; bilinear, so nothing is averaged where the new pixels are larger.
    """
    rows = image.grid.y_px(grid.y_nm(np.arange(grid.shape[0]) + 0.5))
    columns = image.grid.x_px(grid.x_nm(np.arange(grid.shape[1]) + 0.5))
    inside = [(at >= 0) & (at <= n) for at, n in zip((rows, columns), image.grid.shape, strict=True)]
    pixels = np.nan_to_num(image.pixels.astype(np.float32), nan=outside, posinf=outside, neginf=outside)
    at = np.meshgrid(rows - 0.5, columns - 0.5, indexing="ij")
    values: NDArray[np.float32] = map_coordinates(pixels, at, order=1, mode="nearest", output=np.float32)
    values[~(inside[0][:, None] & inside[1][None, :])] = outside
    return values


def shrunk(image: SRImage, side_px: int) -> SRImage:
    """Average pixels until the longer side fits.

    Parameters
    ----------
    image : SRImage
        Pixels that are not finite count as 0.
    side_px : int
        Longest side allowed, at least 1.

    Returns
    -------
    SRImage
        The image itself where it fits already.
    """
    factor = max(image.grid.shape) / side_px
    if factor <= 1:
        return image
    pixels = area_average(np.nan_to_num(image.pixels, nan=0.0, posinf=0.0, neginf=0.0), factor)
    shape = (pixels.shape[0], pixels.shape[1])
    grid = PixelGrid(image.grid.pixel_size_nm * factor, shape, image.grid.origin_nm)
    return SRImage(pixels, grid, image.unit, image.provenance)


def area_average(pixels: NDArray[Any], factor: float) -> NDArray[np.float32]:
    """Lay larger pixels over an image; each takes the mean of the area it covers.

    Parameters
    ----------
    pixels : ndarray
        Shape (Y, X) or (Y, X, channels), finite.
    factor : float
        Side of a new pixel in old ones, at least 1.

    Returns
    -------
    ndarray
        float32; the outer corner stays, the last row and column may stick out and average what is there.
    """
    averaged: NDArray[Any] = pixels.astype(np.float32)
    for axis in (0, 1):
        lines = np.moveaxis(averaged, axis, 0)
        shares = _area_shares(lines.shape[0], factor) @ lines.reshape(lines.shape[0], -1)
        averaged = np.moveaxis(shares.reshape(-1, *lines.shape[1:]), 0, axis)
    return averaged


def _area_shares(length: int, factor: float) -> csr_array:
    """Make the matrix that averages one axis; an old pixel, the smaller one, meets one or two new ones."""
    n = math.ceil(length / factor - 1e-6)
    old = np.arange(length)
    first = np.minimum((old / factor).astype(np.int64), n - 1)
    second = np.minimum(first + 1, n - 1)
    in_first = np.where(second > first, np.clip((first + 1) * factor - old, 0, 1), 1)
    places = (np.concatenate([first, second]), np.concatenate([old, old]))
    overlap = coo_array((np.concatenate([in_first, 1 - in_first]), places), shape=(n, length)).tocsr()
    return (overlap / overlap.sum(axis=1)[:, None]).tocsr().astype(np.float32)


def fitted(rgb: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Average a picture down, or enlarge it by a whole factor, so that its longer side fits.

    Parameters
    ----------
    rgb : ndarray
        uint8, shape (Y, X, 3).
    side_px : int
        Longest side allowed.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3).
    """
    factor = max(rgb.shape[:2]) / side_px
    if factor > 1:
        return (area_average(rgb, factor) + 0.5).astype(np.uint8)
    return enlarged(rgb, side_px)


def enlarged(rgb: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Repeat pixels a whole number of times, as often as the longer side allows.

    Parameters
    ----------
    rgb : ndarray
        Shape (Y, X, 3).
    side_px : int
        Longest side allowed.

    Returns
    -------
    ndarray
        The picture itself where it cannot be doubled.
    """
    factor = max(1, side_px // max(rgb.shape[:2]))
    return rgb if factor == 1 else np.repeat(np.repeat(rgb, factor, axis=0), factor, axis=1)
