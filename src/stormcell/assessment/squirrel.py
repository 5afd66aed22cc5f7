"""SQUIRREL error maps: how far a super-resolution image explains the wide-field image of the same field.

The super-resolution image, scaled (alpha), offset (beta), blurred by the resolution scaling function (RSF) and
integrated over the wide-field pixels, should be the wide-field image; the difference is the error map.

S. Culley, D. Albrecht, C. Jacobs, P. M. Pereira, C. Leterrier, J. Mercer, R. Henriques, "Quantitative mapping and
minimization of super-resolution optical imaging artifacts", Nat. Methods 15, 263 (2018), doi:10.1038/nmeth.4605.

Differs from the paper: alpha and beta are solved in closed form inside a bounded search over the RSF width, all on
the wide-field grid, instead of a particle swarm over three parameters; the width is that of the Gaussian before
integration over the wide-field pixel; the shift is refined together with it and applied to the reference.

What no wide-field image can show: structure sharper than it resolves. An image that was sharpened artificially, or
whose gaps below the resolution of the wide-field were filled, keeps its RSP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from stormcell.assessment.aligned_fit import AlignedFit, Search, align_and_fit
from stormcell.assessment.block_bootstrap import Resampling, bootstrap_match
from stormcell.assessment.camera_noise import CameraNoise
from stormcell.assessment.cosine_field import CosineField
from stormcell.assessment.error_drawing import draw_maps
from stormcell.assessment.measured_rsf import blur_by_measured, equivalent_sigma_nm
from stormcell.assessment.nanopyx_convention import NanopyxNumbers, nanopyx_numbers
from stormcell.assessment.shared_field import SharedField, shared_field
from stormcell.errors import InputError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from stormcell.assessment.rsf_fit import RsfFit
    from stormcell.data.sr_image import SRImage

# With a measured RSF, frequencies a Gaussian of this many wide-field pixels would suppress are dropped.
_MEASURED_BAND = 0.3
_MARGIN_PX = 3
_MIN_SIDE_FOR_MARGIN_PX = 32


class SquirrelSettings(Settings):
    """How a super-resolution image is compared with a wide-field image."""

    rsf_sigma_nm: float | None = Field(default=None, gt=0)
    """Hold the RSF at this standard deviation (before integration over the pixel), in nm; else it is searched for."""
    min_rsf_sigma_px: float = Field(default=0.5, gt=0.1)
    """Narrowest RSF searched for, in wide-field pixels."""
    max_rsf_sigma_px: float = Field(default=5.0, gt=0)
    """Widest RSF searched for, in wide-field pixels."""
    elliptical: bool = False
    """Let the RSF differ along y and x."""
    max_shift_px: float = Field(default=2.0, ge=0)
    """Largest misalignment that is looked for and undone, in wide-field pixels; 0 takes the images as aligned."""
    margin_px: int | None = Field(default=None, ge=0)
    """Wide-field pixels along the edges that do not count, because light from outside the field reaches them; by
    default 3 where the field is at least 32 pixels wide, else none."""
    partial_field: bool = False
    """Allow images whose fields differ by more than one wide-field pixel, and compare their overlap."""
    n_bootstrap: int = Field(default=200, ge=0, le=10_000)
    """Resamplings of blocks of wide-field pixels behind the 90 % intervals; 0 leaves the intervals out."""
    block_px: int = Field(default=8, ge=2)
    """Side of a block in wide-field pixels; errors within a block count as one."""
    seed: int = Field(default=0, ge=0)
    """Seed of the resampling."""
    noise: CameraNoise | None = None
    """The wide-field camera, for the error map in units of its noise; none without."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.max_rsf_sigma_px <= self.min_rsf_sigma_px:
            msg = f"max_rsf_sigma_px must exceed min_rsf_sigma_px ({self.min_rsf_sigma_px:g})"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class ErrorMap:
    """What a wide-field image says about a super-resolution image; maps lie on the super-resolution grid.

    Parameters
    ----------
    error : SRImage
        Absolute difference, in wide-field units.
    signed : SRImage
        Wide-field minus explained: positive where structure is missing, negative where there is too much.
    z_score : SRImage or None
        The signed difference in standard deviations of the wide-field's camera noise.
    matched : SRImage
        The super-resolution image in wide-field units: alpha * image + beta.
    convolved : SRImage
        `matched` blurred by the RSF and integrated over a wide-field pixel.
    rse, rsp : float
        Root mean squared error and Pearson correlation on the wide-field grid, without the margin.
    rsf_sigma_nm : float
        Standard deviation of the RSF before integration over the pixel (geometric mean of both axes).
    rsf_sigma_y_nm, rsf_sigma_x_nm : float
        Along each axis; equal unless elliptical.
    alpha, beta : float
        Scale and offset.
    shift_x_nm, shift_y_nm : float
        How far the super-resolution image is displaced from the wide-field image.
    intervals : dict
        90 % intervals by name: rse, rsp, alpha, beta, rsf_sigma_nm. Empty without bootstrap.
    nanopyx : NanopyxNumbers or None
        The numbers in NanoPyx's convention; None where the pixel sizes are not a whole multiple.
    residual : SRImage
        Wide-field minus explained on the wide-field grid.
    widefield : SRImage
        The wide-field pixels that were compared.
    warnings : tuple of str
        What to know before trusting the numbers.
    """

    error: SRImage
    signed: SRImage
    z_score: SRImage | None
    matched: SRImage
    convolved: SRImage
    rse: float
    rsp: float
    rsf_sigma_nm: float
    rsf_sigma_y_nm: float
    rsf_sigma_x_nm: float
    alpha: float
    beta: float
    shift_x_nm: float
    shift_y_nm: float
    intervals: dict[str, tuple[float, float]]
    nanopyx: NanopyxNumbers | None
    residual: SRImage
    widefield: SRImage
    warnings: tuple[str, ...] = field(default=())


def error_map(
    sr: SRImage, widefield: SRImage, settings: SquirrelSettings | None = None, *, rsf: SRImage | None = None
) -> ErrorMap:
    """Compare a super-resolution image with a wide-field image of the same field.

    Parameters
    ----------
    sr : SRImage
        Super-resolution image; linear intensities.
    widefield : SRImage
        Wide-field image; its pixels may be any real multiple (>= 1) of the super-resolution pixels.
    settings : SquirrelSettings, optional
        RSF, registration, edges, intervals, camera noise.
    rsf : SRImage, optional
        A measured RSF (response before integration over the wide-field pixel, background removed) to use instead of
        a Gaussian; resampled, centred and normalised.

    Returns
    -------
    ErrorMap
        Maps on the super-resolution grid (cut to the common field), numbers on the wide-field grid.

    Raises
    ------
    InputError
        The images cannot be compared: constant, not finite, of different fields, or the pixel sizes do not fit.
    """
    settings = settings or SquirrelSettings()
    shared = shared_field(sr, widefield, partial=settings.partial_field)
    narrowest = 0.5 * shared.ratio
    if rsf is None:
        bounds = _bounds_px(shared, settings)
        cosines = CosineField(shared.sr.pixels, min(bounds[0], narrowest))
    else:
        bounds = (0.0, 0.0)
        cosines = CosineField(blur_by_measured(shared.sr, rsf), _MEASURED_BAND * shared.ratio)
    search = Search(bounds, settings.elliptical, settings.max_shift_px, _margin_px(shared, settings))
    aligned = align_and_fit(shared, cosines, search)
    numbers = None
    if rsf is None and shared.sr is sr and shared.widefield is widefield:
        numbers = nanopyx_numbers(cosines, sr.pixels, widefield.pixels, narrowest)
    sigma_nm = tuple(sigma * shared.sr.sr_pixel_size_nm for sigma in aligned.fit.sigma_px)
    if rsf is not None:
        sigma_nm = (equivalent_sigma_nm(rsf),) * 2
    return _assemble(shared, cosines, aligned, settings, (sigma_nm[0], sigma_nm[1]), numbers)


def error_maps(
    sr_images: Sequence[SRImage],
    widefields: Sequence[SRImage],
    settings: SquirrelSettings | None = None,
    *,
    rsf: SRImage | None = None,
) -> list[ErrorMap]:
    """Compare a stack, image by image.

    Parameters
    ----------
    sr_images : sequence of SRImage
        One or more.
    widefields : sequence of SRImage
        One for all, or one for each.
    settings : SquirrelSettings, optional
        As for `error_map`.
    rsf : SRImage, optional
        As for `error_map`.

    Returns
    -------
    list of ErrorMap
        In order.

    Raises
    ------
    InputError
        The numbers of images do not fit, or a pair cannot be compared.
    """
    if not sr_images or len(widefields) not in (1, len(sr_images)):
        msg = f"expected one wide-field image, or one for each of {len(sr_images)} images, got {len(widefields)}"
        raise InputError(msg)
    each = list(widefields) * (len(sr_images) if len(widefields) == 1 else 1)
    return [error_map(sr, wide, settings, rsf=rsf) for sr, wide in zip(sr_images, each, strict=True)]


def _margin_px(shared: SharedField, settings: SquirrelSettings) -> int:
    if settings.margin_px is not None:
        return settings.margin_px
    return _MARGIN_PX if min(shared.widefield.pixels.shape) >= _MIN_SIDE_FOR_MARGIN_PX else 0


def _bounds_px(shared: SharedField, settings: SquirrelSettings) -> tuple[float, float]:
    """Widths searched for, in super-resolution pixels."""
    if settings.rsf_sigma_nm is not None:
        held = settings.rsf_sigma_nm / shared.sr.sr_pixel_size_nm
        return held, held
    return settings.min_rsf_sigma_px * shared.ratio, settings.max_rsf_sigma_px * shared.ratio


def _assemble(
    shared: SharedField,
    cosines: CosineField,
    aligned: AlignedFit,
    settings: SquirrelSettings,
    sigma_nm: tuple[float, float],
    numbers: NanopyxNumbers | None,
) -> ErrorMap:
    fit, match = aligned.fit, aligned.fit.match
    size_nm = shared.widefield.sr_pixel_size_nm
    maps = draw_maps(shared, cosines, aligned, settings.noise)
    return ErrorMap(
        **maps,
        rse=match.rse,
        rsp=match.rsp,
        rsf_sigma_nm=math.sqrt(sigma_nm[0] * sigma_nm[1]),
        rsf_sigma_y_nm=sigma_nm[0],
        rsf_sigma_x_nm=sigma_nm[1],
        alpha=match.alpha,
        beta=match.beta,
        shift_x_nm=aligned.shift_px[1] * size_nm,
        shift_y_nm=aligned.shift_px[0] * size_nm,
        intervals=_intervals(shared, aligned, settings),
        nanopyx=numbers,
        warnings=(*aligned.warnings, *_doubts(fit, settings)),
    )


def _intervals(
    shared: SharedField, aligned: AlignedFit, settings: SquirrelSettings
) -> dict[str, tuple[float, float]]:
    if settings.n_bootstrap == 0 or aligned.fit.match.rsp <= 0:
        return {}
    resampling = Resampling(settings.n_bootstrap, settings.block_px, settings.seed)
    found = bootstrap_match(aligned.blur, aligned.fit, aligned.reference, resampling)
    if "rsf_sigma_px" in found:
        low, high = found.pop("rsf_sigma_px")
        size_nm = shared.sr.sr_pixel_size_nm
        found["rsf_sigma_nm"] = (low * size_nm, high * size_nm)
    return found


def _doubts(fit: RsfFit, settings: SquirrelSettings) -> list[str]:
    doubts = []
    if fit.match.alpha <= 0:
        doubts.append("the super-resolution image does not explain the wide-field image at any blur (alpha <= 0)")
    if fit.at_limit:
        doubts.append(
            f"the RSF width stands at the end of its range ({settings.min_rsf_sigma_px:g} to "
            f"{settings.max_rsf_sigma_px:g} wide-field pixels): no good minimum was found"
        )
    return doubts
