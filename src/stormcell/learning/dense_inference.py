"""Running the dense network over frames: any size, any camera, bounded memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from stormcell.errors import InputError
from stormcell.learning.dense_decoding import N_FIELDS, list_components
from stormcell.networks.dense import DenseNet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from stormcell.learning.onnx_network import OnnxNetwork

Precision = Literal["auto", "float32", "bfloat16"]
Engine = Literal["torch", "onnxruntime"]

TILE_PX = 256
OVERLAP_PX = 24
PIXELS_PER_PASS = 1 << 17
MOST_EMITTERS_PER_PX = 0.25
_NETWORK_MULTIPLE_PX = DenseNet.multiple_px


@dataclass(frozen=True)
class ComponentList:
    """Emitters of consecutive frames in network units.

    Parameters
    ----------
    frame : ndarray
        Shape (N,), index within the block.
    rows : ndarray
        Shape (N, 9), the columns `list_components` gives; positions in px from the frame's outer corner.
    """

    frame: NDArray[np.int64]
    rows: NDArray[np.float32]

    @classmethod
    def none(cls) -> ComponentList:
        """Make an empty list."""
        return cls(np.zeros(0, np.int64), np.zeros((0, N_FIELDS), np.float32))


class DenseRunner:
    """A dense network made ready for one movie.

    Parameters
    ----------
    network : DenseNet
        Trained network; it is copied.
    condition : Tensor or None
        PSF descriptor of the movie, shape (n_condition,); None for unknown.
    uses_neighbours : bool
        Whether the frames before and after are looked at.
    device : str
        "cpu", "cuda" or "mps".
    precision : {"auto", "float32", "bfloat16"}
        Number format of the convolutions; auto takes bfloat16 where the processor has AMX.
    engine : {"torch", "onnxruntime"}
        What computes; ONNX Runtime sees single frames, in float32.
    """

    def __init__(
        self,
        network: DenseNet,
        *,
        condition: Tensor | None = None,
        uses_neighbours: bool = False,
        device: str = "cpu",
        precision: Precision = "auto",
        engine: Engine = "torch",
    ) -> None:
        self._device = torch.device(device)
        self._dtype = computing_dtype(self._device, precision)
        self._uses_neighbours = uses_neighbours
        self._network = copy.deepcopy(network).eval()
        self._network.fold(None if condition is None else condition.to(network.psf_mean))
        self._onnx: OnnxNetwork | None = None
        if engine == "onnxruntime":
            from stormcell.learning.onnx_network import OnnxNetwork

            if uses_neighbours or precision == "bfloat16":
                msg = "expected single frames and float32 for the engine onnxruntime; leave out the other option"
                raise InputError(msg)
            self._onnx = OnnxNetwork(self._network, device)
            return
        self._network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def list_emitters(
        self, frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32], threshold: float
    ) -> ComponentList:
        """Find the emitters of consecutive frames.

        Parameters
        ----------
        frames : ndarray
            Shape (T, Y, X), network electrons. With neighbours, the first and the last frame still count.
        read_variance_e2 : ndarray
            Shape (Y, X), network electrons squared.
        threshold : float
            Smallest probability.

        Returns
        -------
        ComponentList
            Sorted by frame.
        """
        height, width = frames.shape[1:]
        parts = [
            self._list_tile(frames[:, tile.y0 : tile.y1, tile.x0 : tile.x1], read_variance_e2, tile, threshold)
            for tile in tiles(height, width)
        ]
        frame = np.concatenate([part.frame for part in parts])
        rows = np.concatenate([part.rows for part in parts])
        order = np.argsort(frame, kind="stable")
        return ComponentList(frame[order], rows[order])

    def describe(self, frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32]) -> Tensor:
        """Read the PSF descriptor from frames: precision-weighted mean of what each frame says.

        Parameters
        ----------
        frames : ndarray
            Shape (T, Y, X), network electrons.
        read_variance_e2 : ndarray
            Shape (Y, X), network electrons squared.

        Returns
        -------
        Tensor
            Shape (n_condition,).
        """
        height, width = frames.shape[1:]
        said = []
        for tile in tiles(height, width):
            cut = frames[:, tile.y0 : tile.y1, tile.x0 : tile.x1]
            for _, _, descriptor in self._passes(cut, read_variance_e2[tile.y0 : tile.y1, tile.x0 : tile.x1]):
                said.append(descriptor)
        mean, log_sigma = torch.cat(said).chunk(2, dim=1)
        weight = torch.exp(-2 * log_sigma.clamp(-5.0, 3.0))
        return ((mean * weight).sum(dim=0) / weight.sum(dim=0)).cpu()

    def _list_tile(
        self, frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32], tile: Tile, threshold: float
    ) -> ComponentList:
        height, width = frames.shape[1:]
        capacity = int(MOST_EMITTERS_PER_PX * height * width) + 16
        found_frames, found_rows = [], []
        variance = read_variance_e2[tile.y0 : tile.y1, tile.x0 : tile.x1]
        for start, values, _ in self._passes(frames, variance):
            rows = np.empty((len(values), capacity, N_FIELDS), np.float32)
            n_rows = np.zeros(len(values), np.int64)
            list_components(values[:, :, :height, :width], threshold, rows, n_rows)
            keep = np.arange(capacity)[None, :] < n_rows[:, None]
            frame = np.broadcast_to(start + np.arange(len(values))[:, None], keep.shape)[keep]
            listed = rows[keep]
            listed[:, 1] += tile.x0
            listed[:, 2] += tile.y0
            own = tile.owns(listed[:, 1], listed[:, 2])
            found_frames.append(frame[own])
            found_rows.append(listed[own])
        return ComponentList(np.concatenate(found_frames), np.concatenate(found_rows))

    def _passes(
        self, frames: NDArray[np.float32], read_variance_e2: NDArray[np.float32]
    ) -> Iterator[tuple[int, NDArray[np.float32], Tensor]]:
        height, width = frames.shape[1:]
        pad = [(0, -side % _NETWORK_MULTIPLE_PX) for side in (height, width)]
        variance = torch.from_numpy(np.pad(read_variance_e2, pad, mode="edge"))[None, None].to(self._device)
        per_pass = max(1, PIXELS_PER_PASS // (height * width))
        halo = 1 if self._uses_neighbours else 0
        for start in range(0, len(frames), per_pass):
            first, last = max(start - halo, 0), min(start + per_pass + halo, len(frames))
            block = np.pad(frames[first:last], [(0, 0), *pad], mode="edge")
            count = min(per_pass, len(frames) - start)
            yield start, *self._run(torch.from_numpy(block)[:, None], variance, start - first, count)

    @torch.inference_mode()
    def _run(self, frames: Tensor, variance: Tensor, before: int, count: int) -> tuple[NDArray[np.float32], Tensor]:
        if self._onnx is not None:
            values, said = self._onnx.run(frames.numpy(), variance.cpu().numpy())
            return values, torch.from_numpy(said)
        network = self._network
        frames = frames.to(self._device)
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32):
            code = network.code(1, None)
            features = network.encode(frames, variance, code)
            middle = slice(before, before + count)
            joined = features[middle]
            if self._uses_neighbours:
                joined = joined + _shifted(network.before(features), middle, -1)
                joined = joined + _shifted(network.after(features), middle, 1)
            output, descriptor = network.predict(joined, frames[middle], variance, code)
        values = torch.stack(list(output), dim=1).float().cpu().numpy()
        return values, descriptor


@dataclass(frozen=True)
class Tile:
    """A rectangle of the frame and the part of it whose emitters it may list."""

    y0: int
    y1: int
    x0: int
    x1: int
    own_y: tuple[float, float]
    own_x: tuple[float, float]

    def owns(self, x_px: NDArray[np.float32], y_px: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which positions belong to this tile.

        Parameters
        ----------
        x_px, y_px : ndarray
            Shape (N,), from the frame's outer corner.

        Returns
        -------
        ndarray
            Shape (N,), bool; every position belongs to exactly one tile.
        """
        inside: NDArray[np.bool_] = (y_px >= self.own_y[0]) & (y_px < self.own_y[1])
        return inside & (x_px >= self.own_x[0]) & (x_px < self.own_x[1])


def tiles(height: int, width: int) -> list[Tile]:
    """Cover a frame with overlapping tiles.

    Parameters
    ----------
    height, width : int
        Frame size in px.

    Returns
    -------
    list of Tile
        One for a frame up to the tile size.
    """
    return [Tile(y0, y1, x0, x1, own_y, own_x) for y0, y1, own_y in _spans(height) for x0, x1, own_x in _spans(width)]


def _spans(length: int) -> list[tuple[int, int, tuple[float, float]]]:
    if length <= TILE_PX:
        return [(0, length, (-np.inf, np.inf))]
    step = TILE_PX - 2 * OVERLAP_PX
    spans = []
    for start in range(0, length - 2 * OVERLAP_PX, step):
        stop = min(start + TILE_PX, length)
        low = start + OVERLAP_PX if start else -np.inf
        high = stop - OVERLAP_PX if stop < length else np.inf
        spans.append((start, stop, (low, high)))
    return spans


def computing_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Choose the number format of the convolutions.

    Parameters
    ----------
    device : torch.device
        Where they run.
    precision : {"auto", "float32", "bfloat16"}
        What was asked for.

    Returns
    -------
    torch.dtype
        bfloat16 where it was asked for or is computed natively, else float32.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _has_amx() else torch.float32


def _has_amx() -> bool:
    # older PyTorch does not tell; float32 is right everywhere
    tell = getattr(torch.cpu, "get_capabilities", dict)
    capabilities: dict[str, Any] = tell()
    # AVX-512 computes in bfloat16 too, but no faster than in float32
    return bool(capabilities.get("amx_bf16"))


def _shifted(context: Tensor, middle: slice, step: int) -> Tensor:
    """Bring each frame's neighbour to its place; frames without one get nothing."""
    first, last = middle.start + step, middle.stop + step
    pieces = [context[max(first, 0) : min(last, len(context))]]
    if first < 0:
        pieces.insert(0, torch.zeros_like(context[:1]))
    if last > len(context):
        pieces.append(torch.zeros_like(context[:1]))
    return torch.cat(pieces)
