"""Localization of a movie: background, detection, fits, table; block by block, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from stormcell.data.localizations import Localizations
from stormcell.localization.background import BackgroundChoice
from stormcell.localization.recipe import FitRecipe, FittedBlocks
from stormcell.localization.spots import LARGEST_ROI, SMALLEST_ROI
from stormcell.physics.gaussian import FitSigma
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import Camera
    from stormcell.physics.psf.model import PSF

LocalizationMethod = Literal["mle", "lsq", "multi"]
"""Fits of single emitters by maximum likelihood or least squares, or joint fits of overlapping ones."""


class LocalizationSettings(Settings):
    """How spots are found and fitted."""

    method: LocalizationMethod = "mle"
    """Fit: mle (maximum likelihood for the camera's noise, precision at the theoretical limit), lsq (least squares,
    faster, less precise where the background is low) or multi (maximum likelihood of overlapping emitters together,
    up to ten at a time; slower, for dense frames)."""

    fit_sigma: FitSigma = "free"
    """PSF width in the fit: free (one value per spot, held near psf_sigma_px by a prior of 25 % where a spot is too
    faint to tell), fixed (psf_sigma_px for all) or elliptical (one per axis). Joint fits share one PSF: fixed."""

    psf_sigma_px: Annotated[float, Field(ge=0.4, le=8.0)] | None = None
    """PSF standard deviation in camera pixels, before integration over the pixel; left out, it is estimated from the
    brightest isolated spots."""

    roi_size_px: Annotated[int, Field(ge=SMALLEST_ROI, le=LARGEST_ROI)] | None = None
    """Odd side of the fitted region in pixels; left out, it reaches three sigma to either side."""

    false_positives_per_frame: Annotated[float, Field(ge=1e-6, le=100.0)] = 0.1
    """Detections that pure noise may cause per frame, on average; sets the detection threshold."""

    background: BackgroundChoice = "auto"
    """Background for detection: temporal (median over frames of a block), spatial (smooth in each block) or auto
    (spatial for fewer than 20 frames or dense movies). Fits estimate their own."""

    block_frames: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Frames that share one background estimate; between blocks it is interpolated."""

    @field_validator("roi_size_px")
    @classmethod
    def _is_odd(cls, side: int | None) -> int | None:
        if side is not None and side % 2 == 0:
            msg = f"expected an odd number of pixels, got {side}; use {side + 1}"
            raise ValueError(msg)
        return side


@dataclass(frozen=True)
class LocalizationResult:
    """The table and what was noticed on the way.

    Attributes
    ----------
    table : Localizations
        One row per fitted spot, ordered by frame, y and x.
    psf_sigma_px : float
        Width used for detection and as the start (or fixed value) of the fits.
    psf_sigma_source : str
        "given", "estimated", or "assumed" where too few spots allowed an estimate.
    roi_size_px : int
        Side of the fitted regions.
    background : str
        "temporal" or "spatial".
    background_mean_e : float
        Mean of the background model over the movie in electrons per pixel; NaN where frames are too small to search.
    noise_ratio : float
        Measured over expected noise of the frames: 1 where the camera's values were believed, else what detection
        went by.
    n_saturated_pixels, n_nan_pixels, n_negative_pixels : int
        Pixels at the camera's upper limit, not a number, and below zero in raw units.
    """

    table: Localizations
    psf_sigma_px: float
    psf_sigma_source: str
    roi_size_px: int
    background: str
    background_mean_e: float
    noise_ratio: float
    n_saturated_pixels: int
    n_nan_pixels: int
    n_negative_pixels: int


def localize_frames(
    stack: FrameStack,
    camera: Camera,
    camera_pixel_size_nm: float,
    settings: LocalizationSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Localizations:
    """Localize the emitters of a movie.

    Parameters
    ----------
    stack : FrameStack
        The movie, raw camera units.
    camera : Camera
        Its camera.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    settings : LocalizationSettings, optional
        How; None takes the defaults.
    progress : callable, optional
        Called as progress(done, total) with frames.

    Returns
    -------
    Localizations
        One row per fitted spot, ordered by frame, y and x; all columns also where nothing was found. Unusual fits
        stay in, with their flags.
    """
    return localize_stack(stack, camera, camera_pixel_size_nm, settings, progress).table


def localize_stack(
    stack: FrameStack,
    camera: Camera,
    camera_pixel_size_nm: float,
    settings: LocalizationSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    psf: PSF | None = None,
) -> LocalizationResult:
    """Localize the emitters of a movie and report what was noticed on the way.

    Parameters
    ----------
    stack : FrameStack
        The movie, raw camera units.
    camera : Camera
        Its camera.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    settings : LocalizationSettings, optional
        How; None takes the defaults.
    progress : callable, optional
        Called as progress(done, total) with frames.
    psf : PSF, optional
        A measured or computed PSF for method multi; the other methods take its width.

    Returns
    -------
    LocalizationResult
        The table (see `localize_frames`), the PSF width used, and counts of unusable pixels.

    Notes
    -----
    The same input gives the same table, whatever the number of threads.
    """
    recipe = FitRecipe.of(stack, camera, camera_pixel_size_nm, settings or LocalizationSettings(), psf)
    return joined_blocks(recipe, stack, [recipe.fit(stack, progress=progress)])


def joined_blocks(recipe: FitRecipe, stack: FrameStack, parts: Sequence[FittedBlocks]) -> LocalizationResult:
    """Put the rows of consecutive blocks together.

    Parameters
    ----------
    recipe : FitRecipe
        How they were made.
    stack : FrameStack
        The whole movie.
    parts : sequence of FittedBlocks
        In order, without a gap; their columns are taken out of them, so that the rows are never held twice.

    Returns
    -------
    LocalizationResult
        Of the whole movie.
    """
    taken = {name: [part.columns.pop(name) for part in parts] for name in list(parts[0].columns)}
    table = Localizations(
        {name: _joined(taken.pop(name)) for name in list(taken)},
        grid=recipe.writer(stack).grid,
        n_frames=stack.n_frames,
    )
    n_frames = sum(part.n_frames for part in parts)
    background_e = sum(part.background_e for part in parts) / n_frames if n_frames else math.nan
    noise_ratio = sum(part.noise_ratio for part in parts) / n_frames if n_frames else 1.0
    counts = (sum(part.counts[k] for part in parts) for k in range(3))
    known = (recipe.psf_sigma_px, recipe.psf_sigma_source, recipe.roi_size_px)
    return LocalizationResult(table, *known, parts[0].kind, background_e, noise_ratio, *counts)


def _joined(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
