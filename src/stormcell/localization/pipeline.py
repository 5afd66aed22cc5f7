"""Localization of a movie: background, detection, fits, table; block by block, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from stormcell.data.localizations import Localizations
from stormcell.localization.background import BackgroundChoice
from stormcell.localization.block_models import BlockModel, BlockModels, DetectionPlan
from stormcell.localization.detection import Spots
from stormcell.localization.fits import FitModel
from stormcell.localization.frame_blocks import FrameBlock, frames_per_block, read_ahead
from stormcell.localization.multi import JointPlan, joint_rows
from stormcell.localization.multi_width import refine_psf_sigma
from stormcell.localization.psf_width import estimate_psf_sigma
from stormcell.localization.rows import FitPlan, RowWriter, fit_rows
from stormcell.localization.spots import LARGEST_ROI, SMALLEST_ROI, roi_size_for
from stormcell.physics.gaussian import CameraNoise, FitSigma
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import Camera
    from stormcell.physics.psf.model import PSF

    FitBlock = Callable[[FrameBlock, Spots], dict[str, NDArray[Any]]]

LocalizationMethod = Literal["mle", "lsq", "multi"]
"""Fits of single emitters by maximum likelihood or least squares, or joint fits of overlapping ones."""

_FEWEST_BLOCK_FRAMES = 24


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
    settings = settings or LocalizationSettings()
    given = settings.psf_sigma_px or (psf.sigma_px if psf is not None else None)
    sigma, source = estimate_psf_sigma(stack, camera, given)
    if settings.method == "multi" and given is None:
        sigma = refine_psf_sigma(stack, camera, sigma)
    roi_size = settings.roi_size_px or roi_size_for(sigma)
    read_variance = camera.read_variance_e2(stack.frame_shape, stack.origin_px)
    noise = CameraNoise(read_variance, camera.excess_noise_factor)
    plan = DetectionPlan.of(read_variance, camera.excess_noise_factor, sigma, settings.false_positives_per_frame)
    models = BlockModels(plan, settings.background, stack.n_frames)
    fit_sigma = settings.fit_sigma if settings.method != "multi" else "fixed"
    writer = RowWriter(stack.grid(camera_pixel_size_nm), camera.qe, stack.first_frame, fit_sigma)
    if settings.method == "multi":
        fit_block = _joint_fits(JointPlan.of(sigma, roi_size, noise, psf), writer)
    else:
        # a width that is a mere assumption must not hold the fits
        prior = 0.0 if source == "assumed" else None
        model = FitModel(settings.method, settings.fit_sigma, sigma_prior=prior)
        fit_block = _single_fits(FitPlan(model, sigma, roi_size, noise), writer)
    block_frames = frames_per_block(stack.frame_shape, settings.block_frames, _FEWEST_BLOCK_FRAMES)
    found = [fit_block(FrameBlock.none(stack.frame_shape), Spots.none())]
    counts = np.zeros(3, dtype=np.int64)
    for block, spots in detected_blocks(read_ahead(stack, camera, block_frames), models):
        found.append(fit_block(block, spots))
        counts += (block.n_saturated, block.n_nan, block.n_negative)
        if progress is not None:
            progress(block.start + len(block), stack.n_frames)
    table = Localizations(
        {name: np.concatenate([columns[name] for columns in found]) for name in found[0]},
        grid=writer.grid,
        n_frames=stack.n_frames,
    )
    background = (models.kind, models.mean_e, models.noise_ratio)
    return LocalizationResult(table, sigma, source, roi_size, *background, *(int(n) for n in counts))


def _single_fits(plan: FitPlan, writer: RowWriter) -> FitBlock:
    return lambda block, spots: fit_rows(block, spots, plan, writer)


def _joint_fits(plan: JointPlan, writer: RowWriter) -> FitBlock:
    return lambda block, spots: joint_rows(block, spots, plan, writer)


def detected_blocks(blocks: Iterator[FrameBlock], models: BlockModels) -> Iterator[tuple[FrameBlock, Spots]]:
    """Detect block by block, one block late: the background is interpolated towards the next block's.

    Parameters
    ----------
    blocks : iterator of FrameBlock
        Consecutive blocks.
    models : BlockModels
        Background models and detection.

    Yields
    ------
    tuple of FrameBlock and Spots
        Each block with its spots.
    """
    before: BlockModel | None = None
    waiting: tuple[FrameBlock, BlockModel] | None = None
    for block in blocks:
        model = models.of(block)
        if waiting is not None:
            yield waiting[0], models.detect(*waiting, before, model)
            before = waiting[1]
        waiting = (block, model)
    if waiting is not None:
        yield waiting[0], models.detect(*waiting, before, None)
