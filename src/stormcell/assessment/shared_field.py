"""Lay a super-resolution image and a wide-field image over each other, or say why they cannot be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.sr_image import SRImage
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stormcell.data.pixel_grid import PixelGrid

_MIN_WIDEFIELD_PIXELS = 8


@dataclass(frozen=True)
class SharedField:
    """Two images cut to the field they share.

    Parameters
    ----------
    sr : SRImage
        Super-resolution pixels with their middle inside the wide-field's field.
    widefield : SRImage
        Wide-field pixels that lie wholly inside the super-resolution field.
    """

    sr: SRImage
    widefield: SRImage

    @property
    def ratio(self) -> float:
        """Wide-field pixel size over super-resolution pixel size, at least 1."""
        return self.widefield.sr_pixel_size_nm / self.sr.sr_pixel_size_nm

    def widefield_in_sr(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the middles of the wide-field pixels in super-resolution pixels: y (P,) and x (Q,)."""
        return _centres_in(self.widefield.grid, self.sr.grid)

    def sr_in_widefield(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the middles of the super-resolution pixels in wide-field pixels: y (P,) and x (Q,)."""
        return _centres_in(self.sr.grid, self.widefield.grid)


def shared_field(sr: SRImage, widefield: SRImage, *, partial: bool = False) -> SharedField:
    """Check two images and cut them to their common field.

    Parameters
    ----------
    sr : SRImage
        Super-resolution image.
    widefield : SRImage
        Wide-field image with pixels at least as large.
    partial : bool
        Allow fields that differ by more than one wide-field pixel, and use their overlap.

    Returns
    -------
    SharedField
        Whole pixels of both.

    Raises
    ------
    InputError
        A pixel is not finite, an image is constant, the wide-field pixels are the smaller ones, the fields differ,
        or fewer than 8 x 8 wide-field pixels are left.
    """
    for image, name in ((sr, "super-resolution"), (widefield, "wide-field")):
        _check_pixels(image.pixels, name)
    if widefield.sr_pixel_size_nm < sr.sr_pixel_size_nm * (1 - 1e-6):
        msg = (
            f"expected wide-field pixels at least as large as super-resolution pixels, got {_size(widefield)} "
            f"against {_size(sr)}; check the pixel sizes and which image is which"
        )
        raise InputError(msg)
    low, high = _overlap(sr.grid, widefield.grid)
    if not partial:
        _check_same_field(sr, widefield)
    wide = _cut(widefield, low, high, _whole_inside)
    fine = _cut(sr, low, high, _middle_inside)
    if wide is None or fine is None or min(wide.pixels.shape) < _MIN_WIDEFIELD_PIXELS:
        got = "no common field" if wide is None or fine is None else f"{wide.pixels.shape} wide-field pixels"
        msg = (
            f"expected the two images to share at least {_MIN_WIDEFIELD_PIXELS} x {_MIN_WIDEFIELD_PIXELS} wide-field "
            f"pixels, got {got}; check their pixel sizes and origins"
        )
        raise InputError(msg)
    for image, name in ((fine, "super-resolution"), (wide, "wide-field")):
        _check_structure(image.pixels, name)
    return SharedField(fine, wide)


def _check_pixels(pixels: NDArray[np.float32], name: str) -> None:
    if not np.isfinite(pixels).all():
        bad = int((~np.isfinite(pixels)).sum())
        msg = f"expected finite pixels in the {name} image, got {bad} that are NaN or infinite; crop or mend them"
        raise InputError(msg)
    _check_structure(pixels, name)


def _check_structure(pixels: NDArray[np.float32], name: str) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    if low == high:
        what = "only zeros" if low == 0 else f"the value {low:g} in every pixel"
        msg = f"expected structure in the {name} image, got {what}; there is nothing to compare"
        raise InputError(msg)


def _check_same_field(sr: SRImage, widefield: SRImage) -> None:
    tolerance = widefield.sr_pixel_size_nm * (1 + 1e-6)
    for axis, name in ((0, "y"), (1, "x")):
        ends = [
            (image.grid.origin_nm[axis], image.grid.origin_nm[axis] + image.grid.extent_nm[axis])
            for image in (sr, widefield)
        ]
        if max(abs(ends[0][0] - ends[1][0]), abs(ends[0][1] - ends[1][1])) > tolerance:
            msg = (
                f"expected two images of the same field, but along {name} the super-resolution image spans "
                f"{ends[0][0]:g} to {ends[0][1]:g} nm ({_size(sr)} pixels) and the wide-field image {ends[1][0]:g} "
                f"to {ends[1][1]:g} nm ({_size(widefield)} pixels); check the pixel sizes, or allow a partial field"
            )
            raise InputError(msg)


def _size(image: SRImage) -> str:
    return f"{image.sr_pixel_size_nm:g} nm"


def _overlap(a: PixelGrid, b: PixelGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    starts = np.maximum(a.origin_nm, b.origin_nm)
    ends = np.minimum(np.add(a.origin_nm, a.extent_nm), np.add(b.origin_nm, b.extent_nm))
    return starts, ends


def _whole_inside(low: float, high: float) -> tuple[int, int]:
    return int(np.ceil(low - 1e-6)), int(np.floor(high + 1e-6))


def _middle_inside(low: float, high: float) -> tuple[int, int]:
    # A grid made to cover a field may stick out by less than one pixel: such a pixel is kept.
    return int(np.floor(low + 1e-6)), int(np.ceil(high - 1e-6))


def _cut(
    image: SRImage,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    rounding: Callable[[float, float], tuple[int, int]],
) -> SRImage | None:
    size = image.sr_pixel_size_nm
    slices = []
    for axis in (0, 1):
        origin = image.grid.origin_nm[axis]
        start, stop = rounding((low[axis] - origin) / size, (high[axis] - origin) / size)
        start, stop = max(start, 0), min(stop, image.pixels.shape[axis])
        if stop <= start:
            return None
        slices.append(slice(start, stop))
    if all(s == slice(0, side) for s, side in zip(slices, image.pixels.shape, strict=True)):
        return image
    pixels = image.pixels[slices[0], slices[1]]
    return SRImage(pixels, image.grid.crop(slices[0], slices[1]), image.unit, image.provenance)


def _centres_in(inner: PixelGrid, outer: PixelGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y = outer.y_px(inner.y_nm(np.arange(inner.shape[0]) + 0.5))
    x = outer.x_px(inner.x_nm(np.arange(inner.shape[1]) + 0.5))
    return y, x
