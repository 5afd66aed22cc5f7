"""Pictures of a checked image: the field in several ways, classes in colour, the same places close up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.assessment.artefacts import ArtefactClass
from stormcell.data.sr_image import SRImage
from stormcell.rendering.annotations import add_scale_bar
from stormcell.rendering.pictures import contrast_limits, draw_image, to_png_bytes, to_rgb
from stormcell.rendering.report import Picture
from stormcell.rendering.views import brightest_regions, fitted, resample, zoom
from stormcell.workflows.pictures import ERROR_COLOURS, SR_COLOURS, WIDEFIELD_COLOURS, on_pixels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.workflows.checking import Checked

_SIDE_PX = 640
_ZOOM_PX = 300
_N_ZOOMS = 3
_ZOOM_SHARE = 0.18
_SIGNED_COLOURS = "RdBu_r"

# Okabe and Ito: told apart also without seeing red and green.
_COLOURS = {
    ArtefactClass.MEASURED: (0, 158, 115),
    ArtefactClass.INFERRED: (86, 180, 233),
    ArtefactClass.CONTRADICTED: (230, 97, 0),
}


def class_picture(image: SRImage, classes: SRImage, side_px: int = _SIDE_PX) -> NDArray[np.uint8]:
    """Colour an image by its classes.

    Parameters
    ----------
    image : SRImage
        Gives the brightness.
    classes : SRImage
        `ArtefactClass` numbers on the same grid.
    side_px : int
        Longer side of the picture.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3): green measured, blue inferred, orange contradicted, grey below the threshold.
    """
    level = to_rgb(image, "gray", gamma=0.6).astype(np.float32)[..., :1] / 255
    colour = np.full((*image.pixels.shape, 3), 130, dtype=np.float32)
    for kind, rgb in _COLOURS.items():
        colour[classes.pixels == kind] = rgb
    # What is contradicted keeps a minimum of colour, so that it is not lost in the dark.
    is_denied = classes.pixels == ArtefactClass.CONTRADICTED
    level = np.where(is_denied[..., None], np.maximum(level, 0.35), level)
    drawn = fitted((colour * level).astype(np.uint8), side_px)
    return add_scale_bar(drawn, image.grid.extent_nm[1] / drawn.shape[1])


def signed_picture(checked: Checked, side_px: int = _SIDE_PX) -> NDArray[np.uint8]:
    """Draw the signed error: red where structure is missing, blue where there is too much.

    Parameters
    ----------
    checked : Checked
        From `check_image`.
    side_px : int
        Longer side of the picture.

    Returns
    -------
    ndarray
        uint8, shape (Y, X, 3).
    """
    signed = checked.comparison.signed
    most = float(np.percentile(np.abs(signed.pixels), 99.7)) or 1.0
    return draw_image(signed, _SIGNED_COLOURS, limits=(-most, most), side_px=side_px)


def check_pictures(checked: Checked) -> tuple[Picture, ...]:
    """Draw the whole field: image, wide field, three error maps, classes.

    Parameters
    ----------
    checked : Checked
        From `check_image`.

    Returns
    -------
    tuple of Picture
        Six.
    """
    wide = on_pixels_of(checked.comparison.widefield, checked.image)
    compared = (
        (
            draw_image(checked.image, SR_COLOURS, side_px=_SIDE_PX),
            "Image",
            "The super-resolution image that is judged.",
        ),
        (
            draw_image(wide, WIDEFIELD_COLOURS, side_px=_SIDE_PX),
            "Wide field",
            "The conventional image of the same field.",
        ),
        (
            draw_image(checked.comparison.error, ERROR_COLOURS, side_px=_SIDE_PX),
            "Error map",
            "What the image, blurred to the wide field's resolution, leaves unexplained: bright means suspect.",
        ),
    )
    return _encoded(compared) + judged_pictures(checked)


def judged_pictures(checked: Checked) -> tuple[Picture, ...]:
    """Draw what a report of a run adds: signed error, local error and classes.

    Parameters
    ----------
    checked : Checked
        From `check_image`.

    Returns
    -------
    tuple of Picture
        Three.
    """
    drawn = (
        (
            signed_picture(checked),
            "Signed error",
            "Red: the wide field holds more than the image explains. Blue: the image holds too much.",
        ),
        (
            draw_image(checked.local_error, ERROR_COLOURS, side_px=_SIDE_PX),
            "Local error",
            "Bright: missing, invented or displaced structure nearby; an error map alone hardly shows displacement.",
        ),
        (class_picture(checked.image, checked.artefacts.classes), *classes_words(checked.artefacts.shares)),
    )
    return _encoded(drawn)


def _encoded(drawn: tuple[tuple[NDArray[np.uint8], str, str], ...]) -> tuple[Picture, ...]:
    return tuple(Picture(to_png_bytes(rgb), title, caption, f"{title}. {caption}") for rgb, title, caption in drawn)


def classes_words(shares: dict[str, float]) -> tuple[str, str]:
    """Title and caption of the picture of classes.

    Parameters
    ----------
    shares : dict of str to float
        Share of the intensity in each class.

    Returns
    -------
    tuple of str
        Title, caption.
    """
    words = (
        f"Green: measured ({shares['measured']:.0%} of the intensity). Blue: inferred ({shares['inferred']:.0%}). "
        f"Orange: contradicted ({shares['contradicted']:.0%}). Grey: too faint to be judged ({shares['empty']:.0%})."
    )
    return "Measured, inferred, contradicted", words


def check_zooms(checked: Checked) -> tuple[Picture, ...]:
    """Draw the same places in every picture, side by side: first where the error is largest, then where it is bright.

    Parameters
    ----------
    checked : Checked
        From `check_image`.

    Returns
    -------
    tuple of Picture
        At most four; none for a tiny field.
    """
    image = checked.image
    size_nm = max(_ZOOM_SHARE * max(image.grid.extent_nm), 40 * image.sr_pixel_size_nm)
    if size_nm > 0.7 * min(image.grid.extent_nm):
        return ()
    places = [("Largest error", place) for place in brightest_regions(checked.comparison.error, size_nm, 1)]
    places += [("Bright place", place) for place in brightest_regions(image, size_nm, _N_ZOOMS)]
    pictures = []
    for title, (y_nm, x_nm) in places:
        near = zoom(image, (y_nm, x_nm), size_nm)
        caption = f"Image, wide field, error map, classes; {near.grid.extent_nm[1] / 1000:.2g} \u00b5m wide"
        caption += f", centre at x, y = {x_nm / 1000:.2f}, {y_nm / 1000:.2f} \u00b5m."
        pictures.append(Picture(to_png_bytes(_strip(checked, (y_nm, x_nm), size_nm)), title, caption, caption))
    return tuple(pictures)


def _strip(checked: Checked, centre_nm: tuple[float, float], size_nm: float) -> NDArray[np.uint8]:
    image, error, wide = checked.image, checked.comparison.error, checked.comparison.widefield
    near = zoom(image, centre_nm, size_nm)
    limits = contrast_limits(wide.pixels)
    far = SRImage(resample(wide, near.grid, outside=limits[0]), near.grid, wide.unit)
    tiles = [
        draw_image(near, SR_COLOURS, limits=contrast_limits(image.pixels), side_px=_ZOOM_PX),
        draw_image(far, WIDEFIELD_COLOURS, limits=limits, side_px=_ZOOM_PX),
        draw_image(
            zoom(error, centre_nm, size_nm), ERROR_COLOURS, limits=contrast_limits(error.pixels), side_px=_ZOOM_PX
        ),
        class_picture(near, zoom(checked.artefacts.classes, centre_nm, size_nm), _ZOOM_PX),
    ]
    height = min(tile.shape[0] for tile in tiles)
    gap = np.full((height, 4, 3), 255, np.uint8)
    parts = [part for tile in tiles for part in (tile[:height], gap)]
    return np.concatenate(parts[:-1], axis=1)
