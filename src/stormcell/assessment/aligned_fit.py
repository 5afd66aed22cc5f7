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

    from stormcell.assessment.common_field import CommonField
    from stormcell.assessment.cosine_field import CosineField

_PASSES = 2
_NEGLIGIBLE_SHIFT_PX = 0.02


@dataclass(frozen=True)
class AlignedFit:
    """The fit after registration.

    Parameters
    ----------
    fit : RsfFit
        Width, scale, offset.
    blur : SampledBlur
        Blurred values at the wide-field pixels, displaced by the shift.
    shift_px : tuple of float
        Displacement (y, x) of the super-resolution image from the wide-field image, in wide-field pixels.
    use : ndarray or None
        Wide-field pixels that count; all where None.
    warnings : tuple of str
        What went wrong on the way.
    """

    fit: RsfFit
    blur: SampledBlur
    shift_px: tuple[float, float]
    use: NDArray[np.bool_] | None
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


def align_and_fit(common: CommonField, cosines: CosineField, search: Search) -> AlignedFit:
    """Register and fit in turn.

    Parameters
    ----------
    common : CommonField
        The pair.
    cosines : CosineField
        Of the super-resolution image.
    search : Search
        Limits.

    Returns
    -------
    AlignedFit
        Without any registration where it is refused; a warning says so.
    """
    reference = common.widefield.pixels
    use = _interior((reference.shape[0], reference.shape[1]), search.margin_px)
    low, high = search.bounds_px
    limit = min(search.max_shift_px, min(reference.shape) / 2)
    # The shift hardly depends on the width: a typical one finds it before the width is known.
    sigma = (float(np.clip(1.3 * common.ratio, low, high)),) * 2
    shift = (0.0, 0.0)
    warnings: tuple[str, ...] = ()
    blur = _blur(common, cosines, shift)
    fit = None
    for _ in range(_PASSES if limit > 0 else 0):
        try:
            step = estimate_shift(reference, blur.values(sigma), limit)
        except RegistrationError as refused:
            shift, fit = (0.0, 0.0), None
            blur = _blur(common, cosines, shift)
            warnings = (f"not registered, taken as aligned: {refused}",)
            break
        if fit is not None and max(abs(step.y_px), abs(step.x_px)) < _NEGLIGIBLE_SHIFT_PX:
            break
        shift = (shift[0] + step.y_px, shift[1] + step.x_px)
        blur = _blur(common, cosines, shift)
        fit = fit_rsf(blur, reference, use, (low, high), elliptical=search.elliptical)
        sigma = fit.sigma_px
    if fit is None:
        fit = fit_rsf(blur, reference, use, (low, high), elliptical=search.elliptical)
    return AlignedFit(fit, blur, shift, use, warnings)


def _blur(common: CommonField, cosines: CosineField, shift_px: tuple[float, float]) -> SampledBlur:
    y, x = common.widefield_in_sr()
    return SampledBlur(cosines, y + shift_px[0] * common.ratio, x + shift_px[1] * common.ratio, common.ratio)


def _interior(shape: tuple[int, int], margin_px: int) -> NDArray[np.bool_] | None:
    if margin_px == 0:
        return None
    if 2 * margin_px + 8 > min(shape):
        msg = f"expected a margin that leaves at least 8 x 8 of the {shape} wide-field pixels, got {margin_px}"
        raise InputError(msg)
    inside = np.zeros(shape, dtype=bool)
    inside[margin_px:-margin_px, margin_px:-margin_px] = True
    return inside
