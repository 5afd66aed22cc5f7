"""Pseudo-dense frames: k frames of a real sparse movie summed, so that real PSF and camera come with truth.

A sum of k frames has k times the offset, k times the background and the square root of k times the read noise; one
offset is kept, so that the same camera description fits, with its read noise raised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stormcell.data.frame_stack import FrameStack
from stormcell.data.pixel_grid import PixelGrid
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Quantity
    from stormcell.physics.cameras import Camera


@dataclass(frozen=True)
class PseudoDense:
    """A denser movie made of a sparse one."""

    frames: FrameStack
    """Sums of frames, uint32, at one offset, read lazily."""
    truth: Localizations
    """Fits of the single frames, moved to their summed frame; n_frames and grid as in `frames`, whose first pixel
    begins at 0 nm also where the movie was cropped."""
    read_noise_factor: float
    """The read noise of the sums in units of that of a single frame: the square root of k."""


def pseudo_dense_movie(
    stack: FrameStack, fits: Localizations, k: int, camera: Camera, *, seed: int | None = None
) -> PseudoDense:
    """Sum k frames of a sparse movie.

    Parameters
    ----------
    stack : FrameStack
        The sparse movie.
    fits : Localizations
        Fits of its single frames; these become the truth. Columns frame, photons and background_photons are used.
    k : int
        Frames in a sum, 2 to 20.
    camera : Camera
        Its offset is removed k - 1 times.
    seed : int, optional
        Frames are shuffled with it before they are summed, so that no emitter is summed with itself; None keeps
        neighbours together.

    Returns
    -------
    PseudoDense
        Frames and truth; an incomplete last group is left out.

    Raises
    ------
    InputError
        k is out of range or the movie is shorter than k frames.

    Notes
    -----
    The truth is as good as the fits: emitters too faint to be fitted are light without truth, and positions carry the
    uncertainty of the single-frame fit, which is smaller than that of the dense fit but not zero.
    """
    if not 2 <= k <= 20:
        msg = f"k: expected 2 to 20 frames in a sum, got {k}"
        raise InputError(msg)
    n_sums = stack.n_frames // k
    if n_sums == 0:
        msg = f"expected a movie of at least {k} frames to sum {k}, got {stack.n_frames}"
        raise InputError(msg)
    order = np.arange(stack.n_frames)
    if seed is not None:
        order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(order)
    members = order[: n_sums * k].reshape(n_sums, k)

    def load(start: int, stop: int) -> NDArray[np.uint32]:
        return np.stack(list(_sums(stack, camera, members[start:stop])))

    shape = (n_sums, *stack.frame_shape)
    name = f"{stack.name} summed by {k}"
    dense = FrameStack(load, shape, np.dtype(np.uint32), _noisier(stack.metadata, k), name)
    return PseudoDense(dense, _summed_truth(fits, members, stack), math.sqrt(k))


def _noisier(metadata: Mapping[str, Quantity], k: int) -> dict[str, Quantity]:
    """Let the metadata speak of the sums: k read noises, and grey values beyond the single frame's bits."""
    kept = {name: quantity for name, quantity in metadata.items() if name != "bit_depth"}
    noise = kept.get("read_noise_e")
    if noise is not None and isinstance(noise.value, float | int):
        kept["read_noise_e"] = replace(noise, value=noise.value * math.sqrt(k), detail=f"of {k} frames summed")
    return kept


def _sums(stack: FrameStack, camera: Camera, members: NDArray[np.int64]) -> Iterator[NDArray[np.uint32]]:
    for group in members:
        single = np.concatenate([stack.read(int(frame), int(frame) + 1) for frame in group]).astype(np.float64)
        total = camera.electrons(single.sum(axis=0)[None], stack.origin_px)[0]
        # electrons() took one offset off the sum of k; k - 1 more are in it
        surplus = camera.electrons(np.zeros((1, *stack.frame_shape)), stack.origin_px)[0] * (len(group) - 1)
        scale = np.asarray(camera.gain_e_per_adu, dtype=np.float64) / camera.em_gain
        offset = -camera.electrons(np.zeros((1, *stack.frame_shape)), stack.origin_px)[0]
        grey = (total + surplus + offset) / _cropped(scale, stack)
        yield np.clip(np.rint(grey), 0, None).astype(np.uint32)


def _cropped(scale: NDArray[np.float64], stack: FrameStack) -> NDArray[np.float64]:
    if scale.ndim == 0:
        return scale
    return scale[slice(*stack.rows), slice(*stack.columns)]


def _summed_truth(fits: Localizations, members: NDArray[np.int64], stack: FrameStack) -> Localizations:
    place = np.full(stack.n_frames, -1)
    place[members.ravel()] = np.repeat(np.arange(len(members)), members.shape[1])
    frame = fits["frame"] - stack.first_frame
    inside = (frame >= 0) & (frame < stack.n_frames)
    kept = _on_own_field(fits.take(inside), stack)
    summed = place[kept["frame"] - stack.first_frame]
    order = np.argsort(summed, kind="stable")
    order = order[summed[order] >= 0]
    columns = {"frame": summed[order]}
    if "background_photons" in kept:
        columns["background_photons"] = kept["background_photons"][order] * members.shape[1]
    return kept.take(order).with_columns(**columns).with_context(n_frames=len(members))


def _on_own_field(fits: Localizations, stack: FrameStack) -> Localizations:
    """Count positions from the first pixel of a cropped movie, and leave out what lies beside it."""
    if stack.origin_px == (0, 0) and (fits.grid is None or fits.grid.shape == stack.frame_shape):
        return fits
    if fits.grid is None:
        msg = "expected fits that know the camera pixel size of their movie, got none; localize the movie again"
        raise InputError(msg)
    size = fits.grid.pixel_size_nm
    (y0, x0), (rows, columns) = stack.origin_px, stack.frame_shape
    x_nm, y_nm = fits["x_nm"] - x0 * size, fits["y_nm"] - y0 * size
    inside = (x_nm >= 0) & (x_nm < columns * size) & (y_nm >= 0) & (y_nm < rows * size)
    moved = fits.with_columns(x_nm=x_nm, y_nm=y_nm).with_context(grid=PixelGrid(size, stack.frame_shape))
    return moved.take(inside)
