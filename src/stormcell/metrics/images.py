"""Scores between two images of the same field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stormcell.data import SRImage
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray


def nmse(image: SRImage | ArrayLike, reference: SRImage | ArrayLike, fit_scale: bool = False) -> float:
    """Normalised mean square error: sum of (image - reference)^2 over the sum of reference^2.

    Parameters
    ----------
    image, reference : SRImage or array_like
        Same shape; pixels that are not finite in one of them are left out of both.
    fit_scale : bool
        Multiply the image by the factor that makes the error smallest, so that only the shape is judged; the result
        then lies between 0 and 1.

    Returns
    -------
    float
        0 for equal images; NaN where the reference is all 0 or no pixel is left.

    Raises
    ------
    InputError
        The shapes or the places in nm differ.

    Examples
    --------
    >>> nmse([[1.0, 2.0]], [[2.0, 4.0]]), nmse([[1.0, 2.0]], [[2.0, 4.0]], fit_scale=True)
    (0.25, 0.0)
    """
    found, true = _both(image, reference)
    power = float(true @ true)
    if power == 0:
        return float("nan")
    own = float(found @ found)
    scale = float(found @ true) / own if fit_scale and own > 0 else 1.0
    rest = scale * found - true
    return float(rest @ rest) / power


def pearson(image: SRImage | ArrayLike, reference: SRImage | ArrayLike) -> float:
    """Pearson's correlation coefficient of two images.

    Parameters
    ----------
    image, reference : SRImage or array_like
        Same shape; pixels that are not finite in one of them are left out of both.

    Returns
    -------
    float
        -1 to 1; NaN where one of the images is constant or no pixel is left.

    Raises
    ------
    InputError
        The shapes or the places in nm differ.

    Examples
    --------
    >>> round(pearson([[1.0, 2.0, 3.0]], [[5.0, 7.0, 9.0]]), 6)
    1.0
    """
    found, true = _both(image, reference)
    if len(found) == 0 or np.ptp(found) == 0 or np.ptp(true) == 0:
        return float("nan")
    found, true = found - found.mean(), true - true.mean()
    r = float(found @ true) / float(np.sqrt(found @ found) * np.sqrt(true @ true))
    return min(1.0, max(-1.0, r))


IMAGE_METRICS: dict[str, Callable[[SRImage | ArrayLike, SRImage | ArrayLike], float]] = {
    "nmse": nmse,
    "pearson": pearson,
}
"""All scores between an image and a reference, by name."""


def _both(
    image: SRImage | ArrayLike, reference: SRImage | ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(image, SRImage) and isinstance(reference, SRImage) and image.grid != reference.grid:
        msg = f"expected images on the same pixels, got {image.grid} and {reference.grid}; resample one of them"
        raise InputError(msg)
    found, true = (
        np.asarray(one.pixels if isinstance(one, SRImage) else one, dtype=np.float64) for one in (image, reference)
    )
    if found.shape != true.shape:
        msg = f"expected images of the same shape, got {found.shape} and {true.shape}"
        raise InputError(msg)
    usable = np.isfinite(found) & np.isfinite(true)
    return found[usable], true[usable]
