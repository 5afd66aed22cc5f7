"""How the fits of one movie are done, fixed once for the whole movie, so that its parts can be worked on anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.localization.block_models import BlockModel, BlockModels, DetectionPlan
from stormcell.localization.detection import Spots
from stormcell.localization.fits import FitModel
from stormcell.localization.frame_blocks import FrameBlock, block_edges, frames_per_block, read_ahead, read_block
from stormcell.localization.multi import JointPlan, joint_rows
from stormcell.localization.multi_width import refine_psf_sigma
from stormcell.localization.psf_width import estimate_psf_sigma
from stormcell.localization.rows import FitPlan, RowWriter, fit_rows
from stormcell.localization.spots import roi_size_for
from stormcell.physics.gaussian import CameraNoise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.localization.background import BackgroundChoice
    from stormcell.localization.pipeline import LocalizationSettings
    from stormcell.physics.cameras import Camera
    from stormcell.physics.psf.model import PSF

    FitBlock = Callable[[FrameBlock, Spots], dict[str, NDArray[Any]]]

_FEWEST_BLOCK_FRAMES = 24


@dataclass(frozen=True)
class FittedBlocks:
    """What consecutive blocks of a movie gave.

    Parameters
    ----------
    columns : dict of str to ndarray
        Rows, ordered by frame, y and x.
    n_frames : int
        Frames in the blocks.
    background_e : float
        Mean background times frames.
    noise_ratio : float
        Mean ratio of measured over expected noise times frames.
    kind : str
        Background model in use.
    counts : tuple of int
        Saturated, NaN and negative pixels.
    """

    columns: dict[str, NDArray[Any]]
    n_frames: int
    background_e: float
    noise_ratio: float
    kind: str
    counts: tuple[int, int, int]


@dataclass(frozen=True)
class FitRecipe:
    """How the fits of one movie are done.

    Parameters
    ----------
    camera : Camera
        The movie's camera.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    settings : LocalizationSettings
        What was asked for.
    psf_sigma_px : float
        Width for detection, and where fits start.
    psf_sigma_source : str
        "given", "estimated" or "assumed".
    background : str
        Background model; "auto" is decided by the first block.
    psf : PSF or None
        A measured PSF for joint fits.
    """

    camera: Camera
    camera_pixel_size_nm: float
    settings: LocalizationSettings
    psf_sigma_px: float
    psf_sigma_source: str
    background: BackgroundChoice
    psf: PSF | None = None

    @classmethod
    def of(
        cls,
        stack: FrameStack,
        camera: Camera,
        camera_pixel_size_nm: float,
        settings: LocalizationSettings,
        psf: PSF | None = None,
    ) -> FitRecipe:
        """Measure what has to be known before the fits.

        Parameters
        ----------
        stack : FrameStack
            The whole movie.
        camera : Camera
            Its camera.
        camera_pixel_size_nm : float
            Camera pixel in the sample plane.
        settings : LocalizationSettings
            What was asked for.
        psf : PSF, optional
            A measured PSF.

        Returns
        -------
        FitRecipe
            The recipe.
        """
        given = settings.psf_sigma_px or (psf.sigma_px if psf is not None else None)
        sigma, source = estimate_psf_sigma(stack, camera, given)
        if settings.method == "multi" and given is None:
            sigma = refine_psf_sigma(stack, camera, sigma)
        return cls(camera, camera_pixel_size_nm, settings, sigma, source, settings.background, psf)

    @property
    def roi_size_px(self) -> int:
        """Side of the fitted regions."""
        return self.settings.roi_size_px or roi_size_for(self.psf_sigma_px)

    def edges(self, stack: FrameStack) -> list[int]:
        """Cut a movie into blocks that share a background.

        Parameters
        ----------
        stack : FrameStack
            The whole movie.

        Returns
        -------
        list of int
            First frame of each block, and the number of frames.
        """
        wanted = frames_per_block(stack.frame_shape, self.settings.block_frames, _FEWEST_BLOCK_FRAMES)
        return block_edges(stack.n_frames, wanted)

    def decided(self, stack: FrameStack) -> FitRecipe:
        """Decide on the background model as the fits of the whole movie would, by its first block.

        Parameters
        ----------
        stack : FrameStack
            The whole movie.

        Returns
        -------
        FitRecipe
            With a model that is not "auto".
        """
        if self.background != "auto":
            return self
        models, edges = self._models(stack), self.edges(stack)
        models.of(read_block(stack, self.camera, edges[0], edges[1]))
        return replace(self, background="temporal" if models.kind == "temporal" else "spatial")

    def writer(self, stack: FrameStack) -> RowWriter:
        """Make what turns fits into columns.

        Parameters
        ----------
        stack : FrameStack
            The whole movie.

        Returns
        -------
        RowWriter
            For rows of this movie.
        """
        fit_sigma = self.settings.fit_sigma if self.settings.method != "multi" else "fixed"
        grid = stack.grid(self.camera_pixel_size_nm)
        return RowWriter(grid, self.camera.qe, stack.first_frame, fit_sigma)

    def fit(
        self,
        stack: FrameStack,
        first: int = 0,
        last: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> FittedBlocks:
        """Localize some blocks of a movie; each needs the background of its neighbours as well.

        Parameters
        ----------
        stack : FrameStack
            The whole movie.
        first, last : int
            Half-open range of blocks; last None means to the end.
        progress : callable, optional
            Called as progress(done, total) with frames of the movie.

        Returns
        -------
        FittedBlocks
            Their rows; those of all blocks together do not depend on how the blocks were shared out.
        """
        edges = self.edges(stack)
        last = len(edges) - 1 if last is None else last
        halo = (min(first, 1), min(len(edges) - 1 - last, 1))
        models, fit_block = self._models(stack), self._fitter(stack)
        found = [fit_block(FrameBlock.none(stack.frame_shape), Spots.none())]
        counts = np.zeros(3, dtype=np.int64)
        blocks = read_ahead(stack, self.camera, edges[first - halo[0] : last + halo[1] + 1])
        for block, spots in detected_blocks(blocks, models, halo):
            found.append(fit_block(block, spots))
            counts += (block.n_saturated, block.n_nan, block.n_negative)
            if progress is not None:
                progress(block.start + len(block), stack.n_frames)
        # each column leaves its parts as it is joined: a long table is never held twice
        columns = {name: np.concatenate([part.pop(name) for part in found]) for name in list(found[0])}
        n_saturated, n_nan, n_negative = (int(count) for count in counts)
        return FittedBlocks(columns, *models.totals, models.kind, (n_saturated, n_nan, n_negative))

    def _models(self, stack: FrameStack) -> BlockModels:
        read_variance = self.camera.read_variance_e2(stack.frame_shape, stack.origin_px)
        limit = self.settings.false_positives_per_frame
        plan = DetectionPlan.of(read_variance, self.camera.excess_noise_factor, self.psf_sigma_px, limit)
        return BlockModels(plan, self.background, stack.n_frames)

    def _fitter(self, stack: FrameStack) -> FitBlock:
        read_variance = self.camera.read_variance_e2(stack.frame_shape, stack.origin_px)
        noise, writer = CameraNoise(read_variance, self.camera.excess_noise_factor), self.writer(stack)
        if self.settings.method == "multi":
            joint = JointPlan.of(self.psf_sigma_px, self.roi_size_px, noise, self.psf)
            return lambda block, spots: joint_rows(block, spots, joint, writer)
        # a width that is a mere assumption must not hold the fits
        prior = 0.0 if self.psf_sigma_source == "assumed" else None
        model = FitModel(self.settings.method, self.settings.fit_sigma, sigma_prior=prior)
        plan = FitPlan(model, self.psf_sigma_px, self.roi_size_px, noise)
        return lambda block, spots: fit_rows(block, spots, plan, writer)


def detected_blocks(
    blocks: Iterator[FrameBlock], models: BlockModels, halo: tuple[int, int] = (0, 0)
) -> Iterator[tuple[FrameBlock, Spots]]:
    """Detect block by block, one block late: the background is interpolated towards the next block's.

    Parameters
    ----------
    blocks : iterator of FrameBlock
        Consecutive blocks.
    models : BlockModels
        Background models and detection.
    halo : tuple of int
        Blocks at the start and at the end that only lend their background, 0 or 1 each.

    Yields
    ------
    tuple of FrameBlock and Spots
        Each block with its spots.
    """
    before: BlockModel | None = None
    waiting: tuple[FrameBlock, BlockModel] | None = None
    lends = halo[0] > 0
    for block in blocks:
        model = models.of(block)
        if lends:
            before, lends = model, False
            models.forget()
            continue
        if waiting is not None:
            yield waiting[0], models.detect(*waiting, before, model)
            before = waiting[1]
        waiting = (block, model)
    if waiting is not None and not halo[1]:
        yield waiting[0], models.detect(*waiting, before, None)
    elif halo[1]:
        models.forget()
