"""Text and scale bars on pictures."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from scipy.ndimage import maximum_filter

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FONT = "DejaVu Sans"  # comes with Matplotlib, so pictures look the same everywhere


def scale_bar_length_nm(width_nm: float) -> float:
    """Choose a round length for a scale bar: 1, 2 or 5 times a power of ten, at most a quarter of the picture.

    Parameters
    ----------
    width_nm : float
        Width of the picture, > 0.

    Returns
    -------
    float
        Length of the bar in nm.

    Examples
    --------
    >>> scale_bar_length_nm(25600.0)
    5000.0
    """
    longest = width_nm / 4
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def length_label(length_nm: float) -> str:
    """Write a length in the unit a reader expects.

    Parameters
    ----------
    length_nm : float
        In nm.

    Returns
    -------
    str
        For example 500 nm, 2 µm or 1 mm.
    """
    for unit, nm in (("mm", 1e6), ("µm", 1e3)):
        if length_nm >= nm:
            return f"{length_nm / nm:g} {unit}"
    return f"{length_nm:g} nm"


def add_scale_bar(rgb: NDArray[np.uint8], pixel_size_nm: float, length_nm: float | None = None) -> NDArray[np.uint8]:
    """Draw a white scale bar with its length, outlined in black, into the lower right corner.

    Parameters
    ----------
    rgb : ndarray
        uint8, shape (Y, X, 3).
    pixel_size_nm : float
        Side of one pixel of this picture, > 0.
    length_nm : float, optional
        Length of the bar; None chooses one (`scale_bar_length_nm`).

    Returns
    -------
    ndarray
        A new picture. The label is left out where the picture is too small for it, the bar where it would be
        shorter than 2 pixels.

    Raises
    ------
    InputError
        The bar would not fit, or a length is not above 0.
    """
    height, width = rgb.shape[:2]
    if not (pixel_size_nm > 0 and (length_nm is None or length_nm > 0)):
        msg = f"expected pixel size and scale bar above 0 nm, got {pixel_size_nm} and {length_nm}"
        raise InputError(msg)
    length = length_nm or scale_bar_length_nm(width * pixel_size_nm)
    bar_px = round(length / pixel_size_nm)
    if bar_px > width:
        msg = f"expected a scale bar inside the picture of {width * pixel_size_nm:g} nm, got {length:g} nm"
        raise InputError(msg)
    thick = max(2, round(min(height, width) / 100))
    margin = 2 * thick
    if bar_px < 2 or height < 3 * thick:
        return rgb.copy()
    mask = np.zeros((height, width), np.float32)
    right = width - min(margin, width - bar_px)
    bottom = height - min(margin, height - thick)
    mask[bottom - thick : bottom, right - bar_px : right] = 1
    label = text_mask(length_label(length), max(11, round(min(height, width) / 24)))
    top = bottom - 2 * thick - label.shape[0]
    left = min(right - bar_px // 2 - label.shape[1] // 2, width - margin - label.shape[1])
    if top >= 0 and left >= 0:
        mask[top : top + label.shape[0], left : left + label.shape[1]] = label
    return _blend(rgb, mask)


def draw_text(rgb: NDArray[np.uint8], text: str, size_px: int = 16) -> NDArray[np.uint8]:
    """Write white text, outlined in black, into the upper left corner.

    Parameters
    ----------
    rgb : ndarray
        uint8, shape (Y, X, 3).
    text : str
        One line; what does not fit is cut off.
    size_px : int
        Height of the font.

    Returns
    -------
    ndarray
        A new picture.
    """
    mask = np.zeros(rgb.shape[:2], np.float32)
    label = text_mask(text, size_px)
    margin = max(1, size_px // 3)
    target = mask[margin : margin + label.shape[0], margin : margin + label.shape[1]]
    target[:] = label[: target.shape[0], : target.shape[1]]
    return _blend(rgb, mask)


@lru_cache(maxsize=64)  # a report writes the same few labels again and again
def text_mask(text: str, size_px: int) -> NDArray[np.float32]:
    """Draw text as a grey-scale mask.

    Parameters
    ----------
    text : str
        One line, taken literally.
    size_px : int
        Height of the font in pixels.

    Returns
    -------
    ndarray
        float32, 0 to 1, cut to the text, read-only; shape (0, 0) for blank text.
    """
    if not text.strip():
        return np.zeros((0, 0), np.float32)
    size = (2.0 + len(text) * 1.2) * size_px, 3.0 * size_px
    figure = Figure(figsize=size, dpi=1, facecolor="black", edgecolor="black")
    canvas = FigureCanvasAgg(figure)
    font = FontProperties(family=_FONT, size=size_px * 72)
    figure.text(0.5, 0.4, text, fontproperties=font, color="white", ha="center", parse_math=False, usetex=False)
    canvas.draw()
    mask: NDArray[np.float32] = np.asarray(canvas.buffer_rgba())[..., 0].astype(np.float32) / np.float32(255)
    rows, columns = np.flatnonzero(mask.max(axis=1)), np.flatnonzero(mask.max(axis=0))
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    cut.flags.writeable = False
    return cut


def _blend(rgb: NDArray[np.uint8], mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    blended = rgb.copy()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return blended
    # a bar is small: only where it and its outline lie are colours mixed
    box = tuple(slice(max(int(found[0]) - 1, 0), int(found[-1]) + 2) for found in (rows, columns))
    outline = maximum_filter(mask[box], 3)[..., None]
    mixed = rgb[box] * (1 - outline) + 255 * mask[box][..., None]
    blended[box] = np.minimum(mixed + 0.5, 255)
    return blended
