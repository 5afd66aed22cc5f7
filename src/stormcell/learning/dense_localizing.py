"""From a movie to a table with the dense network."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stormcell.data import Localizations
from stormcell.learning.dense_inference import ComponentList, Engine, Precision
from stormcell.learning.dense_listing import Lister, make_runner
from stormcell.learning.dense_model import psf_sigma_of
from stormcell.learning.dense_rows import DenseRows, NetworkUnits, columns_of
from stormcell.learning.measured_noise import MovieNoise, measure_noise
from stormcell.learning.probability_image import ProbabilityImage
from stormcell.learning.psf_fitting import fit_psf
from stormcell.learning.still_light import CHUNK_FRAMES, FEWEST_FRAMES, StillLight, gaussian_square_share
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from stormcell.data import FrameStack, SRImage
    from stormcell.learning.psf_fitting import FittedPSF
    from stormcell.networks.dense import DenseNet
    from stormcell.physics.cameras import Camera

_PIXELS_PER_BLOCK = 1 << 22
_PIXELS_TO_DESCRIBE = 1 << 18
_FEWEST_TO_JUDGE_PIXELS = 8
_LARGE_FRAME_PX = 1 << 20
_FAINTEST = 0.05
_MOST_MISFIT = 0.002


class DenseLocalizationSettings(Settings):
    """How the dense network is used."""

    probability_threshold: float = Field(0.5, gt=0, lt=1)
    """Least probability of a row in the table."""
    rejects_still: bool = True
    """Leave rows out that do not blink although the movie is long enough to tell: edges, beads, static structure."""
    refines: bool = True
    """Fit what the network lists jointly, with the PSF fitted to the movie: several points better, and slower."""
    uses_neighbours: bool = False
    """Look at the frames before and after, too; better where emitters stay on for more than a frame."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    precision: Precision = "auto"
    """Number format of the convolutions; auto takes bfloat16 where the processor has AMX."""
    engine: Engine = "torch"
    """What computes: PyTorch, or ONNX Runtime (single frames, float32; some seconds to begin with)."""


@dataclass(frozen=True)
class DenseLocalization:
    """What the dense network made of a movie.

    Parameters
    ----------
    table : Localizations
        Rows sorted by frame; columns with the model's own standard deviations.
    image : SRImage or None
        Summed probability image, where a super-resolution pixel size was asked for.
    uncertainty : SRImage or None
        Its standard deviation.
    noise : MovieNoise
        The noise that was reckoned with.
    psf_sigma_px : float
        Width of the PSF, of the best-fit Gaussian in camera pixels.
    knows_psf : bool
        Whether the PSF could be fitted to the movie; else the network worked without, and read the width itself.
    shares_psf : bool
        Whether this one PSF explains the emitters; else nothing was fitted jointly with it.
    n_hot_pixels : int
        Pixels that are hot in the whole movie; they were replaced by their neighbours.
    n_struck_pixels : int
        Pixel values replaced in single frames, as a cosmic ray leaves them.
    n_still_rows : int
        Rows left out because the light at their place does not blink.
    """

    table: Localizations
    image: SRImage | None
    uncertainty: SRImage | None
    noise: MovieNoise
    psf_sigma_px: float
    knows_psf: bool = True
    shares_psf: bool = True
    n_hot_pixels: int = 0
    n_struck_pixels: int = 0
    n_still_rows: int = 0


@dataclass(frozen=True)
class MovieFacts:
    """What is read from a whole movie before its frames go through the network; it can travel to other processes.

    Parameters
    ----------
    noise : MovieNoise
        The noise to reckon with.
    is_hot : ndarray
        Shape (Y, X), hot pixels.
    psf_sigma_px : float
        Width of the PSF.
    fitted : FittedPSF or None
        The PSF; None where it could not be fitted.
    misfit : float
        Mean square of the error of the light in a pixel, as a share of that light, if all emitters have this PSF;
        0 where no joint fits are asked for.
    """

    noise: MovieNoise
    is_hot: NDArray[np.bool_]
    psf_sigma_px: float
    fitted: FittedPSF | None = None
    misfit: float = 0.0

    @property
    def shares_psf(self) -> bool:
        """Whether one known PSF explains the emitters; each has its own where they lie at many heights."""
        return self.fitted is not None and self.misfit < _MOST_MISFIT

    @property
    def square_share(self) -> float:
        """Sum over pixels of the square of the share of an emitter's light that each receives."""
        return gaussian_square_share(self.psf_sigma_px) if self.fitted is None else self.fitted.square_share

    def cropped(self, rows: slice, columns: slice) -> MovieFacts:
        """Tell the same of a part of the field.

        Parameters
        ----------
        rows, columns : slice
            Of the pixels that the part keeps.

        Returns
        -------
        MovieFacts
            With noise and hot pixels of these alone.
        """
        noise = replace(self.noise, read_variance_e2=self.noise.read_variance_e2[rows, columns])
        return replace(self, noise=noise, is_hot=self.is_hot[rows, columns])


def know_movie(
    stack: FrameStack,
    camera: Camera,
    network: DenseNet,
    noise: MovieNoise | None = None,
    settings: DenseLocalizationSettings | None = None,
) -> MovieFacts:
    """Read from a movie what the network has to know of it.

    Parameters
    ----------
    stack, camera, network, settings
        As for `localize_dense`.
    noise : MovieNoise, optional
        The movie's noise; None measures it and believes the camera where it agrees.

    Returns
    -------
    MovieFacts
        Noise, hot pixels, PSF.
    """
    settings = settings or DenseLocalizationSettings()
    noise = noise or measure_noise(stack, camera)
    sample = _frames_to_describe(stack)
    units = NetworkUnits(camera, stack, noise)
    if len(sample) >= _FEWEST_TO_JUDGE_PIXELS:
        units.find_hot(sample)
    frames = units.to_network(sample[_spread_order(len(sample))])
    fitted = fit_psf(network, frames, units.read_variance)
    if fitted is None:
        few = frames[: _frames_for(_PIXELS_TO_DESCRIBE, stack)]
        reader = make_runner(network, None, settings.replace(engine="torch"))
        sigma = psf_sigma_of(network, reader.describe(few, units.read_variance))
        return MovieFacts(noise, units.is_hot, sigma)
    known = MovieFacts(noise, units.is_hot, psf_sigma_of(network, fitted.descriptor), fitted)
    if not settings.refines:
        return known
    # single frames, which come in any order here, as the network alone lists them
    plain = settings.replace(engine="torch", uses_neighbours=False, refines=False)
    lister = Lister(network, known, units, plain)
    return replace(known, misfit=lister.misfit(fitted, frames))


def list_blocks(
    stack: FrameStack,
    camera: Camera,
    network: DenseNet,
    known: MovieFacts,
    settings: DenseLocalizationSettings,
    blocks: tuple[int, int],
) -> list[ComponentList]:
    """List the emitters of some blocks of a movie, as `localize_dense` does; in whichever process.

    Parameters
    ----------
    stack, camera, network, known, settings
        As for `localize_dense`.
    blocks : tuple of int
        Half-open range of blocks, out of `block_starts`.

    Returns
    -------
    list of ComponentList
        One for each block.
    """
    units = NetworkUnits(camera, stack, known.noise, known.is_hot)
    lister = Lister(network, known, units, settings)
    starts = block_starts(stack)[slice(*blocks)]
    return [
        lister.list_emitters(frames, settings.probability_threshold)
        for _, frames, _ in _blocks(stack, units, starts, int(settings.uses_neighbours))
    ]


def localize_dense(
    stack: FrameStack,
    camera: Camera,
    camera_pixel_size_nm: float,
    network: DenseNet,
    *,
    known: MovieFacts | None = None,
    listed: Callable[[int], ComponentList] | None = None,
    calibration: Mapping[str, float] | None = None,
    sr_pixel_size_nm: float | None = None,
    settings: DenseLocalizationSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DenseLocalization:
    """Localize every emitter of a movie with the dense network.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Converts its grey values to electrons.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    network : DenseNet
        Trained network.
    known : MovieFacts, optional
        From `know_movie`; None reads it from this movie.
    listed : callable, optional
        From the number of a block to the emitters that `list_blocks` listed; None lists them here.
    calibration : mapping of str to float, optional
        The model card's factors (`ModelCard.calibration`).
    sr_pixel_size_nm : float, optional
        Also draw the summed probability image on this grid.
    settings : DenseLocalizationSettings, optional
        How; None takes the defaults.
    progress : callable, optional
        Called as progress(frames done, frames in all).

    Returns
    -------
    DenseLocalization
        Table and, where asked for, images.
    """
    settings = settings or DenseLocalizationSettings()
    grid = stack.grid(camera_pixel_size_nm)
    known = known or know_movie(stack, camera, network, settings=settings)
    units = NetworkUnits(camera, stack, known.noise, known.is_hot)
    lister = None if listed is not None else Lister(network, known, units, settings)

    # what the fits say of their certainty needs no factors of the network's
    is_refined = settings.refines and known.shares_psf
    factors = {} if is_refined or calibration is None else calibration

    def rows_from(least: float) -> DenseRows:
        still = StillLight(units.read_variance, known.square_share) if settings.rejects_still else None
        return DenseRows(units, grid, factors, known.psf_sigma_px, still, least)

    listing = rows_from(settings.probability_threshold)
    picture = None if sr_pixel_size_nm is None else ProbabilityImage(grid, sr_pixel_size_nm)
    # the picture shows faint rows too; what the table says must not depend on whether one is drawn
    least = settings.probability_threshold if picture is None else min(_FAINTEST, settings.probability_threshold)
    painting = None if picture is None else rows_from(least)
    tables = [columns_of(ComponentList.none(), np.zeros(0, np.bool_), 0, grid, units)]
    blocks = _blocks(stack, units, block_starts(stack), int(settings.uses_neighbours))
    for index, (start, frames, margin) in enumerate(blocks):
        if lister is not None:
            found = lister.list_emitters(frames, least)
        elif listed is not None:
            found = listed(index)
        first, own = start - margin[0] + stack.first_frame, slice(margin[0], len(frames) - margin[1])
        is_last = start + len(frames[own]) >= stack.n_frames
        tables += listing.judge(found, frames, own, first, is_last=is_last)
        if picture is not None and painting is not None:
            for part in painting.judge(found, frames, own, first, is_last=is_last):
                picture.add(part)
        if progress is not None:
            progress(start + len(frames[own]), stack.n_frames)
    return DenseLocalization(
        Localizations(_sorted(tables), grid=grid, n_frames=stack.n_frames),
        None if picture is None else picture.image(),
        None if picture is None else picture.uncertainty(),
        known.noise,
        known.psf_sigma_px,
        known.fitted is not None,
        known.shares_psf,
        int(units.is_hot.sum()),
        units.n_struck,
        listing.n_still,
    )


def _sorted(tables: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.lexsort((joined["x_nm"], joined["y_nm"], joined["frame"]))
    return {name: values[order] for name, values in joined.items()}


def _frames_for(n_pixels: int, stack: FrameStack) -> int:
    return math.ceil(n_pixels / math.prod(stack.frame_shape))


def _spread_order(n_frames: int) -> NDArray[np.int64]:
    """Order in which any first few frames are spread over all."""
    golden = (math.sqrt(5) - 1) / 2
    return np.argsort(golden * np.arange(1, n_frames + 1) % 1.0)


def _frames_to_describe(stack: FrameStack) -> NDArray[Any]:
    """Frames spread over the movie, from which its PSF and its hot pixels are read."""
    fewest = FEWEST_FRAMES if math.prod(stack.frame_shape) <= _LARGE_FRAME_PX else _FEWEST_TO_JUDGE_PIXELS
    wanted = max(fewest, _frames_for(_PIXELS_TO_DESCRIBE, stack))
    chosen = np.unique(np.linspace(0, stack.n_frames - 1, min(stack.n_frames, wanted)).astype(int))
    return np.concatenate([stack.read(int(i), int(i) + 1) for i in chosen])


def block_starts(stack: FrameStack) -> range:
    """Say where the blocks begin whose frames go through the network together.

    Parameters
    ----------
    stack : FrameStack
        The movie.

    Returns
    -------
    range
        Their first frames; its step is their length.
    """
    n_frames = max(1, min(CHUNK_FRAMES, _PIXELS_PER_BLOCK // math.prod(stack.frame_shape)))
    return range(0, max(1, stack.n_frames), n_frames)


def _blocks(
    stack: FrameStack, units: NetworkUnits, starts: range, halo: int
) -> Iterator[tuple[int, NDArray[np.float32], tuple[int, int]]]:
    """Read and convert ahead while the network works; each block comes with `halo` neighbours where there are any."""
    n_frames = starts.step

    def read(start: int) -> tuple[int, NDArray[np.float32], tuple[int, int]]:
        first, last = max(start - halo, 0), min(start + n_frames + halo, stack.n_frames)
        margin = (start - first, max(0, last - min(start + n_frames, stack.n_frames)))
        return start, units.to_network(stack.read(first, last)), margin

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, starts[0])
        for following in [*starts[1:], None]:
            block = ahead.result()
            if following is not None:
                ahead = reader.submit(read, following)
            yield block
