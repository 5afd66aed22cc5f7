"""From a movie to a table with the dense network."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from stormcell.data import Localizations
from stormcell.learning.dense_inference import DenseRunner, Precision
from stormcell.learning.probability_image import ProbabilityImage
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from stormcell.data import FrameStack, PixelGrid, SRImage
    from stormcell.learning.dense_inference import ComponentList
    from stormcell.networks.dense import DenseNet
    from stormcell.physics.cameras import Camera

_PIXELS_PER_BLOCK = 1 << 22
_PIXELS_TO_DESCRIBE = 1 << 18


class DenseLocalizationSettings(Settings):
    """How the dense network is used."""

    probability_threshold: float = Field(0.5, gt=0, lt=1)
    """Least probability of a row in the table."""
    uses_neighbours: bool = False
    """Look at the frames before and after, too; better where emitters stay on for more than a frame."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    precision: Precision = "auto"
    """Number format of the convolutions; auto takes bfloat16 where the processor computes in it."""


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
    """

    table: Localizations
    image: SRImage | None
    uncertainty: SRImage | None


def localize_dense(
    stack: FrameStack,
    camera: Camera,
    camera_pixel_size_nm: float,
    network: DenseNet,
    *,
    noise_scale: float | None = None,
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
    noise_scale : float, optional
        Variance per electron as measured in the movie; None takes what the camera promises (1, or 2 for an EMCCD).
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
    units = _NetworkUnits(camera, stack.frame_shape, stack.origin_px, noise_scale or camera.excess_noise_factor)
    condition = _describe(stack, units, network, settings)
    runner = DenseRunner(
        network,
        condition=condition,
        uses_neighbours=settings.uses_neighbours,
        device=settings.device,
        precision=settings.precision,
    )
    picture = ProbabilityImage(grid, sr_pixel_size_nm) if sr_pixel_size_nm is not None else None
    least = settings.probability_threshold if picture is None else min(0.05, settings.probability_threshold)
    tables = []
    for start, frames, margin in _blocks(stack, int(settings.uses_neighbours)):
        found = runner.list_emitters(units.to_network(frames), units.read_variance, least)
        own = (found.frame >= margin[0]) & (found.frame < len(frames) - margin[1])
        columns = _columns(found, own, start - margin[0] + stack.first_frame, grid, units)
        if picture is not None:
            picture.add(columns)
        rows = columns["probability"] >= settings.probability_threshold
        tables.append({name: values[rows] for name, values in columns.items()})
        if progress is not None:
            progress(start + len(frames) - sum(margin), stack.n_frames)
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.lexsort((joined["x_nm"], joined["y_nm"], joined["frame"]))
    table = Localizations({k: v[order] for k, v in joined.items()}, grid=grid, n_frames=stack.n_frames)
    if picture is None:
        return DenseLocalization(table, None, None)
    return DenseLocalization(table, picture.image(), picture.uncertainty())


class _NetworkUnits:
    """Grey values to network electrons and back."""

    def __init__(self, camera: Camera, shape: tuple[int, int], origin_px: tuple[int, int], scale: float) -> None:
        self._camera = camera
        self._origin_px = origin_px
        self.scale = scale
        self.qe = camera.qe
        variance = camera.read_variance_e2(shape, origin_px) + camera.quantization_variance_e2
        self.read_variance = np.ascontiguousarray(variance / scale**2, dtype=np.float32)

    def to_network(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        electrons = self._camera.electrons(frames, self._origin_px) / np.float32(self.scale)
        # dead pixels would spread over their whole neighbourhood
        clean: NDArray[np.float32] = np.nan_to_num(electrons, nan=0.0, posinf=0.0, neginf=0.0)
        return clean


def _describe(stack: FrameStack, units: _NetworkUnits, network: DenseNet, settings: DenseLocalizationSettings) -> Any:
    """Read the movie's PSF from frames spread over it."""
    wanted = max(1, min(stack.n_frames, math.ceil(_PIXELS_TO_DESCRIBE / math.prod(stack.frame_shape))))
    chosen = np.unique(np.linspace(0, stack.n_frames - 1, wanted).astype(int))
    frames = np.concatenate([stack.read(int(i), int(i) + 1) for i in chosen])
    looker = DenseRunner(network, device=settings.device, precision=settings.precision)
    return looker.describe(units.to_network(frames), units.read_variance)


def _blocks(stack: FrameStack, halo: int) -> Iterator[tuple[int, NDArray[Any], tuple[int, int]]]:
    """Read ahead while the network works; each block comes with `halo` neighbours where there are any."""
    n_frames = max(1, _PIXELS_PER_BLOCK // math.prod(stack.frame_shape))

    def read(start: int) -> tuple[int, NDArray[Any], tuple[int, int]]:
        first, last = max(start - halo, 0), min(start + n_frames + halo, stack.n_frames)
        margin = (start - first, max(0, last - min(start + n_frames, stack.n_frames)))
        return start, stack.read(first, last), margin

    starts = range(0, stack.n_frames, n_frames)
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, 0)
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
