"""From a movie to a picture and a list with Deep-STORM (2018): any frame size, bounded memory.

The picture is the sum of the predictions of all frames, negative values set to 0. The list is that of the later
notebook version: local maxima above a threshold, with the centre of gravity of 3 x 3 recovery pixels.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from stormcell.data import Localizations, SRImage
from stormcell.learning.bad_pixels import repair_pixels
from stormcell.learning.deepstorm_frames import TARGET_GAIN, enlarge
from stormcell.learning.dense_inference import Precision, computing_dtype
from stormcell.networks.deepstorm import UPSAMPLING, FastDeepStorm
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.data import FrameStack
    from stormcell.learning.deepstorm_model import DeepStormModel

USUAL_THRESHOLD = 0.1
TILE_PX = 96
HALO_PX = 8
_PIXELS_PER_PASS = 1 << 14
_PIXELS_PER_BLOCK = 1 << 20
_NOISE_PER_MAD = 1.4826
_IDEAL_CONFIDENCE = 0.5


class DeepStormSettings(Settings):
    """How Deep-STORM is used."""

    threshold: float | None = Field(None, gt=0, lt=1)
    """Least height of a maximum in the list, in units of the target's gain; 0.1 is a fifth of an ideal emitter. None
    takes the model's own, which was chosen on held-out frames, or else 0.1."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    precision: Precision = "auto"
    """Number format; auto takes bfloat16 where the processor has AMX."""
    fast: bool = True
    """The exact faster form of the network; off runs it as published."""


@dataclass(frozen=True)
class DeepStormResult:
    """What Deep-STORM made of a movie.

    Parameters
    ----------
    table : Localizations
        frame, x_nm, y_nm, probability (the sum over 3 x 3 pixels as a share of an ideal emitter's, at most 1).
    image : SRImage
        Summed predictions, in emitters per pixel.
    n_constant_frames, n_struck_pixels : int
        Frames without any contrast, which show nothing; and single pixels that no lens could have made.
    """

    table: Localizations
    image: SRImage
    n_constant_frames: int
    n_struck_pixels: int


def localize_deepstorm(
    stack: FrameStack,
    camera_pixel_size_nm: float,
    model: DeepStormModel,
    *,
    settings: DeepStormSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DeepStormResult:
    """Paint and list the emitters of a movie with Deep-STORM.

    Parameters
    ----------
    stack : FrameStack
        The movie; the camera's gain plays no part, every frame is stretched to its own range.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    model : DeepStormModel
        The network.
    settings : DeepStormSettings, optional
        How; None takes the defaults.
    progress : callable, optional
        Called as progress(frames done, frames in all).

    Returns
    -------
    DeepStormResult
        Picture and list.
    """
    settings = settings or DeepStormSettings()
    threshold = settings.threshold or model.card.calibration.get("threshold", USUAL_THRESHOLD)
    runner = _Painter(model, settings)
    height, width = stack.frame_shape
    total = np.zeros((UPSAMPLING * height, UPSAMPLING * width), np.float64)
    frame: list[NDArray[np.int64]] = []
    rows: list[NDArray[np.float32]] = []
    n_constant = n_struck = 0
    for start, images, struck, has_contrast in _blocks(stack):
        n_constant += int((~has_contrast).sum())
        n_struck += struck
        normalised = model.normalisation.apply(images)
        for index, listed in runner.paint(normalised, has_contrast, total, threshold):
            frame.append(np.full(len(listed), stack.first_frame + start + index, np.int64))
            rows.append(listed)
        if progress is not None:
            progress(start + len(images), stack.n_frames)
    joined = np.concatenate(rows) if rows else np.zeros((0, 3), np.float32)
    grid = stack.grid(camera_pixel_size_nm)
    frames = np.concatenate(frame) if frame else np.zeros(0, np.int64)
    x, y = grid.x_nm(joined[:, 0]), grid.y_nm(joined[:, 1])
    order = np.lexsort((x, y, frames))
    columns = {
        "frame": frames[order],
        "x_nm": x[order],
        "y_nm": y[order],
        "probability": np.clip(joined[order, 2] / _IDEAL_CONFIDENCE, 0.0, 1.0),
    }
    table = Localizations(columns, grid=grid, n_frames=stack.n_frames)
    scale = TARGET_GAIN * _IDEAL_CONFIDENCE
    image = SRImage(
        (total / scale).astype(np.float32), grid.with_pixel_size(camera_pixel_size_nm / UPSAMPLING), "emitters"
    )
    return DeepStormResult(table, image, n_constant, n_struck)


class _Painter:
    """The network ready to run, tile by tile."""

    def __init__(self, model: DeepStormModel, settings: DeepStormSettings) -> None:
        self._device = torch.device(settings.device)
        self._dtype = computing_dtype(self._device, settings.precision)
        self._fast = settings.fast
        network: torch.nn.Module = FastDeepStorm(model.network) if settings.fast else model.network
        self._network = network.eval().to(self._device)

    def paint(
        self,
        frames: NDArray[np.float32],
        has_contrast: NDArray[np.bool_],
        total: NDArray[np.float64],
        threshold: float,
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Add predictions to the total; yield frame index and list (x px, y px, confidence) tile by tile."""
        n_frames, height, width = frames.shape
        for y0, y1 in _spans(height):
            for x0, x1 in _spans(width):
                rows = (max(0, y0 - HALO_PX), min(height, y1 + HALO_PX))
                columns = (max(0, x0 - HALO_PX), min(width, x1 + HALO_PX))
                cut = frames[:, rows[0] : rows[1], columns[0] : columns[1]]
                per_pass = max(1, _PIXELS_PER_PASS // (cut.shape[1] * cut.shape[2]))
                own = tuple(
                    slice(UPSAMPLING * (low - first), UPSAMPLING * (high - first))
                    for low, high, first in ((y0, y1, rows[0]), (x0, x1, columns[0]))
                )
                for first in range(0, n_frames, per_pass):
                    painted = self._run(cut[first : first + per_pass])
                    painted = painted * torch.from_numpy(has_contrast[first : first + per_pass])[:, None, None]
                    part = painted[:, own[0], own[1]].clamp(min=0).sum(dim=0)
                    place = (slice(UPSAMPLING * y0, UPSAMPLING * y1), slice(UPSAMPLING * x0, UPSAMPLING * x1))
                    total[place] += part.numpy()
                    for index, listed in _listed(painted, own, threshold, (x0, y0)):
                        yield first + index, listed

    @torch.inference_mode()
    def _run(self, frames: NDArray[np.float32]) -> Tensor:
        given = torch.from_numpy(np.ascontiguousarray(frames))[:, None].to(self._device)
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
            painted: Tensor = self._network(given if self._fast else enlarge(given))
        return painted[:, 0].float().cpu()


def _listed(
    painted: Tensor, own: tuple[slice, ...], threshold: float, origin_px: tuple[int, int]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Maxima in the tile's own part: camera px from the frame's corner, and confidence."""
    is_peak = (painted >= F.max_pool2d(painted[:, None], 3, stride=1, padding=1)[:, 0]) & (
        painted > threshold * TARGET_GAIN
    )
    near = F.unfold(F.pad(painted[:, None], (1, 1, 1, 1)), 3).view(len(painted), 9, *painted.shape[1:])
    for index in range(len(painted)):
        row, column = torch.nonzero(is_peak[index][own[0], own[1]], as_tuple=True)
        patch = near[index][:, row + own[0].start, column + own[1].start].clamp(min=0)
        mass = patch.sum(dim=0).clamp(min=1e-6)
        across = torch.tensor([-1.0, 0.0, 1.0]).repeat(3)
        down = torch.tensor([-1.0, 0.0, 1.0]).repeat_interleave(3)
        x = origin_px[0] + (column + 0.5 + (across[:, None] * patch).sum(dim=0) / mass) / UPSAMPLING
        y = origin_px[1] + (row + 0.5 + (down[:, None] * patch).sum(dim=0) / mass) / UPSAMPLING
        yield index, torch.stack([x, y, mass / TARGET_GAIN], dim=1).numpy()


def _blocks(stack: FrameStack) -> Iterator[tuple[int, NDArray[np.float32], int, NDArray[np.bool_]]]:
    """Read ahead: frames in camera units with struck pixels replaced, and which of them show any contrast."""
    n_frames = max(1, _PIXELS_PER_BLOCK // max(1, stack.frame_shape[0] * stack.frame_shape[1]))

    def read(start: int) -> tuple[int, NDArray[np.float32], int, NDArray[np.bool_]]:
        raw: NDArray[Any] = stack.read(start, start + n_frames)
        images = np.nan_to_num(raw.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        images -= images.min(axis=(1, 2), keepdims=True)
        has_contrast = images.max(axis=(1, 2)) > 0
        spread = np.median(np.abs(images - np.median(images, axis=(1, 2), keepdims=True)))
        variance = np.full(images.shape[1:], (_NOISE_PER_MAD * spread) ** 2 + 1e-6, np.float32)
        struck = repair_pixels(images, variance, np.zeros(images.shape[1:], np.bool_))
        return start, images, struck, has_contrast

    starts = range(0, stack.n_frames, n_frames)
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, 0)
        for following in [*starts[1:], None]:
            block = ahead.result()
            if following is not None:
                ahead = reader.submit(read, following)
            yield block


def _spans(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + TILE_PX, length)) for start in range(0, length, TILE_PX)]
