"""Densify a whole image of any size, in overlapping tiles; in one piece where a network needs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from stormcell.errors import InputError
from stormcell.learning.annapalm_density import typical_density
from stormcell.learning.annapalm_model import tail_name
from stormcell.networks.annapalm import SR_PIXEL_SIZE_NM, STRUCTURE_LABELS, UNKNOWN, DensifyInput
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from stormcell.learning.annapalm_model import DensifyModel

    FloatImage = NDArray[np.float32]

CELL_PX = 2
"""Super-resolution pixels along a side of the cells in which uncertainty is given."""
NOMINAL_EVENTS_PER_UM2 = 20.0
"""Density that stands for the exposure where only a wide-field is given; it scales the result and means nothing."""
_MARGIN_PX = 96
_BLEND_PX = 32


class DensifyInferenceSettings(Settings):
    """What is known of an input, and how it is cut."""

    structure: str = "unknown"
    """Structure in the field; one the network does not know counts as 'unknown'."""
    share: float | None = Field(None, gt=0, le=1)
    """Share of the long acquisition's frames that the input holds; None is unknown."""
    events_per_um2: float | None = Field(None, gt=0)
    """Density of events where there is structure; None takes it from the counts (`typical_density`)."""
    tile_px: int = Field(1024, ge=64, multiple_of=16)
    """Side of a tile without its margins, super-resolution pixels."""


@dataclass(frozen=True)
class DensifyResult:
    """What densify says of a field.

    Parameters
    ----------
    rate : ndarray of float32
        Shape (Y, X): events expected per pixel in another acquisition as long as the input.
    dispersion : ndarray of float32
        Shape (ceil(Y/2), ceil(X/2)): squared relative standard deviation of the rate in cells of 40 nm.
    tail : float
        Factor on what an interval leaves out, at which intervals held what they promise on held-out fields.
    """

    rate: FloatImage
    dispersion: FloatImage
    tail: float = 1.0

    @property
    def standard_deviation(self) -> FloatImage:
        """Standard deviation of the rate, shape (Y, X), events per pixel."""
        spread = np.repeat(np.repeat(np.sqrt(self.dispersion), CELL_PX, axis=0), CELL_PX, axis=1)
        return np.asarray(self.rate * spread[: self.rate.shape[0], : self.rate.shape[1]], np.float32)

    def interval(self, ratio: float, level: float = 0.9) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict how many events an independent acquisition shows in each cell of 40 nm.

        Parameters
        ----------
        ratio : float
            Its frames over those of the input.
        level : float
            Probability that a count lies within, 0 to 1.

        Returns
        -------
        tuple of ndarray
            Smallest and largest count, shape (ceil(Y/2), ceil(X/2)); each tail holds at most half of the rest times
            the calibrated factor.
        """
        from scipy.stats import nbinom

        mean = np.maximum(sum_cells(self.rate).astype(np.float64) * ratio, 1e-12)
        shape = 1.0 / np.maximum(self.dispersion.astype(np.float64), 1e-6)
        chance = shape / (shape + mean)
        rest = min((1 - level) * self.tail, 1.0) / 2
        low, high = (nbinom.ppf(q, shape, chance) for q in (rest, 1 - rest))
        return np.asarray(low), np.asarray(high)


def sum_cells(image: FloatImage) -> FloatImage:
    """Sum pixels to cells of 40 nm.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X).

    Returns
    -------
    ndarray of float32
        Shape (ceil(Y/2), ceil(X/2)); a cell at an odd edge holds what there is.
    """
    padded = np.pad(np.asarray(image, np.float32), [(0, length % CELL_PX) for length in image.shape])
    rows, columns = padded.shape
    blocks = padded.reshape(rows // CELL_PX, CELL_PX, columns // CELL_PX, CELL_PX)
    return np.asarray(blocks.sum(axis=(1, 3)), np.float32)


def densify_image(
    model: DensifyModel,
    counts: FloatImage | None,
    widefield: FloatImage | None,
    settings: DensifyInferenceSettings | None = None,
    *,
    widefield_covered: FloatImage | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DensifyResult:
    """Predict the rates of a field from few events, a wide-field image, or both.

    Parameters
    ----------
    model : DensifyModel
        The network.
    counts : ndarray, optional
        Shape (Y, X): linked events per pixel of 20 nm; None where there are none.
    widefield : ndarray, optional
        Shape (Y, X): wide-field on the same pixels, normalised over the whole image (`resample_by_edges`,
        `normalise_widefield`); None where there is none.
    settings : DensifyInferenceSettings, optional
        What is known of the input.
    widefield_covered : ndarray, optional
        Shape (Y, X): share of each pixel that the wide-field covers; None is all of them.
    progress : callable, optional
        Told tiles done and tiles in all.

    Returns
    -------
    DensifyResult
        Rates and their spread; all 0 where nothing was given.

    Raises
    ------
    InputError
        Neither image is given, or their shapes differ.
    """
    settings = settings or DensifyInferenceSettings()
    shape = _checked_shape(counts, widefield)
    cells = (math.ceil(shape[0] / CELL_PX), math.ceil(shape[1] / CELL_PX))
    if counts is not None and widefield is None and not counts.any():
        return DensifyResult(np.zeros(shape, np.float32), np.ones(cells, np.float32))
    given = _whole_input(counts, widefield, widefield_covered, settings)
    rate, dispersion, weight = np.zeros(shape, np.float32), np.zeros(cells, np.float32), np.zeros(shape, np.float32)
    whole = bool(getattr(model.network, "needs_whole_image", False))
    tiles = list(_tiles(shape, max(shape) if whole else settings.tile_px, 0 if whole else _MARGIN_PX))
    cell_weight = np.zeros(cells, np.float32)
    device = next(model.network.parameters()).device
    for done, tile in enumerate(tiles):
        drawn, relative = _run_tile(model, given, tile, device)
        trust = np.outer(tile.trust(0), tile.trust(1)).astype(np.float32)
        rows, columns = tile.inside(0), tile.inside(1)
        rate[rows, columns] += trust * drawn
        weight[rows, columns] += trust
        half_rows, half_columns = (slice(s.start // CELL_PX, math.ceil(s.stop / CELL_PX)) for s in (rows, columns))
        coarse = trust[::CELL_PX, ::CELL_PX]
        dispersion[half_rows, half_columns] += coarse * relative
        cell_weight[half_rows, half_columns] += coarse
        if progress is not None:
            progress(done + 1, len(tiles))
    name = tail_name(settings.structure, events=bool(given.present[0, 0]), widefield=bool(given.present[0, 1]))
    spread = np.float32(model.dispersion_factor) * dispersion / cell_weight
    return DensifyResult(rate / weight, spread, model.tails.get(name, 1.0))


@dataclass(frozen=True)
class _Tile:
    """A window with margins on an image; it starts and stops at multiples of 16 but at the far edges."""

    start: tuple[int, int]
    stop: tuple[int, int]
    shape: tuple[int, int]
    margin: int

    def inside(self, axis: int) -> slice:
        """Cut the part of the image whose result is used: window and blending rim."""
        rim = min(_BLEND_PX // 2, self.margin)
        return slice(max(0, self.start[axis] - rim), min(self.shape[axis], self.stop[axis] + rim))

    def trust(self, axis: int) -> NDArray[np.float64]:
        """Work out the weights along an axis: 1 in the window, falling to 0 across seams."""
        used = self.inside(axis)
        place = np.arange(used.start, used.stop) + 0.5
        weight = np.ones(len(place))
        if self.start[axis] > 0:
            weight = np.minimum(weight, (place - self.start[axis]) / _BLEND_PX + 0.5)
        if self.stop[axis] < self.shape[axis]:
            weight = np.minimum(weight, (self.stop[axis] - place) / _BLEND_PX + 0.5)
        return weight


def _tiles(shape: tuple[int, int], tile_px: int, margin: int) -> Iterator[_Tile]:
    for top in range(0, shape[0], tile_px):
        for left in range(0, shape[1], tile_px):
            stop = (min(shape[0], top + tile_px), min(shape[1], left + tile_px))
            yield _Tile((top, left), stop, shape, margin)


def _run_tile(
    model: DensifyModel, given: DensifyInput, tile: _Tile, device: torch.device
) -> tuple[FloatImage, FloatImage]:
    """Run one tile; no margin beyond the image, but what is needed for sides the network can halve."""
    multiple = model.network.multiple_px
    slices, pads = [], []
    for axis in (0, 1):
        start = max(0, tile.start[axis] - tile.margin)
        stop = min(tile.shape[axis], tile.stop[axis] + tile.margin)
        slices.append(slice(start, stop))
        pads.append(-(stop - start) % multiple)
    window = (0, pads[1], 0, pads[0])

    def cut(images: torch.Tensor) -> torch.Tensor:
        return F.pad(images[:, :, slices[0], slices[1]], window).to(device)

    with torch.inference_mode():
        output = model.network(
            given._replace(
                counts=cut(given.counts),
                widefield=cut(given.widefield),
                mask=cut(given.mask),
                **{name: getattr(given, name).to(device) for name in DensifyInput._fields[3:]},
            )
        )
    rate = torch.exp(output.log_rate[0, 0]).cpu().numpy()
    dispersion = torch.exp(output.log_dispersion[0, 0]).cpu().numpy()
    used = [tile.inside(axis) for axis in (0, 1)]
    fine = [slice(s.start - whole.start, s.stop - whole.start) for s, whole in zip(used, slices, strict=True)]
    coarse = [slice(s.start // CELL_PX, math.ceil(s.stop / CELL_PX)) for s in fine]
    return rate[fine[0], fine[1]], dispersion[coarse[0], coarse[1]]


def _whole_input(
    counts: FloatImage | None,
    widefield: FloatImage | None,
    covered: FloatImage | None,
    settings: DensifyInferenceSettings,
) -> DensifyInput:
    """Put images and condition together; everything global is worked out here, once."""
    shape = _checked_shape(counts, widefield)
    has_events = counts is not None and bool(counts.any())
    density = settings.events_per_um2
    if density is None:
        density = typical_density(counts, SR_PIXEL_SIZE_NM) if counts is not None else 0.0
        density = density or NOMINAL_EVENTS_PER_UM2
    images, masks = [], []
    for image, is_there, share in ((counts, has_events, None), (widefield, widefield is not None, covered)):
        measured = np.zeros(shape, np.float32)
        if image is not None and is_there:
            measured = np.isfinite(image).astype(np.float32)
            if share is not None:
                measured = measured * (np.asarray(share) > 0.5)
        clean = np.zeros(shape, np.float32) if image is None else np.nan_to_num(np.asarray(image, np.float32))
        images.append(torch.from_numpy(clean * measured)[None, None])
        masks.append(torch.from_numpy(measured)[None, None])
    label = settings.structure
    return DensifyInput(
        counts=images[0],
        widefield=images[1],
        mask=torch.cat(masks, dim=1),
        present=torch.tensor([[float(mask.any()) for mask in masks]]),
        structure=torch.tensor([STRUCTURE_LABELS.index(label) if label in STRUCTURE_LABELS else UNKNOWN]),
        log_share=torch.tensor([math.nan if settings.share is None else math.log(settings.share)]),
        log_events_per_um2=torch.tensor([math.log(density)]),
    )


def _checked_shape(counts: FloatImage | None, widefield: FloatImage | None) -> tuple[int, int]:
    shapes = {image.shape for image in (counts, widefield) if image is not None}
    if len(shapes) != 1:
        msg = (
            f"expected counts, a wide-field image, or both on the same pixels, got {sorted(shapes) or 'neither'}; "
            "resample the wide-field to the pixels of the counts"
        )
        raise InputError(msg)
    shape = shapes.pop()
    if len(shape) != 2 or min(shape) < 1:
        msg = f"expected an image of at least 1 x 1 pixel, got shape {shape}"
        raise InputError(msg)
    return (int(shape[0]), int(shape[1]))
