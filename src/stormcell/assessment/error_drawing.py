"""The maps of a SQUIRREL comparison, drawn on the super-resolution grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from stormcell.assessment.aligned_fit import sampled_blur
from stormcell.assessment.upscaling import upscale
from stormcell.data.sr_image import SRImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.aligned_fit import AlignedFit
    from stormcell.assessment.camera_noise import CameraNoise
    from stormcell.assessment.cosine_field import CosineField
    from stormcell.assessment.shared_field import SharedField


class Maps(TypedDict):
    """The maps of an `ErrorMap`, by field name."""

    error: SRImage
    signed: SRImage
    z_score: SRImage | None
    matched: SRImage
    convolved: SRImage
    residual: SRImage
    widefield: SRImage


def draw_maps(shared: SharedField, cosines: CosineField, aligned: AlignedFit, noise: CameraNoise | None) -> Maps:
    """Draw all maps of a comparison.

    Parameters
    ----------
    shared : SharedField
        The pair.
    cosines : CosineField
        Of the super-resolution image (blurred by the measured RSF, where there is one).
    aligned : AlignedFit
        The fit.
    noise : CameraNoise or None
        For the z-score; None leaves it out.

    Returns
    -------
    Maps
        In units of the wide-field image, z-scores in standard deviations.
    """
    match = aligned.fit.match
    wide, unit = shared.widefield, shared.widefield.unit
    y, x = shared.sr_in_widefield()
    y, x = y - aligned.shift_px[0], x - aligned.shift_px[1]
    convolved = cosines.on_own_grid(aligned.fit.sigma_px, shared.ratio)
    convolved *= np.float32(match.alpha)
    convolved += np.float32(match.beta)
    signed = upscale(wide.pixels, y, x)
    signed -= convolved
    values = sampled_blur(shared, cosines, aligned.shift_px).values(aligned.fit.sigma_px)
    explained = np.float32(match.alpha) * values + np.float32(match.beta)
    residual = wide.pixels.astype(np.float32) - explained
    z_score = None
    if noise is not None:
        in_noise = residual / noise.standard_deviation(explained)
        z_score = _image(upscale(in_noise, y, x), shared, "standard deviations")
    matched = np.multiply(shared.sr.pixels, np.float32(match.alpha), dtype=np.float32)
    matched += np.float32(match.beta)
    return Maps(
        error=_image(np.abs(signed), shared, unit),
        signed=_image(signed, shared, unit),
        z_score=z_score,
        matched=_image(matched, shared, unit),
        convolved=_image(convolved, shared, unit),
        residual=SRImage(residual, wide.grid, unit),
        widefield=wide,
    )


def _image(pixels: NDArray[np.float32], shared: SharedField, unit: str) -> SRImage:
    return SRImage(pixels, shared.sr.grid, unit)
