"""What Deep-STORM (2018) is given and what it must paint: normalisation, enlargement, labels, patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from stormcell.errors import InputError
from stormcell.networks.deepstorm import UPSAMPLING

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

TARGET_GAIN = 100.0
"""The heat map is multiplied by this."""
LOSS_KERNEL_SUM = 2.0
KERNEL_SIZE = 7
KERNEL_SIGMA = 1.0


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation that are taken out after every frame was projected to 0..1 by its own range.

    Parameters
    ----------
    mean, std : float
        Average of the images' means, and average (not pooled) of their standard deviations.
    """

    mean: float
    std: float

    @classmethod
    def of(cls, images: NDArray[np.float32]) -> Normalisation:
        """Measure it on images.

        Parameters
        ----------
        images : ndarray
            Shape (N, Y, X), camera units.

        Returns
        -------
        Normalisation
            Of the projected images.
        """
        projected = project(images)
        return cls(float(projected.mean()), float(projected.std(axis=(1, 2)).mean()))

    def apply(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise images.

        Parameters
        ----------
        images : ndarray
            Shape (N, Y, X), camera units.

        Returns
        -------
        ndarray
            The same shape; a constant image, which has no contrast to stretch, is all darkest.
        """
        done: NDArray[np.float32] = (project(images) - np.float32(self.mean)) / np.float32(self.std)
        return done


def project(images: NDArray[Any]) -> NDArray[np.float32]:
    """Stretch every image to 0..1 by its own minimum and maximum; constant images become 0.

    Parameters
    ----------
    images : ndarray
        Shape (N, Y, X).

    Returns
    -------
    ndarray
        The same shape.
    """
    low = images.min(axis=(1, 2), keepdims=True).astype(np.float32)
    span = images.max(axis=(1, 2), keepdims=True).astype(np.float32) - low
    stretched: NDArray[np.float32] = (images.astype(np.float32) - low) / np.where(span > 0, span, 1.0)
    return stretched


def enlarge(frames: Tensor) -> Tensor:
    """Repeat every pixel eight times along both axes.

    Parameters
    ----------
    frames : Tensor
        Shape (B, 1, Y, X).

    Returns
    -------
    Tensor
        Shape (B, 1, 8 Y, 8 X).
    """
    return F.interpolate(frames, scale_factor=UPSAMPLING, mode="nearest")


def gaussian_kernel(total: float) -> Tensor:
    """Sample the 7 x 7 Gaussian of sigma 1 recovery pixel.

    Parameters
    ----------
    total : float
        Sum of its weights.

    Returns
    -------
    Tensor
        Shape (1, 1, 7, 7).
    """
    axis = torch.arange(KERNEL_SIZE, dtype=torch.float64) - KERNEL_SIZE // 2
    line = torch.exp(-0.5 * (axis / KERNEL_SIGMA) ** 2)
    kernel = line[:, None] * line[None, :]
    return (total * kernel / kernel.sum()).float()[None, None]


def heat_map(x_px: NDArray[Any], y_px: NDArray[Any], origin_px: tuple[int, int], side_px: int) -> Tensor:
    """Draw the target of a patch: 100 times the blurred picture of the recovery pixels that hold an emitter.

    Parameters
    ----------
    x_px, y_px : ndarray
        Shape (N,), emitters of the frame from its outer corner, camera pixels; an emitter at x lies in recovery
        pixel floor(8 x), so that the picture has no half-pixel offset (the published code rounds).
    origin_px : tuple of int
        (row, column) of the patch's first camera pixel.
    side_px : int
        Side of the patch in camera pixels.

    Returns
    -------
    Tensor
        Shape (8 side, 8 side); emitters just outside the patch reach into it.
    """
    half = KERNEL_SIZE // 2
    side = UPSAMPLING * side_px + 2 * half
    rows = np.floor(UPSAMPLING * (y_px - origin_px[0])).astype(np.int64) + half
    columns = np.floor(UPSAMPLING * (x_px - origin_px[1])).astype(np.int64) + half
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    spikes = torch.zeros(1, 1, side, side)
    # two emitters in one recovery pixel are one spike
    spikes[0, 0, torch.from_numpy(rows[inside]), torch.from_numpy(columns[inside])] = 1.0
    return TARGET_GAIN * F.conv2d(spikes, gaussian_kernel(1.0))[0, 0]


@dataclass(frozen=True)
class LabelledFrames:
    """Frames with the true positions of their emitters.

    Parameters
    ----------
    frames : ndarray
        Shape (T, Y, X), camera units.
    frame : ndarray
        Shape (N,), frame of each emitter, rising.
    x_px, y_px : ndarray
        Shape (N,), from the frame's outer corner, camera pixels.
    """

    frames: NDArray[np.float32]
    frame: NDArray[np.int64]
    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]

    def of(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Emitters of one frame: x and y."""
        first, last = np.searchsorted(self.frame, (index, index + 1))
        return self.x_px[first:last], self.y_px[first:last]


@dataclass(frozen=True)
class Patches:
    """Places of training patches.

    Parameters
    ----------
    labelled : LabelledFrames
        Where they are cut from.
    frame, row, column : ndarray
        Shape (P,), frame and first camera pixel of each patch.
    side_px : int
        Side in camera pixels.
    """

    labelled: LabelledFrames
    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    side_px: int

    def __len__(self) -> int:
        return len(self.frame)

    def images(self, chosen: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Cut patches out.

        Parameters
        ----------
        chosen : ndarray, optional
            Which; None takes all.

        Returns
        -------
        ndarray
            Shape (n, side, side), camera units.
        """
        wanted = np.arange(len(self)) if chosen is None else chosen
        side = self.side_px
        return np.stack(
            [
                self.labelled.frames[self.frame[i], self.row[i] : self.row[i] + side, self.column[i] :][:, :side]
                for i in wanted
            ]
        )

    def targets(self, chosen: NDArray[np.int64]) -> Tensor:
        """Draw the targets of patches.

        Parameters
        ----------
        chosen : ndarray
            Which.

        Returns
        -------
        Tensor
            Shape (n, 1, 8 side, 8 side).
        """
        drawn = [
            heat_map(*self.labelled.of(int(self.frame[i])), (int(self.row[i]), int(self.column[i])), self.side_px)
            for i in chosen
        ]
        return torch.stack(drawn)[:, None]

    def take(self, chosen: NDArray[np.int64]) -> Patches:
        """Keep some of the patches.

        Parameters
        ----------
        chosen : ndarray
            Which.

        Returns
        -------
        Patches
            In that order.
        """
        return Patches(self.labelled, self.frame[chosen], self.row[chosen], self.column[chosen], self.side_px)


def choose_patches(
    labelled: LabelledFrames,
    rng: np.random.Generator,
    *,
    side_px: int,
    per_frame: int,
    most: int,
    fewest_emitters: int,
) -> Patches:
    """Choose random patches as published: so many per frame, those with too few emitters rejected, capped.

    Parameters
    ----------
    labelled : LabelledFrames
        The frames.
    rng : numpy.random.Generator
        Source of randomness.
    side_px : int
        Side in camera pixels.
    per_frame : int
        Tries per frame.
    most : int
        Largest number of patches.
    fewest_emitters : int
        Patches with fewer are left out.

    Returns
    -------
    Patches
        In the order in which they were drawn.

    Raises
    ------
    InputError
        The frames are smaller than a patch, or no patch holds enough emitters.
    """
    n_frames, height, width = labelled.frames.shape
    if min(height, width) < side_px:
        msg = f"expected frames of at least {side_px} x {side_px} px to cut patches from, got {height} x {width}"
        raise InputError(msg)
    frame = rng.permutation(np.repeat(np.arange(n_frames), per_frame))
    row = rng.integers(0, height - side_px + 1, len(frame))
    column = rng.integers(0, width - side_px + 1, len(frame))
    kept: list[int] = []
    for i in range(len(frame)):
        x, y = labelled.of(int(frame[i]))
        inside = (x >= column[i]) & (x < column[i] + side_px) & (y >= row[i]) & (y < row[i] + side_px)
        if int(inside.sum()) >= fewest_emitters:
            kept.append(i)
            if len(kept) == most:
                break
    if not kept:
        msg = (
            f"expected patches of {side_px} px with at least {fewest_emitters} emitters, found none; check that the "
            "positions are in nm and belong to these frames, or lower fewest_emitters"
        )
        raise InputError(msg)
    return Patches(labelled, frame[kept], row[kept], column[kept], side_px)
