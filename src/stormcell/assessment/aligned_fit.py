"""Registration and RSF fit of one image pair, each refined with the other's result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stormcell.assessment.cosine_field import SampledBlur
from stormcell.assessment.rsf_fit import RsfFit, fit_rsf
from stormcell.errors import InputError
from stormcell.registration import RegistrationError, estimate_shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.cosine_field import CosineField
    from stormcell.assessment.shared_field import SharedField

_PASSES = 2
_NEGLIGIBLE_SHIFT_PX = 0.02
_MIN_SIDE_PX = 8


@dataclass(frozen=True)
class AlignedFit:
    """The fit after registration.

    Parameters
    ----------
    fit : RsfFit
        Width, scale, offset, over the pixels that count.
    reference : ndarray
        The wide-field pixels that count.
    blur : SampledBlur
        Blurred values at these pixels, displaced by the shift.
    shift_px : tuple of float
        Displacement (y, x) of the super-resolution image from the wide-field image, in wide-field pixels.
    warnings : tuple of str
        What went wrong on the way.
    """

    fit: RsfFit
    reference: NDArray[np.float32]
    blur: SampledBlur
    shift_px: tuple[float, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Parameters
    ----------
    bounds_px : tuple of float
        Widths in super-resolution pixels; equal ones hold the width.
    elliptical : bool
        Widths may differ along y and x.
    max_shift_px : float
        Largest displacement in wide-field pixels; 0 for none.
    margin_px : int
        Wide-field pixels along the edges that do not count.
    """

    bounds_px: tuple[float, float]
    elliptical: bool
    max_shift_px: float
    margin_px: int


def align_and_fit(shared: SharedField, cosines: CosineField, search: Search) -> AlignedFit:
    """Register and fit in turn.

    Parameters
    ----------
    shared : SharedField
        The pair.
    cosines : CosineField
        Of the super-resolution image.
    search : Search
        Limits.

    Returns
    -------
    AlignedFit
        Without any registration where it is refused; a warning says so.

    Raises
    ------
    InputError
        The margin leaves too few pixels.
    """
    margin = search.margin_px
    reference = _without_margin(shared.widefield.pixels, margin)
    limit = min(search.max_shift_px, min(reference.shape) / 2)
    shift = (0.0, 0.0)
    warnings: tuple[str, ...] = ()
    blur = sampled_blur(shared, cosines, shift, margin)
    # The shift hardly depends on the width: a typical one finds it before the width is known.
    sigma = (float(np.clip(1.3 * shared.ratio, *search.bounds_px)),) * 2
    fit = None
    for _ in range(_PASSES if limit > 0 else 0):
        try:
            step = estimate_shift(reference, blur.values(sigma), limit)
        except RegistrationError as refused:
            shift, fit = (0.0, 0.0), None
            blur = sampled_blur(shared, cosines, shift, margin)
            warnings = (f"not registered, taken as aligned: {refused}",)
            break
        if fit is not None and max(abs(step.y_px), abs(step.x_px)) < _NEGLIGIBLE_SHIFT_PX:
            break
        shift = (shift[0] + step.y_px, shift[1] + step.x_px)
        blur = sampled_blur(shared, cosines, shift, margin)
        fit = fit_rsf(blur, reference, search.bounds_px, elliptical=search.elliptical)
        sigma = fit.sigma_px
    if fit is None:
        fit = fit_rsf(blur, reference, search.bounds_px, elliptical=search.elliptical)
    return AlignedFit(fit, reference, blur, shift, warnings)


def sampled_blur(
    shared: SharedField, cosines: CosineField, shift_px: tuple[float, float], margin_px: int = 0
) -> SampledBlur:
    """Prepare blurred values at the wide-field pixels.

    Parameters
    ----------
    shared : SharedField
        The pair.
    cosines : CosineField
        Of the super-resolution image.
    shift_px : tuple of float
        Its displacement (y, x), in wide-field pixels.
    margin_px : int
        Wide-field pixels along the edges to leave out.

    Returns
    -------
    SampledBlur
        Ready to be asked for widths.
    """
    y, x = (places[margin_px : len(places) - margin_px] for places in shared.widefield_in_sr())
    return SampledBlur(cosines, y + shift_px[0] * shared.ratio, x + shift_px[1] * shared.ratio, shared.ratio)


def _without_margin(pixels: NDArray[np.float32], margin_px: int) -> NDArray[np.float32]:
    if 2 * margin_px + _MIN_SIDE_PX > min(pixels.shape):
        msg = (
            f"expected a margin that leaves at least {_MIN_SIDE_PX} x {_MIN_SIDE_PX} of the {pixels.shape} "
            f"wide-field pixels, got {margin_px}"
        )
        raise InputError(msg)
    return pixels[margin_px : pixels.shape[0] - margin_px, margin_px : pixels.shape[1] - margin_px]
