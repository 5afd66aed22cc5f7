"""Pictures of results: for PNG files, for the report and for contact sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.sr_image import SRImage
from stormcell.rendering.annotations import add_scale_bar
from stormcell.rendering.pictures import contrast_limits, draw_image, overlay, to_png_bytes
from stormcell.rendering.report import Picture
from stormcell.rendering.views import brightest_regions, fitted, resample, shrunk, zoom

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LARGEST_PNG_PX = 4096
_SMALLEST_PNG_PX = 512
_REPORT_PX = 640
_ZOOM_PX = 420
_MIN_ZOOM_SHARE = 0.16

MEAN_OF_FRAMES = "mean ADU of the movie"
"""Unit of a wide-field image that was made of the movie itself."""

SR_COLOURS = "inferno"
WIDEFIELD_COLOURS = "gray"
ERROR_COLOURS = "magma"


def picture_with_scale_bar(image: SRImage) -> bytes:
    """Draw an image as PNG, pixel for pixel, with a scale bar.

    Parameters
    ----------
    image : SRImage
        Small images are enlarged to 512 px, very large ones are averaged down to 4,096 px.

    Returns
    -------
    bytes
        The content of a PNG file.
    """
    side = min(max(*image.pixels.shape, _SMALLEST_PNG_PX), _LARGEST_PNG_PX)
    return to_png_bytes(draw_image(image, SR_COLOURS, side_px=side))


def report_pictures(image: SRImage, widefield: SRImage | None, error_map: SRImage | None) -> tuple[Picture, ...]:
    """Draw the field in several ways, side by side.

    Parameters
    ----------
    image : SRImage
        The super-resolution image.
    widefield : SRImage or None
        The diffraction-limited image of the same field.
    error_map : SRImage or None
        Where the two disagree.

    Returns
    -------
    tuple of Picture
        Two to four.
    """
    height, width = (side / 1000 for side in image.grid.extent_nm)
    field = f"{height:.3g} x {width:.3g} \u00b5m"
    pictures = []
    if widefield is not None:
        pictures.append(
            Picture(
                to_png_bytes(draw_image(on_pixels_of(widefield, image), WIDEFIELD_COLOURS, side_px=_REPORT_PX)),
                "Wide field",
                _widefield_caption(widefield),
                f"Wide-field image of a field of {field}, in grey.",
                is_pixelated=True,
            )
        )
    pictures.append(
        Picture(
            to_png_bytes(draw_image(image, SR_COLOURS, side_px=_REPORT_PX)),
            "Super-resolution",
            f"Every localization drawn as wide as it is uncertain, on pixels of {image.sr_pixel_size_nm:g} nm.",
            f"Super-resolution image of the same field of {field}, bright structure on black.",
        )
    )
    if widefield is not None:
        pictures.append(
            Picture(
                to_png_bytes(overlay_picture(widefield, image, _REPORT_PX)),
                "Overlay",
                "Super-resolution (warm colours) on the wide field (grey): colour off the grey is suspect.",
                "Super-resolution image in colour laid over the wide-field image in grey.",
            )
        )
    if error_map is not None:
        pictures.append(
            Picture(
                to_png_bytes(draw_image(error_map, ERROR_COLOURS, side_px=_REPORT_PX)),
                "Error map",
                "Where the picture, blurred to the wide field's resolution, differs from it: bright means suspect.",
                "Map of disagreement between super-resolution and wide-field image; bright where they differ.",
            )
        )
    return tuple(pictures)


def zoom_pictures(image: SRImage, widefield: SRImage | None) -> tuple[Picture, ...]:
    """Draw the densest places close up, wide field and super-resolution side by side.

    Parameters
    ----------
    image : SRImage
        The super-resolution image.
    widefield : SRImage or None
        The diffraction-limited image of the same field.

    Returns
    -------
    tuple of Picture
        At most four; none for an empty image or a tiny field.
    """
    size_nm = max(_MIN_ZOOM_SHARE * max(image.grid.extent_nm), 40 * image.sr_pixel_size_nm)
    if not image.pixels.any() or size_nm > 0.7 * min(image.grid.extent_nm):
        return ()
    limits = contrast_limits(image.pixels)
    pictures = []
    for number, (y_nm, x_nm) in enumerate(brightest_regions(image, size_nm, 4), start=1):
        near = zoom(image, (y_nm, x_nm), size_nm)
        drawn = draw_image(near, SR_COLOURS, limits=limits, side_px=_ZOOM_PX)
        if widefield is not None:
            low_high = contrast_limits(widefield.pixels)
            far = SRImage(resample(widefield, near.grid, outside=low_high[0]), near.grid, widefield.unit)
            drawn = _beside(draw_image(far, WIDEFIELD_COLOURS, limits=low_high, side_px=_ZOOM_PX), drawn)
        side_um = near.grid.extent_nm[1] / 1000
        place = f"{x_nm / 1000:.2f}, {y_nm / 1000:.2f} \u00b5m"
        pictures.append(
            Picture(
                to_png_bytes(drawn),
                f"Place {number}",
                f"{side_um:.2g} \u00b5m wide, centre at x, y = {place}.",
                f"Close-up {number}: wide field beside super-resolution, {side_um:.2g} micrometres wide.",
            )
        )
    return tuple(pictures)


def overlay_picture(widefield: SRImage, image: SRImage, side_px: int) -> NDArray[np.uint8]:
    """Lay the super-resolution image over the wide field, with a scale bar.

    Parameters
    ----------
    widefield, image : SRImage
        Both of the same field.
    side_px : int
        Longer side of the picture.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3).
    """
    small = shrunk(image, side_px)
    rgb = fitted(overlay(widefield, small), side_px)
    return add_scale_bar(rgb, small.grid.extent_nm[1] / rgb.shape[1])


def _widefield_caption(widefield: SRImage) -> str:
    if widefield.unit == MEAN_OF_FRAMES:
        return "What a conventional microscope sees: the light of all frames together."
    return "The conventional image that was given, of the same field."


def on_pixels_of(image: SRImage, other: SRImage) -> SRImage:
    """Show an image on the pixels of another without interpolation, so that both are drawn at one size.

    Parameters
    ----------
    image : SRImage
        Larger pixels.
    other : SRImage
        Smaller pixels of the same field.

    Returns
    -------
    SRImage
        Each pixel takes the value of the one its centre lies in; outside the image that of the nearest.
    """
    rows, columns = (np.arange(side) + 0.5 for side in other.grid.shape)
    y = np.floor(image.grid.y_px(other.grid.y_nm(rows))).astype(int)
    x = np.floor(image.grid.x_px(other.grid.x_nm(columns))).astype(int)
    height, width = image.grid.shape
    pixels = image.pixels[np.ix_(np.clip(y, 0, height - 1), np.clip(x, 0, width - 1))]
    return SRImage(pixels, other.grid, image.unit)


def _beside(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gap = np.full((left.shape[0], 4, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
