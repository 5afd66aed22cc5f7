"""Images turned into colour pictures: contrast, colour map, overlay, PNG bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from matplotlib import colormaps

from stormcell.data import SRImage
from stormcell.errors import InputError, SettingsError
from stormcell.rendering.annotations import add_scale_bar
from stormcell.rendering.views import enlarged, resample, shrunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 4_000_000
_PNG_LEVEL = 3
"""Pictures of single localizations get no smaller by the usual 6, which takes twice as long."""


def contrast_limits(pixels: NDArray[Any], percentiles: tuple[float, float] = (1.0, 99.7)) -> tuple[float, float]:
    """Choose the values shown darkest and brightest.

    Where more than half of the pixels share the lowest value, as in a sparse super-resolution image, that value is
    the darkest and the upper percentile is taken over the others: a few bright pixels do not hide the rest.

    Parameters
    ----------
    pixels : ndarray
        Any shape; pixels that are not finite are ignored.
    percentiles : tuple of float
        Lower and upper, 0 to 100.

    Returns
    -------
    tuple of float
        (low, high); high > low, also for empty and constant images.

    Raises
    ------
    SettingsError
        The percentiles are not in order between 0 and 100.
    """
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        msg = f"expected contrast percentiles between 0 and 100 in rising order, got {percentiles}"
        raise SettingsError(msg)
    values = np.asarray(pixels).reshape(-1)
    values = values[:: 1 + len(values) // _SAMPLE].astype(np.float64)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low = float(values.min())
    above = values[values > low]
    if 2 * len(above) < len(values):
        high = float(np.percentile(above, percentiles[1])) if len(above) else low
    else:
        low, high = (float(value) for value in np.percentile(values, percentiles))
    return low, high if high > low else low + max(abs(low), 1.0)


def to_rgb(
    image: SRImage | NDArray[Any],
    colormap: str = "inferno",
    percentiles: tuple[float, float] = (1.0, 99.7),
    limits: tuple[float, float] | None = None,
    gamma: float = 1.0,
) -> NDArray[np.uint8]:
    """Colour an image.

    Parameters
    ----------
    image : SRImage or ndarray
        Shape (Y, X); pixels that are not finite get the darkest colour.
    colormap : str
        A Matplotlib colour map; the default is safe for colour-blind readers.
    percentiles : tuple of float
        See `contrast_limits`; used where `limits` is None.
    limits : tuple of float, optional
        Values shown darkest and brightest, to give several pictures the same scale.
    gamma : float
        Exponent on the brightness, > 0; below 1 lifts faint structure.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3).

    Raises
    ------
    InputError
        The image is not two-dimensional, the limits or gamma are impossible.
    SettingsError
        There is no such colour map.
    """
    return _table_of(colormap)[_levels(image, percentiles, limits, gamma)]


def overlay(
    background: SRImage,
    foreground: SRImage,
    colormap: str = "hot",
    background_percentiles: tuple[float, float] = (1.0, 99.7),
    foreground_percentiles: tuple[float, float] = (1.0, 99.7),
    strength: float = 0.6,
) -> NDArray[np.uint8]:
    """Lay a coloured super-resolution image over a grey wide-field image.

    Parameters
    ----------
    background : SRImage
        Shown in grey; interpolated onto the foreground's pixels by their places in nm, black where it does not reach.
    foreground : SRImage
        Shown in colour, on top; the picture has its pixels.
    colormap : str
        A Matplotlib colour map that begins with black.
    background_percentiles, foreground_percentiles : tuple of float
        See `contrast_limits`.
    strength : float
        Brightness of the background, 0 to 1.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3) of the foreground. The colours are combined so that neither hides the other
        (one minus the product of the complements).

    Raises
    ------
    SettingsError
        There is no such colour map.
    """
    limits = contrast_limits(background.pixels, background_percentiles)
    below = resample(background, foreground.grid, outside=limits[0])
    grey = to_rgb(below, "gray", limits=limits).astype(np.float32) * (strength / 255)
    colour = to_rgb(foreground, colormap, foreground_percentiles).astype(np.float32) / 255
    darkest = _table_of(colormap)[0] / 255
    colour = np.maximum(colour - darkest, 0) / (1 - darkest)  # hot begins with a dark red
    return np.asarray((1 - (1 - grey) * (1 - colour)) * 255 + 0.5, dtype=np.uint8)


def draw_image(
    image: SRImage,
    colormap: str = "inferno",
    percentiles: tuple[float, float] = (1.0, 99.7),
    limits: tuple[float, float] | None = None,
    side_px: int = 512,
    scale_bar: bool = True,
) -> NDArray[np.uint8]:
    """Draw an image at a size to look at, with a scale bar.

    Parameters
    ----------
    image : SRImage
        Any size. A larger image is averaged down before it is coloured, so that single localizations do not drop
        out; a smaller one is enlarged without interpolation.
    colormap, percentiles, limits
        As in `to_rgb`.
    side_px : int
        Longest side; a smaller image comes as near to it as a whole factor can.
    scale_bar : bool
        Whether to draw one.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3).

    Raises
    ------
    SettingsError
        There is no such colour map.
    """
    shown = shrunk(image, side_px)
    rgb = enlarged(to_rgb(shown, colormap, percentiles, limits), side_px)
    return add_scale_bar(rgb, shown.grid.extent_nm[1] / rgb.shape[1]) if scale_bar else rgb


def to_png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Encode a picture as PNG; equal pictures give equal bytes.

    Parameters
    ----------
    rgb : ndarray
        uint8, shape (Y, X, 3).

    Returns
    -------
    bytes
        The content of a PNG file.

    Raises
    ------
    InputError
        The array is no such picture.
    """
    rgb = np.asarray(rgb)
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
        msg = f"expected a uint8 picture of shape (Y, X, 3), got {rgb.dtype} {rgb.shape}"
        raise InputError(msg)
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb), level=_PNG_LEVEL))


def _levels(
    image: SRImage | NDArray[Any],
    percentiles: tuple[float, float],
    limits: tuple[float, float] | None,
    gamma: float,
) -> NDArray[np.uint8]:
    pixels = image.pixels if isinstance(image, SRImage) else np.asarray(image)
    if pixels.ndim != 2:
        msg = f"expected an image of shape (Y, X), got {pixels.shape}"
        raise InputError(msg)
    low, high = limits or contrast_limits(pixels, percentiles)
    if not (np.isfinite(low) and np.isfinite(high) and high > low and gamma > 0):
        msg = f"expected contrast limits in rising order and gamma above 0, got {low}, {high} and gamma {gamma}"
        raise InputError(msg)
    share = (pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    share = np.clip(np.nan_to_num(share, nan=0.0), 0, 1)
    if gamma != 1:
        share **= gamma
    return np.asarray(share * 255 + 0.5, dtype=np.uint8)


def _table_of(colormap: str) -> NDArray[np.uint8]:
    if colormap not in colormaps:
        msg = f"expected a Matplotlib colour map such as inferno, hot, viridis or gray, got {colormap}"
        raise SettingsError(msg)
    colours = colormaps[colormap](np.linspace(0, 1, 256))[:, :3]
    return np.asarray(colours * 255 + 0.5, dtype=np.uint8)
