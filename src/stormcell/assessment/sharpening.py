"""Blur level: is an image drawn finer than its data can tell.

Sharpening an image (deconvolution, squaring, a network trained on thin lines) leaves its wide-field error map and its
RSP as they were: what changes lies far below the wide-field's resolution. Agreement of two halves does not show it
either, because what sharpens one half sharpens the other alike. It shows when the fineness of the drawing, which
decorrelation analysis reads from the image alone, is set against that of a plain rendering of the same data, each
localization drawn as wide as it is uncertain: nothing true is finer than the precision of its localizations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormcell.assessment.decorrelation import decorrelation
from stormcell.errors import InputError

if TYPE_CHECKING:
    from stormcell.data.sr_image import SRImage

_SUSPICIOUS = 0.75


@dataclass(frozen=True)
class BlurLevel:
    """How fine an image is drawn against a plain rendering of its data.

    Parameters
    ----------
    drawn_nm : float
        Fineness of the image.
    plain_nm : float
        Fineness of the plain rendering.
    ratio : float
        drawn_nm / plain_nm; about 1 where nothing was sharpened.
    is_sharpened : bool
        The ratio is below 0.75: the image shows finer detail than localizations of that precision can hold.
    """

    drawn_nm: float
    plain_nm: float
    ratio: float
    is_sharpened: bool


def blur_level(image: SRImage, plain: SRImage) -> BlurLevel:
    """Compare the fineness of an image with that of its data.

    Parameters
    ----------
    image : SRImage
        The image in question.
    plain : SRImage
        Rendering of the localizations behind it at their individual precision; any pixel size that samples it well.

    Returns
    -------
    BlurLevel
        Both numbers and their ratio.

    Raises
    ------
    InputError
        One of the images has no signal above its noise.
    """
    numbers = []
    for one, name in ((image, "image"), (plain, "plain rendering")):
        found = decorrelation(one)
        if found.resolution_nm is None:
            msg = f"expected signal in the {name} to read its fineness from, but {found.note}"
            raise InputError(msg)
        numbers.append(found.resolution_nm)
    ratio = numbers[0] / numbers[1]
    return BlurLevel(numbers[0], numbers[1], ratio, ratio < _SUSPICIOUS)
