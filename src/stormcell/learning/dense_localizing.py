"""From a movie to a table with the dense network."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stormcell.data import Localizations
from stormcell.learning.bad_pixels import find_hot_pixels, repair_pixels
from stormcell.learning.dense_calibration import calibrate, weigh_faint
from stormcell.learning.dense_inference import ComponentList, DenseRunner, Precision
from stormcell.learning.dense_model import psf_sigma_of
from stormcell.learning.measured_noise import MovieNoise, measure_noise
from stormcell.learning.probability_image import ProbabilityImage
from stormcell.learning.psf_fitting import fit_psf
from stormcell.learning.still_light import CHUNK_FRAMES, Pending, StillLight, gaussian_square_share
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.data import FrameStack, PixelGrid, SRImage
    from stormcell.networks.dense import DenseNet
    from stormcell.physics.cameras import Camera

_PIXELS_PER_BLOCK = 1 << 22
_PIXELS_TO_DESCRIBE = 1 << 18
_FEWEST_TO_JUDGE_PIXELS = 8


class DenseLocalizationSettings(Settings):
    """How the dense network is used."""

    probability_threshold: float = Field(0.5, gt=0, lt=1)
    """Least probability of a row in the table."""
    rejects_still: bool = True
    """Leave rows out that do not blink although the movie is long enough to tell: edges, beads, static structure."""
    uses_neighbours: bool = False
    """Look at the frames before and after, too; better where emitters stay on for more than a frame."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    precision: Precision = "auto"
    """Number format of the convolutions; auto takes bfloat16 where the processor has AMX."""


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
        Width of the PSF as the network reads it from the frames, of the best-fit Gaussian in camera pixels.
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
    condition : Tensor or None
        The PSF as the network is told it; None where it could not be fitted.
    psf_sigma_px : float
        Its width.
    electrons_factor : float
        How many times more electrons an emitter has than the network says of it.
    square_share : float
        Sum over pixels of the square of the share of an emitter's light that each receives.
    """

    noise: MovieNoise
    is_hot: NDArray[np.bool_]
    condition: Tensor | None
    psf_sigma_px: float
    electrons_factor: float
    square_share: float


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
    units = _NetworkUnits(camera, stack, noise)
    if len(sample) >= _FEWEST_TO_JUDGE_PIXELS:
        units.find_hot(sample)
    few = sample[:: max(1, len(sample) // _frames_for(_PIXELS_TO_DESCRIBE, stack))]
    frames = units.to_network(few)
    fitted = fit_psf(network, frames, units.read_variance)
    if fitted is None:
        sigma = psf_sigma_of(network, _runner(network, None, settings).describe(frames, units.read_variance))
        return MovieFacts(noise, units.is_hot, None, sigma, 1.0, gaussian_square_share(sigma))
    sigma = psf_sigma_of(network, fitted.descriptor)
    return MovieFacts(noise, units.is_hot, fitted.descriptor, sigma, fitted.electrons_factor, fitted.square_share)


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
    units = _NetworkUnits(camera, stack, known.noise, known.is_hot)
    runner = _runner(network, known.condition, settings)
    starts = block_starts(stack)[slice(*blocks)]
    return [
        runner.list_emitters(frames, units.read_variance, settings.probability_threshold)
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
    units = _NetworkUnits(camera, stack, known.noise, known.is_hot)
    runner = None if listed is not None else _runner(network, known.condition, settings)
    sigma = known.psf_sigma_px
    picture = ProbabilityImage(grid, sr_pixel_size_nm) if sr_pixel_size_nm is not None else None
    least = settings.probability_threshold if picture is None else min(0.05, settings.probability_threshold)
    still = StillLight(units.read_variance, known.square_share)
    tables = [_columns(ComponentList.none(), np.zeros(0, np.bool_), 0, grid, units)]
    blocks = _blocks(stack, units, block_starts(stack), int(settings.uses_neighbours))
    for index, (start, frames, margin) in enumerate(blocks):
        if runner is not None:
            found = runner.list_emitters(frames, units.read_variance, least)
        elif listed is not None:
            found = listed(index)
        found.rows[:, 5] += np.float32(math.log(known.electrons_factor))
        own = (found.frame >= margin[0]) & (found.frame < len(frames) - margin[1])
        columns = _columns(found, own, start - margin[0] + stack.first_frame, grid, units)
        calibrate(columns, calibration or {}, grid.pixel_size_nm)
        weigh_faint(found.rows[own], columns, sigma, units.read_variance)
        rows = found.rows[own].astype(np.float64)
        pending = Pending(columns, rows[:, 1], rows[:, 2], np.exp(rows[:, 5]))
        frames = frames[margin[0] : len(frames) - margin[1]]
        judged = still.add(frames, pending) if settings.rejects_still else [columns]
        if start + len(frames) >= stack.n_frames:
            judged += still.finish()
        for part in judged:
            if picture is not None:
                picture.add(part)
            sure = part["probability"] >= settings.probability_threshold
            tables.append({name: values[sure] for name, values in part.items()})
        if progress is not None:
            progress(start + len(frames), stack.n_frames)
    return DenseLocalization(
        Localizations(_sorted(tables), grid=grid, n_frames=stack.n_frames),
        None if picture is None else picture.image(),
        None if picture is None else picture.uncertainty(),
        known.noise,
        sigma,
        int(units.is_hot.sum()),
        units.n_struck,
        still.n_rejected,
    )


class _NetworkUnits:
    """Grey values to network electrons and back; bad pixels are replaced on the way."""

    def __init__(
        self,
        camera: Camera,
        stack: FrameStack,
        noise: MovieNoise,
        is_hot: NDArray[np.bool_] | None = None,
    ) -> None:
        self._camera = camera
        self._origin_px = stack.origin_px
        self.scale = noise.scale
        self.qe = camera.qe
        self.read_variance = np.ascontiguousarray(noise.read_variance_e2 / noise.scale**2, dtype=np.float32)
        self.n_struck = 0
        self.is_hot = np.zeros(stack.frame_shape, np.bool_) if is_hot is None else is_hot

    def find_hot(self, sample: NDArray[Any]) -> None:
        self.is_hot = find_hot_pixels(self._electrons(sample), self.read_variance)

    def to_network(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        electrons = self._electrons(frames)
        self.n_struck += repair_pixels(electrons, self.read_variance, self.is_hot)
        return electrons

    def _electrons(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        electrons = self._camera.electrons(frames, self._origin_px) / np.float32(self.scale)
        # dead pixels would spread over their whole neighbourhood
        clean: NDArray[np.float32] = np.nan_to_num(electrons, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return clean


def _runner(network: DenseNet, condition: Tensor | None, settings: DenseLocalizationSettings) -> DenseRunner:
    return DenseRunner(
        network,
        condition=condition,
        uses_neighbours=settings.uses_neighbours,
        device=settings.device,
        precision=settings.precision,
    )


def _sorted(tables: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.lexsort((joined["x_nm"], joined["y_nm"], joined["frame"]))
    return {name: values[order] for name, values in joined.items()}


def _frames_for(n_pixels: int, stack: FrameStack) -> int:
    return math.ceil(n_pixels / math.prod(stack.frame_shape))


def _frames_to_describe(stack: FrameStack) -> NDArray[Any]:
    """Frames spread over the movie, from which its PSF and its hot pixels are read."""
    wanted = max(_FEWEST_TO_JUDGE_PIXELS, _frames_for(_PIXELS_TO_DESCRIBE, stack))
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
    stack: FrameStack, units: _NetworkUnits, starts: range, halo: int
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


def _columns(
    found: ComponentList, own: NDArray[np.bool_], first_frame: int, grid: PixelGrid, units: _NetworkUnits
) -> dict[str, NDArray[Any]]:
    rows = found.rows[own].astype(np.float64)
    x_px, y_px = rows[:, 1], rows[:, 2]
    height, width = units.read_variance.shape
    pixel = (np.clip(y_px, 0, height - 1).astype(int), np.clip(x_px, 0, width - 1).astype(int))
    to_photons = units.scale / units.qe
    photons = np.exp(rows[:, 5]) * to_photons
    background = (rows[:, 7] / 2) ** 2 - 0.375 - units.read_variance[pixel]
    return {
        "frame": found.frame[own] + first_frame,
        "x_nm": grid.x_nm(x_px),
        "y_nm": grid.y_nm(y_px),
        "photons": photons,
        "background_photons": np.maximum(background, 0.0) * to_photons,
        "uncertainty_x_nm": rows[:, 3] * grid.pixel_size_nm,
        "uncertainty_y_nm": rows[:, 4] * grid.pixel_size_nm,
        "uncertainty_photons": photons * np.exp(rows[:, 6]),
        "uncertainty_background_photons": rows[:, 7] / 2 * np.exp(rows[:, 8]) * to_photons,
        "probability": rows[:, 0],
    }
